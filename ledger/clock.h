/* SPDX-License-Identifier: Apache-2.0
 * The host's clocks, and the guard that keeps one wrong clock from pushing replicated time ahead:
 * nodes tell each other their clocks in every message, and a leader further than a bound from the
 * median hands leadership over. Loop thread; the guard is a pure function.
 */
#ifndef HOLDFAST_LEDGER_CLOCK_H
#define HOLDFAST_LEDGER_CLOCK_H

#include "ledger/raft/pump.h"

#include <stdbool.h>

enum {
    CLOCK_GUARD_LEAST = 3,        /* clocks needed for a median that says who is wrong */
    CLOCK_GUARD_FRESH_MS = 10000, /* a clock heard longer ago says nothing */
};

struct pump_now node_clock_now(void);

/* Our clock minus the median of all fresh ones (ours among them), microseconds. false: fewer than
 * CLOCK_GUARD_LEAST of them. What was heard is compared with our clock as it is now, less the time
 * since: a clock that was set in between shows at once. */
bool node_clock_offset(const struct pump_peer *peers, unsigned n, struct pump_now now,
                       int64_t *offset_us);

#endif
