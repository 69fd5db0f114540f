/* SPDX-License-Identifier: Apache-2.0
 * Event streams on their way through: what comes out is what went in but for hidden events,
 * wherever the bytes are cut; and every recorded chat stream is metered as it should be.
 */
#include "edge/exchange/api.h"
#include "edge/exchange/sse.h"
#include "recordings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct judge {
    unsigned events;
    char last[256];
};

/* Hides what starts with "hide". */
static bool judge(void *arg, const char *data, size_t n)
{
    struct judge *j = arg;
    j->events++;
    snprintf(j->last, sizeof j->last, "%.*s", (int)n, data);
    return n >= 4 && memcmp(data, "hide", 4) == 0;
}

static uint32_t seed;

static size_t pick(size_t max) /* 1 .. max */
{
    seed = seed * 1664525u + 1013904223u;
    return 1 + (size_t)(seed >> 8) % max;
}

/* Feeds `in` in pieces of 1 to max bytes. */
static void run(struct edge_sse *s, const char *in, size_t n, size_t max, struct base_buf *out)
{
    while (n > 0) {
        size_t k = pick(max);
        k = k < n ? k : n;
        char *piece = malloc(k); /* of exactly that size: a read past it shows */
        memcpy(piece, in, k);
        assert_int_equal(edge_sse_feed(s, piece, k, out), 0);
        free(piece);
        in += k;
        n -= k;
    }
    assert_int_equal(edge_sse_finish(s, out), 0);
}

static void check(const char *in, const char *expected, unsigned events, const char *last)
{
    for (size_t max = 1; max < 40; max++) {
        struct judge j = {0};
        struct edge_sse s;
        struct base_buf out;
        base_buf_init(&out, 0);
        edge_sse_init(&s, judge, &j);
        run(&s, in, strlen(in), max, &out);
        assert_int_equal(base_buf_len(&out), strlen(expected));
        if (*expected != '\0')
            assert_memory_equal(base_buf_at(&out), expected, strlen(expected));
        assert_int_equal(j.events, events);
        assert_string_equal(j.last, last);
        edge_sse_close(&s);
        base_buf_close(&out);
    }
}

static void F28_line_ends_and_fields(void **state)
{
    (void)state;
    check("", "", 0, "");
    check("data: a\n\ndata: b\n\n", "data: a\n\ndata: b\n\n", 2, "b");
    check("data: a\r\n\r\ndata: b\r\n\r\n", "data: a\r\n\r\ndata: b\r\n\r\n", 2, "b");
    check("data: a\r\rdata: b\r\r", "data: a\r\rdata: b\r\r", 2, "b");
    check("data:a\ndata: b\ndata\n\n", "data:a\ndata: b\ndata\n\n", 1, "a\nb\n");
    check(": note\n\nevent: x\nid: 1\ndata:  two blanks\n\n",
          ": note\n\nevent: x\nid: 1\ndata:  two blanks\n\n", 1, " two blanks");
    check("\xEF\xBB\xBF"
          "data: bom\n\n",
          "\xEF\xBB\xBF"
          "data: bom\n\n",
          1, "bom");
    check("database: no\n\n\n\n", "database: no\n\n\n\n", 0, "");
    check("data: open", "data: open", 1, "open");
}

static void F28_hidden_events_leave_no_byte(void **state)
{
    (void)state;
    check("data: a\n\ndata: hide\n\ndata: b\n\n", "data: a\n\ndata: b\n\n", 3, "b");
    check("data: a\r\n\r\ndata: hide\r\n\r\ndata: b\r\n\r\n", "data: a\r\n\r\ndata: b\r\n\r\n", 3,
          "b");
    check("data: hide\r\rdata: b\r\r", "data: b\r\r", 2, "b");
    check("event: x\ndata: hide\ndata: more\n\n", "", 1, "hide\nmore");
    check("data: hide", "", 1, "hide");
}

