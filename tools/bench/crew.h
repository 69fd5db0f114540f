/* SPDX-License-Identifier: Apache-2.0
 * The threads of a load: started together, ended by time or by a signal, their figures added up and
 * printed. Main thread; `run` is called on each of the threads.
 */
#ifndef HOLDFAST_BENCH_CREW_H
#define HOLDFAST_BENCH_CREW_H

#include "tools/bench/figures.h"

/* What one thread found. A mode's own figures begin with it. */
struct crew_figures {
    struct histogram latency[FIGURES_LATENCIES];
    uint64_t begun, done, longest_gap_ns;
    char error[256]; /* "": it ran to its end */
};

struct crew_job {
    const char *what;             /* for errors: "ledger" */
    const char *unit;             /* of `done`: "cycles" */
    const char *const *latencies; /* names of those that are measured */
    unsigned n_latencies;         /* at most FIGURES_LATENCIES */
    size_t figures_size;          /* of one thread, struct crew_figures included */
    const void *load;             /* given to run */
    uint64_t *start_ns;           /* set before the first thread runs */
    void (*run)(const void *load, unsigned thread, void *figures);
    void (*count)(struct figures *sum, const void *figures); /* adds the mode's own counts */
};

/* Returns the program's exit code. */
int crew_measure(const struct crew_job *job, const struct bench_options *o);

/* Whether it was told to end early (SIGINT, SIGTERM, or a thread that did not start). Any thread.
 */
bool crew_is_stopped(void);

/* Says what failed and why; BENCH_FAILED. */
int crew_fail(const char *what, const char *why);

#endif
