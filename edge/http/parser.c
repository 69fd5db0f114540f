/* SPDX-License-Identifier: Apache-2.0
 * llhttp in strict mode to one request structure: stores the head as NUL-terminated strings, keeps
 * the body, counts everything that has a bound. What llhttp accepts but we do not is in rules.c.
 * Loop thread. The only handler that can be called from in here is on_head.
 *
 * llhttp is started anew for every request, so nothing of one request can reach the next.
 */
#include "edge/http/connection.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

static struct http_connection *connection_of(llhttp_t *ll)
{
    return ll->data;
}

static int refuse(struct http_connection *c, int status, const char *reason)
{
    c->parser.refusal = status;
    c->parser.reason = reason;
    return -1;
}

static int no_memory(struct http_connection *c)
{
    c->parser.no_memory = true;
    return -1;
}

static int head_add(struct http_connection *c, const char *p, size_t n)
{
    return base_buf_add(&c->req.head, p, n) == 0 ? 0 : no_memory(c);
}

/* Trailers of a request are read and thrown away, within a bound. */
static int overhead(struct http_connection *c, size_t n)
{
    c->parser.overhead_bytes += n;
    if (c->parser.overhead_bytes > BODY_OVERHEAD_BYTES)
        return refuse(c, 400, "too many chunk extensions or trailers");
    return 0;
}

static bool in_head(const struct http_connection *c)
{
    return c->state == CONN_HEAD_IN;
}

static int on_url(llhttp_t *ll, const char *p, size_t n)
{
    struct http_connection *c = connection_of(ll);
    if (base_buf_len(&c->req.head) + n > c->server->config.limits.url_bytes)
        return refuse(c, 414, "URL too long");
    return head_add(c, p, n);
}

static int on_url_complete(llhttp_t *ll)
{
    struct http_connection *c = connection_of(ll);
    c->parser.url_complete = true;
    return head_add(c, "", 1);
}

/* llhttp takes RTSP/1.0 and ICE/1.0 for some methods and does not say which it saw: look at the
 * bytes before the version's digits. */