static void F28_an_endless_event_passes_unjudged(void **state)
{
    (void)state;
    size_t n = EDGE_SSE_EVENT_MAX + 100000;
    char *in = malloc(n + 32);
    memset(in, 'x', n);
    memcpy(in, "data: hide ", 11);
    memcpy(in + n, "\n\ndata: b\n\n", 12);
    struct judge j = {0};
    struct edge_sse s;
    struct base_buf out;
    base_buf_init(&out, 0);
    edge_sse_init(&s, judge, &j);
    run(&s, in, n + 11, 65536, &out);
    assert_int_equal(base_buf_len(&out), n + 11);
    assert_memory_equal(base_buf_at(&out), in, n + 11);
    assert_int_equal(j.events, 1);
    assert_string_equal(j.last, "b");
    edge_sse_close(&s);
    base_buf_close(&out);
    free(in);
}

/* ---- recordings ---- */

struct stream {
    struct edge_call call;
    struct edge_meter meter;
    struct base_buf hidden; /* data of hidden events */
};

static bool judge_stream(void *arg, const char *data, size_t n)
{
    struct stream *st = arg;
    bool hidden = edge_api_chat.event(&st->call, &st->meter, data, n);
    if (hidden)
        assert_int_equal(base_buf_add(&st->hidden, data, n), 0);
    return hidden;
}

static void check_usage(const struct edge_usage *u, const struct recording *r)
{
    if (!recording_has_usage(r))
        return; /* none where OpenAI has it (Groq's own place for it is another test's) */
    assert_true(u->seen);
    assert_int_equal(u->prompt, recording_usage(r, "input"));
    assert_int_equal(u->completion, recording_usage(r, "output"));
    assert_int_equal(u->total, recording_usage(r, "total"));
    assert_int_equal(u->cached, recording_usage(r, "cache_read"));
    assert_int_equal(u->reasoning, recording_usage(r, "reasoning"));
}

/* Without its hidden event the input is what came out. */
static void check_bytes(const char *in, size_t n, struct stream *st, struct base_buf *out)
{
    size_t hidden = base_buf_len(&st->hidden);
    if (hidden == 0) {
        assert_int_equal(base_buf_len(out), n);
        assert_memory_equal(base_buf_at(out), in, n);
        return;
    }
    const char *at = memmem(in, n, base_buf_at(&st->hidden), hidden);
    assert_non_null(at);
    size_t before = (size_t)(at - in) - strlen("data: ");
    size_t event = strlen("data: ") + hidden + 2;
    assert_int_equal(base_buf_len(out), n - event);
    assert_memory_equal(base_buf_at(out), in, before);
    assert_memory_equal(base_buf_at(out) + before, in + before + event, n - before - event);
}

static void play(const struct recording *r, bool wants_usage, size_t max)
{
    struct stream st = {.call.wants_usage = wants_usage};
    struct edge_sse s;
    struct base_buf out;
    int64_t text = 0;
    base_buf_init(&out, 0);
    base_buf_init(&st.hidden, 0);
    edge_sse_init(&s, judge_stream, &st);
    run(&s, r->bytes, r->n, max, &out);
    check_usage(&st.meter.usage, r);
    assert_true(st.meter.done);
    if (wants_usage)
        assert_int_equal(base_buf_len(&st.hidden), 0);
    check_bytes(r->bytes, r->n, &st, &out);
    edge_json_count(yyjson_obj_get(r->row, "text_bytes"), &text);
    assert_true(st.meter.text_bytes >= text);
    edge_sse_close(&s);
    base_buf_close(&out);
    base_buf_close(&st.hidden);
}

static void play_often(const struct recording *r)
{
    for (unsigned round = 0; round < 12; round++)
        play(r, round % 2 == 1, round < 6 ? 1 + round * 5 : 4096);
}

static void F28_every_recorded_chat_stream(void **state)
{
    (void)state;
    unsigned played = recordings_visit("openai.chat", play_often);
    if (played == 0)
        skip();
    assert_true(played >= 38);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(F28_line_ends_and_fields),
        cmocka_unit_test(F28_hidden_events_leave_no_byte),
        cmocka_unit_test(F28_an_endless_event_passes_unjudged),
        cmocka_unit_test(F28_every_recorded_chat_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
