/* SPDX-License-Identifier: Apache-2.0
 * States that lie: a record of a minority's checkpoint or memory changes behind a node's back, so
 * that its chain parts from the others'. Until a message shows it, such a node may tell what is
 * wrong; from then on it may tell nothing, must stop, and must stay down until the operator has its
 * state made anew.
 */
#include "tests/sim/world.h"

#include "ledger/core/machine.h"
#include "tests/sim/engine.h"

#include <inttypes.h>
#include <stdlib.h>

enum { STOPPED_MS = NODE_STOP_MS + 2000 /* clocks run too slow, processes pause */ };

/* ---- a record changes ---- */

/* Whether somebody's log begins only behind the end of this node's. */
static bool is_behind(const struct sim_world *w, const struct sim_node *n)
{
    for (int i = 1; i <= w->n; i++)
        if (!w->node[i].lost && w->node[i].first > n->last)
            return true;
    return false;
}

/* Nodes that a majority has to do without: they lie, have nothing, or need a copy. */
unsigned lies_minority(const struct sim_world *w)
{
    unsigned k = 0;
    for (int i = 1; i <= w->n; i++) {
        const struct sim_node *n = &w->node[i];
        k += n->lies || n->lost || is_behind(w, n);
    }
    return k;
}

/* What is found in a record of this table: another value, or nothing any more. */
static bool spoil_value(struct sim_world *w, struct sim_record *r)
{
    uint8_t *value = sim_alloc(w, r->vlen);
    int64_t nanos = sim_permille(&w->random, 500) ? 1 : -50000000000;
    size_t at;
    switch (r->key[0]) {
    case CORE_TABLE_org:
        at = offsetof(struct core_org, account[CORE_AVAILABLE]);
        break;
    case CORE_TABLE_hold:
        at = offsetof(struct core_hold, from_available);
        break;
    case CORE_TABLE_counter:
        at = offsetof(struct core_counter, spent);
        break;
    default:
        return false;
    }
    memcpy(value, r->value, r->vlen);
    int64_t v;
    memcpy(&v, value + at, sizeof v);
    v += nanos;
    memcpy(value + at, &v, sizeof v);
    r->value = value;
    return true;
}

static bool may_go(uint8_t table)
{
    return table == CORE_TABLE_hold || table == CORE_TABLE_closed || table == CORE_TABLE_command ||
           table == CORE_TABLE_cred || table == CORE_TABLE_counter;
}

/* The checkpoint is another one; the node does not know. */
static bool spoil_disk(struct sim_node *n)
{
    enum { TRIES = 12 };
    struct sim_world *w = n->w;
    const struct sim_state *old = n->durable;
    if (!old || old->n == 0 || n->writing)
        return false;
    struct sim_state *s = sim_alloc(w, sizeof *s);
    *s = (struct sim_state){.meta = old->meta, .n = old->n};
    s->record = sim_alloc(w, old->n * sizeof *s->record);
    memcpy(s->record, old->record, old->n * sizeof *s->record);
    for (unsigned i = 0; i < TRIES; i++) {
        size_t at = sim_below(&w->random, (unsigned)s->n);
        uint8_t table = s->record[at].key[0];
        bool change = sim_permille(&w->random, 600) && spoil_value(w, &s->record[at]);
        if (!change && !may_go(table))
            continue;
        sim_say(w, "n%d: record %zu of its checkpoint (%s) %s", n->id, at, core_table_name(table),
                change ? "has another value" : "is gone");
        if (!change)
            memmove(&s->record[at], &s->record[at + 1], (--s->n - at) * sizeof *s->record);
        n->durable = s;
        return true;
    }
    return false;
}

static bool spoil_memory(struct sim_node *n)
{
    const struct proto_uuid id = shadow_org_id(0);
    struct core_org *o = core_org_get(n->node->machine, &id);
    if (!o)
        return false;
    o->account[CORE_AVAILABLE] += sim_permille(&n->w->random, 500) ? 1 : 90000000000;
    sim_say(n->w, "n%d: a balance in its memory is another one", n->id);
    return true;
}

