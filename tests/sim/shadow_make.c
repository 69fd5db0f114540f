/* SPDX-License-Identifier: Apache-2.0
 * Random commands and random time. Retries, reused ids, forged tokens, old and future ids, amounts
 * at the ends of int64 are made on purpose.
 */
#include "shadow_world.h"

#include <stdio.h>

uint64_t rnd(uint64_t below)
{
    return rig_random(&w.rig, below);
}

bool one_in(uint64_t n)
{
    return rnd(n) == 0;
}

/* ---- making commands ---- */
static struct proto_hash secret(uint32_t n)
{
    struct proto_hash h = {{0xee}};
    memcpy(h.b + 1, &n, sizeof n);
    return h;
}

static struct proto_hash sealed(uint32_t n)
{
    struct proto_hash h = secret(n), out;
    proto_sha256_of(h.b, sizeof h.b, &out);
    return out;
}
enum { OPERATOR = 1, TOKEN = 5000, FORGED = 5999, FIRST_KEY = 10000 };

static struct proto_uuid fresh_id(int64_t time_us)
{
    struct proto_uuid u = {{0}};
    int64_t ms = time_us / 1000;
    for (int i = 5; i >= 0; i--, ms >>= 8)
        u.b[i] = (uint8_t)ms;
    u.b[6] = 0x70;
    uint64_t n = ++w.ids;
    memcpy(u.b + 8, &n, sizeof n);
    return u;
}

static struct proto_uuid any_id(void)
{
    int64_t t = w.clock_us;
    switch (rnd(60)) {
    case 0:
        t -= (int64_t)rnd((uint64_t)(12 * MINUTE));
        break;
    case 1:
        t += (int64_t)rnd((uint64_t)(6 * MINUTE));
        break;
    case 2:
        t -= (int64_t)rnd((uint64_t)(31 * DAY));
        break;
    default:
        break;
    }
    return fresh_id(t);
}

static struct proto_command command(unsigned kind, unsigned org, uint32_t secret_n)
{
    struct proto_command c;
    memset(&c, 0, sizeof c);
    c.head.kind = (uint8_t)kind;
    c.head.id = any_id();
    c.head.org = shadow_org_id(org);
    if (secret_n)
        c.head.cred = secret(secret_n);
    return c;
}

static void send_sealed(const struct sent *s)
{
    w.now[w.n++] = *s;
    w.old[w.olds++ % OLD] = *s;
}

static void send(const struct proto_command *c)
{
    struct sent s;
    struct proto_writer writer = proto_writer_over(s.bytes, sizeof s.bytes);
    const char *why;
    if (!proto_command_put(&writer, c) || !proto_command_seal(s.bytes, writer.n, &why))
        shadow_fail("a command cannot be encoded");
    s.n = (uint32_t)writer.n;
    send_sealed(&s);
}

/* Amounts near the end of int64. */
static bool extreme(void)
{
    return w.scale > INT64_C(1000000000000);
}

static int64_t amount(void)
{
    switch (rnd(24)) {
    case 0:
        return 0;
    case 1:
        return (int64_t)rnd((uint64_t)w.scale * 40);
    case 2:
        return extreme() ? INT64_MAX - (int64_t)rnd(3) : w.scale * 60;
    case 3:
        return one_in(4) ? -1 : 1;
    default:
        return (int64_t)rnd((uint64_t)w.scale * 3);
    }
}

static struct proto_str pick(const char *const *names, unsigned n)
{
    return proto_str_of(names[rnd(n)]);
}

static const char *const models[] = {"model-a", "model-a", "model-b", "model-c", "model-x"};
static const char *const customers[] = {"", "ann", "bob", "cy", "*"};
static const char *const envs[] = {"", "", "prod", "dev"};
static const char *const agents[] = {"", "", "bot"};
static const char *const users[] = {"", "", "u1", "u2"};

static uint32_t any_key(unsigned org)
{
    uint32_t keys = w.shadow.org[org].keys;
    return keys ? 1 + (uint32_t)rnd(keys) : 0;
}

/* A hold of the past, most often a recent one; its token, most often. */
static const struct shadow_hold *any_hold(void)
{
    unsigned n = w.shadow.holds;
    if (n == 0)
        return NULL;
    unsigned back = (unsigned)rnd(one_in(4) ? n : n < 60 ? n : 60);
    return &w.shadow.hold[n - 1 - back];
}

