/* SPDX-License-Identifier: Apache-2.0
 * core-bench: CPU time of one reserve + settle pair in the state machine, with a hierarchy org >
 * team > key of monthly budgets, keys drawn uniformly (scenario.h).
 *
 *   core-bench [--orgs N] [--keys N] [--pairs N]        records in memory alone
 *              [--mixed]                                with releases and extends
 *              [--store DIR [--cache RECORDS] [--changed RECORDS] [--rate N]]
 *
 * With --store: over a state store, with a checkpoint for so many changed records, and the sweep of
 * the dead. --rate: pairs a second of replicated time; with a low one a run outlives its records.
 *
 * The chain at the end says that two versions of the machine did the same.
 * Without --keys: one org with one key, then 1,000 with one each. With a store the stages are told
 * apart: apply (the loop), the copy of what changed and the release after it (the loop too), and
 * writing it (the checkpoint thread). Everything runs on one thread here, so the sum is a node's
 * cost.
 */
#include "ledger/store/sweep.h"
#include "proto/chain.h"
#include "tests/bench/scenario.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

enum { SET_UP_CHANGED = 1000000 }; /* a set-up's checkpoints are larger: it takes long enough */

struct options {
    uint32_t orgs, keys, rate;
    uint64_t pairs, cache, changed;
    const char *store;
    bool mixed;
};

struct times {
    int64_t apply, copy, sort, write, written;
    uint64_t checkpoints, records, worst_loop, most_stored, most_bytes;
};

struct bench {
    struct options o;
    struct scenario s;
    struct core_machine *m;
    struct state_store *store;
    struct state_reader reader;
    struct state_changes changes;
    struct state_sweep sweep;
    struct times t;
};

static int64_t now_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* CPU time: other programs on the machine do not count. */
static int64_t cpu_ns(void)
{
    return now_ns(CLOCK_THREAD_CPUTIME_ID);
}

static const struct state_sweep_rules rules = {
    .spans = CORE_MORTAL, .span = core_mortal, .dead = core_record_dead};

static int get(void *ctx, const void *key, size_t klen, const void **value, size_t *vlen)
{
    return state_reader_get(ctx, key, klen, value, vlen);
}

static int add_change(void *ctx, const void *key, size_t klen, const void *value, size_t vlen)
{
    struct bench *b = ctx;
    b->t.records++;
    return state_changes_add(&b->changes, key, klen, value, vlen);
}

static void checkpoint(struct bench *b)
{
    struct core_position at;
    struct store_why why;
    int64_t t0 = cpu_ns();
    state_changes_clear(&b->changes);
    if (core_machine_changes(b->m, add_change, b))
        scenario_die("no memory");
    int64_t t1 = cpu_ns();
    core_machine_position(b->m, &at);
    struct state_meta meta = {.applied_index = at.index,
                              .applied_term = at.term,
                              .clock_us = at.clock_us,
                              .chain = at.chain};
    if (state_store_checkpoint(b->store, &b->changes, &meta, &b->sweep, &why))
        scenario_die(why.text);
    int64_t t2 = cpu_ns();
    core_machine_written(b->m);
    if (state_reader_refresh(&b->reader))
        scenario_die("the store cannot be read");
    int64_t t3 = cpu_ns();
    b->t.copy += t1 - t0;
    b->t.write += t2 - t1;
    b->t.written += t3 - t2;
    b->t.checkpoints++;
    uint64_t stored = state_store_records(b->store), bytes = state_store_bytes(b->store);
    b->t.most_stored = stored > b->t.most_stored ? stored : b->t.most_stored;
    b->t.most_bytes = bytes > b->t.most_bytes ? bytes : b->t.most_bytes;
    uint64_t loop = (uint64_t)(t1 - t0 > t3 - t2 ? t1 - t0 : t3 - t2);
    if (loop > b->t.worst_loop)
        b->t.worst_loop = loop;
}

static void apply(struct bench *b, bool check)
{
    struct core_outcome out;
    int64_t from = cpu_ns();
    if (core_machine_apply(b->m, b->s.index, 1, b->s.payload, b->s.n, &out))
        scenario_die(core_machine_error(b->m));
    b->t.apply += cpu_ns() - from;
    if (check)
        scenario_check(&out);
    if (b->store && core_machine_changed(b->m) >= (check ? SET_UP_CHANGED : b->o.changed))
        checkpoint(b);
}

static void open_all(struct bench *b)
{
    struct store_why why;
    struct core_config config = {.cache_records = b->o.cache};
    if (b->o.store) {
        if (state_store_open(&b->store, b->o.store, STATE_STORE_WRITE, NULL, &why) ||
            state_reader_open(&b->reader, b->store, &why))
            scenario_die(why.text);
        if (state_store_records(b->store) > 0)
            scenario_die("the store is not empty");
        config.backing = (struct core_backing){&b->reader, get};
    }
    state_changes_init(&b->changes);
    state_sweep_init(&b->sweep, &rules);
    if (core_machine_new(&b->m, &config, NULL))
        scenario_die("no memory");
}

