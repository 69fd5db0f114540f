/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/store/sweep.h"

#include "proto/base/check.h"

#include <errno.h>
#include <lmdb.h>
#include <string.h>

void state_sweep_init(struct state_sweep *w, const struct state_sweep_rules *rules)
{
    CHECK(rules->spans <= SWEEP_SPANS);
    *w = (struct state_sweep){.rules = rules};
    state_changes_init(&w->dead);
}

void state_sweep_close(struct state_sweep *w)
{
    state_changes_close(&w->dead);
}

static int compare(const void *a, size_t an, const void *b, size_t bn)
{
    int order = memcmp(a, b, an < bn ? an : bn);
    return order != 0 ? order : (an > bn) - (an < bn);
}

struct span {
    uint8_t from[SWEEP_SPAN_KEY], to[SWEEP_SPAN_KEY];
    size_t from_n, to_n;
};

static uint64_t piece_of(const struct state_sweep *w, unsigned i, int64_t grown)
{
    uint64_t found = w->span[i].found;
    return SWEEP_LOOKS + SWEEP_BY_GROWTH * (uint64_t)(grown > 0 ? grown : 0) +
           SWEEP_BY_FOUND * (found < SWEEP_FOUND_MAX ? found : SWEEP_FOUND_MAX);
}

/* Collects what is dead in the next `looks` records of a range. Nothing is deleted meanwhile. */
static int look(struct state_sweep *w, unsigned i, const struct span *s, MDB_cursor *cursor,
                int64_t clock_us, uint64_t looks)
{
    MDB_val k = {w->span[i].at_n, w->span[i].at}, v;
    if (compare(k.mv_data, k.mv_size, s->from, s->from_n) < 0)
        k = (MDB_val){s->from_n, (void *)(uintptr_t)s->from};
    w->span[i].found = 0;
    int rv = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
    while (rv == 0 && compare(k.mv_data, k.mv_size, s->to, s->to_n) < 0) {
        if (looks-- == 0) {
            CHECK(k.mv_size <= sizeof w->span[i].at);
            memcpy(w->span[i].at, k.mv_data, k.mv_size);
            w->span[i].at_n = k.mv_size;
            return 0;
        }
        w->looked++;
        if (w->rules->dead(k.mv_data, k.mv_size, v.mv_data, v.mv_size, clock_us)) {
            w->span[i].found++;
            if (state_changes_add(&w->dead, k.mv_data, k.mv_size, NULL, 0) != 0)
                return ENOMEM;
        }
        rv = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
    }
    w->span[i].at_n = 0; /* the end: from the start next time */
    return rv == MDB_NOTFOUND ? 0 : rv;
}

static int bury(struct state_sweep *w, MDB_cursor *cursor)
{
    const uint8_t *p = w->dead.base, *end = p + w->dead.n;
    int rv = 0;
    while (rv == 0 && p < end) {
        MDB_val k, v;
        p = state_changes_key(p, &k.mv_data, &k.mv_size);
        rv = mdb_cursor_get(cursor, &k, &v, MDB_SET);
        if (rv == 0)
            rv = mdb_cursor_del(cursor, 0);
        w->swept++;
    }
    return rv;
}

int state_sweep_run(struct state_sweep *w, void *txn, unsigned records, int64_t clock_us,
                    const int64_t grown[SWEEP_TABLES])
{
    MDB_cursor *cursor;
    int rv = mdb_cursor_open(txn, records, &cursor);
    if (rv)
        return rv;
    for (unsigned i = 0; i < w->rules->spans && rv == 0; i++) {
        struct span s = {.from_n = 0};
        w->rules->span(i, clock_us, s.from, &s.from_n, s.to, &s.to_n);
        CHECK(s.from_n > 0 && s.from_n <= sizeof s.from && s.to_n <= sizeof s.to);
        state_changes_clear(&w->dead);
        rv = look(w, i, &s, cursor, clock_us, piece_of(w, i, grown[s.from[0]]));
        if (rv == 0)
            rv = bury(w, cursor);
    }
    mdb_cursor_close(cursor);
    return rv;
}
