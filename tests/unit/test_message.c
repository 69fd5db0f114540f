/* SPDX-License-Identifier: Apache-2.0
 * Peer messages: every kind comes back as it was, every damaged one is refused or means something
 * sound, and nothing is read past its end (run this under the address sanitizer, too).
 */
#include "ledger/raft/message.h"
#include "ledger/raft/pump.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
// cmocka needs these before it
#include <cmocka.h>

enum { CAP = 8192 };

static const struct message_head head = {.cluster = {{1, 2, 3, 4, 5, 6, 7, 8, 9}},
                                         .group = 3,
                                         .from = 2,
                                         .to = 1,
                                         .incarnation = 70000,
                                         .sequence = 5,
                                         .clock_us = -12};
static struct log_entry entries[MESSAGE_ENTRIES_MAX];
static uint8_t conf[ENTRY_CONF_MAX];
static int conf_len;

static size_t encode(uint8_t out[CAP], const struct raft_message *m, const struct log_entry *e,
                     unsigned n)
{
    size_t at = message_put_head(out, &head, m->type);
    struct proto_writer w = proto_writer_over(out + at, CAP - at);
    message_put_body(&w, m, e, n, (struct proto_str){(const char *)conf, (uint32_t)conf_len});
    assert_false(w.full);
    return at + w.n;
}

static int setup(void **state)
{
    (void)state;
    const struct pump_server servers[] = {{1, "a:1"}, {2, "b:1"}, {3, "c:1"}};
    conf_len = pump_encode_servers(servers, 3, conf);
    return conf_len > 0 ? 0 : -1;
}

/* One message of each kind, as encoded. Returns its length. */
static size_t sample(int kind, uint8_t out[CAP], struct raft_message *m)
{
    static uint8_t payload[300];
    memset(payload, 0x5A, sizeof payload);
    struct log_entry e[4] = {
        {.term = 5, .kind = ENTRY_COMMAND, .data = payload, .len = 300},
        {.term = 5, .kind = ENTRY_BARRIER},
        {.term = 6, .kind = ENTRY_CHANGE, .data = conf, .len = (uint32_t)conf_len},
        {.term = 7, .kind = ENTRY_COMMAND, .data = payload, .len = 1},
    };
    memset(m, 0, sizeof *m);
    m->type = (enum raft_message_type)kind;
    m->server_id = head.from;
    switch (m->type) {
    case RAFT_APPEND_ENTRIES:
        m->append_entries = (struct raft_append_entries){.term = 7,
                                                         .prev_log_index = 40,
                                                         .prev_log_term = 5,
                                                         .leader_commit = 39,
                                                         .n_entries = 4};
        return encode(out, m, e, 4);
    case RAFT_APPEND_ENTRIES_RESULT:
        m->append_entries_result = (struct raft_append_entries_result){.version = 2,
                                                                       .term = 7,
                                                                       .rejected = 9,
                                                                       .last_log_index = 8,
                                                                       .features = 1,
                                                                       .capacity = 65535};
        break;
    case RAFT_REQUEST_VOTE:
        m->request_vote = (struct raft_request_vote){.version = 2,
                                                     .term = 8,
                                                     .candidate_id = 2,
                                                     .last_log_index = 44,
                                                     .last_log_term = 7,
                                                     .disrupt_leader = true};
        break;
    case RAFT_REQUEST_VOTE_RESULT:
        m->request_vote_result = (struct raft_request_vote_result){
            .version = 2, .term = 8, .vote_granted = true, .pre_vote = true, .features = 1};
        break;
    case RAFT_INSTALL_SNAPSHOT:
        m->install_snapshot = (struct raft_install_snapshot){
            .term = 7, .last_index = 30, .last_term = 4, .conf_index = 1};
        break;
    case RAFT_TIMEOUT_NOW:
        m->timeout_now =
            (struct raft_timeout_now){.term = 7, .last_log_index = 44, .last_log_term = 7};
        break;
    }
    return encode(out, m, NULL, 0);
}

static void F43_every_kind_comes_back(void **state)
{
    (void)state;
    for (int kind = RAFT_APPEND_ENTRIES; kind <= RAFT_TIMEOUT_NOW; kind++) {
        uint8_t bytes[CAP];
        struct raft_message want;
        struct message got;
        const char *why;
        size_t n = sample(kind, bytes, &want);
        int rv = message_decode(bytes, n, &got, entries, &why);
        if (rv)
            fail_msg("kind %d: %s", kind, why);
        assert_memory_equal(&got.head, &head, sizeof head);
        assert_memory_equal(&got.raft, &want, sizeof want);
        if (kind == RAFT_APPEND_ENTRIES) {
            assert_int_equal(got.entries[0].index, 41);
            assert_int_equal(got.entries[0].len, 300);
            assert_int_equal(got.entries[0].data[299], 0x5A);
            assert_null(got.entries[1].data);
            assert_int_equal(got.entries[2].kind, ENTRY_CHANGE);
            assert_int_equal(got.entries[3].term, 7);
        }
        if (kind == RAFT_INSTALL_SNAPSHOT)
            assert_int_equal(got.conf.n, conf_len);
        /* Nothing less, nothing more. */
        for (size_t cut = 0; cut < n; cut++)
            assert_int_equal(message_decode(bytes, cut, &got, entries, &why), -EBADMSG);
        bytes[n] = 0;
        assert_int_equal(message_decode(bytes, n + 1, &got, entries, &why), -EBADMSG);
    }
}

