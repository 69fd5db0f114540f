/* SPDX-License-Identifier: Apache-2.0
 * One simulated node: the shipped object's life (start from disk, events, crash), its clocks, its
 * side of the network.
 */
#include "tests/sim/world.h"

#include "tests/sim/engine.h"

#include "proto/base/check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

/* ---- clocks ---- */

static int64_t drifted(const struct sim_node *n, int64_t v)
{
    return v + v * n->drift_ppm / 1000000;
}

struct pump_now replica_now(const struct sim_node *n)
{
    int64_t now = (int64_t)n->w->now_ms;
    int64_t wall_us = SIM_START_US + drifted(n, now * 1000) + n->offset_us;
    return (struct pump_now){.mono_ms = n->mono_ms + (uint64_t)drifted(n, now),
                             .wall_us = wall_us - wall_us % n->coarse_us};
}

void replica_set_drift(struct sim_node *n, int ppm)
{
    int64_t now = (int64_t)n->w->now_ms, before = drifted(n, now);
    n->drift_ppm = ppm;
    n->mono_ms += (uint64_t)(before - drifted(n, now)); /* it does not go back */
}

/* ---- effects ---- */

bool replica_dies(struct sim_node *n)
{
    if (!n->dying && sim_rarely(n->w, n->w->rate.die)) {
        n->dying = true;
        n->w->counters.crashes_inside_an_effect++;
    }
    return n->dying;
}

static void send_message(void *ctx, uint64_t peer, const void *head, size_t head_len,
                         const void *body, size_t body_len)
{
    struct sim_node *n = ctx;
    struct sim_world *w = n->w;
    w->counters.messages++;
    CHECK(peer >= 1 && peer <= (uint64_t)w->n);
    if (!lies_may_act(n))
        return;
    promises_send(n, head, head_len, body, body_len);
    if (w->trace)
        sim_say(w, "    n%d to n%d: %s", n->id, (int)peer,
                engine_message_text(head, head_len, body, body_len));
    if (replica_dies(n) || w->links.cut[n->id][peer] || !(n->knows >> peer & 1) ||
        sim_often(w, w->rate.lose))
        return;
    struct link_message *m = sim_alloc(w, sizeof *m + head_len + body_len);
    m->from = n->id;
    m->term = n->node->term;
    links_fill(&w->links, m, head, head_len, body, body_len);
    const struct links_weather weather = {.net_ms = n->net_ms,
                                          .late_permille = w->rate.delay,
                                          .late_ms = 2000,
                                          .repeat_permille = w->rate.repeat,
                                          .faulty = w->faulty};
    links_carry(&w->links, &w->random, &w->events, w->now_ms, &weather, SIM_MESSAGE, (int)peer, m);
}

static void learn(void *ctx, uint64_t peer, const char *address)
{
    struct sim_node *n = ctx;
    (void)address;
    n->knows |= 1u << peer;
}

static void redial(void *ctx, uint64_t peer)
{
    (void)ctx;
    (void)peer;
}

/* Kept until the event is over: what it applied is then known to the checkers. */
static void reply(void *ctx, struct serve_request *r, struct net_frame *f)
{
    struct sim_node *n = ctx;
    if (replica_dies(n) || !f) {
        net_frame_free(f);
        serve_request_free(r);
        return;
    }
    CHECK(n->replies < sizeof n->reply / sizeof n->reply[0]);
    n->replied_to[n->replies] = r;
    n->reply[n->replies++] = f;
}

static void random_bytes(void *ctx, void *p, size_t len)
{
    struct sim_node *n = ctx;
    uint8_t *at = p;
    for (size_t i = 0; i < len; i++)
        at[i] = (uint8_t)sim_random(&n->w->random);
}

static int room(void *ctx, uint64_t *free_bytes, uint64_t *total_bytes)
{
    const struct sim_node *n = ctx;
    *free_bytes = n->short_until_ms > n->w->now_ms ? SIM_DISK_BYTES / 1000 : SIM_DISK_BYTES / 2;
    *total_bytes = SIM_DISK_BYTES;
    return 0;
}

