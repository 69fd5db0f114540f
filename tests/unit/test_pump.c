/* SPDX-License-Identifier: Apache-2.0
 * The pump by hand: a few pumps whose messages and writes the test carries itself. The simulator
 * (tests/sim) does the wide search; here are the traces it meets too rarely, and the interface.
 */
#include "ledger/raft/engine_heap.h"
#include "ledger/raft/guard.h"
#include "ledger/raft/message.h"
#include "ledger/raft/pump.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
// cmocka needs these before it
#include <cmocka.h>

enum { NODES = 3, QUEUE = 4096 };

struct letter {
    uint64_t to;
    size_t n;
    uint8_t *bytes;
};

struct host {
    struct pump *pump;
    uint64_t id, applied, commands;
    unsigned nodes;
    struct guard_append writes[QUEUE];
    struct letter out[QUEUE];
    unsigned n_out, n_writes; /* n_writes: not told yet */
    uint64_t cut_off;         /* what it sends to this node is lost */
    bool vote_fails;
    uint64_t seed_needed; /* the node it was said of last */
};

static struct host host[NODES + 1];
static struct pump_now now = {.mono_ms = 1000, .wall_us = 1};

static int save_term(void *ctx, uint64_t term, uint64_t vote)
{
    const struct host *h = ctx;
    (void)term, (void)vote;
    return h->vote_fails ? -EIO : 0;
}

static int append(void *ctx, const struct log_entry *e, unsigned n)
{
    struct host *h = ctx;
    assert_true(h->n_writes < QUEUE);
    h->writes[h->n_writes++] = (struct guard_append){e[0].index, e[n - 1].index};
    return 0;
}

static int read_entries(void *ctx, uint64_t first, unsigned n, size_t max_bytes,
                        const struct log_entry **out)
{
    static uint8_t conf[ENTRY_CONF_MAX];
    static struct log_entry e;
    (void)ctx, (void)n, (void)max_bytes;
    assert_int_equal(first, 1); /* all else is in the tail */
    const struct pump_server servers[] = {{1, "a"}, {2, "b"}, {3, "c"}};
    int len = pump_encode_servers(servers, ((struct host *)ctx)->nodes, conf);
    e = (struct log_entry){
        .index = 1, .term = 1, .data = conf, .len = (uint32_t)len, .kind = ENTRY_CHANGE};
    *out = &e;
    return 1;
}

static void send_out(void *ctx, uint64_t peer, const void *head, size_t head_len, const void *body,
                     size_t body_len)
{
    struct host *h = ctx;
    if (h->cut_off == peer)
        return;
    assert_true(h->n_out < QUEUE);
    struct letter *l = &h->out[h->n_out++];
    *l = (struct letter){peer, head_len + body_len, malloc(head_len + body_len)};
    assert_non_null(l->bytes);
    memcpy(l->bytes, head, head_len);
    memcpy(l->bytes + head_len, body, body_len);
}

static int apply(void *ctx, const struct log_entry *e)
{
    struct host *h = ctx;
    assert_int_equal(e->index, h->applied + 1);
    h->applied = e->index;
    h->commands += e->kind == ENTRY_COMMAND;
    return 0;
}

static void on_role(void *ctx, enum pump_role role, uint64_t term, uint64_t leader)
{
    (void)ctx, (void)role, (void)term, (void)leader;
}

static void on_seed_needed(void *ctx, uint64_t peer)
{
    ((struct host *)ctx)->seed_needed = peer;
}

static void start(unsigned nodes, unsigned disable_guards)
{
    static const char *const names[] = {"", "a", "b", "c"};
    for (uint64_t i = 1; i <= nodes; i++) {
        struct host *h = &host[i];
        *h = (struct host){.id = i, .nodes = nodes};
        struct pump_config config = {.cluster = {{1}},
                                     .id = i,
                                     .address = names[i],
                                     .seed = (unsigned)i,
                                     .max_inflight = 64,
                                     .disable_guards = disable_guards};
        struct pump_io io = {h,       save_term,      append, read_entries, send_out, apply,
                             on_role, on_seed_needed, NULL,   NULL,         NULL};
        h->pump = pump_new(&config, &io);
        assert_non_null(h->pump);
        const struct log_entry *conf;
        (void)read_entries(h, 1, 1, 1, &conf);
        struct log_recovered r = {.term = 1, .incarnation = 1, .n_confs = 1};
        r.confs = calloc(1, sizeof *r.confs);
        assert_non_null(r.confs);
        r.confs[0].index = 1;
        r.confs[0].len = conf->len;
        memcpy(r.confs[0].data, conf->data, conf->len);
        assert_int_equal(term_runs_append(&r.runs, 1, 1), 0);
        assert_int_equal(pump_start(h->pump, now, &r), 0);
        log_recovered_close(&r);
    }
}

