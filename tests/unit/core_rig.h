/* SPDX-License-Identifier: Apache-2.0
 * A machine under test: builds, seals and applies commands as a node's intake would, one an entry,
 * with a clock that the test moves. Keeps the last result; can keep the whole log; can put a map
 * below the machine and go through checkpoints and restarts.
 */
#ifndef HOLDFAST_TESTS_CORE_RIG_H
#define HOLDFAST_TESTS_CORE_RIG_H

#include "ledger/core/core.h"
#include "proto/budget.h"
#include "proto/price.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define UNUSED __attribute__((unused))
#define SECOND INT64_C(1000000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define USD(n) ((int64_t)((n)*INT64_C(1000000000)))
#define START_US INT64_C(1767225600000000) /* 2026-01-01, a Thursday */

/* ---- a map as the store below ---- */
enum { MAP_BUCKETS = 4096 };
struct map_entry {
    struct map_entry *next;
    size_t klen, vlen;
    uint8_t *value; /* NULL: deleted */
    uint8_t key[];
};
struct map {
    struct map_entry *bucket[MAP_BUCKETS];
    size_t gets;
};

UNUSED static size_t map_bucket(const void *key, size_t n)
{
    size_t h = 5381;
    for (size_t i = 0; i < n; i++)
        h = h * 33 + ((const uint8_t *)key)[i];
    return h % MAP_BUCKETS;
}

UNUSED static struct map_entry *map_find(struct map *m, const void *key, size_t n)
{
    struct map_entry *e = m->bucket[map_bucket(key, n)];
    while (e && (e->klen != n || memcmp(e->key, key, n) != 0))
        e = e->next;
    return e;
}

UNUSED static int map_set(void *ctx, const void *key, size_t klen, const void *value, size_t vlen)
{
    struct map *m = ctx;
    struct map_entry *e = map_find(m, key, klen);
    if (!e) {
        size_t b = map_bucket(key, klen);
        e = calloc(1, sizeof *e + klen);
        assert_non_null(e);
        memcpy(e->key, key, klen);
        e->klen = klen;
        e->next = m->bucket[b];
        m->bucket[b] = e;
    }
    free(e->value);
    e->value = NULL;
    e->vlen = vlen;
    if (value) {
        e->value = malloc(vlen + 1);
        assert_non_null(e->value);
        memcpy(e->value, value, vlen);
    }
    return 0;
}

UNUSED static int map_get(void *ctx, const void *key, size_t klen, const void **value, size_t *vlen)
{
    struct map *m = ctx;
    struct map_entry *e = map_find(m, key, klen);
    m->gets++;
    if (!e || !e->value)
        return -ENOENT;
    *value = e->value;
    *vlen = e->vlen;
    return 0;
}

UNUSED static void map_clear(struct map *m)
{
    for (size_t b = 0; b < MAP_BUCKETS; b++) {
        while (m->bucket[b]) {
            struct map_entry *e = m->bucket[b];
            m->bucket[b] = e->next;
            free(e->value);
            free(e);
        }
    }
}

/* ---- the rig ---- */
struct log_entry {
    uint8_t *payload;
    size_t n;
    uint64_t term;
};

struct rig {
    struct core_machine *m;
    struct core_config config;
    uint64_t index, term;
    int64_t clock_us;
    uint64_t ids;
    struct proto_uuid org;
    struct proto_hash cred; /* presented with the next commands */
    struct proto_result r;
    uint8_t result_bytes[PROTO_RESULT_MAX];
    uint8_t sealed[PROTO_COMMAND_MAX]; /* the last command, as logged */
    size_t sealed_n;
    uint32_t expired; /* by the last entry */
    bool keep_log;
    struct log_entry *log;
    size_t log_n, log_cap;
};

UNUSED static struct proto_hash secret(uint32_t n)
{
    struct proto_hash h = {{0xee}};
    memcpy(h.b + 1, &n, sizeof n);
    return h;
}
enum { OPERATOR = 1 };

UNUSED static struct proto_str S(const char *s) {
    return proto_str_of(s);
}

UNUSED static struct proto_uuid
uuid_at(struct rig *g, int64_t time_us)
{
    struct proto_uuid u = {{0}};
    int64_t ms = time_us / 1000;
    for (int i = 5; i >= 0; i--, ms >>= 8)
        u.b[i] = (uint8_t)ms;
    u.b[6] = 0x70;
    uint64_t n = ++g->ids;
    memcpy(u.b + 8, &n, sizeof n);
    return u;
}

