/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/pump_world.h"

#include "ledger/raft/pump_state.h"
#include "tests/sim/engine.h"

#include <inttypes.h>
#include <string.h>

enum { CALM_MS = 5000 /* after the heal nothing old is on its way any more */ };

/* ---- inside ---- */

static uint64_t term_at(const void *log, uint64_t index)
{
    return ((const struct record *)log)[index].term;
}

static struct engine_view *view(const struct world *w)
{
    static struct engine_view v;
    v.n = (unsigned)w->n;
    for (int i = 1; i <= w->n; i++) {
        const struct node *n = &w->node[i];
        v.node[i] = (struct engine_node){.pump = n->dying ? NULL : n->pump,
                                         .disk_term = n->term,
                                         .disk_vote = n->vote,
                                         .safe = writes_safe(&n->writes, n->last),
                                         .last = n->last,
                                         .held = n->last,
                                         .idle = !n->writes.first,
                                         .change = n->writes.change,
                                         .log = n->log,
                                         .term_at = term_at};
    }
    return &v;
}

void check_engines(struct world *w)
{
    struct engine_view *v = view(w);
    if (!engine_holds(v))
        world_fail(w, "%s", v->why);
}

void check_send(struct node *n, const void *head, size_t head_len, const void *body,
                size_t body_len)
{
    struct engine_view *v = view(n->w);
    if (!n->dying && !engine_may_send(v, (unsigned)n->id, head, head_len, body, body_len))
        world_fail(n->w, "%s", v->why);
}

/* A leader that is told, time and again, of less than it counts on the follower goes on from there
 * for ever. */
void check_answer(struct node *n, int from, const void *bytes, size_t len)
{
    enum { IN_VAIN = 8 };
    struct world *w = n->w;
    uint64_t last, term;
    raft_index match = 0;
    if (!engine_success(bytes, len, &term, &last))
        return;
    unsigned *in_vain = &w->in_vain[n->id][from];
    bool low = pump_role(n->pump) == PUMP_LEADER && term == pump_term(n->pump) &&
               raft_match_index(&n->pump->raft, (raft_id)from, &match) == 0 && last < match;
    *in_vain = low ? *in_vain + 1 : 0;
    if (*in_vain == IN_VAIN)
        world_fail(
            w, "STUCK: n%d counts entries to %llu on n%d, and hears again and again of %" PRIu64,
            n->id, match, from, last);
}

/* A leader may only ask for a copy where the logs part before what its engine knows. (The entry in
 * front of that is not enough: the engine does not know its term.) While faults strike, the answer
 * that counts may have been lost, or be older than a copy; but none may have led it back there. */
void check_seed_needed(struct node *n, const struct node *behind)
{
    const struct world *w = n->w;
    uint64_t first = n->pump->first, same = behind->last < n->last ? behind->last : n->last;
    raft_index match = 0;
    bool known = raft_match_index(&n->pump->raft, (raft_id)behind->id, &match) == 0,
         led_back = known && match > 0 && match + 1 < first,
         calm = w->now_ms > w->heal_ms + CALM_MS;
    if (behind->seeded_ms > 0 && w->now_ms < behind->seeded_ms + CALM_MS)
        return;
    while (same > 0 && behind->log[same].term != n->log[same].term)
        same--;
    if (same >= first && (led_back || calm))
        world_fail(
            n->w, "SEEDING: n%d asks for a copy for n%d, whose log it could go on with at %" PRIu64,
            n->id, behind->id, same + 1);
}

/* ---- outside ---- */

void check_leader(struct node *n, uint64_t term)
{
    struct world *w = n->w;
    struct engine_view *v = view(w);
    if (!consensus_leads(&w->consensus, v, n->id, n->pump, term, n->applied))
        world_fail(w, "%s", v->why);
    w->counters.elections++;
    world_say(w, "n%d leads term %" PRIu64, n->id, term);
}

void check_commit(struct node *n)
{
    struct world *w = n->w;
    struct engine_view *v = view(w);
    uint64_t committed = w->consensus.committed;
    if (!consensus_commits(&w->consensus, v, n->id, n->pump, &n->checked))
        world_fail(w, "%s", v->why);
    w->counters.commits += w->consensus.committed - committed;
}

