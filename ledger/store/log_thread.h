/* SPDX-License-Identifier: Apache-2.0
 * The log thread: takes appends in order, writes everything that waits in one transaction, and
 * reports each append when it is durable, in order.
 *
 * Completion: `on_persisted` is called once per append, in order, on the log thread, after the
 * append is durable. The entries (and their payloads) stay the caller's and must live until then.
 * `on_fatal` is called at most once, instead of all further completions: the process must end
 * with the reason (a log that failed a write is not to be trusted with the next one).
 * After log_thread_stop returns nothing is called any more; what was queued has been written.
 */
#ifndef HOLDFAST_LEDGER_LOG_THREAD_H
#define HOLDFAST_LEDGER_LOG_THREAD_H

#include "ledger/store/log_store.h"

enum { LOG_THREAD_QUEUE_MAX = 4096 }; /* appends that wait; the pump stays far below */

struct log_thread;

struct log_thread_calls {
    void *ctx;
    void (*on_persisted)(void *ctx, uint64_t first, uint64_t last);
    void (*on_fatal)(void *ctx, const char *why);
    /* The log begins at `first` now; why: it could not be (or not all of it). May be NULL. */
    void (*on_trimmed)(void *ctx, uint64_t first, const char *why);
};

__attribute__((warn_unused_result)) int log_thread_start(struct log_thread **out,
                                                         struct log_store *store,
                                                         const struct log_thread_calls *calls);
/* 0 (after a failure it is taken and forgotten: on_fatal has the reason); -ENOBUFS when the queue
 * is full (nothing was taken). Any thread, one at a time. */
__attribute__((warn_unused_result)) int
log_thread_append(struct log_thread *t, const struct log_entry *entries, unsigned n);
/* Segments that end before `first` are unlinked, by the log thread; a failure is told to on_trimmed
 * and changes nothing. Any thread. */
void log_thread_trim(struct log_thread *t, uint64_t first);
void log_thread_stop(struct log_thread *t); /* writes what is queued, joins, frees */

struct log_thread_stats {
    uint64_t appends, entries, bytes, commits; /* commits: transactions, so fsyncs */
    uint64_t commit_nanos;                     /* spent in them */
    unsigned queued;
};
void log_thread_stats(struct log_thread *t, struct log_thread_stats *out);

#endif
