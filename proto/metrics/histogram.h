/* SPDX-License-Identifier: Apache-2.0
 * How long something took, counted in buckets that grow by powers of two from 0.5 ms to 262 s. One
 * thread adds, any thread reads; a reader may see a value in the sum before it is in its bucket.
 */
#ifndef HOLDFAST_PROTO_METRICS_HISTOGRAM_H
#define HOLDFAST_PROTO_METRICS_HISTOGRAM_H

#include "proto/metrics/text.h"

#include <stdatomic.h>

enum { METRICS_BUCKETS = 20, METRICS_FIRST_BUCKET_US = 500 };

struct metrics_histogram {
    _Atomic uint64_t bucket[METRICS_BUCKETS + 1]; /* the last: above all */
    _Atomic uint64_t sum_us;
};

void metrics_histogram_add(struct metrics_histogram *h, uint64_t us);
/* Adds another's figures: to show those of several threads as one. */
void metrics_histogram_merge(struct metrics_histogram *into, const struct metrics_histogram *from);
uint64_t metrics_histogram_count(const struct metrics_histogram *h);
/* The samples NAME_bucket, NAME_sum, NAME_count; in seconds. labels: at most 3. */
void metrics_histogram_put(struct metrics_text *t, const char *name,
                           const struct metrics_label *labels, const struct metrics_histogram *h);

#endif
