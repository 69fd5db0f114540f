/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/backup/backup.h"

#include "ledger/store/data_mark.h"
#include "ledger/store/env.h"
#include "ledger/store/state_store.h"
#include "proto/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct taking {
    const char *data;
    char to[PATH_MAX - 128]; /* the directory being filled */
    const struct backup_watch *watch;
    struct backup_manifest m;
    struct state_store *state;
    struct log_store *log;
    struct archive *files;
    uint64_t log_total;
};

static bool tell(const struct backup_watch *w, const char *what, uint64_t done, uint64_t total)
{
    return !w || !w->on_progress || w->on_progress(w->ctx, what, done, total);
}

int backup_sum_file(const char *path, struct proto_hash *sum, uint64_t *bytes,
                    struct store_why *why)
{
    static const size_t room = 1 << 20;
    struct proto_sha256 h;
    int rv = 0;
    uint8_t *b = malloc(room);
    FILE *f = b ? fopen(path, "rbe") : NULL;
    if (!f) {
        free(b);
        return store_why_set(why, -errno, "open %s: %s", path, strerror(errno));
    }
    proto_sha256_init(&h);
    *bytes = 0;
    size_t n;
    while ((n = fread(b, 1, room, f)) > 0) {
        proto_sha256_add(&h, b, n);
        *bytes += n;
    }
    if (ferror(f))
        rv = store_why_set(why, -EIO, "read %s: %s", path, strerror(errno));
    proto_sha256_out(&h, sum);
    (void)fclose(f);
    free(b);
    return rv;
}

/* ---- the state ---- */

static int copy_state(struct taking *k, struct store_why *why)
{
    char dir[PATH_MAX], path[PATH_MAX];
    (void)snprintf(dir, sizeof dir, "%s/state", k->to);
    (void)snprintf(path, sizeof path, "%s/state/data.mdb", k->to);
    int rv = env_make_dir(dir, why);
    if (rv)
        return rv;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return store_why_set(why, -errno, "create %s: %s", path, strerror(errno));
    rv = state_store_copy(k->state, fd, why);
    if (rv == 0 && fsync(fd) != 0)
        rv = store_why_set(why, -errno, "sync %s: %s", path, strerror(errno));
    (void)close(fd);
    if (rv == 0)
        rv = env_sync_dir(dir, why);
    return rv ? rv : backup_sum_file(path, &k->m.state_sum, &k->m.state_bytes, why);
}

/* Where the copy stands is read from the copy. */
static int read_position(struct taking *k, struct store_why *why)
{
    char dir[PATH_MAX];
    struct state_store *copy;
    struct state_reader r;
    struct state_meta meta;
    (void)snprintf(dir, sizeof dir, "%s/state", k->to);
    int rv = state_store_open(&copy, dir, STATE_STORE_COPY, NULL, why);
    if (rv)
        return rv;
    k->m.records = state_store_records(copy);
    rv = state_reader_open(&r, copy, why);
    if (rv == 0) {
        rv = state_reader_meta(&r, &meta);
        if (rv)
            (void)store_why_set(why, rv, "%s: where it stands cannot be read", dir);
        state_reader_close(&r);
    }
    state_store_close(copy);
    if (rv)
        return rv;
    if (meta.applied_index == 0)
        return store_why_set(why, -ENODATA, "%s: nothing has been written to this ledger yet",
                             k->data);
    k->m.index = meta.applied_index;
    k->m.term = meta.applied_term;
    k->m.clock_us = meta.clock_us;
    k->m.chain = meta.chain;
    return 0;
}

/* ---- the log ---- */

static bool on_entries(void *ctx, uint64_t last, uint64_t raw_bytes)
{
    struct taking *k = ctx;
    (void)raw_bytes;
    return tell(k->watch, "log", last - k->m.log_first + 1, k->m.index - k->m.log_first + 1);
}

static int copy_log(struct taking *k, struct store_why *why)
{
    const struct archive_owner owner = {k->m.taken_from.cluster, k->m.taken_from.group};
    const struct archive_watch watch = {k, on_entries};
    struct log_span span;
    int rv = log_store_refresh(k->log, why); /* the state may have moved past the first look */
    k->m.log_first = log_store_first(k->log);
    if (rv == 0 && (k->m.log_first == 0 || k->m.log_first > k->m.index))
        return store_why_set(why, -ENODATA,
                             "%s was seeded at entry %" PRIu64 " and has logged nothing since that "
                             "is in its state: back another node up, or this one later",
                             k->data, k->m.index);
    if (rv == 0 &&
        (log_store_last(k->log) < k->m.index || log_store_term(k->log, k->m.index) != k->m.term))
        rv = store_why_set(why, -EUCLEAN,
                           "the state stands at entry %" PRIu64 " of term %" PRIu64
                           ", which the log does not hold",
                           k->m.index, k->m.term);
    for (unsigned i = 0; rv == 0 && log_store_span(k->log, i, &span) && span.first <= k->m.index;
         i++)
        rv = archive_add(k->files, k->log, &owner, span.last < k->m.index ? span.last : k->m.index,
                         &watch, why);
    if (rv)
        return rv;
    k->m.log_files = archive_files(k->files);
    for (unsigned i = 0; i < k->m.log_files; i++)
        k->m.log_bytes += archive_facts(k->files, i)->file_bytes;
    k->m.log_link = archive_facts(k->files, k->m.log_files - 1)->link;
    return 0;
}

