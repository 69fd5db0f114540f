/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/pump_world.h"

#include "ledger/raft/pump_state.h"
#include "proto/base/check.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { BIG_PAYLOAD = 300 * 1024 };

static struct pump_now now_of(const struct node *n)
{
    return (struct pump_now){.mono_ms = n->w->now_ms + n->skew_ms,
                             .wall_us = (int64_t)n->w->now_ms * 1000};
}

/* ---- life ---- */

static void recovered(struct node *n, struct log_recovered *r, struct log_conf *confs)
{
    *r = (struct log_recovered){.term = n->term,
                                .voted_for = n->vote,
                                .incarnation = ++n->incarnation,
                                .confs = confs,
                                .applied_index = n->durable.applied,
                                .applied_term = n->durable.term,
                                .applied_conf = n->durable.conf};
    uint64_t first = 1;
    n->writes.change = n->durable.conf.index;
    if (sim_permille(&n->w->random, n->w->short_permille)) /* only the newest are handed over */
        first = 1 + n->durable.applied - sim_below(&n->w->random, (unsigned)n->durable.applied + 1);
    if (n->w->trail && sim_permille(&n->w->random, 700))
        first = 1 + n->durable.applied;
    if (n->durable.applied == 0)
        first = 1;
    for (uint64_t i = first; i <= n->last; i++) {
        CHECK(term_runs_append(&r->runs, i, n->log[i].term) == 0);
        if (n->log[i].kind != ENTRY_CHANGE)
            continue;
        if (r->n_confs == ENTRY_CONFS_MAX) { /* the newest count */
            memmove(confs, confs + 1, (ENTRY_CONFS_MAX - 1) * sizeof *confs);
            r->n_confs--;
        }
        struct log_conf *c = &confs[r->n_confs++];
        c->index = i;
        c->len = n->log[i].conf_len;
        memcpy(c->data, n->log[i].conf, c->len);
        n->writes.change = i;
    }
    if (r->runs.n == 0)
        r->runs.last = n->last;
}

void node_start(struct node *n)
{
    struct world *w = n->w;
    if (n->pump)
        return;
    char address[8] = {'n', (char)('0' + n->id)};
    struct pump_config config = {.cluster = {{7}},
                                 .id = (uint64_t)n->id,
                                 .address = address,
                                 .election_timeout_ms = 300,
                                 .heartbeat_ms = 60,
                                 .max_inflight = 1 + sim_below(&w->random, 12),
                                 .max_peer_entries = 4 + sim_below(&w->random, 28),
                                 .tail_cache_bytes = sim_permille(&w->random, 500) ? 2000 : 1 << 20,
                                 .seed = (unsigned)sim_random(&w->random),
                                 .disable_guards = w->disable_guards};
    const struct pump_io io = disk_and_network(n);
    n->pump = pump_new(&config, &io);
    CHECK(n->pump);
    n->life++;
    n->dying = n->checkpointing = n->restart_due = false;
    n->skew_ms = sim_below(&w->random, 100000);
    n->applied = n->checked = n->durable.applied;
    n->hash = n->durable.hash;
    memset(n->newest, 0, sizeof n->newest);
    world_say(w, "n%d starts: term %" PRIu64 ", log to %" PRIu64 ", checkpoint at %" PRIu64, n->id,
              n->term, n->last, n->applied);
    n->page = NULL;
    n->page_cap = 0;
    struct log_recovered r;
    struct log_conf *confs = calloc(ENTRY_CONFS_MAX, sizeof *confs);
    CHECK(confs);
    recovered(n, &r, confs);
    int rv = pump_start(n->pump, now_of(n), &r);
    log_recovered_close(&r);
    if (rv)
        world_fail(w, "n%d does not start: %s", n->id, pump_error(n->pump));
    n->timer = pump_next_timeout(n->pump);
    sim_put(&w->events, n->timer - n->skew_ms, EVENT_TIMER, n->id, n->life, NULL);
    check_engines(w);
    echo(n);
}

static void add_stats(struct counters *c, const struct pump *p)
{
    struct pump_stats s;
    pump_stats(p, &s);
    c->pump.steps += s.steps;
    c->pump.old_messages += s.old_messages;
    c->pump.bad_messages += s.bad_messages;
    c->pump.foreign_messages += s.foreign_messages;
    c->pump.stale_replies += s.stale_replies;
    c->pump.commit_back += s.commit_back;
    c->pump.overwritten += s.overwritten;
    c->pump.full += s.full;
    c->pump.log_reads += s.log_reads;
}