static void stop(unsigned nodes)
{
    for (unsigned i = 1; i <= nodes; i++) {
        for (unsigned k = 0; k < host[i].n_out; k++)
            free(host[i].out[k].bytes);
        pump_free(host[i].pump);
    }
}

static void persist(struct host *h)
{
    for (unsigned i = 0; i < h->n_writes; i++) /* the pump may add more while it is told */
        assert_int_equal(pump_persisted(h->pump, now, h->writes[i].first, h->writes[i].last), 0);
    h->n_writes = 0;
}

static bool deliver(struct host *h)
{
    struct letter out[64];
    unsigned n = 0;
    for (; n < h->n_out && n < 64; n++)
        out[n] = h->out[n];
    h->n_out -= n;
    memmove(h->out, h->out + n, h->n_out * sizeof *h->out);
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(pump_receive(host[out[i].to].pump, now, out[i].bytes, out[i].n), 0);
        free(out[i].bytes);
    }
    return n > 0;
}

/* Until nobody has anything to say. */
static void settle(unsigned nodes)
{
    for (bool more = true; more;) {
        more = false;
        for (unsigned i = 1; i <= nodes; i++) {
            more |= host[i].n_writes > 0;
            persist(&host[i]);
            more |= deliver(&host[i]);
        }
    }
}

static void elect(unsigned i, unsigned nodes)
{
    now.mono_ms = pump_next_timeout(host[i].pump);
    assert_int_equal(pump_tick(host[i].pump, now), 0);
    settle(nodes);
    assert_int_equal(pump_role(host[i].pump), PUMP_LEADER);
}

static void submit(struct host *h, const void *p, size_t n)
{
    uint64_t index, term, expected = pump_last_index(h->pump) + 1;
    assert_int_equal(pump_submit(h->pump, now, p, n, &index, &term), 0);
    assert_int_equal(index, expected);
    assert_int_equal(term, pump_term(h->pump));
}

static void F43_a_cluster_of_one_serves(void **state)
{
    (void)state;
    start(1, 0);
    assert_int_equal(pump_role(host[1].pump), PUMP_LEADER);
    submit(&host[1], "abc", 3);
    assert_int_equal(host[1].commands, 0); /* not before it is durable */
    settle(1);
    assert_int_equal(host[1].commands, 1);
    assert_true(pump_leads_firmly(host[1].pump));
    stop(1);
}

static void F43_a_command_is_applied_on_all_after_a_majority_has_it(void **state)
{
    (void)state;
    start(3, 0);
    uint64_t index, term;
    assert_int_equal(pump_submit(host[2].pump, now, "x", 1, &index, &term), PUMP_NOT_LEADER);
    elect(1, 3);
    submit(&host[1], "abc", 3);
    (void)deliver(&host[1]); /* the others have it, nobody's disk does */
    assert_int_equal(pump_commit_index(host[1].pump), 1);
    persist(&host[2]);
    (void)deliver(&host[2]);
    assert_int_equal(pump_commit_index(host[1].pump), 1); /* one copy of three is none */
    persist(&host[1]);
    assert_int_equal(pump_commit_index(host[1].pump), 2);
    assert_int_equal(host[1].commands, 1);
    settle(3);
    now.mono_ms += 100;
    assert_int_equal(pump_tick(host[1].pump, now), 0);
    settle(3);
    for (int i = 1; i <= 3; i++)
        assert_int_equal(host[i].commands, 1);
    struct pump_peer peers[PUMP_SERVERS_MAX];
    assert_int_equal(pump_peers(host[1].pump, peers), 2);
    assert_int_equal(peers[0].match, 2);
    assert_string_equal(peers[1].address, "c");
    assert_int_equal(pump_leader(host[3].pump), 1);
    stop(3);
}

