/* SPDX-License-Identifier: Apache-2.0
 * Private to edge/http: the TLS engine of one connection. It moves bytes between buffers and does
 * no I/O; transport.c pumps it. About 37 KiB each.
 */
#ifndef HOLDFAST_EDGE_HTTP_TLS_SESSION_H
#define HOLDFAST_EDGE_HTTP_TLS_SESSION_H

#include <bearssl.h>
#include <stddef.h>

struct edge_http_tls;

struct http_tls_session {
    br_ssl_server_context server;
    size_t sending; /* bytes of the engine's record that a uv_write is sending */
    unsigned char in[BR_SSL_BUFSIZE_INPUT];
    unsigned char out[BR_SSL_BUFSIZE_OUTPUT];
};

/* NULL: no memory, or no randomness. */
struct http_tls_session *http_tls_session_new(struct edge_http_tls *tls);
void http_tls_session_free(struct http_tls_session *session);

#endif
