/* SPDX-License-Identifier: Apache-2.0
 * The figures of a run, the machine they were measured on, and how they are printed: a few lines or
 * one JSON object. Main thread, after the load's threads have ended.
 */
#ifndef HOLDFAST_BENCH_FIGURES_H
#define HOLDFAST_BENCH_FIGURES_H

#include "tools/bench/load.h"

enum { FIGURES_LATENCIES = 4, FIGURES_COUNTS = 96 };

struct figures_latency {
    const char *name; /* NULL: unused */
    struct histogram h;
};
/* What did not succeed (or what statuses came back), by name. */
struct figures_count {
    char name[48];
    uint64_t n;
};
struct figures {
    const char *unit;     /* "cycles", "requests" */
    uint64_t begun, done; /* done: within the measured time */
    double seconds;
    uint64_t longest_gap_ns; /* between two successes, of one thread */
    struct figures_latency latency[FIGURES_LATENCIES];
    struct figures_count count[FIGURES_COUNTS];
    unsigned counts;
};

struct figures *figures_new(const char *unit);                       /* NULL: no memory */
void figures_count(struct figures *f, const char *name, uint64_t n); /* adds; n 0 adds nothing */
void figures_print(const struct figures *f, const struct bench_options *o);

#endif
