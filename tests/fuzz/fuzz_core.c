/* SPDX-License-Identifier: Apache-2.0
 * The state machine under log entries that nobody meant: on a machine with an org, a key, a budget,
 * prices and money, entries of made commands and of raw bytes. After each: every account sums to
 * zero, no drift, nothing negative, every result decodes; a second machine that gets the same
 * entries has the same chain. What is no batch of ours is final (-EPROTO), never a crash.
 */
#include "ledger/core/core.h"
#include "proto/price.h"
#include "tests/fuzz/fill.h"

#include <errno.h>

enum { OPERATOR = 1, KEY = 2, ENTRIES_MAX = 24, COMMANDS_MAX = 12 };
#define START_US INT64_C(1767225600000000)

struct twin {
    struct core_machine *m[2];
    uint64_t index;
    int64_t clock_us;
    unsigned ids;
};
static uint8_t payload[PROTO_BATCH_BYTES + PROTO_COMMAND_MAX];

static int apply(struct twin *t, const void *p, size_t n)
{
    int rv[2];
    struct core_position at[2];
    t->index++;
    for (int i = 0; i < 2; i++) {
        struct core_outcome out = {0};
        rv[i] = core_machine_apply(t->m[i], t->index, 1, p, n, &out);
        for (uint32_t k = 0; rv[i] == 0 && k < out.n; k++) {
            struct proto_result r;
            FUZZ_HOLDS(
                proto_result_get(out.results + out.items[k].offset, out.items[k].length, &r, NULL));
        }
        core_machine_position(t->m[i], &at[i]);
    }
    FUZZ_HOLDS(rv[0] == rv[1] && memcmp(&at[0].chain, &at[1].chain, sizeof at[0].chain) == 0);
    if (rv[0] != 0) {
        FUZZ_HOLDS(rv[0] == -EPROTO || rv[0] == -EUCLEAN);
        FUZZ_HOLDS(core_machine_error(t->m[0])[0]);
    }
    return rv[0];
}

static void check(struct twin *t)
{
    struct proto_uuid wrong;
    FUZZ_HOLDS(core_machine_balanced(t->m[0], &wrong));
    FUZZ_HOLDS(core_machine_drift(t->m[0]) == 0);
    for (unsigned i = 1; i < 32; i++) {
        struct core_balances b;
        const struct proto_uuid org = fill_uuid(fill_ms, i);
        if (core_machine_balances(t->m[0], &org, &b) != 0)
            continue;
        FUZZ_HOLDS(b.account[CORE_AVAILABLE] >= 0 && b.account[CORE_PROMO] >= 0);
        FUZZ_HOLDS(b.account[CORE_HELD] >= 0 && b.account[CORE_USAGE] >= 0);
    }
}

static void begin(struct twin *t, struct proto_writer *w, uint32_t n)
{
    const struct proto_batch_header h = {
        .format = PROTO_LOG_FORMAT, .machine = PROTO_MACHINE_VERSION, .stamp_us = t->clock_us};
    *w = proto_writer_over(payload, sizeof payload);
    proto_batch_begin(w, &h, n);
}

static void add(struct proto_writer *w, const struct proto_command *c)
{
    uint8_t bytes[PROTO_COMMAND_MAX];
    const char *why;
    struct proto_writer cw = proto_writer_over(bytes, sizeof bytes);
    if (!proto_command_put(&cw, c) || !proto_command_seal(bytes, cw.n, &why))
        cw.n = 0;
    proto_batch_add(w, bytes, cw.n);
}

static void one(struct twin *t, struct proto_command *c, unsigned kind, unsigned cred, unsigned org)
{
    struct proto_writer w;
    c->head.kind = (uint8_t)kind;
    c->head.id = fill_uuid(fill_ms, 1000 + ++t->ids);
    if (cred)
        c->head.cred = fill_secret(cred);
    if (org)
        c->head.org = fill_uuid(fill_ms, org);
    begin(t, &w, 1);
    add(&w, c);
    FUZZ_HOLDS(!w.full && apply(t, payload, w.n) == 0);
}

static void import(struct twin *t)
{
    uint8_t rows[PROTO_PRICE_MAX];
    struct proto_price p = {.model = proto_str_of("model-a"), .max_input = 1000};
    struct proto_writer w = proto_writer_over(rows, sizeof rows);
    p.points.n = 1;
    p.points.e[0] = (struct proto_point){.unit = PROTO_UNIT_input, .price = 2000000000000};
    proto_price_put(&w, &p);
    struct proto_command c = {.body.price_import = {.version = 1,
                                                    .source = proto_str_of("fuzz"),
                                                    .first = 1,
                                                    .count = 1,
                                                    .last = true,
                                                    .rows = {(const char *)rows, (uint32_t)w.n}}};
    one(t, &c, PROTO_CMD_price_import, OPERATOR, 0);
}

