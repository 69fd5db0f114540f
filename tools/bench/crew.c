/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/crew.h"

#include "tools/bench/mode.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
    (void)number;
    stop = 1;
}

bool crew_is_stopped(void)
{
    return stop != 0;
}

int crew_fail(const char *what, const char *why)
{
    (void)fprintf(stderr, "holdfast-bench: %s: %s\n", what, why);
    return BENCH_FAILED;
}

struct member {
    const struct crew_job *job;
    unsigned number;
    struct crew_figures *figures; /* and what the mode has behind it */
    pthread_t thread;
};

static void *work(void *arg)
{
    struct member *m = arg;
    m->job->run(m->job->load, m->number, m->figures);
    return NULL;
}

static bool start(struct member *m, const struct crew_job *job, unsigned number)
{
    *m = (struct member){.job = job, .number = number, .figures = calloc(1, job->figures_size)};
    if (!m->figures)
        return false;
    for (unsigned i = 0; i < FIGURES_LATENCIES; i++)
        histogram_init(&m->figures->latency[i]);
    if (pthread_create(&m->thread, NULL, work, m) == 0)
        return true;
    free(m->figures);
    return false;
}

static void add(struct figures *sum, const struct crew_figures *f)
{
    sum->begun += f->begun;
    sum->done += f->done;
    if (f->longest_gap_ns > sum->longest_gap_ns)
        sum->longest_gap_ns = f->longest_gap_ns;
    for (unsigned i = 0; i < FIGURES_LATENCIES; i++)
        histogram_merge(&sum->latency[i].h, &f->latency[i]);
}

static int run_all(const struct crew_job *job, unsigned threads, struct figures *sum)
{
    struct member *m = calloc(threads, sizeof *m);
    if (!m)
        return crew_fail("threads", "no memory");
    int rv = 0;
    unsigned n = 0;
    *job->start_ns = load_now_ns();
    while (n < threads && start(&m[n], job, n))
        n++;
    if (n < threads) {
        stop = 1;
        rv = crew_fail("threads", "cannot be started");
    }
    for (unsigned i = 0; i < n; i++) {
        (void)pthread_join(m[i].thread, NULL);
        if (rv == 0 && m[i].figures->error[0])
            rv = crew_fail(job->what, m[i].figures->error);
        add(sum, m[i].figures);
        job->count(sum, m[i].figures);
        free(m[i].figures);
    }
    free(m);
    return rv;
}

int crew_measure(const struct crew_job *job, const struct bench_options *o)
{
    struct figures *sum = figures_new(job->unit);
    if (!sum)
        return crew_fail("figures", "no memory");
    for (unsigned i = 0; i < job->n_latencies; i++)
        sum->latency[i].name = job->latencies[i];
    sum->seconds = o->seconds;
    struct sigaction act = {.sa_handler = on_signal};
    (void)sigaction(SIGINT, &act, NULL);
    (void)sigaction(SIGTERM, &act, NULL);
    int rv = run_all(job, o->threads, sum);
    double ran = (double)(load_now_ns() - *job->start_ns) / 1e9 - o->warmup;
    if (stop && ran > 0 && ran < o->seconds)
        sum->seconds = ran;
    figures_print(sum, o);
    if (rv == 0 && sum->done == 0)
        rv = BENCH_NOTHING;
    free(sum);
    return rv;
}
