/* SPDX-License-Identifier: Apache-2.0
 * Simulated edges, each with one call at a time, and an administrator. They retry with the same
 * bytes, late and twice, follow the leader or hold on to an old one, and die between reserve and
 * settle.
 */
#include "tests/sim/world.h"

#include "proto/base/check.h"
#include "proto/budget.h"
#include "proto/frame.h"

#include <stdlib.h>

#define USD INT64_C(1000000000)

enum {
    OPERATOR = 1,
    TOKEN = 5000,
    FIRST_KEY = 10000,
    TIMEOUT_MS = 700,
    ADMIN = 0,
    KEYS = 2,
    CALM_MS = 6000
};

static struct proto_hash secret(uint32_t n)
{
    struct proto_hash h = {{0xee}};
    memcpy(h.b + 1, &n, sizeof n);
    return h;
}

static struct proto_str S(const char *s) {
    return proto_str_of(s);
}

/* The number of a command stands in its id. */
static struct proto_command
begin(struct sim_world *w, unsigned kind, uint32_t *number)
{
    struct proto_command c;
    memset(&c, 0, sizeof c);
    int64_t ms = sim_true_us(w) / 1000;
    if (w->commands + 1 >= SIM_COMMANDS) {
        *number = 0;
        return c;
    }
    *number = ++w->commands;
    for (int i = 5; i >= 0; i--, ms >>= 8)
        c.head.id.b[i] = (uint8_t)ms;
    c.head.id.b[6] = 0x70;
    c.head.id.b[8] = 0x80;
    c.head.id.b[9] = 0x51;
    memcpy(c.head.id.b + 12, number, sizeof *number);
    c.head.kind = (uint8_t)kind;
    c.head.ip = S("");
    return c;
}

static void finish(struct sim_world *w, const struct proto_command *c, uint32_t number)
{
    uint8_t bytes[4096];
    struct proto_writer out = proto_writer_over(bytes, sizeof bytes);
    CHECK(proto_command_put(&out, c) && !out.full);
    w->command[number] = (struct sim_command){
        .kind = c->head.kind, .bytes = sim_copy(w, bytes, out.n), .n = (uint32_t)out.n};
}

/* ---- the administrator ---- */

static void admin_budget(struct sim_world *w, struct proto_command *c, unsigned scope,
                         unsigned window, int64_t limit)
{
    c->body.budget_put = (struct proto_budget_put){
        .scope = (uint8_t)scope,
        .subject = scope == PROTO_SCOPE_key ? 1 + sim_below(&w->random, KEYS) : 0,
        .selector = S(""),
        .window = (uint8_t)window,
        .limit = limit,
        .mode = PROTO_MODE_hard_block,
        .status = 402,
        .override = true,
        .label = S("cap"),
        .alerts = S("")};
}

static unsigned later_kind(struct sim_world *w)
{
    static const unsigned kinds[] = {
        PROTO_CMD_deposit,    PROTO_CMD_deposit,   PROTO_CMD_grant,      PROTO_CMD_refund,
        PROTO_CMD_budget_put, PROTO_CMD_org_pause, PROTO_CMD_org_resume, PROTO_CMD_org_resume};
    if (sim_permille(&w->random, 250))
        return w->faulty && sim_permille(&w->random, 400) ? PROTO_CMD_cluster_transfer
                                                          : PROTO_CMD_feature_level;
    return kinds[sim_below(&w->random, sizeof kinds / sizeof kinds[0])];
}