static int on_version(llhttp_t *ll, const char *p, size_t n)
{
    static const char HTTP[] = "HTTP/";
    struct http_connection *c = connection_of(ll);
    struct http_parser *parser = &c->parser;
    (void)n;
    if (parser->version_seen)
        return 0;
    parser->version_seen = true;
    size_t here = (size_t)(p - parser->feed);
    here = here < PROTOCOL_BYTES ? here : PROTOCOL_BYTES;
    size_t before = PROTOCOL_BYTES - here;
    if (memcmp(parser->tail + here, HTTP, before) != 0 ||
        memcmp(p - here, HTTP + before, here) != 0)
        return refuse(c, 505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
    return 0;
}

/* Keeps the last bytes of a fed piece for on_version. */
static void keep_tail(struct http_parser *parser, const char *p, size_t n)
{
    size_t added = n < PROTOCOL_BYTES ? n : PROTOCOL_BYTES;
    memmove(parser->tail, parser->tail + added, PROTOCOL_BYTES - added);
    memcpy(parser->tail + PROTOCOL_BYTES - added, p + n - added, added);
}

static int on_field(llhttp_t *ll, const char *p, size_t n)
{
    struct http_connection *c = connection_of(ll);
    struct edge_http_request *req = &c->req;
    if (!in_head(c))
        return overhead(c, n);
    if (!c->parser.in_field) {
        if (req->fields_count == EDGE_HTTP_HEADERS_MAX)
            return refuse(c, 431, "too many header fields");
        req->fields[req->fields_count].name = (uint32_t)base_buf_len(&req->head);
        c->parser.in_field = true;
    }
    return head_add(c, p, n);
}

static int on_field_complete(llhttp_t *ll)
{
    struct http_connection *c = connection_of(ll);
    struct edge_http_request *req = &c->req;
    if (!in_head(c))
        return overhead(c, 2);
    if (head_add(c, "", 1) != 0)
        return -1;
    req->fields[req->fields_count].value = (uint32_t)base_buf_len(&req->head);
    const char *name = base_buf_at(&req->head) + req->fields[req->fields_count].name;
    if (strcasecmp(name, "transfer-encoding") == 0)
        c->parser.transfer_encodings++;
    return 0;
}

static int on_value(llhttp_t *ll, const char *p, size_t n)
{
    struct http_connection *c = connection_of(ll);
    return in_head(c) ? head_add(c, p, n) : overhead(c, n);
}

static int on_value_complete(llhttp_t *ll)
{
    struct http_connection *c = connection_of(ll);
    struct edge_http_request *req = &c->req;
    if (!in_head(c))
        return overhead(c, 2);
    size_t start = req->fields[req->fields_count].value;
    const char *value = base_buf_at(&req->head);
    while (req->head.end > start &&
           (value[req->head.end - 1] == ' ' || value[req->head.end - 1] == '\t'))
        req->head.end--;
    req->fields_count++;
    c->parser.in_field = false;
    return head_add(c, "", 1);
}

/* Expect: 100-continue is the only expectation there is (RFC 9110 10.1.1). */
static int check_expect(struct http_connection *c)
{
    const char *expect = edge_http_request_header(&c->req, "expect");
    if (!expect || c->req.http10)
        return 0;
    if (strcasecmp(expect, "100-continue") != 0)
        return refuse(c, 417, "unknown expectation");
    c->parser.wants_continue = true;
    return 0;
}

static int call_on_head(struct http_connection *c)
{
    struct edge_http_server *server = c->server;
    if (!server->config.handler.on_head)
        return 0;
    c->req.held = true;
    c->after = HTTP_AFTER_LINGER; /* an answer in here leaves the body unread */
    server->config.handler.on_head(server->config.context, &c->req);
    if (c->state != CONN_BODY_IN)
        return -1;
    c->req.held = false;
    c->after = HTTP_AFTER_KEEP;
    return 0;
}

static int on_head_complete(llhttp_t *ll)
{
    struct http_connection *c = connection_of(ll);
    struct edge_http_request *req = &c->req;
    const char *reason = NULL;
    int status = http_rules_check(req, ll, &reason);
    if (status)
        return refuse(c, status, reason);
    ll->upgrade = 0; /* Upgrade is an offer, and not taken */
    req->keep_alive = llhttp_should_keep_alive(ll) != 0;
    if (check_expect(c) != 0)
        return -1;
    http_connection_set_state(c, CONN_BODY_IN);
    if (c->overloaded)
        return refuse(c, 503, "server is at its connection limit");
    if (call_on_head(c) != 0)
        return -1;
    if (ll->content_length > req->body_limit)
        return refuse(c, 413, "request body too large");
    if (c->parser.wants_continue && (ll->content_length || (ll->flags & F_CHUNKED)))
        http_response_continue(c);
    return 0;
}

static int on_chunk_header(llhttp_t *ll)
{
    struct http_connection *c = connection_of(ll);
    if (ll->content_length > c->req.body_limit - base_buf_len(&c->req.body))
        return refuse(c, 413, "request body too large");
    return 0;
}

static int on_chunk_extension(llhttp_t *ll, const char *p, size_t n)
{
    (void)p;
    return overhead(connection_of(ll), n + 1);
}

static int on_body(llhttp_t *ll, const char *p, size_t n)
{
    struct http_connection *c = connection_of(ll);
    struct edge_http_server *server = c->server;
    if (n > c->req.body_limit - base_buf_len(&c->req.body))
        return refuse(c, 413, "request body too large");
    if (base_buf_add(&c->req.body, p, n) != 0)
        return no_memory(c);
    http_request_count_body(c);
    if (server->stats.body_bytes > server->config.limits.body_total_bytes)
        return refuse(c, 503, "server holds too many request bodies");
    return 0;
}

static int on_complete(llhttp_t *ll)
{
    (void)ll;
    return HPE_PAUSED;
}

static const llhttp_settings_t SETTINGS = {
    .on_url = on_url,
    .on_url_complete = on_url_complete,
    .on_version = on_version,
    .on_header_field = on_field,
    .on_header_field_complete = on_field_complete,
    .on_header_value = on_value,
    .on_header_value_complete = on_value_complete,
    .on_headers_complete = on_head_complete,
    .on_chunk_header = on_chunk_header,
    .on_chunk_extension_name = on_chunk_extension,
    .on_chunk_extension_value = on_chunk_extension,
    .on_body = on_body,
    .on_message_complete = on_complete,
};

void http_parser_start(struct http_connection *c)
{
    memset(&c->parser, 0, sizeof c->parser);
    llhttp_init(&c->parser.ll, HTTP_REQUEST, &SETTINGS);
    c->parser.ll.data = c;
    c->req.body_limit = c->server->config.limits.body_bytes;
}

/* llhttp's own errors as statuses. */
static enum http_parsed refused(struct http_connection *c, llhttp_errno_t code)
{
    struct http_parser *parser = &c->parser;
    if (parser->no_memory)
        return HTTP_PARSE_NO_MEMORY;
    if (parser->refusal)
        return HTTP_PARSE_REFUSED;
    const llhttp_t *ll = &parser->ll;
    bool known_version = ll->http_major == 1 && ll->http_minor <= 1; /* then its line end is bad */
    if (code == HPE_PAUSED_H2_UPGRADE || (code == HPE_INVALID_VERSION && !known_version))
        refuse(c, 505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
    else if (code == HPE_INVALID_TRANSFER_ENCODING && parser->transfer_encodings == 1 &&
             !(ll->flags & F_CONTENT_LENGTH))
        refuse(c, 501, "transfer coding other than chunked");
    else
        refuse(c, 400, llhttp_get_error_reason(&parser->ll));
    if (!parser->reason || !*parser->reason)
        parser->reason = "malformed request";
    return HTTP_PARSE_REFUSED;
}

/* The head is at its limit and not complete. */
static enum http_parsed head_too_large(struct http_connection *c)
{
    if (c->parser.url_complete)
        refuse(c, 431, "request head too large");
    else
        refuse(c, 414, "URL too long");
    return HTTP_PARSE_REFUSED;
}

size_t http_parser_feed(struct http_connection *c, const char *p, size_t n,
                        enum http_parsed *outcome)
{
    struct http_parser *parser = &c->parser;
    if (in_head(c)) {
        size_t room = c->server->config.limits.head_bytes - parser->head_bytes;
        n = n < room ? n : room;
        parser->head_bytes += n;
    }
    parser->feed = p;
    llhttp_errno_t code = llhttp_execute(&parser->ll, p, n);
    if (code == HPE_OK) {
        if (!parser->version_seen)
            keep_tail(parser, p, n);
        bool full = in_head(c) && parser->head_bytes == c->server->config.limits.head_bytes;
        *outcome = full ? head_too_large(c) : HTTP_PARSE_MORE;
        return n;
    }
    if (code == HPE_PAUSED) {
        *outcome = HTTP_PARSE_DONE;
        return (size_t)(llhttp_get_error_pos(&parser->ll) - p);
    }
    *outcome = c->state == CONN_FLUSH || c->state == CONN_CLOSED ? HTTP_PARSE_MORE /* on_head */
                                                                 : refused(c, code);
    return n;
}
