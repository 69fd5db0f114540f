/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/progress.h"

static const struct progress_peer *find(const struct progress *p, uint64_t id)
{
    for (unsigned i = 0; i < PUMP_SERVERS_MAX; i++)
        if (p->peers[i].id == id)
            return &p->peers[i];
    return NULL;
}

void progress_look(struct progress *p, uint64_t term, const struct pump_peer *peers, unsigned n,
                   uint64_t commit, uint64_t mono_ms)
{
    struct progress next = {.term = term};
    for (unsigned i = 0; i < n && i < PUMP_SERVERS_MAX; i++) {
        const struct progress_peer *before = term == p->term ? find(p, peers[i].id) : NULL;
        bool lacks = peers[i].match < commit;
        bool stands = before && before->since_ms > 0 && before->match == peers[i].match;
        next.peers[i] = (struct progress_peer){.id = peers[i].id, .match = peers[i].match};
        if (lacks)
            next.peers[i].since_ms = stands ? before->since_ms : mono_ms;
    }
    *p = next;
}

uint64_t progress_stuck_ms(const struct progress *p, uint64_t id, uint64_t mono_ms)
{
    const struct progress_peer *peer = find(p, id);
    return peer && peer->since_ms > 0 && mono_ms > peer->since_ms ? mono_ms - peer->since_ms : 0;
}
