/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/store/log_segment.h"

#include "proto/base/check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Room for what one transaction may add to a segment that is just below its bound. */
#define MAP_SLACK (UINT64_C(1) << 30)

void segment_path(const struct log_store *s, uint64_t first, const char *suffix, char out[PATH_MAX])
{
    (void)snprintf(out, PATH_MAX, "%s/%020" PRIu64 "%s", s->dir, first, suffix);
}

static int open_tables(MDB_env *env, struct log_segment *g, unsigned flags)
{
    MDB_txn *txn;
    int rv = mdb_txn_begin(env, NULL, flags ? 0 : MDB_RDONLY, &txn);
    if (rv)
        return rv;
    if ((rv = mdb_dbi_open(txn, "entries", MDB_INTEGERKEY | flags, &g->entries)) != 0 ||
        (rv = mdb_dbi_open(txn, "runs", MDB_INTEGERKEY | flags, &g->runs)) != 0 ||
        (rv = mdb_dbi_open(txn, "confs", MDB_INTEGERKEY | flags, &g->confs)) != 0) {
        mdb_txn_abort(txn);
        return rv;
    }
    return mdb_txn_commit(txn);
}

int segment_create(struct log_store *s, uint64_t first, struct store_why *why)
{
    char fresh[PATH_MAX], path[PATH_MAX];
    segment_path(s, first, ".new", fresh);
    segment_path(s, first, "", path);
    int rv = env_make_dir(fresh, why);
    if (rv)
        return rv;
    MDB_env *env;
    struct log_segment tables;
    rv = env_open(&env, fresh, ENV_WRITE, s->segment_bytes + MAP_SLACK, SEGMENT_TABLES, why);
    if (rv)
        return rv;
    rv = open_tables(env, &tables, MDB_CREATE);
    mdb_env_close(env);
    if (rv)
        return env_fail(why, rv, "create segment", fresh);
    rv = env_sync_dir(fresh, why);
    if (rv)
        return rv;
    if (rename(fresh, path) != 0)
        return store_why_set(why, -errno, "rename %s: %s", fresh, strerror(errno));
    return env_sync_dir(s->dir, why);
}

int segment_open(struct log_store *s, struct log_segment *g, struct store_why *why)
{
    static const enum env_mode mode[] = {
        [LOG_STORE_WRITE] = ENV_WRITE, [LOG_STORE_LIVE] = ENV_LIVE, [LOG_STORE_COPY] = ENV_COPY};
    if (g->env)
        return 0;
    char path[PATH_MAX];
    segment_path(s, g->first, "", path);
    int rv =
        env_open(&g->env, path, mode[s->mode], s->segment_bytes + MAP_SLACK, SEGMENT_TABLES, why);
    if (rv) {
        g->env = NULL;
        return rv;
    }
    rv = open_tables(g->env, g, 0);
    if (rv) {
        mdb_env_close(g->env);
        g->env = NULL;
        return env_fail(why, rv == MDB_NOTFOUND ? MDB_CORRUPTED : rv, "log segment", path);
    }
    s->n_open++;
    return 0;
}

void segment_close(struct log_store *s, struct log_segment *g)
{
    if (!g->env)
        return;
    mdb_env_close(g->env);
    g->env = NULL;
    s->n_open--;
}

static int load_span(MDB_txn *txn, struct log_segment *g)
{
    MDB_cursor *c;
    MDB_val key, value;
    int rv = mdb_cursor_open(txn, g->entries, &c);
    if (rv)
        return rv;
    uint64_t first = g->first;
    g->last = g->first - 1;
    rv = mdb_cursor_get(c, &key, &value, MDB_FIRST);
    if (rv == 0) {
        memcpy(&first, key.mv_data, sizeof first);
        rv = mdb_cursor_get(c, &key, &value, MDB_LAST);
    }
    if (rv == 0)
        memcpy(&g->last, key.mv_data, sizeof g->last);
    mdb_cursor_close(c);
    if (rv == MDB_NOTFOUND)
        return 0;
    return rv == 0 && first != g->first ? MDB_CORRUPTED : rv;
}

static int load_runs(MDB_txn *txn, struct log_segment *g, struct term_runs *runs)
{
    MDB_cursor *c;
    MDB_val key, value;
    int rv = mdb_cursor_open(txn, g->runs, &c);
    if (rv)
        return rv;
    uint64_t at = g->first;
    while ((rv = mdb_cursor_get(c, &key, &value, MDB_NEXT)) == 0) {
        uint64_t first, term;
        if (value.mv_size != sizeof term) {
            rv = MDB_CORRUPTED;
            break;
        }
        memcpy(&first, key.mv_data, sizeof first);
        memcpy(&term, value.mv_data, sizeof term);
        bool bad = first > g->last || first < at || (at == g->first && first != g->first) ||
                   term == 0 || (runs->n > 0 && term < runs->run[runs->n - 1].term);
        if (bad) {
            rv = MDB_CORRUPTED;
            break;
        }
        if (runs->n > 0)
            runs->last = first - 1;
        if (term_runs_append(runs, first, term) != 0) {
            rv = ENOMEM;
            break;
        }
        at = first + 1;
    }
    mdb_cursor_close(c);
    if (rv != MDB_NOTFOUND)
        return rv;
    if (g->last >= g->first) {
        if (at == g->first)
            return MDB_CORRUPTED; /* entries, but no run */
        runs->last = g->last;
    }
    return 0;
}

