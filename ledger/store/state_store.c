/* SPDX-License-Identifier: Apache-2.0
 * Tables: "records" (the state machine's keys) and "meta" (one record, "at").
 */
#include "ledger/store/state_store.h"

#include "ledger/store/env.h"
#include "ledger/store/sweep.h"
#include "proto/base/check.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#if defined __SANITIZE_THREAD__ /* it leaves a program little address space */
#define MAP_BYTES_DEFAULT (UINT64_C(256) << 30)
#else
#define MAP_BYTES_DEFAULT (UINT64_C(4) << 40) /* a week of 20,000 calls a second */
#endif

enum {
    TABLES = 2,
    META_FORMAT = 2,                        /* 1: holds' keys began with the org */
    META_HEAD = 4 + 8 + 8 + 8 + 32 + 8 + 4, /* and the configuration */
    CHANGE_HEAD = 6,                        /* klen u16, vlen u32 */
};

struct state_store {
    char dir[PATH_MAX - 64];
    enum state_store_mode mode;
    MDB_env *env;
    MDB_dbi records, meta;
};

static void put_le(uint8_t *p, uint64_t v, int n)
{
    for (int i = 0; i < n; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static uint64_t get_le(const uint8_t *p, int n)
{
    uint64_t v = 0;
    for (int i = 0; i < n; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

/* ---- open ---- */

static int open_tables(struct state_store *s)
{
    bool write = s->mode == STATE_STORE_WRITE;
    unsigned flags = write ? MDB_CREATE : 0;
    MDB_txn *txn;
    int rv = mdb_txn_begin(s->env, NULL, write ? 0 : MDB_RDONLY, &txn);
    if (rv)
        return rv;
    if ((rv = mdb_dbi_open(txn, "records", flags, &s->records)) != 0 ||
        (rv = mdb_dbi_open(txn, "meta", flags, &s->meta)) != 0) {
        mdb_txn_abort(txn);
        return rv;
    }
    return mdb_txn_commit(txn);
}

static int start(struct state_store *s, uint64_t map_bytes, struct store_why *why)
{
    static const enum env_mode mode[] = {[STATE_STORE_WRITE] = ENV_WRITE,
                                         [STATE_STORE_LIVE] = ENV_LIVE,
                                         [STATE_STORE_COPY] = ENV_COPY};
    struct stat st;
    int rv = 0;
    if (stat(s->dir, &st) != 0 && errno == ENOENT && s->mode == STATE_STORE_WRITE)
        rv = env_make_dir(s->dir, why);
    if (rv == 0)
        rv = env_open(&s->env, s->dir, mode[s->mode], map_bytes, TABLES, why);
    if (rv) {
        s->env = NULL;
        return rv;
    }
    rv = open_tables(s);
    if (rv)
        return env_fail(why, rv == MDB_NOTFOUND ? MDB_CORRUPTED : rv, "state", s->dir);
    return s->mode == STATE_STORE_WRITE ? env_sync_dir(s->dir, why) : 0;
}

int state_store_open(struct state_store **out, const char *dir, enum state_store_mode mode,
                     const struct state_store_config *config, struct store_why *why)
{
    struct state_store *s = calloc(1, sizeof *s);
    if (!s || snprintf(s->dir, sizeof s->dir, "%s", dir) >= (int)sizeof s->dir) {
        free(s);
        return store_why_set(why, -ENOMEM, "no memory, or path too long: %s", dir);
    }
    s->mode = mode;
    int rv = start(s, config && config->map_bytes ? config->map_bytes : MAP_BYTES_DEFAULT, why);
    if (rv) {
        state_store_close(s);
        return rv;
    }
    *out = s;
    return 0;
}

void state_store_close(struct state_store *s)
{
    if (!s)
        return;
    if (s->env)
        mdb_env_close(s->env);
    free(s);
}

int state_store_copy(struct state_store *s, int fd, struct store_why *why)
{
    int rv = mdb_env_copyfd2(s->env, fd, MDB_CP_COMPACT);
    return rv ? env_fail(why, rv, "copy", s->dir) : 0;
}

static uint64_t bytes_of(const MDB_stat *st)
{
    return (st->ms_branch_pages + st->ms_leaf_pages + st->ms_overflow_pages) *
           (uint64_t)st->ms_psize;
}

uint64_t state_store_copy_bytes(struct state_store *s)
{
    MDB_txn *txn;
    MDB_stat st = {0};
    uint64_t bytes = 0;
    if (mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn) != 0)
        return 0;
    if (mdb_stat(txn, s->records, &st) == 0)
        bytes += bytes_of(&st);
    if (mdb_stat(txn, s->meta, &st) == 0)
        bytes += bytes_of(&st);
    mdb_txn_abort(txn);
    return bytes + 3 * (uint64_t)st.ms_psize; /* two heads, and the table of tables */
}

int state_store_forgets(struct state_store *s)
{
    return env_errno(mdb_env_set_flags(s->env, MDB_NOSYNC, 1));
}

uint64_t state_store_bytes(struct state_store *s)
{
    return env_used_bytes(s->env);
}

uint64_t state_store_records(struct state_store *s)
{
    MDB_txn *txn;
    MDB_stat st = {0};
    if (mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn) != 0)
        return 0;
    (void)mdb_stat(txn, s->records, &st);
    mdb_txn_abort(txn);
    return st.ms_entries;
}

/* ---- changes ---- */

void state_changes_init(struct state_changes *c)
{
    *c = (struct state_changes){0};
}

void state_changes_close(struct state_changes *c)
{
    free(c->base);
    *c = (struct state_changes){0};
}

void state_changes_clear(struct state_changes *c)
{
    c->n = 0;
}

int state_changes_add(struct state_changes *c, const void *key, size_t klen, const void *value,
                      size_t vlen)
{
    if (klen == 0 || klen > STATE_KEY_MAX || vlen > STATE_VALUE_MAX)
        return -EINVAL;
    if (!value)
        vlen = 0;
    size_t need = c->n + CHANGE_HEAD + klen + vlen;
    if (need > c->cap) {
        size_t cap = c->cap ? c->cap : 65536;
        while (cap < need)
            cap *= 2;
        uint8_t *base = realloc(c->base, cap);
        if (!base)
            return -ENOMEM;
        c->base = base;
        c->cap = cap;
    }
    uint8_t *p = c->base + c->n;
    put_le(p, klen, 2);
    put_le(p + 2, value ? vlen : UINT32_MAX, 4);
    memcpy(p + CHANGE_HEAD, key, klen);
    if (vlen > 0)
        memcpy(p + CHANGE_HEAD + klen, value, vlen);
    c->n = need;
    return 0;
}

const uint8_t *state_changes_key(const uint8_t *p, void **key, size_t *klen)
{
    *klen = get_le(p, 2);
    *key = (void *)(uintptr_t)(p + CHANGE_HEAD);
    return p + CHANGE_HEAD + *klen;
}

/* ---- write ----
 * In the order of keys: LMDB then stays on a page for all that belongs there instead of coming down
 * from the root for each record (a third of the time of a checkpoint). */

enum { PREFIX = 3, AHEAD = 8 };

struct change {
    uint64_t prefix[PREFIX]; /* first bytes of the key as numbers: they decide most comparisons */
    const uint8_t *at;
};

static void fill_change(struct change *c, const uint8_t *at)
{
    size_t klen = get_le(at, 2);
    *c = (struct change){.at = at};
    memcpy(c->prefix, at + CHANGE_HEAD, klen < sizeof c->prefix ? klen : sizeof c->prefix);
    for (unsigned i = 0; i < PREFIX; i++)
        c->prefix[i] = __builtin_bswap64(c->prefix[i]);
}

static size_t count_changes(const struct state_changes *c)
{
    size_t n = 0;
    for (const uint8_t *p = c->base, *end = p + c->n; p < end; n++) {
        CHECK((size_t)(end - p) >= CHANGE_HEAD);
        uint64_t vlen = get_le(p + 2, 4);
        size_t size = CHANGE_HEAD + get_le(p, 2) + (vlen == UINT32_MAX ? 0 : vlen);
        CHECK(get_le(p, 2) > 0 && (size_t)(end - p) >= size);
        p += size;
    }
    return n;
}

static int compare_keys(const uint8_t *a, const uint8_t *b)
{
    size_t an = get_le(a, 2), bn = get_le(b, 2);
    int order = memcmp(a + CHANGE_HEAD, b + CHANGE_HEAD, an < bn ? an : bn);
    return order != 0 ? order : (an > bn) - (an < bn);
}

static int compare_changes(const void *a, const void *b)
{
    const struct change *x = a, *y = b;
    for (unsigned i = 0; i < PREFIX; i++)
        if (x->prefix[i] != y->prefix[i])
            return x->prefix[i] < y->prefix[i] ? -1 : 1;
    int order = compare_keys(x->at, y->at);
    return order != 0 ? order : (x->at > y->at) - (x->at < y->at);
}

static struct change *sort_changes(const struct state_changes *c, size_t n)
{
    struct change *list = malloc(n * sizeof *list);
    const uint8_t *p = c->base;
    for (size_t i = 0; list && i < n; i++) {
        uint64_t vlen = get_le(p + 2, 4);
        fill_change(&list[i], p);
        p += CHANGE_HEAD + get_le(p, 2) + (vlen == UINT32_MAX ? 0 : vlen);
    }
    if (list)
        qsort(list, n, sizeof *list, compare_changes);
    return list;
}

static int write_change(MDB_cursor *cursor, const uint8_t *p)
{
    uint64_t vlen = get_le(p + 2, 4);
    size_t klen = get_le(p, 2);
    p += CHANGE_HEAD;
    MDB_val key = {klen, (void *)(uintptr_t)p};
    MDB_val value = {vlen, (void *)(uintptr_t)(p + klen)};
    if (vlen != UINT32_MAX)
        return mdb_cursor_put(cursor, &key, &value, 0);
    int rv = mdb_cursor_get(cursor, &key, &value, MDB_SET);
    if (rv == 0)
        rv = mdb_cursor_del(cursor, 0);
    return rv == MDB_NOTFOUND ? 0 : rv;
}

static int64_t entries(MDB_txn *txn, MDB_dbi records)
{
    MDB_stat st = {0};
    (void)mdb_stat(txn, records, &st);
    return (int64_t)st.ms_entries;
}

/* grown: by how many records the table of each first byte has grown. */
static int write_changes(MDB_txn *txn, MDB_dbi records, const struct state_changes *c,
                         int64_t grown[SWEEP_TABLES])
{
    MDB_cursor *cursor;
    size_t n = count_changes(c);
    struct change *list = sort_changes(c, n);
    if (!list)
        return ENOMEM;
    int64_t before = entries(txn, records);
    int rv = mdb_cursor_open(txn, records, &cursor);
    if (rv == 0) {
        for (size_t i = 0; i < n && rv == 0; i++) {
            uint8_t table = list[i].at[CHANGE_HEAD];
            if (i + AHEAD < n)
                __builtin_prefetch(list[i + AHEAD].at);
            if (i + 1 == n || compare_keys(list[i].at, list[i + 1].at) != 0)
                rv = write_change(cursor, list[i].at);
            if (i + 1 == n || list[i + 1].at[CHANGE_HEAD] != table) {
                int64_t now = entries(txn, records);
                grown[table] = now - before;
                before = now;
            }
        }
        mdb_cursor_close(cursor);
    }
    free(list);
    return rv;
}

static int write_meta(MDB_txn *txn, MDB_dbi table, const struct state_meta *m)
{
    uint8_t b[META_HEAD + ENTRY_CONF_MAX];
    CHECK(m->conf.len <= ENTRY_CONF_MAX);
    put_le(b, META_FORMAT, 4);
    put_le(b + 4, m->applied_index, 8);
    put_le(b + 12, m->applied_term, 8);
    put_le(b + 20, (uint64_t)m->clock_us, 8);
    memcpy(b + 28, m->chain.b, 32);
    put_le(b + 60, m->conf.index, 8);
    put_le(b + 68, m->conf.len, 4);
    memcpy(b + META_HEAD, m->conf.data, m->conf.len);
    MDB_val key = {2, (void *)(uintptr_t) "at"}, value = {META_HEAD + m->conf.len, b};
    return mdb_put(txn, table, &key, &value, 0);
}

int state_store_write(struct state_store *s, const struct state_changes *c,
                      const struct state_meta *meta, struct store_why *why)
{
    return state_store_checkpoint(s, c, meta, NULL, why);
}

int state_store_checkpoint(struct state_store *s, const struct state_changes *c,
                           const struct state_meta *meta, struct state_sweep *sweep,
                           struct store_why *why)
{
    int64_t grown[SWEEP_TABLES] = {0};
    CHECK(s->mode == STATE_STORE_WRITE);
    env_sweep_readers(s->env);
    MDB_txn *txn;
    int rv = mdb_txn_begin(s->env, NULL, 0, &txn);
    if (rv)
        return env_fail(why, rv, "begin a write to", s->dir);
    if (c->n > 0)
        rv = write_changes(txn, s->records, c, grown);
    if (rv == 0 && sweep)
        rv = state_sweep_run(sweep, txn, s->records, meta->clock_us, grown);
    if (rv == 0)
        rv = write_meta(txn, s->meta, meta);
    if (rv != 0)
        mdb_txn_abort(txn);
    else
        rv = mdb_txn_commit(txn);
    return rv ? env_fail(why, rv, "write a checkpoint to", s->dir) : 0;
}

/* ---- read ---- */

int state_reader_open(struct state_reader *r, struct state_store *s, struct store_why *why)
{
    MDB_txn *txn;
    int rv = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn);
    if (rv)
        return env_fail(why, rv, "read", s->dir);
    *r = (struct state_reader){.store = s, .txn = txn};
    return 0;
}

void state_reader_close(struct state_reader *r)
{
    if (r->txn)
        mdb_txn_abort(r->txn);
    *r = (struct state_reader){0};
}

int state_reader_refresh(struct state_reader *r)
{
    mdb_txn_reset(r->txn);
    return env_errno(mdb_txn_renew(r->txn));
}

int state_reader_meta(struct state_reader *r, struct state_meta *m)
{
    *m = (struct state_meta){0};
    MDB_val key = {2, (void *)(uintptr_t) "at"}, value;
    int rv = mdb_get(r->txn, r->store->meta, &key, &value);
    if (rv == MDB_NOTFOUND)
        return 0; /* nothing was ever written */
    if (rv)
        return env_errno(rv);
    const uint8_t *b = value.mv_data;
    if (value.mv_size < META_HEAD)
        return -EUCLEAN;
    if (get_le(b, 4) != META_FORMAT)
        return -ENOTSUP;
    m->applied_index = get_le(b + 4, 8);
    m->applied_term = get_le(b + 12, 8);
    m->clock_us = (int64_t)get_le(b + 20, 8);
    memcpy(m->chain.b, b + 28, 32);
    m->conf.index = get_le(b + 60, 8);
    m->conf.len = (uint32_t)get_le(b + 68, 4);
    if (m->conf.len > ENTRY_CONF_MAX || value.mv_size != META_HEAD + m->conf.len)
        return -EUCLEAN;
    memcpy(m->conf.data, b + META_HEAD, m->conf.len);
    return 0;
}

int state_reader_get(struct state_reader *r, const void *key, size_t klen, const void **value,
                     size_t *vlen)
{
    MDB_val k = {klen, (void *)(uintptr_t)key}, v;
    int rv = mdb_get(r->txn, r->store->records, &k, &v);
    if (rv)
        return env_errno(rv);
    *value = v.mv_data;
    *vlen = v.mv_size;
    return 0;
}

static bool below(const void *a, size_t an, const void *b, size_t bn)
{
    int order = an > 0 && bn > 0 ? memcmp(a, b, an < bn ? an : bn) : 0;
    return order < 0 || (order == 0 && an < bn);
}

int state_reader_scan(struct state_reader *r, const void *prefix, size_t plen, const void *from,
                      size_t flen, state_visit *visit, void *ctx)
{
    MDB_cursor *c;
    int rv = mdb_cursor_open(r->txn, r->store->records, &c);
    if (rv)
        return env_errno(rv);
    MDB_val k = {plen, (void *)(uintptr_t)prefix}, v;
    if (from && !below(from, flen, prefix, plen))
        k = (MDB_val){flen, (void *)(uintptr_t)from};
    int stop = 0;
    rv = mdb_cursor_get(c, &k, &v, k.mv_size > 0 ? MDB_SET_RANGE : MDB_FIRST);
    while (rv == 0) {
        if (k.mv_size < plen || (plen > 0 && memcmp(k.mv_data, prefix, plen) != 0))
            break;
        stop = visit(ctx, k.mv_data, k.mv_size, v.mv_data, v.mv_size);
        if (stop)
            break;
        rv = mdb_cursor_get(c, &k, &v, MDB_NEXT);
    }
    mdb_cursor_close(c);
    if (stop)
        return stop;
    return rv == MDB_NOTFOUND ? 0 : env_errno(rv);
}
