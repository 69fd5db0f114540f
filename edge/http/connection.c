/* SPDX-License-Identifier: Apache-2.0
 * One client connection: its life and its states. Runs on the loop that accepted it.
 *
 *        accept
 *          |  TLS            +-------------------- next request --------------------+
 *          +------> HANDSHAKE|                                                      |
 *          |            |    v                                                      |
 *          +---------> IDLE ---byte---> HEAD_IN ---head---> BODY_IN ---body---> WORK|
 *             plain     |                  |                   |            |   |   |
 *                       |               refusal        refusal, on_head   reply begin
 *                       |                  |                   |            |   |   |
 *                       |                  v                   v            v   v   |
 *                       +----------------> FLUSH <------------------------ end STREAM
 *                        drain, half-close   |
 *                                            +---> LINGER ---> CLOSED  (from every state)
 *
 *   HANDSHAKE  TLS is not up yet                  deadline head_ms
 *   IDLE       no byte of a request yet           deadline idle_ms (the first time: head_ms)
 *   HEAD_IN    reading the head                   deadline head_ms, then 408
 *   BODY_IN    head is legal, reading the body    deadline body_ms, then 408
 *   WORK       the handler has the request        none; input is watched for the client's leaving
 *   STREAM     the handler has begun the answer   stalled writes: write_ms
 *   FLUSH      the answer is complete, queued     stalled writes: write_ms
 *   LINGER     our end of stream is sent; input is discarded so that no reset overtakes the answer
 *   CLOSED     uv_close is called; the structure lives on until uv and the handler are done with it
 *
 * In IDLE, HEAD_IN and BODY_IN nothing is pending: the parser takes all input at once.
 */
#include "edge/http/connection.h"

#include "proto/base/check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TO(state) (1U << (state))

static const unsigned MOVES[CONN_STATES] = {
    [CONN_HANDSHAKE] = TO(CONN_IDLE) | TO(CONN_CLOSED),
    [CONN_IDLE] = TO(CONN_HEAD_IN) | TO(CONN_FLUSH) | TO(CONN_CLOSED),
    [CONN_HEAD_IN] = TO(CONN_BODY_IN) | TO(CONN_FLUSH) | TO(CONN_CLOSED),
    [CONN_BODY_IN] = TO(CONN_WORK) | TO(CONN_FLUSH) | TO(CONN_CLOSED),
    [CONN_WORK] = TO(CONN_STREAM) | TO(CONN_FLUSH) | TO(CONN_CLOSED),
    [CONN_STREAM] = TO(CONN_FLUSH) | TO(CONN_CLOSED),
    [CONN_FLUSH] = TO(CONN_IDLE) | TO(CONN_LINGER) | TO(CONN_CLOSED),
    [CONN_LINGER] = TO(CONN_CLOSED),
    [CONN_CLOSED] = 0,
};

static uint64_t time_allowed_ms(const struct http_connection *c, enum http_state state)
{
    const struct edge_http_limits *limits = &c->server->config.limits;
    switch (state) {
    case CONN_HANDSHAKE:
    case CONN_HEAD_IN:
        return limits->head_ms;
    case CONN_IDLE:
        return c->served ? limits->idle_ms : limits->head_ms;
    case CONN_BODY_IN:
        return limits->body_ms;
    case CONN_LINGER:
        return LINGER_MS;
    default:
        return 0;
    }
}

void http_connection_set_state(struct http_connection *c, enum http_state next)
{
    CHECK(MOVES[c->state] & TO(next));
    uint64_t allowed_ms = time_allowed_ms(c, next);
    c->state = next;
    c->deadline_ms = allowed_ms ? uv_now(c->server->loop) + allowed_ms : 0;
}

static bool wants_request(const struct http_connection *c)
{
    return c->state == CONN_IDLE || c->state == CONN_HEAD_IN || c->state == CONN_BODY_IN;
}

static void peer_name(struct http_connection *c)
{
    struct sockaddr_storage addr;
    int len = sizeof addr;
    c->peer[0] = '\0';
    if (uv_tcp_getpeername(&c->tcp, (struct sockaddr *)&addr, &len) != 0)
        return;
    if (addr.ss_family == AF_INET6)
        uv_ip6_name((struct sockaddr_in6 *)&addr, c->peer, sizeof c->peer);
    else
        uv_ip4_name((struct sockaddr_in *)&addr, c->peer, sizeof c->peer);
    static const char mapped[] = "::ffff:"; /* an IPv4 client of a dual-stack listener */
    size_t n = sizeof mapped - 1;
    if (strncmp(c->peer, mapped, n) == 0 && strchr(c->peer, '.'))
        memmove(c->peer, c->peer + n, strlen(c->peer + n) + 1);
}

static void connection_free(struct http_connection *c)
{
    struct edge_http_server *server = c->server;
    if (c->is_dirty)
        TAILQ_REMOVE(&server->dirty, c, dirty);
    TAILQ_REMOVE(&server->connections, c, all);
    server->connections_count--;
    http_request_close(c);
    base_buf_close(&c->out);
    base_buf_close(&c->inflight);
    base_buf_close(&c->pending);
    http_tls_session_free(c->tls);
    free(c);
    http_server_connection_freed(server);
}

