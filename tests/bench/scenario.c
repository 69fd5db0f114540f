/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/scenario.h"

#include "proto/batch.h"
#include "proto/budget.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    SET_UP_BATCH = 500, /* commands of a set-up entry */
    FIRST_STEPS = 1,    /* the genesis */
    ORG_STEPS = 5,      /* org, team, deposit, two budgets */
    KEY_STEPS = 2,      /* key, budget */
    COMMAND_MAX = 1024,
};

_Noreturn void scenario_die(const char *what)
{
    fprintf(stderr, "bench: %s\n", what);
    exit(1);
}

void scenario_check(const struct core_outcome *out)
{
    for (uint32_t i = 0; i < out->n; i++) {
        struct proto_result r;
        if (!proto_result_get(out->results + out->items[i].offset, out->items[i].length, &r,
                              NULL) ||
            r.code != PROTO_OK)
            scenario_die(proto_code_name(r.code));
    }
}

static uint64_t draw(struct scenario *s)
{
    s->random ^= s->random << 13;
    s->random ^= s->random >> 7;
    s->random ^= s->random << 17;
    return s->random * UINT64_C(2685821657736338717);
}

static struct proto_uuid id_at(int64_t time_us, uint64_t a, uint64_t b)
{
    struct proto_uuid u;
    int64_t ms = time_us / 1000;
    memcpy(u.b, &a, 8);
    memcpy(u.b + 8, &b, 8);
    for (int i = 5; i >= 0; i--, ms >>= 8)
        u.b[i] = (uint8_t)ms;
    u.b[6] = (uint8_t)((u.b[6] & 0x0f) | 0x70);
    u.b[8] = (uint8_t)((u.b[8] & 0x3f) | 0x80);
    return u;
}