static uint32_t admin_command(struct sim_world *w, unsigned setup)
{
    static const unsigned script[] = {
        PROTO_CMD_org_create, PROTO_CMD_team_create, PROTO_CMD_key_create, PROTO_CMD_key_create,
        PROTO_CMD_deposit,    PROTO_CMD_budget_put,  PROTO_CMD_budget_put, PROTO_CMD_budget_put};
    static const char *const publics[KEYS] = {"0000aaaaaaaa", "0000bbbbbbbb"};
    uint32_t number;
    bool early = setup < sizeof script / sizeof script[0];
    unsigned kind = early ? script[setup] : later_kind(w);
    struct proto_command c = begin(w, kind, &number);
    if (number == 0)
        return 0;
    if (!proto_command_cluster(kind))
        c.head.org = shadow_org_id(0);
    c.head.cred = secret(OPERATOR);
    int64_t amount = (int64_t)(1 + sim_below(&w->random, 40)) * USD;
    switch (kind) {
    case PROTO_CMD_org_create:
        c.body.org_create = (struct proto_org_create){
            .name = S("acme"), .billing_day = 1, .fee_ppm = 40000, .allow_unpriced = true};
        break;
    case PROTO_CMD_team_create:
        c.body.team_create.name = S("a");
        break;
    case PROTO_CMD_key_create:
        c.body.key_create = (struct proto_key_create){.team = 1,
                                                      .public = S(publics[setup - 2]),
                                                      .secret = secret(FIRST_KEY + setup - 2),
                                                      .label = S("ci"),
                                                      .env = S("")};
        break;
    case PROTO_CMD_budget_put:
        admin_budget(w, &c, setup == 5 || !early ? PROTO_SCOPE_org : PROTO_SCOPE_key,
                     setup == 7 || sim_permille(&w->random, 500) ? PROTO_WINDOW_hourly
                                                                 : PROTO_WINDOW_absolute,
                     amount * 2);
        break;
    case PROTO_CMD_feature_level:
        c.body.feature_level.level = 1 + sim_below(&w->random, SIM_LEVELS);
        break;
    case PROTO_CMD_cluster_transfer:
        c.body.cluster_transfer.node = sim_below(&w->random, (unsigned)w->n + 1);
        w->counters.transfers_commanded++;
        break;
    case PROTO_CMD_org_pause:
    case PROTO_CMD_org_resume:
        c.body.org_pause.reason = S("drill");
        break;
    default:
        c.body.deposit = (struct proto_deposit){
            .amount = early ? 40 * USD : amount / 4, .reference = S(""), .reason = S("money")};
    }
    finish(w, &c, number);
    return number;
}

/* The operator of a run about members. */
static uint32_t change_command(struct sim_world *w)
{
    uint32_t number;
    int node;
    unsigned kind = members_wish(w, &node);
    if (kind == 0)
        return 0;
    struct proto_command c = begin(w, kind, &number);
    if (number == 0)
        return 0;
    c.head.cred = secret(OPERATOR);
    if (kind == PROTO_CMD_cluster_add)
        c.body.cluster_add =
            (struct proto_cluster_add){(uint32_t)node, S(w->cluster.nodes[node - 1].peer)};
    else if (kind == PROTO_CMD_cluster_remove)
        c.body.cluster_remove = (struct proto_cluster_remove){(uint32_t)node, S("drill")};
    else
        c.body.cluster_transfer.node = (uint32_t)node;
    finish(w, &c, number);
    return number;
}

/* ---- calls ---- */

static uint32_t reserve(struct sim_world *w, struct sim_caller *k)
{
    uint32_t number;
    struct proto_command c = begin(w, PROTO_CMD_reserve, &number);
    if (number == 0)
        return 0;
    k->amount = (int64_t)(1 + sim_below(&w->random, 900)) * USD / 100;
    k->hold = c.head.id;
    c.head.cred = secret(FIRST_KEY + sim_below(&w->random, KEYS));
    if (sim_permille(&w->random, 300))
        c.head.deadline_us = sim_true_us(w) + 1000 * (int64_t)sim_below(&w->random, 3000);
    c.body.reserve =
        (struct proto_reserve){.token = secret(TOKEN),
                               .ttl_us = 1000 * (int64_t)(500 + sim_below(&w->random, 8000)),
                               .flags = PROTO_RESERVE_UNPRICED,
                               .customer = S(""),
                               .user = S(""),
                               .agent = S(""),
                               .env = S("")};
    c.body.reserve.candidates.n = 1;
    c.body.reserve.candidates.e[0] = (struct proto_candidate){S("model-a"), k->amount};
    finish(w, &c, number);
    return number;
}

static uint32_t resolve(struct sim_world *w, const struct sim_caller *k, unsigned kind)
{
    uint32_t number;
    struct proto_command c = begin(w, kind, &number);
    if (number == 0)
        return 0;
    c.head.org = shadow_org_id(0);
    if (kind == PROTO_CMD_settle) {
        int64_t cost = k->amount / 1000 * (int64_t)sim_below(&w->random, 1150);
        c.body.settle = (struct proto_settle){
            .hold = k->hold, .token = secret(TOKEN), .source = PROTO_COST_PROVIDER, .cost = cost};
    } else if (kind == PROTO_CMD_release) {
        c.body.release = (struct proto_release){.hold = k->hold, .token = secret(TOKEN)};
    } else {
        c.head.cred = secret(FIRST_KEY);
        c.body.extend = (struct proto_extend){
            .hold = k->hold, .token = secret(TOKEN), .amount = USD / 10, .ttl_us = 5000000};
    }
    finish(w, &c, number);
    return number;
}

/* ---- requests ---- */

