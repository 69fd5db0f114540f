/* SPDX-License-Identifier: Apache-2.0
 * One run: a cluster is made, lives with faults, is healed, must make progress, and is compared
 * with its logs.
 */
#include "tests/sim/world.h"

#include "proto/base/check.h"
#include "proto/hash.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- memory that lives until the run ends ---- */

enum { CHUNK = 4 << 20, CHUNKS_MAX = 4096 };
static uint8_t *chunk[CHUNKS_MAX];
static size_t chunk_size[CHUNKS_MAX];
static unsigned chunks, chunk_now;
static size_t chunk_used;

void *sim_alloc(struct sim_world *w, size_t n)
{
    (void)w;
    n = (n + 15) & ~(size_t)15;
    while (chunk_now < chunks && chunk_used + n > chunk_size[chunk_now]) {
        chunk_now++;
        chunk_used = 0;
    }
    if (chunk_now == chunks) {
        CHECK(chunks < CHUNKS_MAX);
        chunk_size[chunks] = n > CHUNK ? n : CHUNK;
        sim_host = true;
        chunk[chunks] = malloc(chunk_size[chunks]);
        sim_host = false;
        CHECK(chunk[chunks]);
        chunks++;
    }
    void *p = chunk[chunk_now] + chunk_used;
    chunk_used += n;
    return memset(p, 0, n);
}

const void *sim_copy(struct sim_world *w, const void *p, size_t n)
{
    if (n == 0)
        return NULL;
    return memcpy(sim_alloc(w, n), p, n);
}

/* ---- words ---- */

void sim_fail(struct sim_world *w, const char *format, ...)
{
    va_list ap;
    if (w->failed)
        return;
    w->failed = true;
    va_start(ap, format);
    (void)vsnprintf(w->failure, sizeof w->failure, format, ap);
    va_end(ap);
    sim_say(w, "FAILED: %s", w->failure);
}

void sim_say(struct sim_world *w, const char *format, ...)
{
    va_list ap;
    if (!w->trace)
        return;
    va_start(ap, format);
    (void)printf("%7" PRIu64 ".%03" PRIu64 " s  ", w->now_ms / 1000, w->now_ms % 1000);
    (void)vprintf(format, ap);
    (void)putchar('\n');
    va_end(ap);
}

bool sim_rarely(struct sim_world *w, unsigned per_100000)
{
    return w->faulty && sim_below(&w->random, 100000) < per_100000;
}

bool sim_often(struct sim_world *w, unsigned permille)
{
    return w->faulty && sim_permille(&w->random, permille);
}

int64_t sim_true_us(const struct sim_world *w)
{
    return SIM_START_US + (int64_t)w->now_ms * 1000;
}

/* ---- faults ---- */

static struct sim_node *any(struct sim_world *w)
{
    return &w->node[1 + (int)sim_below(&w->random, (unsigned)w->n)];
}

static unsigned up_to(struct sim_world *w, unsigned most)
{
    return sim_permille(&w->random, 300) ? 0 : sim_below(&w->random, most + 1);
}

static void draw_rates(struct sim_world *w)
{
    w->harsh = sim_permille(&w->random, 400);
    w->rate = (struct sim_faults){.lose = up_to(w, w->harsh ? 300 : 40),
                                  .repeat = up_to(w, w->harsh ? 150 : 40),
                                  .delay = up_to(w, 40),
                                  .die = up_to(w, 200),
                                  .stall = up_to(w, 1000),
                                  .fail = up_to(w, 60),
                                  .crash = up_to(w, w->harsh ? 80 : 40),
                                  .cut = up_to(w, w->harsh ? 80 : 30),
                                  .pause = up_to(w, 20),
                                  .jump = up_to(w, 20),
                                  .transfer = up_to(w, 20),
                                  .stop = up_to(w, 20),
                                  .dup_request = up_to(w, 150),
                                  .lag = up_to(w, w->harsh ? 40 : 10),
                                  .gone = up_to(w, 20),
                                  .depose = up_to(w, w->harsh ? 30 : 10),
                                  .room = up_to(w, 15),
                                  .oom = sim_permille(&w->random, 250) ? up_to(w, 400) : 0};
    /* Each of these costs a node: a minority may be lost at a time, so a run has one of them. */
    unsigned loss = w->members.on ? 100 : sim_below(&w->random, 100);
    if (loss < 25)
        w->rate.spoil = 20 + up_to(w, 100);
    if (loss < 25 && w->n == 5) /* of five nodes, two */
        w->rate.wipe = 60;
    if (loss >= 25 && loss < 34)
        w->rate.wipe = 40;
    if (loss >= 40 && loss < 65)
        w->rate.trim = 300;
}

