/* SPDX-License-Identifier: Apache-2.0
 * One connection that carries frames over mutual TLS. Made by a listener or a dialer.
 *
 *   connecting -> handshake -> open -> closed
 *
 * Bounds: a frame longer than frame_max ends the connection; so does one that takes longer than
 * NET_FRAME_LIMIT_MS to arrive, or a handshake longer than NET_HANDSHAKE_LIMIT_MS. Bytes that the
 * other side does not read wait up to queue_max; past it net_conn_send refuses. Loop thread.
 */
#ifndef HOLDFAST_PROTO_NET_CONN_H
#define HOLDFAST_PROTO_NET_CONN_H

#include "proto/net/frame.h"
#include "proto/net/loop.h"
#include "proto/net/tls.h"

#include <stdbool.h>

enum { NET_HANDSHAKE_LIMIT_MS = 5000, NET_FRAME_LIMIT_MS = 30000 };

struct net_conn;

/* on_open: its handshake is done. on_frame: takes the frame. on_closed: last call, only after
 * on_open; cause is a text that lives until it returns. */
struct net_conn_calls {
    void *ctx;
    void (*on_open)(void *ctx, struct net_conn *c);
    void (*on_frame)(void *ctx, struct net_conn *c, struct net_frame *f);
    void (*on_closed)(void *ctx, struct net_conn *c, const char *cause);
};

struct net_conn_config {
    const struct net_tls *tls; /* must outlive the connection */
    size_t frame_max, queue_max;
    struct net_conn_calls calls;
};

/* Takes the frame on success. 0, -ENOBUFS (queue_max is reached), -ENOMEM, or -ENOTCONN. Never
 * calls back. */
__attribute__((warn_unused_result)) int net_conn_send(struct net_conn *c, struct net_frame *f);
/* The same for a frame in two pieces that stay the caller's; tag 0. */
__attribute__((warn_unused_result)) int net_conn_send_parts(struct net_conn *c, const void *head,
                                                            size_t head_len, const void *body,
                                                            size_t body_len);
/* Takes no more off the socket until resumed; one frame more may come. */
void net_conn_pause(struct net_conn *c);
/* May call on_frame before it returns. */
void net_conn_resume(struct net_conn *c);
/* on_closed is called from the loop. */
void net_conn_close(struct net_conn *c, const char *cause);
/* "address:port" of the other side. */
const char *net_conn_peer(const struct net_conn *c);
void net_conn_set_user(struct net_conn *c, void *user);
void *net_conn_user(const struct net_conn *c);

#endif
