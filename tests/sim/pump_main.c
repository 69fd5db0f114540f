/* SPDX-License-Identifier: Apache-2.0
 * pump-sim: command line, seeds, and the guards switched off to show that it notices.
 */
#include "tests/sim/pump_world.h"

#include "proto/base/check.h"

#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: pump-sim [--seed S | --first-seed S] [--seeds N] [--trace]\n"
    "                [--mutation NAME [--expect-caught]] [--list-mutations]\n"
    "\n"
    "Consensus alone: a cluster of the shipped pumps in simulated time, one run a seed.\n"
    "  --seed S          this seed alone\n"
    "  --first-seed S    begin here (1)\n"
    "  --seeds N         as many (100)\n"
    "  --trace           say what happens\n"
    "  --mutation NAME   switch a guard off; stops at the first seed that finds it\n"
    "  --expect-caught   exit 0 if it is found within its stated number of seeds\n"
    "\n"
    "exit codes: 0 all seeds hold (or the mutation was caught), 1 not, 2 command line\n";

static const struct mutant {
    const char *name, *text;
    unsigned guard, seeds;
} mutants[] = {
    {"guard_stale_reply", "1: the answer to an old leader counts as a copy", PUMP_GUARD_STALE_REPLY,
     1000},
    {"guard_order", "2: overtaken and repeated messages are taken", PUMP_GUARD_ORDER, 10},
    {"guard_pre_vote", "3: a pre-vote's rejection hides the higher term", PUMP_GUARD_PRE_VOTE,
     1000},
    {"guard_commit_max", "4: the commit index may go back", PUMP_GUARD_COMMIT_MAX, 500},
    {"guard_split", "5: a configuration may stand in the middle of what is appended",
     PUMP_GUARD_SPLIT, 100},
    {"guard_persisted", "6: writes that will be overwritten are reported", PUMP_GUARD_PERSISTED,
     1000},
    {"guard_common_ground", "7a: a follower does not say what it has applied",
     PUMP_GUARD_COMMON_GROUND, 300},
    {"guard_before_trail", "7b: a success from before the trail moves the leader back",
     PUMP_GUARD_BEFORE_TRAIL, 500},
    {"guard_install", "7c: who needs a copy hears no heartbeat", PUMP_GUARD_INSTALL, 50},
    {"guard_begin", "8: entries from before the trail are appended again", PUMP_GUARD_BEGIN, 1500},
};

static struct world world;
static const struct mutant *mutant; /* NULL: none */
static uint64_t running, first = 1; /* for the signal handler, too */
static bool expect_caught;

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

static void say_replay(uint64_t seed)
{
    (void)printf("replay: pump-sim --seed %" PRIu64 "%s%s --trace\n", seed,
                 mutant ? " --mutation " : "", mutant ? mutant->name : "");
    (void)fflush(stdout);
}

static bool run_seed(struct world *w, uint64_t seed)
{
    running = seed;
    bool failed = setjmp(w->failed) != 0;
    if (!failed) {
        world_run(w, seed);
    } else {
        (void)printf("seed %" PRIu64 " at %" PRIu64 " ms: %s\n", seed, w->now_ms, w->failure);
        say_replay(seed);
    }
    clear(w);
    return failed;
}

/* A CHECK of the shipped code, or a fault. */
static void on_signal(int signal)
{
    (void)printf("seed %" PRIu64 ": signal %d\n", running, signal);
    say_replay(running);
    if (mutant)
        (void)printf("mutation %s: caught after %" PRIu64 " seeds\n", mutant->name,
                     running - first + 1);
    (void)fflush(stdout);
    _exit(mutant && expect_caught ? 0 : 1);
}

static void report(const struct counters *c, uint64_t seeds, uint64_t bad)
{
    (void)printf("%" PRIu64 " seeds, %" PRIu64 " failed | steps %" PRIu64 " messages %" PRIu64
                 " commits %" PRIu64 " elections %" PRIu64 " crashes %" PRIu64
                 " (in callbacks %" PRIu64 ") checkpoints %" PRIu64 " seedings %" PRIu64
                 " restarts %" PRIu64 "\n",
                 seeds, bad, c->pump.steps, c->messages, c->commits, c->elections, c->crashes,
                 c->fatal, c->checkpoints, c->seeds, c->restarts);
    (void)printf("guards: stale replies %" PRIu64 ", overtaken %" PRIu64 ", commit back %" PRIu64
                 ", overwritten writes %" PRIu64 "; log reads %" PRIu64 ", bad %" PRIu64
                 ", foreign %" PRIu64 ", full %" PRIu64 ", big entries %" PRIu64 "\n",
                 c->pump.stale_replies, c->pump.old_messages, c->pump.commit_back,
                 c->pump.overwritten, c->pump.log_reads, c->pump.bad_messages,
                 c->pump.foreign_messages, c->pump.full, c->big);
}

/* ---- the command line ---- */

enum { MUTANTS = sizeof mutants / sizeof mutants[0] };

static bool choose(const char *name)
{
    for (unsigned i = 0; i < MUTANTS; i++)
        if (strcmp(mutants[i].name, name) == 0)
            mutant = &mutants[i];
    world.disable_guards = mutant ? mutant->guard : 0;
    return mutant != NULL;
}

static void list_mutations(void)
{
    for (unsigned i = 0; i < MUTANTS; i++)
        (void)printf("%-24s within %4u seeds: pump guard off, %s\n", mutants[i].name,
                     mutants[i].seeds, mutants[i].text);
}

static bool parse(int argc, char **argv, uint64_t *seeds)
{
    static const struct option options[] = {{"seed", required_argument, NULL, 'o'},
                                            {"seeds", required_argument, NULL, 'n'},
                                            {"first-seed", required_argument, NULL, 's'},
                                            {"mutation", required_argument, NULL, 'm'},
                                            {"expect-caught", no_argument, NULL, 'x'},
                                            {"list-mutations", no_argument, NULL, 'l'},
                                            {"trace", no_argument, NULL, 't'},
                                            {NULL, 0, NULL, 0}};
    int c;
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c == 'o' || c == 's')
            first = strtoull(optarg, NULL, 10);
        if (c == 'o')
            *seeds = 1;
        else if (c == 'n')
            *seeds = strtoull(optarg, NULL, 10);
        else if (c == 'm' && !choose(optarg))
            return false;
        else if (c == 'x')
            expect_caught = true;
        else if (c == 't')
            world.verbose = true;
        else if (c == 'l') {
            list_mutations();
            exit(0);
        } else if (c == '?')
            return false;
    }
    return optind == argc;
}

int main(int argc, char **argv)
{
    uint64_t seeds = 0, done = 0, bad = 0;
    if (!parse(argc, argv, &seeds)) {
        (void)fputs(usage, stderr);
        return 2;
    }
    if (seeds == 0)
        seeds = expect_caught && mutant ? mutant->seeds : 100;
    (void)signal(SIGABRT, on_signal);
    (void)signal(SIGSEGV, on_signal);
    while (done < seeds && !(bad > 0 && mutant))
        bad += run_seed(&world, first + done++);
    if (mutant)
        (void)printf("mutation %s: %s after %" PRIu64 " seeds\n", mutant->name,
                     bad > 0 ? "caught" : "NOT CAUGHT", done);
    else
        report(&world.counters, done, bad);
    return (bad > 0) == expect_caught ? 0 : 1;
}