static void crash_one(struct sim_world *w, struct sim_node *n, unsigned ms)
{
    if (!n->up)
        return;
    replica_crash(n, "power");
    if (sim_permille(&w->random, 400))
        ms /= 20;
    sim_put(&w->events, w->now_ms + sim_below(&w->random, ms), SIM_RESTART, n->id, n->life, NULL);
}

static void fault_crash(struct sim_world *w)
{
    if (sim_permille(&w->random, 200))
        for (int i = 1; i <= w->n; i++)
            crash_one(w, &w->node[i], 800);
    else
        crash_one(w, any(w), 4000);
}

static struct sim_node *leader_or_any(struct sim_world *w)
{
    for (int i = 1; i <= w->n; i++)
        if (w->node[i].up && w->node[i].node->role == PUMP_LEADER)
            return &w->node[i];
    return any(w);
}

static void cut_off(struct sim_world *w, int a, int b, bool both)
{
    w->links.cut[a][b] = a != b;
    if (both)
        w->links.cut[b][a] = a != b;
    sim_say(w, "n%d %s n%d cut", a, both ? "<->" : "->", b);
}

static void fault_cut(struct sim_world *w)
{
    unsigned what = sim_below(&w->random, 4);
    if (what == 0 || what == 3) {
        links_mend(&w->links);
        sim_say(w, "network whole");
    }
    if (what == 1)
        cut_off(w, any(w)->id, any(w)->id, sim_permille(&w->random, 300));
    if (what >= 2) {
        int a = sim_permille(&w->random, 500) ? leader_or_any(w)->id : any(w)->id,
            other = w->n == 5 && sim_permille(&w->random, 500) ? any(w)->id : a;
        for (int b = 1; b <= w->n; b++)
            if (b != a && b != other) {
                cut_off(w, a, b, true);
                cut_off(w, other, b, true);
            }
    }
}

/* Links that fall behind, each by its own time, and keep the order of what they carry. */
static void fault_lag(struct sim_world *w)
{
    memset(w->links.lag_ms, 0, sizeof w->links.lag_ms);
    if (sim_permille(&w->random, 400))
        return;
    int a = leader_or_any(w)->id;
    bool from = sim_permille(&w->random, 300), all = sim_permille(&w->random, 500);
    for (int b = 1; b <= w->n; b++)
        if (b != a && (all || sim_permille(&w->random, 500)))
            w->links.lag_ms[from ? a : b][from ? b : a] = sim_below(&w->random, 1500);
    w->counters.slow_links++;
    sim_say(w, "links %s n%d fall behind", from ? "from" : "to", a);
}

/* A leader that speaks to nobody any more, and hears late: what it proposed before is acknowledged
 * when another may lead already. Meanwhile it is asked. */
static void fault_depose(struct sim_world *w)
{
    enum { ASKED_FROM_MS = 150, ASKED_FOR_MS = 400, ASKED = 16 };
    int a = leader_or_any(w)->id;
    if (!w->node[a].up || w->node[a].node->role != PUMP_LEADER)
        return;
    links_mend(&w->links);
    memset(w->links.lag_ms, 0, sizeof w->links.lag_ms);
    for (int b = 1; b <= w->n; b++) {
        if (b == a)
            continue;
        w->links.cut[a][b] = true;
        w->links.lag_ms[b][a] = 300 + sim_below(&w->random, 200);
        sim_put(&w->events, w->now_ms + 1 + sim_below(&w->random, 5), SIM_GONE, b, 0,
                (void *)(uintptr_t)a);
    }
    for (unsigned i = 0; i < ASKED; i++)
        sim_put(&w->events, w->now_ms + ASKED_FROM_MS + sim_below(&w->random, ASKED_FOR_MS),
                SIM_QUERY, i % 2 == 0 ? a : any(w)->id, 0, NULL);
    w->counters.depositions++;
    sim_say(w, "n%d speaks to nobody, and hears late", a);
}

/* A connection breaks for no reason. */
static void fault_gone(struct sim_world *w)
{
    int a = any(w)->id, b = leader_or_any(w)->id;
    if (a != b)
        sim_put(&w->events, w->now_ms + 1, SIM_GONE, a, 0, (void *)(uintptr_t)b);
}

