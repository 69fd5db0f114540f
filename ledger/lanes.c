/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/lanes.h"

#include "proto/base/check.h"

static uint64_t bit(unsigned lane)
{
    return UINT64_C(1) << lane;
}

void lanes_push(struct lanes *l, struct serve_command *c)
{
    struct lane *q = &l->lane[c->lane % LANES];
    c->next = NULL;
    if (q->first)
        q->last->next = c;
    else
        q->first = c;
    q->last = c;
    l->waiting |= bit(c->lane % LANES);
    l->n++;
}

void lanes_put_back(struct lanes *l, struct serve_command *c)
{
    struct lane *q = &l->lane[c->lane % LANES];
    c->next = q->first;
    if (!q->first)
        q->last = c;
    q->first = c;
    l->waiting |= bit(c->lane % LANES);
    l->turn = c->lane % LANES;
    l->n++;
}

/* The first lane from `turn` on, round, that is not empty. */
static unsigned next(const struct lanes *l)
{
    uint64_t from = l->waiting >> l->turn;
    if (from)
        return l->turn + (unsigned)__builtin_ctzll(from);
    return (unsigned)__builtin_ctzll(l->waiting);
}

struct serve_command *lanes_peek(struct lanes *l)
{
    return l->waiting ? l->lane[next(l)].first : NULL;
}

struct serve_command *lanes_take(struct lanes *l)
{
    CHECK(l->waiting);
    unsigned i = next(l);
    struct lane *q = &l->lane[i];
    struct serve_command *c = q->first;
    q->first = c->next;
    if (!q->first)
        l->waiting &= ~bit(i);
    l->turn = (i + 1) % LANES;
    l->n--;
    return c;
}