void lies_strike(struct sim_node *n)
{
    struct sim_world *w = n->w;
    if (n->lies || n->marked || n->lost || lies_minority(w) + 1 > (unsigned)(w->n - 1) / 2)
        return;
    bool memory = n->up && sim_permille(&w->random, 400);
    if (!(memory ? spoil_memory(n) : spoil_disk(n)))
        return;
    n->lies = true;
    w->lied = true;
    w->counters.states_spoiled++;
    if (memory || !n->up || sim_permille(&w->random, 300))
        return;
    replica_crash(n, "power"); /* it starts from what it finds */
    sim_put(&w->events, w->now_ms + 1 + sim_below(&w->random, 300), SIM_RESTART, n->id, n->life,
            NULL);
}

/* ---- what becomes of it ---- */

void lies_started(struct sim_node *n, const struct core_position *at)
{
    n->told = n->hears = false;
    n->parted = 0;
    if (at->index > 0 && memcmp(&at->chain, &n->w->chain[at->index], sizeof at->chain) != 0)
        n->parted = at->index;
}

void lies_parted(struct sim_node *n, uint64_t index)
{
    if (n->parted == 0) {
        sim_say(n->w, "n%d has another chain from entry %" PRIu64 " on", n->id, index);
        n->w->counters.states_parted++;
        n->parted = index;
    }
}

/* Whether the message names a chain that is not the node's, and is right: another one that lies may
 * be known for it already. */
bool lies_shown_by(const struct sim_node *n, const void *bytes, size_t len)
{
    struct proto_hash ours;
    struct notice said;
    return n->lies && n->parted > 0 && engine_notice(bytes, len, &said) && said.index > 0 &&
           said.index <= n->w->applied &&
           memcmp(&n->w->chain[said.index], &said.chain, sizeof ours) == 0 &&
           core_machine_chain_at(n->node->machine, said.index, &ours) &&
           memcmp(&ours, &said.chain, sizeof ours) != 0;
}

/* Its own word, once a majority has another state. */
void lies_judged(struct sim_node *n, const char *text)
{
    struct sim_world *w = n->w;
    if (!n->lies)
        sim_fail(w, "DIVERGED: n%d, whose state is right, says: %s", n->id, text);
    n->judged = n->life;
    n->judged_ms = w->now_ms;
    n->marked = sim_mutation != SIM_mark_lost;
    w->counters.nodes_diverged++;
    sim_say(w, "n%d serves no longer: %.60s", n->id, text);
}

bool lies_may_act(const struct sim_node *n)
{
    if (n->judged == 0 || n->judged == n->life)
        return true;
    sim_fail(n->w, "STAYS DOWN: n%d takes part again, and no operator has acted", n->id);
    return false;
}

/* ---- the operator: holdfast-ledger rebuild ---- */

void lies_rebuild(struct sim_node *n, bool found_out)
{
    struct sim_world *w = n->w;
    if (n->judged == 0 && !found_out)
        return;
    if (n->up) {
        w->counters.crashes--; /* this is none */
        replica_crash(n, "the operator stops it");
    }
    if (n->first > 1 || sim_permille(&w->random, 200)) { /* -ENODATA: the log is not whole */
        seeding_lose_disk(n, "what it has is put away");
        return;
    }
    n->durable = n->seen = NULL;
    n->lies = n->marked = false;
    n->judged = 0;
    w->counters.rebuilds++;
    sim_say(w, "n%d: its state is to be made from its log", n->id);
    replica_start(n);
}

/* At the end. */
void lies_end(struct sim_world *w)
{
    for (int i = 1; i <= w->n && !w->failed; i++) {
        const struct sim_node *n = &w->node[i];
        if (!n->up)
            continue;
        if (n->lies && n->parted > 0 && n->judged == 0)
            sim_fail(w, "UNNOTICED: n%d has another chain from entry %" PRIu64 " on and serves",
                     n->id, n->parted);
        if (n->judged == n->life && !n->node->quarantined && w->now_ms > n->judged_ms + STOPPED_MS)
            sim_fail(w, "GOES ON: n%d takes part, %" PRIu64 " ms after it has diverged", n->id,
                     w->now_ms - n->judged_ms);
        if (!n->lies && n->node->accord.verdict != ACCORD_SOUND)
            sim_fail(w, "LIVENESS: n%d is right and still in doubt", n->id);
    }
}
