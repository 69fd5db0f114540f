/* SPDX-License-Identifier: Apache-2.0
 * The checkpoint thread: one background writer of state_store. One checkpoint at a time; the loop
 * hands over a buffer of changes and goes on.
 *
 * Completion: on_done is called once per checkpoint taken, on the checkpoint thread, when it is
 * durable; only then is the buffer the caller's again. on_fatal: at most once, instead of on_done;
 * the process must end with the reason.
 */
#ifndef HOLDFAST_LEDGER_CHECKPOINT_THREAD_H
#define HOLDFAST_LEDGER_CHECKPOINT_THREAD_H

#include "ledger/store/sweep.h"

struct checkpoint_thread;

struct checkpoint_thread_calls {
    void *ctx;
    void (*on_done)(void *ctx, uint64_t applied_index, uint64_t nanos);
    void (*on_fatal)(void *ctx, const char *why);
    const struct state_sweep_rules *sweep; /* NULL: dead records stay */
};

__attribute__((warn_unused_result)) int
checkpoint_thread_start(struct checkpoint_thread **out, struct state_store *store,
                        const struct checkpoint_thread_calls *calls);
/* 0, or -EBUSY while one is being written (nothing was taken). The changes must stay unchanged
 * until on_done; meta is copied. */
__attribute__((warn_unused_result)) int checkpoint_thread_write(struct checkpoint_thread *t,
                                                                const struct state_changes *c,
                                                                const struct state_meta *meta);
void checkpoint_thread_stop(struct checkpoint_thread *t); /* finishes the one in hand */

#endif
