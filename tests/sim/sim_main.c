/* SPDX-License-Identifier: Apache-2.0
 * holdfast-sim: command line of the simulator.
 */
#include "tests/sim/world.h"

#include "proto/base/log.h"

#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static const char usage[] =
    "usage: holdfast-sim [--seed S | --first-seed S] [--seeds N] [--hours H] [--trace]\n"
    "                    [--mutation NAME [--expect-caught]] [--list-mutations]\n"
    "\n"
    "Runs a cluster of the shipped nodes in simulated time, one run a seed, and checks it.\n"
    "  --seed S          this seed alone\n"
    "  --first-seed S    begin here (1)\n"
    "  --seeds N         as many (100)\n"
    "  --hours H         stop after H hours of real time; without --seeds, only then\n"
    "  --trace           say what happens\n"
    "  --mutation NAME   switch a bug on; stops at the first seed that finds it\n"
    "  --expect-caught   exit 0 if it is found within its stated number of seeds\n"
    "\n"
    "exit codes: 0 all seeds hold (or the mutation was caught), 1 not, 2 command line\n";

static struct sim_world world;
/* For the signal handler. */
static uint64_t running, first;
static bool expect_caught;

static void say_replay(uint64_t seed)
{
    (void)printf("replay: holdfast-sim --seed %" PRIu64 "%s%s --trace\n", seed,
                 sim_mutation ? " --mutation " : "", sim_mutation ? mutant_name(sim_mutation) : "");
    (void)fflush(stdout);
}

static void on_signal(int signal)
{
    (void)printf("seed %" PRIu64 ": signal %d\n", running, signal);
    say_replay(running);
    if (sim_mutation) /* the shipped code's own CHECK found it */
        (void)printf("mutation %s: caught after %" PRIu64 " seeds\n", mutant_name(sim_mutation),
                     running - first + 1);
    (void)fflush(stdout);
    _exit(sim_mutation && expect_caught ? 0 : 1);
}

static volatile sig_atomic_t ending;

/* The seed is finished and the report given. */
static void on_end(int signal)
{
    (void)signal;
    ending = 1;
}

static bool run_seed(struct sim_world *w, uint64_t seed)
{
    running = seed;
    sim_run(w, seed);
    bool failed = w->failed;
    if (failed) {
        (void)printf("seed %" PRIu64 " at %" PRIu64 " ms: %s\n", seed, w->now_ms, w->failure);
        say_replay(seed);
    }
    w->counters.seeds_failed += failed;
    sim_world_close(w);
    return failed;
}

static double seconds_since(const struct timespec *from)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - from->tv_sec) + (double)(now.tv_nsec - from->tv_nsec) / 1e9;
}

static void report(const struct sim_counters *c, uint64_t seeds, double seconds)
{
    (void)printf("%" PRIu64 " seeds, %" PRIu64 " failed; %.1f simulated hours in %.0f s (%.0f times"
                 " real time)\n",
                 seeds, c->seeds_failed, (double)c->ms / 3.6e6, seconds,
                 (double)c->ms / 1000 / (seconds > 0 ? seconds : 1));
    (void)printf("entries %" PRIu64 ", effects %" PRIu64 ", answers %" PRIu64 ", reads %" PRIu64
                 ", unknown %" PRIu64 ", refused %" PRIu64 ", expired holds %" PRIu64 "\n",
                 c->commits, c->effects, c->answers, c->reads, c->unknown, c->refused, c->expired);
    (void)printf("leaders %" PRIu64 ", transfers %" PRIu64 ", crashes %" PRIu64
                 " (inside an effect %" PRIu64 "), stops %" PRIu64 ", pauses %" PRIu64
                 ", clock jumps %" PRIu64 ", checkpoints %" PRIu64 ", messages %" PRIu64 "\n",
                 c->elections, c->transfers, c->crashes, c->in_callbacks, c->stops, c->pauses,
                 c->jumps, c->checkpoints, c->messages);
}

static void list_mutations(void)
{
    for (unsigned m = 1; m < SIM_MUTATION_COUNT; m++) {
        const char *name = mutant_name((enum sim_mutation)m),
                   *text = mutant_text((enum sim_mutation)m);
        unsigned seeds = mutant_seeds((enum sim_mutation)m);
        if (seeds > 0)
            (void)printf("%-24s within %4u seeds: %s\n", name, seeds, text);
        else
            (void)printf("%-24s too rare here, see pump-sim: %s\n", name, text);
    }
}

struct options {
    uint64_t seeds;
    double hours;
    bool list;
};

static bool parse(int argc, char **argv, struct options *o)
{
    static const struct option options[] = {{"seed", required_argument, NULL, 'o'},
                                            {"seeds", required_argument, NULL, 'n'},
                                            {"first-seed", required_argument, NULL, 's'},
                                            {"hours", required_argument, NULL, 'h'},
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
            o->seeds = 1;
        else if (c == 'n')
            o->seeds = strtoull(optarg, NULL, 10);
        else if (c == 'h')
            o->hours = strtod(optarg, NULL);
        else if (c == 'm' && (sim_mutation = mutant_find(optarg)) == SIM_NONE)
            return false;
        else if (c == 'x')
            expect_caught = true;
        else if (c == 'l')
            o->list = true;
        else if (c == 't')
            world.trace = true;
        else if (c == '?')
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    struct options o = {0};
    struct timespec begin;
    uint64_t done = 0;
    first = 1;
    if (!parse(argc, argv, &o)) {
        (void)fputs(usage, stderr);
        return 2;
    }
    if (o.list) {
        list_mutations();
        return 0;
    }
    if (o.seeds == 0)
        o.seeds = o.hours > 0 ? UINT64_MAX : expect_caught ? mutant_seeds(sim_mutation) : 100;
    base_log_open("holdfast-sim", world.trace ? BASE_LOG_ERROR : BASE_LOG_ERROR + 1);
    (void)signal(SIGABRT, on_signal);
    (void)signal(SIGSEGV, on_signal);
    (void)signal(SIGTERM, on_end);
    (void)signal(SIGINT, on_end);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    bool caught = false;
    while (!ending && done < o.seeds && !(caught && sim_mutation) &&
           (o.hours <= 0 || seconds_since(&begin) < o.hours * 3600))
        caught |= run_seed(&world, first + done++);
    if (sim_mutation)
        (void)printf("mutation %s: %s after %" PRIu64 " seeds\n", mutant_name(sim_mutation),
                     caught ? "caught" : "NOT CAUGHT", done);
    else
        report(&world.counters, done, seconds_since(&begin));
    return caught == expect_caught ? 0 : 1;
}
