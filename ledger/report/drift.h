/* SPDX-License-Identifier: Apache-2.0
 * The second pair of eyes on sum(transactions) == balance (F4, F5): adds up every transfer that the
 * machine makes, per org and account, apart from the machine's own records, and compares the sums
 * with the records at every checkpoint. Loop thread only.
 *
 * An org is watched from the first checkpoint after its first transfer since the start; what came
 * before is its base line (replay checks all of it). Bound: DRIFT_ORGS_MAX orgs; past it all are
 * forgotten and watched anew.
 */
#ifndef HOLDFAST_LEDGER_REPORT_DRIFT_H
#define HOLDFAST_LEDGER_REPORT_DRIFT_H

#include "ledger/core/core.h"

enum { DRIFT_ORGS_MAX = 65536 };

struct drift_org;

struct drift {
    struct drift_org *orgs; /* open addressing; NULL until the first transfer */
    struct drift_org *last; /* the one of the last transfer: the next is often its own */
    uint32_t *touched;      /* since the last comparison */
    uint32_t n, n_touched;
    bool full;      /* an org found no room: forget all at the next comparison */
    int64_t figure; /* sum of all differences ever found; 0 is the target */
};

void drift_init(struct drift *d);
void drift_close(struct drift *d);
/* For struct core_observer: ctx is a struct drift. */
void drift_on_transfer(void *ctx, const struct core_transfer *t);
/* Compares the orgs touched since the last call. 0 or a final negative code; *found: what differs
 * in this comparison, nano-dollars, and `org` one of those concerned. */
__attribute__((warn_unused_result)) int drift_compare(struct drift *d, struct core_machine *m,
                                                      int64_t *found, struct proto_uuid *org);

#endif
