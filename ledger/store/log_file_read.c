/* SPDX-License-Identifier: Apache-2.0
 * The reader of log files. Nothing in a file is believed: every length is checked against the file
 * and the bounds of the format before it is used.
 */
#include "ledger/store/log_file.h"

#include "ledger/store/log_codec.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

struct log_file {
    char path[PATH_MAX];
    int fd;
    struct log_file_facts facts;
    struct log_block *block;
    unsigned n, cap;
    ZSTD_DCtx *zstd;
    uint8_t *raw, *stored; /* of block `at` */
    size_t raw_n;
    unsigned at; /* UINT_MAX: none is loaded */
};

static int bad(const char *path, int rv, const char *what, struct store_why *why)
{
    return store_why_set(why, rv, "%s %s", path, what);
}

static int read_at(int fd, const char *path, uint64_t at, void *p, size_t n, struct store_why *why)
{
    ssize_t got;
    do
        got = pread(fd, p, n, (off_t)at);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return store_why_set(why, -errno, "read %s: %s", path, strerror(errno));
    return (size_t)got == n ? 0 : bad(path, -EUCLEAN, "is cut short", why);
}

/* ---- head and trailer ---- */

static int read_facts(int fd, const char *path, struct log_file_facts *f,
                      uint8_t head[LOG_HEAD_SIZE], uint8_t trailer[LOG_TRAILER_SIZE],
                      struct store_why *why)
{
    struct stat st;
    *f = (struct log_file_facts){0};
    if (fstat(fd, &st) != 0)
        return store_why_set(why, -errno, "stat %s: %s", path, strerror(errno));
    f->file_bytes = (uint64_t)st.st_size;
    if (f->file_bytes < LOG_HEAD_SIZE + LOG_TRAILER_SIZE)
        return bad(path, -EUCLEAN, "is cut short", why);
    int rv = read_at(fd, path, 0, head, LOG_HEAD_SIZE, why);
    if (rv)
        return rv;
    rv = log_head_get(head, f);
    if (rv)
        return bad(path, rv,
                   rv == -ENOTSUP ? "was written by a newer version" : "is no log file of a ledger",
                   why);
    rv = read_at(fd, path, f->file_bytes - LOG_TRAILER_SIZE, trailer, LOG_TRAILER_SIZE, why);
    if (rv)
        return rv;
    return log_trailer_get(trailer, f) ? bad(path, -EUCLEAN, "is cut short or damaged", why) : 0;
}

static int open_file(const char *path, struct store_why *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd >= 0 ? fd : store_why_set(why, -errno, "open %s: %s", path, strerror(errno));
}

int log_file_peek(const char *path, struct log_file_facts *facts, struct store_why *why)
{
    uint8_t head[LOG_HEAD_SIZE], trailer[LOG_TRAILER_SIZE];
    int fd = open_file(path, why);
    if (fd < 0)
        return fd;
    int rv = read_facts(fd, path, facts, head, trailer, why);
    (void)close(fd);
    return rv;
}

/* ---- open ---- */

static int add_block(struct log_file *f, const struct log_block *b, struct store_why *why)
{
    if (f->n == f->cap) {
        unsigned cap = f->cap ? f->cap * 2 : 64;
        struct log_block *block = realloc(f->block, cap * sizeof *block);
        if (!block)
            return bad(f->path, -ENOMEM, "cannot be opened: out of memory", why);
        f->block = block;
        f->cap = cap;
    }
    f->block[f->n++] = *b;
    return 0;
}

static int read_blocks(struct log_file *f, struct proto_sha256 *link, struct store_why *why)
{
    uint8_t head[LOG_BLOCK_HEAD_SIZE];
    uint64_t at = LOG_HEAD_SIZE, end = f->facts.file_bytes - LOG_TRAILER_SIZE;
    uint64_t next = f->facts.first;
    while (at < end) {
        struct log_block b;
        if (end - at < LOG_BLOCK_HEAD_SIZE || f->n == LOG_FILE_BLOCKS_MAX)
            return bad(f->path, -EUCLEAN, "is damaged: a block has no head", why);
        int rv = read_at(f->fd, f->path, at, head, sizeof head, why);
        if (rv)
            return rv;
        log_block_get(head, &b);
        b.at = at + LOG_BLOCK_HEAD_SIZE;
        bool fits = b.raw > 0 && b.raw <= LOG_FILE_RAW_MAX && b.stored <= end - b.at && b.n > 0 &&
                    b.first == next && b.n <= b.raw / LOG_ENTRY_HEAD &&
                    b.stored <= ZSTD_compressBound(LOG_FILE_RAW_MAX);
        if (!fits)
            return bad(f->path, -EUCLEAN, "is damaged: a block's head makes no sense", why);
        rv = add_block(f, &b, why);
        if (rv)
            return rv;
        proto_sha256_add(link, head, sizeof head);
        next = b.first + b.n;
        at = b.at + b.stored;
    }
    if (next != f->facts.last + 1)
        return bad(f->path, -EUCLEAN, "is damaged: entries are missing", why);
    return 0;
}

