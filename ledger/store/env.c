/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/store/env.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(sizeof(size_t) == 8, "the offsets below are those of a 64-bit LMDB");

/* LMDB's file format: two meta pages at the front, each a 16-byte page header and this. */
enum {
    META_MAGIC = 0xBEEFC0DE,
    META_VERSION = 1,
    META_HEAD = 16,     /* page header before the meta record */
    META_PSIZE_AT = 24, /* of the free-page table's record, which carries the page size */
    META_ROOT_AT = 40,  /* root page inside a table record */
    META_FREE_AT = 24,  /* the free-page table's record inside the meta record */
    META_TABLE_SIZE = 48,
    META_READ = META_HEAD + META_FREE_AT + 2 * META_TABLE_SIZE + 16,
    READERS_MAX = 126,
};

int env_errno(int code)
{
    switch (code) {
    case 0:
        return 0;
    case MDB_NOTFOUND:
        return -ENOENT;
    case MDB_MAP_FULL:
        return -ENOSPC;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_INCOMPATIBLE:
    case MDB_PANIC:
        return -EUCLEAN;
    case MDB_VERSION_MISMATCH:
        return -ENOTSUP;
    default:
        return code > 0 ? -code : -EIO;
    }
}

int env_fail(struct store_why *why, int code, const char *what, const char *dir)
{
    bool damaged = code == MDB_CORRUPTED || code == MDB_PAGE_NOTFOUND || code == MDB_INVALID ||
                   code == MDB_BAD_DBI || code == MDB_INCOMPATIBLE;
    return store_why_set(why, env_errno(code), "%s %s: %s%s", what, dir, damaged ? "damaged: " : "",
                         mdb_strerror(code));
}

int env_sync_dir(const char *dir, struct store_why *why)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return store_why_set(why, -errno, "open %s: %s", dir, strerror(errno));
    int rv = fsync(fd) == 0 ? 0 : -errno;
    (void)close(fd);
    if (rv)
        return store_why_set(why, rv, "sync %s: %s", dir, strerror(-rv));
    return 0;
}

int env_make_dir(const char *dir, struct store_why *why)
{
    if (mkdir(dir, 0700) != 0)
        return store_why_set(why, -errno, "create %s: %s", dir, strerror(errno));
    char parent[PATH_MAX];
    (void)snprintf(parent, sizeof parent, "%s", dir);
    return env_sync_dir(dirname(parent), why);
}

/* One meta page: 0 and the highest root page it names, or -1 if it is no meta page. */
static int look_at_meta(const uint8_t *page, uint32_t *psize, uint64_t *top_root)
{
    uint32_t magic, version;
    memcpy(&magic, page + META_HEAD, 4);
    memcpy(&version, page + META_HEAD + 4, 4);
    if (magic != META_MAGIC || version != META_VERSION)
        return -1;
    memcpy(psize, page + META_HEAD + META_PSIZE_AT, 4);
    for (unsigned i = 0; i < 2; i++) {
        uint64_t root;
        memcpy(&root, page + META_HEAD + META_FREE_AT + i * META_TABLE_SIZE + META_ROOT_AT, 8);
        if (root != UINT64_MAX && root > *top_root)
            *top_root = root;
    }
    return 0;
}