static void F43_the_queue_of_proposals_is_bounded(void **state)
{
    (void)state;
    uint64_t index, term;
    static uint8_t big[ENTRY_LEN_MAX + 1];
    start(3, 0);
    elect(1, 3);
    for (int i = 0; i < 64; i++)
        submit(&host[1], "abc", 3);
    assert_int_equal(pump_submit(host[1].pump, now, "x", 1, &index, &term), -EBUSY);
    assert_int_equal(pump_submit(host[1].pump, now, big, sizeof big, &index, &term), -EMSGSIZE);
    settle(3);
    assert_int_equal(host[1].commands, 64);
    for (int i = 0; i < 6; i++) /* more than one message takes */
        submit(&host[1], big, ENTRY_LEN_MAX);
    settle(3);
    assert_int_equal(host[1].commands, 70);
    assert_int_equal(pump_last_stored(host[3].pump), pump_last_stored(host[1].pump));
    stop(3);
}

static void F43_leadership_is_handed_over(void **state)
{
    (void)state;
    start(3, 0);
    elect(1, 3);
    submit(&host[1], "abc", 3);
    settle(3);
    assert_int_equal(pump_transfer(host[1].pump, now, 9), -ENOENT);
    assert_int_equal(pump_transfer(host[2].pump, now, 1), PUMP_NOT_LEADER);
    assert_int_equal(pump_transfer(host[1].pump, now, 3), 0);
    settle(3);
    assert_int_equal(pump_role(host[3].pump), PUMP_LEADER);
    assert_int_equal(pump_role(host[1].pump), PUMP_FOLLOWER);
    stop(3);
}