/* Spread like hashes, and the same at every call. */
static uint64_t spread(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static struct proto_uuid org_id(uint32_t org)
{
    return id_at(INT64_C(1767225600000000) + org, spread(org), spread(org + (UINT64_C(1) << 32)));
}

/* key 0: the operator */
static struct proto_hash secret(uint32_t key)
{
    struct proto_hash h;
    for (unsigned i = 0; i < 4; i++) {
        uint64_t x = spread((uint64_t)key * 4 + i + (UINT64_C(1) << 40));
        memcpy(h.b + 8 * i, &x, 8);
    }
    return h;
}

static struct proto_command command(struct scenario *s, unsigned kind)
{
    struct proto_command c;
    memset(&c, 0, sizeof c);
    c.head.kind = (uint8_t)kind;
    c.head.id = id_at(s->clock_us, draw(s), draw(s));
    c.head.cred = secret(0);
    return c;
}

/* ---- entries ---- */
struct entry {
    struct scenario *s;
    struct proto_writer w;
};

static void begin(struct entry *e, struct scenario *s, uint32_t n)
{
    *e = (struct entry){.s = s, .w = proto_writer_over(s->payload, sizeof s->payload)};
    struct proto_batch_header h = {
        .format = PROTO_LOG_FORMAT, .machine = PROTO_MACHINE_VERSION, .stamp_us = s->clock_us};
    proto_batch_begin(&e->w, &h, n);
}

static void add(struct entry *e, const struct proto_command *c)
{
    uint8_t bytes[COMMAND_MAX];
    struct proto_writer w = proto_writer_over(bytes, sizeof bytes);
    if (!proto_command_put(&w, c) || !proto_command_seal(bytes, w.n, NULL))
        scenario_die("a command cannot be encoded");
    proto_batch_add(&e->w, bytes, w.n);
    e->s->commands++;
    e->s->command_bytes += w.n;
}

static void end(struct entry *e)
{
    if (e->w.full)
        scenario_die("an entry does not fit");
    e->s->n = e->w.n;
    e->s->index++;
}

/* ---- set-up ---- */
void scenario_init(struct scenario *s, uint32_t orgs, uint32_t keys)
{
    memset(s, 0, sizeof *s);
    s->orgs = orgs;
    s->keys = keys;
    s->random = UINT64_C(88172645463325252);
    s->clock_us = INT64_C(1790000000000000);
    s->rate = SCENARIO_RATE;
}

static uint32_t org_of(const struct scenario *s, uint32_t key)
{
    return (key - 1) % s->orgs + 1;
}

static uint32_t number_of(const struct scenario *s, uint32_t key)
{
    return (key - 1) / s->orgs + 1; /* within its org */
}

static struct proto_command budget(struct scenario *s, unsigned scope, uint32_t subject)
{
    struct proto_command c = command(s, PROTO_CMD_budget_put);
    c.body.budget_put = (struct proto_budget_put){.scope = (uint8_t)scope,
                                                  .subject = subject,
                                                  .window = PROTO_WINDOW_monthly,
                                                  .limit = INT64_MAX / 2,
                                                  .mode = PROTO_MODE_hard_block,
                                                  .status = 402,
                                                  .selector = proto_str_of(""),
                                                  .label = proto_str_of("monthly"),
                                                  .alerts = proto_str_of("")};
    return c;
}

static struct proto_command genesis(struct scenario *s)
{
    struct proto_hash op = secret(0);
    struct proto_command c = command(s, PROTO_CMD_genesis);
    memset(&c.head.cred, 0, sizeof c.head.cred);
    c.body.genesis = (struct proto_genesis){
        .cluster = org_id(0), .machine = PROTO_MACHINE_VERSION, .seed = secret(1)};
    proto_sha256_of(op.b, sizeof op.b, &c.body.genesis.operator_hash);
    return c;
}

static struct proto_command org_step(struct scenario *s, uint32_t org, unsigned step)
{
    struct proto_command c;
    switch (step) {
    case 0:
        c = command(s, PROTO_CMD_org_create);
        c.body.org_create = (struct proto_org_create){
            .name = proto_str_of("acme"), .billing_day = 1, .fee_ppm = 20000, .allow_unpriced = 1};
        break;
    case 1:
        c = command(s, PROTO_CMD_team_create);
        c.body.team_create.name = proto_str_of("core");
        break;
    case 2:
        c = command(s, PROTO_CMD_deposit);
        c.body.deposit =
            (struct proto_deposit){INT64_MAX / 4, proto_str_of(""), proto_str_of("bench")};
        break;
    case 3:
        c = budget(s, PROTO_SCOPE_org, 0);
        break;
    default:
        c = budget(s, PROTO_SCOPE_team, 1);
    }
    c.head.org = org_id(org);
    return c;
}

static struct proto_command key_step(struct scenario *s, uint32_t key, unsigned step,
                                     char public[PROTO_PUBLIC_MAX])
{
    struct proto_command c;
    if (step == 0) {
        c = command(s, PROTO_CMD_key_create);
        snprintf(public, PROTO_PUBLIC_MAX, "0000%08u", key);
        c.body.key_create = (struct proto_key_create){.team = 1,
                                                      .public = proto_str_of(public),
                                                      .secret = secret(key),
                                                      .label = proto_str_of("ci"),
                                                      .env = proto_str_of("")};
    } else {
        c = budget(s, PROTO_SCOPE_key, number_of(s, key));
    }
    c.head.org = org_id(org_of(s, key));
    return c;
}

static struct proto_command step_at(struct scenario *s, uint64_t at, char public[PROTO_PUBLIC_MAX])
{
    uint64_t in_orgs = (uint64_t)s->orgs * ORG_STEPS;
    if (at < FIRST_STEPS)
        return genesis(s);
    at -= FIRST_STEPS;
    if (at < in_orgs)
        return org_step(s, 1 + (uint32_t)(at / ORG_STEPS), (unsigned)(at % ORG_STEPS));
    at -= in_orgs;
    return key_step(s, 1 + (uint32_t)(at / KEY_STEPS), (unsigned)(at % KEY_STEPS), public);
}

bool scenario_set_up(struct scenario *s)
{
    uint64_t all = FIRST_STEPS + (uint64_t)s->orgs * ORG_STEPS + (uint64_t)s->keys * KEY_STEPS;
    if (s->commands >= all) {
        s->commands = s->command_bytes = 0;
        return false;
    }
    uint64_t left = all - s->commands;
    uint32_t n = left < SET_UP_BATCH ? (uint32_t)left : SET_UP_BATCH;
    struct entry e;
    if (s->commands < FIRST_STEPS)
        n = FIRST_STEPS; /* alone: the others need it */
    begin(&e, s, n);
    for (uint32_t i = 0; i < n; i++) {
        char public[PROTO_PUBLIC_MAX];
        struct proto_command c = step_at(s, s->commands, public);
        add(&e, &c);
    }
    end(&e);
    return true;
}

/* ---- load ---- */
static struct proto_command settle(struct scenario *s, uint32_t i)
{
    struct proto_command c = command(s, PROTO_CMD_settle);
    memset(&c.head.cred, 0, sizeof c.head.cred);
    c.head.org = org_id(org_of(s, s->last_key[i]));
    c.body.settle = (struct proto_settle){
        .hold = s->last[i], .token = secret(2), .source = PROTO_COST_PROVIDER, .cost = 12345};
    return c;
}

static struct proto_command reserve(struct scenario *s, uint32_t key)
{
    struct proto_command c = command(s, PROTO_CMD_reserve);
    c.head.org = org_id(org_of(s, key));
    c.head.cred = secret(key);
    c.body.reserve = (struct proto_reserve){.token = secret(2),
                                            .ttl_us = 60000000,
                                            .customer = proto_str_of("customer-17"),
                                            .user = proto_str_of(""),
                                            .agent = proto_str_of("support-bot"),
                                            .env = proto_str_of("prod")};
    c.body.reserve.candidates.n = 1;
    c.body.reserve.candidates.e[0] = (struct proto_candidate){proto_str_of("gpt-4o-mini"), 100000};
    return c;
}

static struct proto_command release(struct scenario *s, uint32_t i)
{
    struct proto_command c = command(s, PROTO_CMD_release);
    memset(&c.head.cred, 0, sizeof c.head.cred);
    c.head.org = org_id(org_of(s, s->last_key[i]));
    c.body.release = (struct proto_release){.hold = s->last[i], .token = secret(2)};
    return c;
}

static struct proto_command extend(struct scenario *s, uint32_t i)
{
    struct proto_command c = command(s, PROTO_CMD_extend);
    c.head.org = org_id(org_of(s, s->last_key[i]));
    c.head.cred = secret(s->last_key[i]);
    c.body.extend = (struct proto_extend){
        .hold = s->last[i], .token = secret(2), .amount = 1000, .ttl_us = 60000000};
    return c;
}

/* What ends the i-th hold of the entry before. */
static void add_end(struct entry *e, uint32_t i)
{
    struct scenario *s = e->s;
    struct proto_command c;
    if (s->mixed && i % 10 == 1) {
        c = extend(s, i);
        add(e, &c);
    }
    c = s->mixed && i % 10 == 0 ? release(s, i) : settle(s, i);
    add(e, &c);
    s->pairs++;
}

void scenario_next(struct scenario *s)
{
    uint32_t extends = s->mixed ? SCENARIO_PAIRS / 10 : 0;
    struct entry e;
    s->clock_us += INT64_C(1000000) * SCENARIO_PAIRS / s->rate;
    begin(&e, s, s->any ? 2 * SCENARIO_PAIRS + extends : SCENARIO_PAIRS);
    for (uint32_t i = 0; i < SCENARIO_PAIRS && s->any; i++)
        add_end(&e, i);
    for (uint32_t i = 0; i < SCENARIO_PAIRS; i++) {
        uint32_t key = 1 + (uint32_t)(draw(s) % s->keys);
        struct proto_command c = reserve(s, key);
        s->last[i] = c.head.id;
        s->last_key[i] = key;
        add(&e, &c);
    }
    s->any = true;
    end(&e);
}