/* A missing or empty file is a new environment, for who may write. */
static int look_at_file(const char *dir, enum env_mode mode, struct store_why *why)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/data.mdb", dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0
                               : store_why_set(why, -errno, "open %s: %s", path, strerror(errno));
    struct stat st;
    uint8_t head[META_READ];
    uint32_t psize = 0, other = 0;
    uint64_t top = 0;
    int rv = 0;
    if (fstat(fd, &st) != 0) {
        rv = store_why_set(why, -errno, "stat %s: %s", path, strerror(errno));
    } else if (st.st_size > 0 || mode != ENV_WRITE) {
        const char *bad = NULL;
        if (st.st_size == 0)
            bad = "is empty";
        else if (pread(fd, head, sizeof head, 0) != (ssize_t)sizeof head)
            bad = "is cut short";
        else if (look_at_meta(head, &psize, &top) != 0 || psize < 256 || psize > 65536 ||
                 (psize & (psize - 1)) != 0)
            bad = "has no LMDB head";
        else if (pread(fd, head, sizeof head, psize) != (ssize_t)sizeof head ||
                 look_at_meta(head, &other, &top) != 0 || other != psize)
            bad = "has no second LMDB head";
        else if ((uint64_t)st.st_size / psize <= top)
            bad = "is cut short";
        if (bad)
            rv = store_why_set(why, -EUCLEAN,
                               "%s %s: damaged; restore it from a copy or re-seed "
                               "this node",
                               path, bad);
    }
    (void)close(fd);
    return rv;
}

/* The list of free pages, which only writers follow: a reader that finds all well may still be let
 * into a file on whose damage the first write faults. */
static int look_at_free_pages(MDB_env *env)
{
    enum { FREE_TABLE = 0 };
    MDB_txn *txn;
    MDB_cursor *cursor;
    MDB_val key, pages;
    int rv = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);
    if (rv)
        return rv;
    if ((rv = mdb_cursor_open(txn, FREE_TABLE, &cursor)) == 0) {
        size_t sum = 0;
        while ((rv = mdb_cursor_get(cursor, &key, &pages, MDB_NEXT)) == 0) {
            size_t n = 0;
            if (pages.mv_size >= sizeof n)
                memcpy(&n, pages.mv_data, sizeof n);
            if (pages.mv_size < sizeof n || n > pages.mv_size / sizeof n - 1) {
                rv = MDB_CORRUPTED;
                break;
            }
            for (size_t i = 0; i < pages.mv_size; i += 512)
                sum += ((const volatile uint8_t *)pages.mv_data)[i]; /* or it faults here */
        }
        (void)sum;
        mdb_cursor_close(cursor);
    }
    mdb_txn_abort(txn);
    return rv == MDB_NOTFOUND ? 0 : rv;
}

int env_open(MDB_env **out, const char *dir, enum env_mode mode, uint64_t map_bytes,
             unsigned tables, struct store_why *why)
{
    static const unsigned flags[] = {
        [ENV_WRITE] = MDB_NOTLS, /* never NOSYNC or NOMETASYNC */
        [ENV_LIVE] = MDB_NOTLS | MDB_RDONLY,
        [ENV_COPY] = MDB_NOTLS | MDB_RDONLY | MDB_NOLOCK,
    };
    int rv = look_at_file(dir, mode, why);
    if (rv)
        return rv;
    MDB_env *env;
    rv = mdb_env_create(&env);
    if (rv)
        return env_fail(why, rv, "LMDB", dir);
    if ((rv = mdb_env_set_maxdbs(env, tables)) != 0 ||
        (rv = mdb_env_set_maxreaders(env, READERS_MAX)) != 0 ||
        (mode == ENV_WRITE && (rv = mdb_env_set_mapsize(env, map_bytes)) != 0) ||
        (rv = mdb_env_open(env, dir, flags[mode], 0600)) != 0 ||
        (mode == ENV_COPY && (rv = look_at_free_pages(env)) != 0)) {
        mdb_env_close(env);
        return env_fail(why, rv, "open", dir);
    }
    if (mode == ENV_WRITE)
        env_sweep_readers(env);
    *out = env;
    return 0;
}

void env_sweep_readers(MDB_env *env)
{
    int dead;
    (void)mdb_reader_check(env, &dead);
}

uint64_t env_used_bytes(MDB_env *env)
{
    MDB_envinfo info;
    MDB_stat stat;
    if (mdb_env_info(env, &info) != 0 || mdb_env_stat(env, &stat) != 0)
        return 0;
    return ((uint64_t)info.me_last_pgno + 1) * stat.ms_psize;
}
