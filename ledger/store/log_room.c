/* SPDX-License-Identifier: Apache-2.0
 * Room at the end of the newest segment's file, written with zeros before LMDB gets there. A commit
 * into blocks that the file has already is data alone; one that makes the file longer also writes
 * its inode and the file system's books, and waits for them (docs/performance.md has the figures).
 *
 * Writer thread, between transactions: only then is nobody else writing to the file. Zeros go
 * behind the file's end only, never onto what LMDB wrote. Nothing depends on them: where they are
 * missing after a crash, or the disk has no room for them, commits are as slow as without.
 */
#include "ledger/store/log_segment.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    ROOM_STEP = 1 << 20, /* at once: what the next commit has to flush besides */
    ROOM_MAX = 16 << 20, /* in all */
    ROOM_SHARE = 4,      /* and at most a fourth of what is used: a small log stays small */
};

static const uint8_t zeros[64 * 1024];

/* 0, or nothing can be said of it. */
static uint64_t size_of(struct log_segment *g, int *fd)
{
    struct stat st;
    if (mdb_env_get_fd(g->env, fd) != 0 || fstat(*fd, &st) != 0 || st.st_size < 0)
        return 0;
    return (uint64_t)st.st_size;
}

void log_store_make_room(struct log_store *s)
{
    struct log_segment *g = s->segment[s->n - 1];
    int fd;
    if (!g->env)
        return;
    uint64_t used = env_used_bytes(g->env), size = size_of(g, &fd);
    uint64_t want = used / ROOM_SHARE < ROOM_MAX ? used / ROOM_SHARE : ROOM_MAX;
    if (used + want > s->segment_bytes + ROOM_STEP)
        want = 0; /* it will be sealed soon */
    if (size == 0 || want < sizeof zeros || size >= used + want / 2)
        return;
    uint64_t from = size > used ? size : used, to = from + ROOM_STEP;
    if (to > used + want)
        to = used + want;
    for (uint64_t at = from; at < to;) {
        uint64_t n = to - at < sizeof zeros ? to - at : sizeof zeros;
        ssize_t put = pwrite(fd, zeros, (size_t)n, (off_t)at);
        if (put <= 0)
            return;
        at += (uint64_t)put;
    }
    /* Begun now, it is mostly done when the next commit waits for the file. */
    (void)sync_file_range(fd, (off_t)from, (off_t)(to - from), SYNC_FILE_RANGE_WRITE);
}

void segment_give_back(struct log_segment *g)
{
    int fd;
    uint64_t used = env_used_bytes(g->env), size = size_of(g, &fd);
    if (used > 0 && size > used)
        (void)!ftruncate(fd, (off_t)used);
}