static void F43_foreign_and_overtaken_messages_are_dropped(void **state)
{
    (void)state;
    struct pump_stats s;
    start(3, 0);
    struct message_head h = {.cluster = {{1}}, .from = 2, .to = 1, .incarnation = 4, .sequence = 9};
    struct raft_message m = {.type = RAFT_TIMEOUT_NOW};
    uint8_t bytes[512];
    const struct {
        unsigned cluster, group, to;
        uint64_t incarnation, sequence;
        uint64_t foreign, old;
    } cases[] = {
        {1, 0, 1, 4, 9, 0, 0},  {2, 0, 1, 4, 10, 1, 0}, {1, 1, 1, 4, 10, 2, 0},
        {1, 0, 2, 4, 10, 3, 0}, {1, 0, 1, 4, 9, 3, 1},  {1, 0, 1, 3, 99, 3, 2},
        {1, 0, 1, 5, 1, 3, 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        h.cluster.b[0] = (uint8_t)cases[i].cluster;
        h.group = (uint16_t)cases[i].group;
        h.to = cases[i].to;
        h.incarnation = cases[i].incarnation;
        h.sequence = cases[i].sequence;
        size_t n = message_put_head(bytes, &h, m.type);
        struct proto_writer w = proto_writer_over(bytes + n, sizeof bytes - n);
        message_put_body(&w, &m, NULL, 0, (struct proto_str){0});
        assert_int_equal(pump_receive(host[1].pump, now, bytes, n + w.n), 0);
        pump_stats(host[1].pump, &s);
        assert_int_equal(s.foreign_messages, cases[i].foreign);
        assert_int_equal(s.old_messages, cases[i].old);
    }
    assert_int_equal(pump_receive(host[1].pump, now, "rubbish", 7), 0);
    pump_stats(host[1].pump, &s);
    assert_int_equal(s.bad_messages, 1);
    stop(3);
}

/* Guard 1. Node 3 answers a request that node 1 sent as leader of an older term, from before the
 * first entry; node 1 leads again by then. Without the guard it counts the answer as a copy. */
static uint64_t commit_after_stale_reply(unsigned disable)
{
    start(3, disable);
    uint64_t old_term = pump_term(host[1].pump);
    elect(1, 3);
    uint8_t bytes[512];
    struct message_head h = {
        .cluster = {{1}}, .from = 1, .to = 3, .incarnation = 1, .sequence = 1000};
    struct raft_message m = {.type = RAFT_APPEND_ENTRIES};
    m.append_entries = (struct raft_append_entries){.term = old_term};
    size_t n = message_put_head(bytes, &h, m.type);
    struct proto_writer w = proto_writer_over(bytes + n, sizeof bytes - n);
    message_put_body(&w, &m, NULL, 0, (struct proto_str){0});
    submit(&host[1], "abc", 3);
    for (unsigned i = 0; i < host[1].n_out; i++) /* nobody gets the entry */
        free(host[1].out[i].bytes);
    host[1].n_out = 0;
    persist(&host[1]);
    assert_int_equal(pump_commit_index(host[1].pump), 1);
    assert_int_equal(pump_receive(host[3].pump, now, bytes, n + w.n), 0);
    assert_int_equal(host[3].n_out, 1);
    host[1].cut_off = 2;
    (void)deliver(&host[3]);
    uint64_t commit = pump_commit_index(host[1].pump);
    assert_true(pump_last_index(host[3].pump) == 1); /* it holds no copy */
    stop(3);
    return commit;
}

static void F43_guard_1_a_stale_reply_is_no_copy(void **state)
{
    (void)state;
    assert_int_equal(commit_after_stale_reply(0), 1);
    assert_int_equal(commit_after_stale_reply(PUMP_GUARD_STALE_REPLY),
                     2); /* the harm it prevents */
}

/* Guard 6: an entry that was cut off and came back while the disk was behind. */
static void F43_guard_6_writes_that_will_be_overwritten_are_not_reported(void **state)
{
    (void)state;
    const struct guard_append later[] = {{0, 0}, {5, 6}, {7, 9}, {6, 6}};
    assert_int_equal(guard_persisted((struct guard_append){3, 9}, later, 4, 1, 0), 9);
    assert_int_equal(guard_persisted((struct guard_append){3, 4}, later, 4, 1, 3), 4);
    assert_int_equal(guard_persisted((struct guard_append){3, 9}, later, 4, 1, 3), 4);
    assert_int_equal(guard_persisted((struct guard_append){3, 9}, later, 4, 2, 1), 6);
    assert_int_equal(guard_persisted((struct guard_append){5, 9}, later, 4, 3, 3), 4);
}

/* Guard 7b: the trail begins at 8, the marker stands at 7 or further on. */
static void F43_guard_7_a_success_before_the_trail_is_a_sign_of_life(void **state)
{
    (void)state;
    const struct {
        uint64_t last, marker, want;
    } cases[] = {{5, 7, 0}, {7, 7, 7}, {7, 60, 0}, {8, 60, 8}, {60, 60, 60}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct raft_message m = {.type = RAFT_APPEND_ENTRIES_RESULT};
        m.append_entries_result.last_log_index = cases[i].last;
        guard_before_trail(&m, 8, cases[i].marker);
        assert_int_equal(m.append_entries_result.last_log_index, cases[i].want);
        m.append_entries_result =
            (struct raft_append_entries_result){.rejected = 6, .last_log_index = 5};
        guard_before_trail(&m, 8, cases[i].marker);
        assert_int_equal(m.append_entries_result.last_log_index, 5);
    }
}

/* Guard 7d: a rejection of what was acknowledged in this term is old. */
static void F43_guard_7d_an_old_rejection_moves_nobody_back(void **state)
{
    (void)state;
    const struct {
        uint64_t rejected, last, match, want_rejected, want_last;
    } cases[] = {{10, 9, 10, 0, 0}, {4, 3, 10, 0, 0}, {11, 10, 10, 11, 10}, {0, 7, 10, 0, 7}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct raft_message m = {.type = RAFT_APPEND_ENTRIES_RESULT,
                                 .append_entries_result = {.term = 5,
                                                           .rejected = cases[i].rejected,
                                                           .last_log_index = cases[i].last}};
        assert_int_equal(guard_old_rejection(&m, cases[i].match),
                         cases[i].rejected != cases[i].want_rejected);
        assert_int_equal(m.append_entries_result.rejected, cases[i].want_rejected);
        assert_int_equal(m.append_entries_result.last_log_index, cases[i].want_last);
    }
    struct raft_message vote = {.type = RAFT_REQUEST_VOTE_RESULT};
    assert_false(guard_old_rejection(&vote, 10));
}

/* Guard 8: entries from before the engine's trail (here: applied are 10, the trail begins at 8). */
static void F43_guard_8_entries_before_the_trail_are_left_out(void **state)
{
    (void)state;
    struct log_entry e[12];
    const struct {
        uint64_t prev, term, want_prev;
        unsigned n, want_n;
        bool fits;
    } cases[] = {
        {0, 5, 10, 12, 2, true},  /* reaches past what is applied */
        {3, 5, 10, 2, 0, true},   /* all of it applied */
        {0, 5, 10, 10, 0, true},  /* just so */
        {7, 5, 7, 3, 3, true},    /* begins in the trail: the engine's own business */
        {0, 4, 0, 12, 12, true},  /* an older leader: turned down unseen */
        {0, 5, 0, 12, 12, false}, /* another entry 10 than was applied */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (unsigned k = 0; k < 12; k++)
            e[k] =
                (struct log_entry){.index = cases[i].prev + 1 + k, .term = cases[i].fits ? 3 : 2};
        struct raft_append_entries a = {
            .term = cases[i].term, .prev_log_index = cases[i].prev, .n_entries = cases[i].n};
        struct log_entry *rest = e;
        assert_int_equal(guard_begin_at_applied(&a, &rest, 5, 8, 10, 3), cases[i].fits);
        assert_int_equal(a.prev_log_index, cases[i].want_prev);
        assert_int_equal(a.n_entries, cases[i].want_n);
        if (a.n_entries > 0)
            assert_int_equal(rest->index, a.prev_log_index + 1);
    }
}

/* A message that node 2 might send to node 1. */
static int receive_append(uint64_t term, uint64_t prev, uint64_t prev_term,
                          const struct log_entry *e, unsigned n)
{
    static uint64_t sequence = 1000;
    static uint8_t bytes[8192];
    struct message_head h = {
        .cluster = {{1}}, .from = 2, .to = 1, .incarnation = 1, .sequence = sequence++};
    struct raft_message m = {.type = RAFT_APPEND_ENTRIES};
    m.append_entries = (struct raft_append_entries){
        .term = term, .prev_log_index = prev, .prev_log_term = prev_term, .leader_commit = 1};
    size_t at = message_put_head(bytes, &h, m.type);
    struct proto_writer w = proto_writer_over(bytes + at, sizeof bytes - at);
    message_put_body(&w, &m, e, n, (struct proto_str){0});
    assert_false(w.full);
    return pump_receive(host[1].pump, now, bytes, at + w.n);
}

/* Guard 5, and the start from disk when a configuration is cut off again. */
static void F43_guard_5_configurations_come_first_and_their_loss_restarts(void **state)
{
    (void)state;
    uint8_t conf[ENTRY_CONF_MAX];
    const struct pump_server servers[] = {{1, "a"}, {2, "b"}, {3, "c"}, {4, "d"}};
    int len = pump_encode_servers(servers, 4, conf);
    assert_true(len > 0);
    const struct log_entry change = {
        .term = 2, .kind = ENTRY_CHANGE, .data = conf, .len = (uint32_t)len};
    const struct log_entry command = {
        .term = 2, .kind = ENTRY_COMMAND, .data = (const uint8_t *)"x", .len = 1};
    const struct log_entry batch[] = {command, command, change, command};
    start(3, 0);
    assert_int_equal(receive_append(2, 1, 1, batch, 4), 0);
    assert_int_equal(host[1].n_writes, 2);
    assert_int_equal(host[1].writes[0].last, 3);
    assert_int_equal(host[1].writes[1].first, 4);
    struct pump_peer peers[PUMP_SERVERS_MAX];
    assert_int_equal(pump_peers(host[1].pump, peers), 3); /* in force from the log on */
    assert_int_equal(pump_persisted(host[1].pump, now, 2, 3), 0);
    unsigned said = host[1].n_out;
    struct log_entry other = command;
    other.term = 3;
    assert_int_equal(receive_append(3, 3, 2, &other, 1), 0);
    assert_int_equal(pump_persisted(host[1].pump, now, 4, 5), 0);
    assert_int_equal(receive_append(3, 4, 3, &other, 1), 0); /* deaf already */
    assert_int_equal(host[1].n_out, said);
    assert_int_equal(pump_persisted(host[1].pump, now, 4, 4), -ERESTART);
    stop(3);
}

static void F43_writes_in_hand_are_bounded(void **state)
{
    (void)state;
    const struct log_entry e = {
        .term = 2, .kind = ENTRY_COMMAND, .data = (const uint8_t *)"x", .len = 1};
    struct pump_stats s;
    start(3, 0);
    uint64_t last = 1;
    for (int i = 0; i < PUMP_APPENDS_MAX + 10; i++) { /* a disk that does not answer */
        assert_int_equal(receive_append(2, last, last == 1 ? 1 : 2, &e, 1), 0);
        last = pump_last_index(host[1].pump);
    }
    pump_stats(host[1].pump, &s);
    assert_int_equal(s.appends_in_hand, PUMP_APPENDS_MAX);
    assert_int_equal(s.full, 10);
    persist(&host[1]);
    assert_int_equal(receive_append(2, last, 2, &e, 1), 0);
    assert_int_equal(pump_last_index(host[1].pump), last + 1);
    stop(3);
}

static void F43_a_vote_that_cannot_be_saved_is_final_and_never_sent(void **state)
{
    (void)state;
    start(3, 0);
    host[1].vote_fails = true;
    const struct log_entry e = {.term = 5, .kind = ENTRY_BARRIER};
    assert_int_equal(receive_append(5, 1, 1, &e, 1), -EIO);
    assert_non_null(strstr(pump_error(host[1].pump), "term and vote could not be saved"));
    assert_int_equal(host[1].n_out, 0);
    assert_int_equal(host[1].n_writes, 0);
    assert_int_equal(receive_append(5, 1, 1, &e, 1), -EIO);
    assert_int_equal(pump_tick(host[1].pump, now), -EIO);
    stop(3);
}

/* libraft does not bear being refused memory. */
static void F43_no_memory_for_the_engine_ends_the_process(void **state)
{
    (void)state;
    int status;
    void *p = engine_heap_get(NULL, 0);
    assert_non_null(p);
    p = engine_heap_get(p, 100);
    assert_non_null(p);
    free(p);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)engine_heap_get(NULL, SIZE_MAX / 2);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
}

