/* SPDX-License-Identifier: Apache-2.0
 * Commands, results, queries and answers as bytes from outside (the first byte says which): what is
 * accepted has one spelling, so it encodes to the same bytes; sealing keeps the length and leaves
 * no secret; printing stays in its bound.
 */
#include "tests/fuzz/fill.h"

static uint8_t out[PROTO_COMMAND_MAX];
static char text[64 * 1024];

static void same(const struct proto_writer *w, bool put, const uint8_t *p, size_t n)
{
    FUZZ_HOLDS(put && !w->full && w->n == n && memcmp(out, p, n) == 0);
}

static void command(const uint8_t *p, size_t n)
{
    struct proto_command c;
    const char *why = NULL;
    if (!proto_command_get(p, n, &c, &why)) {
        FUZZ_HOLDS(why);
        return;
    }
    struct proto_writer w = proto_writer_over(out, sizeof out);
    bool put = proto_command_put(&w, &c);
    same(&w, put, p, n);
    struct proto_text t = proto_text_over(text, sizeof text);
    proto_command_print(&t, &c);
    FUZZ_HOLDS(proto_command_seal(out, w.n, &why));
    FUZZ_HOLDS(proto_command_get(out, w.n, &c, &why));
}

static void result(const uint8_t *p, size_t n)
{
    struct proto_result r;
    const char *why = NULL;
    if (!proto_result_get(p, n, &r, &why)) {
        FUZZ_HOLDS(why);
        return;
    }
    struct proto_writer w = proto_writer_over(out, sizeof out);
    bool put = proto_result_put(&w, &r);
    same(&w, put, p, n);
    struct proto_text t = proto_text_over(text, sizeof text);
    proto_result_print(&t, &r);
}

static void query(const uint8_t *p, size_t n)
{
    struct proto_query q;
    const char *why = NULL;
    if (!proto_query_get(p, n, &q, &why)) {
        FUZZ_HOLDS(why);
        return;
    }
    struct proto_writer w = proto_writer_over(out, sizeof out);
    bool put = proto_query_put(&w, &q);
    same(&w, put, p, n);
    FUZZ_HOLDS(proto_query_seal(out, w.n, &why));
    FUZZ_HOLDS(proto_query_get(out, w.n, &q, &why));
}

/* Rows of every kind that the bytes happen to be. */
static void row(struct proto_str bytes)
{
#define X(number, name, row)                                                                       \
    {                                                                                              \
        struct proto_##row v;                                                                      \
        struct proto_reader r = proto_reader_over(bytes.p, bytes.n);                               \
        if (proto_##row##_get(&r, &v) && proto_get_end(&r)) {                                      \
            struct proto_writer w = proto_writer_over(out, sizeof out);                            \
            proto_##row##_put(&w, &v);                                                             \
            same(&w, true, (const uint8_t *)bytes.p, bytes.n);                                     \
        }                                                                                          \
    }
    PROTO_QUERIES(X)
#undef X
}

static void answer(const uint8_t *p, size_t n)
{
    struct proto_answer a;
    struct proto_str bytes;
    const char *why = NULL;
    if (!proto_answer_get(p, n, &a, &why)) {
        FUZZ_HOLDS(why);
        return;
    }
    FUZZ_HOLDS(a.n <= PROTO_ANSWER_ROWS);
    for (uint32_t i = 0; i < a.n && proto_answer_row(&a, &bytes); i++)
        row(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static void (*const decode[])(const uint8_t *p, size_t n) = {command, result, query, answer};
    if (n == 0 || n > PROTO_COMMAND_MAX)
        return 0;
    uint8_t *exact = fuzz_copy(data + 1, n - 1);
    decode[data[0] % 4](exact, n - 1);
    free(exact);
    return 0;
}
