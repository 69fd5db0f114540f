/* SPDX-License-Identifier: Apache-2.0
 * Trimming, the deciding part's side: retention says from where on the log is wanted, and this
 * makes sure that nobody else wants what is before: the state (all of it is in a checkpoint), the
 * followers that are there (the leader knows how far they are; a follower that is to lead next
 * keeps NODE_TRAIL for them) and the engine. The engine gives its entries up with the next marker;
 * what it has given up is unlinked a round later.
 */
#include "ledger/node_state.h"

/* What a follower that was heard of lately still lacks; UINT64_MAX: nobody lacks anything. */
static uint64_t wanted_by_peers(const struct node *n)
{
    struct pump_peer peers[PUMP_SERVERS_MAX];
    uint64_t first = UINT64_MAX;
    unsigned k = n->role == PUMP_LEADER ? pump_peers(n->pump, peers) : 0;
    for (unsigned i = 0; i < k; i++) {
        bool there = peers[i].heard_ms > 0 && n->now.mono_ms - peers[i].heard_ms < NODE_LAG_MS;
        if (there && peers[i].match < first) /* with it: its term stands before what is sent next */
            first = peers[i].match;
    }
    return first;
}

void node_on_wanted(struct node *n, struct pump_now now, uint64_t first)
{
    n->now = now;
    uint64_t peers = wanted_by_peers(n);
    uint64_t state = n->checkpoint.index > n->trail ? n->checkpoint.index - n->trail : 0;
    if (first > state)
        first = state;
    if (first > peers)
        first = peers;
    pump_keep(n->pump, first);
    if (first > pump_first(n->pump))
        first = pump_first(n->pump);
    if (n->io.trim && first > 1)
        n->io.trim(n->io.ctx, first);
}
