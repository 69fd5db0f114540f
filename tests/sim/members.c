/* SPDX-License-Identifier: Apache-2.0
 * Runs about members: their operator adds nodes and removes them, one at a time, by the commands
 * cluster_add and cluster_remove, as docs/operations.md has it and while all faults go on. Its own
 * caller asks for them (callers.c); here is what it does around them, by what a leader shows. It
 * acts upon a change only once that is committed, as holdfastctl does.
 *
 *   at rest --> adding: directory, process, cluster_add, until it votes --> at rest
 *           '-> removing: cluster_remove, until it is gone --> stopping (some time later) --> at
 * rest
 *
 * A node that is removed may have died for good. Whoever comes back has its old disk, or nothing.
 */
#include "tests/sim/world.h"

#include "tests/sim/engine.h"

#include <inttypes.h>

enum {
    REST_MS = 1500,     /* at most, between two changes */
    STILL_UP_MS = 3000, /* at most: a node that was removed */
    VOTE_MS = 4000,     /* after which the operator may lose patience with one that joins */
    CALM_MS = 2000,     /* after the heal nothing new begins */
    ENOUGH_MS = 9000,   /* for any change, when all is well */
    LEAST = 2,          /* voters that are left */
};

static unsigned bit(int id)
{
    return 1u << (unsigned)id;
}

static unsigned count(unsigned bits)
{
    unsigned n = 0;
    for (; bits > 0; bits &= bits - 1)
        n++;
    return n;
}

int members_any(struct sim_world *w)
{
    for (;;) {
        int id = 1 + (int)sim_below(&w->random, (unsigned)w->n);
        if (w->members.listed & bit(id))
            return id;
    }
}

bool members_listed(const struct sim_world *w, int id)
{
    return (w->members.listed & bit(id)) != 0;
}

/* ---- the beginning ---- */

void members_draw(struct sim_world *w)
{
    unsigned voters;
    w->members = (struct sim_members){.on = sim_permille(&w->random, 200)};
    w->n = sim_permille(&w->random, 300) ? 5 : 3;
    voters = (unsigned)w->n;
    if (w->members.on) {
        w->n = sim_permille(&w->random, 500) ? 4 : 5;
        voters = w->n == 4 ? 3 : 3 + sim_below(&w->random, 3);
    }
    w->members.listed = (2u << voters) - 2;
}

void members_open(struct sim_world *w)
{
    for (int i = 1; i <= w->n; i++) {
        struct sim_node *n = &w->node[i];
        n->file = w->members.listed;
        if (members_listed(w, i))
            continue;
        n->outside = true;
        n->term = n->last = 0;
    }
    if (w->members.on)
        sim_put(&w->events, 1000 + sim_below(&w->random, 2000), SIM_MEMBERS, 0, 0, NULL);
}

/* A process dials whom its cluster.conf names, which may be an old one. */
void members_started(struct sim_node *n)
{
    if (sim_permille(&n->w->random, 500))
        n->file = n->w->members.listed;
    n->knows = n->w->members.on ? n->file : UINT32_MAX;
}

/* ---- what a leader shows ---- */

static const struct sim_node *leader(const struct sim_world *w)
{
    const struct sim_node *best = NULL;
    for (int i = 1; i <= w->n; i++) {
        const struct sim_node *n = &w->node[i];
        if (n->up && n->paused_until_ms <= w->now_ms && n->node->role == PUMP_LEADER &&
            (!best || n->node->term > best->node->term))
            best = n;
    }
    return best;
}

unsigned members_of(const struct sim_node *n, unsigned *voters)
{
    struct pump_member m[PUMP_SERVERS_MAX];
    unsigned k = pump_members(n->node->pump, m), all = 0;
    *voters = 0;
    for (unsigned i = 0; i < k; i++) {
        all |= bit((int)m[i].id);
        *voters |= m[i].joining ? 0 : bit((int)m[i].id);
    }
    return all;
}

static bool settled(const struct sim_node *n)
{
    return sim_mutation == SIM_hasty_operator || !pump_changing(n->node->pump);
}

/* Who stands in the file that a seeding is given: whom the operator means to have there and, where
 * a leader can be asked, who is. */
