/* SPDX-License-Identifier: Apache-2.0
 * core-bench: nanoseconds of one reserve + settle pair in the state machine alone, with an org >
 * team > key hierarchy of monthly budgets, and how much of it is hashing. Commands are sealed and
 * batched beforehand, 200 an entry.
 */
#include "ledger/core/core.h"
#include "proto/budget.h"
#include "proto/chain.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { BATCH = 200, PAIRS = 200000 };
#define CLOCK_US INT64_C(1767225600000000)

struct log {
    uint8_t *base;
    size_t n;
    uint64_t index;
};

static uint64_t ids;
static struct core_machine *machine;
static uint64_t applied;
static bool checking; /* results: not while the clock runs */

static void die(const char *what)
{
    fprintf(stderr, "core-bench: %s\n", what);
    exit(1);
}

/* CPU time: other programs on the machine do not count. */
static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static struct proto_hash secret(uint32_t n)
{
    struct proto_hash h = {{0xbe}};
    memcpy(h.b + 1, &n, sizeof n);
    return h;
}

static struct proto_uuid org_id(uint32_t n)
{
    struct proto_uuid u = {{0x0a}};
    memcpy(u.b + 1, &n, sizeof n);
    return u;
}

static struct proto_command command(unsigned kind, uint32_t org)
{
    struct proto_command c;
    int64_t ms = CLOCK_US / 1000;
    memset(&c, 0, sizeof c);
    c.head.kind = (uint8_t)kind;
    for (int i = 5; i >= 0; i--, ms >>= 8)
        c.head.id.b[i] = (uint8_t)ms;
    c.head.id.b[6] = 0x70;
    ids++;
    memcpy(c.head.id.b + 8, &ids, sizeof ids);
    c.head.org = org_id(org);
    c.head.cred = secret(1);
    return c;
}

static size_t seal(const struct proto_command *c, uint8_t *out, size_t cap)
{
    struct proto_writer w = proto_writer_over(out, cap);
    if (!proto_command_put(&w, c) || !proto_command_seal(out, w.n, NULL))
        die("cannot encode");
    return w.n;
}

static size_t batch(const struct proto_str *commands, uint32_t n, uint8_t *out, size_t cap)
{
    struct proto_writer w = proto_writer_over(out, cap);
    struct proto_batch_header h = {
        .format = PROTO_LOG_FORMAT, .machine = PROTO_MACHINE_VERSION, .stamp_us = CLOCK_US};
    proto_batch_begin(&w, &h, n);
    for (uint32_t i = 0; i < n; i++)
        proto_batch_add(&w, commands[i].p, commands[i].n);
    if (w.full)
        die("a batch does not fit");
    return w.n;
}

static void apply(const uint8_t *payload, size_t n)
{
    struct core_outcome out;
    if (core_machine_apply(machine, ++applied, 1, payload, n, &out))
        die(core_machine_error(machine));
    for (uint32_t i = 0; checking && i < out.n; i++) {
        struct proto_result r;
        if (!proto_result_get(out.results + out.items[i].offset, out.items[i].length, &r, NULL) ||
            r.code != PROTO_OK)
            die(proto_code_name(r.code));
    }
}

static void apply_one(const struct proto_command *c)
{
    uint8_t sealed[2048], payload[4096];
    struct proto_str s = {(const char *)sealed, (uint32_t)seal(c, sealed, sizeof sealed)};
    apply(payload, batch(&s, 1, payload, sizeof payload));
}

static void put_budget(uint32_t org, unsigned scope, uint32_t subject)
{
    struct proto_command c = command(PROTO_CMD_budget_put, org);
    c.body.budget_put = (struct proto_budget_put){.scope = (uint8_t)scope,
                                                  .subject = subject,
                                                  .window = PROTO_WINDOW_monthly,
                                                  .limit = INT64_MAX / 2,
                                                  .mode = PROTO_MODE_hard_block,
                                                  .status = 402,
                                                  .selector = proto_str_of(""),
                                                  .label = proto_str_of("monthly"),
                                                  .alerts = proto_str_of("")};
    apply_one(&c);
}

static void set_up(uint32_t orgs)
{
    struct proto_hash op = secret(1);
    struct proto_command c = command(PROTO_CMD_genesis, 0);
    memset(&c.head.org, 0, sizeof c.head.org);
    memset(&c.head.cred, 0, sizeof c.head.cred);
    c.body.genesis = (struct proto_genesis){
        .cluster = org_id(99), .machine = PROTO_MACHINE_VERSION, .seed = secret(9)};
    proto_sha256_of(op.b, sizeof op.b, &c.body.genesis.operator_hash);
    apply_one(&c);
    for (uint32_t i = 1; i <= orgs; i++) {
        char public[PROTO_PUBLIC_MAX];
        snprintf(public, sizeof public, "0000%08u", i);
        c = command(PROTO_CMD_org_create, i);
        c.body.org_create = (struct proto_org_create){
            .name = proto_str_of("acme"), .billing_day = 1, .fee_ppm = 20000, .allow_unpriced = 1};
        apply_one(&c);
        c = command(PROTO_CMD_team_create, i);
        c.body.team_create.name = proto_str_of("core");
        apply_one(&c);
        c = command(PROTO_CMD_key_create, i);
        c.body.key_create = (struct proto_key_create){.team = 1,
                                                      .public = proto_str_of(public),
                                                      .secret = secret(1000 + i),
                                                      .label = proto_str_of("ci"),
                                                      .env = proto_str_of("")};
        apply_one(&c);
        c = command(PROTO_CMD_deposit, i);
        c.body.deposit =
            (struct proto_deposit){INT64_MAX / 4, proto_str_of(""), proto_str_of("bench")};
        apply_one(&c);
        put_budget(i, PROTO_SCOPE_org, 0);
        put_budget(i, PROTO_SCOPE_team, 1);
        put_budget(i, PROTO_SCOPE_key, 1);
    }
}

