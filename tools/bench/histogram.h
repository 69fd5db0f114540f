/* SPDX-License-Identifier: Apache-2.0
 * Latencies, counted in buckets whose width grows with the value: below 256 ns exact, above with a
 * relative error of at most 1/128 (0.8 %). Fixed size, no allocation, no thread rules: one a
 * thread, merged at the end. Values past HISTOGRAM_MAX count as HISTOGRAM_MAX.
 */
#ifndef HOLDFAST_BENCH_HISTOGRAM_H
#define HOLDFAST_BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_MAX ((UINT64_C(1) << 44) - 1) /* ns: 4.9 hours */
enum {
    HISTOGRAM_SUB_BITS = 7, /* 128 buckets for each power of two */
    HISTOGRAM_BUCKETS =
        ((44 - HISTOGRAM_SUB_BITS - 1) << HISTOGRAM_SUB_BITS) + (2 << HISTOGRAM_SUB_BITS),
};

struct histogram {
    uint64_t n, min, max;
    double sum;
    uint64_t bucket[HISTOGRAM_BUCKETS];
};

void histogram_init(struct histogram *h);
void histogram_add(struct histogram *h, uint64_t value);
void histogram_merge(struct histogram *into, const struct histogram *from);
/* The least value v of the buckets such that at least `part` (0..1) of all values are <= v; exact
 * at 0 and 1. 0 for an empty one. */
uint64_t histogram_at(const struct histogram *h, double part);
double histogram_mean(const struct histogram *h);

#endif
