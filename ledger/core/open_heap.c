/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/core/open_heap.h"

#include <errno.h>
#include <stdlib.h>

static uint32_t slot_home(const struct core_open_heap *h, uint64_t index, uint32_t ordinal)
{
    uint64_t x = (index * 1009 + ordinal) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(x >> 32) & (h->cap * 2 - 1);
}

static uint32_t slot_find(const struct core_open_heap *h, uint64_t index, uint32_t ordinal)
{
    uint32_t mask = h->cap * 2 - 1, i = slot_home(h, index, ordinal);
    for (; h->slots[i] != 0; i = (i + 1) & mask) {
        const struct core_open *o = &h->nodes[h->slots[i] - 1];
        if (o->index == index && o->ordinal == ordinal)
            break;
    }
    return i;
}

static void slot_clear(struct core_open_heap *h, uint32_t hole)
{
    uint32_t mask = h->cap * 2 - 1;
    for (uint32_t i = (hole + 1) & mask; h->slots[i] != 0; i = (i + 1) & mask) {
        const struct core_open *o = &h->nodes[h->slots[i] - 1];
        uint32_t home = slot_home(h, o->index, o->ordinal);
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            h->slots[hole] = h->slots[i];
            hole = i;
        }
    }
    h->slots[hole] = 0;
}

static bool before(const struct core_open *a, const struct core_open *b)
{
    if (a->deadline_us != b->deadline_us)
        return a->deadline_us < b->deadline_us;
    if (a->index != b->index)
        return a->index < b->index;
    return a->ordinal < b->ordinal;
}

static void place(struct core_open_heap *h, uint32_t at, uint32_t node)
{
    h->heap[at] = node;
    h->nodes[node].place = at;
}

/* Lets the node at `at` rise or sink to where it belongs. */
static void settle(struct core_open_heap *h, uint32_t at)
{
    uint32_t node = h->heap[at];
    while (at > 0 && before(&h->nodes[node], &h->nodes[h->heap[(at - 1) / 2]])) {
        place(h, at, h->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    for (;;) {
        uint32_t child = at * 2 + 1;
        if (child >= h->n)
            break;
        if (child + 1 < h->n && before(&h->nodes[h->heap[child + 1]], &h->nodes[h->heap[child]]))
            child++;
        if (!before(&h->nodes[h->heap[child]], &h->nodes[node]))
            break;
        place(h, at, h->heap[child]);
        at = child;
    }
    place(h, at, node);
}

void core_open_heap_close(struct core_open_heap *h)
{
    free(h->nodes);
    free(h->heap);
    free(h->slots);
    memset(h, 0, sizeof *h);
}

int core_open_heap_room(struct core_open_heap *h)
{
    if (h->n < h->cap)
        return 0;
    uint32_t cap = h->cap ? h->cap * 2 : 1024;
    struct core_open *nodes = realloc(h->nodes, cap * sizeof *nodes);
    if (!nodes)
        return -ENOMEM;
    h->nodes = nodes;
    uint32_t *heap = realloc(h->heap, cap * sizeof *heap);
    if (!heap)
        return -ENOMEM;
    h->heap = heap;
    uint32_t *slots = calloc((size_t)cap * 2, sizeof *slots);
    if (!slots)
        return -ENOMEM;
    free(h->slots);
    h->slots = slots;
    h->cap = cap;
    for (uint32_t i = 0; i < h->n; i++) {
        const struct core_open *o = &h->nodes[h->heap[i]];
        h->slots[slot_find(h, o->index, o->ordinal)] = h->heap[i] + 1;
    }
    return 0;
}

void core_open_heap_add(struct core_open_heap *h, const struct core_open *o)
{
    uint32_t node = h->used;
    if (h->free_node) {
        node = h->free_node - 1;
        h->free_node = h->nodes[node].place;
    } else {
        h->used++;
    }
    h->nodes[node] = *o;
    h->slots[slot_find(h, o->index, o->ordinal)] = node + 1;
    place(h, h->n, node);
    h->n++;
    settle(h, h->n - 1);
}

void core_open_heap_remove(struct core_open_heap *h, uint64_t index, uint32_t ordinal)
{
    if (h->n == 0)
        return;
    uint32_t slot = slot_find(h, index, ordinal);
    if (h->slots[slot] == 0)
        return;
    uint32_t node = h->slots[slot] - 1, at = h->nodes[node].place;
    slot_clear(h, slot);
    h->nodes[node].place = h->free_node;
    h->free_node = node + 1;
    h->n--;
    if (at < h->n) {
        place(h, at, h->heap[h->n]);
        settle(h, at);
    }
}

void core_open_heap_move(struct core_open_heap *h, uint64_t index, uint32_t ordinal,
                         int64_t deadline_us)
{
    if (h->n == 0)
        return;
    uint32_t slot = slot_find(h, index, ordinal);
    if (h->slots[slot] == 0)
        return;
    uint32_t node = h->slots[slot] - 1;
    h->nodes[node].deadline_us = deadline_us;
    settle(h, h->nodes[node].place);
}

void core_open_heap_hint(const struct core_open_heap *h, uint64_t index, uint32_t ordinal)
{
    if (h->cap > 0)
        __builtin_prefetch(&h->slots[slot_home(h, index, ordinal)]);
}

const struct core_open *core_open_heap_first(const struct core_open_heap *h)
{
    return h->n > 0 ? &h->nodes[h->heap[0]] : NULL;
}
