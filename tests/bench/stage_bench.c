/* SPDX-License-Identifier: Apache-2.0
 * stage-bench: CPU time that one reserve + settle pair takes in each stage of a node's own work,
 * and its instructions under callgrind. The transport is not in it: frames,
 * TLS, system calls and wake-ups are seen in a profile of a running cluster (docs/performance.md).
 *
 *   stage-bench DIR [--orgs N] [--keys N] [--entries N] [--only STAGE]
 *
 * DIR: a new directory for a log and a state store. An entry has 200 commands. --only: that stage
 * runs inside stage_bench_measured, for callgrind --toggle-collect.
 */
#include "ledger/raft/message.h"
#include "ledger/store/checksum.h"
#include "ledger/store/log_store.h"
#include "ledger/store/state_store.h"
#include "proto/batch.h"
#include "proto/chain.h"
#include "proto/frame.h"
#include "tests/bench/scenario.h"

#include <errno.h>
#include <raft.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define STAGES(X)                                                                                  \
    X(encode, "caller: encode a request", "edge")                                                  \
    X(seal, "decode, check and seal it", "leader")                                                 \
    X(merge, "merge into an entry", "leader")                                                      \
    X(message, "encode the entry for peers", "leader, once for all")                               \
    X(receive, "decode the entry from the leader", "follower")                                     \
    X(checksum, "checksum of the entry", "each node")                                              \
    X(log, "write the log (with its checksum)", "each node")                                       \
    X(decode, "decode the commands", "each node")                                                  \
    X(apply, "apply (with decoding and hashing)", "each node")                                     \
    X(hash, "chain and digests", "each node")                                                      \
    X(changes, "copy the changed records", "each node")                                            \
    X(checkpoint, "write the checkpoint", "each node")                                             \
    X(reply, "encode the reply", "leader")                                                         \
    X(answer, "caller: decode the reply", "edge")

enum stage {
#define X(name, what, who) STAGE_##name,
    STAGES(X)
#undef X
        STAGE_COUNT
};

static const struct {
    const char *name, *what, *who;
} stages[STAGE_COUNT] = {
#define X(name, what, who) {#name, what, who},
    STAGES(X)
#undef X
};

enum { CHANGED_MAX = 65536, COMMANDS_MAX = 2 * SCENARIO_PAIRS };

static struct {
    struct scenario s;
    struct core_machine *m;
    struct log_store *log;
    struct state_store *store;
    struct state_reader reader;
    struct state_changes changes;
    int64_t spent[STAGE_COUNT];
    uint64_t pairs, records;
    int64_t log_wall, checkpoint_wall;
    unsigned checkpoints;
    int only; /* -1: all */
    uint8_t request[512 * 1024], sealed[512 * 1024], merged[512 * 1024], message[512 * 1024],
        reply[1024 * 1024];
} b;

/* What callgrind is told to collect: one function, so that --toggle-collect finds it. */
typedef void work(void *arg);
void stage_bench_measured(work *w, void *arg);
__attribute__((noinline)) void stage_bench_measured(work *w, void *arg)
{
    w(arg);
}

static int64_t now_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void run(enum stage stage, work *w, void *arg)
{
    int64_t from = now_ns(CLOCK_THREAD_CPUTIME_ID);
    if (b.only == (int)stage)
        stage_bench_measured(w, arg);
    else
        w(arg);
    b.spent[stage] += now_ns(CLOCK_THREAD_CPUTIME_ID) - from;
}

/* ---- an entry, and what each stage makes of it ---- */
struct one {
    uint32_t n;
    struct proto_str bytes[COMMANDS_MAX]; /* sealed, in b.s.payload */
    struct proto_command command[COMMANDS_MAX];
    struct proto_str request[COMMANDS_MAX]; /* as a caller sends them, in b.request */
    size_t merged_n, message_n;
    struct core_outcome outcome;
    struct log_entry entry;
};

static void need(bool ok, const char *what)
{
    if (!ok)
        scenario_die(what);
}

