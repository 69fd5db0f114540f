/* SPDX-License-Identifier: Apache-2.0
 * Kinds of runs. A run with a little of everything meets the rarest moments once in thousands of
 * seeds; so most runs are about one thing, and make it happen all the time.
 */
#include "tests/sim/pump_world.h"

#include <inttypes.h>
#include <string.h>

enum {
    FAULTS_MS = 10000,
    QUIET_MS = 8000,       /* after the heal */
    QUIET_SEED_MS = 37000, /* three times PUMP_SEED_EVERY_MS, and what is left over */
    PROMOTION_MS = 1500,   /* before the heal, of PROFILE_MEMBERS */
    SHOWDOWN_MS = 5000,    /* before the heal, of PROFILE_TERMS */
};

static const char *const names[PROFILES] = {"mixed", "joiner", "disks", "terms",
                                            "trail", "echo",   "confs", "members"};

static struct node *any(struct world *w)
{
    return &w->node[1 + (int)sim_below(&w->random, (unsigned)w->n)];
}

static struct node *leader(struct world *w)
{
    for (int i = 1; i <= w->n; i++)
        if (w->node[i].pump && pump_role(w->node[i].pump) == PUMP_LEADER)
            return &w->node[i];
    return NULL;
}

static struct node *leader_or_any(struct world *w)
{
    struct node *n = leader(w);
    return n ? n : any(w);
}

void faults_draw(struct world *w)
{
    static const enum profile often[] = {
        PROFILE_MIXED, PROFILE_MIXED, PROFILE_JOINER,  PROFILE_JOINER, PROFILE_DISKS,
        PROFILE_DISKS, PROFILE_TERMS, PROFILE_TRAIL,   PROFILE_TRAIL,  PROFILE_ECHO,
        PROFILE_ECHO,  PROFILE_CONFS, PROFILE_MEMBERS, PROFILE_MEMBERS};
    w->profile = often[sim_below(&w->random, sizeof often / sizeof often[0])];
    bool trail = w->profile == PROFILE_TRAIL, disks = w->profile == PROFILE_DISKS;
    w->n = w->profile != PROFILE_TERMS && sim_permille(&w->random, 400) ? 5 : 3;
    if (w->profile == PROFILE_MEMBERS)
        w->n = 5;
    w->drop_permille = w->repeat_permille = 20;
    w->trail = trail;
    if (w->profile == PROFILE_ECHO)
        w->drop_permille = 100;
    w->late_permille = trail ? 60 : 20;
    w->stall_permille = disks ? 80 : 5;
    w->stall_ms = disks ? 1500 : 800;
    w->short_permille = 300;
    w->checkpoint_every = trail ? 10 : 60;
    w->fresh_permille = trail ? 300 : 0;
    w->restart_ms = trail ? 60 : w->profile == PROFILE_TERMS ? 300 : 2000;
    w->client_ms = 60;
    w->seed_ms = trail ? 300 + sim_below(&w->random, 2200) : 0;
    w->seed_never = trail && sim_permille(&w->random, 300);
    w->heal_ms = FAULTS_MS;
    w->end_ms = FAULTS_MS + (trail ? QUIET_SEED_MS : QUIET_MS);
    w->faults = true;
    world_say(w, "%d nodes, a run of kind %s%s", w->n, names[w->profile],
              w->seed_never ? ", copies never come" : "");
}

static void crash_for_a_while(struct world *w, struct node *n, unsigned ms)
{
    if (!n->pump)
        return;
    node_crash(n);
    sim_put(&w->events, w->now_ms + sim_below(&w->random, ms), EVENT_RESTART, n->id, n->life, NULL);
}

static void cut_off(struct world *w, int a)
{
    links_mend(&w->links);
    links_alone(&w->links, a, w->n);
    world_say(w, "n%d is alone", a);
}

static void cut_one_way(struct world *w)
{
    int a = any(w)->id, b = any(w)->id;
    w->links.cut[a][b] = a != b;
    world_say(w, "n%d -> n%d cut", a, b);
}

static void mend(struct world *w)
{
    links_mend(&w->links);
    world_say(w, "network whole");
}

static void strike_mixed(struct world *w)
{
    unsigned what = sim_below(&w->random, 100);
    if (what < 30)
        cut_off(w, any(w)->id);
    else if (what < 42)
        cut_one_way(w);
    else if (what < 65)
        mend(w);
    else if (what < 88)
        crash_for_a_while(w, any(w), w->restart_ms + 1000);
    else if (what < 93)
        for (int i = 1; i <= w->n; i++)
            crash_for_a_while(w, &w->node[i], 800);
    else
        node_transfer(any(w));
}

/* Leaders change all the time, and the last node hears each of them with another delay. */
static void strike_joiner(struct world *w)
{
    for (int i = 1; i < w->n; i++)
        w->links.lag_ms[i][w->n] = sim_permille(&w->random, 300) ? 0 : sim_below(&w->random, 2500);
    unsigned what = sim_below(&w->random, 100);
    if (what < 35)
        node_transfer(leader_or_any(w));
    else if (what < 55)
        cut_off(w, leader_or_any(w)->id);
    else if (what < 85)
        mend(w);
    else
        crash_for_a_while(w, any(w), 600);
}

