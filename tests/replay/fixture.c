/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/replay/fixture.h"

#include "ledger/core/core.h"
#include "ledger/store/data_dir.h"
#include "proto/base/check.h"
#include "proto/budget.h"

#include <stdio.h>
#include <stdlib.h>

enum { ORGS = 4, KEYS = 3, OPEN_MAX = 64 };
#define START_US INT64_C(1790000000000000)
#define STEP_US INT64_C(250000)

struct open_hold {
    struct proto_uuid org, id;
    struct proto_hash token, cred;
};

struct maker {
    const struct fixture_options *o;
    struct fixture *out;
    struct data_dir dir;
    struct core_machine *m;
    struct state_changes changes;
    struct log_conf conf;
    int64_t clock_us;
    uint64_t random;
    uint8_t payload[PROTO_BATCH_BYTES], batch[PROTO_BATCH_BYTES + PROTO_BATCH_HEADER_MAX];
    struct proto_writer commands;
    uint32_t n;
    uint32_t settle_ordinal; /* of a settle in this entry; UINT32_MAX: none */
    struct open_hold open[OPEN_MAX];
    unsigned n_open;
    uint32_t ids;
    int64_t scale;
};

static void need(bool ok, const char *what, const char *why)
{
    if (ok)
        return;
    (void)fprintf(stderr, "fixture: %s: %s\n", what, why);
    exit(2);
}

static uint64_t next_random(struct maker *k)
{
    k->random = k->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return k->random >> 33;
}

static struct proto_uuid new_id(struct maker *k)
{
    struct proto_uuid id = {{0}};
    uint64_t ms = (uint64_t)k->clock_us / 1000;
    for (int i = 0; i < 6; i++)
        id.b[i] = (uint8_t)(ms >> (40 - 8 * i));
    id.b[6] = 0x70;
    id.b[8] = 0x80;
    uint32_t n = ++k->ids;
    memcpy(id.b + 12, &n, sizeof n);
    return id;
}

static struct proto_uuid org_of(unsigned number)
{
    struct proto_uuid org = {{0x01, 0x98, 0, 0, 0, 0, 0x80, (uint8_t)number, 0x80}};
    org.b[15] = (uint8_t)(number + 1);
    return org;
}

static struct proto_hash hash_of(const char *what, unsigned a, unsigned b)
{
    char text[64];
    struct proto_hash h;
    (void)snprintf(text, sizeof text, "%s %u %u", what, a, b);
    proto_sha256_of(text, strlen(text), &h);
    return h;
}

static struct proto_hash operator_cred(void)
{
    return hash_of("operator", 0, 0);
}

/* ---- entries ---- */

static void add_bytes(struct maker *k, const void *p, size_t n)
{
    proto_put_bin(&k->commands, p, n);
    k->n++;
}

/* As intake does: encode, seal, put into the batch. */
static void add(struct maker *k, struct proto_command *c)
{
    static uint8_t bytes[PROTO_COMMAND_MAX];
    struct proto_writer w = proto_writer_over(bytes, sizeof bytes);
    const char *error = "no room";
    if (proto_uuid_none(&c->head.id))
        c->head.id = new_id(k);
    need(proto_command_put(&w, c) && proto_command_seal(bytes, w.n, &error), "command", error);
    add_bytes(k, bytes, w.n);
}

static void add_operator(struct maker *k, struct proto_command *c)
{
    c->head.cred = operator_cred();
    add(k, c);
}

static void write_entry(struct maker *k, uint8_t kind, const void *p, size_t n)
{
    struct store_why why = {{0}};
    struct core_position at;
    core_machine_position(k->m, &at);
    struct log_entry e = {at.index + 1, 1 + at.index / 100, p, (uint32_t)n, kind};
    struct log_append append = {&e, 1};
    struct core_outcome out;
    need(log_store_append(k->dir.log, &append, 1, &why) == 0, "append", why.text);
    int rv = kind == ENTRY_COMMAND ? core_machine_apply(k->m, e.index, e.term, p, n, &out)
                                   : core_machine_skip(k->m, e.index, e.term, kind, p, n);
    need(rv == 0, "apply", rv ? core_machine_error(k->m) : "");
    core_machine_position(k->m, &at);
    k->out->last = at.index;
    k->out->last_chain = at.chain;
    if (kind != ENTRY_COMMAND)
        return;
    k->out->commands += out.n;
    if (k->settle_ordinal != UINT32_MAX) {
        k->out->settled_index = at.index;
        k->out->settled_ordinal = k->settle_ordinal;
        k->out->settled_chain = at.chain;
    }
}

