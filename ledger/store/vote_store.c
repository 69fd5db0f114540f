/* SPDX-License-Identifier: Apache-2.0
 * One table, two records: "identity" (written once) and "vote". Fixed-width little-endian.
 */
#include "ledger/store/vote_store.h"

#include "ledger/store/env.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    MAP_BYTES = 1 << 20,
    IDENTITY_SIZE = 4 + 16 + 2 + 8,
    VOTE_SIZE = 3 * 8,
};

struct vote_store {
    char dir[PATH_MAX - 64];
    MDB_env *env;
    MDB_dbi dbi;
    struct node_identity identity;
    struct node_vote vote;
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

static int put(MDB_txn *txn, MDB_dbi dbi, const char *name, void *p, size_t n)
{
    MDB_val key = {strlen(name), (void *)(uintptr_t)name}, value = {n, p};
    return mdb_put(txn, dbi, &key, &value, 0);
}

static int put_vote(MDB_txn *txn, MDB_dbi dbi, const struct node_vote *v)
{
    uint8_t b[VOTE_SIZE];
    put_le(b, v->term, 8);
    put_le(b + 8, v->voted_for, 8);
    put_le(b + 16, v->incarnation, 8);
    return put(txn, dbi, "vote", b, sizeof b);
}

static int put_identity(MDB_txn *txn, MDB_dbi dbi, const struct node_identity *id)
{
    uint8_t b[IDENTITY_SIZE];
    put_le(b, VOTE_STORE_FORMAT, 4);
    memcpy(b + 4, id->cluster.b, 16);
    put_le(b + 20, id->group, 2);
    put_le(b + 22, id->node, 8);
    return put(txn, dbi, "identity", b, sizeof b);
}

static int open_env(struct vote_store *s, enum env_mode mode, struct store_why *why)
{
    int rv = env_open(&s->env, s->dir, mode, MAP_BYTES, 0, why);
    if (rv)
        return rv;
    MDB_txn *txn;
    rv = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn);
    if (rv == 0) {
        rv = mdb_dbi_open(txn, NULL, 0, &s->dbi);
        if (rv == 0)
            rv = mdb_txn_commit(txn);
        else
            mdb_txn_abort(txn);
    }
    if (rv) {
        mdb_env_close(s->env);
        s->env = NULL;
        return env_fail(why, rv, "open", s->dir);
    }
    return 0;
}

static int get(struct vote_store *s, const char *name, uint8_t *out, size_t n,
               struct store_why *why)
{
    MDB_txn *txn;
    int rv = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn);
    if (rv)
        return env_fail(why, rv, "read", s->dir);
    MDB_val key = {strlen(name), (void *)(uintptr_t)name}, value;
    rv = mdb_get(txn, s->dbi, &key, &value);
    bool whole = rv == 0 && value.mv_size == n;
    if (whole)
        memcpy(out, value.mv_data, n);
    mdb_txn_abort(txn);
    if (rv && rv != MDB_NOTFOUND)
        return env_fail(why, rv, "read", s->dir);
    if (!whole)
        return store_why_set(why, -EUCLEAN,
                             "%s: record \"%s\" is missing or cut: not a whole node directory",
                             s->dir, name);
    return 0;
}

static int load(struct vote_store *s, struct store_why *why)
{
    uint8_t id[IDENTITY_SIZE], vote[VOTE_SIZE];
    int rv = get(s, "identity", id, sizeof id, why);
    if (rv)
        return rv;
    uint64_t format = get_le(id, 4);
    if (format != VOTE_STORE_FORMAT)
        return store_why_set(why, -ENOTSUP,
                             "%s was written in format %" PRIu64 "; this version reads format %d",
                             s->dir, format, VOTE_STORE_FORMAT);
    memcpy(s->identity.cluster.b, id + 4, 16);
    s->identity.group = (uint16_t)get_le(id + 20, 2);
    s->identity.node = get_le(id + 22, 8);
    rv = get(s, "vote", vote, sizeof vote, why);
    if (rv)
        return rv;
    s->vote = (struct node_vote){get_le(vote, 8), get_le(vote + 8, 8), get_le(vote + 16, 8)};
    return 0;
}

enum { UUID_TEXT = 37 };