/* Leaders change while writes wait: what waits is cut off, and comes back. */
static void strike_disks(struct world *w)
{
    w->stall_permille = sim_permille(&w->random, 500) ? 250 : 20;
    unsigned what = sim_below(&w->random, 100);
    if (what < 35)
        cut_off(w, leader_or_any(w)->id);
    else if (what < 65)
        mend(w);
    else if (what < 85)
        node_transfer(leader_or_any(w));
    else
        crash_for_a_while(w, any(w), 600);
}

/* An old leader, alone with entries that nobody has; others are elected and die before they say so.
 * One voter of a term that is two further on is left, whose log is shorter. */
static void strike_terms(struct world *w)
{
    if (w->now_ms + SHOWDOWN_MS < w->heal_ms) {
        strike_mixed(w);
        return;
    }
    struct node *n = leader(w);
    if (w->old_leader)
        return;
    for (int i = 1; i <= w->n; i++)
        node_start(&w->node[i]);
    mend(w);
    if (n) {
        w->old_leader = n->id;
        cut_off(w, n->id);
    }
}

/* Nodes go down and come up at once, with an engine that knows the end of its log only, while
 * what was sent before is still on its way. */
static void strike_trail(struct world *w)
{
    memset(w->links.lag_ms, 0, sizeof w->links.lag_ms);
    int slow = w->now_ms < w->heal_ms / 2 ? w->n : any(w)->id; /* first the one with nothing */
    uint64_t lag_ms = sim_below(&w->random, 1500);
    for (int i = 1; i <= w->n; i++)
        w->links.lag_ms[i][slow] = lag_ms;
    unsigned what = sim_below(&w->random, 100);
    if (what < 30)
        cut_off(w, any(w)->id);
    else if (what < 60)
        mend(w);
    else if (what < 95)
        crash_for_a_while(w, any(w), w->restart_ms);
    else
        node_transfer(any(w));
}

/* A follower's disk hangs, so that it is sent the same entries again and again; its leader starts
 * anew and leads again; the follower starts anew, and hears first what it was sent in the term
 * before (pump_disk.c). */
static void strike_echo(struct world *w)
{
    struct node *n = leader_or_any(w);
    switch (w->strikes++ % 3) {
    case 0:
        w->hung = n->id % w->n + 1;
        break;
    case 1:
        if (sim_permille(&w->random, 700))
            crash_for_a_while(w, n, 40);
        else
            node_transfer(n);
        break;
    default:
        if (w->hung && w->hung != n->id)
            crash_for_a_while(w, &w->node[w->hung], 10);
        if (sim_permille(&w->random, 500))
            w->hung = 0;
    }
}

/* Changes one upon the other, while leaders that have just proposed one lose the others. */
static void strike_members(struct world *w)
{
    struct node *n = leader(w);
    unsigned what = sim_below(&w->random, 100);
    if (w->victim)
        return;
    if (n && w->now_ms + PROMOTION_MS > w->heal_ms) { /* a vote whose owner does not know of it */
        uint64_t promoted = node_promote(n);
        if (promoted) {
            node_crash(&w->node[promoted]);
            node_crash(n);
            w->victim = n->id;
            return;
        }
    }
    if (n && what < 70)
        node_change(n);
    if (n && what >= 50 && what < 65) /* a configuration that nobody else has */
        cut_off(w, n->id);
    else if (what >= 65 && what < 80)
        mend(w);
    else if (what >= 80 && what < 90)
        crash_for_a_while(w, any(w), 1000);
    else if (what >= 90)
        node_transfer(leader_or_any(w));
}

void faults_strike(struct world *w)
{
    switch (w->profile) {
    case PROFILE_JOINER:
        strike_joiner(w);
        break;
    case PROFILE_DISKS:
        strike_disks(w);
        break;
    case PROFILE_TERMS:
        strike_terms(w);
        break;
    case PROFILE_MEMBERS:
        strike_members(w);
        break;
    case PROFILE_TRAIL:
        strike_trail(w);
        break;
    case PROFILE_ECHO:
        strike_echo(w);
        break;
    default:
        strike_mixed(w);
    }
    bool lossy = w->profile == PROFILE_MIXED || w->trail;
    w->drop_permille = sim_below(&w->random, lossy && sim_below(&w->random, 4) == 0 ? 400 : 60);
    w->repeat_permille = sim_below(&w->random, 100);
}

void faults_before_heal(struct world *w)
{
    w->faults = false;
    links_mend(&w->links);
    memset(w->links.lag_ms, 0, sizeof w->links.lag_ms);
    /* A minority may stay away; but one that never had a configuration cannot vote either, and one
     * that needs a copy cannot take it over entries of its own that may be acknowledged. */
    bool all_needed = w->trail || w->profile == PROFILE_MEMBERS;
    if (!w->victim && !all_needed && sim_permille(&w->random, 300) && w->node[w->n].last > 0)
        w->victim = any(w)->id;
    world_say(w, "---- heal: entry %" PRIu64 " is committed, n%d stays down",
              w->consensus.committed, w->victim);
}
