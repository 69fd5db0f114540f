/* SPDX-License-Identifier: Apache-2.0
 * A port that takes connections. Past conns_max a further one is closed at once (and logged).
 * Descriptors run out: it waits and goes on. Loop thread, but for net_address_check.
 */
#ifndef HOLDFAST_PROTO_NET_LISTENER_H
#define HOLDFAST_PROTO_NET_LISTENER_H

#include "proto/net/conn.h"

struct net_listener;

struct net_listener_config {
    struct net_conn_config conn;
    const char *address; /* "host:port", "[::1]:port" */
    unsigned conns_max;
};

/* 0 or a negative code; `error` gets address and cause. Closed with its loop. */
__attribute__((warn_unused_result)) int
net_listener_open(struct net_loop *l, const struct net_listener_config *config, char error[256]);

#endif
