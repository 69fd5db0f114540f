/* SPDX-License-Identifier: Apache-2.0
 * Deletes records that nobody needs any more: with each checkpoint, in its transaction and on its
 * thread, a bounded piece of each range of keys that may hold some; the pieces go round. What is
 * dead is a question to the rules, which must answer alike for as long as the record stands.
 *
 * A piece is SWEEP_LOOKS records, SWEEP_BY_GROWTH for each record by which the range's table has
 * grown with this checkpoint, and SWEEP_BY_FOUND for each dead one of the piece before (at most
 * SWEEP_FOUND_MAX count). So the pace follows the rate at which records are made, when most still
 * live, and the rate at which they die, when no more are made; where nothing is dead it costs next
 * to nothing. A round over n records takes at most n / SWEEP_BY_GROWTH new ones: a table whose
 * records live for L while r come a second never has more than about 1.14 r L.
 */
#ifndef HOLDFAST_LEDGER_SWEEP_H
#define HOLDFAST_LEDGER_SWEEP_H

#include "ledger/store/state_store.h"

enum {
    SWEEP_SPANS = 8,
    SWEEP_LOOKS = 1000,
    SWEEP_BY_GROWTH = 4,
    SWEEP_BY_FOUND = 2,
    SWEEP_FOUND_MAX = 20000,
    SWEEP_SPAN_KEY = 16,
    SWEEP_TABLES = 256, /* values of a key's first byte */
};

struct state_sweep_rules {
    unsigned spans; /* at most SWEEP_SPANS */
    /* The i-th range at this replicated time: from (with it), to (without); keys of one table. */
    void (*span)(unsigned i, int64_t clock_us, uint8_t *from, size_t *from_n, uint8_t *to,
                 size_t *to_n);
    bool (*dead)(const void *key, size_t klen, const void *value, size_t vlen, int64_t clock_us);
};

struct state_sweep {
    const struct state_sweep_rules *rules;
    struct {
        uint8_t at[STATE_KEY_MAX]; /* goes on here */
        size_t at_n;               /* 0: from the start of the range */
        uint64_t found;            /* dead ones in the last piece */
    } span[SWEEP_SPANS];
    struct state_changes dead;
    uint64_t looked, swept; /* since the start */
};

void state_sweep_init(struct state_sweep *w, const struct state_sweep_rules *rules);
void state_sweep_close(struct state_sweep *w);

/* For state_store: the next pieces. txn, records: LMDB's. grown: by how many records each table has
 * grown. 0 or LMDB's code. */
__attribute__((warn_unused_result)) int state_sweep_run(struct state_sweep *w, void *txn,
                                                        unsigned records, int64_t clock_us,
                                                        const int64_t grown[SWEEP_TABLES]);

#endif
