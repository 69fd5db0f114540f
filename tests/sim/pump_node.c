/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/pump_world.h"

#include "proto/base/check.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHECKPOINT_EVERY = 60, /* entries */
    BIG_PAYLOAD = 300 * 1024,
};

static struct pump_now now_of(const struct node *n)
{
    return (struct pump_now){.mono_ms = n->w->now_ms + n->skew_ms,
                             .wall_us = (int64_t)n->w->now_ms * 1000};
}

/* ---- disk ---- */

static void truncate_disk(struct node *n, uint64_t from)
{
    if (from <= n->last)
        n->last = from - 1;
}

static void write_record(struct node *n, const struct log_entry *e)
{
    CHECK(e->index == n->last + 1 && e->index <= LOG_MAX);
    struct record *r = &n->log[e->index];
    *r = (struct record){.term = e->term, .kind = e->kind, .len = e->len};
    if (e->kind == ENTRY_CHANGE) {
        CHECK(e->len <= sizeof r->conf);
        memcpy(r->conf, e->data, e->len);
        r->conf_len = e->len;
    } else if (e->kind == ENTRY_COMMAND) {
        memcpy(&r->id, e->data, sizeof r->id);
        /* The payload is the id again and again: damage on the way would show. */
        for (uint32_t i = 8; i + 8 <= e->len; i += 8)
            if (memcmp(e->data + i, &r->id, 8) != 0)
                world_fail(n->w, "n%d: payload of entry %" PRIu64 " damaged", n->id, e->index);
    }
    n->last = e->index;
}

static void write_to_disk(struct node *n, const struct write *o, unsigned entries)
{
    truncate_disk(n, o->entries[0].index);
    for (unsigned i = 0; i < entries; i++)
        write_record(n, &o->entries[i]);
}

static int on_append(void *ctx, const struct log_entry *entries, unsigned count)
{
    struct node *n = ctx;
    struct world *w = n->w;
    struct write *o = world_alloc(w, sizeof *o);
    *o = (struct write){.entries = entries, .n = count};
    o->done_ms = w->now_ms + sim_below(&w->random, w->faults ? 25 : 3);
    if (w->faults && sim_permille(&w->random, 5))
        o->done_ms += sim_below(&w->random, 800); /* a disk that hangs */
    if (n->last_write && o->done_ms < n->last_write->done_ms)
        o->done_ms = n->last_write->done_ms;
    if (n->last_write)
        n->last_write->next = o;
    else
        n->first_write = o;
    n->last_write = o;
    sim_put(&w->events, o->done_ms, EVENT_DISK, n->id, n->life, NULL);
    return 0;
}

static int on_save_term(void *ctx, uint64_t term, uint64_t voted_for)
{
    struct node *n = ctx;
    struct world *w = n->w;
    bool fails = w->faults && sim_permille(&w->random, 3);
    if (!fails || sim_permille(&w->random, 500)) { /* a failed write may have reached the disk */
        if (term < n->term)
            world_fail(w, "n%d saves term %" PRIu64 " after %" PRIu64, n->id, term, n->term);
        n->term = term;
        n->vote = voted_for;
    }
    n->dying |= fails;
    return fails ? -EIO : 0;
}

static int on_read(void *ctx, uint64_t first, unsigned count, size_t max_bytes,
                   const struct log_entry **out)
{
    struct node *n = ctx;
    if (n->page_cap < count) {
        n->page = world_alloc(n->w, count * sizeof *n->page);
        n->page_cap = count;
    }
    unsigned got = 0;
    size_t bytes = 0;
    for (uint64_t i = first; got < count && i <= n->last && bytes < max_bytes; i++) {
        const struct record *r = &n->log[i];
        struct log_entry *e = &n->page[got++];
        *e = (struct log_entry){.index = i, .term = r->term, .len = r->len, .kind = r->kind};
        if (r->kind == ENTRY_CHANGE) {
            e->data = r->conf;
        } else if (r->len > 0) {
            uint8_t *data = world_alloc(n->w, r->len);
            for (uint32_t at = 0; at + 8 <= r->len; at += 8)
                memcpy(data + at, &r->id, 8);
            e->data = data;
        }
        bytes += r->len;
    }
    *out = n->page;
    return (int)got;
}

/* ---- network ---- */

static void on_send(void *ctx, uint64_t peer, const void *head, size_t head_len, const void *body,
                    size_t body_len)
{
    struct node *n = ctx;
    struct world *w = n->w;
    w->counters.messages++;
    if (w->faults && sim_below(&w->random, 4000) == 0)
        n->dying = true; /* after what is durable, before (the rest of) the messages */
    CHECK(peer >= 1 && peer <= (uint64_t)w->n && head_len + body_len <= PUMP_MESSAGE_TAKE_MAX);
    if (n->dying || w->cut[n->id][peer] ||
        (w->faults && sim_permille(&w->random, w->drop_permille)))
        return;
    /* A node that has nothing yet is kept so for a while: the rarest replies come from there. */
    if (w->faults && w->node[peer].last == 0 && sim_permille(&w->random, 800))
        return;
    struct message_in_flight *m = world_alloc(w, sizeof *m + head_len + body_len);
    m->from = n->id;
    m->len = head_len + body_len;
    memcpy(m->bytes, head, head_len);
    memcpy(m->bytes + head_len, body, body_len);
    uint64_t delay = 1 + sim_below(&w->random, w->faults ? 30 : 3);
    if (w->faults && sim_permille(&w->random, 20))
        delay += sim_below(&w->random, 1500);
    sim_put(&w->events, w->now_ms + delay, EVENT_MESSAGE, (int)peer, 0, m);
    if (w->faults && sim_permille(&w->random, w->repeat_permille))
        sim_put(&w->events,
                w->now_ms + delay +
                    sim_below(&w->random, sim_permille(&w->random, 200) ? 3000 : 50),
                EVENT_MESSAGE, (int)peer, 0, m);
}