static void on_closed(uv_handle_t *handle)
{
    struct http_connection *c = handle->data;
    c->handle_closed = true;
    if (!c->req.held)
        connection_free(c);
}

/* Everything but uv_close itself. The handler is told last: by then nothing here is touched again
 * in this call, so it may complete the request at once. */
static void leave(struct http_connection *c)
{
    http_connection_set_state(c, CONN_CLOSED);
    if (!c->req.held)
        return;
    struct edge_http_server *server = c->server;
    c->req.gone = true;
    server->stats.gone++;
    if (server->config.handler.on_client_gone)
        server->config.handler.on_client_gone(server->config.context, &c->req);
}

void http_connection_close(struct http_connection *c)
{
    if (c->state == CONN_CLOSED)
        return;
    uv_close((uv_handle_t *)&c->tcp, on_closed);
    leave(c);
}

void http_connection_reset(struct http_connection *c)
{
    if (c->state == CONN_CLOSED)
        return;
    if (uv_tcp_close_reset(&c->tcp, on_closed) != 0)
        uv_close((uv_handle_t *)&c->tcp, on_closed);
    leave(c);
}

int http_connection_accept(struct edge_http_server *server, enum http_admission admission)
{
    struct http_connection *c = calloc(1, sizeof *c);
    if (!c) {
        http_server_drop(server);
        return -ENOMEM;
    }
    c->server = server;
    c->overloaded = admission == HTTP_ADMIT_REFUSE;
    base_buf_init(&c->out, EDGE_HTTP_QUEUE_MAX);
    base_buf_init(&c->inflight, EDGE_HTTP_QUEUE_MAX);
    base_buf_init(&c->pending, EDGE_HTTP_PIPELINE_MAX + READ_BUFFER_BYTES);
    base_buf_init(&c->req.head, 0); /* bounded by limits.head_bytes, see parser.c */
    base_buf_init(&c->req.body, 0); /* bounded by body_limit, see parser.c */
    int rv = uv_tcp_init(server->loop, &c->tcp);
    if (rv) {
        free(c);
        http_server_drop(server);
        return rv;
    }
    c->tcp.data = c;
    TAILQ_INSERT_TAIL(&server->connections, c, all);
    server->connections_count++;
    c->state = server->config.tls ? CONN_HANDSHAKE : CONN_IDLE;
    c->deadline_ms = uv_now(server->loop) + server->config.limits.head_ms;
    rv = uv_accept((uv_stream_t *)&server->listener, (uv_stream_t *)&c->tcp);
    if (rv == 0 && admission == HTTP_ADMIT_CUT) {
        http_connection_reset(c);
        return 0;
    }
    if (rv == 0 && server->config.tls) {
        c->tls = http_tls_session_new(server->config.tls);
        rv = c->tls ? 0 : -ENOMEM;
    }
    if (rv == 0) {
        peer_name(c);
        uv_tcp_nodelay(&c->tcp, 1);
        rv = http_transport_watch(c);
    }
    if (rv)
        http_connection_close(c);
    return rv;
}

void http_connection_mark(struct http_connection *c)
{
    struct edge_http_server *server = c->server;
    if (c->is_dirty)
        return;
    c->is_dirty = true;
    if (TAILQ_EMPTY(&server->dirty)) /* the loop must come to the prepare handle once more */
        uv_ref((uv_handle_t *)&server->prepare);
    TAILQ_INSERT_TAIL(&server->dirty, c, dirty);
}

/* The body is complete: the handler's turn. */
static void deliver(struct http_connection *c)
{
    struct edge_http_server *server = c->server;
    http_connection_set_state(c, CONN_WORK);
    c->req.held = true;
    server->stats.requests++;
    server->config.handler.on_request(server->config.context, &c->req);
}

/* Parses until a request is complete or the bytes are used up; returns the bytes used. */
static size_t read_request(struct http_connection *c, const char *p, size_t n)
{
    size_t used = 0;
    while (used < n && wants_request(c)) {
        if (c->state == CONN_IDLE) {
            if (p[used] == '\r' || p[used] == '\n') { /* RFC 9112 2.2: empty lines before */
                used++;
                continue;
            }
            http_parser_start(c);
            http_connection_set_state(c, CONN_HEAD_IN);
        }
        enum http_parsed outcome;
        used += http_parser_feed(c, p + used, n - used, &outcome);
        if (outcome == HTTP_PARSE_DONE)
            deliver(c);
        else if (outcome == HTTP_PARSE_REFUSED)
            http_response_refuse(c, c->parser.refusal, c->parser.reason);
        else if (outcome == HTTP_PARSE_NO_MEMORY)
            http_connection_close(c);
    }
    return used;
}

