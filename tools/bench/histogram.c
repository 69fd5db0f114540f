/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/histogram.h"

#include <string.h>

void histogram_init(struct histogram *h)
{
    memset(h, 0, sizeof *h);
    h->min = UINT64_MAX;
}

/* The first 2^(SUB_BITS + 1) values have a bucket each; after that each doubling adds 2^SUB_BITS
 * buckets, so the numbers go on without a gap. */
static unsigned bucket_of(uint64_t value)
{
    unsigned top = 63u - (unsigned)__builtin_clzll(value | 1);
    unsigned shift = top > HISTOGRAM_SUB_BITS ? top - HISTOGRAM_SUB_BITS : 0;
    return (shift << HISTOGRAM_SUB_BITS) + (unsigned)(value >> shift);
}

static uint64_t highest_of(unsigned bucket)
{
    unsigned shift = bucket >> HISTOGRAM_SUB_BITS;
    shift = shift > 0 ? shift - 1 : 0;
    uint64_t base = bucket - (shift << HISTOGRAM_SUB_BITS);
    return ((base + 1) << shift) - 1;
}

void histogram_add(struct histogram *h, uint64_t value)
{
    if (value > HISTOGRAM_MAX)
        value = HISTOGRAM_MAX;
    h->bucket[bucket_of(value)]++;
    h->n++;
    h->sum += (double)value;
    if (value < h->min)
        h->min = value;
    if (value > h->max)
        h->max = value;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        into->bucket[i] += from->bucket[i];
    into->n += from->n;
    into->sum += from->sum;
    if (from->min < into->min)
        into->min = from->min;
    if (from->max > into->max)
        into->max = from->max;
}

uint64_t histogram_at(const struct histogram *h, double part)
{
    if (h->n == 0)
        return 0;
    if (part <= 0)
        return h->min;
    double rank = part * (double)h->n;
    uint64_t want = (uint64_t)rank;
    if ((double)want < rank || want == 0)
        want++;
    uint64_t seen = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->bucket[i];
        if (seen >= want) {
            uint64_t v = highest_of(i);
            return v < h->max ? v : h->max;
        }
    }
    return h->max;
}

double histogram_mean(const struct histogram *h)
{
    return h->n > 0 ? h->sum / (double)h->n : 0;
}