/* Not a limit that is asserted: machines differ. The design asks for 100,000 a second. */
static void F43_throughput_of_small_entries(void **state)
{
    (void)state;
    enum { ROUNDS = 2000, BATCH = 32 };
    struct timespec a, b;
    char payload[200] = {0};
    start(3, 0);
    elect(1, 3);
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
    for (int i = 0; i < ROUNDS; i++) {
        for (int k = 0; k < BATCH; k++)
            submit(&host[1], payload, sizeof payload);
        settle(3);
    }
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
    double s = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
    print_message("%.0f entries a second of CPU time, through three pumps\n", ROUNDS * BATCH / s);
    assert_int_equal(host[1].commands, ROUNDS * BATCH);
    stop(3);
}

/* What is trimmed is never asked for (read_entries would fail the test), and who needs it is told
 * to be seeded. */
static void F45_the_trail_follows_what_is_kept(void **state)
{
    (void)state;
    start(3, 0);
    elect(1, 3);
    host[1].cut_off = 3; /* it stays behind */
    for (int i = 0; i < 40; i++)
        submit(&host[1], "abc", 3);
    settle(3);
    struct pump *p = host[1].pump;
    assert_int_equal(pump_marker(p, now, 20), 0);
    assert_int_equal(pump_first(p), 1);
    pump_keep(p, 30); /* no further than the marker */
    assert_int_equal(pump_marker(p, now, 35), 0);
    assert_int_equal(pump_first(p), 20);
    pump_keep(p, 30);
    pump_keep(p, 10); /* it never goes back */
    assert_int_equal(pump_marker(p, now, 41), 0);
    assert_int_equal(pump_first(p), 30);
    host[1].cut_off = 0;
    for (int i = 0; i < 20; i++) {
        now.mono_ms += 100;
        assert_int_equal(pump_tick(p, now), 0);
        settle(3);
    }
    assert_int_equal(host[1].seed_needed, 3);
    assert_true(host[3].applied < 30);
    submit(&host[1], "abc", 3); /* the others go on */
    settle(3);
    assert_int_equal(host[1].applied, pump_last_index(p));
    assert_int_equal(pump_role(p), PUMP_LEADER);
    stop(3);
}

