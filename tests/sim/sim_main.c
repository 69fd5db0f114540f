/* SPDX-License-Identifier: Apache-2.0
 * holdfast-sim: command line of the simulator.
 */
#include "tests/sim/campaign.h"
#include "tests/sim/world.h"

#include "proto/base/log.h"

#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char usage[] =
    "usage: holdfast-sim [--seed S] [--first-seed S] [--seeds N|A..B] [--hours H] [--jobs J]\n"
    "                    [--trace] [--mutation NAME [--expect-caught]] [--all-mutations]\n"
    "                    [--list-mutations]\n"
    "\n"
    "Runs a cluster of the shipped nodes in simulated time, one run a seed, and checks it.\n"
    "  --seed S          this seed alone\n"
    "  --first-seed S    begin here (1)\n"
    "  --seeds N         as many (100); A..B: from A to B\n"
    "  --hours H         stop after H hours of real time; without --seeds, only then\n"
    "  --jobs J          processes (1)\n"
    "  --trace           say what happens\n"
    "  --mutation NAME   switch a bug on; stops at the first seed that finds it\n"
    "  --expect-caught   exit 0 if it is found within its stated number of seeds\n"
    "  --all-mutations   each of them, so; exit 0 if none survives\n"
    "\n"
    "exit codes: 0 all seeds hold (or the mutation was caught), 1 not, 2 command line\n";

static struct sim_world world;
static uint64_t running, first; /* for the signal handler */
static bool expect_caught;

static void say_replay(uint64_t seed)
{
    (void)printf("replay: holdfast-sim --seed %" PRIu64 "%s%s --trace\n", seed,
                 sim_mutation ? " --mutation " : "", sim_mutation ? mutant_name(sim_mutation) : "");
    (void)fflush(stdout);
}

/* The shipped code's own CHECK found the mutant. */
static void on_signal(int signal)
{
    (void)printf("seed %" PRIu64 ": signal %d\n", running, signal);
    say_replay(running);
    (void)printf("mutation %s: caught after %" PRIu64 " seeds\n", mutant_name(sim_mutation),
                 running - first + 1);
    (void)fflush(stdout);
    _exit(expect_caught ? 0 : 1);
}

static const char *const figure_names[] = {
#define X(name) #name,
    SIM_COUNTERS(X)
#undef X
        NULL};

static bool run_seed(uint64_t seed, uint64_t figures[CAMPAIGN_FIGURES])
{
    struct sim_world *w = &world;
    running = seed;
    sim_run(w, seed);
    bool failed = w->failed;
    if (failed) {
        (void)printf("seed %" PRIu64 " at %" PRIu64 " ms: %s\n", seed, w->now_ms, w->failure);
        say_replay(seed);
    }
    sim_world_close(w);
    unsigned i = 0;
#define X(name) figures[i++] += w->counters.name;
    SIM_COUNTERS(X)
#undef X
    w->counters = (struct sim_counters){0};
    return failed;
}

/* ---- mutants ---- */

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

static void choose(unsigned i)
{
    sim_mutation = (enum sim_mutation)(i + 1);
}

static int run_all_mutations(const struct campaign *c)
{
    struct campaign_mutant all[SIM_MUTATION_COUNT - 1];
    for (unsigned m = 1; m < SIM_MUTATION_COUNT; m++)
        all[m - 1] = (struct campaign_mutant){mutant_name((enum sim_mutation)m),
                                              mutant_seeds((enum sim_mutation)m)};
    return campaign_mutants(c, all, SIM_MUTATION_COUNT - 1, choose) > 0;
}

static int run_mutation(const struct campaign *c)
{
    static uint64_t figures[CAMPAIGN_FIGURES];
    uint64_t seeds = c->seeds > 0 ? c->seeds : mutant_seeds(sim_mutation), done = 0;
    bool caught = false;
    first = c->first;
    (void)signal(SIGABRT, on_signal);
    (void)signal(SIGSEGV, on_signal);
    while (done < seeds && !caught)
        caught = run_seed(first + done++, figures);
    (void)printf("mutation %s: %s after %" PRIu64 " seeds\n", mutant_name(sim_mutation),
                 caught ? "caught" : "NOT CAUGHT", done);
    return caught != expect_caught;
}

/* ---- the command line ---- */

struct options {
    struct campaign campaign;
    bool list, all;
};

static bool parse_one(struct options *o, int c)
{
    switch (c) {
    case 'o':
    case 's':
        o->campaign.first = strtoull(optarg, NULL, 10);
        if (c == 'o')
            o->campaign.seeds = 1;
        return true;
    case 'n':
        return campaign_parse_seeds(optarg, &o->campaign.first, &o->campaign.seeds);
    case 'h':
        o->campaign.hours = strtod(optarg, NULL);
        return o->campaign.hours > 0;
    case 'j':
        o->campaign.jobs = (unsigned)strtoul(optarg, NULL, 10);
        return o->campaign.jobs >= 1 && o->campaign.jobs <= CAMPAIGN_JOBS;
    case 'm':
        sim_mutation = mutant_find(optarg);
        return sim_mutation != SIM_NONE;
    case 'x':
        expect_caught = true;
        return true;
    case 'a':
        o->all = true;
        return true;
    case 'l':
        o->list = true;
        return true;
    case 't':
        world.trace = true;
        return true;
    default:
        return false;
    }
}

static bool parse(int argc, char **argv, struct options *o)
{
    static const struct option options[] = {{"seed", required_argument, NULL, 'o'},
                                            {"seeds", required_argument, NULL, 'n'},
                                            {"first-seed", required_argument, NULL, 's'},
                                            {"hours", required_argument, NULL, 'h'},
                                            {"jobs", required_argument, NULL, 'j'},
                                            {"mutation", required_argument, NULL, 'm'},
                                            {"expect-caught", no_argument, NULL, 'x'},
                                            {"all-mutations", no_argument, NULL, 'a'},
                                            {"list-mutations", no_argument, NULL, 'l'},
                                            {"trace", no_argument, NULL, 't'},
                                            {NULL, 0, NULL, 0}};
    int c;
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
        if (!parse_one(o, c))
            return false;
    return optind == argc;
}

int main(int argc, char **argv)
{
    struct options o = {.campaign = {.program = "holdfast-sim",
                                     .first = 1,
                                     .jobs = 1,
                                     .run = run_seed,
                                     .names = figure_names}};
    if (!parse(argc, argv, &o)) {
        (void)fputs(usage, stderr);
        return 2;
    }
    base_log_open("holdfast-sim", world.trace ? BASE_LOG_ERROR : BASE_LOG_ERROR + 1);
    if (o.list) {
        list_mutations();
        return 0;
    }
    if (o.all)
        return run_all_mutations(&o.campaign);
    if (sim_mutation)
        return run_mutation(&o.campaign);
    if (o.campaign.seeds == 0)
        o.campaign.seeds = o.campaign.hours > 0 ? UINT64_MAX : 100;
    return campaign_run(&o.campaign) > 0;
}
