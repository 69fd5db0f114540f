/* SPDX-License-Identifier: Apache-2.0
 * The codecs: canonical, bounded, total. Every byte string is either refused with a cause or
 * decodes to a message whose encoding is that same byte string (F6 rests on it: one command, one
 * digest).
 */
#include "proto/batch.h"
#include "proto/chain.h"
#include "proto/command.h"
#include "proto/frame.h"
#include "proto/key.h"
#include "proto/query.h"
#include "proto/result.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
// cmocka needs the four above before it
#include <cmocka.h>
#include <msgpack.h>

static uint64_t rng = 0x9e3779b97f4a7c15u;
static uint64_t next(void)
{
    rng ^= rng << 13, rng ^= rng >> 7, rng ^= rng << 17;
    return rng;
}

static struct proto_command sample_reserve(void)
{
    struct proto_command c = {.head = {.kind = PROTO_CMD_reserve}};
    memset(c.head.id.b, 0x11, 16);
    memset(c.head.cred.b, 0x22, 32);
    c.head.ip = (struct proto_str){"\x7f\0\0\1", 4};
    c.body.reserve.ttl_us = 60000000;
    memset(c.body.reserve.token.b, 0x33, 32);
    c.body.reserve.customer = proto_str_of("acme \xc3\xa9");
    c.body.reserve.candidates.n = 2;
    c.body.reserve.candidates.e[0] = (struct proto_candidate){proto_str_of("gpt-4o"), 123456789};
    c.body.reserve.candidates.e[1] = (struct proto_candidate){proto_str_of("gpt-4o-mini"), 456};
    return c;
}

static size_t encode(const struct proto_command *c, uint8_t *out, size_t cap)
{
    struct proto_writer w = proto_writer_over(out, cap);
    assert_true(proto_command_put(&w, c));
    return w.n;
}

static void F6_commands_round_trip(void **state)
{
    uint8_t a[1024], b[1024];
    struct proto_command c = sample_reserve(), d;
    const char *error;
    (void)state;
    size_t n = encode(&c, a, sizeof a);
    assert_true(proto_command_get(a, n, &d, &error));
    assert_int_equal(encode(&d, b, sizeof b), n);
    assert_memory_equal(a, b, n);
    assert_true(proto_str_eq(d.body.reserve.candidates.e[1].model, proto_str_of("gpt-4o-mini")));
    assert_int_equal(d.body.reserve.candidates.e[0].amount, 123456789);
    for (size_t k = 0; k < n; k++) /* no prefix is a command */
        assert_false(proto_command_get(a, k, &d, &error));
    a[n] = 0;
    assert_false(proto_command_get(a, n + 1, &d, &error));
    assert_string_equal(error, "bytes after the end");
    for (size_t cap = 0; cap < n; cap++) { /* too small a buffer is told, never overrun */
        struct proto_writer w = proto_writer_over(b, cap);
        assert_false(proto_command_put(&w, &c));
    }
}

static void F6_only_canonical_bytes_decode(void **state)
{
    uint8_t a[1024], m[1024], b[1024];
    struct proto_command c = sample_reserve(), d;
    const char *error;
    unsigned accepted = 0;
    (void)state;
    size_t n = encode(&c, a, sizeof a);
    for (int i = 0; i < 400000; i++) {
        size_t k = n;
        memcpy(m, a, n);
        for (uint64_t j = 1 + next() % 3; j > 0; j--) {
            uint64_t at = next() % k;
            switch (next() % 4) {
            case 0:
                m[at] = (uint8_t)next();
                break;
            case 1:
                m[at] ^= (uint8_t)(1u << next() % 8);
                break;
            case 2: /* drop a byte */
                memmove(m + at, m + at + 1, k - at - 1);
                k--;
                break;
            default: /* add one */
                memmove(m + at + 1, m + at, k - at);
                m[at] = (uint8_t)next();
                k++;
            }
        }
        if (!proto_command_get(m, k, &d, &error)) {
            assert_non_null(error);
            continue;
        }
        accepted++;
        assert_int_equal(encode(&d, b, sizeof b), k);
        assert_memory_equal(m, b, k);
    }
    assert_true(accepted > 100); /* the mutations reach past the decoder's first check */
}