void http_connection_input(struct http_connection *c, const char *p, size_t n)
{
    size_t used = wants_request(c) ? read_request(c, p, n) : 0;
    if (used == n || c->state == CONN_CLOSED || c->state == CONN_LINGER)
        return;
    if (c->after != HTTP_AFTER_KEEP) /* nothing behind this answer will be read as a request */
        return;
    if (base_buf_add(&c->pending, p + used, n - used) != 0)
        http_connection_close(c);
}

void http_connection_end_of_input(struct http_connection *c)
{
    c->ended = true;
    if (c->state == CONN_FLUSH ||
        (wants_request(c) && http_transport_queued(c))) { /* let the answer out first */
        if (c->state != CONN_FLUSH)
            http_connection_set_state(c, CONN_FLUSH);
        if (c->after == HTTP_AFTER_KEEP)
            c->after = HTTP_AFTER_LINGER;
        http_connection_mark(c);
    } else {
        http_connection_close(c);
    }
}

void http_connection_complete(struct http_connection *c, enum http_after after)
{
    c->req.held = false;
    if (c->state == CONN_CLOSED) {
        if (c->handle_closed)
            http_connection_mark(c); /* freed there: nobody is called back from in here */
        return;
    }
    if (after > c->after)
        c->after = after;
    http_connection_set_state(c, CONN_FLUSH);
    http_connection_mark(c);
}

/* From FLUSH back to IDLE, and straight into what is pending. */
static void next_request(struct http_connection *c)
{
    http_request_clear(c);
    c->served = true;
    http_connection_set_state(c, CONN_IDLE);
    if (!base_buf_len(&c->pending))
        return;
    size_t used = read_request(c, base_buf_at(&c->pending), base_buf_len(&c->pending));
    base_buf_take(&c->pending, used);
    if (!base_buf_len(&c->pending))
        base_buf_close(&c->pending);
}

/* The last answer has left: how this connection ends. */
static void finish(struct http_connection *c)
{
    if (c->after == HTTP_AFTER_RESET) {
        http_connection_reset(c);
    } else if (c->after == HTTP_AFTER_CUT || (c->ended && !c->tls)) {
        http_connection_close(c);
    } else {
        http_request_clear(c);
        base_buf_close(&c->pending);
        http_connection_set_state(c, CONN_LINGER);
        if (http_transport_shutdown(c) != 0)
            http_connection_close(c);
    }
}

static bool may_start_next(struct http_connection *c)
{
    return c->state == CONN_FLUSH && c->after == HTTP_AFTER_KEEP &&
           http_transport_queued(c) <= PIPELINE_OUT_BYTES;
}

static void tell_writable(struct http_connection *c)
{
    struct edge_http_server *server = c->server;
    if (c->state != CONN_STREAM || !c->req.over_high_water ||
        http_transport_queued(c) > EDGE_HTTP_LOW_WATER)
        return;
    c->req.over_high_water = false;
    if (server->config.handler.on_writable)
        server->config.handler.on_writable(server->config.context, &c->req);
}

void http_connection_advance(struct http_connection *c)
{
    if (c->state == CONN_CLOSED) {
        if (c->handle_closed && !c->req.held)
            connection_free(c);
        return;
    }
    do {
        /* Pipelined requests that are answered at once share a write. */
        while (may_start_next(c) && base_buf_len(&c->pending))
            next_request(c);
        if (c->state == CONN_CLOSED)
            return;
        if (c->broken || http_transport_flush(c) != 0) {
            http_connection_close(c);
            return;
        }
        if (c->state == CONN_CLOSED)
            return;
        if (may_start_next(c) && !base_buf_len(&c->pending)) {
            next_request(c);
            if (c->server->draining)
                http_connection_end_of_input(c);
        }
        if (c->state == CONN_FLUSH && c->after != HTTP_AFTER_KEEP && !http_transport_queued(c))
            finish(c);
    } while (may_start_next(c));
    if (c->state == CONN_CLOSED)
        return;
    tell_writable(c);
    if (c->state != CONN_CLOSED && http_transport_watch(c) != 0)
        http_connection_close(c);
}

static bool is_stalled(struct http_connection *c, uint64_t now_ms)
{
    uint64_t progress = http_transport_progress(c);
    if (!http_transport_queued(c) || progress != c->stall_bytes || !c->stall_ms) {
        c->stall_bytes = progress;
        c->stall_ms = now_ms;
        return false;
    }
    return now_ms - c->stall_ms >= c->server->config.limits.write_ms;
}

void http_connection_expire(struct http_connection *c, uint64_t now_ms)
{
    if (c->state == CONN_CLOSED)
        return;
    bool unwatched = c->req.held && !c->reading;
    if (is_stalled(c, now_ms) || (unwatched && http_transport_peer_left(c))) {
        http_connection_close(c);
        return;
    }
    if (!c->deadline_ms || now_ms < c->deadline_ms)
        return;
    if (c->state == CONN_HEAD_IN)
        http_response_refuse(c, 408, "request head took too long");
    else if (c->state == CONN_BODY_IN)
        http_response_refuse(c, 408, "request body took too long");
    else
        http_connection_close(c);
}
