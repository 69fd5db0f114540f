/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/store/archive.h"

#include "ledger/store/env.h"
#include "proto/base/check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    NAME_DIGITS = 20,
    PAGE_ENTRIES = 4096,
    PAGE_BYTES = 4 << 20,
};
#define SUFFIX ".hflog"

struct archive {
    char dir[PATH_MAX - 64];
    int lock_fd;
    struct log_file_facts *facts; /* ascending */
    unsigned n, cap;
    struct log_file *file; /* the one read last; NULL: none */
    unsigned open;         /* its number */
};

void archive_name(const struct archive *a, unsigned i, char out[32])
{
    (void)snprintf(out, 32, "%0*" PRIu64 SUFFIX, NAME_DIGITS, a->facts[i].first);
}

static void path_of(const struct archive *a, uint64_t first, const char *suffix, char out[PATH_MAX])
{
    (void)snprintf(out, PATH_MAX, "%s/%0*" PRIu64 SUFFIX "%s", a->dir, NAME_DIGITS, first, suffix);
}

/* ---- open ---- */

static int add_facts(struct archive *a, const struct log_file_facts *f, struct store_why *why)
{
    if (a->n == a->cap) {
        unsigned cap = a->cap ? a->cap * 2 : 16;
        struct log_file_facts *facts = realloc(a->facts, cap * sizeof *facts);
        if (!facts)
            return store_why_set(why, -ENOMEM, "no memory for the archive's files");
        a->facts = facts;
        a->cap = cap;
    }
    a->facts[a->n++] = *f;
    return 0;
}

static bool is_ours(const char *name, const char *suffix)
{
    return strspn(name, "0123456789") == NAME_DIGITS && strcmp(name + NAME_DIGITS, suffix) == 0;
}

static int find_files(struct archive *a, struct store_why *why)
{
    DIR *d = opendir(a->dir);
    if (!d)
        return store_why_set(why, -errno, "open %s: %s", a->dir, strerror(errno));
    int rv = 0;
    struct dirent *e;
    while (rv == 0 && (e = readdir(d)) != NULL) {
        char path[PATH_MAX];
        struct log_file_facts f;
        (void)snprintf(path, sizeof path, "%s/%.48s", a->dir, e->d_name);
        if (a->lock_fd >= 0 && is_ours(e->d_name, SUFFIX ".new"))
            (void)unlink(path); /* a write that was interrupted */
        if (!is_ours(e->d_name, SUFFIX))
            continue;
        rv = log_file_peek(path, &f, why);
        if (rv == 0 && f.first != strtoull(e->d_name, NULL, 10))
            rv = store_why_set(why, -EUCLEAN, "%s begins at entry %" PRIu64, path, f.first);
        if (rv == 0)
            rv = add_facts(a, &f, why);
    }
    (void)closedir(d);
    return rv;
}

static int by_first(const void *x, const void *y)
{
    const struct log_file_facts *a = x, *b = y;
    return a->first < b->first ? -1 : a->first > b->first;
}

static int check_chain(const struct archive *a, struct store_why *why)
{
    for (unsigned i = 1; i < a->n; i++) {
        const struct log_file_facts *f = &a->facts[i], *before = &a->facts[i - 1];
        if (!proto_uuid_eq(&f->cluster, &before->cluster) || f->group != before->group)
            return store_why_set(why, -EUCLEAN,
                                 "%s: the file of entry %" PRIu64 " is of another cluster", a->dir,
                                 f->first);
        if (f->first != before->last + 1)
            return store_why_set(why, -EUCLEAN,
                                 "%s: entries %" PRIu64 " to %" PRIu64 " are missing", a->dir,
                                 before->last + 1, f->first - 1);
        if (memcmp(&f->previous, &before->link, sizeof f->previous) != 0 ||
            f->first_term < before->last_term)
            return store_why_set(why, -EUCLEAN,
                                 "%s: the file of entry %" PRIu64
                                 " was not written behind the one before it: one of them was "
                                 "exchanged",
                                 a->dir, f->first);
    }
    return 0;
}