/* Of a hold that was released before its reserve came. */
static bool forestalled_id(struct proto_uuid *id)
{
    for (int i = 0; i < 30; i++) {
        const struct shadow_hold *h = any_hold();
        if (!h || h->state != FORESTALLED)
            continue;
        *id = h->id;
        return true;
    }
    return false;
}

static void make_reserve(unsigned org)
{
    uint32_t key = any_key(org);
    struct proto_command c = command(PROTO_CMD_reserve, org, w.live_secret[org][key]);
    struct proto_reserve *v = &c.body.reserve;
    if (one_in(2))
        memset(&c.head.org, 0, sizeof c.head.org);
    if (one_in(20))
        (void)forestalled_id(&c.head.id);
    if (one_in(60))
        c.head.cred = secret((uint32_t)(FIRST_KEY + rnd(w.secrets + 2)));
    if (one_in(100))
        c.head.cred = secret(OPERATOR);
    v->token = secret(TOKEN + (uint32_t)rnd(3));
    v->price_version = w.shadow.version;
    if (one_in(8))
        v->price_version -= (uint32_t)rnd(3);
    v->ttl_us = one_in(40) ? (int64_t)rnd(2) * (DAY + 1) : SECOND + (int64_t)rnd(15 * MINUTE);
    if (one_in(3)) /* the same deadline as others */
        v->ttl_us = MINUTE;
    v->flags = one_in(40) ? PROTO_RESERVE_UNBOUNDED : 0;
    if (one_in(12))
        v->idempotency = secret(8000 + (uint32_t)rnd(6));
    v->customer = pick(customers, 5);
    v->user = pick(users, 4);
    v->agent = pick(agents, 3);
    v->env = pick(envs, 4);
    v->candidates.n = 1 + (uint32_t)(one_in(3) ? rnd(3) : 0);
    for (uint32_t i = 0; i < v->candidates.n; i++) {
        v->candidates.e[i] = (struct proto_candidate){pick(models, 5), amount()};
        if (i > 0 && v->candidates.e[i].amount < 0)
            v->candidates.e[i].amount = 0;
    }
    send(&c);
}

static struct proto_hash token_of(const struct shadow_hold *h)
{
    for (uint32_t i = 0; i < 3 && !one_in(40); i++) {
        struct proto_hash t = sealed(TOKEN + i);
        if (memcmp(&t, &h->token, sizeof t) == 0)
            return secret(TOKEN + i);
    }
    return secret(FORGED);
}

static void make_settle(unsigned org)
{
    const struct shadow_hold *h = any_hold();
    if (!h)
        return;
    struct proto_command c = command(PROTO_CMD_settle, one_in(50) ? org : h->org, 0);
    struct proto_settle *v = &c.body.settle;
    v->hold = one_in(50) ? fresh_id(w.clock_us) : h->id;
    v->token = token_of(h);
    v->source = (uint8_t)rnd(3);
    v->cost = amount();
    v->units.n = 2;
    v->units.e[0] = (struct proto_usage){PROTO_UNIT_input, (int64_t)rnd(2000000)};
    v->units.e[1] = (struct proto_usage){PROTO_UNIT_output, (int64_t)rnd(100000)};
    if (one_in(50))
        v->units.e[0].n = INT64_MAX - (int64_t)rnd(2);
    send(&c);
}

static void make_release(unsigned org)
{
    const struct shadow_hold *h = any_hold();
    if (!h)
        return;
    struct proto_command c = command(PROTO_CMD_release, one_in(50) ? org : h->org, 0);
    c.body.release.hold = h->id;
    c.body.release.token = token_of(h);
    if (one_in(12)) /* overtakes a reserve that comes, or never does */
        c.body.release.hold = any_id();
    send(&c);
}

static void make_extend(void)
{
    const struct shadow_hold *h = any_hold();
    if (!h)
        return;
    uint32_t by = one_in(4) ? any_key(h->org) : h->key;
    struct proto_command c = command(PROTO_CMD_extend, h->org, w.live_secret[h->org][by]);
    if (one_in(8))
        c.head.cred = secret(OPERATOR);
    c.body.extend = (struct proto_extend){
        .hold = h->id, .token = token_of(h), .amount = amount(), .ttl_us = SECOND};
    c.body.extend.ttl_us += (int64_t)rnd(one_in(10) ? DAY - SECOND : 10 * MINUTE);
    send(&c);
}

