/* SPDX-License-Identifier: Apache-2.0
 * The guards around the engine: traces that the simulator meets too rarely, and the pure functions.
 */
#include "tests/unit/hosts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
// cmocka needs these before it
#include <cmocka.h>

/* Guard 1. Node 3 answers a request that node 1 sent as leader of an older term, from before the
 * first entry; node 1 leads again by then. Without the guard it counts the answer as a copy. */
static uint64_t commit_after_stale_reply(unsigned disable)
{
    hosts_start(3, disable);
    uint64_t old_term = pump_term(hosts[1].pump);
    host_elect(1, 3);
    uint8_t bytes[512];
    struct message_head h = {
        .cluster = {{1}}, .from = 1, .to = 3, .incarnation = 1, .sequence = 1000};
    struct raft_message m = {.type = RAFT_APPEND_ENTRIES};
    m.append_entries = (struct raft_append_entries){.term = old_term};
    size_t n = message_put_head(bytes, &h, m.type);
    struct proto_writer w = proto_writer_over(bytes + n, sizeof bytes - n);
    message_put_body(&w, &m, NULL, 0, (struct proto_str){0});
    host_submit(&hosts[1], "abc", 3);
    for (unsigned i = 0; i < hosts[1].n_out; i++) /* nobody gets the entry */
        free(hosts[1].out[i].bytes);
    hosts[1].n_out = 0;
    host_persist(&hosts[1]);
    assert_int_equal(pump_commit_index(hosts[1].pump), 1);
    assert_int_equal(pump_receive(hosts[3].pump, hosts_now, bytes, n + w.n), 0);
    assert_int_equal(hosts[3].n_out, 1);
    hosts[1].cut_off = 2;
    (void)host_deliver(&hosts[3]);
    uint64_t commit = pump_commit_index(hosts[1].pump);
    assert_true(pump_last_index(hosts[3].pump) == 1); /* it holds no copy */
    hosts_stop(3);
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
    hosts_start(3, 0);
    assert_int_equal(host_receive_append(2, 1, 1, batch, 4), 0);
    assert_int_equal(hosts[1].n_writes, 2);
    assert_int_equal(hosts[1].writes[0].last, 3);
    assert_int_equal(hosts[1].writes[1].first, 4);
    struct pump_peer peers[PUMP_SERVERS_MAX];
    assert_int_equal(pump_peers(hosts[1].pump, peers), 3); /* in force from the log on */
    assert_int_equal(pump_persisted(hosts[1].pump, hosts_now, 2, 3), 0);
    unsigned said = hosts[1].n_out;
    struct log_entry other = command;
    other.term = 3;
    assert_int_equal(host_receive_append(3, 3, 2, &other, 1), 0);
    assert_int_equal(pump_persisted(hosts[1].pump, hosts_now, 4, 5), 0);
    assert_int_equal(host_receive_append(3, 4, 3, &other, 1), 0); /* deaf already */
    assert_int_equal(hosts[1].n_out, said);
    assert_int_equal(pump_persisted(hosts[1].pump, hosts_now, 4, 4), -ERESTART);
    hosts_stop(3);
}

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

/* Guard 7c: a rejection of what was acknowledged in this term is old. */
static void F43_guard_7c_an_old_rejection_moves_nobody_back(void **state)
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

/* Guard 8: entries from before the engine's trail (here: applied are 10, the trail begins at 8,
 * the marker stands at 9). */
static void F43_guard_8_entries_before_the_trail_are_left_out(void **state)
{
    (void)state;
    struct log_entry e[12];
    const struct guard_here here = {5, 8, 9, 10, 3};
    const struct {
        uint64_t prev, term, want_prev;
        unsigned n, want_n;
        bool fits;
    } cases[] = {
        {0, 5, 10, 12, 2, true},  /* reaches past what is applied */
        {3, 5, 10, 2, 0, true},   /* all of it applied */
        {0, 5, 10, 10, 0, true},  /* just so */
        {7, 5, 10, 3, 0, true},   /* its term is forgotten */
        {8, 5, 8, 3, 3, true},    /* begins in the trail: the engine's own business */
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
        assert_int_equal(guard_begin_at_applied(&a, &rest, &here), cases[i].fits);
        assert_int_equal(a.prev_log_index, cases[i].want_prev);
        assert_int_equal(a.n_entries, cases[i].want_n);
        if (a.n_entries > 0)
            assert_int_equal(rest->index, a.prev_log_index + 1);
    }
}

