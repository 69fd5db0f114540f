/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/campaign.h"

#include "proto/base/check.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    PROGRESS_MS = 30000,
    POLL_MS = 200,
    FAILURES_MAX = 50, /* then it stops: they are all the same */
    CRASHED = 70,      /* exit code of a process that has told of its crash */
};

struct job {
    _Atomic uint64_t done, failed, seed; /* in hand; 0: none */
    uint64_t figures[CAMPAIGN_FIGURES];
};

/* Between the processes. */
struct shared {
    _Atomic uint64_t next, left; /* seeds */
    atomic_bool ending;
    struct job job[CAMPAIGN_JOBS];
};

static struct shared *shared;
static const struct campaign *campaign;
static unsigned own; /* job of this process */
static uint64_t running;

static void *share(size_t n)
{
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED);
    return p;
}

static double seconds_since(const struct timespec *from)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - from->tv_sec) + (double)(now.tv_nsec - from->tv_nsec) / 1e9;
}

/* ---- one process ---- */

/* A seed that did not come to its end. */
static void lost(struct job *j)
{
    j->done++;
    j->failed++;
    j->seed = 0;
}

/* A CHECK of the shipped code, or a fault. Nothing here goes on afterwards, so what is not safe in
 * a handler is safe enough. */
static void on_crash(int signal)
{
    (void)printf("seed %" PRIu64 ": signal %d\nreplay: %s --seed %" PRIu64 " --trace\n", running,
                 signal, campaign->program, running);
    (void)fflush(stdout);
    lost(&shared->job[own]);
    _exit(CRASHED);
}

static void on_end(int signal)
{
    (void)signal;
    shared->ending = true; /* the seeds in hand are finished, the report is given */
}

static void take_signals(void)
{
    (void)signal(SIGABRT, on_crash);
    (void)signal(SIGSEGV, on_crash);
    (void)signal(SIGBUS, on_crash);
    (void)signal(SIGFPE, on_crash);
    (void)signal(SIGTERM, on_end);
    (void)signal(SIGINT, on_end);
}

static bool take_seed(uint64_t *seed)
{
    uint64_t left = shared->left;
    do {
        if (left == 0 || shared->ending)
            return false;
    } while (!atomic_compare_exchange_weak(&shared->left, &left, left - 1));
    *seed = shared->next++;
    return true;
}

static void work(void)
{
    struct job *j = &shared->job[own];
    while (j->failed < FAILURES_MAX && take_seed(&running)) {
        j->seed = running;
        j->failed += campaign->run(running, j->figures);
        j->done++;
        j->seed = 0;
        (void)fflush(stdout);
    }
}

static pid_t start(unsigned job)
{
    (void)fflush(stdout);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid != 0)
        return pid;
    own = job;
    work();
    exit(0); /* a sanitizer may look for leaks */
}

/* ---- all of them ---- */

static uint64_t sum(const struct campaign *c, uint64_t figures[CAMPAIGN_FIGURES], uint64_t *failed)
{
    uint64_t done = 0;
    *failed = 0;
    memset(figures, 0, CAMPAIGN_FIGURES * sizeof *figures);
    for (unsigned i = 0; i < c->jobs; i++) {
        done += shared->job[i].done;
        *failed += shared->job[i].failed;
        for (unsigned f = 0; f < CAMPAIGN_FIGURES; f++)
            figures[f] += shared->job[i].figures[f];
    }
    return done;
}

static void progress(const struct campaign *c, double seconds)
{
    uint64_t figures[CAMPAIGN_FIGURES], failed, done = sum(c, figures, &failed);
    (void)fprintf(stderr, "%s: %" PRIu64 " seeds in %.0f s (%.0f a second), %" PRIu64 " failed\n",
                  c->program, done, seconds, (double)done / seconds, failed);
}

static void report(const struct campaign *c, double seconds)
{
    uint64_t figures[CAMPAIGN_FIGURES], failed, done = sum(c, figures, &failed);
    (void)printf("{\"program\":\"%s\",\"first_seed\":%" PRIu64 ",\"seeds\":%" PRIu64
                 ",\"failed\":%" PRIu64 ",\"jobs\":%u,\"seconds\":%.1f,\"seeds_per_second\":%.1f",
                 c->program, c->first, done, failed, c->jobs, seconds, (double)done / seconds);
    for (unsigned i = 0; c->names[i]; i++)
        (void)printf(",\"%s\":%" PRIu64, c->names[i], figures[i]);
    (void)printf("}\n");
    (void)fflush(stdout);
}

static bool told_by_handler(int status)
{
    return WIFEXITED(status) && WEXITSTATUS(status) == CRASHED;
}