/* The members as `h` has them in its log; the last one joins, or votes. */
static int change(struct host *h, bool joining, uint64_t *index)
{
    const struct pump_member m[] = {{1, "a", false}, {2, "b", false}, {3, "c", joining}};
    return pump_change(h->pump, now, m, 3, index);
}

static bool third_joins(const struct host *h)
{
    struct pump_member m[PUMP_SERVERS_MAX];
    assert_int_equal(pump_members(h->pump, m), 3);
    return m[2].joining;
}

static void beat(struct host *h)
{
    settle(3);
    now.mono_ms += 100;
    assert_int_equal(pump_tick(h->pump, now), 0);
    settle(3);
}

static void F43_members_change_one_at_a_time(void **state)
{
    (void)state;
    uint64_t index;
    start(3, 0);
    elect(1, 3);
    assert_int_equal(change(&host[1], true, &index), -EBUSY); /* nothing of its term is committed */
    submit(&host[1], "abc", 3);
    beat(&host[1]);
    assert_int_equal(change(&host[2], true, &index), -EBUSY);
    assert_int_equal(change(&host[1], true, &index), 0);
    assert_int_equal(index, 3);
    assert_true(pump_changing(host[1].pump));
    assert_int_equal(change(&host[1], false, &index), -EBUSY); /* one at a time */
    beat(&host[1]);
    assert_false(pump_changing(host[1].pump));
    assert_int_equal(pump_last_change(host[3].pump), 3);
    assert_true(third_joins(&host[1]) && third_joins(&host[3]));
    assert_true(pump_votes(host[1].pump));
    assert_false(pump_votes(host[3].pump));
    host[2].cut_off = 1; /* the only other vote is away: two of two are needed */
    submit(&host[1], "abc", 3);
    settle(3);
    assert_true(pump_commit_index(host[1].pump) < pump_last_index(host[1].pump));
    host[2].cut_off = 0;
    beat(&host[1]);
    assert_int_equal(change(&host[1], false, &index), 0);
    beat(&host[1]);
    assert_false(third_joins(&host[3]));
    assert_true(pump_votes(host[3].pump));
    stop(3);
}

