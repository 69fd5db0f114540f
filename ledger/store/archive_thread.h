/* SPDX-License-Identifier: Apache-2.0
 * The archive thread: looks at the log now and then, copies what is sealed and applied into the
 * archive, and says from where on the log is still wanted by the rules of retention. It unlinks
 * nothing: that is the log thread's, once consensus agrees.
 *
 * A sealed segment may go when it is archived (or trim_unarchived) and older than keep_s, or the
 * log is larger than keep_bytes; with neither set nothing goes. A failure (the archive's disk is
 * full, its directory is another cluster's) is told once for each cause and tried again: the log
 * grows until an operator acts, nothing is lost.
 */
#ifndef HOLDFAST_LEDGER_ARCHIVE_THREAD_H
#define HOLDFAST_LEDGER_ARCHIVE_THREAD_H

#include "ledger/store/archive.h"

enum { ARCHIVE_EVERY_MS = 5000 };

struct archive_thread_config {
    const char *archive; /* a directory; NULL: nothing is archived */
    struct archive_owner owner;
    uint64_t keep_bytes, keep_s; /* 0: no such rule */
    bool trim_unarchived;
    unsigned every_ms; /* 0: ARCHIVE_EVERY_MS */
    void *ctx;
    /* All on the archive thread. */
    void (*on_wanted)(void *ctx, uint64_t first); /* what is before may go */
    void (*on_archived)(void *ctx, uint64_t first, uint64_t last);
    void (*on_failed)(void *ctx, const char *why);
};

struct archive_thread;

/* config's texts and the store outlive it. */
__attribute__((warn_unused_result)) int
archive_thread_start(struct archive_thread **out, struct log_store *log,
                     const struct archive_thread_config *config);
/* The state is durable up to here: what is sealed below may be archived. Any thread. */
void archive_thread_applied(struct archive_thread *t, uint64_t index);
void archive_thread_stop(struct archive_thread *t); /* an entry's copy in hand is given up */

/* From where on the log is wanted by the rules, now_s being Unix time; 0: all of it. Pure but for
 * looking at the segments. */
uint64_t archive_wanted(struct log_store *log, const struct archive_thread_config *config,
                        uint64_t archived, int64_t now_s);

#endif