/* As nodes do: the entry counts, whatever its leader believed. */
static void on_mismatch(void *ctx, uint64_t index, const struct proto_hash *ours,
                        const struct proto_hash *theirs)
{
    (void)ctx, (void)index, (void)ours, (void)theirs;
}

/* Ends the batch that was being filled; every third entry carries the chain of the one before. */
static void end_entry(struct maker *k)
{
    struct core_position at;
    core_machine_position(k->m, &at);
    struct proto_batch_header h = {PROTO_LOG_FORMAT, PROTO_MACHINE_VERSION, k->clock_us, 0, {{0}}};
    if (at.index % 3 == 0 && core_machine_initialised(k->m)) {
        h.check_index = at.index;
        h.check_chain = at.chain;
        if (at.index + 1 >= k->o->liar_first && at.index + 1 <= k->o->liar_last)
            h.check_chain.b[0] ^= 1;
    }
    struct proto_writer w = proto_writer_over(k->batch, sizeof k->batch);
    proto_batch_begin(&w, &h, k->n);
    proto_put_raw(&w, k->payload, k->commands.n);
    need(!w.full && !k->commands.full, "batch", "too large");
    write_entry(k, ENTRY_COMMAND, k->batch, w.n);
    k->commands = proto_writer_over(k->payload, sizeof k->payload);
    k->n = 0;
    k->settle_ordinal = UINT32_MAX;
    k->clock_us += STEP_US;
}

static int collect(void *ctx, const void *key, size_t klen, const void *value, size_t vlen)
{
    return state_changes_add(ctx, key, klen, value, vlen);
}

static void checkpoint(struct maker *k)
{
    struct store_why why = {{0}};
    struct core_position at;
    core_machine_position(k->m, &at);
    state_changes_clear(&k->changes);
    need(core_machine_changes(k->m, collect, &k->changes) == 0, "changes", "failed");
    struct state_meta meta = {at.index, at.term, at.clock_us, at.chain, k->conf};
    need(state_store_write(k->dir.state, &k->changes, &meta, &why) == 0, "checkpoint", why.text);
    core_machine_written(k->m);
    k->out->applied = at.index;
    k->out->applied_chain = at.chain;
}

/* ---- the script ---- */

static void begin_ledger(struct maker *k)
{
    struct proto_command c = {.head = {.kind = PROTO_CMD_genesis}};
    struct proto_hash cred = operator_cred();
    c.body.genesis = (struct proto_genesis){
        .cluster = {{7, 7, 7}}, .machine = PROTO_MACHINE_VERSION, .seed = hash_of("seed", 0, 0)};
    proto_sha256_of(cred.b, sizeof cred.b, &c.body.genesis.operator_hash);
    add(k, &c);
    end_entry(k);

    static struct proto_price price;
    uint8_t row[PROTO_PRICE_MAX];
    price = (struct proto_price){.model = proto_str_of("gpt-test"), .points = {.n = 2}};
    price.points.e[0] = (struct proto_point){0, PROTO_UNIT_input, 0, INT64_C(2500000000001)};
    price.points.e[1] = (struct proto_point){0, PROTO_UNIT_output, 0, INT64_C(10000000000000)};
    struct proto_writer w = proto_writer_over(row, sizeof row);
    proto_price_put(&w, &price);
    c = (struct proto_command){.head = {.kind = PROTO_CMD_price_import}};
    c.body.price_import = (struct proto_price_import){1,    proto_str_of("fixture"),           1, 1,
                                                      true, {(const char *)row, (uint32_t)w.n}};
    add_operator(k, &c);
    end_entry(k);
}

static void put_budget(struct maker *k, unsigned org, uint8_t scope, uint32_t subject,
                       uint8_t window, int64_t limit)
{
    struct proto_command c = {.head = {.kind = PROTO_CMD_budget_put, .org = org_of(org)}};
    c.body.budget_put = (struct proto_budget_put){.scope = scope,
                                                  .subject = subject,
                                                  .window = window,
                                                  .limit = limit * k->scale,
                                                  .mode = PROTO_MODE_hard_block,
                                                  .status = 402};
    add_operator(k, &c);
}