static void do_encode(void *arg)
{
    struct one *x = arg;
    struct proto_writer w = proto_writer_over(b.request, sizeof b.request);
    for (uint32_t i = 0; i < x->n; i++) {
        size_t from = w.n;
        need(proto_command_put(&w, &x->command[i]), "a command does not fit");
        x->request[i] = (struct proto_str){(const char *)b.request + from, (uint32_t)(w.n - from)};
    }
}

static void do_seal(void *arg)
{
    struct one *x = arg;
    for (uint32_t i = 0; i < x->n; i++) {
        struct proto_command_head head;
        uint8_t *p = (uint8_t *)(uintptr_t)x->request[i].p;
        need(proto_command_seal(p, x->request[i].n, NULL), "a command cannot be sealed");
        struct proto_reader r = proto_reader_over(p, x->request[i].n);
        need(proto_get_array_of(&r, 2) && proto_command_head_get(&r, &head), "no head");
    }
}

static void do_merge(void *arg)
{
    struct one *x = arg;
    struct proto_writer w = proto_writer_over(b.merged, sizeof b.merged);
    struct proto_batch_header h = {
        .format = PROTO_LOG_FORMAT, .machine = PROTO_MACHINE_VERSION, .stamp_us = b.s.clock_us};
    proto_batch_begin(&w, &h, x->n);
    for (uint32_t i = 0; i < x->n; i++)
        proto_batch_add(&w, x->request[i].p, x->request[i].n);
    need(!w.full, "an entry does not fit");
    x->merged_n = w.n;
}

static void do_message(void *arg)
{
    struct one *x = arg;
    struct raft_message m = {.type = RAFT_APPEND_ENTRIES};
    m.append_entries.term = 1;
    m.append_entries.prev_log_index = x->entry.index - 1;
    m.append_entries.prev_log_term = 1;
    m.append_entries.n_entries = 1;
    const struct message_head h = {.from = 1, .to = 2, .incarnation = 1, .sequence = 1};
    x->message_n = message_put_head(b.message, &h, RAFT_APPEND_ENTRIES);
    struct proto_writer w =
        proto_writer_over(b.message + x->message_n, sizeof b.message - x->message_n);
    message_put_body(&w, &m, &x->entry, 1, (struct proto_str){0});
    need(!w.full, "a message does not fit");
    x->message_n += w.n;
}

static void do_receive(void *arg)
{
    static struct log_entry entries[MESSAGE_ENTRIES_MAX];
    struct one *x = arg;
    struct message m = {.entries = entries};
    const char *why;
    why = "";
    need(message_decode(b.message, x->message_n, &m, entries, &why) == 0, why);
}

static void do_checksum(void *arg)
{
    struct one *x = arg;
    need(entry_checksum(&x->entry) != 1, "the checksum"); /* it is not optimised away */
}

static void do_log(void *arg)
{
    struct one *x = arg;
    struct store_why why;
    const struct log_append a = {&x->entry, 1};
    need(log_store_append(b.log, &a, 1, &why) == 0, why.text);
    log_store_make_room(b.log);
}

static void do_decode(void *arg)
{
    struct one *x = arg;
    struct proto_batch batch;
    need(proto_batch_open(&batch, x->entry.data, x->entry.len), "no batch");
    for (uint32_t i = 0; i < x->n; i++)
        need(proto_batch_next(&batch, &x->bytes[i]) &&
                 proto_command_get(x->bytes[i].p, x->bytes[i].n, &x->command[i], NULL),
             "no command");
}

static void do_apply(void *arg)
{
    struct one *x = arg;
    if (core_machine_apply(b.m, x->entry.index, 1, x->entry.data, x->entry.len, &x->outcome))
        scenario_die(core_machine_error(b.m));
}

static void do_hash(void *arg)
{
    static struct proto_hash leaves[COMMANDS_MAX];
    struct one *x = arg;
    struct proto_hash root;
    for (uint32_t i = 0; i < x->n; i++) {
        const struct core_item *item = &x->outcome.items[i];
        proto_chain_leaf(x->bytes[i].p, x->bytes[i].n, x->outcome.results + item->offset,
                         item->length, &leaves[i]);
        if (x->command[i].head.kind == PROTO_CMD_reserve)
            proto_sha256_of(x->bytes[i].p, x->bytes[i].n, &root);
    }
    proto_chain_root(leaves, x->n, &root);
}

