/* SPDX-License-Identifier: Apache-2.0
 * Private to proto/net: what a loop knows of its connections, and what these share.
 *
 * Every uv handle is counted (net_loop_hold, net_loop_drop); the loop goes when it is closing and
 * none is left.
 */
#ifndef HOLDFAST_PROTO_NET_LOOP_STATE_H
#define HOLDFAST_PROTO_NET_LOOP_STATE_H

#include "proto/base/buf.h"
#include "proto/net/conn.h"
#include "proto/net/dialer.h"
#include "proto/net/listener.h"
#include "proto/net/session.h"

#include <sys/queue.h>

enum { NET_READ_BYTES = 128 * 1024, NET_SWEEP_MS = 500, NET_PEER_TEXT = 64, NET_HOST_MAX = 256 };

enum net_conn_state { NET_CONN_HANDSHAKE, NET_CONN_OPEN, NET_CONN_CLOSED };

struct net_conn {
    LIST_ENTRY(net_conn) entry;      /* of the loop */
    STAILQ_ENTRY(net_conn) to_flush; /* while dirty */
    struct net_loop *loop;
    struct net_conn_config config;
    struct net_session *session;
    uv_tcp_t tcp;
    uv_write_t write;
    uv_connect_t connect; /* of a dialer */
    enum net_conn_state state;
    bool reading, writing, paused, dirty;
    bool inside;            /* pump is on the stack */
    bool was_open;          /* when it ended: on_closed is owed */
    uint64_t since_ms;      /* of the handshake, or of a frame that is not whole yet; 0: neither */
    struct base_buf unread; /* cipher text that the engine takes later: it is paused */
    struct base_buf out, inflight; /* cipher text: waiting, and with uv_write */
    struct net_frame *frame;       /* arriving */
    uint32_t frame_got, frame_room;
    uint8_t head[NET_FRAME_HEAD];
    unsigned head_got;
    const char *cause;
    char peer[NET_PEER_TEXT];
    void *user;
    /* Of its maker: it is closed, whether it was ever open or not. Before on_closed. */
    void (*on_end)(void *maker, struct net_conn *c, const char *cause);
    void *maker;
};

LIST_HEAD(net_conns, net_conn);
STAILQ_HEAD(net_dirty, net_conn);
LIST_HEAD(net_listeners, net_listener);
SLIST_HEAD(net_dialers, net_dialer);

struct net_loop {
    uv_loop_t *uv;
    uv_prepare_t flush;
    uv_timer_t sweep;
    struct net_conns conns;
    struct net_dirty dirty;
    struct net_listeners listeners;
    struct net_dialers dialers;
    unsigned handles; /* open, or not yet closed */
    bool closing;
    void (*closed)(void *ctx);
    void *closed_ctx;
    char read[NET_READ_BYTES];
};

struct net_listener {
    LIST_ENTRY(net_listener) entry;
    struct net_loop *loop;
    struct net_listener_config config;
    uv_tcp_t tcp;
    unsigned conns;
    bool starved; /* a connection is offered that there was no memory for */
};

struct net_dialer {
    SLIST_ENTRY(net_dialer) entry;
    struct net_loop *loop;
    struct net_conn_config conn_config;
    char host[NET_HOST_MAX];
    uint16_t port;
    char *server_name;
    uv_timer_t timer; /* until the next attempt */
    uv_getaddrinfo_t resolve;
    bool resolving, closing;
    bool moved;              /* while it was resolving: the answer is of another name */
    struct net_conn *conn;   /* dialling or open */
    unsigned delay_ms, turn; /* turn: of the addresses that the name has */
    char cause[128];
};

void net_loop_hold(struct net_loop *l);
void net_loop_drop(struct net_loop *l); /* may free the loop */

/* conn.c; tcp is initialized with the loop by net_conn_new. server_name NULL: accepted. */
struct net_conn *net_conn_new(struct net_loop *l, const struct net_conn_config *config,
                              const char *server_name);
/* tcp is connected: the handshake begins. */
void net_conn_start(struct net_conn *c);
void net_conn_flush(struct net_conn *c);
void net_conn_sweep(struct net_conn *c, uint64_t now_ms);
void net_listener_sweep(struct net_listener *n);
void net_listener_close(struct net_listener *n);
void net_dialer_close(struct net_dialer *d); /* it lives as long as the loop */
void net_dialer_free(struct net_dialer *d);

#endif
