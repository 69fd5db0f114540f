/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/replay/damage.h"

#include "ledger/store/checksum.h"

#include <errno.h>
#include <ftw.h>
#include <lmdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void need(int rv, const char *what)
{
    if (rv == 0)
        return;
    (void)fprintf(stderr, "damage: %s: %s\n", what, mdb_strerror(rv));
    exit(2);
}

struct session {
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_cursor *cursor;
    MDB_val key, value;
};

static void begin(struct session *s, const struct damage_table *t, unsigned flags)
{
    need(mdb_env_create(&s->env), "create");
    need(mdb_env_set_maxdbs(s->env, 4), "tables");
    need(mdb_env_open(s->env, t->path, MDB_NOSYNC, 0600), t->path);
    need(mdb_txn_begin(s->env, NULL, flags, &s->txn), "begin");
    need(mdb_dbi_open(s->txn, t->table, 0, &s->dbi), t->table);
    need(mdb_cursor_open(s->txn, s->dbi, &s->cursor), "cursor");
}

static void seek(struct session *s, size_t n)
{
    need(mdb_cursor_get(s->cursor, &s->key, &s->value, MDB_FIRST), "first");
    for (; n > 0; n--)
        need(mdb_cursor_get(s->cursor, &s->key, &s->value, MDB_NEXT), "next");
}

static void end(struct session *s)
{
    mdb_cursor_close(s->cursor);
    need(mdb_txn_commit(s->txn), "commit");
    mdb_env_close(s->env);
}

static void *copy_of(const MDB_val *v)
{
    void *p = malloc(v->mv_size + 1);
    need(p ? 0 : ENOMEM, "memory");
    memcpy(p, v->mv_data, v->mv_size);
    return p;
}

size_t damage_count(const struct damage_table *t)
{
    struct session s;
    MDB_stat st;
    begin(&s, t, MDB_RDONLY);
    need(mdb_stat(s.txn, s.dbi, &st), "stat");
    end(&s);
    return st.ms_entries;
}

void damage_lengths(const struct damage_table *t, size_t n, size_t *klen, size_t *vlen)
{
    struct session s;
    begin(&s, t, MDB_RDONLY);
    seek(&s, n);
    *klen = s.key.mv_size;
    *vlen = s.value.mv_size;
    end(&s);
}

void damage_value(const struct damage_table *t, size_t n, size_t offset, uint8_t mask)
{
    struct session s;
    begin(&s, t, 0);
    seek(&s, n);
    uint8_t *p = copy_of(&s.value);
    p[offset] ^= mask;
    s.value.mv_data = p;
    need(mdb_cursor_put(s.cursor, &s.key, &s.value, MDB_CURRENT), "put");
    end(&s);
    free(p);
}

void damage_mend_entry(const struct damage_table *t, size_t n)
{
    enum { HEAD = 13, CHECKSUM = 9 };
    struct session s;
    struct log_entry e = {0};
    begin(&s, t, 0);
    seek(&s, n);
    uint8_t *p = copy_of(&s.value);
    memcpy(&e.index, s.key.mv_data, sizeof e.index);
    memcpy(&e.term, p, sizeof e.term);
    e.kind = p[8];
    e.data = p + HEAD;
    e.len = (uint32_t)(s.value.mv_size - HEAD);
    uint32_t checksum = entry_checksum(&e);
    memcpy(p + CHECKSUM, &checksum, sizeof checksum);
    s.value.mv_data = p;
    need(mdb_cursor_put(s.cursor, &s.key, &s.value, MDB_CURRENT), "put");
    end(&s);
    free(p);
}

size_t damage_key(const struct damage_table *t, size_t n, size_t offset, uint8_t mask)
{
    struct session s;
    size_t at = 0;
    begin(&s, t, 0);
    seek(&s, n);
    uint8_t *key = copy_of(&s.key);
    void *value = copy_of(&s.value);
    need(mdb_cursor_del(s.cursor, 0), "delete");
    key[offset] ^= mask;
    MDB_val k = {s.key.mv_size, key}, v = {s.value.mv_size, value};
    need(mdb_put(s.txn, s.dbi, &k, &v, MDB_NOOVERWRITE), "put");
    need(mdb_cursor_get(s.cursor, &s.key, &s.value, MDB_FIRST), "first");
    for (; s.key.mv_size != k.mv_size || memcmp(s.key.mv_data, key, k.mv_size) != 0; at++)
        need(mdb_cursor_get(s.cursor, &s.key, &s.value, MDB_NEXT), "next");
    end(&s);
    free(key);
    free(value);
    return at;
}

void damage_delete(const struct damage_table *t, size_t n)
{
    struct session s;
    begin(&s, t, 0);
    seek(&s, n);
    need(mdb_cursor_del(s.cursor, 0), "delete");
    end(&s);
}

/* ---- files ---- */

long damage_file_size(const char *path)
{
    struct stat st;
    need(stat(path, &st) == 0 ? 0 : errno, path);
    return (long)st.st_size;
}

void damage_file(const char *path, long offset, uint8_t mask)
{
    uint8_t b;
    FILE *f = fopen(path, "r+be");
    need(f ? 0 : errno, path);
    bool ok = fseek(f, offset, SEEK_SET) == 0 && fread(&b, 1, 1, f) == 1;
    b ^= mask;
    ok = ok && fseek(f, offset, SEEK_SET) == 0 && fwrite(&b, 1, 1, f) == 1;
    need(fclose(f) == 0 && ok ? 0 : EIO, path);
}

void damage_cut(const char *path, long size)
{
    need(truncate(path, size) == 0 ? 0 : errno, path);
}

static char copy_from[512], copy_to[512];

static int copy_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    char to[1024], block[65536];
    size_t n;
    (void)st, (void)at;
    (void)snprintf(to, sizeof to, "%s%s", copy_to, path + strlen(copy_from));
    if (type == FTW_D)
        return mkdir(to, 0700);
    FILE *in = fopen(path, "rbe"), *out = fopen(to, "wbe");
    while (in && out && (n = fread(block, 1, sizeof block, in)) > 0)
        if (fwrite(block, 1, n, out) != n)
            break;
    bool ok = in && out && feof(in);
    if (in)
        (void)fclose(in);
    return !(out && fclose(out) == 0 && ok);
}

void damage_copy(const char *from, const char *to)
{
    (void)snprintf(copy_from, sizeof copy_from, "%s", from);
    (void)snprintf(copy_to, sizeof copy_to, "%s", to);
    need(nftw(from, copy_one, 16, FTW_PHYS) == 0 ? 0 : EIO, "copy");
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    return remove(path);
}

void damage_remove(const char *dir)
{
    need(nftw(dir, remove_one, 16, FTW_PHYS | FTW_DEPTH) == 0 ? 0 : EIO, "remove");
}
