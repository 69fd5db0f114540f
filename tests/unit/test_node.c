/* SPDX-License-Identifier: Apache-2.0
 * The deciding part of a node, without a process around it: a state from memory, messages of peers
 * made here.
 */
/* The rig has an entry of its own. */
#define log_entry rig_log_entry
#include "core_rig.h"
#undef log_entry
#include "ledger/node_state.h"
#include "ledger/raft/message.h"
#include "proto/frame.h"

enum { SELF = 1, PEER = 2, SENT_MAX = 64 };

struct sent {
    uint64_t to;
    struct message m; /* its views are not used */
};

/* One node, and what it has done. */
struct one {
    struct node node;
    struct node_config config;
    struct map map;
    struct rig rig;
    struct pump_now now;
    struct sent sent[SENT_MAX];
    unsigned n_sent;
    uint64_t appended_first, appended_last; /* the last one, not yet persisted; 0: none */
    uint64_t sequence;
    uint64_t last_peer; /* that answers */
    int64_t ahead_us;   /* the peers' clocks, of ours */
    unsigned checkpoints;
    uint64_t checkpoint; /* being written */
    bool changing;       /* its last status says that a change is under way ... */
    unsigned members;    /* ... and shows so many */
};
static struct one one;

/* ---- effects ---- */

static int save_term(void *ctx, uint64_t term, uint64_t voted_for, struct store_why *why)
{
    (void)ctx, (void)term, (void)voted_for, (void)why;
    return 0;
}

static int append_entries(void *ctx, const struct log_entry *entries, unsigned n)
{
    (void)ctx;
    assert_int_equal(one.appended_last, 0);
    one.appended_first = entries[0].index;
    one.appended_last = entries[n - 1].index;
    return 0;
}

static int read_entries(void *ctx, uint64_t first, unsigned n, size_t max_bytes,
                        const struct log_entry **out, struct store_why *why)
{
    (void)ctx, (void)first, (void)n, (void)max_bytes, (void)out, (void)why;
    return -EIO; /* all that there is was written lately */
}

static void send_message(void *ctx, uint64_t peer, const void *head, size_t head_len,
                         const void *body, size_t body_len)
{
    static struct log_entry entries[MESSAGE_ENTRIES_MAX];
    static uint8_t bytes[PUMP_MESSAGE_TAKE_MAX];
    const char *why;
    (void)ctx;
    memcpy(bytes, head, head_len);
    memcpy(bytes + head_len, body, body_len);
    struct sent *s = &one.sent[one.n_sent++ % SENT_MAX];
    s->to = peer;
    assert_int_equal(message_decode(bytes, head_len + body_len, &s->m, entries, &why), 0);
}

/* To a question for its status. */
static void reply(void *ctx, struct serve_request *r, struct net_frame *f)
{
    struct proto_reply_head head;
    struct proto_node_status s;
    uint32_t items;
    (void)ctx;
    assert_non_null(f);
    struct proto_reader in = proto_reader_over(f->bytes, f->len);
    assert_true(proto_reply_open(&in, &head, &items) && proto_node_status_get(&in, &s));
    one.changing = false;
    one.members = 0;
    for (uint32_t i = 0; i < s.facts.n; i++) {
        one.changing |= proto_str_eq(s.facts.e[i].name, proto_str_of("changing"));
        one.members += proto_str_eq(s.facts.e[i].name, proto_str_of("member"));
    }
    net_frame_free(f);
    serve_request_free(r);
}

static void redial(void *ctx, uint64_t peer)
{
    (void)ctx, (void)peer;
}

static int write_checkpoint(void *ctx, const struct state_changes *changes,
                            const struct state_meta *meta)
{
    (void)ctx, (void)changes;
    one.checkpoints++;
    one.checkpoint = meta->applied_index;
    return 0;
}

static int get(void *ctx, const void *key, size_t klen, const void **value, size_t *vlen)
{
    struct one *o = ctx;
    return map_get(&o->map, key, klen, value, vlen);
}

static int scan(void *ctx, const void *prefix, size_t plen, const void *from, size_t flen,
                state_visit *visit, void *arg)
{
    struct one *o = ctx;
    int rv = 0;
    (void)from, (void)flen;
    for (size_t b = 0; b < MAP_BUCKETS; b++)
        for (struct map_entry *e = o->map.bucket[b]; e && rv == 0; e = e->next)
            if (e->value && e->klen >= plen && memcmp(e->key, prefix, plen) == 0)
                rv = visit(arg, e->key, e->klen, e->value, e->vlen);
    return rv;
}

