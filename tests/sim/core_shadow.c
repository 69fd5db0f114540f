/* SPDX-License-Identifier: Apache-2.0
 * Random commands to the machine and to its shadow (shadow.h): every answer must be the same to
 * the byte, every balance and counter after every entry, and the invariants hold at every index
 * (F2, F4, F5, F6, F7, F12-F16, F50, F60). The stream has retries, reused ids, late and forged
 * settlements, rules edited under open holds, rotated keys, time that jumps, terms that change.
 *
 *   core-shadow [--first-seed N] [--seeds N] [--hours H] [--entries N]
 *
 * --hours: simulated; a seed ends there or after `entries` log entries. A failure prints the
 * command that replays it.
 */
#include "ledger/core/record.h"
#include "proto/money.h"
#include "shadow_world.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define START_US INT64_C(1767225600000000) /* 2026-01-01 */

struct world w;

void shadow_fail(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fprintf(stderr,
            "\nreplay: core-shadow --first-seed %llu --seeds 1 --hours %lld --entries %lld\n",
            (unsigned long long)w.seed, (long long)w.hours, (long long)w.entries);
    exit(1);
}

/* ---- one entry, and the comparison ---- */
static void differ(uint32_t i, const struct proto_command *c, const struct proto_result *wanted,
                   const void *got, size_t n)
{
    static char text[3][4096];
    struct proto_text t[3];
    struct proto_result r;
    for (int k = 0; k < 3; k++)
        t[k] = proto_text_over(text[k], sizeof text[k]);
    proto_command_print(&t[0], c);
    proto_result_print(&t[1], wanted);
    if (proto_result_get(got, n, &r, NULL))
        proto_result_print(&t[2], &r);
    shadow_fail("index %llu, command %u: %s\n  the shadow: %s\n  the machine: %s",
                (unsigned long long)w.shadow.index, i, text[0], text[1], text[2]);
}

static void compare_results(const struct core_outcome *out)
{
    for (uint32_t i = 0; i < w.n; i++) {
        struct proto_command c;
        struct proto_hash digest;
        struct proto_result wanted;
        uint8_t bytes[PROTO_RESULT_MAX];
        struct proto_writer writer = proto_writer_over(bytes, sizeof bytes);
        if (!proto_command_get(w.now[i].bytes, w.now[i].n, &c, NULL))
            shadow_fail("a command cannot be decoded");
        proto_sha256_of(w.now[i].bytes, w.now[i].n, &digest);
        w.shadow.ordinal = i;
        shadow_command(&w.shadow, &c, &digest, &wanted);
        w.commands++;
        w.oks += wanted.code == PROTO_OK;
        if (!proto_result_put(&writer, &wanted) || out->items[i].length != writer.n ||
            memcmp(out->results + out->items[i].offset, bytes, writer.n) != 0)
            differ(i, &c, &wanted, out->results + out->items[i].offset, out->items[i].length);
    }
}

static void compare_money(void)
{
    uint32_t open = 0;
    for (unsigned org = 0; org < SHADOW_ORGS; org++) {
        struct core_balances b;
        struct proto_uuid id = shadow_org_id(org);
        __int128 sum = 0;
        if (!w.shadow.org[org].there)
            continue;
        if (core_machine_balances(w.rig.plain, &id, &b))
            shadow_fail("index %llu: an org is gone", (unsigned long long)w.shadow.index);
        for (int a = 0; a < CORE_ACCOUNTS; a++) {
            sum += b.account[a];
            bool outside = a == CORE_FUNDING || a == CORE_WRITEOFF;
            if (b.account[a] != w.shadow.org[org].account[a] ||
                (outside ? b.account[a] > 0 : b.account[a] < 0))
                shadow_fail("index %llu: org %u, %s is %lld, the shadow's %lld",
                            (unsigned long long)w.shadow.index, org,
                            core_account_name((enum core_account)a), (long long)b.account[a],
                            (long long)w.shadow.org[org].account[a]);
        }
        if (sum != 0)
            shadow_fail("index %llu: the accounts do not add up",
                        (unsigned long long)w.shadow.index);
        open += w.shadow.org[org].open;
    }
    if (core_machine_open_holds(w.rig.plain) != open || core_machine_drift(w.rig.plain) != 0)
        shadow_fail("index %llu: open holds or drift", (unsigned long long)w.shadow.index);
}