static void make_money(unsigned org)
{
    static const unsigned kinds[] = {PROTO_CMD_deposit, PROTO_CMD_deposit, PROTO_CMD_deposit,
                                     PROTO_CMD_grant,   PROTO_CMD_refund,  PROTO_CMD_chargeback};
    static char text[SHADOW_REFERENCES + 1][8];
    struct proto_command c = command(kinds[rnd(6)], org, OPERATOR);
    c.body.deposit.amount = extreme() || one_in(20) ? amount() : amount() * 8;
    c.body.deposit.reference = c.body.deposit.reason = proto_str_of("");
    if (one_in(6)) {
        unsigned n = (unsigned)rnd(SHADOW_REFERENCES);
        snprintf(text[n], sizeof text[n], "ev%u", n);
        c.body.deposit.reference = proto_str_of(text[n]);
    }
    send(&c);
}

static void make_adjust(void)
{
    const struct shadow_hold *h = any_hold();
    if (!h)
        return;
    struct proto_command c = command(PROTO_CMD_adjust, h->org, OPERATOR);
    int64_t left = h->cost > 0 ? h->cost : 2;
    c.body.adjust = (struct proto_adjust){.hold = h->id,
                                          .amount = 1 + (int64_t)rnd((uint64_t)left),
                                          .from_fees = one_in(3),
                                          .reason = proto_str_of("")};
    if (one_in(8))
        c.body.adjust.amount = INT64_MAX;
    send(&c);
}

static void make_budget(unsigned org)
{
    const struct shadow_org *o = &w.shadow.org[org];
    struct proto_command c;
    if (one_in(3) && o->budgets) {
        c = command(PROTO_CMD_budget_delete, org, OPERATOR);
        c.body.budget_delete.budget = 1 + (uint32_t)rnd(o->budgets + 1);
        c.body.budget_delete.reason = proto_str_of("");
        send(&c);
        return;
    }
    c = command(PROTO_CMD_budget_put, org, OPERATOR);
    struct proto_budget_put *v = &c.body.budget_put;
    v->label = proto_str_of("cap");
    v->selector = v->alerts = proto_str_of("");
    v->scope = (uint8_t)(1 + rnd(PROTO_SCOPE_LAST));
    v->window = (uint8_t)(1 + rnd(PROTO_WINDOW_LAST));
    v->mode = (uint8_t)(one_in(2) ? 1 : 1 + rnd(PROTO_MODE_LAST));
    v->status = one_in(2) ? 429 : 0;
    v->override = one_in(2);
    v->limit = w.scale * (int64_t)(1 + rnd(one_in(5) && !extreme() ? 400 : 30));
    v->soft_limit = one_in(2) ? v->limit / 2 : 0;
    if (o->budgets + BATCH >= SHADOW_BUDGETS - 1 || (one_in(2) && o->budgets))
        v->budget = 1 + (uint32_t)rnd(o->budgets);
    if (v->budget && one_in(2)) { /* the same thing, another limit or mode */
        const struct shadow_budget *b = &o->budget[v->budget];
        v->scope = (uint8_t)b->scope;
        v->window = (uint8_t)b->window;
        v->subject = b->subject;
        v->selector = proto_str_of(b->selector.s);
    } else if (v->scope == PROTO_SCOPE_team) {
        v->subject = 1 + (uint32_t)rnd(3);
    } else if (v->scope == PROTO_SCOPE_key) {
        v->subject = 1 + (uint32_t)rnd(5);
    } else if (v->scope != PROTO_SCOPE_org) {
        static const char *const selectors[] = {"*",   "*",    "ann",     "bob",    "u1",
                                                "bot", "prod", "model-a", "model-b"};
        v->selector = pick(selectors, 9);
    }
    if (v->scope == PROTO_SCOPE_model && one_in(2))
        v->selector = proto_str_of("model-a");
    send(&c);
}

static void name_key(uint32_t n, char public[16])
{
    snprintf(public, 16, "0000k%u", n);
}

