/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/store/checksum.h"
#include "ledger/store/log_segment.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void log_page_init(struct log_page *p)
{
    *p = (struct log_page){0};
}

void log_page_close(struct log_page *p)
{
    free(p->entries);
    free(p->bytes);
    *p = (struct log_page){0};
}

/* Room for one more entry of len bytes. Payloads lie one behind the other; their addresses are
 * set when all are read, because the memory may move until then. */
static int reserve(struct log_page *p, size_t len)
{
    if (p->n == p->cap) {
        unsigned cap = p->cap ? p->cap * 2 : 64;
        struct log_entry *entries = realloc(p->entries, cap * sizeof *entries);
        if (!entries)
            return ENOMEM;
        p->entries = entries;
        p->cap = cap;
    }
    if (p->used + len > p->size) {
        size_t size = p->size ? p->size : 16384;
        while (size < p->used + len)
            size *= 2;
        uint8_t *bytes = realloc(p->bytes, size);
        if (!bytes)
            return ENOMEM;
        p->bytes = bytes;
        p->size = size;
    }
    return 0;
}

void log_page_settle(struct log_page *p)
{
    size_t at = 0;
    for (unsigned i = 0; i < p->n; i++) {
        p->entries[i].data = p->entries[i].len > 0 ? p->bytes + at : NULL;
        at += p->entries[i].len;
    }
}

int log_page_put(struct log_page *p, const struct log_entry *e)
{
    if (reserve(p, e->len) != 0)
        return -ENOMEM;
    if (e->len > 0)
        memcpy(p->bytes + p->used, e->data, e->len);
    p->used += e->len;
    p->entries[p->n] = *e;
    p->entries[p->n++].data = NULL; /* log_page_settle says where */
    return 0;
}

static int page_add(struct log_page *p, uint64_t index, const MDB_val *value)
{
    const uint8_t *v = value->mv_data;
    if (value->mv_size < SEGMENT_VALUE_HEAD || value->mv_size - SEGMENT_VALUE_HEAD > ENTRY_LEN_MAX)
        return MDB_CORRUPTED;
    size_t len = value->mv_size - SEGMENT_VALUE_HEAD;
    uint64_t term = 0;
    for (int i = 0; i < 8; i++)
        term |= (uint64_t)v[i] << (8 * i);
    if (term == 0 || v[8] < ENTRY_COMMAND || v[8] > ENTRY_CHANGE)
        return MDB_CORRUPTED;
    struct log_entry e = {.index = index,
                          .term = term,
                          .data = v + SEGMENT_VALUE_HEAD,
                          .len = (uint32_t)len,
                          .kind = v[8]};
    uint32_t checksum;
    memcpy(&checksum, v + 9, sizeof checksum);
    if (checksum != entry_checksum(&e))
        return MDB_CORRUPTED;
    return log_page_put(p, &e) ? ENOMEM : 0;
}

static int read_segment(struct log_segment *g, uint64_t first, unsigned max, size_t max_bytes,
                        struct log_page *page)
{
    MDB_txn *txn;
    MDB_cursor *c;
    int rv = mdb_txn_begin(g->env, NULL, MDB_RDONLY, &txn);
    if (rv)
        return rv;
    rv = mdb_cursor_open(txn, g->entries, &c);
    if (rv) {
        mdb_txn_abort(txn);
        return rv;
    }
    uint64_t index = first;
    MDB_val key = {sizeof index, &index}, value;
    rv = mdb_cursor_get(c, &key, &value, MDB_SET);
    while (rv == 0) {
        uint64_t at;
        memcpy(&at, key.mv_data, sizeof at);
        rv = at == index ? page_add(page, index, &value) : MDB_CORRUPTED;
        if (rv || page->n == max || page->used >= max_bytes)
            break;
        index++;
        rv = mdb_cursor_get(c, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(c);
    mdb_txn_abort(txn);
    return rv == MDB_NOTFOUND ? 0 : rv;
}

int log_store_read(struct log_store *s, uint64_t first, unsigned max, size_t max_bytes,
                   struct log_page *page, struct store_why *why)
{
    int rv;
    page->n = 0;
    page->used = 0;
    struct log_segment *g = segment_pin(s, first, &rv, why);
    if (!g || max == 0)
        return rv;
    char path[PATH_MAX];
    segment_path(s, g->first, "", path);
    rv = read_segment(g, first, max, max_bytes, page);
    segment_unpin(s, g);
    if (rv)
        return env_fail(why, rv, "read", path);
    log_page_settle(page);
    return (int)page->n;
}

/* Indexes of the configurations of one segment, newest first, as far as there is room. */
static int confs_of(struct log_segment *g, uint64_t *index, unsigned *n)
{
    MDB_txn *txn;
    MDB_cursor *c;
    MDB_val key, value;
    int rv = mdb_txn_begin(g->env, NULL, MDB_RDONLY, &txn);
    if (rv)
        return rv;
    rv = mdb_cursor_open(txn, g->confs, &c);
    if (rv) {
        mdb_txn_abort(txn);
        return rv;
    }
    while (*n < ENTRY_CONFS_MAX && (rv = mdb_cursor_get(c, &key, &value, MDB_PREV)) == 0)
        memcpy(&index[(*n)++], key.mv_data, sizeof *index);
    mdb_cursor_close(c);
    mdb_txn_abort(txn);
    return rv == MDB_NOTFOUND ? 0 : rv;
}

static int find_confs(struct log_store *s, uint64_t *index, unsigned *n, struct store_why *why)
{
    uint64_t at = log_store_last(s);
    while (at > 0 && *n < ENTRY_CONFS_MAX) {
        int rv;
        struct log_segment *g = segment_pin(s, at, &rv, why);
        if (!g)
            return rv;
        rv = confs_of(g, index, n);
        at = g->first - 1;
        segment_unpin(s, g);
        if (rv)
            return env_fail(why, rv, "read configurations of", s->dir);
    }
    return 0;
}

int log_store_confs(struct log_store *s, struct log_conf **out, unsigned *n, struct store_why *why)
{
    uint64_t index[ENTRY_CONFS_MAX];
    unsigned found = 0;
    int rv = find_confs(s, index, &found, why);
    if (rv)
        return rv;
    struct log_conf *confs = calloc(found + 1, sizeof *confs);
    if (!confs)
        return store_why_set(why, -ENOMEM, "no memory for configurations");
    struct log_page page;
    log_page_init(&page);
    for (unsigned i = 0; i < found && rv == 0; i++) {
        struct log_conf *c = &confs[found - 1 - i];
        int got = log_store_read(s, index[i], 1, 1, &page, why);
        if (got < 0) {
            rv = got;
        } else if (got == 0 || page.entries[0].kind != ENTRY_CHANGE ||
                   page.entries[0].len > ENTRY_CONF_MAX) {
            rv = store_why_set(why, -EUCLEAN, "%s: entry %" PRIu64 " is no configuration", s->dir,
                               index[i]);
        } else {
            c->index = index[i];
            c->len = page.entries[0].len;
            memcpy(c->data, page.entries[0].data, c->len);
        }
    }
    log_page_close(&page);
    if (rv) {
        free(confs);
        return rv;
    }
    *out = confs;
    *n = found;
    return 0;
}