struct counted {
    unsigned n;
};

static int compare_counter(void *ctx, const void *key, size_t klen, const void *value, size_t vlen)
{
    struct counted *count = ctx;
    const uint8_t *k = key;
    struct core_counter v;
    struct core_counter_ref ref;
    if (k[0] != CORE_TABLE_counter)
        return 0;
    if (klen != 17 + sizeof ref || vlen != sizeof v)
        shadow_fail("a counter of the wrong size");
    memcpy(&v, value, sizeof v);
    memcpy(&ref, k + 17, sizeof ref);
    for (unsigned i = 0; i < w.shadow.counters; i++) {
        const struct shadow_counter *c = &w.shadow.counter[i];
        struct proto_uuid org = shadow_org_id(c->org);
        struct proto_hash h = {{0}};
        if (c->instance.s[0])
            proto_sha256_of(c->instance.s, strlen(c->instance.s), &h);
        if (c->budget != ref.budget || c->generation != ref.generation ||
            c->start_us != ref.start_us || memcmp(org.b, k + 1, 16) != 0 ||
            memcmp(h.b, ref.instance.b, sizeof ref.instance) != 0)
            continue;
        if (c->spent != v.spent || c->held != v.held || c->overrun != v.overrun ||
            c->open != v.open || c->end_us != v.end_us)
            shadow_fail("index %llu: counter of budget %u: spent %lld held %lld open %u, the "
                        "shadow: spent %lld held %lld open %u",
                        (unsigned long long)w.shadow.index, ref.budget, (long long)v.spent,
                        (long long)v.held, v.open, (long long)c->spent, (long long)c->held,
                        c->open);
        count->n++;
        return 0;
    }
    shadow_fail("a counter that the shadow does not have");
}

static void compare_counters(void)
{
    struct counted count = {0};
    if (core_machine_visit(w.rig.plain, compare_counter, &count))
        shadow_fail("visit");
    if (count.n != w.shadow.counters)
        shadow_fail("index %llu: %u counters, the shadow has %u",
                    (unsigned long long)w.shadow.index, count.n, w.shadow.counters);
}

static void compare_totals(void)
{
    uint8_t query[256];
    static uint8_t answer[PROTO_ANSWER_MAX];
    struct proto_query q = {.head = {.kind = PROTO_QUERY_totals}};
    struct proto_writer qw = proto_writer_over(query, sizeof query);
    struct proto_writer aw = proto_writer_over(answer, sizeof answer);
    struct proto_answer a;
    struct proto_str row;
    struct proto_totals_row t;
    if (!proto_query_put(&qw, &q) || core_machine_query(w.rig.plain, query, qw.n, &aw) ||
        !proto_answer_get(answer, aw.n, &a, NULL) || !proto_answer_row(&a, &row))
        shadow_fail("the totals cannot be read");
    struct proto_reader r = proto_reader_over(row.p, row.n);
    if (!proto_totals_row_get(&r, &t))
        shadow_fail("the totals cannot be decoded");
    if (t.settled != w.shadow.settled || t.refused != w.shadow.refused ||
        t.expired_unconfirmed_nanos != w.shadow.unconfirmed || t.price_version != w.shadow.version)
        shadow_fail("index %llu: settled %llu/%llu, refused %llu/%llu, unconfirmed %lld/%lld",
                    (unsigned long long)w.shadow.index, (unsigned long long)t.settled,
                    (unsigned long long)w.shadow.settled, (unsigned long long)t.refused,
                    (unsigned long long)w.shadow.refused, (long long)t.expired_unconfirmed_nanos,
                    (long long)w.shadow.unconfirmed);
}

