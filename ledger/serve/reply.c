/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/serve/reply.h"

#include "proto/base/log.h"

enum {
    REPLY_HEAD_MAX = 1024, /* of a reply head: two texts of at most 128 and 256 bytes, numbers */
    REPLY_ITEM_MAX = 64,   /* of an item beside its result */
    STATUS_MAX = 8192,
};

static struct net_frame *begin(const struct proto_reply_head *head, uint32_t items, size_t room,
                               struct proto_writer *w)
{
    size_t cap = REPLY_HEAD_MAX + room;
    struct proto_reply_head h = *head;
    struct net_frame *f = net_frame_new(cap);
    h.version = PROTO_FRAME_VERSION;
    if (!f)
        return NULL;
    *w = proto_writer_over(f->bytes, cap);
    proto_reply_begin(w, &h, items);
    return f;
}

static struct net_frame *end(struct net_frame *f, const struct proto_writer *w)
{
    if (f && w->full) {
        base_log(BASE_LOG_ERROR, "reply does not fit", NULL);
        net_frame_free(f);
        return NULL;
    }
    if (f)
        f->len = (uint32_t)w->n;
    return f;
}

struct net_frame *serve_reply(const struct proto_reply_head *head)
{
    struct proto_writer w = {0};
    struct net_frame *f = begin(head, 0, 0, &w);
    return end(f, &w);
}

struct net_frame *serve_reply_commands(const struct serve_request *r,
                                       const struct proto_reply_head *head)
{
    struct proto_writer w = {0};
    struct net_frame *f = begin(head, r->n, r->results_n + (size_t)r->n * REPLY_ITEM_MAX, &w);
    for (unsigned i = 0; f && i < r->n; i++) {
        const struct serve_command *c = &r->commands[i];
        const struct proto_reply_item item = {
            .index = c->index,
            .ordinal = c->ordinal,
            .chain = c->chain,
            .result = {(const char *)r->results + c->result, c->result_n}};
        proto_reply_item_put(&w, &item);
    }
    return end(f, &w);
}

struct net_frame *serve_reply_query(const struct proto_reply_head *head, const void *answer,
                                    size_t n)
{
    struct proto_writer w = {0};
    struct net_frame *f = begin(head, 1, n + REPLY_ITEM_MAX, &w);
    if (f)
        proto_put_bin(&w, answer, n);
    return end(f, &w);
}

struct net_frame *serve_reply_status(const struct proto_reply_head *head,
                                     const struct proto_node_status *status)
{
    struct proto_writer w = {0};
    struct net_frame *f = begin(head, 1, STATUS_MAX, &w);
    if (f)
        proto_node_status_put(&w, status);
    return end(f, &w);
}
