/* SPDX-License-Identifier: Apache-2.0
 * What a handler can read of a request. Valid from on_head or on_request until the request is
 * completed (response.h); every pointer returned here lives as long as the request. Strings end
 * with NUL and hold none inside: such bytes are refused before a handler sees them.
 */
#ifndef HOLDFAST_EDGE_HTTP_REQUEST_H
#define HOLDFAST_EDGE_HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

struct edge_http_request;

enum edge_http_method {
    EDGE_HTTP_GET,
    EDGE_HTTP_HEAD,
    EDGE_HTTP_POST,
    EDGE_HTTP_PUT,
    EDGE_HTTP_PATCH,
    EDGE_HTTP_DELETE,
    EDGE_HTTP_OPTIONS,
    EDGE_HTTP_OTHER, /* any other method that the parser knows; see the name */
};

enum edge_http_method edge_http_request_method(const struct edge_http_request *req);
const char *edge_http_request_method_name(const struct edge_http_request *req);

/* Path as sent, percent-encoding untouched: starts with '/', or is "*" (OPTIONS only). For a
 * request in absolute form, the path inside the URL. */
const char *edge_http_request_path(const struct edge_http_request *req);
/* What follows the first '?', or "" */
const char *edge_http_request_query(const struct edge_http_request *req);
/* The host that the request is for: the URL's in absolute form, else the Host field; "" for an
 * HTTP/1.0 request without one. With the port, as sent. */
const char *edge_http_request_host(const struct edge_http_request *req);

/* Value of the first field of that name (any case), without surrounding blanks; NULL: none. */
const char *edge_http_request_header(const struct edge_http_request *req, const char *name);
/* Number of fields, and the i-th as sent (i < count). */
size_t edge_http_request_header_count(const struct edge_http_request *req);
void edge_http_request_header_at(const struct edge_http_request *req, size_t i, const char **name,
                                 const char **value);

/* The whole body, without transfer coding; len 0 before on_request. Not NUL-terminated. The bytes
 * may be changed by the handler (in-place parsing): the layer does not read them again. */
char *edge_http_request_body(struct edge_http_request *req, size_t *len);
/* For on_head: a smaller (never a larger) limit for this request's body. */
void edge_http_request_limit_body(struct edge_http_request *req, size_t bytes);

/* The peer's IP address as text, without port ("127.0.0.1", "::1"). */
const char *edge_http_request_peer(const struct edge_http_request *req);
bool edge_http_request_is_tls(const struct edge_http_request *req);
/* True after on_client_gone. */
bool edge_http_request_is_gone(const struct edge_http_request *req);
/* Whether trailers would reach the client (HTTP/1.1 and `TE: trailers`). */
bool edge_http_request_takes_trailers(const struct edge_http_request *req);

/* A pointer of the handler's; NULL at the start of each request. */
void edge_http_request_set_user(struct edge_http_request *req, void *user);
void *edge_http_request_user(const struct edge_http_request *req);

#endif
