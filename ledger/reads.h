/* SPDX-License-Identifier: Apache-2.0
 * Linearizable queries between arrival and answer. A query may only be answered from a state that
 * holds everything acknowledged before it arrived, and a leader cannot know that it still leads; so
 * a query waits until an entry that was submitted after its arrival is applied. It rides with the
 * next batch, or with an empty one where no command waits. Loop thread only.
 *
 *   fresh --an entry is submitted--> riding --it is applied--> answered
 *
 * Bound: the client port's contexts.
 */
#ifndef HOLDFAST_LEDGER_READS_H
#define HOLDFAST_LEDGER_READS_H

#include "ledger/serve/request.h"

struct reads_list {
    struct serve_request *first, *last;
};

struct reads {
    struct reads_list fresh, riding;
};

static inline bool reads_want_entry(const struct reads *r)
{
    return r->fresh.first != NULL && r->riding.first == NULL;
}
void reads_add(struct reads *r, struct serve_request *request);
void reads_ride(struct reads *r, uint64_t index, uint64_t term);
/* Takes the next query that may be answered once the entry is applied; NULL: none. One whose entry
 * was replaced by another leader's stays until reads_drop. */
struct serve_request *reads_take(struct reads *r, uint64_t index, uint64_t term);
/* Takes any; NULL: none. */
struct serve_request *reads_drop(struct reads *r);

#endif
