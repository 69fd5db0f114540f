/* SPDX-License-Identifier: Apache-2.0
 * The connections of one libuv loop: their shared read buffer, their flush before the loop waits
 * (what one round has sent goes out in as few records and writes as it fits), and a look at overdue
 * ones once a second. Everything in proto/net but threads and TLS files belongs to its loop's
 * thread.
 */
#ifndef HOLDFAST_PROTO_NET_LOOP_H
#define HOLDFAST_PROTO_NET_LOOP_H

#include <uv.h>

struct net_loop;

/* 0 or -ENOMEM. uv must live until the loop has closed. */
__attribute__((warn_unused_result)) int net_loop_new(struct net_loop **out, uv_loop_t *uv);
/* Closes listeners, dialers and connections (of those that were open on_closed is still called).
 * `closed` may be NULL; it is called from the loop when the last handle is gone, with the net_loop
 * freed. */
void net_loop_close(struct net_loop *l, void (*closed)(void *ctx), void *ctx);
uv_loop_t *net_loop_uv(struct net_loop *l);

#endif