/* ---- the whole ---- */

/* A state that the majority contradicts would become a new cluster's. */
static int refuse_marked(const struct taking *k, struct store_why *why)
{
    char text[DATA_MARK_MAX];
    if (!data_mark_read(k->data, text))
        return 0;
    text[strcspn(text, "\n")] = '\0';
    return store_why_set(why, -EUCLEAN, "%s is marked, back another node up: %.300s", k->data,
                         text);
}

static int fill(struct taking *k, struct store_why *why)
{
    char path[PATH_MAX];
    if (!tell(k->watch, "state", 0, state_store_bytes(k->state)))
        return store_why_set(why, -ECANCELED, "interrupted");
    int rv = copy_state(k, why);
    if (rv == 0)
        rv = read_position(k, why);
    (void)snprintf(path, sizeof path, "%s/log", k->to);
    if (rv == 0)
        rv = archive_open(&k->files, path, ARCHIVE_WRITE, why);
    if (rv == 0)
        rv = copy_log(k, why);
    archive_close(k->files);
    if (rv == 0) {
        (void)snprintf(path, sizeof path, "%s/log/LOCK", k->to);
        (void)unlink(path);         /* nobody will write here again */
        rv = refuse_marked(k, why); /* it may have been found out meanwhile */
    }
    if (rv == 0)
        rv = backup_manifest_write(k->to, &k->m, why);
    return rv ? rv : env_sync_dir(k->to, why);
}

static int open_node(struct taking *k, const struct node_identity *want, struct store_why *why)
{
    char path[PATH_MAX];
    struct node_vote vote;
    (void)snprintf(path, sizeof path, "%s/vote", k->data);
    int rv = refuse_marked(k, why);
    if (rv == 0)
        rv = vote_store_peek(path, &k->m.taken_from, &vote, why);
    if (rv)
        return rv;
    if (want && (!proto_uuid_eq(&want->cluster, &k->m.taken_from.cluster) ||
                 want->group != k->m.taken_from.group || want->node != k->m.taken_from.node))
        return store_why_set(why, -EXDEV, "%s belongs to another cluster or node", k->data);
    (void)snprintf(path, sizeof path, "%s/state", k->data);
    rv = state_store_open(&k->state, path, STATE_STORE_LIVE, NULL, why);
    if (rv)
        return rv;
    (void)snprintf(path, sizeof path, "%s/log", k->data);
    return log_store_open(&k->log, path, LOG_STORE_LIVE, NULL, why);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static int64_t wall_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int take(struct taking *k, const char *to, struct store_why *why)
{
    struct stat st;
    if (stat(to, &st) == 0)
        return store_why_set(why, -EEXIST, "%s exists: nothing was changed", to);
    if (stat(k->to, &st) == 0)
        return store_why_set(why, -EEXIST,
                             "%s is left of a backup that was interrupted, or one is being taken: "
                             "delete it",
                             k->to);
    int rv = env_make_dir(k->to, why);
    if (rv)
        return rv == -ENOENT || rv == -ENOTDIR ? -EINVAL : rv;
    rv = fill(k, why);
    if (rv == 0 && rename(k->to, to) != 0)
        rv = store_why_set(why, -errno, "rename %s: %s", k->to, strerror(errno));
    if (rv) {
        (void)nftw(k->to, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        return rv;
    }
    char parent[PATH_MAX];
    (void)snprintf(parent, sizeof parent, "%s/..", to);
    return env_sync_dir(parent, why);
}

int backup_take(const char *data, const char *to, const struct node_identity *want,
                const struct backup_watch *watch, struct backup_manifest *out,
                struct store_why *why)
{
    struct taking k = {.data = data, .watch = watch, .m = {.taken_us = wall_us()}};
    int hold = -1;
    size_t n = strlen(to);
    while (n > 1 && to[n - 1] == '/')
        n--;
    if (n > sizeof k.to - 16 || strlen(data) > sizeof k.to - 16)
        return store_why_set(why, -ENAMETOOLONG, "path too long: %s", to);
    (void)snprintf(k.to, sizeof k.to, "%.*s.partial", (int)n, to);
    char log[PATH_MAX];
    (void)snprintf(log, sizeof log, "%s/log", data);
    int rv = log_store_hold(log, &hold, why); /* or it might be trimmed meanwhile */
    if (rv == 0)
        rv = open_node(&k, want, why);
    if (rv == 0)
        rv = take(&k, to, why);
    log_store_close(k.log);
    state_store_close(k.state);
    log_store_unhold(hold);
    if (rv == 0)
        *out = k.m;
    return rv;
}