/* ---- the rest of pump_io ---- */

static int on_apply(void *ctx, const struct log_entry *e)
{
    check_apply(ctx, e);
    return 0;
}

static void on_role(void *ctx, enum pump_role role, uint64_t term, uint64_t leader)
{
    struct node *n = ctx;
    if (role == PUMP_LEADER && leader != (uint64_t)n->id)
        world_fail(n->w, "n%d leads, but names %" PRIu64, n->id, leader);
    if (role == PUMP_LEADER)
        check_leader(n, term);
}

static void on_seed_needed(void *ctx, uint64_t peer)
{
    struct node *n = ctx;
    sim_put(&n->w->events, n->w->now_ms + 20, EVENT_SEED, n->id, n->life, &n->w->node[peer]);
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
    if (sim_permille(&n->w->random, 300)) /* only the newest entries are handed over */
        first = 1 + n->durable.applied - sim_below(&n->w->random, (unsigned)n->durable.applied + 1);
    if (n->durable.applied == 0)
        first = 1;
    for (uint64_t i = first; i <= n->last; i++) {
        CHECK(term_runs_append(&r->runs, i, n->log[i].term) == 0);
        if (n->log[i].kind != ENTRY_CHANGE)
            continue;
        struct log_conf *c = &confs[r->n_confs++];
        c->index = i;
        c->len = n->log[i].conf_len;
        memcpy(c->data, n->log[i].conf, c->len);
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
    struct pump_io io = {.ctx = n,
                         .save_term = on_save_term,
                         .append = on_append,
                         .read_entries = on_read,
                         .send = on_send,
                         .apply = on_apply,
                         .on_role = on_role,
                         .on_seed_needed = on_seed_needed};
    n->pump = pump_new(&config, &io);
    CHECK(n->pump);
    n->life++;
    n->dying = n->checkpointing = n->restart_due = false;
    n->skew_ms = sim_below(&w->random, 100000);
    n->applied = n->checked = n->durable.applied;
    n->hash = n->durable.hash;
    n->page = NULL;
    n->page_cap = 0;
    struct log_recovered r;
    struct log_conf *confs = calloc(8, sizeof *confs);
    CHECK(confs);
    recovered(n, &r, confs);
    int rv = pump_start(n->pump, now_of(n), &r);
    log_recovered_close(&r);
    if (rv)
        world_fail(w, "n%d does not start: %s", n->id, pump_error(n->pump));
    n->timer = pump_next_timeout(n->pump);
    sim_put(&w->events, n->timer - n->skew_ms, EVENT_TIMER, n->id, n->life, NULL);
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
    unsigned waiting = 0;
    for (struct write *o = n->first_write; o; o = o->next)
        waiting++;
    unsigned keep = sim_below(&w->random, waiting + 1);
    struct write *o = n->first_write;
    for (; o && keep > 0; o = o->next, keep--)
        write_to_disk(n, o, o->n);
    if (o && sim_permille(&w->random, 300))
        write_to_disk(n, o, sim_below(&w->random, o->n));
    if (n->checkpointing && sim_permille(&w->random, 500) && n->taken.applied <= n->last)
        n->durable = n->taken;
    n->first_write = n->last_write = NULL;
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
    if (n->checkpointing || n->applied < n->durable.applied + CHECKPOINT_EVERY)
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
    if (n->dying) {
        bool at_once = n->restart_due;
        node_crash(n);
        if (at_once)
            node_start(n);
        else
            sim_put(&w->events, w->now_ms + sim_below(&w->random, 2000), EVENT_RESTART, n->id,
                    n->life, NULL);
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
    struct message_in_flight *m = data;
    if (n->pump && !n->w->cut[m->from][n->id])
        after(n, pump_receive(n->pump, now_of(n), m->bytes, m->len));
}

void node_on_disk(struct node *n)
{
    struct write *o = n->first_write;
    if (!o || o->done_ms > n->w->now_ms)
        return;
    n->first_write = o->next;
    if (!o->next)
        n->last_write = NULL;
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

void node_transfer(struct node *n)
{
    if (!n->pump)
        return;
    int rv = pump_transfer(n->pump, now_of(n), 0);
    after(n, rv == PUMP_NOT_LEADER || rv == -ENOENT ? 0 : rv);
}

/* The state and the log up to it, copied from a live node. What this node knew beyond is dropped
 * only if the copy covers it. */
void node_seed(struct node *n, struct node *from)
{
    if (from->durable.applied <= n->durable.applied || n->last > from->durable.applied)
        return;
    bool up = n->pump != NULL;
    node_crash(n);
    if (n->last <= from->durable.applied) {
        memcpy(n->log, from->log, (from->durable.applied + 1) * sizeof *n->log);
        n->last = from->durable.applied;
        n->durable = from->durable;
        n->w->counters.seeds++;
    }
    if (up)
        node_start(n);
}