void node_close(struct node *n)
{
    if (n->pump)
        add_stats(&n->w->counters, n->pump);
    pump_free(n->pump);
    n->pump = NULL;
}

/* The machine loses power: some writes, oldest first, made it; the next one perhaps in part. */
void node_crash(struct node *n)
{
    struct world *w = n->w;
    if (!n->pump)
        return;
    unsigned keep = sim_below(&w->random, writes_count(&n->writes) + 1);
    struct sim_write *o = n->writes.first;
    for (; o && keep > 0; o = o->next, keep--)
        write_to_disk(n, o, o->n);
    if (o && sim_permille(&w->random, 300))
        write_to_disk(n, o, sim_below(&w->random, o->n));
    if (n->checkpointing && sim_permille(&w->random, 500) && n->taken.applied <= n->last)
        n->durable = n->taken;
    n->writes.first = n->writes.last = NULL;
    add_stats(&w->counters, n->pump);
    pump_free(n->pump);
    n->pump = NULL;
    n->life++;
    w->counters.crashes++;
    world_say(w, "n%d crashes", n->id);
}

static void maybe_checkpoint(struct node *n)
{
    struct world *w = n->w;
    if (n->checkpointing || n->applied < n->durable.applied + n->w->checkpoint_every)
        return;
    n->checkpointing = true;
    n->taken = (struct checkpoint){.applied = n->applied,
                                   .term = pump_term_of(n->pump, n->applied),
                                   .hash = n->hash,
                                   .conf = *pump_applied_conf(n->pump)};
    sim_put(&w->events, w->now_ms + sim_below(&w->random, 200), EVENT_CHECKPOINT, n->id, n->life,
            NULL);
}

/* After every event: what the pump said, what it shows, when it wants to be called again. */
static void after(struct node *n, int rv)
{
    struct world *w = n->w;
    if (rv == -ERESTART) {
        w->counters.restarts++;
        n->dying = n->restart_due = true;
    } else if (rv == -EIO && n->dying) {
        w->counters.fatal++;
    } else if (rv == -EIO) {
        world_fail(w, "n%d: %s", n->id, pump_error(n->pump));
    }
    check_commit(n);
    check_engines(w);
    if (n->dying) {
        bool at_once = n->restart_due;
        node_crash(n);
        if (at_once)
            node_start(n);
        else if (n->id != w->victim)
            sim_put(&w->events, w->now_ms + sim_below(&w->random, w->restart_ms), EVENT_RESTART,
                    n->id, n->life, NULL);
        return;
    }
    maybe_checkpoint(n);
    uint64_t next = pump_next_timeout(n->pump);
    if (next != n->timer) {
        uint64_t at = next > n->skew_ms ? next - n->skew_ms : 0;
        n->timer = next;
        sim_put(&w->events, at > w->now_ms ? at : w->now_ms + 1, EVENT_TIMER, n->id, n->life, NULL);
    }
}

void node_on_message(struct node *n, void *data)
{
    const struct link_message *m = data;
    struct pump_stats before, now;
    if (!n->pump || n->w->links.cut[m->from][n->id])
        return;
    pump_stats(n->pump, &before);
    int rv = pump_receive(n->pump, now_of(n), m->bytes, m->len);
    pump_stats(n->pump, &now);
    if (now.bad_messages > before.bad_messages || now.foreign_messages > before.foreign_messages)
        world_fail(n->w, "n%d cannot take a message of n%d", n->id, m->from);
    if (now.received > before.received) {
        if (m->order <= n->newest[m->from])
            world_fail(n->w, "OVERTAKEN: n%d takes an old message of n%d", n->id, m->from);
        n->newest[m->from] = m->order;
        if (n->w->profile == PROFILE_ECHO && rv == 0)
            check_answer(n, m->from, m->bytes, m->len);
    }
    after(n, rv);
}

void node_on_disk(struct node *n)
{
    if (!n->writes.first || n->writes.first->done_ms > n->w->now_ms)
        return;
    const struct sim_write *o = writes_take(&n->writes);
    write_to_disk(n, o, o->n);
    after(n, pump_persisted(n->pump, now_of(n), o->entries[0].index, o->entries[o->n - 1].index));
}

void node_on_timer(struct node *n)
{
    after(n, pump_tick(n->pump, now_of(n)));
}

void node_on_checkpoint(struct node *n)
{
    n->checkpointing = false;
    n->durable = n->taken;
    n->w->counters.checkpoints++;
    if (n->w->faults && sim_permille(&n->w->random, n->w->fresh_permille))
        n->dying = true;
    after(n, pump_marker(n->pump, now_of(n), n->taken.applied));
}