static int refresh(void *ctx)
{
    (void)ctx;
    return 0;
}

static void random_bytes(void *ctx, void *p, size_t n)
{
    (void)ctx;
    memset(p, 7, n);
}

/* ---- the node ---- */

/* A ledger with an open hold; config 1: nodes 1 to 3. */
static void make_state(struct state_meta *meta)
{
    struct core_position at;
    struct pump_server servers[3];
    char address[3][32];
    rig_begin(&one.rig);
    rig_open(&one.rig);
    rig_ready(&one.rig);
    assert_int_equal(pay(&one.rig, PROTO_CMD_deposit, USD(9), ""), PROTO_OK);
    (void)reserve(&one.rig, 100, USD(1), PROTO_OK);
    assert_int_equal(core_machine_changes(one.rig.m, map_set, &one.map), 0);
    core_machine_position(one.rig.m, &at);
    core_machine_free(one.rig.m);
    *meta = (struct state_meta){.applied_index = at.index,
                                .applied_term = at.term,
                                .clock_us = at.clock_us,
                                .chain = at.chain,
                                .conf = {.index = 1}};
    for (unsigned i = 0; i < 3; i++) {
        (void)snprintf(address[i], sizeof address[i], "127.0.0.1:%u", 7000 + i);
        servers[i] = (struct pump_server){.id = SELF + i, .address = address[i]};
    }
    int n = pump_encode_servers(servers, 3, meta->conf.data);
    assert_true(n > 0);
    meta->conf.len = (uint32_t)n;
}

static void open_node(uint64_t last_peer)
{
    static const struct cluster_node self = {.id = SELF, .peer = "127.0.0.1:7000"};
    struct state_meta meta;
    memset(&one, 0, sizeof one);
    make_state(&meta);
    one.last_peer = last_peer;
    one.config = (struct node_config){.id = SELF,
                                      .self = &self,
                                      .cluster = {.uuid = uuid_of(0xcc)},
                                      .election_timeout_ms = 500,
                                      .heartbeat_ms = 100,
                                      .cache_records = 100000,
                                      .checkpoint_ms = 1000,
                                      .checkpoint_records = 1000,
                                      .clock_bound_ms = 500};
    const struct node_io io = {.ctx = &one,
                               .save_term = save_term,
                               .append = append_entries,
                               .read_entries = read_entries,
                               .send = send_message,
                               .reply = reply,
                               .redial = redial,
                               .write_checkpoint = write_checkpoint,
                               .get = get,
                               .scan = scan,
                               .refresh = refresh,
                               .random = random_bytes};
    const struct log_recovered log = {.term = meta.applied_term,
                                      .incarnation = 1,
                                      .applied_index = meta.applied_index,
                                      .applied_term = meta.applied_term,
                                      .applied_conf = meta.conf};
    const struct node_start start = {.state = &meta, .log = &log};
    one.now = (struct pump_now){.mono_ms = 1000, .wall_us = meta.clock_us};
    assert_int_equal(node_open(&one.node, &one.config, &io, &start), 0);
    assert_int_equal(node_start(&one.node, one.now, &start), 0);
}

static void close_node(void)
{
    node_close(&one.node);
    map_clear(&one.map);
}

/* A turn of the loop. */
static void turn(void)
{
    if (one.appended_last > 0) {
        uint64_t first = one.appended_first, last = one.appended_last;
        one.appended_last = 0;
        node_on_persisted(&one.node, one.now, first, last);
    }
    node_timers(&one.node, one.now);
    node_propose(&one.node);
    assert_false(one.node.failed);
}

static void pass(uint64_t ms)
{
    one.now.mono_ms += ms;
    one.now.wall_us += (int64_t)ms * 1000;
}

/* `m` from a peer; chain: what it says of the entry that we stand at. */
static void hear(uint64_t peer, const struct raft_message *m, unsigned kind,
                 const struct proto_hash *chain)
{
    uint8_t bytes[1024];
    struct core_position at;
    core_machine_position(one.node.machine, &at);
    const struct message_head head = {.cluster = one.config.cluster.uuid,
                                      .from = peer,
                                      .to = SELF,
                                      .incarnation = 1,
                                      .sequence = ++one.sequence,
                                      .clock_us = one.now.wall_us + one.ahead_us,
                                      .notice = {.level = 1,
                                                 .applied = at.index,
                                                 .index = at.index,
                                                 .chain = chain ? *chain : at.chain}};
    size_t n = message_put_head(bytes, &head, kind);
    struct proto_writer w = proto_writer_over(bytes + n, sizeof bytes - n);
    message_put_body(&w, m, NULL, 0, (struct proto_str){0});
    node_on_message(&one.node, one.now, bytes, n + w.n);
}