UNUSED static struct proto_uuid uuid_of(uint8_t n)
{
    return (struct proto_uuid){{0xaa, n, 1}};
}

/* A command with a fresh id, the rig's org and credential, and no views left NULL. */
UNUSED static struct proto_command command(struct rig *g, unsigned kind)
{
    struct proto_command c;
    memset(&c, 0, sizeof c);
    c.head.kind = (uint8_t)kind;
    c.head.id = uuid_at(g, g->clock_us);
    c.head.org = g->org;
    c.head.cred = g->cred;
    return c;
}

UNUSED static int rig_payload(struct rig *g, const void *payload, size_t n,
                              struct core_outcome *out)
{
    if (g->keep_log) {
        if (g->log_n == g->log_cap) {
            g->log_cap = g->log_cap ? g->log_cap * 2 : 256;
            g->log = realloc(g->log, g->log_cap * sizeof *g->log);
            assert_non_null(g->log);
        }
        struct log_entry *e = &g->log[g->log_n++];
        e->payload = malloc(n);
        assert_non_null(e->payload);
        memcpy(e->payload, payload, n);
        e->n = n;
        e->term = g->term;
    }
    return core_machine_apply(g->m, ++g->index, g->term, payload, n, out);
}

/* One entry with the given logged commands. */
UNUSED static void rig_entry(struct rig *g, const struct proto_str *commands, uint32_t n,
                             struct core_outcome *out)
{
    static uint8_t payload[PROTO_COMMAND_MAX + PROTO_BATCH_BYTES];
    struct proto_writer w = proto_writer_over(payload, sizeof payload);
    struct proto_batch_header h = {
        .format = PROTO_LOG_FORMAT, .machine = PROTO_MACHINE_VERSION, .stamp_us = g->clock_us};
    proto_batch_begin(&w, &h, n);
    for (uint32_t i = 0; i < n; i++)
        proto_batch_add(&w, commands[i].p, commands[i].n);
    assert_false(w.full);
    assert_int_equal(rig_payload(g, payload, w.n, out), 0);
    g->expired = out->expired;
}

/* Applies the sealed command again, byte for byte. */
UNUSED static unsigned again(struct rig *g)
{
    struct core_outcome out;
    struct proto_str bytes = {(const char *)g->sealed, (uint32_t)g->sealed_n};
    enum proto_code stranger;
    assert_int_equal(core_machine_stranger(g->m, g->sealed, g->sealed_n, &stranger), 0);
    rig_entry(g, &bytes, 1, &out);
    assert_int_equal(out.n, 1);
    assert_true(out.items[0].length <= sizeof g->result_bytes);
    memcpy(g->result_bytes, out.results + out.items[0].offset, out.items[0].length);
    assert_true(proto_result_get(g->result_bytes, out.items[0].length, &g->r, NULL));
    assert_int_equal(core_machine_drift(g->m), 0);
    if (stranger != PROTO_OK) /* without an entry it would have been the same answer */
        assert_int_equal(stranger, g->r.code);
    return g->r.code;
}

UNUSED static unsigned apply(struct rig *g, const struct proto_command *c)
{
    const char *why = NULL;
    struct proto_writer w = proto_writer_over(g->sealed, sizeof g->sealed);
    assert_true(proto_command_put(&w, c));
    g->sealed_n = w.n;
    if (!proto_command_seal(g->sealed, w.n, &why))
        fail_msg("seal: %s", why);
    return again(g);
}

UNUSED static void tick(struct rig *g, int64_t by_us)
{
    struct core_outcome out;
    g->clock_us += by_us;
    rig_entry(g, NULL, 0, &out);
}

UNUSED static struct core_balances balances(struct rig *g)
{
    struct core_balances b;
    int64_t sum = 0;
    struct proto_uuid wrong;
    assert_true(core_machine_balanced(g->m, &wrong));
    assert_int_equal(core_machine_balances(g->m, &g->org, &b), 0);
    for (int i = 0; i < CORE_ACCOUNTS; i++)
        sum = (int64_t)((uint64_t)sum + (uint64_t)b.account[i]);
    assert_int_equal(sum, 0);
    return b;
}
#define ACCOUNT(g, a) (balances(g).account[a])

