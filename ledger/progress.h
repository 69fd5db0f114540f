/* SPDX-License-Identifier: Apache-2.0
 * Whether followers get on: for each, since when it has lacked committed entries without getting
 * any. A number of entries says nothing about that: under load everybody is some behind, and on an
 * idle night one entry is all that a stuck disk ever lacks. As leader; pure, the loop thread's.
 */
#ifndef HOLDFAST_LEDGER_PROGRESS_H
#define HOLDFAST_LEDGER_PROGRESS_H

#include "ledger/raft/pump.h"

enum { PROGRESS_EVERY_MS = 1000 }; /* how often it looks: what it says is as exact as that */

struct progress_peer {
    uint64_t id; /* 0: free */
    uint64_t match;
    uint64_t since_ms; /* it has got nothing since; 0: it lacks nothing */
};

struct progress {
    uint64_t term; /* of the leadership in which this was seen */
    struct progress_peer peers[PUMP_SERVERS_MAX];
};

/* peers: all but ourselves; commit: the leader's. */
void progress_look(struct progress *p, uint64_t term, const struct pump_peer *peers, unsigned n,
                   uint64_t commit, uint64_t mono_ms);
/* 0: it gets on, or nothing is known of it. */
uint64_t progress_stuck_ms(const struct progress *p, uint64_t id, uint64_t mono_ms);

#endif
