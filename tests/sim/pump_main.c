/* SPDX-License-Identifier: Apache-2.0
 * pump-sim: command line, seeds, and the guards switched off to show that it notices.
 */
#include "tests/sim/pump_world.h"

#include "proto/base/check.h"
#include "tests/sim/campaign.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: pump-sim [--seed S] [--first-seed S] [--seeds N|A..B] [--hours H] [--jobs J] "
    "[--trace]\n"
    "                [--mutation NAME [--expect-caught]] [--all-mutations] [--list-mutations]\n"
    "\n"
    "Consensus alone: a cluster of the shipped pumps in simulated time, one run a seed.\n"
    "  --seed S          this seed alone\n"
    "  --first-seed S    begin here (1)\n"
    "  --seeds N         as many (100); A..B: from A to B\n"
    "  --hours H         stop after H hours of real time; without --seeds, only then\n"
    "  --jobs J          processes (1)\n"
    "  --trace           say what happens\n"
    "  --mutation NAME   switch a guard off; stops at the first seed that finds it\n"
    "  --expect-caught   exit 0 if it is found within its stated number of seeds\n"
    "  --all-mutations   each of them, so; exit 0 if none survives\n"
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
     PUMP_GUARD_SPLIT, 500},
    {"guard_persisted", "6: writes that will be overwritten are reported", PUMP_GUARD_PERSISTED,
     1000},
    {"guard_common_ground", "7a: a follower does not say what it has applied",
     PUMP_GUARD_COMMON_GROUND, 300},
    {"guard_before_trail", "7b: a success from before the trail moves the leader back",
     PUMP_GUARD_BEFORE_TRAIL, 500},
    {"guard_install", "7c: who needs a copy hears no heartbeat", PUMP_GUARD_INSTALL, 50},
    {"guard_at_applied", "7d: a success may tell of less than is applied", PUMP_GUARD_AT_APPLIED,
     0},
    {"guard_begin", "8: entries from before the trail are appended again", PUMP_GUARD_BEGIN, 1500},
    {"guard_joining", "9: who is being promoted grants no vote", PUMP_GUARD_JOINING, 1000},
};

static struct world world;
static const struct mutant *mutant; /* NULL: none */

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
        (void)printf("seed %" PRIu64 " at %" PRIu64 " ms: %s\nreplay: pump-sim --seed %" PRIu64
                     "%s%s --trace\n",
                     seed, w->now_ms, w->failure, seed, mutant ? " --mutation " : "",
                     mutant ? mutant->name : "");
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

/* ---- the command line ---- */

enum { MUTANTS = sizeof mutants / sizeof mutants[0] };

static void choose(unsigned i)
{
    mutant = &mutants[i];
    world.disable_guards = mutant->guard;
}

static bool choose_by_name(const char *name)
{
    for (unsigned i = 0; i < MUTANTS; i++)
        if (strcmp(mutants[i].name, name) == 0)
            choose(i);
    return mutant != NULL;
}

static void list_mutations(void)
{
    for (unsigned i = 0; i < MUTANTS; i++)
        if (mutants[i].seeds > 0)
            (void)printf("%-24s within %4u seeds: pump guard off, %s\n", mutants[i].name,
                         mutants[i].seeds, mutants[i].text);
        else
            (void)printf("%-24s too rare here, see tests/unit/test_pump.c: pump guard off, %s\n",
                         mutants[i].name, mutants[i].text);
}

static int run_all_mutations(const struct campaign *c)
{
    struct campaign_mutant all[MUTANTS];
    for (unsigned i = 0; i < MUTANTS; i++)
        all[i] = (struct campaign_mutant){mutants[i].name, mutants[i].seeds};
    return campaign_mutants(c, all, MUTANTS, choose) > 0;
}

static int run_mutation(const struct campaign *c, bool expect_caught)
{
    static uint64_t figures[CAMPAIGN_FIGURES];
    uint64_t seeds = c->seeds > 0 ? c->seeds : mutant->seeds, done = 0;
    bool caught = false;
    while (done < seeds && !caught)
        caught = run_seed(c->first + done++, figures);
    (void)printf("mutation %s: %s after %" PRIu64 " seeds\n", mutant->name,
                 caught ? "caught" : "NOT CAUGHT", done);
    return caught != expect_caught;
}

int main(int argc, char **argv)
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
    struct campaign campaign = {
        .program = "pump-sim", .first = 1, .jobs = 1, .run = run_seed, .names = figure_names};
    bool expect_caught = false, all = false, good = true;
    int c;
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c == 'o' || c == 's')
            campaign.first = strtoull(optarg, NULL, 10);
        if (c == 'o')
            campaign.seeds = 1;
        else if (c == 'n')
            good &= campaign_parse_seeds(optarg, &campaign.first, &campaign.seeds);
        else if (c == 'h')
            campaign.hours = strtod(optarg, NULL);
        else if (c == 'j')
            campaign.jobs = (unsigned)strtoul(optarg, NULL, 10);
        else if (c == 'm')
            good &= choose_by_name(optarg);
        else if (c == 't')
            world.verbose = true;
        else if (c == 'l')
            list_mutations();
        expect_caught |= c == 'x';
        all |= c == 'a';
        good &= c != '?';
        if (c == 'l')
            return 0;
    }
    if (!good || optind != argc || campaign.jobs < 1 || campaign.jobs > CAMPAIGN_JOBS) {
        (void)fputs(usage, stderr);
        return 2;
    }
    if (all)
        return run_all_mutations(&campaign);
    if (mutant)
        return run_mutation(&campaign, expect_caught);
    if (campaign.seeds == 0)
        campaign.seeds = campaign.hours > 0 ? UINT64_MAX : 100;
    return campaign_run(&campaign) > 0;
}
