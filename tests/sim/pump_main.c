/* SPDX-License-Identifier: Apache-2.0
 * pump-sim: one seed, its figures, and the guards switched off to show that it notices.
 */
#include "tests/sim/pump_world.h"

#include "proto/base/check.h"
#include "tests/sim/command.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct campaign_mutant mutants[] = {
    {"guard_stale_reply", "pump guard off, 1: the answer to an old leader counts as a copy", 1000},
    {"guard_order", "pump guard off, 2: overtaken and repeated messages are taken", 10},
    {"guard_pre_vote", "pump guard off, 3: a pre-vote's rejection hides the higher term", 1000},
    {"guard_commit_max", "pump guard off, 4: the commit index may go back", 500},
    {"guard_split",
     "pump guard off, 5: a configuration may stand in the middle of what is appended", 500},
    {"guard_persisted", "pump guard off, 6: writes that will be overwritten are reported", 1000},
    {"guard_install", "pump guard off, 7a: who needs a copy hears no heartbeat", 50},
    {"guard_trail", "pump guard off, 7b: nobody is asked whether its log reaches into the trail",
     300},
    {"guard_old_rejection",
     "pump guard off, 7c: a rejection of what was acknowledged moves the leader back", 2000},
    {"guard_begin", "pump guard off, 8: entries from before the trail are appended again", 1500},
    {"guard_joining", "pump guard off, 9: who is being promoted grants no vote", 1500},
};
static const unsigned mutant_guards[] = {
    PUMP_GUARD_STALE_REPLY,   PUMP_GUARD_ORDER,     PUMP_GUARD_PRE_VOTE, PUMP_GUARD_COMMIT_MAX,
    PUMP_GUARD_SPLIT,         PUMP_GUARD_PERSISTED, PUMP_GUARD_INSTALL,  PUMP_GUARD_TRAIL,
    PUMP_GUARD_OLD_REJECTION, PUMP_GUARD_BEGIN,     PUMP_GUARD_JOINING};

static struct world world;

/* ---- what the world calls ---- */

void *world_alloc(struct world *w, size_t n)
{
    if (w->arena_n == w->arena_cap) {
        w->arena_cap = w->arena_cap ? w->arena_cap * 2 : 4096;
        w->arena = realloc(w->arena, w->arena_cap * sizeof *w->arena);
        CHECK(w->arena);
    }
    void *p = calloc(1, n > 0 ? n : 1);
    CHECK(p);
    w->arena[w->arena_n++] = p;
    return p;
}

void world_fail(struct world *w, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    (void)vsnprintf(w->failure, sizeof w->failure, format, ap);
    va_end(ap);
    longjmp(w->failed, 1);
}

void world_say(struct world *w, const char *format, ...)
{
    if (!w->verbose)
        return;
    va_list ap;
    va_start(ap, format);
    (void)printf("%3" PRIu64 ".%03" PRIu64 " s  ", w->now_ms / 1000, w->now_ms % 1000);
    (void)vprintf(format, ap);
    (void)putchar('\n');
    va_end(ap);
}

/* ---- seeds ---- */

/* What a seed leaves: memory, and the counters, which go on. */
static void clear(struct world *w)
{
    for (int i = 1; i <= w->n; i++)
        node_close(&w->node[i]);
    sim_events_close(&w->events);
    for (size_t i = 0; i < w->arena_n; i++)
        free(w->arena[i]);
    free(w->arena);
    struct counters kept = w->counters;
    unsigned guards = w->disable_guards;
    bool verbose = w->verbose;
    memset(w, 0, sizeof *w);
    w->counters = kept;
    w->disable_guards = guards;
    w->verbose = verbose;
}

static bool run_seed(uint64_t seed, uint64_t figures[CAMPAIGN_FIGURES])
{
    struct world *w = &world;
    bool failed = setjmp(w->failed) != 0;
    if (!failed) {
        world_run(w, seed);
    } else {
        command_failed(seed, w->now_ms, w->failure);
    }
    clear(w);
    const struct counters *c = &w->counters;
    const uint64_t now[] = {c->ms,
                            c->pump.steps,
                            c->messages,
                            c->commits,
                            c->elections,
                            c->crashes,
                            c->fatal,
                            c->checkpoints,
                            c->seeds,
                            c->restarts,
                            c->changes,
                            c->pump.stale_replies,
                            c->pump.old_messages,
                            c->pump.commit_back,
                            c->pump.overwritten,
                            c->pump.log_reads,
                            c->pump.full,
                            c->big};
    for (unsigned i = 0; i < sizeof now / sizeof now[0]; i++)
        figures[i] += now[i];
    w->counters = (struct counters){0};
    return failed;
}

static const char *const figure_names[] = {"simulated_ms",
                                           "steps",
                                           "messages",
                                           "commits",
                                           "leaders",
                                           "crashes",
                                           "crashes_inside_an_effect",
                                           "checkpoints",
                                           "seedings",
                                           "restarts",
                                           "membership_changes",
                                           "stale_replies",
                                           "overtaken_messages",
                                           "commits_back",
                                           "overwritten_writes",
                                           "log_reads",
                                           "full",
                                           "big_entries",
                                           NULL};

static void choose(unsigned i)
{
    world.disable_guards = mutant_guards[i];
}

int main(int argc, char **argv)
{
    const struct command_program program = {
        .name = "pump-sim",
        .about = "Consensus alone: a cluster of the shipped pumps in simulated time, one run a "
                 "seed.",
        .run = run_seed,
        .figures = figure_names,
        .mutants = mutants,
        .n_mutants = sizeof mutants / sizeof mutants[0],
        .choose = choose,
        .trace = &world.verbose};
    return command_main(&program, argc, argv);
}