static int add_change(void *ctx, const void *key, size_t klen, const void *value, size_t vlen)
{
    (void)ctx;
    b.records++;
    return state_changes_add(&b.changes, key, klen, value, vlen);
}

static void do_changes(void *arg)
{
    (void)arg;
    state_changes_clear(&b.changes);
    need(core_machine_changes(b.m, add_change, NULL) == 0, "no memory");
}

static void do_checkpoint(void *arg)
{
    struct store_why why;
    struct core_position at;
    (void)arg;
    core_machine_position(b.m, &at);
    const struct state_meta meta = {
        .applied_index = at.index, .applied_term = at.term, .clock_us = at.clock_us};
    need(state_store_write(b.store, &b.changes, &meta, &why) == 0, why.text);
}

static void do_reply(void *arg)
{
    struct one *x = arg;
    struct proto_writer w = proto_writer_over(b.reply, sizeof b.reply);
    const struct proto_reply_head head = {.version = PROTO_FRAME_VERSION};
    proto_reply_begin(&w, &head, x->n);
    for (uint32_t i = 0; i < x->n; i++) {
        const struct core_item *it = &x->outcome.items[i];
        const struct proto_reply_item item = {
            .index = x->entry.index,
            .ordinal = i,
            .chain = {{1}},
            .result = {(const char *)x->outcome.results + it->offset, it->length}};
        proto_reply_item_put(&w, &item);
    }
    need(!w.full, "a reply does not fit");
}

static void do_answer(void *arg)
{
    struct one *x = arg;
    struct proto_reader r = proto_reader_over(b.reply, sizeof b.reply);
    struct proto_reply_head head;
    uint32_t n;
    need(proto_reply_open(&r, &head, &n) && n == x->n, "no reply");
    for (uint32_t i = 0; i < n; i++) {
        struct proto_reply_item item;
        struct proto_result result;
        need(proto_reply_item_get(&r, &item) &&
                 proto_result_get(item.result.p, item.result.n, &result, NULL),
             "no result");
    }
}

/* ---- the whole ---- */
static void checkpoint(void)
{
    int64_t from;
    run(STAGE_changes, do_changes, NULL);
    from = now_ns(CLOCK_MONOTONIC);
    run(STAGE_checkpoint, do_checkpoint, NULL);
    b.checkpoint_wall += now_ns(CLOCK_MONOTONIC) - from;
    b.checkpoints++;
    core_machine_written(b.m);
    need(state_reader_refresh(&b.reader) == 0, "the store cannot be read");
}

static void one_entry(void)
{
    static struct one x;
    struct proto_batch batch;
    scenario_next(&b.s);
    x.entry = (struct log_entry){.index = b.s.index,
                                 .term = 1,
                                 .kind = ENTRY_COMMAND,
                                 .data = b.s.payload,
                                 .len = (uint32_t)b.s.n};
    need(proto_batch_open(&batch, b.s.payload, b.s.n), "no batch");
    x.n = batch.n;
    run(STAGE_decode, do_decode, &x);
    run(STAGE_encode, do_encode, &x);
    run(STAGE_seal, do_seal, &x);
    run(STAGE_merge, do_merge, &x);
    run(STAGE_message, do_message, &x);
    run(STAGE_receive, do_receive, &x);
    run(STAGE_checksum, do_checksum, &x);
    int64_t from = now_ns(CLOCK_MONOTONIC);
    run(STAGE_log, do_log, &x);
    b.log_wall += now_ns(CLOCK_MONOTONIC) - from;
    run(STAGE_apply, do_apply, &x);
    run(STAGE_hash, do_hash, &x);
    run(STAGE_reply, do_reply, &x);
    run(STAGE_answer, do_answer, &x);
    if (core_machine_changed(b.m) >= CHANGED_MAX)
        checkpoint();
}

