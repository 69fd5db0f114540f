/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/metrics/histogram.h"

#include <stdio.h>

enum { LABELS_MAX = 3, NAME_BYTES = 128 };

static uint64_t load(const _Atomic uint64_t *v)
{
    return atomic_load_explicit(v, memory_order_relaxed);
}

static void raise(_Atomic uint64_t *v, uint64_t by)
{
    atomic_fetch_add_explicit(v, by, memory_order_relaxed);
}

static uint64_t bound_us(unsigned i)
{
    return (uint64_t)METRICS_FIRST_BUCKET_US << i;
}

void metrics_histogram_add(struct metrics_histogram *h, uint64_t us)
{
    unsigned i = 0;
    while (i < METRICS_BUCKETS && us > bound_us(i))
        i++;
    raise(&h->sum_us, us);
    raise(&h->bucket[i], 1);
}

void metrics_histogram_merge(struct metrics_histogram *into, const struct metrics_histogram *from)
{
    for (unsigned i = 0; i <= METRICS_BUCKETS; i++)
        raise(&into->bucket[i], load(&from->bucket[i]));
    raise(&into->sum_us, load(&from->sum_us));
}

uint64_t metrics_histogram_count(const struct metrics_histogram *h)
{
    uint64_t n = 0;
    for (unsigned i = 0; i <= METRICS_BUCKETS; i++)
        n += load(&h->bucket[i]);
    return n;
}

void metrics_histogram_put(struct metrics_text *t, const char *name,
                           const struct metrics_label *labels, const struct metrics_histogram *h)
{
    struct metrics_label all[LABELS_MAX + 2] = {{NULL, NULL}};
    char part[NAME_BYTES], edge[32];
    uint64_t n = 0;
    unsigned k = 0;
    for (; labels != NULL && labels[k].name != NULL && k < LABELS_MAX; k++)
        all[k] = labels[k];
    all[k] = (struct metrics_label){"le", edge};
    snprintf(part, sizeof part, "%s_bucket", name);
    for (unsigned i = 0; i < METRICS_BUCKETS; i++) {
        n += load(&h->bucket[i]);
        snprintf(edge, sizeof edge, "%llu.%04llu", (unsigned long long)(bound_us(i) / 1000000),
                 (unsigned long long)(bound_us(i) % 1000000 / 100));
        metrics_sample(t, part, all, (int64_t)n);
    }
    n += load(&h->bucket[METRICS_BUCKETS]);
    all[k].value = "+Inf";
    metrics_sample(t, part, all, (int64_t)n);
    all[k].name = NULL;
    snprintf(part, sizeof part, "%s_sum", name);
    metrics_sample_scaled(t, part, all, (int64_t)load(&h->sum_us), 6);
    snprintf(part, sizeof part, "%s_count", name);
    metrics_sample(t, part, all, (int64_t)n);
}
