/* SPDX-License-Identifier: Apache-2.0
 * The log's writer. A transaction never spans segments, so every state a crash can leave is the
 * log after a prefix of the appends (or of an append's truncation, whose entries were already
 * overruled by a newer leader and so not committed).
 */
#include "ledger/store/checksum.h"
#include "ledger/store/log_segment.h"

#include "proto/base/check.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* The writer's transaction on the newest segment, and the appends that are in it. */
struct writing {
    struct log_store *store;
    MDB_txn *txn; /* NULL: none open */
    const struct log_append *from;
    unsigned n;
    uint64_t bytes;    /* put so far, with a guess of LMDB's overhead */
    uint64_t cut_from; /* a truncation whose append is not in this transaction yet; 0: none */
};

static struct log_segment *tail(struct log_store *s)
{
    return s->segment[s->n - 1];
}

static int fail(struct writing *w, int code, const char *what, struct store_why *why)
{
    if (w->txn)
        mdb_txn_abort(w->txn);
    w->txn = NULL;
    return env_fail(why, code, what, w->store->dir);
}

static int begin(struct writing *w, struct store_why *why)
{
    if (w->txn)
        return 0;
    env_sweep_readers(tail(w->store)->env);
    int rv = mdb_txn_begin(tail(w->store)->env, NULL, 0, &w->txn);
    if (rv) {
        w->txn = NULL;
        return fail(w, rv, "begin a write to", why);
    }
    w->bytes = 0;
    return 0;
}

/* Makes what the transaction wrote visible to the getters. */
static int publish(struct writing *w, struct store_why *why)
{
    struct log_store *s = w->store;
    int rv = 0;
    pthread_mutex_lock(&s->mutex);
    for (unsigned i = 0; i < w->n && rv == 0; i++) {
        const struct log_append *a = &w->from[i];
        term_runs_truncate(&s->runs, a->entries[0].index);
        for (unsigned j = 0; j < a->n && rv == 0; j++)
            rv = term_runs_append(&s->runs, a->entries[j].index, a->entries[j].term);
    }
    if (w->cut_from)
        term_runs_truncate(&s->runs, w->cut_from);
    struct log_segment *g = tail(s);
    g->last = s->runs.n > 0 ? s->runs.last : g->first - 1;
    g->bytes = env_used_bytes(g->env);
    pthread_mutex_unlock(&s->mutex);
    w->from += w->n;
    w->n = 0;
    w->cut_from = 0;
    return rv ? store_why_set(why, rv, "no memory for the log's terms") : 0;
}

static int commit(struct writing *w, struct store_why *why)
{
    if (!w->txn)
        return 0;
    int rv = mdb_txn_commit(w->txn); /* frees it in any case */
    w->txn = NULL;
    if (rv)
        return fail(w, rv, "write", why);
    return publish(w, why);
}

static int delete_from(MDB_txn *txn, MDB_dbi table, uint64_t from)
{
    MDB_cursor *c;
    int rv = mdb_cursor_open(txn, table, &c);
    if (rv)
        return rv;
    uint64_t at = from;
    MDB_val key = {sizeof at, &at}, value;
    while ((rv = mdb_cursor_get(c, &key, &value, MDB_SET_RANGE)) == 0) {
        rv = mdb_cursor_del(c, 0);
        if (rv)
            break;
        at = from;
        key = (MDB_val){sizeof at, &at};
    }
    mdb_cursor_close(c);
    return rv == MDB_NOTFOUND ? 0 : rv;
}

/* Segments that begin after `from` go as a whole, newest first. */
static int drop_after(struct writing *w, uint64_t from, struct store_why *why)
{
    struct log_store *s = w->store;
    while (tail(s)->first > from && s->n > 1) {
        int rv = commit(w, why);
        if (rv)
            return rv;
        uint64_t first = tail(s)->first;
        rv = segment_unlink(s, first, why);
        if (rv)
            return rv;
        pthread_mutex_lock(&s->mutex);
        term_runs_truncate(&s->runs, first);
        segment_drop(s, s->n - 1);
        rv = segment_open(s, tail(s), why);
        pthread_mutex_unlock(&s->mutex);
        if (rv)
            return rv;
    }
    return 0;
}

