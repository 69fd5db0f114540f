/* SPDX-License-Identifier: Apache-2.0
 * Every recorded chat stream through a whole edge: the mock sends it in small pieces; the client
 * gets it byte for byte, but for a usage chunk that it did not ask for and one closing comment; and
 * the ledger gets its usage.
 */
#include "edge/exchange/api.h"
#include "edge/exchange/sse.h"
#include "edge_rig.h"
#include "recordings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct rig rig;

static int open_rig(void **state)
{
    (void)state;
    rig_open(&rig, NULL);
    return 0;
}

static int close_rig(void **state)
{
    (void)state;
    rig_close(&rig);
    return 0;
}

/* A chunk that says nothing but usage. */
static bool is_usage_chunk(void *arg, const char *data, size_t n)
{
    const char *why;
    size_t at;
    bool wanted = *(const bool *)arg;
    yyjson_doc *doc = edge_json_read(data, n, &why, &at);
    yyjson_val *root = doc != NULL ? yyjson_doc_get_root(doc) : NULL;
    yyjson_val *choices = yyjson_obj_get(root, "choices");
    bool only = yyjson_is_arr(choices) && yyjson_arr_size(choices) == 0 &&
                yyjson_is_obj(yyjson_obj_get(root, "usage"));
    yyjson_doc_free(doc);
    return only && !wanted;
}

static void check_body(const struct recording *r, const struct reply *reply, bool wanted)
{
    struct edge_sse s;
    struct base_buf expected;
    static const char comment[] = ": holdfast cost=";
    base_buf_init(&expected, 0);
    edge_sse_init(&s, is_usage_chunk, &wanted);
    assert_int_equal(edge_sse_feed(&s, r->bytes, r->n, &expected), 0);
    assert_int_equal(edge_sse_finish(&s, &expected), 0);
    size_t n = base_buf_len(&expected);
    assert_true(reply->body_len > n);
    assert_memory_equal(reply->body, base_buf_at(&expected), n);
    assert_memory_equal(reply->body + n, comment, sizeof comment - 1);
    const char *end = strstr(reply->body + n, "\n\n");
    assert_non_null(end);
    assert_int_equal(end + 2 - reply->body, reply->body_len);
    edge_sse_close(&s);
    base_buf_close(&expected);
}

static int64_t units_of(const struct proto_settle *s, unsigned unit)
{
    for (uint32_t i = 0; i < s->units.n; i++)
        if (s->units.e[i].unit == unit)
            return s->units.e[i].n;
    return 0;
}

static void check_settlement(const struct recording *r)
{
    struct proto_settle s = test_ledger_last_settle();
    if (!recording_has_usage(r))
        return;
    int64_t cached = recording_usage(r, "cache_read");
    int64_t reasoning = recording_usage(r, "reasoning");
    int64_t output = recording_usage(r, "output");
    bool apart = reasoning > output;
    assert_int_equal(s.source, PROTO_COST_USAGE);
    assert_int_equal(units_of(&s, PROTO_UNIT_input), recording_usage(r, "input") - cached);
    assert_int_equal(units_of(&s, PROTO_UNIT_cache_read), cached);
    assert_int_equal(units_of(&s, PROTO_UNIT_reasoning), reasoning);
    assert_int_equal(units_of(&s, PROTO_UNIT_output), apart ? output : output - reasoning);
}

static void relay(const struct recording *r)
{
    for (unsigned wanted = 0; wanted < 2; wanted++) {
        char body[512];
        snprintf(body, sizeof body,
                 "{\"model\":\"tiny\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],"
                 "\"stream\":true,%s\"metadata\":{\"mock_script\":\"%s\",\"mock_piece\":\"97\"}}",
                 wanted ? "\"stream_options\":{\"include_usage\":true}," : "", r->file);
        struct reply reply = rig_chat(&rig, body);
        assert_int_equal(reply.status, 200);
        assert_false(reply.broken);
        check_body(r, &reply, wanted == 1);
        check_settlement(r);
        reply_free(&reply);
    }
}

static void F28_recorded_streams_through_an_edge(void **state)
{
    (void)state;
    if (recordings_visit("openai.chat", relay) == 0)
        skip();
    assert_int_equal(test_ledger_org().held, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(F28_recorded_streams_through_an_edge, open_rig, close_rig),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