static void furnish(struct twin *t)
{
    const struct proto_str none = proto_str_of("");
    const struct proto_hash operator= fill_secret(OPERATOR);
    struct proto_command c = {
        .body.genesis = {.cluster = {{0xcc}}, .machine = PROTO_MACHINE_VERSION, .seed = {{7}}}};
    proto_sha256_of(operator.b, sizeof operator.b, &c.body.genesis.operator_hash);
    one(t, &c, PROTO_CMD_genesis, 0, 0);
    c = (struct proto_command){
        .body.org_create = {
            .name = proto_str_of("a"), .billing_day = 1, .fee_ppm = 20000, .allow_unpriced = true}};
    one(t, &c, PROTO_CMD_org_create, OPERATOR, 1);
    c = (struct proto_command){.body.key_create = {.public = proto_str_of("0000key1"),
                                                   .secret = fill_secret(KEY),
                                                   .label = none,
                                                   .env = none}};
    one(t, &c, PROTO_CMD_key_create, OPERATOR, 1);
    c = (struct proto_command){
        .body.deposit = {.amount = INT64_C(1) << 31, .reference = none, .reason = none}};
    one(t, &c, PROTO_CMD_deposit, OPERATOR, 1);
    one(t, &c, PROTO_CMD_grant, OPERATOR, 1);
    c = (struct proto_command){.body.budget_put = {.selector = none,
                                                   .limit = INT64_C(1) << 30,
                                                   .status = 402,
                                                   .label = none,
                                                   .alerts = none}};
    one(t, &c, PROTO_CMD_budget_put, OPERATOR, 1);
    import(t);
}

/* One entry of made commands: most of them by someone who may, for what there is. */
static int made(struct twin *t, struct fuzz_source *s)
{
    struct proto_writer w;
    const uint32_t n = fuzz_byte(s) % (COMMANDS_MAX + 1);
    begin(t, &w, n);
    for (uint32_t i = 0; i < n; i++) {
        struct proto_command c;
        fill_command(s, &c);
        const uint8_t how = fuzz_byte(s);
        if (how < 0xc0) { /* an id that has not passed its horizon, perhaps used before */
            const bool key = c.head.kind == PROTO_CMD_reserve || c.head.kind == PROTO_CMD_extend;
            c.head.id = fill_uuid(t->clock_us / 1000, how % 32);
            c.head.cred = fill_secret(key ? KEY : OPERATOR);
            c.head.org = key || c.head.kind == PROTO_CMD_price_import
                             ? (struct proto_uuid){{0}}
                             : fill_uuid(fill_ms, 1 + how % 2);
        }
        add(&w, &c);
    }
    if (w.full)
        return 0;
    return apply(t, payload, w.n);
}

static int step(struct twin *t, struct fuzz_source *s)
{
    const uint8_t how = fuzz_byte(s);
    if (how < 0xd0)
        return made(t, s);
    if (how < 0xf0) { /* time passes */
        struct proto_writer w;
        t->clock_us += (int64_t)fuzz_number(s, 2) * (how & 1 ? 1000000 : 1000);
        begin(t, &w, 0);
        return apply(t, payload, w.n);
    }
    size_t n;
    const uint8_t *p = fuzz_piece(s, sizeof payload, &n);
    uint8_t *exact = fuzz_copy(p, n);
    const int rv = apply(t, exact, n);
    free(exact);
    return rv;
}

static void ask(struct twin *t, struct fuzz_source *s)
{
    static uint8_t answer[PROTO_ANSWER_MAX];
    uint8_t bytes[PROTO_QUERY_MAX];
    const char *why;
    struct proto_query q;
    struct proto_answer a;
    fill_query_head(s, &q.head);
    struct proto_writer w = proto_writer_over(bytes, sizeof bytes);
    if (!proto_query_put(&w, &q))
        return;
    FUZZ_HOLDS(proto_query_seal(bytes, w.n, &why));
    struct proto_writer out = proto_writer_over(answer, sizeof answer);
    FUZZ_HOLDS(core_machine_query(t->m[0], bytes, w.n, &out) == 0);
    FUZZ_HOLDS(!out.full && proto_answer_get(answer, out.n, &a, &why));
    const bool open = q.head.kind == PROTO_QUERY_prices || q.head.kind == PROTO_QUERY_totals;
    FUZZ_HOLDS(open || !proto_hash_none(&q.head.cred) || a.n == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz_source s = {data, n};
    const struct core_config config = {.cache_records = 64};
    struct twin t = {.clock_us = START_US};
    fill_ms = START_US / 1000;
    for (int i = 0; i < 2; i++)
        FUZZ_HOLDS(core_machine_new(&t.m[i], &config, NULL) == 0);
    furnish(&t);
    for (unsigned i = 0; i < ENTRIES_MAX && s.n > 0; i++) {
        if (step(&t, &s) != 0)
            break; /* final: only the error may be asked for */
        check(&t);
        ask(&t, &s);
    }
    for (int i = 0; i < 2; i++)
        core_machine_free(t.m[i]);
    return 0;
}
