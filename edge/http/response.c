/* SPDX-License-Identifier: Apache-2.0
 * Answers: status line, fields, framing, trailers. Everything is appended to the connection's queue
 * and leaves on the loop's next turn; nothing here touches a socket or calls a handler. If the
 * queue cannot grow, the connection is marked broken and closed on that turn.
 */
#include "edge/http/response.h"

#include "edge/http/connection.h"
#include "proto/base/check.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { LINE_BYTES = 128, REFUSAL_BODY_BYTES = 4096 };

static void add(struct http_connection *c, const void *p, size_t n)
{
    if (!c->broken && base_buf_add(&c->out, p, n) != 0)
        c->broken = true;
}

static void add_text(struct http_connection *c, const char *text)
{
    add(c, text, strlen(text));
}

static const char *status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } TEXTS[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {402, "Payment Required"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {422, "Unprocessable Content"},
        {425, "Too Early"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
        {529, "Overloaded"},
    };
    for (size_t i = 0; i < sizeof TEXTS / sizeof TEXTS[0]; i++) {
        if (TEXTS[i].status == status)
            return TEXTS[i].text;
    }
    return ""; /* legal, and clients go by the number */
}

static bool is_ours(const char *name, size_t len)
{
    static const struct {
        const char *name;
        size_t len;
    } OURS[] = {
#define OURS(name) {name, sizeof name - 1}
        OURS("connection"), OURS("keep-alive"), OURS("proxy-connection"),  OURS("content-length"),
        OURS("trailer"),    OURS("upgrade"),    OURS("transfer-encoding"), OURS("date"),
#undef OURS
    };
    for (size_t i = 0; i < sizeof OURS / sizeof OURS[0]; i++) {
        if (len == OURS[i].len && strncasecmp(name, OURS[i].name, len) == 0)
            return true;
    }
    return false;
}

/* Of a token (RFC 9110, section 5.6.2); 0: it is none. */
static size_t token_length(const char *name)
{
    size_t n = 0;
    for (; name[n]; n++) {
        unsigned char ch = (unsigned char)name[n], lower = ch | 0x20;
        if (!((lower >= 'a' && lower <= 'z') || (ch >= '0' && ch <= '9') ||
              strchr("-!#$%&'*+.^_`|~", ch)))
            return 0;
    }
    return n;
}

/* No control byte but the tab: a value from an upstream must not be able to start another field. */
static bool is_field_value(const char *value, size_t *len)
{
    size_t n = 0;
    for (; value[n]; n++) {
        unsigned char ch = (unsigned char)value[n];
        if ((ch < 0x20 && ch != '\t') || ch == 0x7f)
            return false;
    }
    *len = n;
    return true;
}

static void add_field(struct http_connection *c, const struct edge_http_header *h)
{
    size_t name = h->name && h->value ? token_length(h->name) : 0, value;
    if (name == 0 || is_ours(h->name, name) || !is_field_value(h->value, &value))
        return;
    if (c->broken || base_buf_reserve(&c->out, name + value + 4) != 0) {
        c->broken = true;
        return;
    }
    char *p = c->out.base + c->out.end;
    memcpy(p, h->name, name);
    memcpy(p + name, ": ", 2);
    memcpy(p + name + 2, h->value, value);
    memcpy(p + name + 2 + value, "\r\n", 2);
    c->out.end += name + value + 4;
}

static void add_fields(struct http_connection *c, const struct edge_http_header *headers, size_t n)
{
    for (size_t i = 0; i < n; i++)
        add_field(c, &headers[i]);
}

static bool has_no_body(int status)
{
    return status < 200 || status == 204 || status == 304;
}

static void add_status(struct http_connection *c, int status)
{
    const char code[] = {(char)('0' + status / 100), (char)('0' + status / 10 % 10),
                         (char)('0' + status % 10), ' '};
    add_text(c, "HTTP/1.1 ");
    add(c, code, sizeof code); /* known_status: three digits */
    add_text(c, status_text(status));
    add_text(c, "\r\nDate: ");
    add_text(c, http_server_date(c->server));
    add(c, "\r\n", 2);
}

static void add_framing(struct http_connection *c, int status, int64_t content_length)
{
    char line[LINE_BYTES];
    struct edge_http_request *req = &c->req;
    if (content_length >= 0 && !has_no_body(status)) {
        int n = snprintf(line, sizeof line, "Content-Length: %lld\r\n", (long long)content_length);
        add(c, line, (size_t)n);
    } else if (req->framing == HTTP_FRAME_CHUNKED) {
        add_text(c, "Transfer-Encoding: chunked\r\n");
    }
}

/* Whether the connection goes on after this answer, and telling the client so. */
static void add_connection(struct http_connection *c)
{
    struct edge_http_request *req = &c->req;
    if (!req->keep_alive || c->server->draining || req->framing == HTTP_FRAME_CLOSE)
        c->after = c->after > HTTP_AFTER_LINGER ? c->after : HTTP_AFTER_LINGER;
    if (c->after != HTTP_AFTER_KEEP)
        add_text(c, "Connection: close\r\n");
    else if (req->http10)
        add_text(c, "Connection: keep-alive\r\n");
}

static void add_trailer_names(struct http_connection *c, const char *names)
{
    struct edge_http_request *req = &c->req;
    size_t len;
    if (!names || !req->trailers || req->framing != HTTP_FRAME_CHUNKED ||
        !is_field_value(names, &len))
        return;
    req->trailer_announced = true;
    add_text(c, "Trailer: ");
    add(c, names, len);
    add(c, "\r\n", 2);
}

static void choose_framing(struct http_connection *c, int status, int64_t content_length)
{
    struct edge_http_request *req = &c->req;
    if (req->method == HTTP_HEAD || has_no_body(status)) {
        req->framing = HTTP_FRAME_NONE;
    } else if (content_length >= 0) {
        req->framing = HTTP_FRAME_LENGTH;
        req->remaining = (uint64_t)content_length;
    } else {
        req->framing = req->http10 ? HTTP_FRAME_CLOSE : HTTP_FRAME_CHUNKED;
    }
}

/* A status may be an upstream's: one that HTTP does not know must not reach a client as it is. */
static int known_status(int status)
{
    return status >= 200 && status <= 599 ? status : 502;
}

static void add_head(struct http_connection *c, int status, const struct edge_http_header *headers,
                     size_t n, int64_t content_length, const char *trailer)
{
    status = known_status(status);
    choose_framing(c, status, content_length);
    add_status(c, status);
    add_fields(c, headers, n);
    add_framing(c, status, content_length);
    add_trailer_names(c, trailer);
    add_connection(c);
    add(c, "\r\n", 2);
}

void edge_http_reply(struct edge_http_request *req, int status,
                     const struct edge_http_header *headers, size_t headers_count, const void *body,
                     size_t len)
{
    struct http_connection *c = http_connection_of(req);
    CHECK(req->held);
    if (c->state != CONN_CLOSED) {
        CHECK(c->state == CONN_WORK || c->state == CONN_BODY_IN);
        add_head(c, status, headers, headers_count, (int64_t)len, NULL);
        if (req->framing == HTTP_FRAME_LENGTH)
            add(c, body, len);
    }
    http_connection_complete(c, HTTP_AFTER_KEEP);
}

void edge_http_begin(struct edge_http_request *req, int status,
                     const struct edge_http_header *headers, size_t headers_count,
                     int64_t content_length, const char *trailer)
{
    struct http_connection *c = http_connection_of(req);
    CHECK(req->held);
    if (c->state == CONN_CLOSED)
        return;
    CHECK(c->state == CONN_WORK);
    add_head(c, status, headers, headers_count, content_length, trailer);
    http_connection_set_state(c, CONN_STREAM);
    http_connection_mark(c);
}

size_t edge_http_write(struct edge_http_request *req, const void *bytes, size_t len)
{
    struct http_connection *c = http_connection_of(req);
    CHECK(req->held);
    if (c->state == CONN_CLOSED)
        return 0;
    CHECK(c->state == CONN_STREAM);
    if (len == 0 || req->framing == HTTP_FRAME_NONE)
        return http_transport_queued(c);
    if (req->framing == HTTP_FRAME_LENGTH) {
        if (len > req->remaining) { /* more than was promised: nothing after this is believable */
            c->broken = true;
            len = (size_t)req->remaining;
        }
        req->remaining -= len;
    }
    char line[LINE_BYTES];
    if (req->framing == HTTP_FRAME_CHUNKED)
        add(c, line, (size_t)snprintf(line, sizeof line, "%zx\r\n", len));
    add(c, bytes, len);
    if (req->framing == HTTP_FRAME_CHUNKED)
        add(c, "\r\n", 2);
    http_connection_mark(c);
    size_t queued = http_transport_queued(c);
    if (queued >= EDGE_HTTP_HIGH_WATER)
        req->over_high_water = true;
    return queued;
}

void edge_http_end(struct edge_http_request *req, const struct edge_http_header *trailers,
                   size_t trailers_count)
{
    struct http_connection *c = http_connection_of(req);
    CHECK(req->held);
    if (c->state != CONN_CLOSED) {
        CHECK(c->state == CONN_STREAM);
        if (req->framing == HTTP_FRAME_LENGTH && req->remaining) {
            edge_http_abort(req);
            return;
        }
        if (req->framing == HTTP_FRAME_CHUNKED) {
            add(c, "0\r\n", 3);
            if (req->trailer_announced)
                add_fields(c, trailers, trailers_count);
            add(c, "\r\n", 2);
        }
    }
    http_connection_complete(c, HTTP_AFTER_KEEP);
}

void edge_http_abort(struct edge_http_request *req)
{
    struct http_connection *c = http_connection_of(req);
    CHECK(req->held);
    bool self_ending = c->state == CONN_STREAM &&
                       (req->framing == HTTP_FRAME_CHUNKED || (req->framing == HTTP_FRAME_LENGTH));
    http_connection_complete(c, self_ending ? HTTP_AFTER_CUT : HTTP_AFTER_RESET);
}

void http_response_continue(struct http_connection *c)
{
    add_text(c, "HTTP/1.1 100 Continue\r\n\r\n");
    http_connection_mark(c);
}

void http_response_refuse(struct http_connection *c, int status, const char *reason)
{
    struct edge_http_server *server = c->server;
    char body[REFUSAL_BODY_BYTES];
    const char *type = "text/plain; charset=utf-8";
    size_t len;
    if (server->config.handler.refusal_body)
        len = server->config.handler.refusal_body(server->config.context, status, reason, body,
                                                  sizeof body, &type);
    else
        len = (size_t)snprintf(body, sizeof body, "%s\n", reason);
    if (len > sizeof body)
        len = sizeof body;
    server->stats.refused++;
    const struct edge_http_header headers[] = {
        {"Content-Type", type},
        {"Retry-After", status == 503 ? "1" : NULL},
        {"Allow", status == 405 ? "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS" : NULL},
    };
    c->after = HTTP_AFTER_LINGER;
    add_head(c, status, headers, sizeof headers / sizeof headers[0], (int64_t)len, NULL);
    if (c->req.framing == HTTP_FRAME_LENGTH)
        add(c, body, len);
    http_connection_complete(c, HTTP_AFTER_LINGER);
}
