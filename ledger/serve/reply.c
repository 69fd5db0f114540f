/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/serve/reply.h"

#include "proto/base/log.h"

enum {
    REPLY_HEAD_MAX = 1024, /* of a reply head: two texts of at most 128 and 256 bytes, numbers */
    REPLY_ITEM_MAX = 64,   /* of an item beside its result */
    STATUS_MAX = 8192,
};

static nng_msg *begin(const struct proto_reply_head *head, uint32_t items, size_t room,
                      struct proto_writer *w)
{
    nng_msg *m;
    size_t cap = REPLY_HEAD_MAX + room;
    struct proto_reply_head h = *head;
    h.version = PROTO_FRAME_VERSION;
    if (nng_msg_alloc(&m, cap) != 0)
        return NULL;
    *w = proto_writer_over(nng_msg_body(m), cap);
    proto_reply_begin(w, &h, items);
    return m;
}

static nng_msg *end(nng_msg *m, const struct proto_writer *w)
{
    if (m && w->full) {
        base_log(BASE_LOG_ERROR, "reply does not fit", NULL);
        nng_msg_free(m);
        m = NULL;
    }
    if (m)
        (void)nng_msg_chop(m, w->cap - w->n);
    return m;
}

nng_msg *serve_reply(const struct proto_reply_head *head)
{
    struct proto_writer w = {0};
    nng_msg *m = begin(head, 0, 0, &w);
    return end(m, &w);
}

nng_msg *serve_reply_commands(const struct serve_request *r, const struct proto_reply_head *head)
{
    struct proto_writer w = {0};
    nng_msg *m = begin(head, r->n, r->results_n + (size_t)r->n * REPLY_ITEM_MAX, &w);
    for (unsigned i = 0; m && i < r->n; i++) {
        const struct serve_command *c = &r->commands[i];
        const struct proto_reply_item item = {
            .index = c->index,
            .ordinal = c->ordinal,
            .chain = c->chain,
            .result = {(const char *)r->results + c->result, c->result_n}};
        proto_reply_item_put(&w, &item);
    }
    return end(m, &w);
}

nng_msg *serve_reply_query(const struct proto_reply_head *head, const void *answer, size_t n)
{
    struct proto_writer w = {0};
    nng_msg *m = begin(head, 1, n + REPLY_ITEM_MAX, &w);
    if (m)
        proto_put_bin(&w, answer, n);
    return end(m, &w);
}

nng_msg *serve_reply_status(const struct proto_reply_head *head,
                            const struct proto_node_status *status)
{
    struct proto_writer w = {0};
    nng_msg *m = begin(head, 1, STATUS_MAX, &w);
    if (m)
        proto_node_status_put(&w, status);
    return end(m, &w);
}
