/* SPDX-License-Identifier: Apache-2.0
 * A fresh directory for a test of the stores, removed with all it holds.
 */
#ifndef HOLDFAST_TESTS_UNIT_STORE_TMP_H
#define HOLDFAST_TESTS_UNIT_STORE_TMP_H

#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char store_tmp_root[64];

static inline int store_tmp_setup(void **state)
{
    (void)state;
    (void)snprintf(store_tmp_root, sizeof store_tmp_root, "/tmp/hf-store-XXXXXX");
    return mkdtemp(store_tmp_root) ? 0 : -1;
}

static inline int store_tmp_remove_one(const char *path, const struct stat *st, int type,
                                       struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static inline void store_tmp_remove(const char *path)
{
    (void)nftw(path, store_tmp_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline int store_tmp_teardown(void **state)
{
    (void)state;
    store_tmp_remove(store_tmp_root);
    return 0;
}

static inline const char *store_tmp_path(const char *name)
{
    static char path[4][PATH_MAX]; /* a few at a time */
    static unsigned turn;
    char *p = path[turn++ % 4];
    (void)snprintf(p, PATH_MAX, "%s/%s", store_tmp_root, name);
    return p;
}

/* Files only, as `cp` would: no lock is copied that a reader could hold. */
static inline void store_tmp_copy(const char *from, const char *to)
{
    char command[3 * PATH_MAX];
    (void)snprintf(command, sizeof command, "cp -r '%s' '%s'", from, to);
    if (system(command) != 0)
        abort();
}

/* Overwrites (length > 0) or cuts (length 0) a file at `at`. */
static inline void store_tmp_damage(const char *path, long at, size_t length)
{
    if (length == 0) {
        if (truncate(path, at) != 0)
            abort();
        return;
    }
    FILE *f = fopen(path, "r+b");
    if (!f || fseek(f, at, SEEK_SET) != 0)
        abort();
    for (size_t i = 0; i < length; i++)
        (void)fputc(0xA5, f);
    (void)fclose(f);
}

#endif