int segment_load(struct log_store *s, struct log_segment *g, struct term_runs *runs,
                 struct store_why *why)
{
    char path[PATH_MAX];
    segment_path(s, g->first, "", path);
    int rv = segment_open(s, g, why);
    if (rv)
        return rv;
    MDB_txn *txn;
    rv = mdb_txn_begin(g->env, NULL, MDB_RDONLY, &txn);
    if (rv)
        return env_fail(why, rv, "read", path);
    rv = load_span(txn, g);
    if (rv == 0)
        rv = load_runs(txn, g, runs);
    mdb_txn_abort(txn);
    if (rv)
        return env_fail(why, rv, "log segment", path);
    g->bytes = env_used_bytes(g->env);
    return 0;
}

int segment_sweep(struct log_store *s, const char *name, struct store_why *why)
{
    char path[PATH_MAX], file[PATH_MAX + 16];
    (void)snprintf(path, sizeof path, "%s/%s", s->dir, name);
    static const char *const parts[] = {"data.mdb", "lock.mdb"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        (void)snprintf(file, sizeof file, "%s/%s", path, parts[i]);
        if (unlink(file) != 0 && errno != ENOENT)
            return store_why_set(why, -errno, "delete %s: %s", file, strerror(errno));
    }
    if (rmdir(path) != 0 && errno != ENOENT)
        return store_why_set(why, -errno, "delete %s: %s", path, strerror(errno));
    return 0;
}

int segment_unlink(struct log_store *s, uint64_t first, struct store_why *why)
{
    char path[PATH_MAX], gone[PATH_MAX], name[64];
    segment_path(s, first, "", path);
    segment_path(s, first, ".drop", gone);
    if (rename(path, gone) != 0)
        return store_why_set(why, -errno, "rename %s: %s", path, strerror(errno));
    int rv = env_sync_dir(s->dir, why);
    if (rv)
        return rv;
    (void)snprintf(name, sizeof name, "%020" PRIu64 ".drop", first);
    return segment_sweep(s, name, why);
}

struct log_segment *segment_add(struct log_store *s, uint64_t first)
{
    if (s->n == s->cap) {
        unsigned cap = s->cap ? s->cap * 2 : 8;
        struct log_segment **segment = realloc(s->segment, cap * sizeof(struct log_segment *));
        if (!segment)
            return NULL;
        s->segment = segment;
        s->cap = cap;
    }
    struct log_segment *g = calloc(1, sizeof *g);
    if (!g)
        return NULL;
    g->first = first;
    g->last = first - 1;
    s->segment[s->n++] = g;
    return g;
}

void segment_drop(struct log_store *s, unsigned i)
{
    struct log_segment *g = s->segment[i];
    memmove(s->segment + i, s->segment + i + 1, (s->n - i - 1) * sizeof(struct log_segment *));
    s->n--;
    g->gone = true;
    if (g->pins == 0) {
        segment_close(s, g);
        free(g);
    }
}

/* Idle environments beyond the bound are closed, oldest first; the one written to stays. */
static void close_idle(struct log_store *s)
{
    for (unsigned i = 0; i + 1 < s->n && s->n_open > SEGMENTS_OPEN_MAX; i++)
        if (s->segment[i]->pins == 0)
            segment_close(s, s->segment[i]);
}

struct log_segment *segment_pin(struct log_store *s, uint64_t index, int *rv, struct store_why *why)
{
    struct log_segment *found = NULL;
    *rv = 0;
    pthread_mutex_lock(&s->mutex);
    unsigned i = s->n; /* one past the last segment that begins at or before index */
    while (i > 0 && s->segment[i - 1]->first > index)
        i--;
    if (i > 0 && index <= s->segment[i - 1]->last)
        found = s->segment[i - 1];
    if (found) {
        *rv = segment_open(s, found, why);
        if (*rv == 0)
            found->pins++;
        else
            found = NULL;
        close_idle(s);
    }
    pthread_mutex_unlock(&s->mutex);
    return found;
}

void segment_unpin(struct log_store *s, struct log_segment *g)
{
    pthread_mutex_lock(&s->mutex);
    CHECK(g->pins > 0);
    if (--g->pins == 0 && g->gone) {
        segment_close(s, g);
        free(g);
    }
    pthread_mutex_unlock(&s->mutex);
}