/* What decodes must be fit for the engine and for our CHECKs. */
static void expect_sound(const struct message *m)
{
    if (m->raft.type != RAFT_APPEND_ENTRIES)
        return;
    const struct raft_append_entries *a = &m->raft.append_entries;
    uint64_t term = a->prev_log_term;
    assert_true((a->prev_log_index == 0) == (a->prev_log_term == 0));
    for (unsigned i = 0; i < a->n_entries; i++) {
        const struct log_entry *e = &m->entries[i];
        assert_true(e->term >= term && e->term <= a->term && e->term > 0);
        assert_true(e->kind >= ENTRY_COMMAND && e->kind <= ENTRY_CHANGE);
        assert_true(e->index == a->prev_log_index + 1 + i && e->len <= ENTRY_LEN_MAX);
        if (e->kind == ENTRY_CHANGE)
            assert_null(message_check_conf(e->data, e->len));
        term = e->term;
    }
}

static uint32_t chance(uint32_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 17;
    return *x ^= *x << 5;
}

static void F43_damaged_messages_are_refused(void **state)
{
    (void)state;
    uint32_t x = 2463534242u;
    unsigned refused = 0, other = 0, taken = 0;
    for (unsigned round = 0; round < 300000; round++) {
        uint8_t bytes[CAP];
        struct raft_message m;
        struct message got;
        const char *why = NULL;
        size_t n = sample(1 + (int)(chance(&x) % 6), bytes, &m);
        for (unsigned k = 1 + chance(&x) % 3; k > 0; k--) {
            uint8_t *at = &bytes[chance(&x) % n];
            switch (chance(&x) % 3) {
            case 0:
                *at ^= (uint8_t)(1u << (chance(&x) % 8));
                break;
            case 1:
                *at = (uint8_t)chance(&x);
                break;
            default: { /* a piece goes missing */
                size_t gone = 1 + chance(&x) % 8, off = (size_t)(at - bytes);
                if (off + gone < n) {
                    memmove(at, at + gone, n - off - gone);
                    n -= gone;
                }
            }
            }
        }
        uint8_t *exact = malloc(n); /* so that reading past the end is seen */
        assert_non_null(exact);
        memcpy(exact, bytes, n);
        int rv = message_decode(exact, n, &got, entries, &why);
        if (rv == 0) {
            expect_sound(&got);
            taken++;
        } else if (rv == -EPROTONOSUPPORT) {
            other++;
        } else {
            assert_int_equal(rv, -EBADMSG);
            assert_non_null(why);
            refused++;
        }
        free(exact);
    }
    assert_true(refused > 100000 && taken > 1000 && other > 0);
}

/* What is not a time is not reckoned with: the sums of the clock guard do not wrap. */
static void F7_a_clock_beyond_all_times_is_refused(void **state)
{
    const int64_t clocks[] = {INT64_MIN, -MESSAGE_CLOCK_MAX_US - 1, -MESSAGE_CLOCK_MAX_US,
                              0,         MESSAGE_CLOCK_MAX_US,      MESSAGE_CLOCK_MAX_US + 1,
                              INT64_MAX};
    (void)state;
    for (unsigned i = 0; i < sizeof clocks / sizeof clocks[0]; i++) {
        struct message_head far = head;
        struct raft_message m;
        struct message got;
        const char *why = NULL;
        uint8_t bytes[CAP], body[CAP];
        far.clock_us = clocks[i];
        size_t whole = sample(RAFT_TIMEOUT_NOW, bytes, &m);
        size_t behind = message_put_head(body, &head, RAFT_TIMEOUT_NOW);
        size_t n = message_put_head(body, &far, RAFT_TIMEOUT_NOW);
        memcpy(body + n, bytes + behind, whole - behind);
        bool a_time = clocks[i] >= -MESSAGE_CLOCK_MAX_US && clocks[i] <= MESSAGE_CLOCK_MAX_US;
        assert_int_equal(message_decode(body, n + whole - behind, &got, entries, &why),
                         a_time ? 0 : -EBADMSG);
        if (!a_time)
            assert_string_equal(why, "clock");
    }
}

static void F43_configurations_are_checked_before_the_engine_reads_them(void **state)
{
    (void)state;
    uint8_t c[ENTRY_CONF_MAX];
    size_t n = (size_t)conf_len;
    assert_null(message_check_conf(conf, n));
    for (size_t cut = 0; cut < n; cut++) {
        struct raft_configuration out;
        struct raft_buffer buf = {conf, cut};
        if (!message_check_conf(conf, cut)) { /* only padding may go */
            assert_int_equal(raft_configuration_decode(&buf, &out), 0);
            assert_int_equal(out.n, 3);
            raft_configuration_close(&out);
        }
    }
    memcpy(c, conf, n);
    c[1] = 200; /* servers */
    assert_non_null(message_check_conf(c, n));
    memcpy(c, conf, n);
    memset(c + 9, 0, 8); /* id 0 */
    assert_non_null(message_check_conf(c, n));
    memcpy(c, conf, n);
    c[9 + 8 + 4] = 9; /* role */
    assert_non_null(message_check_conf(c, n));
    memcpy(c, conf, n);
    c[9 + 8 + 5] = 1; /* the second one's id is the first one's */
    assert_non_null(message_check_conf(c, n));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(F43_every_kind_comes_back),
        cmocka_unit_test(F43_damaged_messages_are_refused),
        cmocka_unit_test(F7_a_clock_beyond_all_times_is_refused),
        cmocka_unit_test(F43_configurations_are_checked_before_the_engine_reads_them),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