static const struct raft_message note = {.type = (enum raft_message_type)MESSAGE_NOTE};

/* The peers grant every vote and store every entry. chain: as in hear. */
static void answer(const struct proto_hash *chain)
{
    unsigned n = one.n_sent;
    one.n_sent = 0;
    for (unsigned i = 0; i < n; i++) {
        const struct raft_message q = one.sent[i].m.raft;
        struct raft_message a = {.type = RAFT_REQUEST_VOTE_RESULT};
        if (one.sent[i].to > one.last_peer)
            continue;
        if (q.type == RAFT_REQUEST_VOTE) {
            a.request_vote_result.term = q.request_vote.term;
            a.request_vote_result.vote_granted = true;
            a.request_vote_result.pre_vote = q.request_vote.pre_vote;
        } else if (q.type == RAFT_APPEND_ENTRIES) {
            a.type = RAFT_APPEND_ENTRIES_RESULT;
            a.append_entries_result.term = q.append_entries.term;
            a.append_entries_result.last_log_index =
                q.append_entries.prev_log_index + q.append_entries.n_entries;
        } else {
            continue;
        }
        hear(one.sent[i].to, &a, a.type, chain);
    }
}

static void lead(void)
{
    for (unsigned i = 0; i < 100 && one.node.role != PUMP_LEADER; i++) {
        answer(NULL);
        turn();
        pass(node_wait_ms(&one.node));
    }
    assert_int_equal(one.node.role, PUMP_LEADER);
}

/* How often the loop turns in so much time, while peers answer with this chain. */
static unsigned turns_in(uint64_t ms, const struct proto_hash *chain)
{
    unsigned turns = 0;
    for (const uint64_t end = one.now.mono_ms + ms; one.now.mono_ms < end && turns < 10000;
         turns++) {
        answer(chain);
        turn();
        pass(node_wait_ms(&one.node));
    }
    return turns;
}

static const struct proto_hash other = {{0x66}};

/* It may last: until a third node is heard. */
static void F50_a_node_in_dispute_waits(void **state)
{
    (void)state;
    open_node(PEER);
    hear(PEER, &note, MESSAGE_NOTE, &other);
    assert_int_equal(one.node.accord.verdict, ACCORD_DISPUTED);
    assert_in_range(turns_in(10000, &other), 10, 1000);
    assert_int_equal(one.checkpoints, 0); /* of a state that others contradict: none */
    close_node();
}

static void F50_a_leader_in_dispute_waits_with_holds_that_are_due(void **state)
{
    (void)state;
    open_node(PEER);
    lead();
    hear(PEER, &note, MESSAGE_NOTE, &other);
    assert_int_equal(one.node.accord.verdict, ACCORD_DISPUTED);
    one.now.wall_us += 10 * MINUTE;
    assert_true(core_machine_next_expiry(one.node.machine) < one.now.wall_us);
    assert_in_range(turns_in(10000, &other), 10, 1000);
    assert_int_equal(one.node.role, PUMP_LEADER);
    close_node();
}

/* It hands over, and nobody takes it. */
static void F7_a_leader_whose_clock_is_out_waits_with_holds_that_are_due(void **state)
{
    (void)state;
    open_node(PEER + 1);
    lead();
    one.ahead_us = -MINUTE;
    one.now.wall_us += 10 * MINUTE;
    assert_in_range(turns_in(10000, NULL), 10, 1000);
    assert_true(one.node.clock_out);
    assert_true(core_machine_next_expiry(one.node.machine) < one.now.wall_us);
    assert_int_equal(one.node.role, PUMP_LEADER);
    close_node();
}

static void ask_status(void)
{
    uint8_t bytes[256];
    struct serve_refusal refusal;
    struct proto_writer w = proto_writer_over(bytes, sizeof bytes);
    const struct proto_request_head head = {.version = PROTO_FRAME_VERSION,
                                            .cluster = one.config.cluster.uuid,
                                            .kind = PROTO_REQUEST_STATUS};
    proto_request_begin(&w, &head, 0);
    struct net_frame *f = net_frame_of(bytes, w.n);
    assert_non_null(f);
    struct serve_request *r = serve_request_open(f, &one.config.cluster.uuid, 0, &refusal);
    assert_non_null(r);
    node_on_request(&one.node, one.now, r);
}

