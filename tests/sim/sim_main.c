/* SPDX-License-Identifier: Apache-2.0
 * holdfast-sim: one seed, its figures, its mutants.
 */
#include "tests/sim/command.h"
#include "tests/sim/world.h"

#include "proto/base/log.h"

static struct sim_world world;

static const char *const figure_names[] = {
#define X(name) #name,
    SIM_COUNTERS(X)
#undef X
        NULL};

static const struct campaign_mutant mutants[] = {
#define X(name, seeds, text) {#name, text, seeds},
    SIM_MUTATIONS(X)
#undef X
};

static void choose(unsigned i)
{
    sim_mutation = (enum sim_mutation)(i + 1);
}

static bool run_seed(uint64_t seed, uint64_t figures[CAMPAIGN_FIGURES])
{
    struct sim_world *w = &world;
    base_log_open("holdfast-sim", w->trace ? BASE_LOG_ERROR : BASE_LOG_ERROR + 1);
    sim_run(w, seed);
    bool failed = w->failed;
    if (failed)
        command_failed(seed, w->now_ms, w->failure);
    sim_world_close(w);
    unsigned i = 0;
#define X(name) figures[i++] += w->counters.name;
    SIM_COUNTERS(X)
#undef X
    w->counters = (struct sim_counters){0};
    return failed;
}

int main(int argc, char **argv)
{
    const struct command_program program = {
        .name = "holdfast-sim",
        .about = "Runs a cluster of the shipped nodes in simulated time, one run a seed, and "
                 "checks it.",
        .run = run_seed,
        .figures = figure_names,
        .mutants = mutants,
        .n_mutants = sizeof mutants / sizeof mutants[0],
        .choose = choose,
        .trace = &world.trace};
    return command_main(&program, argc, argv);
}
