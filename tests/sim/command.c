/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/command.h"

#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: %s [--seed S] [--first-seed S] [--seeds N|A..B] [--hours H] [--jobs J] [--trace]\n"
    "       [--mutation NAME [--expect-caught]] [--all-mutations] [--list-mutations]\n"
    "\n"
    "%s\n"
    "  --seed S          this seed alone\n"
    "  --first-seed S    begin here (1)\n"
    "  --seeds N         as many (100); A..B: from A to B\n"
    "  --hours H         stop after H hours of real time; without --seeds, only then\n"
    "  --jobs J          processes (1)\n"
    "  --trace           say what happens\n"
    "  --mutation NAME   switch a bug on; stops at the first seed that finds it\n"
    "  --expect-caught   exit 0 if it is found within its stated number of seeds\n"
    "  --all-mutations   each of them, so; exit 0 if none survives\n"
    "  --list-mutations  their names, and within how many seeds each is to be found\n"
    "  --help            this text\n"
    "\n"
    "exit codes: 0 all seeds hold (or the mutation was caught), 1 not, 2 command line\n";

enum action { RUN, LIST, ALL, HELP };

static const struct command_program *program;
static const struct campaign_mutant *mutant; /* NULL: none */
static bool expect_caught;
static enum action action;
static uint64_t running, first; /* for the signal handler */

static void say_replay(uint64_t seed)
{
    (void)printf("replay: %s --seed %" PRIu64 "%s%s --trace\n", program->name, seed,
                 mutant ? " --mutation " : "", mutant ? mutant->name : "");
    (void)fflush(stdout);
}

void command_failed(uint64_t seed, uint64_t at_ms, const char *failure)
{
    (void)printf("seed %" PRIu64 " at %" PRIu64 " ms: %s\n", seed, at_ms, failure);
    say_replay(seed);
}

/* ---- mutants ---- */

static void choose(unsigned i)
{
    mutant = &program->mutants[i];
    program->choose(i);
}

static bool choose_by_name(const char *name)
{
    for (unsigned i = 0; i < program->n_mutants; i++)
        if (strcmp(program->mutants[i].name, name) == 0)
            choose(i);
    return mutant != NULL;
}

static void list_mutations(void)
{
    for (unsigned i = 0; i < program->n_mutants; i++) {
        const struct campaign_mutant *m = &program->mutants[i];
        if (m->seeds > 0)
            (void)printf("%-24s within %4u seeds: %s\n", m->name, m->seeds, m->text);
        else
            (void)printf("%-24s too rare here: %s\n", m->name, m->text);
    }
}

/* The shipped code's own CHECK found the mutant. */
static void on_signal(int signal)
{
    (void)printf("seed %" PRIu64 ": signal %d\n", running, signal);
    say_replay(running);
    (void)printf("mutation %s: caught after %" PRIu64 " seeds\n", mutant->name,
                 running - first + 1);
    (void)fflush(stdout);
    _exit(expect_caught ? 0 : 1);
}

static int run_mutation(const struct campaign *c)
{
    static uint64_t figures[CAMPAIGN_FIGURES];
    uint64_t seeds = c->seeds > 0 ? c->seeds : mutant->seeds, done = 0;
    bool caught = false;
    first = c->first;
    (void)signal(SIGABRT, on_signal);
    (void)signal(SIGSEGV, on_signal);
    while (done < seeds && !caught) {
        running = first + done++;
        caught = program->run(running, figures);
    }
    (void)printf("mutation %s: %s after %" PRIu64 " seeds\n", mutant->name,
                 caught ? "caught" : "NOT CAUGHT", done);
    return caught != expect_caught;
}

/* ---- the command line ---- */

static bool parse_one(struct campaign *c, int option)
{
    switch (option) {
    case 'o':
    case 's':
        c->first = strtoull(optarg, NULL, 10);
        if (option == 'o')
            c->seeds = 1;
        return true;
    case 'n':
        return campaign_parse_seeds(optarg, &c->first, &c->seeds);
    case 'h':
        c->hours = strtod(optarg, NULL);
        return c->hours > 0;
    case 'j':
        c->jobs = (unsigned)strtoul(optarg, NULL, 10);
        return c->jobs >= 1 && c->jobs <= CAMPAIGN_JOBS;
    case 'm':
        return choose_by_name(optarg);
    case 'x':
        expect_caught = true;
        return true;
    case 'a':
    case 'l':
        action = option == 'a' ? ALL : LIST;
        return true;
    case 'e':
        action = HELP;
        return true;
    case 't':
        *program->trace = true;
        return true;
    default:
        return false;
    }
}

static bool parse(int argc, char **argv, struct campaign *c)
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
                                            {"help", no_argument, NULL, 'e'},
                                            {NULL, 0, NULL, 0}};
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
        if (!parse_one(c, option))
            return false;
    return optind == argc;
}

int command_main(const struct command_program *p, int argc, char **argv)
{
    struct campaign c = {
        .program = p->name, .first = 1, .jobs = 1, .run = p->run, .names = p->figures};
    program = p;
    if (!parse(argc, argv, &c)) {
        (void)fprintf(stderr, usage, p->name, p->about);
        return 2;
    }
    if (action == HELP) {
        (void)printf(usage, p->name, p->about);
        return 0;
    }
    if (action == LIST) {
        list_mutations();
        return 0;
    }
    if (action == ALL)
        return campaign_mutants(&c, p->mutants, p->n_mutants, choose) > 0;
    if (mutant)
        return run_mutation(&c);
    if (c.seeds == 0)
        c.seeds = c.hours > 0 ? UINT64_MAX : 100;
    return campaign_run(&c) > 0;
}