static void add_money(struct maker *k, unsigned org, uint8_t kind, int64_t amount, const char *ref)
{
    struct proto_command c = {.head = {.kind = kind, .org = org_of(org)}};
    struct proto_deposit d = {amount, proto_str_of(ref), proto_str_of("fixture")};
    memcpy(&c.body, &d, sizeof d); /* deposit, grant, refund have one field list */
    add_operator(k, &c);
}

static void begin_org(struct maker *k, unsigned org)
{
    char name[32], public[PROTO_PUBLIC_MAX + 1];
    (void)snprintf(name, sizeof name, "Org \"%u\" é", org);
    struct proto_command c = {.head = {.kind = PROTO_CMD_org_create, .org = org_of(org)}};
    c.body.org_create =
        (struct proto_org_create){.name = proto_str_of(name), .billing_day = 1, .fee_ppm = 55000};
    add_operator(k, &c);
    c = (struct proto_command){.head = {.kind = PROTO_CMD_team_create, .org = org_of(org)}};
    c.body.team_create = (struct proto_team_create){proto_str_of("team")};
    add_operator(k, &c);
    for (unsigned i = 0; i < KEYS; i++) {
        c = (struct proto_command){.head = {.kind = PROTO_CMD_key_create, .org = org_of(org)}};
        (void)snprintf(public, sizeof public, "0000fixt%02u%02u", org, i);
        c.body.key_create = (struct proto_key_create){
            .team = 1, .public = proto_str_of(public), .secret = hash_of("key", org, i)};
        add_operator(k, &c);
    }
    (void)snprintf(name, sizeof name, "payment-%u", org);
    add_money(k, org, PROTO_CMD_deposit,
              INT64_C(3000000000) * (org + 1) * k->scale + (org == 0 ? k->o->deposit_more : 0),
              name);
    add_money(k, org, PROTO_CMD_grant, 500000000, "");
    put_budget(k, org, PROTO_SCOPE_org, 0, PROTO_WINDOW_monthly, INT64_C(2500000000) * (org + 1));
    put_budget(k, org, PROTO_SCOPE_team, 1, PROTO_WINDOW_daily, INT64_C(2000000000) * (org + 1));
    put_budget(k, org, PROTO_SCOPE_key, 1, PROTO_WINDOW_absolute, 400000000);
    end_entry(k);
}

static struct proto_command reserve(struct maker *k, struct open_hold *h)
{
    unsigned org = (unsigned)next_random(k) % ORGS, key = (unsigned)next_random(k) % KEYS;
    struct proto_command c = {.head = {.kind = PROTO_CMD_reserve}};
    c.head.id = new_id(k);
    c.head.cred = hash_of("key", org, key);
    *h = (struct open_hold){org_of(org), c.head.id, hash_of("token", k->ids, 0), c.head.cred};
    c.body.reserve =
        (struct proto_reserve){.token = h->token, .price_version = 1, .candidates = {.n = 1}};
    c.body.reserve.ttl_us = next_random(k) % 8 == 0 ? 2000000 : 120000000;
    c.body.reserve.candidates.e[0] = (struct proto_candidate){
        proto_str_of("gpt-test"), 1000000 + (int64_t)(next_random(k) % 20000000)};
    return c;
}

static void settle(struct maker *k, const struct open_hold *h)
{
    struct proto_command c = {.head = {.kind = PROTO_CMD_settle, .org = h->org}};
    c.body.settle = (struct proto_settle){.hold = h->id, .token = h->token, .units = {.n = 2}};
    c.body.settle.units.e[0] =
        (struct proto_usage){PROTO_UNIT_input, (int64_t)next_random(k) % 900};
    c.body.settle.units.e[1] =
        (struct proto_usage){PROTO_UNIT_output, 1 + (int64_t)next_random(k) % 900};
    k->settle_ordinal = k->n;
    add(k, &c);
    if (next_random(k) % 10 == 0)
        add(k, &c); /* a retry: the same id */
}

static void release(struct maker *k, const struct open_hold *h)
{
    struct proto_command c = {.head = {.kind = PROTO_CMD_release, .org = h->org}};
    c.body.release = (struct proto_release){.hold = h->id, .token = h->token};
    add(k, &c);
}

static void extend(struct maker *k, const struct open_hold *h)
{
    struct proto_command c = {.head = {.kind = PROTO_CMD_extend, .org = h->org, .cred = h->cred}};
    c.body.extend = (struct proto_extend){h->id, h->token, 500000, 60000000};
    add(k, &c);
}