void make_key(unsigned org)
{
    struct shadow_org *o = &w.shadow.org[org];
    static char public[BATCH][16];
    uint32_t n = w.secrets + FIRST_KEY;
    struct proto_command c;
    name_key(n, public[w.n]);
    if (o->keys + BATCH < SHADOW_KEYS && (o->keys < 3 || one_in(3))) {
        c = command(PROTO_CMD_key_create, org, OPERATOR);
        c.head.id = fresh_id(w.clock_us);
        c.body.key_create = (struct proto_key_create){
            .team = (uint32_t)rnd(3), .public = proto_str_of(public[w.n]), .secret = secret(n)};
        c.body.key_create.label = proto_str_of("");
        c.body.key_create.env = pick(envs, 4);
        c.body.key_create.expires_us = one_in(6) ? w.clock_us + 20 * DAY : 0;
        c.body.key_create.models.n = one_in(4);
        c.body.key_create.models.e[0].model = proto_str_of("model-a");
    } else if (one_in(3)) {
        c = command(PROTO_CMD_key_revoke, org, OPERATOR);
        c.body.key_revoke.key = any_key(org) + one_in(10);
        c.body.key_revoke.reason = proto_str_of("");
    } else {
        c = command(PROTO_CMD_key_rotate, org, OPERATOR);
        c.body.key_rotate = (struct proto_key_rotate){
            .key = any_key(org), .public = proto_str_of(public[w.n]), .secret = secret(n)};
    }
    if (w.shadow.creds + BATCH < SHADOW_CREDS) {
        w.secrets++;
        send(&c);
    }
}

static void make_prices(void)
{
    uint8_t rows[PROTO_PRICE_MAX];
    struct proto_price p = {.model = pick(models + 1, 3), .max_input = 1000, .max_output = 1000};
    struct proto_writer writer = proto_writer_over(rows, sizeof rows);
    p.points.n = 2;
    p.points.e[0] = (struct proto_point){.unit = PROTO_UNIT_input,
                                         .price = (int64_t)rnd(INT64_C(1000000000000))};
    p.points.e[1] = (struct proto_point){.unit = PROTO_UNIT_output,
                                         .price = (int64_t)rnd(INT64_C(20000000000000))};
    proto_price_put(&writer, &p);
    struct proto_command c = command(PROTO_CMD_price_import, 0, OPERATOR);
    memset(&c.head.org, 0, sizeof c.head.org);
    c.body.price_import =
        (struct proto_price_import){.version = w.shadow.version + (one_in(20) ? 0 : 1),
                                    .source = proto_str_of(one_in(10) ? "other" : "sim"),
                                    .first = one_in(4) ? 1 : w.shadow.pending + 1,
                                    .count = 1,
                                    .last = one_in(3),
                                    .rows = {(const char *)rows, (uint32_t)writer.n}};
    if (w.shadow.version + BATCH + 1 < SHADOW_VERSIONS)
        send(&c);
}

static void make_org(unsigned org)
{
    struct proto_command c;
    if (one_in(2)) {
        c = command(one_in(3) ? PROTO_CMD_org_pause : PROTO_CMD_org_resume, org, OPERATOR);
        c.body.org_pause.reason = proto_str_of("");
    } else {
        c = command(PROTO_CMD_org_set, org, OPERATOR);
        c.body.org_set = (struct proto_org_set){.name = proto_str_of("sim"),
                                                .billing_day = (uint8_t)(1 + rnd(28)),
                                                .fee_ppm = one_in(2) ? (uint32_t)rnd(100000) : 0,
                                                .allow_unpriced = !one_in(3)};
    }
    send(&c);
}

/* A retry; or the same id and other bytes. */
static void make_again(void)
{
    struct sent s;
    struct proto_command c;
    if (w.olds == 0)
        return;
    unsigned kept = w.olds < OLD ? w.olds : OLD;
    s = w.old[(w.olds - 1 - rnd(one_in(2) ? kept : kept < 20 ? kept : 20)) % OLD];
    if (one_in(10) && proto_command_get(s.bytes, s.n, &c, NULL)) {
        struct sent other;
        struct proto_writer writer = proto_writer_over(other.bytes, sizeof other.bytes);
        c.head.deadline_us++;
        if (!proto_command_put(&writer, &c))
            shadow_fail("a command cannot be encoded again");
        other.n = (uint32_t)writer.n;
        send_sealed(&other);
        return;
    }
    send_sealed(&s);
}

