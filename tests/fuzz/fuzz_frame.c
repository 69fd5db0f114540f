/* SPDX-License-Identifier: Apache-2.0
 * What an edge or a tool reads from a node: reply heads, their items, a node's status; and request
 * heads and batches, as bytes. What is accepted has one spelling. The first byte says which.
 */
#include "proto/batch.h"
#include "proto/frame.h"
#include "tests/fuzz/fuzz.h"

static uint8_t out[PROTO_FRAME_MAX];

static void items(struct proto_reader *r, uint32_t n, const uint8_t *from)
{
    for (uint32_t i = 0; i < n; i++) {
        struct proto_reply_item item;
        const uint8_t *at = r->p;
        if (!proto_reply_item_get(r, &item))
            return;
        struct proto_writer w = proto_writer_over(out, sizeof out);
        proto_reply_item_put(&w, &item);
        FUZZ_HOLDS(!w.full && w.n == (size_t)(r->p - at) && memcmp(out, at, w.n) == 0);
    }
    (void)from;
}

static void reply(const uint8_t *p, size_t n, bool status)
{
    struct proto_reader r = proto_reader_over(p, n);
    struct proto_reply_head head;
    uint32_t count;
    if (!proto_reply_open(&r, &head, &count)) {
        FUZZ_HOLDS(r.error);
        return;
    }
    struct proto_writer w = proto_writer_over(out, sizeof out);
    proto_reply_begin(&w, &head, count);
    FUZZ_HOLDS(!w.full && w.n == (size_t)(r.p - p) && memcmp(out, p, w.n) == 0);
    if (!status) {
        items(&r, count, p);
        return;
    }
    struct proto_node_status s;
    const uint8_t *at = r.p;
    if (!proto_node_status_get(&r, &s))
        return;
    w = proto_writer_over(out, sizeof out);
    proto_node_status_put(&w, &s);
    FUZZ_HOLDS(!w.full && w.n == (size_t)(r.p - at) && memcmp(out, at, w.n) == 0);
}

static void batch(const uint8_t *p, size_t n)
{
    struct proto_batch b, again;
    struct proto_str command;
    if (!proto_batch_open(&b, p, n)) {
        FUZZ_HOLDS(b.r.error);
        return;
    }
    again = b;
    struct proto_writer w = proto_writer_over(out, sizeof out);
    proto_batch_begin(&w, &b.header, b.n);
    for (uint32_t i = 0; i < b.n; i++) {
        if (!proto_batch_next(&again, &command))
            return;
        proto_batch_add(&w, command.p, command.n);
    }
    if (b.n > 0)
        FUZZ_HOLDS(!w.full && w.n == n && memcmp(out, p, n) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0 || n > sizeof out / 2)
        return 0;
    uint8_t *exact = fuzz_copy(data + 1, n - 1);
    if (data[0] % 3 == 2)
        batch(exact, n - 1);
    else
        reply(exact, n - 1, data[0] % 3 == 1);
    free(exact);
    return 0;
}