static void send_rpc(struct sim_world *w, struct sim_rpc *rpc)
{
    if (rpc->n > 0)
        sim_say(w, "caller %d asks n%d: command %u (%s)%s", rpc->caller, rpc->node, rpc->command[0],
                proto_command_name(w->command[rpc->command[0]].kind),
                rpc->n > 1 ? " and late retries" : "");
    unsigned copies = 1 + sim_often(w, w->rate.dup_request);
    w->counters.requests++;
    while (copies-- > 0) {
        for (unsigned i = 0; i < rpc->n; i++)
            w->command[rpc->command[i]].attempts++;
        if (sim_often(w, w->rate.lose))
            continue;
        uint64_t delay = 1 + sim_below(&w->random, 4);
        if (sim_often(w, w->rate.delay))
            delay += sim_below(&w->random, 3000);
        sim_put(&w->events, w->now_ms + delay, SIM_REQUEST, rpc->node, 0, rpc);
    }
}

static struct sim_rpc *make_rpc(struct sim_world *w, const struct sim_caller *k, bool stale,
                                unsigned n)
{
    struct sim_rpc *rpc = sim_alloc(w, sizeof *rpc);
    *rpc = (struct sim_rpc){.caller = k->id,
                            .node = k->leader,
                            .attempt = k->attempt,
                            .n = n,
                            .stale = stale,
                            .acked = w->acked};
    return rpc;
}

static void frame(struct sim_world *w, struct sim_rpc *rpc)
{
    static uint8_t bytes[16384];
    struct proto_writer out = proto_writer_over(bytes, sizeof bytes);
    const struct proto_request_head head = {.version = PROTO_FRAME_VERSION,
                                            .cluster = w->cluster.uuid,
                                            .kind = rpc->n > 0 ? PROTO_REQUEST_COMMANDS
                                                               : PROTO_REQUEST_QUERY,
                                            .stale = rpc->stale};
    proto_request_begin(&out, &head, rpc->n > 0 ? rpc->n : 1);
    for (unsigned i = 0; i < rpc->n; i++)
        proto_put_bin(&out, w->command[rpc->command[i]].bytes, w->command[rpc->command[i]].n);
    if (rpc->n == 0) {
        uint8_t query[PROTO_QUERY_MAX];
        struct proto_writer q = proto_writer_over(query, sizeof query);
        const struct proto_query v = {.head = {.kind = PROTO_QUERY_orgs, .cred = secret(OPERATOR)}};
        CHECK(proto_query_put(&q, &v));
        proto_put_bin(&out, query, q.n);
    }
    CHECK(!out.full);
    rpc->bytes = sim_copy(w, bytes, out.n);
    rpc->len = out.n;
}

static void wake(struct sim_world *w, const struct sim_caller *k, uint64_t ms)
{
    sim_put(&w->events, w->now_ms + ms, SIM_CALLER, k->id, k->attempt, NULL);
}

static void attempt(struct sim_world *w, struct sim_caller *k)
{
    k->attempt++;
    k->waiting = true;
    struct sim_rpc *rpc = make_rpc(w, k, false, 1);
    rpc->command[0] = k->command;
    /* An old command of anybody's comes along: a retry that is late. */
    while (rpc->n < SIM_RPC_COMMANDS && sim_permille(&w->random, w->faulty ? 150 : 20))
        rpc->command[rpc->n++] = 1 + sim_below(&w->random, w->commands);
    frame(w, rpc);
    send_rpc(w, rpc);
    wake(w, k, TIMEOUT_MS);
}

static void query(struct sim_world *w, struct sim_caller *k)
{
    struct sim_rpc *rpc = make_rpc(w, k, sim_permille(&w->random, 200), 0);
    rpc->attempt = 0; /* nobody waits for it */
    if (sim_permille(&w->random, 300))
        rpc->node = members_any(w);
    frame(w, rpc);
    send_rpc(w, rpc);
}

/* Somebody holds on to this node, whoever leads. */
void callers_ask(struct sim_world *w, int node)
{
    struct sim_rpc *rpc = make_rpc(w, &w->caller[ADMIN], false, 0);
    rpc->attempt = 0;
    rpc->node = node;
    frame(w, rpc);
    send_rpc(w, rpc);
}

/* ---- what a caller does ---- */

static void idle(struct sim_world *w, struct sim_caller *k, uint64_t ms)
{
    k->attempt++;
    k->step = SIM_IDLE;
    k->waiting = false;
    wake(w, k, ms);
}

static void start_command(struct sim_world *w, struct sim_caller *k, enum sim_step step,
                          uint32_t number)
{
    if (number == 0) {
        idle(w, k, step == SIM_CHANGING ? 100 : 1000);
        return;
    }
    k->step = step;
    k->command = number;
    k->tries = 0;
    attempt(w, k);
}

static void end_hold(struct sim_world *w, struct sim_caller *k)
{
    bool settle = sim_permille(&w->random, 750);
    start_command(w, k, SIM_ENDING, resolve(w, k, settle ? PROTO_CMD_settle : PROTO_CMD_release));
}