static int mark(void *ctx, const char *text, struct store_why *why)
{
    (void)why;
    lies_judged(ctx, text);
    return 0;
}

/* ---- life ---- */

static struct node_io io_of(struct sim_node *n)
{
    struct node_io io = {.ctx = n,
                         .room = room,
                         .mark = mark,
                         .send = send_message,
                         .learn = learn,
                         .redial = redial,
                         .reply = reply,
                         .random = random_bytes};
    disk_io(&io);
    return io;
}

static unsigned guards_off(void)
{
    switch (sim_mutation) {
    case SIM_guard_order:
        return PUMP_GUARD_ORDER;
    case SIM_guard_pre_vote:
        return PUMP_GUARD_PRE_VOTE;
    case SIM_guard_commit_max:
        return PUMP_GUARD_COMMIT_MAX;
    case SIM_guard_persisted:
        return PUMP_GUARD_PERSISTED;
    default:
        return 0;
    }
}

static void deliver_replies(struct sim_node *n)
{
    struct sim_world *w = n->w;
    for (unsigned i = 0; i < n->replies; i++) {
        struct sim_rpc *sent = n->replied_to[i]->frame->to;
        struct sim_rpc *rpc = sim_alloc(w, sizeof *rpc);
        *rpc = *sent;
        truth_reply(n, rpc, n->reply[i]->bytes, n->reply[i]->len);
        net_frame_free(n->reply[i]);
        serve_request_free(n->replied_to[i]);
        if (!sim_often(w, w->rate.lose))
            sim_put(&w->events, w->now_ms + 1 + sim_below(&w->random, n->net_ms), SIM_REPLY,
                    rpc->caller, 0, rpc);
    }
    n->replies = 0;
}

static void drop_replies(struct sim_node *n)
{
    for (unsigned i = 0; i < n->replies; i++) {
        net_frame_free(n->reply[i]);
        serve_request_free(n->replied_to[i]);
    }
    n->replies = 0;
}

static void enter(struct sim_node *n)
{
    if (!n->w->faulty)
        sim_alloc_left = -1;
    else if (sim_rarely(n->w, n->w->rate.oom))
        sim_alloc_left = (int)sim_below(&n->w->random, sim_permille(&n->w->random, 500) ? 8 : 100);
    sim_running = n->id;
    sim_wall_us = replica_now(n).wall_us;
    n->stamp_us = 0;
}

static void leave(struct sim_node *n)
{
    if (sim_alloc_failed > 0) {
        sim_say(n->w, "n%d: no memory for %s", n->id,
                n->node->failed ? "what it must do: it ends" : "something");
        n->w->counters.allocations_failed += sim_alloc_failed;
        n->dying |= n->node->failed;
    }
    sim_alloc_failed = 0;
    sim_running = 0;
    sim_wall_us = INT64_MIN;
}

void replica_crash(struct sim_node *n, const char *why)
{
    struct sim_world *w = n->w;
    if (!n->up)
        return;
    n->dying = true;
    disk_crash(n);
    node_drop_requests(n->node, PROTO_REPLY_unavailable);
    drop_replies(n);
    node_close(n->node);
    free(n->node);
    n->node = NULL;
    n->up = false;
    n->life++;
    n->paused_until_ms = 0;
    w->counters.crashes += !w->over;
    for (int i = 1; i <= w->n && !w->over; i++) /* most hear at once that its connections end */
        if (i != n->id && !w->links.cut[n->id][i] && sim_permille(&w->random, 700))
            sim_put(&w->events, w->now_ms + 1 + sim_below(&w->random, 40), SIM_GONE, i, 0,
                    (void *)(uintptr_t)n->id);
    sim_say(w, "n%d crashes (%s); its log ends at %" PRIu64 ", its checkpoint at %" PRIu64, n->id,
            why, n->last, n->durable ? n->durable->meta.applied_index : 0);
}

static void restart_later(struct sim_node *n)
{
    struct sim_world *w = n->w;
    unsigned ms = sim_permille(&w->random, 500) ? 100 : 2500;
    sim_put(&w->events, w->now_ms + sim_below(&w->random, ms), SIM_RESTART, n->id, n->life, NULL);
}

