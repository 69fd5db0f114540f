/* SPDX-License-Identifier: Apache-2.0
 * Private to proto/net: the TLS engine of one connection, either side. It moves bytes between
 * buffers and does no I/O; conn.c pumps it. About 40 KiB each.
 */
#ifndef HOLDFAST_PROTO_NET_SESSION_H
#define HOLDFAST_PROTO_NET_SESSION_H

#include "proto/net/tls.h"

#include <bearssl.h>

struct net_session {
    union {
        br_ssl_client_context client;
        br_ssl_server_context server;
    } side;
    br_ssl_engine_context *engine; /* of the side */
    br_x509_minimal_context x509;
    unsigned char in[BR_SSL_BUFSIZE_INPUT];
    unsigned char out[BR_SSL_BUFSIZE_OUTPUT];
};

/* server_name NULL: we are the server. NULL: no memory, or no randomness. */
struct net_session *net_session_new(const struct net_tls *tls, const char *server_name);
void net_session_free(struct net_session *s); /* wiped */

/* Why the engine closed: static text. */
const char *net_session_cause(const struct net_session *s);

#endif