static int start(struct log_file *f, struct store_why *why)
{
    uint8_t head[LOG_HEAD_SIZE], trailer[LOG_TRAILER_SIZE];
    struct proto_sha256 link;
    struct proto_hash have;
    f->fd = open_file(f->path, why);
    if (f->fd < 0)
        return f->fd;
    int rv = read_facts(f->fd, f->path, &f->facts, head, trailer, why);
    if (rv)
        return rv;
    proto_sha256_init(&link);
    proto_sha256_add(&link, head, sizeof head);
    rv = read_blocks(f, &link, why);
    if (rv)
        return rv;
    proto_sha256_add(&link, trailer, LOG_TRAILER_SIZE - LOG_LINK_SIZE);
    proto_sha256_out(&link, &have);
    if (memcmp(&have, &f->facts.link, sizeof have) != 0)
        return bad(f->path, -EUCLEAN, "is damaged: its hash is another than it says", why);
    f->raw = malloc(LOG_FILE_RAW_MAX);
    f->stored = malloc(ZSTD_compressBound(LOG_FILE_RAW_MAX));
    f->zstd = ZSTD_createDCtx();
    if (!f->raw || !f->stored || !f->zstd)
        return bad(f->path, -ENOMEM, "cannot be opened: out of memory", why);
    return 0;
}

int log_file_open(struct log_file **out, const char *path, struct store_why *why)
{
    struct log_file *f = calloc(1, sizeof *f);
    if (!f || snprintf(f->path, sizeof f->path, "%s", path) >= (int)sizeof f->path) {
        free(f);
        return store_why_set(why, -ENOMEM, "no memory, or path too long: %s", path);
    }
    f->fd = -1;
    f->at = UINT_MAX;
    int rv = start(f, why);
    if (rv) {
        log_file_close(f);
        return rv;
    }
    *out = f;
    return 0;
}

void log_file_close(struct log_file *f)
{
    if (!f)
        return;
    if (f->fd >= 0)
        (void)close(f->fd);
    (void)ZSTD_freeDCtx(f->zstd);
    free(f->block);
    free(f->raw);
    free(f->stored);
    free(f);
}

const struct log_file_facts *log_file_facts(const struct log_file *f)
{
    return &f->facts;
}

/* ---- read ---- */

static int load(struct log_file *f, unsigned i, struct store_why *why)
{
    const struct log_block *b = &f->block[i];
    struct proto_hash have;
    if (f->at == i)
        return 0;
    f->at = UINT_MAX;
    int rv = read_at(f->fd, f->path, b->at, f->stored, b->stored, why);
    if (rv)
        return rv;
    proto_sha256_of(f->stored, b->stored, &have);
    size_t n = 0;
    if (memcmp(&have, &b->sum, sizeof have) == 0)
        n = ZSTD_decompressDCtx(f->zstd, f->raw, LOG_FILE_RAW_MAX, f->stored, b->stored);
    if (ZSTD_isError(n) || n != b->raw)
        return store_why_set(why, -EUCLEAN, "%s is damaged: entries %" PRIu64 " to %" PRIu64,
                             f->path, b->first, b->first + b->n - 1);
    f->raw_n = n;
    f->at = i;
    return 0;
}

static unsigned block_of(const struct log_file *f, uint64_t index)
{
    unsigned lo = 0, hi = f->n; /* the last block that begins at or before index */
    while (hi - lo > 1) {
        unsigned mid = lo + (hi - lo) / 2;
        if (f->block[mid].first <= index)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

/* One entry of the loaded block at *at. */
static int next_entry(const struct log_file *f, size_t *at, struct log_entry *e)
{
    const uint8_t *p = f->raw + *at;
    if (f->raw_n - *at < LOG_ENTRY_HEAD)
        return -EUCLEAN;
    *e = (struct log_entry){.index = e->index,
                            .term = log_get_le(p, 8),
                            .kind = p[8],
                            .len = (uint32_t)log_get_le(p + 9, 4),
                            .data = p + LOG_ENTRY_HEAD};
    *at += LOG_ENTRY_HEAD;
    if (e->len > ENTRY_LEN_MAX || e->len > f->raw_n - *at || e->term < f->facts.first_term ||
        e->term > f->facts.last_term || e->kind < ENTRY_COMMAND || e->kind > ENTRY_CHANGE)
        return -EUCLEAN;
    *at += e->len;
    return 0;
}

static int read_block(struct log_file *f, unsigned i, uint64_t from, unsigned max, size_t max_bytes,
                      struct log_page *page, struct store_why *why)
{
    const struct log_block *b = &f->block[i];
    int rv = load(f, i, why);
    if (rv)
        return rv;
    size_t at = 0;
    for (uint64_t index = b->first; index < b->first + b->n; index++) {
        struct log_entry e = {.index = index};
        if (next_entry(f, &at, &e) != 0)
            return bad(f->path, -EUCLEAN, "is damaged: an entry makes no sense", why);
        if (index < from)
            continue;
        if (page->n == max || page->used >= max_bytes)
            return 0;
        rv = log_page_put(page, &e);
        if (rv)
            return bad(f->path, rv, "cannot be read: out of memory", why);
    }
    return 0;
}

int log_file_read(struct log_file *f, uint64_t first, unsigned max, size_t max_bytes,
                  struct log_page *page, struct store_why *why)
{
    page->n = 0;
    page->used = 0;
    if (first < f->facts.first || first > f->facts.last || max == 0)
        return 0;
    for (unsigned i = block_of(f, first); i < f->n; i++) {
        int rv = read_block(f, i, first, max, max_bytes, page, why);
        if (rv)
            return rv;
        if (page->n == max || page->used >= max_bytes)
            break;
    }
    log_page_settle(page);
    return (int)page->n;
}
