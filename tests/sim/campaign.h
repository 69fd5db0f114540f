/* SPDX-License-Identifier: Apache-2.0
 * Many seeds: in this process, or in several at once that take the next seed from a common counter.
 * Progress on stderr; at the end one line of JSON on stdout. Used by pump-sim and holdfast-sim.
 */
#ifndef HOLDFAST_TESTS_SIM_CAMPAIGN_H
#define HOLDFAST_TESTS_SIM_CAMPAIGN_H

#include <stdbool.h>
#include <stdint.h>

enum { CAMPAIGN_FIGURES = 64, CAMPAIGN_JOBS = 64 };

struct campaign {
    const char *program;
    uint64_t first, seeds; /* UINT64_MAX: until the time is over */
    double hours;          /* of real time; 0: no limit */
    unsigned jobs;
    /* One seed: true if it failed, and it has said how. Adds to its process's figures. */
    bool (*run)(uint64_t seed, uint64_t figures[CAMPAIGN_FIGURES]);
    const char *const *names; /* of the figures; NULL ends */
};

/* "N" or "A..B" (both included). */
bool campaign_parse_seeds(const char *text, uint64_t *first, uint64_t *seeds);
/* Returns how many failed. A process that a CHECK or a fault ends counts as one, and is replaced.
 */
uint64_t campaign_run(const struct campaign *c);

struct campaign_mutant {
    const char *name, *text;
    unsigned seeds; /* to be caught within; 0: left out */
};
/* Runs every mutant from `first` on, in processes of their own whose output is dropped, and prints
 * a table. Returns how many survived. */
unsigned campaign_mutants(const struct campaign *c, const struct campaign_mutant *mutants,
                          unsigned n, void (*choose)(unsigned mutant));

#endif