static void entry(void)
{
    static uint8_t payload[BATCH * (BYTES_MAX + 8) + 256];
    struct core_outcome out;
    struct proto_writer writer = proto_writer_over(payload, sizeof payload);
    struct proto_batch_header h = {.format = PROTO_LOG_FORMAT,
                                   .machine = PROTO_MACHINE_VERSION,
                                   .stamp_us =
                                       w.clock_us - (int64_t)(one_in(20) ? rnd(5000000) : 0)};
    proto_batch_begin(&writer, &h, w.n);
    for (uint32_t i = 0; i < w.n; i++)
        proto_batch_add(&writer, w.now[i].bytes, w.now[i].n);
    rig_apply(&w.rig, w.term, payload, writer.n, &out);
    uint32_t expired = shadow_entry(&w.shadow, w.term, h.stamp_us);
    if (expired != out.expired)
        shadow_fail("index %llu: %u holds expired, the shadow has %u",
                    (unsigned long long)w.shadow.index, out.expired, expired);
    compare_results(&out);
    compare_money();
    if (w.shadow.index % 64 == 0)
        compare_counters();
    if (w.shadow.index % 16 == 0)
        compare_totals();
    w.n = 0;
}

static void begin(void)
{
    make_begin();
    entry();
    for (int i = 0; i < 6; i++) {
        make_key((unsigned)i % SHADOW_ORGS);
        entry();
    }
    learn_secrets();
}

static void run_seed(uint64_t seed)
{
    static const int64_t scales[] = {20, 1000000000, 1000000000, 1000000000,
                                     INT64_C(200000000000000000)};
    memset(&w.shadow, 0, sizeof w.shadow);
    memset(w.live_secret, 0, sizeof w.live_secret);
    rig_open(&w.rig, seed);
    w.seed = seed;
    w.term = 1;
    w.ids = w.secrets = w.olds = w.n = 0;
    w.clock_us = START_US + (int64_t)rnd(400 * (uint64_t)DAY);
    w.scale = scales[seed % 5];
    int64_t end_us = w.clock_us + w.hours * HOUR;
    begin();
    for (int64_t i = 0; i < w.entries && w.clock_us < end_us; i++) {
        pass_time();
        uint64_t n = rnd(6);
        for (uint64_t k = 0; k < n && w.n < BATCH; k++)
            make_one();
        entry();
        learn_secrets();
    }
    compare_counters();
    rig_compare_records(&w.rig);
    rig_close(&w.rig);
}

static int64_t number(const char *text)
{
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (errno || *end || v < 0) {
        fprintf(stderr, "core-shadow: not a number: %s\n", text);
        exit(2);
    }
    return v;
}

int main(int argc, char **argv)
{
    int64_t first = 1, seeds = 20;
    w.hours = 24 * 366 * 3;
    w.entries = 1500;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--first-seed") == 0)
            first = number(argv[i + 1]);
        else if (strcmp(argv[i], "--seeds") == 0)
            seeds = number(argv[i + 1]);
        else if (strcmp(argv[i], "--hours") == 0)
            w.hours = number(argv[i + 1]);
        else if (strcmp(argv[i], "--entries") == 0)
            w.entries = number(argv[i + 1]);
        else
            argc = 0;
    }
    bool help = argc == 2 && strcmp(argv[1], "--help") == 0;
    if (argc % 2 == 0 || w.entries > 2000) {
        fprintf(help ? stdout : stderr, "usage: core-shadow [--first-seed N] [--seeds N] "
                                        "[--hours H] [--entries N (at most 2000)]\n");
        return help ? 0 : 2;
    }
    for (int64_t s = first; s < first + seeds; s++)
        run_seed((uint64_t)s);
    printf("%lld seeds, %llu commands, %llu accepted\n", (long long)seeds,
           (unsigned long long)w.commands, (unsigned long long)w.oks);
    return 0;
}
