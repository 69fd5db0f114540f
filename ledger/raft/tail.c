/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/raft/tail.h"

#include "proto/base/check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAP = 256, SLOT_COST = 128 /* bytes an entry counts on top of its payload */ };

struct block *block_new(unsigned n, size_t bytes)
{
    struct block *b = malloc(sizeof *b + n * sizeof b->entry[0] + bytes);
    if (b) {
        b->refs = 1;
        b->n = n;
    }
    return b;
}

uint8_t *block_payload(struct block *b)
{
    return (uint8_t *)&b->entry[b->n];
}

void block_unref(struct block *b)
{
    CHECK(b->refs > 0);
    if (--b->refs == 0)
        free(b);
}

void tail_init(struct tail *t)
{
    *t = (struct tail){0};
}

static struct tail_slot *slot_at(const struct tail *t, size_t i)
{
    return &t->slot[(t->head + i) & (t->cap - 1)];
}

static void forget(struct tail *t, struct tail_slot *s)
{
    t->bytes -= s->entry.len + SLOT_COST;
    block_unref(s->block);
}

void tail_close(struct tail *t)
{
    for (size_t i = 0; i < t->n; i++)
        forget(t, slot_at(t, i));
    free(t->slot);
    tail_init(t);
}

static int grow(struct tail *t)
{
    size_t cap = t->cap ? t->cap * 2 : FIRST_CAP;
    struct tail_slot *slot = malloc(cap * sizeof *slot);
    if (!slot)
        return -ENOMEM;
    for (size_t i = 0; i < t->n; i++)
        slot[i] = *slot_at(t, i);
    free(t->slot);
    t->slot = slot;
    t->cap = cap;
    t->head = 0;
    return 0;
}

int tail_push(struct tail *t, const struct log_entry *e, struct block *b)
{
    if (t->n > 0 && e->index != t->first + t->n)
        tail_evict(t, UINT64_MAX, 0);
    if (t->n == t->cap && grow(t) != 0)
        return -ENOMEM;
    if (t->n == 0)
        t->first = e->index;
    *slot_at(t, t->n++) = (struct tail_slot){*e, b};
    b->refs++;
    t->bytes += e->len + SLOT_COST;
    return 0;
}

void tail_truncate(struct tail *t, uint64_t from)
{
    while (t->n > 0 && t->first + t->n - 1 >= from)
        forget(t, slot_at(t, --t->n));
}

void tail_evict(struct tail *t, uint64_t keep_after, uint64_t max_bytes)
{
    while (t->n > 0 && t->bytes > max_bytes && t->first <= keep_after) {
        forget(t, slot_at(t, 0));
        t->head = (t->head + 1) & (t->cap - 1);
        t->first++;
        t->n--;
    }
}

const struct log_entry *tail_get(const struct tail *t, uint64_t index)
{
    if (t->n == 0 || index < t->first || index >= t->first + t->n)
        return NULL;
    return &slot_at(t, (size_t)(index - t->first))->entry;
}