/* Waits for the processes; one that was ended by a signal is replaced. */
static void watch(const struct campaign *c, const struct timespec *begin)
{
    pid_t pid[CAMPAIGN_JOBS];
    unsigned alive = c->jobs;
    double told = 0;
    for (unsigned i = 0; i < c->jobs; i++)
        pid[i] = start(i);
    while (alive > 0) {
        int status;
        double seconds = seconds_since(begin);
        pid_t ended = waitpid(-1, &status, WNOHANG);
        for (unsigned i = 0; i < c->jobs && ended > 0; i++) {
            if (pid[i] != ended)
                continue;
            bool crashed = !WIFEXITED(status) || WEXITSTATUS(status) != 0;
            struct job *j = &shared->job[i];
            if (j->seed != 0) {
                (void)printf("seed %" PRIu64 ": the process ended, status %d\n", (uint64_t)j->seed,
                             status);
                lost(j);
            } else if (crashed && !told_by_handler(status)) {
                (void)printf("a process ended with status %d after its last seed\n", status);
                j->failed++;
            }
            alive -= !crashed;
            pid[i] = crashed ? start(i) : 0;
        }
        if (c->hours > 0 && seconds > c->hours * 3600)
            shared->ending = true;
        if (ended <= 0)
            (void)poll(NULL, 0, POLL_MS);
        if (seconds - told > PROGRESS_MS / 1000.0) {
            progress(c, seconds);
            told = seconds;
        }
    }
}

/* Large blocks are mapped, not cleared: nodes start all the time and touch little of them. */
static void tune_memory(void)
{
    (void)mallopt(M_MMAP_THRESHOLD, 1 << 18);
    (void)mallopt(M_TRIM_THRESHOLD, 4 << 20);
    (void)mallopt(M_TOP_PAD, 1 << 20);
}

uint64_t campaign_run(const struct campaign *c)
{
    struct timespec begin;
    uint64_t figures[CAMPAIGN_FIGURES], failed;
    (void)clock_gettime(CLOCK_MONOTONIC, &begin);
    CHECK(c->jobs >= 1 && c->jobs <= CAMPAIGN_JOBS);
    campaign = c;
    shared = share(sizeof *shared);
    shared->next = c->first;
    shared->left = c->seeds;
    tune_memory();
    take_signals();
    if (c->seeds == 1) /* in this process, for a debugger */
        work();
    else
        watch(c, &begin);
    report(c, seconds_since(&begin));
    (void)sum(c, figures, &failed);
    return failed;
}

bool campaign_parse_seeds(const char *text, uint64_t *first, uint64_t *seeds)
{
    char *end;
    errno = 0;
    uint64_t a = strtoull(text, &end, 10);
    if (end == text || errno != 0)
        return false;
    if (*end == '\0') {
        *seeds = a;
        return true;
    }
    if (strncmp(end, "..", 2) != 0)
        return false;
    uint64_t b = strtoull(end + 2, &end, 10);
    if (*end != '\0' || errno != 0 || b < a)
        return false;
    *first = a;
    *seeds = b - a + 1;
    return true;
}

/* ---- mutants ---- */

struct trial {
    _Atomic uint64_t tried;
    atomic_bool caught;
};
static struct trial *trials;
static unsigned trying;

static void on_caught(int signal)
{
    (void)signal;
    trials[trying].caught = true;
    _exit(0);
}

static void try_mutant(const struct campaign *c, unsigned seeds)
{
    static uint64_t figures[CAMPAIGN_FIGURES];
    struct trial *t = &trials[trying];
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    CHECK(null >= 0 && dup2(null, STDOUT_FILENO) >= 0 && dup2(null, STDERR_FILENO) >= 0);
    (void)signal(SIGABRT, on_caught);
    (void)signal(SIGSEGV, on_caught);
    for (uint64_t i = 0; i < seeds && !t->caught; i++) {
        t->tried++;
        t->caught = c->run(c->first + i, figures);
    }
    _exit(0);
}

static pid_t begin_trial(const struct campaign *c, unsigned mutant, unsigned seeds,
                         void (*choose)(unsigned))
{
    (void)fflush(stdout);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        trying = mutant;
        choose(mutant);
        try_mutant(c, seeds);
    }
    return pid;
}

unsigned campaign_mutants(const struct campaign *c, const struct campaign_mutant *mutants,
                          unsigned n, void (*choose)(unsigned mutant))
{
    unsigned survived = 0, next = 0, alive = 0;
    campaign = c;
    trials = share(n * sizeof *trials);
    tune_memory();
    while (next < n || alive > 0) {
        for (; next < n && alive < c->jobs; next++)
            if (mutants[next].seeds > 0) {
                (void)begin_trial(c, next, mutants[next].seeds, choose);
                alive++;
            }
        if (alive > 0 && waitpid(-1, NULL, 0) > 0)
            alive--;
    }
    for (unsigned i = 0; i < n; i++) {
        if (mutants[i].seeds == 0)
            continue;
        survived += !trials[i].caught;
        (void)printf("%-24s %s after %" PRIu64 " of %u seeds\n", mutants[i].name,
                     trials[i].caught ? "caught" : "SURVIVED", (uint64_t)trials[i].tried,
                     mutants[i].seeds);
    }
    (void)printf("%s: %u mutants survived\n", c->program, survived);
    return survived;
}