/* ---- the usual commands; each returns the code ---- */
UNUSED static unsigned genesis(struct rig *g)
{
    struct proto_command c = command(g, PROTO_CMD_genesis);
    struct proto_hash op = secret(OPERATOR);
    c.head.org = (struct proto_uuid){{0}};
    c.head.cred = (struct proto_hash){{0}};
    c.body.genesis.cluster = uuid_of(0xcc);
    c.body.genesis.machine = PROTO_MACHINE_VERSION;
    c.body.genesis.seed = secret(77);
    proto_sha256_of(op.b, sizeof op.b, &c.body.genesis.operator_hash);
    return apply(g, &c);
}

UNUSED static unsigned org_create(struct rig *g, struct proto_uuid org, uint32_t fee_ppm)
{
    struct proto_command c = command(g, PROTO_CMD_org_create);
    c.head.org = org;
    c.body.org_create = (struct proto_org_create){
        .name = S("acme"), .billing_day = 1, .fee_ppm = fee_ppm, .allow_unpriced = true};
    return apply(g, &c);
}

UNUSED static unsigned pay(struct rig *g, unsigned kind, int64_t amount, const char *reference)
{
    struct proto_command c = command(g, kind);
    c.body.deposit = (struct proto_deposit){
        .amount = amount, .reference = S(reference), .reason = S("a reason")};
    return apply(g, &c);
}

UNUSED static uint32_t team_create(struct rig *g, const char *name)
{
    struct proto_command c = command(g, PROTO_CMD_team_create);
    c.body.team_create.name = S(name);
    assert_int_equal(apply(g, &c), PROTO_OK);
    return g->r.body.created.number;
}

UNUSED static struct proto_command key_command(struct rig *g, uint32_t team, const char *public,
                                               uint32_t secret_n)
{
    struct proto_command c = command(g, PROTO_CMD_key_create);
    c.body.key_create = (struct proto_key_create){.team = team,
                                                  .public = S(public),
                                                  .secret = secret(secret_n),
                                                  .label = S("ci"),
                                                  .env = S("")};
    return c;
}

UNUSED static uint32_t key_create(struct rig *g, uint32_t team, const char *public,
                                  uint32_t secret_n)
{
    struct proto_command c = key_command(g, team, public, secret_n);
    assert_int_equal(apply(g, &c), PROTO_OK);
    return g->r.body.created.number;
}

UNUSED static struct proto_command budget_command(struct rig *g, unsigned scope, uint32_t subject,
                                                  const char *selector, unsigned window,
                                                  int64_t limit, unsigned mode)
{
    struct proto_command c = command(g, PROTO_CMD_budget_put);
    c.body.budget_put = (struct proto_budget_put){.scope = (uint8_t)scope,
                                                  .subject = subject,
                                                  .selector = S(selector),
                                                  .window = (uint8_t)window,
                                                  .limit = limit,
                                                  .mode = (uint8_t)mode,
                                                  .status = 402,
                                                  .label = S("cap"),
                                                  .alerts = S("")};
    return c;
}

UNUSED static uint32_t budget(struct rig *g, unsigned scope, uint32_t subject, const char *selector,
                              unsigned window, int64_t limit, unsigned mode)
{
    struct proto_command c = budget_command(g, scope, subject, selector, window, limit, mode);
    assert_int_equal(apply(g, &c), PROTO_OK);
    return g->r.body.created.number;
}

/* Reserves as the key with this secret. */
UNUSED static struct proto_command reserve_command(struct rig *g, uint32_t secret_n, int64_t amount)
{
    struct proto_command c = command(g, PROTO_CMD_reserve);
    c.head.org = (struct proto_uuid){{0}};
    c.head.cred = secret(secret_n);
    c.body.reserve = (struct proto_reserve){.token = secret(4000),
                                            .ttl_us = MINUTE,
                                            .customer = S(""),
                                            .user = S(""),
                                            .agent = S(""),
                                            .env = S("")};
    c.body.reserve.candidates.n = 1;
    c.body.reserve.candidates.e[0] = (struct proto_candidate){S("model-a"), amount};
    return c;
}