static void close_all(struct bench *b)
{
    core_machine_free(b->m);
    state_changes_close(&b->changes);
    state_sweep_close(&b->sweep);
    if (!b->store)
        return;
    state_reader_close(&b->reader);
    state_store_close(b->store);
}

/* What the chain costs for as many bytes: one leaf a command, the digest of a reserve, the tree. */
static double hash_ns(size_t command, size_t result)
{
    enum { N = 2 * SCENARIO_PAIRS, ROUNDS = 200 };
    static uint8_t bytes[2048];
    struct proto_hash out, leaves[N];
    int64_t from = cpu_ns();
    for (uint32_t i = 0; i < ROUNDS; i++) {
        for (uint32_t k = 0; k < N; k++) {
            bytes[0] = (uint8_t)k;
            proto_chain_leaf(bytes, command, bytes, result, &leaves[k]);
            if (k & 1)
                proto_sha256_of(bytes, command, &out);
        }
        proto_chain_root(leaves, N, &out);
    }
    return (double)(cpu_ns() - from) / (ROUNDS * SCENARIO_PAIRS);
}

static void report(const struct bench *b)
{
    double pairs = (double)b->s.pairs;
    struct rusage use;
    (void)getrusage(RUSAGE_SELF, &use);
    printf("orgs %7u keys %8u: apply %5.0f ns a pair", b->o.orgs, b->o.keys,
           (double)b->t.apply / pairs);
    if (b->store)
        printf(
            ", checkpoint %4.0f copy + %5.0f write + %4.0f release (%.2f records a pair, longest "
            "hold of the loop %.1f ms)",
            (double)b->t.copy / pairs, (double)b->t.write / pairs, (double)b->t.written / pairs,
            (double)b->t.records / pairs, (double)b->t.worst_loop / 1e6);
    if (b->store)
        printf("; state at most %llu records, %.1f MB, %llu swept",
               (unsigned long long)b->t.most_stored, (double)b->t.most_bytes / 1e6,
               (unsigned long long)b->sweep.swept);
    else
        printf(", of which about %.0f hashing",
               hash_ns((size_t)(b->s.command_bytes / b->s.commands), 90));
    struct core_position at;
    core_machine_position(b->m, &at);
    printf("; %zu records in memory, %ld MiB at most, drift %lld, chain %02x%02x%02x%02x\n",
           core_machine_records(b->m), use.ru_maxrss / 1024, (long long)core_machine_drift(b->m),
           at.chain.b[0], at.chain.b[1], at.chain.b[2], at.chain.b[3]);
    (void)fflush(stdout);
}

static void run(const struct options *o)
{
    static struct bench b;
    memset(&b, 0, sizeof b);
    b.o = *o;
    open_all(&b);
    scenario_init(&b.s, o->orgs, o->keys);
    b.s.mixed = o->mixed;
    if (o->rate)
        b.s.rate = o->rate;
    while (scenario_set_up(&b.s))
        apply(&b, true);
    while (b.s.pairs < o->pairs / 10) { /* warm */
        scenario_next(&b.s);
        apply(&b, true);
    }
    if (b.store)
        checkpoint(&b);
    b.t = (struct times){0};
    b.s.pairs = b.s.commands = b.s.command_bytes = 0;
    while (b.s.pairs < o->pairs) {
        scenario_next(&b.s);
        apply(&b, false);
    }
    report(&b);
    close_all(&b);
}

static uint64_t number(const char *text)
{
    char *end;
    errno = 0;
    unsigned long long v = text ? strtoull(text, &end, 10) : 0;
    if (!text || errno || *end || v == 0 || v > 1000000000)
        scenario_die("a number from 1 to 1000000000 expected");
    return v;
}

int main(int argc, char **argv)
{
    struct options o = {.orgs = 1000, .pairs = 200000, .cache = 8000000, .changed = 65536};
    for (int i = 1; i < argc; i += 2) {
        const char *value = argv[i + 1];
        if (strcmp(argv[i], "--mixed") == 0) {
            o.mixed = true;
            i--;
        } else if (strcmp(argv[i], "--orgs") == 0)
            o.orgs = (uint32_t)number(value);
        else if (strcmp(argv[i], "--keys") == 0)
            o.keys = (uint32_t)number(value);
        else if (strcmp(argv[i], "--pairs") == 0)
            o.pairs = number(value);
        else if (strcmp(argv[i], "--cache") == 0)
            o.cache = number(value);
        else if (strcmp(argv[i], "--changed") == 0)
            o.changed = number(value);
        else if (strcmp(argv[i], "--rate") == 0)
            o.rate = (uint32_t)number(value);
        else if (strcmp(argv[i], "--store") == 0 && value)
            o.store = value;
        else
            scenario_die(
                "usage: core-bench [--orgs N] [--keys N] [--pairs N] [--mixed] [--store DIR] "
                "[--cache RECORDS] [--changed RECORDS] [--rate N]");
    }
    if (o.keys == 0) {
        struct options one = o;
        one.orgs = one.keys = 1;
        run(&one);
        o.keys = o.orgs;
    }
    if (o.orgs > o.keys)
        o.orgs = o.keys;
    run(&o);
    return 0;
}