static int take_lock(struct archive *a, struct store_why *why)
{
    char path[PATH_MAX];
    struct stat st;
    if (stat(a->dir, &st) != 0 && errno == ENOENT) {
        int rv = env_make_dir(a->dir, why);
        if (rv)
            return rv;
    }
    (void)snprintf(path, sizeof path, "%s/LOCK", a->dir);
    a->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (a->lock_fd < 0)
        return store_why_set(why, -errno, "open %s: %s", path, strerror(errno));
    if (flock(a->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return store_why_set(why, errno == EWOULDBLOCK ? -EBUSY : -errno,
                             "%s is being written by another process", a->dir);
    return 0;
}

int archive_open(struct archive **out, const char *dir, enum archive_mode mode,
                 struct store_why *why)
{
    struct archive *a = calloc(1, sizeof *a);
    if (!a || snprintf(a->dir, sizeof a->dir, "%s", dir) >= (int)sizeof a->dir) {
        free(a);
        return store_why_set(why, -ENOMEM, "no memory, or path too long: %s", dir);
    }
    a->lock_fd = -1;
    int rv = mode == ARCHIVE_WRITE ? take_lock(a, why) : 0;
    if (rv == 0)
        rv = find_files(a, why);
    if (rv == 0 && a->n > 1)
        qsort(a->facts, a->n, sizeof *a->facts, by_first);
    if (rv == 0)
        rv = check_chain(a, why);
    if (rv) {
        archive_close(a);
        return rv;
    }
    *out = a;
    return 0;
}

void archive_close(struct archive *a)
{
    if (!a)
        return;
    log_file_close(a->file);
    if (a->lock_fd >= 0)
        (void)close(a->lock_fd);
    free(a->facts);
    free(a);
}

uint64_t archive_first(const struct archive *a)
{
    return a->n > 0 ? a->facts[0].first : 0;
}

uint64_t archive_last(const struct archive *a)
{
    return a->n > 0 ? a->facts[a->n - 1].last : 0;
}

unsigned archive_files(const struct archive *a)
{
    return a->n;
}

const struct log_file_facts *archive_facts(const struct archive *a, unsigned i)
{
    return &a->facts[i];
}

/* ---- read ---- */

static int open_file(struct archive *a, unsigned i, struct store_why *why)
{
    char path[PATH_MAX];
    if (a->file && a->open == i)
        return 0;
    log_file_close(a->file);
    a->file = NULL;
    path_of(a, a->facts[i].first, "", path);
    int rv = log_file_open(&a->file, path, why);
    if (rv) {
        a->file = NULL;
        return rv;
    }
    a->open = i;
    const struct log_file_facts *f = log_file_facts(a->file);
    if (memcmp(&f->link, &a->facts[i].link, sizeof f->link) != 0)
        return store_why_set(why, -EUCLEAN, "%s was exchanged while it was read", path);
    return 0;
}

int archive_read(struct archive *a, uint64_t first, unsigned max, size_t max_bytes,
                 struct log_page *page, struct store_why *why)
{
    page->n = 0;
    page->used = 0;
    for (unsigned i = 0; i < a->n; i++) {
        if (first < a->facts[i].first || first > a->facts[i].last)
            continue;
        int rv = open_file(a, i, why);
        return rv ? rv : log_file_read(a->file, first, max, max_bytes, page, why);
    }
    return 0;
}

int archive_verify(struct archive *a, const struct archive_watch *watch, struct store_why *why)
{
    struct log_page page;
    uint64_t next = archive_first(a), bytes = 0, term = 0;
    int got = 0;
    log_page_init(&page);
    while (next <= archive_last(a) && next > 0 &&
           (got = archive_read(a, next, PAGE_ENTRIES, PAGE_BYTES, &page, why)) > 0) {
        for (int i = 0; i < got; i++) {
            if (page.entries[i].term < term) {
                got = store_why_set(why, -EUCLEAN, "%s: entry %" PRIu64 "'s term falls", a->dir,
                                    page.entries[i].index);
                break;
            }
            term = page.entries[i].term;
        }
        if (got < 0)
            break;
        next += (uint64_t)got;
        bytes += page.used;
        if (watch && watch->on_entries && !watch->on_entries(watch->ctx, next - 1, bytes)) {
            got = store_why_set(why, -ECANCELED, "interrupted");
            break;
        }
    }
    log_page_close(&page);
    return got < 0 ? got : 0;
}

/* ---- write ---- */

/* The archive's end must be in the log with the same term, or be the entry before it. */
static int check_owner(const struct archive *a, struct log_store *log,
                       const struct archive_owner *owner, struct store_why *why)
{
    if (a->n == 0)
        return 0;
    const struct log_file_facts *end = &a->facts[a->n - 1];
    if (!proto_uuid_eq(&end->cluster, &owner->cluster) || end->group != owner->group)
        return store_why_set(why, -EXDEV, "%s is the archive of another cluster", a->dir);
    uint64_t first = log_store_first(log);
    if (first > end->last + 1)
        return store_why_set(why, -ERANGE,
                             "%s ends at entry %" PRIu64 ", the log begins at %" PRIu64
                             ": archive into another directory, or bring the archive up to date "
                             "from a node that has the entries between",
                             a->dir, end->last, first);
    uint64_t term = log_store_term(log, end->last);
    if (term != 0 && term != end->last_term)
        return store_why_set(why, -EXDEV,
                             "%s is of another history: entry %" PRIu64 " has term %" PRIu64
                             " there, %" PRIu64 " in the log",
                             a->dir, end->last, end->last_term, term);
    return 0;
}

static int copy_entries(struct log_file_writer *w, struct log_store *log, uint64_t first,
                        uint64_t last, const struct archive_watch *watch, struct store_why *why)
{
    struct log_page page;
    uint64_t bytes = 0;
    int rv = 0;
    log_page_init(&page);
    while (rv == 0 && first <= last) {
        uint64_t left = last - first + 1;
        int got = log_store_read(log, first, left < PAGE_ENTRIES ? (unsigned)left : PAGE_ENTRIES,
                                 PAGE_BYTES, &page, why);
        if (got <= 0)
            rv = got < 0 ? got
                         : store_why_set(why, -EUCLEAN, "entry %" PRIu64 " is missing in the log",
                                         first);
        for (int i = 0; i < got && rv == 0; i++)
            rv = log_file_add(w, &page.entries[i], why);
        first += got > 0 ? (uint64_t)got : 0;
        bytes += page.used;
        if (rv == 0 && watch && watch->on_entries &&
            !watch->on_entries(watch->ctx, first - 1, bytes))
            rv = store_why_set(why, -ECANCELED, "interrupted");
    }
    log_page_close(&page);
    return rv;
}

int archive_add(struct archive *a, struct log_store *log, const struct archive_owner *owner,
                uint64_t last, const struct archive_watch *watch, struct store_why *why)
{
    char fresh[PATH_MAX], path[PATH_MAX];
    struct log_file_writer *w;
    CHECK(a->lock_fd >= 0);
    int rv = check_owner(a, log, owner, why);
    if (rv)
        return rv;
    struct log_file_facts f = {.cluster = owner->cluster,
                               .group = owner->group,
                               .first = a->n > 0 ? archive_last(a) + 1 : log_store_first(log)};
    if (a->n > 0)
        f.previous = a->facts[a->n - 1].link;
    if (f.first == 0 || last < f.first)
        return 0; /* it has all that there is */
    path_of(a, f.first, ".new", fresh);
    path_of(a, f.first, "", path);
    rv = log_file_create(&w, fresh, &f, why);
    if (rv)
        return rv;
    rv = copy_entries(w, log, f.first, last, watch, why);
    if (rv) {
        log_file_abandon(w);
        return rv;
    }
    rv = log_file_finish(w, &f, why);
    if (rv == 0 && rename(fresh, path) != 0)
        rv = store_why_set(why, -errno, "rename %s: %s", fresh, strerror(errno));
    if (rv == 0)
        rv = env_sync_dir(a->dir, why);
    return rv ? rv : add_facts(a, &f, why);
}