static void act_idle(struct sim_world *w, struct sim_caller *k)
{
    if (w->consensus.committed > SIM_LOG - 500) {
        idle(w, k, 1000);
        return;
    }
    if (k->id == (int)w->callers) {
        start_command(w, k, SIM_CHANGING, change_command(w));
        return;
    }
    if (sim_permille(&w->random, 300))
        query(w, k);
    if (k->id == ADMIN)
        start_command(w, k, SIM_SETUP, admin_command(w, k->setup));
    else if (w->caller[ADMIN].setup >= 5)
        start_command(w, k, SIM_RESERVING, reserve(w, k));
    else
        idle(w, k, 100);
}

static int another(struct sim_world *w, const struct sim_caller *k)
{
    return w->members.on ? members_any(w)
                         : 1 + (k->leader + (int)sim_below(&w->random, (unsigned)w->n - 1)) % w->n;
}

/* The attempt timed out, or its turn has come. */
void callers_act(struct sim_world *w, int caller)
{
    struct sim_caller *k = &w->caller[caller];
    if (k->waiting) {
        if (!k->hinted && (!k->stubborn || !w->faulty || sim_permille(&w->random, 100)))
            k->leader = another(w, k);
        k->hinted = false;
        if (++k->tries > 6 && k->step == SIM_RESERVING && w->faulty)
            idle(w, k, 50); /* it gives up; the hold may be there */
        else
            attempt(w, k);
        return;
    }
    switch (k->step) {
    case SIM_IDLE:
        act_idle(w, k);
        break;
    case SIM_HOLDING:
        if (sim_often(w, 60))
            idle(w, k, 200); /* it died */
        else if (sim_permille(&w->random, 150))
            start_command(w, k, SIM_EXTENDING, resolve(w, k, PROTO_CMD_extend));
        else
            end_hold(w, k);
        break;
    default:
        idle(w, k, 100);
    }
}

static void hold_on(struct sim_world *w, struct sim_caller *k)
{
    k->attempt++;
    k->step = SIM_HOLDING;
    k->waiting = false;
    wake(w, k, 1 + sim_below(&w->random, sim_permille(&w->random, 100) ? 12000 : 400));
}

static void on_done(struct sim_world *w, struct sim_caller *k, unsigned code)
{
    unsigned pause = sim_below(&w->random, w->faulty ? 60 : 300);
    if (!w->faulty && w->now_ms > w->heal_ms + CALM_MS)
        pause = 8 * pause + 400; /* what is still to come is expiry: it needs time, not calls */
    switch (k->step) {
    case SIM_SETUP:
        if (code == PROTO_OK && k->setup < 8)
            k->setup++;
        idle(w, k, k->setup < 8 ? 1 : 100 + 4 * pause);
        break;
    case SIM_RESERVING:
        if (code == PROTO_OK)
            hold_on(w, k);
        else
            idle(w, k, 20 + pause);
        break;
    case SIM_EXTENDING:
        end_hold(w, k);
        break;
    case SIM_CHANGING:
        members_answer(w, code);
        idle(w, k, 100 + sim_below(&w->random, 900));
        break;
    default:
        idle(w, k, pause);
    }
}

void callers_reply(struct sim_world *w, struct sim_rpc *rpc)
{
    struct sim_caller *k = &w->caller[rpc->caller];
    if (!k->waiting || rpc->attempt != k->attempt)
        return; /* too late */
    if (rpc->status == PROTO_REPLY_done) {
        on_done(w, k, rpc->code[0]);
        return;
    }
    if (rpc->status == PROTO_REPLY_expired) {
        idle(w, k, 10);
        return;
    }
    if (rpc->status == PROTO_REPLY_not_leader && w->faulty && k->step == SIM_RESERVING &&
        sim_permille(&w->random, 100)) {
        idle(w, k, 10); /* refused: it must have no effect */
        return;
    }
    k->hinted = rpc->leader > 0 && !(k->stubborn && w->faulty);
    if (k->hinted)
        k->leader = (int)rpc->leader;
    k->attempt++;
    wake(w, k, 20 + sim_below(&w->random, 50));
}

void callers_open(struct sim_world *w)
{
    w->callers = 3 + sim_below(&w->random, SIM_CALLERS - 3);
    w->org_count = 1;
    w->command = sim_alloc(w, SIM_COMMANDS * sizeof *w->command);
    for (int i = 0; i < (int)w->callers + w->members.on; i++) {
        w->caller[i] = (struct sim_caller){
            .id = i, .leader = members_any(w), .stubborn = sim_permille(&w->random, 200)};
        wake(w, &w->caller[i], 100 + sim_below(&w->random, 300));
    }
}