/* As node_host_finish and close_node do. */
static void end_in_order(struct sim_node *n)
{
    node_drop_requests(n->node, PROTO_REPLY_unavailable);
    deliver_replies(n);
    disk_flush(n);
    n->w->counters.stops++;
    n->w->counters.crashes--; /* what follows is none */
    replica_crash(n, "in order");
    restart_later(n);
}

/* After every event. */
static void after(struct sim_node *n)
{
    struct sim_world *w = n->w;
    if (n->node->failed && !n->dying) { /* what rests on a lie may not hold together */
        if (engine_restarts(n->node->pump))
            w->counters.changes_taken_back++;
        else if (!n->lies)
            sim_fail(w, "n%d ends by itself, exit %d: %s%s", n->id, (int)n->node->exit,
                     n->node->pump ? pump_error(n->node->pump) : "",
                     core_machine_error(n->node->machine));
        n->dying = true;
    }
    promises_check(n);
    if (!n->dying)
        deliver_replies(n);
    n->told |= n->hears;
    if (n->dying) {
        replica_crash(n, n->full_until_ms > w->now_ms ? "disk full" : "in an effect");
        restart_later(n);
        return;
    }
    if (node_may_end(n->node)) {
        end_in_order(n);
        return;
    }
    uint64_t at = w->now_ms + node_wait_ms(n->node);
    if (at <= w->now_ms)
        at = w->now_ms + 1;
    if (at < n->timer_ms || n->timer_ms <= w->now_ms) {
        n->timer_ms = at;
        sim_put(&w->events, at, SIM_TIMER, n->id, n->life, NULL);
    }
}

void replica_start(struct sim_node *n)
{
    struct sim_world *w = n->w;
    struct log_recovered log;
    const struct state_meta none = {0};
    if (n->up || n->lost || n->outside || w->failed)
        return;
    members_started(n);
    if (n->marked) {
        sim_say(w, "n%d does not start: its directory is marked", n->id);
        return;
    }
    if (n->level < SIM_LEVELS && sim_permille(&w->random, 250)) {
        n->level++;
        w->counters.upgrades++;
    }
    sim_level[n->id] = n->level;
    const struct node_start start = {.state = n->durable ? &n->durable->meta : &none,
                                     .log = &log,
                                     .trail = w->trail,
                                     .disable_guards = guards_off()};
    const struct node_io io = io_of(n);
    n->node = calloc(1, sizeof *n->node);
    CHECK(n->node);
    n->up = true;
    n->life++;
    n->dying = false;
    n->seen = n->durable;
    n->timer_ms = 0;
    n->page = NULL;
    n->page_cap = 0;
    n->applied = n->committed = start.state->applied_index;
    memset(n->newest, 0, sizeof n->newest);
    disk_recover(n, &log);
    enter(n);
    int rv = node_open(n->node, &n->config, &io, &start);
    struct core_position at;
    if (rv == 0) {
        core_machine_position(n->node->machine, &at);
        lies_started(n, &at);
        if (n->parted > 0 && !n->lies)
            sim_fail(w, "STATE: n%d starts from a checkpoint at %" PRIu64 " with another chain",
                     n->id, at.index);
        rv = node_start(n->node, replica_now(n), &start);
    }
    log_recovered_close(&log);
    leave(n);
    sim_say(w, "n%d starts: log to %" PRIu64 ", checkpoint at %" PRIu64 ", term %" PRIu64, n->id,
            n->last, n->applied, n->term);
    after(n);
}

/* ---- events ---- */

static void on_request(struct sim_node *n, struct sim_rpc *rpc)
{
    struct serve_refusal refusal;
    struct net_frame *f = net_frame_of(rpc->bytes, rpc->len);
    if (!f) {
        CHECK(sim_alloc_failed > 0);
        return; /* the connection ends */
    }
    struct serve_request *r =
        serve_request_open(f, &n->config.cluster.uuid, n->config.cluster.group, &refusal);
    if (!r) {
        net_frame_free(f);
        if (sim_alloc_failed == 0)
            sim_fail(n->w, "n%d refuses a frame: %s", n->id, refusal.detail);
        return;
    }
    f->to = rpc; /* its way back; nobody looks inside */
    if (sim_mutation == SIM_stale_read)
        r->stale = true;
    node_on_request(n->node, replica_now(n), r);
}