static int truncate_from(struct writing *w, uint64_t from, struct store_why *why)
{
    struct log_store *s = w->store;
    term_runs_truncate(&s->work, from);
    int rv = drop_after(w, from, why);
    if (rv == 0)
        rv = begin(w, why);
    if (rv)
        return rv;
    struct log_segment *g = tail(s);
    if ((rv = delete_from(w->txn, g->entries, from)) != 0 ||
        (rv = delete_from(w->txn, g->runs, from)) != 0 ||
        (rv = delete_from(w->txn, g->confs, from)) != 0)
        return fail(w, rv, "truncate", why);
    w->cut_from = from; /* a roll may commit the truncation alone */
    return 0;
}

/* A new segment for index and what follows, once the newest one is full. */
static int roll(struct writing *w, uint64_t index, struct store_why *why)
{
    struct log_store *s = w->store;
    int rv = commit(w, why);
    if (rv)
        return rv;
    CHECK(tail(s)->last + 1 == index);
    segment_give_back(tail(s));
    rv = segment_create(s, index, why);
    if (rv)
        return rv;
    pthread_mutex_lock(&s->mutex);
    struct log_segment *g = segment_add(s, index);
    rv = g ? segment_open(s, g, why) : store_why_set(why, -ENOMEM, "no memory for a segment");
    pthread_mutex_unlock(&s->mutex);
    return rv;
}

/* An empty log that begins elsewhere than its segment's name says (a seeded node). The old segment
 * goes first: a log without any is an empty one, two empty ones would be a gap. */
static int begin_at(struct writing *w, uint64_t first, struct store_why *why)
{
    struct log_store *s = w->store;
    int rv = commit(w, why);
    if (rv == 0)
        rv = segment_unlink(s, tail(s)->first, why);
    if (rv == 0)
        rv = segment_create(s, first, why);
    if (rv)
        return rv;
    pthread_mutex_lock(&s->mutex);
    segment_drop(s, s->n - 1);
    struct log_segment *g = segment_add(s, first);
    rv = g ? segment_open(s, g, why) : store_why_set(why, -ENOMEM, "no memory for a segment");
    pthread_mutex_unlock(&s->mutex);
    return rv;
}

static int put(MDB_txn *txn, MDB_dbi table, uint64_t index, const void *p, size_t n)
{
    MDB_val key = {sizeof index, &index}, value = {n, (void *)(uintptr_t)p};
    return mdb_put(txn, table, &key, &value, MDB_APPEND);
}

static int put_entry(struct writing *w, const struct log_entry *e)
{
    struct log_segment *g = tail(w->store);
    struct term_runs *work = &w->store->work;
    uint64_t before = e->index > g->first ? term_runs_of(work, e->index - 1) : 0;
    int rv = 0;
    if (before != e->term)
        rv = put(w->txn, g->runs, e->index, &e->term, sizeof e->term);
    if (rv == 0 && e->kind == ENTRY_CHANGE)
        rv = put(w->txn, g->confs, e->index, NULL, 0);
    if (rv)
        return rv;
    uint64_t index = e->index;
    MDB_val key = {sizeof index, &index}, value = {SEGMENT_VALUE_HEAD + e->len, NULL};
    rv = mdb_put(w->txn, g->entries, &key, &value, MDB_APPEND | MDB_RESERVE);
    if (rv)
        return rv;
    uint8_t *v = value.mv_data;
    for (int i = 0; i < 8; i++)
        v[i] = (uint8_t)(e->term >> (8 * i));
    v[8] = e->kind;
    uint32_t checksum = entry_checksum(e);
    memcpy(v + 9, &checksum, sizeof checksum);
    if (e->len > 0)
        memcpy(v + SEGMENT_VALUE_HEAD, e->data, e->len);
    w->bytes += e->len + 64;
    return term_runs_append(work, e->index, e->term) ? ENOMEM : 0;
}