static void fault_clock(struct sim_world *w, struct sim_node *n)
{
    static const int64_t jumps_ms[] = {2000, 60000, 3600000, 86400000};
    int64_t ms = (int64_t)sim_below(&w->random, SIM_GOOD_CLOCK_MS);
    if (n->bad_clock)
        ms = jumps_ms[sim_below(&w->random, 4)];
    n->offset_us = sim_permille(&w->random, 500) ? ms * 1000 : -ms * 1000;
    w->counters.clock_jumps++;
    sim_say(w, "n%d: wall clock now %" PRId64 " ms off", n->id, n->offset_us / 1000);
}

/* One that may be wrong, where there is one, more often. */
static struct sim_node *any_clock(struct sim_world *w)
{
    struct sim_node *n = any(w);
    return n->bad_clock ? n : any(w);
}

static void fault_pause(struct sim_world *w, struct sim_node *n)
{
    if (!n->up)
        return;
    n->paused_until_ms = w->now_ms + 50 + sim_below(&w->random, 3000);
    w->counters.pauses++;
    sim_say(w, "n%d pauses until %" PRIu64 " ms", n->id, n->paused_until_ms);
}

static void fault_disk(struct sim_world *w, struct sim_node *n)
{
    w->counters.full_disks++;
    n->full_until_ms = w->now_ms + sim_below(&w->random, 4000);
    sim_say(w, "n%d: disk full until %" PRIu64 " ms", n->id, n->full_until_ms);
}

static void fault_room(struct sim_world *w)
{
    struct sim_node *n = any(w);
    n->short_until_ms = w->now_ms + sim_below(&w->random, 6000);
    w->counters.short_disks++;
    sim_say(w, "n%d: disk nearly full until %" PRIu64 " ms", n->id, n->short_until_ms);
}

/* Retention wants nothing before some entry any more. */
static void fault_trim(struct sim_world *w, struct sim_node *n)
{
    replica_trim(n, 1 + sim_below(&w->random, (unsigned)w->consensus.committed + 1));
}

static void fault_wipe(struct sim_world *w, struct sim_node *n)
{
    if (!n->lost && lies_minority(w) + !n->lies <= (unsigned)(w->n - 1) / 2)
        seeding_lose_disk(n, "its disk is lost");
}

static void fault(struct sim_world *w)
{
    const struct sim_faults *r = &w->rate;
    if (sim_often(w, r->crash * 5))
        fault_crash(w);
    if (sim_often(w, r->cut * 10))
        fault_cut(w);
    if (sim_often(w, r->lag * 10))
        fault_lag(w);
    if (sim_often(w, r->depose * 10))
        fault_depose(w);
    if (sim_often(w, r->gone * 10))
        fault_gone(w);
    if (sim_often(w, r->pause * 5))
        fault_pause(w, any(w));
    if (sim_often(w, r->jump * 10))
        fault_clock(w, any_clock(w));
    if (sim_often(w, r->transfer * 5))
        replica_transfer(any(w));
    if (sim_often(w, r->stop * 5))
        replica_stop(any(w));
    if (sim_often(w, r->room * 10))
        fault_room(w);
    if (sim_often(w, r->fail / 4))
        fault_disk(w, any(w));
    if (sim_often(w, r->spoil))
        lies_strike(sim_permille(&w->random, 500) ? leader_or_any(w) : any(w));
    if (sim_often(w, r->spoil / 2))
        lies_rebuild(any(w), false);
    if (sim_often(w, r->trim))
        fault_trim(w, any(w));
    if (sim_often(w, r->wipe))
        fault_wipe(w, any(w));
    if (sim_often(w, w->moved ? 50 : r->trim / 10))
        seeding_look(w);
    sim_put(&w->events, w->now_ms + 50 + sim_below(&w->random, 500), SIM_FAULT, 0, 0, NULL);
}