void node_submit(struct node *n, bool big)
{
    static uint8_t payload[BIG_PAYLOAD];
    struct world *w = n->w;
    if (!n->pump || pump_last_index(n->pump) > LOG_MAX - 300)
        return;
    uint64_t id = ++w->next_id, index, term;
    size_t len = big ? BIG_PAYLOAD : 8 * (1 + sim_below(&w->random, 6));
    for (size_t i = 0; i < len; i += 8)
        memcpy(payload + i, &id, 8);
    w->counters.big += big;
    int rv = pump_submit(n->pump, now_of(n), payload, len, &index, &term);
    if (rv == PUMP_NOT_LEADER || rv == -EBUSY)
        rv = 0;
    after(n, rv);
}

/* What the node above decides, without its care for who is well. */
void node_change(struct node *n)
{
    struct world *w = n->w;
    struct pump_member m[PUMP_SERVERS_MAX];
    static const char *const names[] = {"", "n1", "n2", "n3", "n4", "n5"};
    uint64_t index, id = 1 + sim_below(&w->random, (unsigned)w->n);
    raft_index match = 0;
    if (!n->pump || pump_role(n->pump) != PUMP_LEADER)
        return;
    unsigned k = pump_members(n->pump, m), at = k, voters = 0;
    for (unsigned i = 0; i < k; i++) {
        voters += !m[i].joining;
        if (m[i].id == id)
            at = i;
    }
    if (at == k) {
        m[k++] = (struct pump_member){.id = id, .address = names[id], .joining = true};
    } else if (m[at].joining) {
        if (raft_match_index(&n->pump->raft, id, &match) != 0 ||
            match + 50 < pump_last_index(n->pump))
            return;
        m[at].joining = false;
    } else if (voters > 2 && id != (uint64_t)n->id) {
        m[at] = m[--k];
    } else {
        return;
    }
    int rv = pump_change(n->pump, now_of(n), m, k, &index);
    w->counters.changes += rv == 0;
    world_say(w, "n%d: n%" PRIu64 " %s: %d", n->id, id,
              at == k - 1 ? "joins or gets a vote" : "another role, or leaves", rv);
    after(n, rv == PUMP_NOT_LEADER || rv == -EBUSY ? 0 : rv);
}

uint64_t node_promote(struct node *n)
{
    struct pump_member m[PUMP_SERVERS_MAX];
    unsigned k = pump_members(n->pump, m), voters = 0, at = k;
    raft_index match = 0;
    uint64_t index, id;
    for (unsigned i = 0; i < k; i++) {
        voters += !m[i].joining;
        if (m[i].joining && n->w->node[m[i].id].pump &&
            raft_match_index(&n->pump->raft, m[i].id, &match) == 0 &&
            match + 50 >= pump_last_index(n->pump))
            at = i;
    }
    if (at == k || voters != 3)
        return 0;
    id = m[at].id;
    m[at].joining = false;
    int rv = pump_change(n->pump, now_of(n), m, k, &index);
    n->w->counters.changes += rv == 0;
    world_say(n->w, "n%d: n%" PRIu64 " gets a vote: %d", n->id, id, rv);
    after(n, rv == PUMP_NOT_LEADER || rv == -EBUSY ? 0 : rv);
    return rv == 0 && n->pump ? id : 0;
}

void node_transfer(struct node *n)
{
    if (!n->pump)
        return;
    int rv = pump_transfer(n->pump, now_of(n), 0);
    after(n, rv == PUMP_NOT_LEADER || rv == -ENOENT ? 0 : rv);
}

/* The state and the log up to it, copied from a live node some time ago. What this node knew beyond
 * is dropped only if the copy covers it. */
void node_seed(struct node *n, const struct seed_copy *copy)
{
    const struct node *from = &n->w->node[copy->from];
    uint64_t to = copy->state.applied;
    if (to <= n->durable.applied || n->last > to || from->last < to)
        return;
    bool up = n->pump != NULL;
    node_crash(n);
    if (n->last <= to && n->durable.applied < to) {
        memcpy(n->log, from->log, (to + 1) * sizeof *n->log);
        n->last = to;
        n->durable = copy->state;
        n->w->counters.seeds++;
        n->seeded_ms = n->w->now_ms;
        world_say(n->w, "n%d has a copy of n%d, to %" PRIu64, n->id, copy->from, to);
    }
    if (up)
        node_start(n);
}