/* What we accept, msgpack-c reads too, and the other way round for what it writes. */
static void F6_reader_agrees_with_msgpack_c(void **state)
{
    (void)state;
    for (int i = 0; i < 100000; i++) {
        uint8_t b[16];
        struct proto_writer w = proto_writer_over(b, sizeof b);
        uint64_t u = next() >> (next() % 64), got_u;
        int64_t s = (int64_t)next() >> (next() % 64), got_s;
        proto_put_uint(&w, u);
        struct proto_reader r = proto_reader_over(b, w.n);
        assert_true(proto_get_uint(&r, &got_u, UINT64_MAX) && got_u == u && r.p == r.end);
        w.n = 0;
        proto_put_int(&w, s);
        r = proto_reader_over(b, w.n);
        assert_true(proto_get_int(&r, &got_s) && got_s == s && r.p == r.end);
        msgpack_unpacked un;
        msgpack_unpacked_init(&un);
        assert_int_equal(msgpack_unpack_next(&un, (char *)b, w.n, NULL), MSGPACK_UNPACK_SUCCESS);
        assert_true(un.data.via.i64 == s);
        msgpack_unpacked_destroy(&un);
    }
    for (int i = 0; i < 300000; i++) { /* any integer-looking bytes: accepted only if shortest */
        uint8_t b[9], again[9];
        for (int k = 0; k < 9; k++)
            b[k] = (uint8_t)(next() % 3 ? next() : 0);
        if (next() % 2)
            b[0] = (uint8_t)(0xcc + next() % 8);
        struct proto_reader r = proto_reader_over(b, sizeof b);
        int64_t v;
        if (!proto_get_int(&r, &v))
            continue;
        struct proto_writer w = proto_writer_over(again, sizeof again);
        proto_put_int(&w, v);
        assert_int_equal(w.n, r.p - b);
        assert_memory_equal(b, again, w.n);
    }
}

static void F38_sealing_leaves_nothing_presentable(void **state)
{
    uint8_t a[1024];
    struct proto_command c = sample_reserve(), d;
    struct proto_hash want;
    const char *error;
    (void)state;
    size_t n = encode(&c, a, sizeof a);
    assert_true(proto_command_seal(a, n, &error));
    assert_true(proto_command_get(a, n, &d, &error));
    proto_sha256_of(c.head.cred.b, 32, &want);
    assert_memory_equal(d.head.cred.b, want.b, 32);
    proto_sha256_of(c.body.reserve.token.b, 32, &want);
    assert_memory_equal(d.body.reserve.token.b, want.b, 32);
    assert_memory_equal(d.head.id.b, c.head.id.b, 16);
    a[3] ^= 0xff;
    assert_false(proto_command_seal(a, n, &error));
}

