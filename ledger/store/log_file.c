/* SPDX-License-Identifier: Apache-2.0
 * The writer of log files.
 */
#include "ledger/store/log_file.h"

#include "ledger/store/log_codec.h"
#include "proto/base/check.h"
#include "proto/batch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zstd.h>

enum { LEVEL = 3 }; /* zstd's own default: several times faster than the disk of a log */

struct log_file_writer {
    char path[PATH_MAX];
    int fd;
    struct log_file_facts facts;
    struct proto_sha256 link;
    ZSTD_CCtx *zstd;
    uint8_t *raw, *stored;
    size_t n, stored_max;
    struct log_block block; /* being filled */
};

static int fail(const struct log_file_writer *w, int rv, const char *what, struct store_why *why)
{
    return store_why_set(why, rv, "%s %s: %s", what, w->path, strerror(-rv));
}

static int write_all(struct log_file_writer *w, const void *p, size_t n, struct store_why *why)
{
    const uint8_t *from = p;
    while (n > 0) {
        ssize_t put = write(w->fd, from, n);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return fail(w, put < 0 ? -errno : -EIO, "write", why);
        from += put;
        n -= (size_t)put;
        w->facts.file_bytes += (uint64_t)put;
    }
    return 0;
}

static void writer_free(struct log_file_writer *w)
{
    if (w->fd >= 0)
        (void)close(w->fd);
    (void)ZSTD_freeCCtx(w->zstd);
    free(w->raw);
    free(w->stored);
    free(w);
}

static int start(struct log_file_writer *w, struct store_why *why)
{
    uint8_t head[LOG_HEAD_SIZE];
    w->stored_max = ZSTD_compressBound(LOG_FILE_RAW_MAX);
    w->raw = malloc(LOG_FILE_RAW_MAX);
    w->stored = malloc(w->stored_max);
    w->zstd = ZSTD_createCCtx();
    if (!w->raw || !w->stored || !w->zstd)
        return fail(w, -ENOMEM, "write", why);
    w->fd = open(w->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (w->fd < 0)
        return fail(w, -errno, "create", why);
    log_head_put(head, &w->facts);
    proto_sha256_init(&w->link);
    proto_sha256_add(&w->link, head, sizeof head);
    return write_all(w, head, sizeof head, why);
}

int log_file_create(struct log_file_writer **out, const char *path,
                    const struct log_file_facts *facts, struct store_why *why)
{
    struct log_file_writer *w = calloc(1, sizeof *w);
    if (!w || snprintf(w->path, sizeof w->path, "%s", path) >= (int)sizeof w->path) {
        free(w);
        return store_why_set(why, -ENOMEM, "no memory, or path too long: %s", path);
    }
    CHECK(facts->first > 0);
    w->fd = -1;
    w->facts = (struct log_file_facts){.cluster = facts->cluster,
                                       .group = facts->group,
                                       .previous = facts->previous,
                                       .first = facts->first,
                                       .last = facts->first - 1};
    w->block.first = facts->first;
    int rv = start(w, why);
    if (rv) {
        writer_free(w);
        return rv;
    }
    *out = w;
    return 0;
}

static int end_block(struct log_file_writer *w, struct store_why *why)
{
    uint8_t head[LOG_BLOCK_HEAD_SIZE];
    if (w->n == 0)
        return 0;
    size_t stored = ZSTD_compressCCtx(w->zstd, w->stored, w->stored_max, w->raw, w->n, LEVEL);
    if (ZSTD_isError(stored))
        return store_why_set(why, -EIO, "compress %s: %s", w->path, ZSTD_getErrorName(stored));
    w->block.raw = (uint32_t)w->n;
    w->block.stored = (uint32_t)stored;
    proto_sha256_of(w->stored, stored, &w->block.sum);
    log_block_put(head, &w->block);
    proto_sha256_add(&w->link, head, sizeof head);
    int rv = write_all(w, head, sizeof head, why);
    if (rv == 0)
        rv = write_all(w, w->stored, stored, why);
    w->facts.raw_bytes += w->n;
    w->block = (struct log_block){.first = w->facts.last + 1};
    w->n = 0;
    return rv;
}

/* The newest chain that a leader noted: what a reader can hold against another node's. */
static void note_chain(struct log_file_writer *w, const struct log_entry *e)
{
    struct proto_batch b;
    if (e->kind != ENTRY_COMMAND || !proto_batch_open(&b, e->data, e->len) ||
        b.header.check_index <= w->facts.check_index)
        return;
    w->facts.check_index = b.header.check_index;
    w->facts.check_chain = b.header.check_chain;
}

int log_file_add(struct log_file_writer *w, const struct log_entry *e, struct store_why *why)
{
    CHECK(e->len <= ENTRY_LEN_MAX);
    if (e->index != w->facts.last + 1 || e->term < w->facts.last_term || e->term == 0)
        return store_why_set(why, -EUCLEAN,
                             "entry %" PRIu64 " of term %" PRIu64 " does not follow entry %" PRIu64
                             " of term %" PRIu64,
                             e->index, e->term, w->facts.last, w->facts.last_term);
    uint8_t *p = w->raw + w->n;
    log_put_le(p, e->term, 8);
    p[8] = e->kind;
    log_put_le(p + 9, e->len, 4);
    if (e->len > 0)
        memcpy(p + LOG_ENTRY_HEAD, e->data, e->len);
    w->n += LOG_ENTRY_HEAD + e->len;
    w->block.n++;
    if (w->facts.first_term == 0)
        w->facts.first_term = e->term;
    w->facts.last_term = e->term;
    w->facts.last = e->index;
    note_chain(w, e);
    return w->n >= LOG_FILE_RAW ? end_block(w, why) : 0;
}

int log_file_finish(struct log_file_writer *w, struct log_file_facts *facts, struct store_why *why)
{
    uint8_t trailer[LOG_TRAILER_SIZE];
    CHECK(w->facts.last >= w->facts.first);
    int rv = end_block(w, why);
    log_trailer_put(trailer, &w->facts);
    proto_sha256_add(&w->link, trailer, LOG_TRAILER_SIZE - LOG_LINK_SIZE);
    proto_sha256_out(&w->link, &w->facts.link);
    log_trailer_put(trailer, &w->facts);
    if (rv == 0)
        rv = write_all(w, trailer, sizeof trailer, why);
    if (rv == 0 && fsync(w->fd) != 0)
        rv = fail(w, -errno, "sync", why);
    if (rv) {
        log_file_abandon(w);
        return rv;
    }
    *facts = w->facts;
    writer_free(w);
    return 0;
}

void log_file_abandon(struct log_file_writer *w)
{
    if (!w)
        return;
    (void)unlink(w->path);
    writer_free(w);
}
