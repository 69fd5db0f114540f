/* SPDX-License-Identifier: Apache-2.0
 * Replies as frames, ready to be sent. Any thread. Each returns NULL where there is no memory or
 * the reply does not fit (which is logged). head.version is filled in.
 */
#ifndef HOLDFAST_LEDGER_SERVE_REPLY_H
#define HOLDFAST_LEDGER_SERVE_REPLY_H

#include "ledger/serve/request.h"

struct net_frame *serve_reply(const struct proto_reply_head *head); /* no items */
/* One item a command, in their order. */
struct net_frame *serve_reply_commands(const struct serve_request *r,
                                       const struct proto_reply_head *head);
struct net_frame *serve_reply_query(const struct proto_reply_head *head, const void *answer,
                                    size_t n);
struct net_frame *serve_reply_status(const struct proto_reply_head *head,
                                     const struct proto_node_status *status);

#endif