/* Whoever acts upon it sooner may start a node on an empty directory that gets its vote back. */
static void F43_a_node_is_gone_once_that_is_committed(void **state)
{
    (void)state;
    struct pump_member m[PUMP_SERVERS_MAX];
    uint64_t index;
    open_node(PEER);
    lead();
    one.now.wall_us += 10 * MINUTE; /* the hold is due: an entry of this term */
    (void)turns_in(1000, NULL);
    ask_status();
    assert_int_equal(one.members, 3);
    assert_false(one.changing);
    assert_int_equal(pump_members(one.node.pump, m), 3);
    assert_int_equal(pump_change(one.node.pump, one.now, m, 2, &index), 0);
    turn(); /* on our disk */
    ask_status();
    assert_int_equal(one.members, 2);
    assert_true(one.changing);
    (void)turns_in(1000, NULL);
    ask_status();
    assert_int_equal(one.members, 2);
    assert_false(one.changing);
    close_node();
}

/* An entry that says nothing; node 2 stores it, and it is in the next checkpoint. */
static void add_entry(void)
{
    uint8_t bytes[128];
    uint64_t index, term;
    struct proto_writer w = proto_writer_over(bytes, sizeof bytes);
    const struct proto_batch_header h = {
        .format = PROTO_LOG_FORMAT, .machine = PROTO_MACHINE_VERSION, .stamp_us = one.now.wall_us};
    proto_batch_begin(&w, &h, 0);
    assert_int_equal(pump_submit(one.node.pump, one.now, bytes, w.n, &index, &term), 0);
    (void)turns_in(NODE_LAG_MS / 2, NULL);
    if (one.checkpoint < index) {
        node_on_checkpoint(&one.node, one.now, one.checkpoint);
        node_start_checkpoint(&one.node);
    }
    assert_true(one.checkpoint >= index);
    node_on_checkpoint(&one.node, one.now, one.checkpoint);
    node_on_wanted(&one.node, one.now, UINT64_MAX);
}

/* It answers, and cannot follow: with it for half of two, nothing would be committed any more. */
static void F43_who_is_behind_the_trimmed_log_is_not_well(void **state)
{
    (void)state;
    struct proto_command c = {.head.kind = PROTO_CMD_cluster_remove};
    open_node(PEER + 1);
    one.node.trail = 1;
    lead();
    one.now.wall_us += 10 * MINUTE;
    (void)turns_in(1000, NULL);
    c.body.cluster_remove.node = PEER;
    assert_int_equal(node_admit_change(&one.node, &c), PROTO_OK);
    uint64_t known = pump_last_index(one.node.pump);
    one.last_peer = PEER;
    for (unsigned i = 0; i < 5; i++)
        add_entry();
    assert_true(pump_first(one.node.pump) > known + 1);
    hear(PEER + 1, &note, MESSAGE_NOTE, NULL);
    assert_int_equal(node_admit_change(&one.node, &c), PROTO_CLUSTER_NOT_READY);
    c.body.cluster_remove.node = PEER + 1;
    assert_int_equal(node_admit_change(&one.node, &c), PROTO_OK);
    close_node();
}

/* However soon its look at the disk was due: silent peers would count as full. */
static void F43_a_new_leader_hears_the_others_before_it_refuses(void **state)
{
    (void)state;
    open_node(PEER + 1);
    for (unsigned i = 0; i < 5000 && one.node.role != PUMP_LEADER; i++) {
        one.node.room_ms = one.now.mono_ms + 1;
        answer(NULL);
        turn();
        pass(node_wait_ms(&one.node));
    }
    assert_int_equal(one.node.role, PUMP_LEADER);
    assert_int_equal(one.node.room_ms, one.node.leader_ms + ROOM_HEARD_MS);
    close_node();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(F43_a_new_leader_hears_the_others_before_it_refuses),
        cmocka_unit_test(F50_a_node_in_dispute_waits),
        cmocka_unit_test(F50_a_leader_in_dispute_waits_with_holds_that_are_due),
        cmocka_unit_test(F43_a_node_is_gone_once_that_is_committed),
        cmocka_unit_test(F43_who_is_behind_the_trimmed_log_is_not_well),
        cmocka_unit_test(F7_a_leader_whose_clock_is_out_waits_with_holds_that_are_due),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