void make_one(void)
{
    unsigned org = (unsigned)rnd(SHADOW_ORGS);
    uint64_t n = rnd(100);
    if (n < 36)
        make_reserve(org);
    else if (n < 56)
        make_settle(org);
    else if (n < 64)
        make_release(org);
    else if (n < 71)
        make_extend();
    else if (n < 78)
        make_money(org);
    else if (n < 81)
        make_adjust();
    else if (n < 84)
        make_budget(org);
    else if (n < 86)
        make_key(org);
    else if (n < 88)
        make_prices();
    else if (n < 89)
        make_org(org);
    else
        make_again();
}

/* ---- time ---- */
/* To a moment at which something ends, or to the microsecond before or after it. */
static void to_a_boundary(void)
{
    if (w.shadow.holds == 0)
        return;
    const struct shadow_hold *h = &w.shadow.hold[rnd(w.shadow.holds)];
    const int64_t ends[] = {h->deadline_us,
                            h->deadline_us,
                            h->deadline_us + LATE,
                            h->keep_us,
                            h->created_us + DAY,
                            h->lines ? h->line[0]->end_us : 0,
                            h->lines ? h->line[h->lines - 1]->end_us : 0,
                            w.shadow.grace_until_us};
    const int64_t end = ends[rnd(8)], step = (int64_t)rnd(3) - 1;
    if (end == INT64_MAX) /* never */
        return;
    int64_t t = end + step;
    if (t > w.clock_us && t < w.clock_us + 9 * DAY && (t < w.clock_us + HOUR || one_in(6)))
        w.clock_us = t;
}

void pass_time(void)
{
    if (one_in(4)) {
        to_a_boundary();
        return;
    }
    static const int64_t jumps[] = {HOUR, HOUR, HOUR, 9 * HOUR, DAY, 8 * DAY, 33 * DAY};
    if (one_in(60))
        w.clock_us += (int64_t)rnd((uint64_t)jumps[rnd(7)]);
    else if (!one_in(4))
        w.clock_us += (int64_t)rnd((uint64_t)(20 * SECOND));
    if (one_in(150)) {
        w.term += 1 + rnd(2);
        if (one_in(2)) { /* a new leader's barrier */
            rig_skip(&w.rig, w.term);
            w.shadow.index++;
        }
    }
}

/* ---- the beginning ---- */
void learn_secrets(void)
{
    for (unsigned i = 0; i < w.shadow.creds; i++) {
        const struct shadow_cred *c = &w.shadow.cred[i];
        for (uint32_t n = 0; !c->stale && n < w.secrets; n++) {
            struct proto_hash h = sealed(FIRST_KEY + n);
            if (memcmp(&h, &c->hash, sizeof h) == 0)
                w.live_secret[c->org][c->key] = FIRST_KEY + n;
        }
    }
}

void make_begin(void)
{
    struct proto_command c = command(PROTO_CMD_genesis, 0, 0);
    memset(&c.head.org, 0, sizeof c.head.org);
    c.body.genesis = (struct proto_genesis){.cluster = shadow_org_id(99),
                                            .machine = PROTO_MACHINE_VERSION,
                                            .seed = secret(77),
                                            .operator_hash = sealed(OPERATOR)};
    send(&c);
    for (unsigned org = 0; org < SHADOW_ORGS; org++) {
        c = command(PROTO_CMD_org_create, org, OPERATOR);
        c.head.id = fresh_id(w.clock_us);
        c.body.org_create = (struct proto_org_create){.name = proto_str_of("sim"),
                                                      .billing_day = (uint8_t)(1 + rnd(28)),
                                                      .fee_ppm = org ? 40000 : 0,
                                                      .allow_unpriced = true};
        send(&c);
        for (int i = 0; i < 2; i++) {
            c = command(PROTO_CMD_team_create, org, OPERATOR);
            c.head.id = fresh_id(w.clock_us);
            c.body.team_create.name = proto_str_of("team");
            send(&c);
        }
    }
}