static void on_state(struct sim_node *n, bool done)
{
    uint64_t index;
    if (!n->writing)
        return;
    if (done && n->full_until_ms > n->w->now_ms) {
        n->dying = true;
        return;
    }
    index = n->writing_index;
    if (done ? !disk_state_done(n) : n->state_told)
        return;
    n->state_told |= !done;
    node_on_checkpoint(n->node, replica_now(n), index);
}

static void on_message(struct sim_node *n, const struct link_message *m)
{
    struct pump_stats before, now;
    if (n->w->links.cut[m->from][n->id])
        return;
    bool shows = lies_shown_by(n, m->bytes, m->len);
    pump_stats(n->node->pump, &before);
    node_on_message(n->node, replica_now(n), m->bytes, m->len);
    pump_stats(n->node->pump, &now);
    if (now.bad_messages > before.bad_messages || now.foreign_messages > before.foreign_messages)
        sim_fail(n->w, "n%d cannot take a message of n%d", n->id, m->from);
    if (now.received == before.received)
        return;
    if (m->order <= n->newest[m->from])
        sim_fail(n->w, "OVERTAKEN: n%d takes an old message of n%d", n->id, m->from);
    n->newest[m->from] = m->order;
    n->hears |= shows;
}

static void handle(struct sim_node *n, const struct sim_event *e)
{
    struct sim_world *w = n->w;
    uint64_t first, last;
    switch (e->kind) {
    case SIM_MESSAGE:
        on_message(n, e->data);
        break;
    case SIM_DISK:
        if (n->writes.first && (n->full_until_ms > w->now_ms || sim_rarely(w, w->rate.fail)))
            n->dying = true; /* the log thread's on_fatal: the process ends */
        else if (disk_write_done(n, &first, &last))
            node_on_persisted(n->node, replica_now(n), first, last);
        break;
    case SIM_STATE:
        on_state(n, e->data != NULL);
        break;
    case SIM_GONE:
        n->w->counters.connections_gone++;
        node_on_gone(n->node, replica_now(n), (uint64_t)(uintptr_t)e->data);
        break;
    case SIM_REQUEST:
        on_request(n, e->data);
        break;
    default:
        break;
    }
}

void replica_handle(struct sim_node *n, const struct sim_event *e)
{
    struct sim_world *w = n->w;
    bool own = e->kind == SIM_DISK || e->kind == SIM_STATE || e->kind == SIM_TIMER;
    if (!n->up || (own && e->life != n->life))
        return;
    if (n->paused_until_ms > w->now_ms) { /* the process stands still; events wait for it */
        sim_put(&w->events, n->paused_until_ms, e->kind, e->node, e->life, e->data);
        return;
    }
    enter(n);
    handle(n, e);
    if (!n->dying && !n->node->failed)
        node_timers(n->node, replica_now(n));
    if (!n->dying)
        node_propose(n->node);
    leave(n);
    after(n);
}

void replica_stop(struct sim_node *n)
{
    if (!n->up || n->paused_until_ms > n->w->now_ms)
        return;
    sim_say(n->w, "n%d is told to stop", n->id);
    enter(n);
    node_on_stop(n->node, replica_now(n));
    leave(n);
    after(n);
}

void replica_trim(struct sim_node *n, uint64_t first)
{
    if (!n->up || n->paused_until_ms > n->w->now_ms)
        return;
    enter(n);
    node_on_wanted(n->node, replica_now(n), first);
    leave(n);
    after(n);
}

void replica_transfer(struct sim_node *n)
{
    if (!n->up || n->paused_until_ms > n->w->now_ms)
        return;
    enter(n);
    int rv = pump_transfer(n->node->pump, replica_now(n), 0);
    n->w->counters.transfers += rv == 0;
    node_pump_result(n->node, rv == PUMP_NOT_LEADER || rv == -ENOENT ? 0 : rv);
    leave(n);
    after(n);
}