static uint64_t mix(uint64_t hash, const struct record *r)
{
    return (hash ^ r->id ^ (r->term << 40) ^ ((uint64_t)r->kind << 60)) * UINT64_C(0x100000001B3);
}

void check_boot(struct world *w, uint64_t index, const struct record *r)
{
    w->applied = index;
    consensus_begin(&w->consensus, index, r->term);
    w->truth[index] = *r;
    w->truth_hash[index] = mix(w->truth_hash[index - 1], r);
}

/* Every node applies the same entries, in order, once per life after its checkpoint. */
void check_apply(struct node *n, const struct log_entry *e)
{
    struct world *w = n->w;
    struct record r = {.term = e->term, .kind = e->kind, .len = e->len};
    if (e->kind == ENTRY_COMMAND)
        memcpy(&r.id, e->data, sizeof r.id);
    if (e->index != n->applied + 1)
        world_fail(w, "n%d applies %" PRIu64 " after %" PRIu64, n->id, e->index, n->applied);
    if (e->index > n->last || n->log[e->index].term != e->term || n->log[e->index].id != r.id)
        world_fail(w, "n%d applies entry %" PRIu64 " that its disk does not hold", n->id, e->index);
    if (e->index <= w->applied) {
        const struct record *t = &w->truth[e->index];
        if (t->term != r.term || t->id != r.id || t->kind != r.kind || t->len != r.len)
            world_fail(w, "APPLIED DIFFERS: n%d at %" PRIu64 ": id %" PRIu64 " for %" PRIu64, n->id,
                       e->index, r.id, t->id);
    } else {
        w->applied = e->index;
        w->truth[e->index] = r;
        w->truth_hash[e->index] = mix(w->truth_hash[e->index - 1], &r);
    }
    n->hash = mix(n->hash, &r);
    n->applied = e->index;
    if (n->hash != w->truth_hash[e->index])
        world_fail(w, "STATE DIFFERS: n%d at %" PRIu64, n->id, e->index);
}

/* Log matching, on the disks. */
void check_logs(struct world *w)
{
    for (int a = 1; a <= w->n; a++)
        for (int b = a + 1; b <= w->n; b++) {
            struct node *x = &w->node[a], *y = &w->node[b];
            bool match = false;
            for (uint64_t i = x->last < y->last ? x->last : y->last; i > 0; i--) {
                match |= x->log[i].term == y->log[i].term;
                if (match && (x->log[i].term != y->log[i].term || x->log[i].id != y->log[i].id))
                    world_fail(w, "LOG MATCHING: n%d and n%d at %" PRIu64, a, b, i);
            }
        }
}

void check_liveness(struct world *w, uint64_t committed_before)
{
    struct node *leader = NULL;
    for (int i = 1; i <= w->n; i++)
        if (w->node[i].pump && pump_role(w->node[i].pump) == PUMP_LEADER &&
            (!leader || pump_term(w->node[i].pump) > pump_term(leader->pump)))
            leader = &w->node[i];
    if (!leader)
        world_fail(w, "LIVENESS: no leader long after the heal");
    if (w->consensus.committed < committed_before + 20 && w->consensus.committed < LOG_MAX - 400)
        world_fail(w, "LIVENESS: %" PRIu64 " committed at the heal, %" PRIu64 " at the end",
                   committed_before, w->consensus.committed);
    bool member[NODES_MAX + 1] = {false};
    struct pump_member m[PUMP_SERVERS_MAX];
    for (unsigned i = 0, k = pump_members(leader->pump, m); i < k; i++)
        member[m[i].id] = true;
    for (int i = 1; i <= w->n; i++)
        if (member[i] && w->node[i].pump && pump_leader(w->node[i].pump) != (uint64_t)leader->id)
            world_fail(w, "LIVENESS: n%d does not know the leader", i);
    for (int i = 1; i <= w->n && !w->seed_never; i++)
        if (member[i] && w->node[i].pump && w->node[i].applied + 100 < leader->applied)
            world_fail(w, "LIVENESS: n%d applied %" PRIu64 ", the leader %" PRIu64, i,
                       w->node[i].applied, leader->applied);
}
