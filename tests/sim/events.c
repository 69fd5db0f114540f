/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/events.h"

#include "proto/base/check.h"

#include <stdlib.h>

bool sim_host;

/* splitmix64 */
uint64_t sim_random(struct sim_random *r)
{
    uint64_t z = r->state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

unsigned sim_below(struct sim_random *r, unsigned n)
{
    return (unsigned)(sim_random(r) % n);
}

bool sim_permille(struct sim_random *r, unsigned permille)
{
    return sim_below(r, 1000) < permille;
}

static bool before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_ms < b->at_ms || (a->at_ms == b->at_ms && a->order < b->order);
}

void sim_put(struct sim_events *q, uint64_t at_ms, int kind, int node, uint64_t life, void *data)
{
    if (q->n == q->cap) {
        q->cap = q->cap ? q->cap * 2 : 1024;
        sim_host = true;
        q->heap = realloc(q->heap, q->cap * sizeof *q->heap);
        sim_host = false;
        CHECK(q->heap);
    }
    struct sim_event e = {at_ms, q->order++, kind, node, life, data};
    size_t i = q->n++;
    for (; i > 0 && before(&e, &q->heap[(i - 1) / 2]); i = (i - 1) / 2)
        q->heap[i] = q->heap[(i - 1) / 2];
    q->heap[i] = e;
}

struct sim_event sim_take(struct sim_events *q)
{
    struct sim_event top = q->heap[0], e = q->heap[--q->n];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < q->n; i = child) {
        if (child + 1 < q->n && before(&q->heap[child + 1], &q->heap[child]))
            child++;
        if (!before(&q->heap[child], &e))
            break;
        q->heap[i] = q->heap[child];
    }
    q->heap[i] = e;
    return top;
}

void sim_events_close(struct sim_events *q)
{
    free(q->heap);
    *q = (struct sim_events){0};
}
