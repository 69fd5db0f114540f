/* SPDX-License-Identifier: Apache-2.0
 * One request, one answer, and the caller waits: for tools and for seeding a node, not for the
 * request path. A loop of its own, run only inside these calls; one thread.
 */
#ifndef HOLDFAST_PROTO_NET_CLIENT_H
#define HOLDFAST_PROTO_NET_CLIENT_H

#include "proto/net/frame.h"
#include "proto/net/tls.h"

struct net_client;

struct net_client_config {
    const char *address;     /* "host:port" */
    const char *server_name; /* in its certificate; checked */
    struct net_tls_files tls;
    size_t frame_max; /* bytes of an answer */
};

/* Does not connect yet. 0, or a negative code with its cause. */
__attribute__((warn_unused_result)) int
net_client_new(struct net_client **out, const struct net_client_config *config, char error[256]);
void net_client_free(struct net_client *c);

/* Takes the request; connects where there is no connection. 0 with *reply (the caller's), or
 * -ETIMEDOUT, -ECONNRESET (lost on the way: it may have arrived), with the cause. */
__attribute__((warn_unused_result)) int net_client_ask(struct net_client *c,
                                                       struct net_frame *request,
                                                       unsigned timeout_ms,
                                                       struct net_frame **reply, char error[256]);

#endif
