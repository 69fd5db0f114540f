/* SPDX-License-Identifier: Apache-2.0
 * The command line of a simulator: seeds, campaigns, traces, mutants. pump-sim and holdfast-sim
 * have the same one.
 */
#ifndef HOLDFAST_TESTS_SIM_COMMAND_H
#define HOLDFAST_TESTS_SIM_COMMAND_H

#include "tests/sim/campaign.h"

struct command_program {
    const char *name, *about; /* about: a sentence */
    /* One seed: true if it failed, and command_failed has told how. */
    bool (*run)(uint64_t seed, uint64_t figures[CAMPAIGN_FIGURES]);
    const char *const *figures; /* names; NULL ends */
    const struct campaign_mutant *mutants;
    unsigned n_mutants;
    void (*choose)(unsigned mutant); /* from now on it is switched on */
    bool *trace;
};

/* The program's exit code. */
int command_main(const struct command_program *p, int argc, char **argv);
/* How a seed failed, and the command that replays it. */
void command_failed(uint64_t seed, uint64_t at_ms, const char *failure);

#endif