static int get(void *ctx, const void *key, size_t klen, const void **value, size_t *vlen)
{
    return state_reader_get(ctx, key, klen, value, vlen);
}

static void open_all(const char *dir)
{
    char path[4096];
    struct store_why why;
    const struct core_config config = {.backing = {&b.reader, get}};
    const struct state_store_config store = {.map_bytes = UINT64_C(16) << 30}; /* for valgrind */
    (void)snprintf(path, sizeof path, "%s/log", dir);
    if (log_store_open(&b.log, path, LOG_STORE_WRITE, NULL, &why))
        scenario_die(why.text);
    (void)snprintf(path, sizeof path, "%s/state", dir);
    if (state_store_open(&b.store, path, STATE_STORE_WRITE, &store, &why) ||
        state_reader_open(&b.reader, b.store, &why))
        scenario_die(why.text);
    if (log_store_last(b.log) > 0)
        scenario_die("the directory is not new");
    state_changes_init(&b.changes);
    need(core_machine_new(&b.m, &config, NULL) == 0, "no memory");
}

static void set_up(void)
{
    struct one x = {0};
    while (scenario_set_up(&b.s)) {
        x.entry = (struct log_entry){.index = b.s.index,
                                     .term = 1,
                                     .kind = ENTRY_COMMAND,
                                     .data = b.s.payload,
                                     .len = (uint32_t)b.s.n};
        do_log(&x);
        do_apply(&x);
        scenario_check(&x.outcome);
        if (core_machine_changed(b.m) >= CHANGED_MAX)
            checkpoint();
    }
    checkpoint();
}

static void report(uint32_t entries)
{
    double pairs = (double)b.pairs;
    for (unsigned i = 0; i < STAGE_COUNT; i++)
        printf("%-10s %7.0f ns  %-36s %s\n", stages[i].name, (double)b.spent[i] / pairs,
               stages[i].what, stages[i].who);
    printf("log: %.0f us an entry of %.1f KiB until it is on the disk; checkpoint: %.0f ms, %.2f "
           "records a pair\n",
           (double)b.log_wall / 1e3 / entries, (double)b.s.n / 1024,
           b.checkpoints ? (double)b.checkpoint_wall / 1e6 / b.checkpoints : 0,
           (double)b.records / pairs);
}

static uint32_t number(const char *text)
{
    char *end;
    errno = 0;
    unsigned long v = text ? strtoul(text, &end, 10) : 0;
    if (!text || errno || *end || v == 0 || v > 10000000)
        scenario_die("a number from 1 to 10000000 expected");
    return (uint32_t)v;
}

int main(int argc, char **argv)
{
    uint32_t orgs = 1000, keys = 1000, entries = 2000;
    if (argc < 2)
        scenario_die("usage: stage-bench DIR [--orgs N] [--keys N] [--entries N] [--only STAGE]");
    b.only = -1;
    for (int i = 2; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--orgs") == 0)
            orgs = number(argv[i + 1]);
        else if (strcmp(argv[i], "--keys") == 0)
            keys = number(argv[i + 1]);
        else if (strcmp(argv[i], "--entries") == 0)
            entries = number(argv[i + 1]);
        for (int k = 0; strcmp(argv[i], "--only") == 0 && k < STAGE_COUNT; k++)
            if (strcmp(argv[i + 1], stages[k].name) == 0)
                b.only = k;
    }
    open_all(argv[1]);
    scenario_init(&b.s, orgs, keys);
    set_up();
    memset(b.spent, 0, sizeof b.spent);
    b.log_wall = b.checkpoint_wall = b.checkpoints = 0;
    b.records = b.s.pairs = 0;
    for (uint32_t i = 0; i < entries; i++)
        one_entry();
    b.pairs = b.s.pairs;
    checkpoint();
    report(entries);
    core_machine_free(b.m);
    state_changes_close(&b.changes);
    state_reader_close(&b.reader);
    state_store_close(b.store);
    log_store_close(b.log);
    return 0;
}