/* Half an entry's commands reserve, the other half settles what the entry before reserved. */
static struct log make_log(uint32_t orgs, size_t *command_bytes)
{
    static uint8_t sealed[BATCH][1024];
    struct proto_str items[BATCH];
    struct proto_uuid last[BATCH / 2];
    struct log l = {.base = malloc((size_t)PAIRS * 700 + 65536)};
    if (!l.base)
        die("no memory");
    *command_bytes = 0;
    for (uint32_t e = 0; e * (BATCH / 2) < PAIRS + BATCH / 2; e++) {
        uint32_t n = 0;
        for (uint32_t i = 0; i < BATCH / 2; i++) {
            uint32_t org = 1 + (e * (BATCH / 2) + i) * 7 % orgs;
            uint32_t before = 1 + ((e - 1) * (BATCH / 2) + i) * 7 % orgs;
            if (e > 0) {
                struct proto_command c = command(PROTO_CMD_settle, before);
                memset(&c.head.cred, 0, sizeof c.head.cred);
                c.body.settle = (struct proto_settle){.hold = last[i],
                                                      .token = secret(7),
                                                      .source = PROTO_COST_PROVIDER,
                                                      .cost = 12345};
                items[n] = (struct proto_str){(const char *)sealed[n],
                                              (uint32_t)seal(&c, sealed[n], sizeof sealed[n])};
                *command_bytes += items[n++].n;
            }
            struct proto_command c = command(PROTO_CMD_reserve, org);
            c.head.cred = secret(1000 + org);
            last[i] = c.head.id;
            c.body.reserve = (struct proto_reserve){.token = secret(7),
                                                    .ttl_us = 60000000,
                                                    .customer = proto_str_of("customer-17"),
                                                    .user = proto_str_of(""),
                                                    .agent = proto_str_of("support-bot"),
                                                    .env = proto_str_of("prod")};
            c.body.reserve.candidates.n = 1;
            c.body.reserve.candidates.e[0] =
                (struct proto_candidate){proto_str_of("gpt-4o-mini"), 100000};
            items[n] = (struct proto_str){(const char *)sealed[n],
                                          (uint32_t)seal(&c, sealed[n], sizeof sealed[n])};
            *command_bytes += items[n++].n;
        }
        uint8_t *at = l.base + l.n + sizeof(uint32_t);
        uint32_t size = (uint32_t)batch(items, n, at, 256 * 1024);
        memcpy(l.base + l.n, &size, sizeof size);
        l.n += sizeof size + size;
    }
    return l;
}

/* What the chain costs for as many bytes: one leaf a command, the digest of a reserve, the tree. */
static double hash_ns(size_t command_bytes, size_t result_bytes)
{
    static uint8_t bytes[2048];
    struct proto_hash out, leaves[BATCH];
    size_t command = command_bytes / (2 * PAIRS), result = result_bytes;
    int64_t from = now_ns();
    for (uint32_t i = 0; i < PAIRS; i += BATCH / 2) {
        for (uint32_t k = 0; k < BATCH; k++) {
            bytes[0] = (uint8_t)k;
            proto_chain_leaf(bytes, command, bytes, result, &leaves[k]);
            if (k & 1)
                proto_sha256_of(bytes, command, &out);
        }
        proto_chain_root(leaves, BATCH, &out);
    }
    return (double)(now_ns() - from) / PAIRS;
}

static void run(uint32_t orgs)
{
    size_t command_bytes;
    struct core_config config = {.cache_records = 1000000};
    if (core_machine_new(&machine, &config, NULL))
        die("no memory");
    applied = 0;
    checking = true;
    set_up(orgs);
    checking = false;
    struct log l = make_log(orgs, &command_bytes);
    int64_t from = now_ns();
    for (size_t at = 0; at < l.n;) {
        uint32_t size;
        memcpy(&size, l.base + at, sizeof size);
        apply(l.base + at + sizeof size, size);
        at += sizeof size + size;
    }
    double pair = (double)(now_ns() - from) / PAIRS;
    double hash = hash_ns(command_bytes, 90);
    printf("orgs %5u: %.0f ns a reserve+settle pair, of which about %.0f ns hashing; "
           "%zu bytes a command, %zu records in memory, drift %lld\n",
           orgs, pair, hash, command_bytes / (2 * PAIRS), core_machine_records(machine),
           (long long)core_machine_drift(machine));
    core_machine_free(machine);
    free(l.base);
}

int main(void)
{
    run(1);
    run(1000);
    return 0;
}
