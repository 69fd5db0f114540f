/* SPDX-License-Identifier: Apache-2.0
 * The newest entries of the log in memory: what waits for the disk, what is not applied yet, and,
 * within a bound of bytes, what followers may still ask for. Not thread-safe.
 *
 * Payloads live in blocks: one allocation per event that brought entries, with the entries array
 * the log thread is handed. A block is libraft's "batch" while the engine decides (its memory is
 * malloc's, too: engine_heap.h); afterwards it is counted: one reference per entry held here, one
 * while the log writes it. The log thread only reads it, and only while that reference stands.
 */
#ifndef HOLDFAST_LEDGER_TAIL_H
#define HOLDFAST_LEDGER_TAIL_H

#include "ledger/store/entry.h"

struct block {
    unsigned refs;
    unsigned n;
    struct log_entry entry[];
};

/* For n entries with `bytes` of payload in all, which begins at block_payload. NULL: no memory. */
struct block *block_new(unsigned n, size_t bytes);
uint8_t *block_payload(struct block *b);
void block_unref(struct block *b);

struct tail_slot {
    struct log_entry entry;
    struct block *block;
};

struct tail {
    struct tail_slot *slot; /* ring of cap (a power of two) */
    size_t cap, head, n;
    uint64_t first; /* index of slot[head]; meaningless while n is 0 */
    uint64_t bytes;
};

void tail_init(struct tail *t);
void tail_close(struct tail *t);
/* Adds entry e of b; an index that does not follow the last one empties the tail first.
 * 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int tail_push(struct tail *t, const struct log_entry *e,
                                                  struct block *b);
void tail_truncate(struct tail *t, uint64_t from);
/* Forgets the oldest entries, none past `keep_after`, until at most max_bytes are held. */
void tail_evict(struct tail *t, uint64_t keep_after, uint64_t max_bytes);
const struct log_entry *tail_get(const struct tail *t, uint64_t index); /* NULL: not here */

#endif