static void F6_text_must_be_clean_utf8(void **state)
{
    static const char *const bad[] = {
        "\x01", "\x7f",  "\xc0\xaf",     "\xed\xa0\x80", "\xf4\x90\x80\x80",
        "\xc3", "a\x80", "\xe0\x80\x80", "line\n",       "\xf8\x88\x80\x80\x80"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(proto_utf8_clean(proto_str_of(bad[i])));
    assert_true(proto_utf8_clean(proto_str_of("na\xc3\xafve \xe2\x82\xac \xf0\x9f\x98\x80")));
}

static void F44_batches_hold_their_commands(void **state)
{
    uint8_t b[512];
    struct proto_writer w = proto_writer_over(b, sizeof b);
    struct proto_batch_header h = {PROTO_LOG_FORMAT, PROTO_MACHINE_VERSION, 77, 0, {{0}}};
    struct proto_batch batch;
    struct proto_str s;
    (void)state;
    proto_batch_begin(&w, &h, 2);
    proto_batch_add(&w, "one", 3);
    proto_batch_add(&w, "garbage", 7);
    assert_false(w.full);
    assert_true(proto_batch_open(&batch, b, w.n));
    assert_int_equal(batch.n, 2);
    assert_int_equal(batch.header.stamp_us, 77);
    assert_true(proto_batch_next(&batch, &s) && s.n == 3);
    assert_true(proto_batch_next(&batch, &s) && s.n == 7);
    assert_false(proto_batch_next(&batch, &s));
    b[w.n] = 0;
    assert_true(proto_batch_open(&batch, b, w.n + 1));
    assert_true(proto_batch_next(&batch, &s));
    assert_false(proto_batch_next(&batch, &s)); /* something follows the last */
}

static void F51_results_and_frames_round_trip(void **state)
{
    uint8_t b[2048];
    struct proto_writer w = proto_writer_over(b, sizeof b);
    struct proto_result r = {.code = PROTO_BUDGET_EXCEEDED, .shape = PROTO_SHAPE_refused}, r2;
    const char *error;
    (void)state;
    r.body.refused.label = proto_str_of("daily");
    r.body.refused.limit = 5;
    assert_true(proto_result_put(&w, &r));
    assert_true(proto_result_get(b, w.n, &r2, &error));
    assert_int_equal(r2.code, PROTO_BUDGET_EXCEEDED);
    assert_int_equal(r2.body.refused.limit, 5);
    w.n = 0;
    struct proto_reply_head h = {.version = 1, .status = PROTO_REPLY_not_leader, .leader = 2}, h2;
    h.leader_address = proto_str_of("127.0.0.1:7");
    proto_reply_begin(&w, &h, 0);
    struct proto_reader rd = proto_reader_over(b, w.n);
    uint32_t n;
    assert_true(proto_reply_open(&rd, &h2, &n) && n == 0 && h2.leader == 2);
    assert_true(proto_reply_retry(PROTO_REPLY_unknown));
    assert_false(proto_reply_retry(PROTO_REPLY_bad_frame));
}

/* The tree against the recursive definition of RFC 6962, section 2.1. */
static void recursive_root(const struct proto_hash *d, uint32_t n, struct proto_hash *out)
{
    if (n == 1) {
        *out = d[0];
        return;
    }
    uint32_t k = 1;
    while (k * 2 < n)
        k *= 2;
    struct proto_hash both[2];
    uint8_t node[65] = {1};
    recursive_root(d, k, &both[0]);
    recursive_root(d + k, n - k, &both[1]);
    memcpy(node + 1, both, 64);
    proto_sha256_of(node, sizeof node, out);
}

static void F59_merkle_root_is_rfc6962(void **state)
{
    struct proto_hash leaves[40], copy[40], a, b;
    (void)state;
    for (uint32_t n = 1; n <= 40; n++) {
        for (uint32_t i = 0; i < n; i++)
            proto_chain_leaf(&i, sizeof i, &n, sizeof n, &leaves[i]);
        memcpy(copy, leaves, sizeof copy);
        recursive_root(leaves, n, &a);
        proto_chain_root(copy, n, &b);
        assert_memory_equal(a.b, b.b, 32);
    }
}

static void F56_key_text_has_a_loggable_part(void **state)
{
    uint8_t rp[8] = {1, 2, 3, 4, 5, 6, 7, 255}, rs[32] = {9};
    char text[PROTO_KEY_TEXT_LEN + 1];
    struct proto_str pub;
    (void)state;
    proto_key_make(rp, rs, text);
    assert_int_equal(strlen(text), PROTO_KEY_TEXT_LEN);
    assert_true(proto_key_public(proto_str_of(text), &pub));
    assert_int_equal(pub.n, 12);
    assert_memory_equal(pub.p, "0000", 4);
    text[18] = 'x';
    assert_false(proto_key_public(proto_str_of(text), &pub));
    assert_false(proto_key_public(proto_str_of("sk-hf-short"), &pub));
}

static void F6_queries_and_answers_round_trip(void **state)
{
    uint8_t rows[256], b[512];
    struct proto_writer wr = proto_writer_over(rows, sizeof rows),
                        w = proto_writer_over(b, sizeof b);
    struct proto_answer a;
    struct proto_str row;
    struct proto_query q = {.head = {.kind = PROTO_QUERY_prices, .after = 5}}, q2;
    const char *error;
    (void)state;
    proto_put_bin(&wr, "abc", 3);
    assert_true(proto_answer_put(&w, PROTO_OK, 9, 1, rows, wr.n));
    assert_true(proto_answer_get(b, w.n, &a, &error));
    assert_int_equal(a.next, 9);
    assert_true(proto_answer_row(&a, &row) && row.n == 3);
    w.n = 0;
    memset(q.head.cred.b, 7, 32);
    assert_true(proto_query_put(&w, &q));
    assert_true(proto_query_seal(b, w.n, &error));
    assert_true(proto_query_get(b, w.n, &q2, &error));
    assert_int_equal(q2.head.after, 5);
    assert_memory_not_equal(q2.head.cred.b, q.head.cred.b, 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(F6_commands_round_trip),
        cmocka_unit_test(F6_only_canonical_bytes_decode),
        cmocka_unit_test(F6_reader_agrees_with_msgpack_c),
        cmocka_unit_test(F38_sealing_leaves_nothing_presentable),
        cmocka_unit_test(F6_text_must_be_clean_utf8),
        cmocka_unit_test(F44_batches_hold_their_commands),
        cmocka_unit_test(F51_results_and_frames_round_trip),
        cmocka_unit_test(F59_merkle_root_is_rfc6962),
        cmocka_unit_test(F56_key_text_has_a_loggable_part),
        cmocka_unit_test(F6_queries_and_answers_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
