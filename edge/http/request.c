/* SPDX-License-Identifier: Apache-2.0
 * A request's accessors and its memory. Loop thread.
 */
#include "edge/http/request.h"

#include "edge/http/connection.h"

#include <string.h>
#include <strings.h>

enum edge_http_method edge_http_request_method(const struct edge_http_request *req)
{
    switch (req->method) {
    case HTTP_GET:
        return EDGE_HTTP_GET;
    case HTTP_HEAD:
        return EDGE_HTTP_HEAD;
    case HTTP_POST:
        return EDGE_HTTP_POST;
    case HTTP_PUT:
        return EDGE_HTTP_PUT;
    case HTTP_PATCH:
        return EDGE_HTTP_PATCH;
    case HTTP_DELETE:
        return EDGE_HTTP_DELETE;
    case HTTP_OPTIONS:
        return EDGE_HTTP_OPTIONS;
    default:
        return EDGE_HTTP_OTHER;
    }
}

const char *edge_http_request_method_name(const struct edge_http_request *req)
{
    return llhttp_method_name((llhttp_method_t)req->method);
}

static const char *head_at(const struct edge_http_request *req, uint32_t offset)
{
    return req->head.base + req->head.off + offset;
}

const char *edge_http_request_path(const struct edge_http_request *req)
{
    const char *path = head_at(req, req->path);
    return *path ? path : "/"; /* absolute form without one */
}

const char *edge_http_request_query(const struct edge_http_request *req)
{
    return head_at(req, req->query);
}

const char *edge_http_request_host(const struct edge_http_request *req)
{
    return req->host ? head_at(req, req->host) : "";
}

const char *edge_http_request_header(const struct edge_http_request *req, const char *name)
{
    for (size_t i = 0; i < req->fields_count; i++) {
        if (strcasecmp(head_at(req, req->fields[i].name), name) == 0)
            return head_at(req, req->fields[i].value);
    }
    return NULL;
}

size_t edge_http_request_header_count(const struct edge_http_request *req)
{
    return req->fields_count;
}

void edge_http_request_header_at(const struct edge_http_request *req, size_t i, const char **name,
                                 const char **value)
{
    *name = head_at(req, req->fields[i].name);
    *value = head_at(req, req->fields[i].value);
}

char *edge_http_request_body(struct edge_http_request *req, size_t *len)
{
    static char none;
    *len = base_buf_len(&req->body);
    return *len ? base_buf_at(&req->body) : &none;
}

void edge_http_request_limit_body(struct edge_http_request *req, size_t bytes)
{
    if (bytes < req->body_limit)
        req->body_limit = bytes;
}

const char *edge_http_request_peer(const struct edge_http_request *req)
{
    return http_connection_of(req)->peer;
}

bool edge_http_request_is_tls(const struct edge_http_request *req)
{
    return http_connection_of(req)->tls != NULL;
}

bool edge_http_request_is_gone(const struct edge_http_request *req)
{
    return req->gone;
}

bool edge_http_request_takes_trailers(const struct edge_http_request *req)
{
    return req->trailers;
}

void edge_http_request_set_user(struct edge_http_request *req, void *user)
{
    req->user = user;
}

void *edge_http_request_user(const struct edge_http_request *req)
{
    return req->user;
}

const char *http_request_next_token(const char **list, size_t *len)
{
    const char *p = *list + strspn(*list, ", \t");
    if (!*p)
        return NULL;
    *len = strcspn(p, ",; \t");
    *list = p + strcspn(p, ",");
    return p;
}

void http_request_count_body(struct http_connection *c)
{
    struct edge_http_stats *stats = &c->server->stats;
    stats->body_bytes += c->req.body.cap - c->req.body_counted;
    c->req.body_counted = c->req.body.cap;
}

static void reuse(struct base_buf *buf)
{
    base_buf_clear(buf);
    if (buf->cap > KEEP_BUFFER_BYTES)
        base_buf_close(buf);
}

void http_request_clear(struct http_connection *c)
{
    struct edge_http_request *req = &c->req;
    reuse(&req->head);
    reuse(&req->body);
    http_request_count_body(c);
    struct base_buf head = req->head, body = req->body;
    size_t counted = req->body_counted;
    /* Everything but the table of fields, whose count says it is empty. */
    memset(&req->fields_count, 0, sizeof *req - offsetof(struct edge_http_request, fields_count));
    req->head = head;
    req->body = body;
    req->body_counted = counted;
}

void http_request_close(struct http_connection *c)
{
    base_buf_close(&c->req.head);
    base_buf_close(&c->req.body);
    http_request_count_body(c);
}
