/* SPDX-License-Identifier: Apache-2.0
 * How a handler answers. Called on the server's loop thread only, and never calls back (server.h).
 * None of these fails to the caller: a client that is gone, or memory that runs out, is told
 * through on_client_gone, and until the request is completed all calls stay legal and do nothing.
 *
 * Completed is a request by exactly one of edge_http_reply, edge_http_end, edge_http_abort; after
 * that the pointer must not be used.
 *
 * The layer owns framing. Fields named Connection, Keep-Alive, Proxy-Connection, Content-Length,
 * Transfer-Encoding, Trailer, Upgrade and Date given by the handler are left out, as is any field
 * whose name is no token or whose value holds a control character; so a handler can pass an
 * upstream's fields on without filtering. HEAD, 204 and 304 get no body whatever is given.
 * Bytes are copied; the caller's memory is free on return.
 */
#ifndef HOLDFAST_EDGE_HTTP_RESPONSE_H
#define HOLDFAST_EDGE_HTTP_RESPONSE_H

#include <stddef.h>
#include <stdint.h>

struct edge_http_request;

struct edge_http_header {
    const char *name;
    const char *value; /* NULL: the field is left out */
};

#define EDGE_HTTP_LENGTH_UNKNOWN ((int64_t)-1)

/* The whole answer. A status outside 200..599 is sent as 502. */
void edge_http_reply(struct edge_http_request *req, int status,
                     const struct edge_http_header *headers, size_t headers_count, const void *body,
                     size_t len);

/* Starts a streamed answer. content_length, or EDGE_HTTP_LENGTH_UNKNOWN: chunked for HTTP/1.1,
 * ended by close for HTTP/1.0. `trailer` (may be NULL) names the fields that edge_http_end will
 * send as trailers, comma-separated; it becomes the Trailer field if the client takes trailers. */
void edge_http_begin(struct edge_http_request *req, int status,
                     const struct edge_http_header *headers, size_t headers_count,
                     int64_t content_length, const char *trailer);

/* Adds to the streamed body and returns the bytes now queued for the client (0 if it is gone).
 * At EDGE_HTTP_HIGH_WATER or more the producer should pause until on_writable. A producer that goes
 * on past EDGE_HTTP_QUEUE_MAX, or past the content length given, has its connection cut. */
size_t edge_http_write(struct edge_http_request *req, const void *bytes, size_t len);

/* Completes a streamed answer. Trailers are sent only where edge_http_begin announced them. Fewer
 * bytes than the content length: as edge_http_abort. */
void edge_http_end(struct edge_http_request *req, const struct edge_http_header *trailers,
                   size_t trailers_count);

/* Completes without a proper end, so that the client cannot take what it got for the whole: what is
 * queued is still sent, then the connection ends without last chunk (or with bytes missing); where
 * only the close would end the body (HTTP/1.0), or nothing was begun, the connection is reset. */
void edge_http_abort(struct edge_http_request *req);

#endif