UNUSED static struct proto_uuid reserve(struct rig *g, uint32_t secret_n, int64_t amount,
                                        unsigned expect)
{
    struct proto_command c = reserve_command(g, secret_n, amount);
    unsigned code = apply(g, &c);
    if (code != expect)
        fail_msg("reserve: %s, expected %s", proto_code_name(code), proto_code_name(expect));
    return c.head.id;
}

UNUSED static struct proto_command settle_command(struct rig *g, struct proto_uuid hold,
                                                  int64_t cost)
{
    struct proto_command c = command(g, PROTO_CMD_settle);
    c.head.cred = (struct proto_hash){{0}};
    c.body.settle = (struct proto_settle){
        .hold = hold, .token = secret(4000), .source = PROTO_COST_PROVIDER, .cost = cost};
    return c;
}

UNUSED static unsigned settle(struct rig *g, struct proto_uuid hold, int64_t cost)
{
    struct proto_command c = settle_command(g, hold, cost);
    return apply(g, &c);
}

UNUSED static unsigned release(struct rig *g, struct proto_uuid hold)
{
    struct proto_command c = command(g, PROTO_CMD_release);
    c.head.cred = (struct proto_hash){{0}};
    c.body.release = (struct proto_release){.hold = hold, .token = secret(4000)};
    return apply(g, &c);
}

UNUSED static unsigned extend(struct rig *g, uint32_t secret_n, struct proto_uuid hold,
                              int64_t amount, int64_t ttl_us)
{
    struct proto_command c = command(g, PROTO_CMD_extend);
    c.head.cred = secret(secret_n);
    c.body.extend = (struct proto_extend){
        .hold = hold, .token = secret(4000), .amount = amount, .ttl_us = ttl_us};
    return apply(g, &c);
}

/* Prices of version active + 1: model-a 2 $ in, 10 $ out per million tokens; model-b a tenth. */
UNUSED static unsigned import_prices(struct rig *g, uint32_t version, uint32_t first, bool last,
                                     const char *model)
{
    uint8_t rows[PROTO_PRICE_MAX];
    struct proto_price p = {.model = S(model), .max_input = 100000, .max_output = 4096};
    struct proto_writer w = proto_writer_over(rows, sizeof rows);
    p.points.n = 2;
    p.points.e[0] = (struct proto_point){.unit = PROTO_UNIT_input, .price = 2000000000000};
    p.points.e[1] = (struct proto_point){.unit = PROTO_UNIT_output, .price = 10000000000000};
    proto_price_put(&w, &p);
    struct proto_command c = command(g, PROTO_CMD_price_import);
    c.head.org = (struct proto_uuid){{0}};
    c.body.price_import = (struct proto_price_import){.version = version,
                                                      .source = S("test"),
                                                      .first = first,
                                                      .count = 1,
                                                      .last = last,
                                                      .rows = {(const char *)rows, (uint32_t)w.n}};
    return apply(g, &c);
}

/* ---- life ---- */
UNUSED static void rig_begin(struct rig *g)
{
    memset(g, 0, sizeof *g);
    g->term = 1;
    g->clock_us = START_US;
    g->cred = secret(OPERATOR);
    g->org = uuid_of(1);
}

UNUSED static void rig_open(struct rig *g)
{
    assert_int_equal(core_machine_new(&g->m, &g->config, NULL), 0);
}

/* Genesis, one org, one team, one key (secret 100), past the grace of the first term. */
UNUSED static void rig_ready(struct rig *g)
{
    assert_int_equal(genesis(g), PROTO_OK);
    assert_int_equal(org_create(g, g->org, 0), PROTO_OK);
    assert_int_equal(team_create(g, "core"), 1);
    assert_int_equal(key_create(g, 1, "0000key1", 100), 1);
    tick(g, CORE_HOLD_GRACE_US);
}

UNUSED static int rig_setup(void **state)
{
    struct rig *g = malloc(sizeof *g);
    if (!g)
        return -1;
    rig_begin(g);
    rig_open(g);
    rig_ready(g);
    *state = g;
    return 0;
}

UNUSED static void rig_drop_log(struct rig *g)
{
    for (size_t i = 0; i < g->log_n; i++)
        free(g->log[i].payload);
    free(g->log);
    g->log = NULL;
    g->log_n = g->log_cap = 0;
}

UNUSED static int rig_teardown(void **state)
{
    struct rig *g = *state;
    core_machine_free(g->m);
    rig_drop_log(g);
    free(g);
    return 0;
}

#define RIG_TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

#endif