static void heal(struct sim_world *w)
{
    w->faulty = false;
    links_mend(&w->links);
    memset(w->links.lag_ms, 0, sizeof w->links.lag_ms);
    w->answers_at_heal = w->counters.answers;
    /* A minority may stay away; where a state lies, that may be the minority already. */
    int down = sim_permille(&w->random, 250) && !w->lied && !w->moved && w->rate.trim == 0 &&
                       !w->members.on
                   ? any(w)->id
                   : 0;
    sim_say(w, "---- heal; entry %" PRIu64 " is committed; n%d stays down", w->consensus.committed,
            down);
    for (int i = 1; i <= w->n; i++) {
        struct sim_node *n = &w->node[i];
        n->full_until_ms = n->short_until_ms = 0;
        if (n->bad_clock) {
            n->offset_us = 0;
            replica_set_drift(n, 0);
        }
        if (i != down)
            replica_start(n);
    }
    w->operated = sim_permille(&w->random, 700);
    if (w->lied || w->moved || w->rate.trim > 0)
        for (unsigned i = 1; i <= 5; i++)
            sim_put(&w->events, w->now_ms + i * 1200, SIM_OPERATOR, 0, 0, NULL);
    if (w->lied || w->moved || w->rate.trim > 0)
        w->end_ms += 6000;
    if (w->members.on)
        w->end_ms += 6000;
    if (down) {
        w->over = true;
        replica_crash(&w->node[down], "stays down");
        w->over = false;
        w->node[down].life++;
    }
}

/* ---- a run ---- */

static void make_cluster(struct sim_world *w)
{
    struct proto_hash op = {{0xee}};
    uint32_t operator= 1;
    memcpy(op.b + 1, &operator, sizeof operator);
    w->cluster =
        (struct cluster_conf){.uuid = {{0xc1}}, .seed = {{0x5e}}, .n_nodes = (unsigned)w->n};
    proto_sha256_of(op.b, sizeof op.b, &op); /* as callers present it */
    struct proto_hash raw = {{0xee}};
    memcpy(raw.b + 1, &operator, sizeof operator);
    proto_sha256_of(raw.b, sizeof raw.b, &w->cluster.operator_hash);
    for (int i = 0; i < w->n; i++) {
        struct cluster_node *c = &w->cluster.nodes[i];
        c->id = (uint32_t)i + 1;
        (void)snprintf(c->peer, sizeof c->peer, "n%d", i + 1);
        (void)snprintf(c->client, sizeof c->client, "c%d", i + 1);
    }
}

static void make_node(struct sim_world *w, int id, const uint8_t *conf, size_t len)
{
    struct sim_node *n = &w->node[id];
    n->w = w;
    n->id = id;
    n->term = n->first = n->last = 1;
    n->log[1] =
        (struct sim_entry){.term = 1, .kind = ENTRY_CHANGE, .data = conf, .len = (uint32_t)len};
    n->level = 1 + (w->mixed ? sim_below(&w->random, SIM_LEVELS) : SIM_LEVELS - 1);
    n->mono_ms = 1000 + sim_below(&w->random, 1000000);
    n->offset_us =
        1000 * ((int64_t)sim_below(&w->random, 2 * SIM_GOOD_CLOCK_MS) - SIM_GOOD_CLOCK_MS);
    n->drift_ppm = (int)sim_below(&w->random, 400) - 200;
    n->coarse_us = sim_permille(&w->random, 300) ? 100000 : 1;
    n->disk_ms = sim_permille(&w->random, 200) ? 60 : 4;
    n->net_ms = 3 + sim_below(&w->random, w->harsh ? 60 : 8);
    n->config = (struct node_config){
        .id = (uint32_t)id,
        .cluster = w->cluster,
        .election_timeout_ms = 500,
        .heartbeat_ms = 100,
        .cache_records = sim_permille(&w->random, 500) ? 64 : 100000,
        .checkpoint_ms = (50 + sim_below(&w->random, 1500)) * (w->rate.wipe > 0 ? 2 : 1),
        .checkpoint_records = sim_permille(&w->random, 150) ? 20 : 65536,
        .disk_free_percent = 1,
        .clock_bound_ms = sim_mutation == SIM_no_clock_guard ? 2000000000 : SIM_CLOCK_BOUND_MS};
    n->config.self = &n->config.cluster.nodes[id - 1];
}

/* May be set at any moment, and may run too fast or too slow by up to 5 %. */
static void spoil_clock(struct sim_world *w, struct sim_node *n)
{
    n->bad_clock = true;
    if (sim_permille(&w->random, 300))
        n->drift_ppm = (int)sim_below(&w->random, 100000) - 50000;
}