bool members_counted(const struct sim_world *w, int id)
{
    const struct sim_node *l = w->members.on ? leader(w) : NULL;
    unsigned voters;
    return members_listed(w, id) && (!l || !settled(l) || (members_of(l, &voters) & bit(id)) != 0);
}

/* ---- what is asked for: by the operator's caller ---- */

unsigned members_wish(struct sim_world *w, int *node)
{
    struct sim_members *m = &w->members;
    const struct sim_node *l = leader(w);
    unsigned voters;
    *node = m->node;
    if (!l || m->plan == SIM_AT_REST || m->plan == SIM_STOPPING)
        return 0;
    bool in = (members_of(l, &voters) & bit(m->node)) != 0;
    if (m->plan == SIM_ADDING)
        return in || w->node[m->node].lost ? 0 : PROTO_CMD_cluster_add;
    if (!in)
        return 0;
    if (l->id == m->node)
        *node = 0;
    return l->id == m->node ? PROTO_CMD_cluster_transfer : PROTO_CMD_cluster_remove;
}

static void start(struct sim_node *n)
{
    n->outside = false;
    replica_start(n);
}

/* `code` is the answer. A leader that cannot be told to hand over is restarted. */
void members_answer(struct sim_world *w, unsigned code)
{
    if (w->members.plan == SIM_REMOVING && code == PROTO_LEVEL_TOO_LOW)
        replica_stop(&w->node[w->members.node]);
}

/* ---- adding ---- */

static void plan(struct sim_world *w, enum sim_plan what, int node)
{
    w->members.plan = what;
    w->members.node = node;
    w->members.since_ms = w->now_ms;
}

/* By the newest configuration that is committed. */
static bool has_vote(const struct sim_world *w, int id)
{
    uint64_t i = w->applied;
    while (i > 0 && w->truth[i].kind != ENTRY_CHANGE)
        i--;
    return i > 0 && (engine_voters(w->truth[i].data, w->truth[i].len) & bit(id));
}

/* holdfast-ledger init --join: what it voted and acknowledged is forgotten. */
static void make_empty(struct sim_node *n)
{
    if (has_vote(n->w, n->id))
        sim_fail(n->w, "EMPTIED: n%d has a vote, and is to begin with nothing", n->id);
    n->forgot = n->last > n->forgot ? n->last : n->forgot;
    n->term = n->vote = n->last = 0;
    n->first = 1;
    n->durable = n->seen = NULL;
    n->voters = 0;
}

static void begin_adding(struct sim_world *w, int id)
{
    struct sim_node *n = &w->node[id];
    bool keeps = n->last > 0 && sim_permille(&w->random, 300);
    plan(w, SIM_ADDING, id);
    w->members.listed |= bit(id);
    n->file = w->members.listed;
    n->level = SIM_LEVELS; /* of a new program */
    if (!keeps)
        make_empty(n);
    bool seeded = !keeps && sim_permille(&w->random, 400);
    sim_say(w, "n%d is to join, %s", id,
            keeps    ? "with its old disk"
            : seeded ? "seeded"
                     : "with an empty log");
    if (seeded) {
        n->outside = false;
        seeding_begin(n);
    } else if (sim_permille(&w->random, 700)) {
        start(n);
    }
}

/* ---- removing ---- */

static void begin_removing(struct sim_world *w, int id)
{
    struct sim_node *n = &w->node[id];
    plan(w, SIM_REMOVING, id);
    if (sim_permille(&w->random, 350)) {
        n->outside = true;
        replica_crash(n, "it is dead for good");
    }
    sim_say(w, "n%d is to leave", id);
}

static void removed(struct sim_world *w)
{
    struct sim_members *m = &w->members;
    if (has_vote(w, m->node))
        sim_fail(w, "GONE: n%d is said to be, and may have a vote again", m->node);
    m->listed &= ~bit(m->node);
    plan(w, SIM_STOPPING, m->node);
    m->next_ms = w->now_ms + sim_below(&w->random, sim_permille(&w->random, 300) ? 1 : STILL_UP_MS);
    w->counters.nodes_removed++;
    sim_say(w, "n%d has left", m->node);
}

static void rest(struct sim_world *w)
{
    plan(w, SIM_AT_REST, w->members.plan == SIM_STOPPING ? w->members.node : 0);
    w->members.next_ms = w->now_ms + sim_below(&w->random, REST_MS);
}

