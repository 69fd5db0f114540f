/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/writes.h"

#include "proto/base/check.h"

static void note_changes(struct writes *q, const struct sim_write *o)
{
    if (q->change >=
        o->entries[0].index) /* cut off again; which one is in force is not known here */
        q->change = 0;
    for (unsigned i = 0; i < o->n; i++)
        if (o->entries[i].kind == ENTRY_CHANGE)
            q->change = o->entries[i].index;
}

void writes_add(struct writes *q, struct sim_write *o)
{
    if (q->last && o->done_ms < q->last->done_ms)
        o->done_ms = q->last->done_ms;
    if (q->last)
        q->last->next = o;
    else
        q->first = o;
    q->last = o;
    note_changes(q, o);
}

struct sim_write *writes_take(struct writes *q)
{
    struct sim_write *o = q->first;
    CHECK(o);
    q->first = o->next;
    if (!o->next)
        q->last = NULL;
    return o;
}

unsigned writes_count(const struct writes *q)
{
    unsigned n = 0;
    for (const struct sim_write *o = q->first; o; o = o->next)
        n++;
    return n;
}

/* What is on disk and no write under way begins at or before it. */
uint64_t writes_safe(const struct writes *q, uint64_t last)
{
    for (const struct sim_write *o = q->first; o; o = o->next)
        if (o->entries[0].index <= last)
            last = o->entries[0].index - 1;
    return last;
}