static int append_one(struct writing *w, const struct log_append *a, struct store_why *why)
{
    struct log_store *s = w->store;
    uint64_t first = a->entries[0].index;
    int rv = 0;
    if (s->work.n > 0 && first <= s->work.last)
        rv = truncate_from(w, first, why);
    if (rv)
        return rv;
    bool empty = s->work.n == 0;
    CHECK(empty || first == s->work.last + 1);
    uint64_t used = tail(s)->bytes + (w->txn ? w->bytes : 0);
    bool full = !empty && s->work.last >= tail(s)->first && used >= s->segment_bytes;
    if (full) {
        rv = roll(w, first, why);
    } else if (empty && tail(s)->first != first) {
        rv = begin_at(w, first, why);
    }
    if (rv == 0)
        rv = begin(w, why);
    if (rv)
        return rv;
    for (unsigned i = 0; i < a->n; i++) {
        CHECK(a->entries[i].index == first + i && a->entries[i].len <= ENTRY_LEN_MAX);
        rv = put_entry(w, &a->entries[i]);
        if (rv)
            return fail(w, rv, "append to", why);
    }
    w->n++;
    w->cut_from = 0;
    return 0;
}

int log_store_append(struct log_store *s, const struct log_append *appends, unsigned n,
                     struct store_why *why)
{
    CHECK(s->mode == LOG_STORE_WRITE);
    struct writing w = {.store = s, .from = appends};
    for (unsigned i = 0; i < n; i++) {
        CHECK(appends[i].n > 0);
        int rv = append_one(&w, &appends[i], why);
        if (rv)
            return rv;
    }
    return commit(&w, why);
}

/* ---- trimming ---- */

static int open_hold(const char *dir)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/HOLD", dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    return fd < 0 ? -errno : fd;
}

int log_store_hold(const char *dir, int *fd, struct store_why *why)
{
    int rv = open_hold(dir);
    *fd = -1;
    if (rv == -EACCES || rv == -EROFS)
        return 0;
    if (rv < 0)
        return store_why_set(why, rv, "%s/HOLD: %s", dir, strerror(-rv));
    *fd = rv;
    if (flock(*fd, LOCK_SH) == 0)
        return 0;
    rv = store_why_set(why, -errno, "lock %s/HOLD: %s", dir, strerror(errno));
    (void)close(*fd);
    *fd = -1;
    return rv;
}

void log_store_unhold(int fd)
{
    if (fd >= 0)
        (void)close(fd);
}

static int trim(struct log_store *s, uint64_t index, struct store_why *why)
{
    while (s->n > 1 && s->segment[0]->last < index) {
        int rv = segment_unlink(s, s->segment[0]->first, why);
        if (rv)
            return rv;
        pthread_mutex_lock(&s->mutex);
        segment_drop(s, 0);
        term_runs_trim(&s->runs, s->segment[0]->first);
        pthread_mutex_unlock(&s->mutex);
        term_runs_trim(&s->work, s->segment[0]->first);
    }
    return 0;
}

int log_store_trim(struct log_store *s, uint64_t index, struct store_why *why)
{
    CHECK(s->mode == LOG_STORE_WRITE);
    int fd = open_hold(s->dir);
    if (fd < 0)
        return store_why_set(why, fd, "%s/HOLD: %s", s->dir, strerror(-fd));
    int rv = 0;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        rv = store_why_set(why, errno == EWOULDBLOCK ? -EBUSY : -errno,
                           "%s is being read: nothing is trimmed now", s->dir);
    if (rv == 0)
        rv = trim(s, index, why);
    (void)close(fd);
    return rv;
}