static void stop(struct sim_world *w)
{
    struct sim_node *n = &w->node[w->members.node];
    if (w->now_ms < w->members.next_ms || n->lost)
        return;
    n->outside = true;
    if (sim_permille(&w->random, 500))
        replica_stop(n);
    if (n->up)
        replica_crash(n, "it was removed");
    rest(w);
}

/* ---- the operator ---- */

static int draw(struct sim_world *w, unsigned from)
{
    int id;
    do
        id = 1 + (int)sim_below(&w->random, (unsigned)w->n);
    while ((from & bit(id)) == 0);
    return id;
}

/* A request that came very late may have changed something behind the operator's back. */
static bool reconcile(struct sim_world *w, unsigned all)
{
    unsigned strange = all & ~w->members.listed, missing = w->members.listed & ~all;
    if (strange > 0)
        plan(w, SIM_REMOVING, draw(w, strange));
    else if (missing > 0)
        plan(w, SIM_ADDING, draw(w, missing));
    return strange > 0 || missing > 0;
}

static void act_at_rest(struct sim_world *w, const struct sim_node *l)
{
    struct sim_members *m = &w->members;
    unsigned voters, in = count(m->listed);
    if (!l || !settled(l) || w->now_ms < m->next_ms || reconcile(w, members_of(l, &voters)))
        return;
    if (!w->faulty && w->now_ms > w->heal_ms + CALM_MS)
        return;
    bool grow = in < (unsigned)w->n && (in <= LEAST || sim_permille(&w->random, 600));
    bool again = m->node > 0 && sim_permille(&w->random, 300); /* who has just left */
    if (grow)
        begin_adding(w, again ? m->node : draw(w, ((2u << w->n) - 2) & ~m->listed));
    else if (in > LEAST)
        begin_removing(w, draw(w, m->listed));
}

static void act_adding(struct sim_world *w, const struct sim_node *l)
{
    struct sim_members *m = &w->members;
    struct sim_node *n = &w->node[m->node];
    unsigned voters, all = members_of(l, &voters);
    if (!settled(l))
        return;
    if ((all & bit(m->node)) && n->outside) /* some start the process only now */
        start(n);
    if (!(voters & bit(m->node)) && seeding_needed(n, l)) {
        replica_crash(n, "it needs a copy");
        make_empty(n);
        seeding_begin(n);
    }
    if (voters & bit(m->node)) {
        if (!has_vote(w, m->node))
            sim_fail(w, "THERE: n%d is said to be, and may lose its vote again", m->node);
        w->counters.nodes_added++;
        sim_say(w, "n%d is a member", m->node);
        rest(w);
    } else if ((all & bit(m->node)) && w->now_ms > m->since_ms + VOTE_MS && sim_often(w, 100)) {
        plan(w, SIM_REMOVING, m->node);
        sim_say(w, "n%d takes too long, and is to leave", m->node);
    }
}

static void act_removing(struct sim_world *w, const struct sim_node *l)
{
    unsigned voters, all = members_of(l, &voters);
    if (settled(l) && !(all & bit(w->members.node)))
        removed(w);
}

void members_act(struct sim_world *w)
{
    const struct sim_node *l = leader(w);
    sim_put(&w->events, w->now_ms + 50 + sim_below(&w->random, 200), SIM_MEMBERS, 0, 0, NULL);
    if (w->members.plan == SIM_STOPPING)
        stop(w);
    else if (w->members.plan == SIM_AT_REST)
        act_at_rest(w, l);
    else if (l && w->members.plan == SIM_ADDING)
        act_adding(w, l);
    else if (l)
        act_removing(w, l);
}

void members_end(struct sim_world *w)
{
    static const char *const plans[] = {"", "join", "leave", "stop"};
    const struct sim_members *m = &w->members;
    uint64_t since_ms = m->since_ms > w->heal_ms ? m->since_ms : w->heal_ms;
    if (w->members.on && m->plan != SIM_AT_REST && w->now_ms > since_ms + ENOUGH_MS &&
        w->consensus.committed < SIM_LOG - 600)
        sim_fail(w, "LIVENESS: n%d could not %s in %" PRIu64 " ms", m->node, plans[m->plan],
                 w->now_ms - since_ms);
}
