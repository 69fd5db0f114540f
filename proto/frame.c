/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/frame.h"

PROTO_DEFINE(request_head)
PROTO_DEFINE(reply_head)
PROTO_DEFINE(reply_item)
PROTO_DEFINE(peer_status)
PROTO_DEFINE(fact)
PROTO_DEFINE(node_status)

static const struct {
    bool retry;
    const char *text;
} statuses[PROTO_REPLY_STATUS_COUNT] = {
#define X(number, name, retry, text) [number] = {retry, text},
    PROTO_REPLY_STATUSES(X)
#undef X
};

const char *proto_reply_text(unsigned status)
{
    return status < PROTO_REPLY_STATUS_COUNT ? statuses[status].text : "?";
}

bool proto_reply_retry(unsigned status)
{
    return status < PROTO_REPLY_STATUS_COUNT && statuses[status].retry;
}

void proto_request_begin(struct proto_writer *w, const struct proto_request_head *h, uint32_t n)
{
    proto_put_array(w, 2);
    proto_request_head_put(w, h);
    proto_put_array(w, n);
}

void proto_reply_begin(struct proto_writer *w, const struct proto_reply_head *h, uint32_t n)
{
    proto_put_array(w, 2);
    proto_reply_head_put(w, h);
    proto_put_array(w, n);
}

bool proto_request_open(struct proto_reader *r, struct proto_request_head *h, uint32_t *n)
{
    return proto_get_array_of(r, 2) && proto_request_head_get(r, h) &&
           proto_get_array(r, n, PROTO_FRAME_COMMANDS);
}

bool proto_reply_open(struct proto_reader *r, struct proto_reply_head *h, uint32_t *n)
{
    return proto_get_array_of(r, 2) && proto_reply_head_get(r, h) &&
           proto_get_array(r, n, PROTO_FRAME_COMMANDS);
}