/* Guard 7b, at a leader whose trail begins at 8. */
static void F43_guard_7b_the_trail_is_probed_at_its_first_entry(void **state)
{
    (void)state;
    const struct {
        uint64_t heartbeat, term, want;
        bool probes;
    } cases[] = {
        {40, 3, 8, true}, {9, 3, 8, true}, {8, 3, 8, false}, {7, 3, 7, false}, {40, 0, 40, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct raft_message m = {
            .type = RAFT_APPEND_ENTRIES,
            .append_entries = {.prev_log_index = cases[i].heartbeat, .prev_log_term = 5}};
        assert_int_equal(guard_probe_trail(&m, 8, cases[i].term), cases[i].probes);
        assert_int_equal(m.append_entries.prev_log_index, cases[i].want);
        assert_int_equal(m.append_entries.prev_log_term, cases[i].probes ? cases[i].term : 5);
    }
}

static void lose_writings(struct host *h)
{
    for (unsigned i = 0; i < h->n_out; i++)
        free(h->out[i].bytes);
    h->n_out = 0;
}

static void tick(struct host *h)
{
    hosts_now.mono_ms += 100;
    assert_int_equal(pump_tick(h->pump, hosts_now), 0);
}

/* Node 3 holds more than it has been heard to acknowledge, and lacks the last entries; the log is
 * trimmed to what lies between. holdfast-sim, seed 2048812 of its version. Returns how far node 3
 * comes. */
static uint64_t applied_after_trimming(unsigned disable, uint64_t *last)
{
    hosts_start(3, disable);
    host_elect(1, 3);
    struct pump *p = hosts[1].pump;
    host_submit(&hosts[1], "abc", 3);
    hosts_settle(3);
    for (int i = 0; i < 20; i++)
        host_submit(&hosts[1], "abc", 3);
    (void)host_deliver(&hosts[1]);
    host_persist(&hosts[3]);
    lose_writings(&hosts[3]);
    hosts[1].cut_off = 3;
    for (int i = 0; i < 20; i++)
        host_submit(&hosts[1], "abc", 3);
    hosts_settle(3);
    uint64_t first = pump_last_stored(hosts[3].pump) - 3;
    assert_true(hosts[1].applied > 40 && first > 15 && hosts[3].applied < 5);
    assert_int_equal(pump_marker(p, hosts_now, first), 0);
    pump_keep(p, first);
    assert_int_equal(pump_marker(p, hosts_now, hosts[1].applied), 0);
    assert_int_equal(pump_first(p), first);
    hosts[1].cut_off = 0;
    for (int i = 0; i < 200; i++) {
        tick(&hosts[1]);
        hosts_settle(3);
    }
    uint64_t applied = hosts[3].applied;
    *last = hosts[1].applied;
    assert_int_equal(hosts[1].seed_needed, disable ? 3 : 0);
    hosts_stop(3);
    return applied;
}

static void F43_guard_7b_whose_log_reaches_into_the_trail_needs_no_copy(void **state)
{
    (void)state;
    uint64_t last;
    assert_true(applied_after_trimming(PUMP_GUARD_TRAIL, &last) < 5);
    assert_int_equal(applied_after_trimming(0, &last), last);
}

/* The third one has got a vote, and has not heard of it. */
static void give_vote_unheard(void)
{
    uint64_t index;
    hosts_start(3, 0);
    host_elect(1, 3);
    host_submit(&hosts[1], "abc", 3);
    host_beat(&hosts[1]);
    assert_int_equal(host_change(&hosts[1], true, &index), 0);
    host_beat(&hosts[1]);
    hosts[1].cut_off = 3;
    assert_int_equal(host_change(&hosts[1], false, &index), 0);
    host_beat(&hosts[1]);
    assert_false(host_third_joins(&hosts[2]));
    assert_true(host_third_joins(&hosts[3]));
    assert_int_equal(pump_leader(hosts[3].pump), 1);
}

/* A second, and what `id` does in it. */
static void let_pass(unsigned id)
{
    hosts_now.mono_ms += 1000;
    assert_int_equal(pump_tick(hosts[id].pump, hosts_now), 0);
    hosts_settle(3);
}

/* Its vote is needed by one who knows that it has it. */
static void F43_guard_9_who_does_not_know_of_its_vote_grants_it(void **state)
{
    (void)state;
    give_vote_unheard();
    hosts[2].cut_off = hosts[3].cut_off = 1; /* the leader is gone */
    for (int i = 0; i < 20 && pump_role(hosts[2].pump) != PUMP_LEADER; i++) {
        let_pass(3);
        let_pass(2);
    }
    assert_int_equal(pump_role(hosts[2].pump), PUMP_LEADER);
    hosts_stop(3);
}

/* And it is the leader it knows that asks, which does not lead any more. holdfast-sim, seed 5071413
 * of its version. */
static void F43_guard_9_who_led_before_gets_the_vote_too(void **state)
{
    (void)state;
    give_vote_unheard();
    hosts[2].cut_off = hosts[3].cut_off = 1;
    for (int i = 0; i < 20 && pump_role(hosts[1].pump) == PUMP_LEADER; i++)
        let_pass(1);
    assert_int_not_equal(pump_role(hosts[1].pump), PUMP_LEADER);
    hosts[1].cut_off = 2; /* the second one is gone */
    hosts[3].cut_off = 0;
    for (int i = 0; i < 20 && pump_role(hosts[1].pump) != PUMP_LEADER; i++)
        let_pass(1);
    assert_int_equal(pump_role(hosts[1].pump), PUMP_LEADER);
    hosts_stop(3);
}

/* The same of one that does not even know that it has been added. */
static void F43_guard_9_who_does_not_know_that_it_was_added_grants_its_vote(void **state)
{
    (void)state;
    struct raft_server members[] = {{1, "a", RAFT_VOTER}, {2, "b", RAFT_STANDBY}};
    struct raft_configuration conf = {members, 2};
    struct guard_lent lent;
    assert_false(guard_lend_vote(&conf, 1, &lent));
    for (raft_id self = 2; self <= 3; self++) {
        assert_true(guard_lend_vote(&conf, self, &lent));
        assert_int_equal(conf.n, self);
        assert_int_equal(conf.servers[self - 1].id, self);
        assert_int_equal(conf.servers[self - 1].role, RAFT_VOTER);
        guard_lent_back(&conf, &lent);
        assert_ptr_equal(conf.servers, members);
        assert_int_equal(conf.n, 2);
        assert_int_equal(members[1].role, RAFT_STANDBY);
    }
    struct raft_server full[GUARD_LENT_MAX] = {{1, "a", RAFT_VOTER}};
    conf = (struct raft_configuration){full, GUARD_LENT_MAX};
    assert_false(guard_lend_vote(&conf, 99, &lent));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(F43_guard_1_a_stale_reply_is_no_copy),
        cmocka_unit_test(F43_guard_5_configurations_come_first_and_their_loss_restarts),
        cmocka_unit_test(F43_guard_6_writes_that_will_be_overwritten_are_not_reported),
        cmocka_unit_test(F43_guard_7c_an_old_rejection_moves_nobody_back),
        cmocka_unit_test(F43_guard_8_entries_before_the_trail_are_left_out),
        cmocka_unit_test(F43_guard_7b_the_trail_is_probed_at_its_first_entry),
        cmocka_unit_test(F43_guard_7b_whose_log_reaches_into_the_trail_needs_no_copy),
        cmocka_unit_test(F43_guard_9_who_does_not_know_of_its_vote_grants_it),
        cmocka_unit_test(F43_guard_9_who_led_before_gets_the_vote_too),
        cmocka_unit_test(F43_guard_9_who_does_not_know_that_it_was_added_grants_its_vote),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