static void take(struct maker *k, unsigned i)
{
    k->open[i] = k->open[--k->n_open];
}

/* One cycle's worth of traffic: a new hold, and something for an older one. */
static void traffic(struct maker *k)
{
    struct open_hold h;
    struct proto_command c = reserve(k, &h);
    add(k, &c);
    if (k->n_open < OPEN_MAX)
        k->open[k->n_open++] = h;
    if (k->n_open < 4)
        return;
    unsigned i = (unsigned)next_random(k) % (k->n_open - 1);
    switch (next_random(k) % 8) {
    case 0:
        release(k, &k->open[i]);
        take(k, i);
        break;
    case 1:
        extend(k, &k->open[i]);
        break;
    case 2: /* forgotten: it expires, or stays open */
        take(k, i);
        break;
    default:
        settle(k, &k->open[i]);
        take(k, i);
        break;
    }
}

static void add_org_command(struct maker *k, uint8_t kind)
{
    struct proto_command c = {.head = {.kind = kind, .org = org_of(2)}};
    struct proto_org_pause p = {proto_str_of("fixture")};
    memcpy(&c.body, &p, sizeof p); /* pause and resume have one field list */
    add_operator(k, &c);
}

static void curiosities(struct maker *k, unsigned round)
{
    if (round % 16 == 3)
        add_bytes(k, "\xc1 no command", 12);
    if (round % 32 == 5)
        add_money(k, 1, PROTO_CMD_refund, 1000000, "");
    if (round % 32 == 7)
        add_org_command(k, PROTO_CMD_org_pause);
    if (round % 32 == 9)
        add_org_command(k, PROTO_CMD_org_resume);
    if (round % 48 == 11)
        add_money(k, 3, PROTO_CMD_deposit, 1, "payment-3"); /* a reference used before */
    if (round == k->o->rounds / 3)
        k->clock_us += INT64_C(700000000); /* past the hot horizon: some records are dead */
}

static void run(struct maker *k)
{
    unsigned after = k->o->rounds > k->o->tail ? k->o->rounds - k->o->tail : 0;
    for (unsigned round = 0; round < k->o->rounds; round++) {
        curiosities(k, round);
        for (unsigned i = 0; i < k->o->per_entry; i++)
            traffic(k);
        if (round == k->o->rounds / 2)
            k->out->middle_us = k->clock_us;
        end_entry(k);
        if (round % 40 == 20)
            write_entry(k, ENTRY_BARRIER, NULL, 0);
        if (round == 30)
            end_entry(k); /* an empty batch */
        if (!k->o->no_checkpoint && (round == k->o->rounds / 2 || round + 1 == after))
            checkpoint(k);
    }
}

void fixture_make(const char *dir, const struct fixture_options *o, struct fixture *out)
{
    static const uint8_t conf[] = "three servers";
    struct maker *k = calloc(1, sizeof *k);
    struct store_why why = {{0}};
    struct node_identity id = {{{7, 7, 7}}, 0, 1};
    struct data_dir_config config = {.log = {.segment_bytes = o->segment_bytes}};
    need(k != NULL, "fixture", "no memory");
    *out = (struct fixture){.org = org_of(0)};
    k->o = o;
    k->scale = o->scale ? o->scale : 1;
    k->out = out;
    k->clock_us = START_US;
    k->random = 1;
    k->settle_ordinal = UINT32_MAX;
    k->commands = proto_writer_over(k->payload, sizeof k->payload);
    k->conf = (struct log_conf){.index = 1, .len = sizeof conf};
    memcpy(k->conf.data, conf, sizeof conf);
    state_changes_init(&k->changes);
    need(data_dir_create(dir, &id, conf, sizeof conf, &why) == 0, "create", why.text);
    need(data_dir_open(&k->dir, dir, &id, &config, &why) == 0, "open", why.text);
    struct core_config core = {.observer = {.on_mismatch = on_mismatch}};
    need(core_machine_new(&k->m, &core, NULL) == 0, "machine", "no memory");
    int rv = core_machine_skip(k->m, 1, 1, ENTRY_CHANGE, conf, sizeof conf);
    need(rv == 0, "first entry", "skipped in vain");
    begin_ledger(k);
    for (unsigned org = 0; org < ORGS; org++)
        begin_org(k, org);
    run(k);
    core_machine_free(k->m);
    data_dir_close(&k->dir);
    state_changes_close(&k->changes);
    free(k);
}
