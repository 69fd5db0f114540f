/* SPDX-License-Identifier: Apache-2.0
 * One connection that is kept: dialled until it stands, and again whenever it is lost.
 *
 *   waiting -> resolving -> dialling -> open
 *      ^-----------'-----------'---------'      after NET_REDIAL_MIN_MS, doubled up to _MAX_MS
 *
 * Loop thread.
 */
#ifndef HOLDFAST_PROTO_NET_DIALER_H
#define HOLDFAST_PROTO_NET_DIALER_H

#include "proto/net/conn.h"

enum { NET_REDIAL_MIN_MS = 20, NET_REDIAL_MAX_MS = 400 };

struct net_dialer;

struct net_dialer_config {
    struct net_conn_config conn; /* calls: of every connection that opens */
    const char *address;         /* "host:port"; copied */
    const char *server_name;     /* in its certificate; checked; copied */
};

/* 0, -EINVAL with a cause (the address, no name), or -ENOMEM. Closed with its loop. */
__attribute__((warn_unused_result)) int net_dialer_new(struct net_dialer **out, struct net_loop *l,
                                                       const struct net_dialer_config *config,
                                                       char error[256]);
/* Gives up the connection or the attempt there is, and dials at once. on_closed is called for an
 * open one, from the loop. */
void net_dialer_redial(struct net_dialer *d);
/* From now on to this server; what leads to the one before is given up. As net_dialer_new; after a
 * failure it is where it was. */
__attribute__((warn_unused_result)) int net_dialer_move(struct net_dialer *d, const char *address,
                                                        const char *server_name, char error[256]);
struct net_conn *net_dialer_conn(struct net_dialer *d); /* NULL: not open */
/* Why there is no connection; "" while none was tried. */
const char *net_dialer_cause(const struct net_dialer *d);

#endif
