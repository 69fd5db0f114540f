/* SPDX-License-Identifier: Apache-2.0
 * What leaders say of the chain. An entry names the chain that its leader had at an earlier entry,
 * as the leader itself had computed it. One whose state had diverged says another one than the log
 * gives. That is found out afterwards, and a later leader, or the node's own state (which is not
 * written while states are disputed), says who was right:
 *
 *   contradicted --(a leader of another term, or the state, has our chain there)--> disowned
 *        |
 *        '--(the log ends)--> a mismatch: this log, or that leader, is wrong
 *
 * Pure; the scanning process.
 */
#ifndef HOLDFAST_REPLAY_LEADERS_H
#define HOLDFAST_REPLAY_LEADERS_H

#include "proto/types.h"

enum { REPLAY_LEADERS_MAX = 16 }; /* further ones that contradict: a mismatch */

struct replay_leader {
    uint64_t term;
    uint64_t first, last, entries;  /* that name another chain */
    uint64_t index, most;           /* of the first chain named; the highest one */
    uint64_t good;                  /* proven when the first of them came */
    struct proto_hash ours, theirs; /* at index */
    bool disowned;
};

struct replay_leaders {
    struct replay_leader of[REPLAY_LEADERS_MAX];
    unsigned n;
};

/* Entry `entry`, of `term`, names another chain at `index`. proven: up to where the log is. false:
 * no room for one more leader. */
bool replay_leaders_contradict(struct replay_leaders *l, uint64_t entry, uint64_t term,
                               uint64_t index, uint64_t proven, const struct proto_hash *ours,
                               const struct proto_hash *theirs);
/* Our chain at `index` is also that of a leader of `term`; 0: of the node's state. */
void replay_leaders_confirm(struct replay_leaders *l, uint64_t term, uint64_t index);
/* The first one that nothing has disowned; NULL: none. */
const struct replay_leader *replay_leaders_open(const struct replay_leaders *l);

#endif
