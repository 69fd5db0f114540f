/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/consensus.h"

#include <inttypes.h>

void consensus_begin(struct consensus *c, uint64_t index, uint64_t term)
{
    c->committed = index;
    c->term[index] = c->in_term[index] = term;
}

bool consensus_leads(struct consensus *c, struct engine_view *v, int id, const struct pump *p,
                     uint64_t term, uint64_t applied)
{
    if (term >= CONSENSUS_TERMS)
        return engine_broken(v, "terms exploded");
    if (c->leader_of[term] == id)
        return true;
    if (c->leader_of[term])
        return engine_broken(v, "ELECTION SAFETY: two leaders of term %" PRIu64 ": n%d and n%d",
                             term, c->leader_of[term], id);
    c->leader_of[term] = id;
    c->leaders++;
    for (uint64_t i = applied + 1; i <= c->committed; i++)
        if (c->in_term[i] < term && pump_term_of(p, i) != c->term[i])
            return engine_broken(v,
                                 "LEADER COMPLETENESS: n%d, leader of term %" PRIu64
                                 ", lacks entry %" PRIu64 ", committed in term %" PRIu64,
                                 id, term, i, c->in_term[i]);
    return true;
}

/* Those that vote by the newest configuration in the log of node `id`; where that is not known, by
 * what its engine believes. */
static unsigned voters_by(const struct engine_view *v, int id, const struct pump *p)
{
    struct pump_member m[PUMP_SERVERS_MAX];
    unsigned bits = v->node[id].voters, k = bits == 0 ? pump_members(p, m) : 0;
    for (unsigned i = 0; i < k; i++)
        bits |= m[i].joining ? 0 : 1u << m[i].id;
    return bits;
}

static unsigned durable_copies(const struct engine_view *v, unsigned among, uint64_t index,
                               uint64_t term, unsigned *voters)
{
    unsigned copies = 0;
    *voters = 0;
    for (unsigned i = 1; i <= v->n; i++) {
        const struct engine_node *n = &v->node[i];
        bool votes = (among >> i & 1) != 0;
        *voters += votes;
        copies += votes && n->held >= index && n->term_at(n->log, index) == term;
    }
    return copies;
}

static bool commits(struct consensus *c, struct engine_view *v, int id, const struct pump *p,
                    uint64_t i)
{
    uint64_t term = pump_term_of(p, i);
    unsigned voters;
    if (i > CONSENSUS_LOG || term == 0)
        return engine_broken(v, "n%d commits entry %" PRIu64 " that it does not hold", id, i);
    if (i <= c->committed)
        return c->term[i] == term ||
               engine_broken(v,
                             "STATE MACHINE SAFETY: n%d commits entry %" PRIu64 " of term %" PRIu64
                             ", it was of term %" PRIu64,
                             id, i, term, c->term[i]);
    unsigned copies = durable_copies(v, voters_by(v, id, p), i, term, &voters);
    if (i > 1 && copies <= voters / 2)
        return engine_broken(
            v, "DURABILITY: n%d commits entry %" PRIu64 " with %u durable copies of %u", id, i,
            copies, voters);
    c->committed = i;
    c->term[i] = term;
    c->in_term[i] = pump_term(p);
    return true;
}

bool consensus_commits(struct consensus *c, struct engine_view *v, int id, const struct pump *p,
                       uint64_t *checked)
{
    uint64_t commit = pump_commit_index(p);
    if (commit < *checked)
        return engine_broken(v, "COMMIT WENT BACK: n%d from %" PRIu64 " to %" PRIu64, id, *checked,
                             commit);
    for (; *checked < commit; ++*checked)
        if (!commits(c, v, id, p, *checked + 1))
            return false;
    return true;
}