/* As cluster.conf has it; proto's own is not linked here. */
static void uuid_text(const struct proto_uuid *u, char out[UUID_TEXT])
{
    size_t n = 0;
    for (int i = 0; i < 16; i++)
        n += (size_t)snprintf(out + n, UUID_TEXT - n, "%s%02x",
                              i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", u->b[i]);
}

static int check_identity(const struct vote_store *s, const struct node_identity *want,
                          struct store_why *why)
{
    const struct node_identity *have = &s->identity;
    if (!proto_uuid_eq(&have->cluster, &want->cluster)) {
        char a[UUID_TEXT], b[UUID_TEXT];
        uuid_text(&have->cluster, a);
        uuid_text(&want->cluster, b);
        return store_why_set(why, -EXDEV, "%s belongs to cluster %s, not to %s", s->dir, a, b);
    }
    if (have->group != want->group)
        return store_why_set(why, -EXDEV, "%s belongs to group %u, not to %u", s->dir, have->group,
                             want->group);
    if (have->node != want->node)
        return store_why_set(why, -EXDEV, "%s belongs to node %" PRIu64 ", not to %" PRIu64, s->dir,
                             have->node, want->node);
    return 0;
}

static int save(struct vote_store *s, const struct node_vote *v, struct store_why *why)
{
    MDB_txn *txn;
    int rv = mdb_txn_begin(s->env, NULL, 0, &txn);
    if (rv == 0) {
        rv = put_vote(txn, s->dbi, v);
        if (rv == 0)
            rv = mdb_txn_commit(txn);
        else
            mdb_txn_abort(txn);
    }
    if (rv)
        return env_fail(why, rv, "write the vote to", s->dir);
    s->vote = *v;
    return 0;
}

static struct vote_store *new_store(const char *dir, struct store_why *why)
{
    struct vote_store *s = calloc(1, sizeof *s);
    if (s && snprintf(s->dir, sizeof s->dir, "%s", dir) < (int)sizeof s->dir)
        return s;
    (void)store_why_set(why, -ENOMEM, "no memory, or path too long: %s", dir);
    free(s);
    return NULL;
}

int vote_store_create(const char *dir, const struct node_identity *id, const struct node_vote *vote,
                      struct store_why *why)
{
    struct vote_store *s = new_store(dir, why);
    if (!s)
        return -ENOMEM;
    int rv = env_make_dir(dir, why);
    if (rv == 0)
        rv = open_env(s, ENV_WRITE, why);
    MDB_txn *txn = NULL;
    if (rv == 0 && (rv = mdb_txn_begin(s->env, NULL, 0, &txn)) == 0) {
        if ((rv = put_identity(txn, s->dbi, id)) == 0 && (rv = put_vote(txn, s->dbi, vote)) == 0)
            rv = mdb_txn_commit(txn);
        else
            mdb_txn_abort(txn);
        if (rv)
            rv = env_fail(why, rv, "write the identity to", dir);
    }
    if (rv == 0)
        rv = env_sync_dir(dir, why);
    vote_store_close(s);
    return rv;
}

int vote_store_open(struct vote_store **out, const char *dir, const struct node_identity *want,
                    struct store_why *why)
{
    struct stat st;
    if (stat(dir, &st) != 0)
        return store_why_set(why, -errno, "%s: %s", dir, strerror(errno));
    struct vote_store *s = new_store(dir, why);
    if (!s)
        return -ENOMEM;
    int rv = open_env(s, ENV_WRITE, why);
    if (rv == 0)
        rv = load(s, why);
    if (rv == 0 && want)
        rv = check_identity(s, want, why);
    if (rv == 0) {
        struct node_vote v = s->vote;
        v.incarnation++;
        rv = save(s, &v, why);
    }
    if (rv) {
        vote_store_close(s);
        return rv;
    }
    *out = s;
    return 0;
}

void vote_store_close(struct vote_store *s)
{
    if (!s)
        return;
    if (s->env)
        mdb_env_close(s->env);
    free(s);
}

int vote_store_peek(const char *dir, struct node_identity *id, struct node_vote *vote,
                    struct store_why *why)
{
    struct vote_store *s = new_store(dir, why);
    if (!s)
        return -ENOMEM;
    int rv = open_env(s, ENV_COPY, why);
    if (rv == 0)
        rv = load(s, why);
    if (rv == 0) {
        *id = s->identity;
        *vote = s->vote;
    }
    vote_store_close(s);
    return rv;
}

const struct node_identity *vote_store_identity(const struct vote_store *s)
{
    return &s->identity;
}

const struct node_vote *vote_store_vote(const struct vote_store *s)
{
    return &s->vote;
}

int vote_store_save(struct vote_store *s, uint64_t term, uint64_t voted_for, struct store_why *why)
{
    struct node_vote v = {term, voted_for, s->vote.incarnation};
    return save(s, &v, why);
}
