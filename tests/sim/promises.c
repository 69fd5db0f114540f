/* SPDX-License-Identifier: Apache-2.0
 * What consensus must hold, seen from outside: election safety, leader completeness, log matching,
 * state-machine safety, durability on a majority, clocks within their bound, progress at the end.
 */
#include "tests/sim/world.h"

#include "tests/sim/engine.h"

#include <inttypes.h>
#include <stdlib.h>

/* ---- inside the engines ---- */

static uint64_t term_at(const void *log, uint64_t index)
{
    return ((const struct sim_entry *)log)[index].term;
}

static struct engine_view *view(const struct sim_world *w)
{
    static struct engine_view v;
    v.n = (unsigned)w->n;
    for (int i = 1; i <= w->n; i++) {
        const struct sim_node *n = &w->node[i];
        bool lives = n->up && !n->dying && !n->node->failed && !n->node->quarantined;
        v.node[i] = (struct engine_node){
            .pump = lives ? n->node->pump : NULL,
            .disk_term = n->lost ? UINT64_MAX : n->term, /* it answers nobody */
            .disk_vote = n->vote,
            .safe = writes_safe(&n->writes, n->last),
            .last = n->last,
            /* What a lost disk held it gets again, before anybody hears of it. */
            .held = n->lost ? n->lost_last : n->last,
            .forgot = n->forgot,
            .idle = !n->writes.first,
            .change = n->writes.change,
            .voters = n->voters,
            .log = n->log,
            .term_at = term_at};
    }
    return &v;
}

void promises_send(struct sim_node *n, const void *head, size_t head_len, const void *body,
                   size_t body_len)
{
    struct engine_view *v;
    if (n->w->failed || n->dying)
        return;
    v = view(n->w);
    if (!engine_may_send(v, (unsigned)n->id, head, head_len, body, body_len))
        sim_fail(n->w, "%s", v->why);
}

/* ---- outside ---- */

static void check_leader(struct sim_node *n, struct engine_view *v)
{
    struct sim_world *w = n->w;
    uint64_t leaders = w->consensus.leaders;
    if (n->node->role != PUMP_LEADER)
        return;
    if (!consensus_leads(&w->consensus, v, n->id, n->node->pump, n->node->term, n->applied))
        sim_fail(w, "%s", v->why);
    if (w->consensus.leaders > leaders)
        sim_say(w, "n%d leads term %" PRIu64, n->id, n->node->term);
    w->counters.leaders += w->consensus.leaders - leaders;
}

static void check_commit(struct sim_node *n, struct engine_view *v)
{
    struct sim_world *w = n->w;
    uint64_t committed = w->consensus.committed;
    if (!consensus_commits(&w->consensus, v, n->id, n->node->pump, &n->committed))
        sim_fail(w, "%s", v->why);
    w->counters.entries += w->consensus.committed - committed;
}

/* Another configuration is about to be the newest: what was committed before, was under this one.
 */
void promises_change(struct sim_node *n)
{
    if (!n->w->failed && !n->dying)
        check_commit(n, view(n->w));
}

static void check_applied(struct sim_node *n)
{
    struct core_position at;
    core_machine_position(n->node->machine, &at);
    if (at.index < n->applied)
        sim_fail(n->w, "n%d applied %" PRIu64 " and now stands at %" PRIu64, n->id, n->applied,
                 at.index);
    while (n->applied < at.index && !n->w->failed)
        truth_applied(n, ++n->applied);
}

/* A stamp may be ahead of the truth by the bound and what the good clocks are wrong by, if the
 * leader has heard enough clocks to know. */
static void check_stamp(struct sim_node *n)
{
    struct sim_world *w = n->w;
    struct pump_peer peers[PUMP_SERVERS_MAX];
    struct pump_now now = replica_now(n);
    unsigned fresh = 1, good = !n->bad_clock;
    int64_t ahead = n->stamp_us - sim_true_us(w);
    if (n->stamp_us == 0 || ahead <= (SIM_CLOCK_BOUND_MS + 2 * SIM_GOOD_CLOCK_MS) * 1000)
        return;
    unsigned k = pump_peers(n->node->pump, peers);
    for (unsigned i = 0; i < k; i++)
        if (peers[i].voter && peers[i].heard_ms > 0 &&
            now.mono_ms - peers[i].heard_ms < CLOCK_GUARD_FRESH_MS) {
            fresh++;
            good += !w->node[peers[i].id].bad_clock;
        }
    if (fresh >= CLOCK_GUARD_LEAST && 2 * good > fresh)
        sim_fail(w,
                 "CLOCK: n%d stamps an entry %" PRId64 " ms ahead of the truth, knowing %u clocks",
                 n->id, ahead / 1000, fresh);
}

void promises_check(struct sim_node *n)
{
    if (n->w->failed || n->node->failed || !n->node->pump || !n->node->machine)
        return;
    struct engine_view *v = view(n->w);
    check_leader(n, v);
    check_commit(n, v);
    check_applied(n);
    check_stamp(n);
    if (!n->w->failed && !engine_holds(v))
        sim_fail(n->w, "%s", v->why);
}

void promises_logs(struct sim_world *w)
{
    for (int a = 1; a <= w->n; a++)
        for (int b = a + 1; b <= w->n && !w->failed; b++) {
            const struct sim_node *x = &w->node[a], *y = &w->node[b];
            bool match = false;
            for (uint64_t i = x->last < y->last ? x->last : y->last; i > 0 && !w->failed; i--) {
                const struct sim_entry *p = &x->log[i], *q = &y->log[i];
                match |= p->term == q->term;
                if (match && (p->term != q->term || p->len != q->len ||
                              (p->len > 0 && memcmp(p->data, q->data, p->len) != 0)))
                    sim_fail(w, "LOG MATCHING: n%d and n%d at entry %" PRIu64, a, b, i);
            }
        }
}

void promises_liveness(struct sim_world *w)
{
    const struct sim_node *leader = NULL;
    unsigned in, voters;
    for (int i = 1; i <= w->n; i++)
        if (w->node[i].up && w->node[i].node->role == PUMP_LEADER &&
            (!leader || w->node[i].node->term > leader->node->term))
            leader = &w->node[i];
    if (!leader) {
        sim_fail(w, "LIVENESS: no leader %" PRIu64 " ms after the heal", w->now_ms - w->heal_ms);
        return;
    }
    in = members_of(leader, &voters);
    if (w->counters.answers < w->answers_at_heal + 4 && w->consensus.committed < SIM_LOG - 600)
        sim_fail(w, "LIVENESS: %" PRIu64 " answers in %" PRIu64 " ms after the heal",
                 w->counters.answers - w->answers_at_heal, w->now_ms - w->heal_ms);
    for (int i = 1; i <= w->n; i++)
        if (w->node[i].lost && w->now_ms > w->node[i].lost_ms + 9000 &&
            w->now_ms > w->seeded_ms + 9000) /* one at a time */
            sim_fail(w, "LIVENESS: n%d could not be seeded", i);
    for (int i = 1; i <= w->n; i++)
        if ((in >> i & 1) && w->node[i].up && !w->node[i].lies &&
            w->node[i].applied + 100 < leader->applied)
            sim_fail(w, "LIVENESS: n%d applied %" PRIu64 ", the leader %" PRIu64, i,
                     w->node[i].applied, leader->applied);
}