static void boot(struct sim_world *w)
{
    struct pump_server servers[SIM_NODES];
    uint8_t bytes[ENTRY_CONF_MAX];
    make_cluster(w);
    unsigned voters = 0;
    for (int i = 0; i < w->n; i++)
        if (members_listed(w, i + 1))
            servers[voters++] = (struct pump_server){(uint64_t)i + 1, w->cluster.nodes[i].peer};
    int len = pump_encode_servers(servers, voters, bytes);
    CHECK(len > 0);
    const uint8_t *conf = sim_copy(w, bytes, (size_t)len);
    for (int i = 1; i <= w->n; i++)
        make_node(w, i, conf, (size_t)len);
    if (sim_permille(&w->random, 500))
        for (int i = 0; i < (w->members.on ? 1 : w->n / 2); i++)
            if (i == 0 || sim_permille(&w->random, 500))
                spoil_clock(w, any(w));
    members_open(w);
    truth_open(w);
    for (int i = 1; i <= w->n; i++)
        replica_start(&w->node[i]);
    callers_open(w);
}

static void dispatch(struct sim_world *w, const struct sim_event *e)
{
    switch (e->kind) {
    case SIM_CALLER:
        if (w->caller[e->node].attempt == e->life)
            callers_act(w, e->node);
        break;
    case SIM_QUERY:
        callers_ask(w, e->node);
        break;
    case SIM_REPLY:
        callers_reply(w, e->data);
        break;
    case SIM_RESTART:
        if (w->node[e->node].life == e->life)
            replica_start(&w->node[e->node]);
        break;
    case SIM_FAULT:
        if (w->faulty)
            fault(w);
        break;
    case SIM_OPERATOR:
        for (int i = 1; i <= w->n && w->operated; i++)
            lies_rebuild(&w->node[i], false);
        if (w->moved || w->rate.trim > 0)
            seeding_look(w);
        break;
    case SIM_MEMBERS:
        members_act(w);
        break;
    case SIM_SEED:
        seeding_run(&w->node[e->node]);
        break;
    default:
        replica_handle(&w->node[e->node], e);
    }
}

static void run_until(struct sim_world *w, uint64_t until_ms)
{
    while (w->events.n > 0 && !w->failed) {
        uint64_t at_ms = w->events.heap[0].at_ms;
        if (at_ms > w->end_ms || at_ms > until_ms)
            break;
        struct sim_event e = sim_take(&w->events);
        w->now_ms = e.at_ms;
        if (w->faulty && w->now_ms >= w->heal_ms)
            heal(w);
        dispatch(w, &e);
        if (w->now_ms >= w->next_check_ms) {
            promises_logs(w);
            w->next_check_ms = w->now_ms + 1000;
        }
    }
}

void sim_advance(struct sim_world *w, uint64_t ms)
{
    uint64_t until_ms = w->now_ms + ms;
    run_until(w, until_ms);
    if (w->now_ms < until_ms && until_ms < w->end_ms)
        w->now_ms = until_ms;
}

void sim_run(struct sim_world *w, uint64_t seed)
{
    w->seed = seed;
    w->random.state = seed * UINT64_C(0x9E3779B97F4A7C15) + 4321;
    members_draw(w);
    w->heal_ms = 2000 + sim_below(&w->random, 12000);
    /* Holds expire half a minute after a change of leader: long runs see it. */
    w->end_ms = w->heal_ms + (sim_permille(&w->random, 250) ? 45000 : 7000);
    w->faulty = true;
    w->trail = 1 + sim_below(&w->random, 40);
    w->mixed = sim_permille(&w->random, 400);
    draw_rates(w);
    boot(w);
    sim_put(&w->events, 200 + sim_below(&w->random, 3000), SIM_FAULT, 0, 0, NULL);
    run_until(w, UINT64_MAX);
    if (w->failed)
        return;
    promises_logs(w);
    promises_liveness(w);
    members_end(w);
    lies_end(w);
    if (!w->failed)
        truth_end(w);
    w->counters.simulated_ms += w->now_ms;
}

void sim_world_close(struct sim_world *w)
{
    w->over = true;
    sim_alloc_left = -1;
    for (int i = 1; i <= w->n; i++)
        replica_crash(&w->node[i], "the run is over");
    truth_close(w);
    sim_events_close(&w->events);
    chunk_now = 0;
    chunk_used = 0;
    const struct sim_counters kept = w->counters;
    bool trace = w->trace;
    memset(w, 0, sizeof *w);
    w->counters = kept;
    w->trace = trace;
}