/* The third one's vote is needed by one who knows that it has it. */
static void F43_guard_9_who_does_not_know_of_its_vote_grants_it(void **state)
{
    (void)state;
    uint64_t index;
    start(3, 0);
    elect(1, 3);
    submit(&host[1], "abc", 3);
    beat(&host[1]);
    assert_int_equal(change(&host[1], true, &index), 0);
    beat(&host[1]);
    host[1].cut_off = 3; /* does not hear of its vote */
    assert_int_equal(change(&host[1], false, &index), 0);
    beat(&host[1]);
    assert_false(third_joins(&host[2]));
    assert_true(third_joins(&host[3]));

    host[2].cut_off = host[3].cut_off = 1; /* the leader is gone */
    for (int i = 0; i < 20 && pump_role(host[2].pump) != PUMP_LEADER; i++) {
        now.mono_ms += 1000;
        assert_int_equal(pump_tick(host[3].pump, now), 0);
        assert_int_equal(pump_tick(host[2].pump, now), 0);
        settle(3);
    }
    assert_int_equal(pump_role(host[2].pump), PUMP_LEADER);
    stop(3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(F43_a_cluster_of_one_serves),
        cmocka_unit_test(F43_a_command_is_applied_on_all_after_a_majority_has_it),
        cmocka_unit_test(F43_the_queue_of_proposals_is_bounded),
        cmocka_unit_test(F43_leadership_is_handed_over),
        cmocka_unit_test(F43_foreign_and_overtaken_messages_are_dropped),
        cmocka_unit_test(F43_guard_1_a_stale_reply_is_no_copy),
        cmocka_unit_test(F43_guard_6_writes_that_will_be_overwritten_are_not_reported),
        cmocka_unit_test(F43_guard_7_a_success_before_the_trail_is_a_sign_of_life),
        cmocka_unit_test(F43_guard_7d_an_old_rejection_moves_nobody_back),
        cmocka_unit_test(F43_guard_8_entries_before_the_trail_are_left_out),
        cmocka_unit_test(F43_guard_5_configurations_come_first_and_their_loss_restarts),
        cmocka_unit_test(F43_writes_in_hand_are_bounded),
        cmocka_unit_test(F45_the_trail_follows_what_is_kept),
        cmocka_unit_test(F43_a_vote_that_cannot_be_saved_is_final_and_never_sent),
        cmocka_unit_test(F43_no_memory_for_the_engine_ends_the_process),
        cmocka_unit_test(F43_members_change_one_at_a_time),
        cmocka_unit_test(F43_guard_9_who_does_not_know_of_its_vote_grants_it),
        cmocka_unit_test(F43_throughput_of_small_entries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
