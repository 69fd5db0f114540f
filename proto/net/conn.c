/* SPDX-License-Identifier: Apache-2.0
 * Input: socket -> the loop's read buffer -> engine -> frames. Output: frames -> engine -> out ->
 * socket. pump turns the engine until it can do nothing without the socket; it is never entered
 * twice for one connection.
 */
#include "proto/base/check.h"
#include "proto/net/loop_state.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FRAME_FIRST_ROOM = 16 * 1024, UNREAD_MAX = NET_READ_BYTES + BR_SSL_BUFSIZE_INPUT };

static void pump(struct net_conn *c);

/* ---- the end ---- */

static void on_tcp_closed(uv_handle_t *handle)
{
    struct net_conn *c = handle->data;
    struct net_loop *l = c->loop;
    LIST_REMOVE(c, entry);
    net_session_free(c->session);
    net_frame_free(c->frame);
    base_buf_close(&c->unread);
    base_buf_close(&c->out);
    base_buf_close(&c->inflight);
    free(c);
    net_loop_drop(l);
}

static void on_end(uv_handle_t *handle)
{
    struct net_conn *c = handle->data;
    if (c->on_end)
        c->on_end(c->maker, c, c->cause);
    if (c->was_open && c->config.calls.on_closed)
        c->config.calls.on_closed(c->config.calls.ctx, c, c->cause);
    on_tcp_closed(handle);
}

/* The state says at once that it is over; the callbacks come from the loop, so that nobody is
 * called from inside a call of theirs. */
static void end(struct net_conn *c, const char *cause)
{
    if (c->state == NET_CONN_CLOSED)
        return;
    c->was_open = c->state == NET_CONN_OPEN;
    c->state = NET_CONN_CLOSED;
    c->cause = cause;
    if (c->dirty)
        STAILQ_REMOVE(&c->loop->dirty, c, net_conn, to_flush);
    c->dirty = false;
    uv_close((uv_handle_t *)&c->tcp, on_end);
}

/* ---- output ---- */

static void on_written(uv_write_t *req, int status)
{
    struct net_conn *c = req->data;
    if (c->state == NET_CONN_CLOSED)
        return;
    c->writing = false;
    base_buf_clear(&c->inflight);
    if (status < 0)
        end(c, uv_strerror(status));
    else
        net_conn_flush(c);
}

/* Finished records to `out`. false: it is closed. */
static bool drain(struct net_conn *c)
{
    while (br_ssl_engine_current_state(c->session->engine) & BR_SSL_SENDREC) {
        size_t n;
        const unsigned char *p = br_ssl_engine_sendrec_buf(c->session->engine, &n);
        if (base_buf_add(&c->out, p, n) != 0) {
            end(c, "out of memory");
            return false;
        }
        br_ssl_engine_sendrec_ack(c->session->engine, n);
    }
    return true;
}

static void write_out(struct net_conn *c)
{
    while (!c->writing && base_buf_len(&c->out) > 0) {
        uv_buf_t buf = uv_buf_init(base_buf_at(&c->out), (unsigned)base_buf_len(&c->out));
        int rv = uv_try_write((uv_stream_t *)&c->tcp, &buf, 1);
        if (rv > 0) {
            base_buf_take(&c->out, (size_t)rv);
            continue;
        }
        if (rv != 0 && rv != UV_EAGAIN) {
            end(c, uv_strerror(rv));
            return;
        }
        struct base_buf empty = c->inflight; /* uv points into the bytes: they must not move */
        c->inflight = c->out;
        c->out = empty;
        buf = uv_buf_init(base_buf_at(&c->inflight), (unsigned)base_buf_len(&c->inflight));
        c->write.data = c;
        rv = uv_write(&c->write, (uv_stream_t *)&c->tcp, &buf, 1, on_written);
        if (rv != 0) {
            end(c, uv_strerror(rv));
            return;
        }
        c->writing = true;
    }
}

void net_conn_flush(struct net_conn *c)
{
    if (c->state == NET_CONN_CLOSED)
        return;
    if (c->state == NET_CONN_OPEN)
        br_ssl_engine_flush(c->session->engine, 0);
    if (drain(c))
        write_out(c);
}

static void make_dirty(struct net_conn *c)
{
    if (c->dirty)
        return;
    c->dirty = true;
    STAILQ_INSERT_TAIL(&c->loop->dirty, c, to_flush);
}

static bool encrypt(struct net_conn *c, const uint8_t *p, size_t n)
{
    while (n > 0) {
        size_t room;
        unsigned char *to = br_ssl_engine_sendapp_buf(c->session->engine, &room);
        if (!to) {
            if (!(br_ssl_engine_current_state(c->session->engine) & BR_SSL_SENDREC)) {
                end(c, net_session_cause(c->session));
                return false;
            }
            if (!drain(c))
                return false;
            continue;
        }
        room = room < n ? room : n;
        memcpy(to, p, room);
        br_ssl_engine_sendapp_ack(c->session->engine, room);
        p += room;
        n -= room;
    }
    return true;
}

static void put_u32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

static uint32_t get_u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Half a frame on a connection that has ended is nobody's any more: that is told by on_closed. */
static int send_bytes(struct net_conn *c, uint32_t tag, const void *head, size_t head_len,
                      const void *body, size_t body_len)
{
    uint8_t frame_head[NET_FRAME_HEAD];
    size_t len = head_len + body_len;
    if (c->state != NET_CONN_OPEN)
        return -ENOTCONN;
    if (base_buf_len(&c->out) + base_buf_len(&c->inflight) + len > c->config.queue_max)
        return -ENOBUFS;
    put_u32(frame_head, (uint32_t)len);
    put_u32(frame_head + 4, tag);
    if (encrypt(c, frame_head, sizeof frame_head) && encrypt(c, head, head_len) &&
        encrypt(c, body, body_len))
        make_dirty(c);
    return 0;
}

int net_conn_send(struct net_conn *c, struct net_frame *f)
{
    int rv = send_bytes(c, f->tag, f->bytes, f->len, NULL, 0);
    if (rv == 0)
        net_frame_free(f);
    return rv;
}

int net_conn_send_parts(struct net_conn *c, const void *head, size_t head_len, const void *body,
                        size_t body_len)
{
    return send_bytes(c, 0, head, head_len, body, body_len);
}

/* ---- input ---- */

static void deliver(struct net_conn *c)
{
    struct net_frame *f = c->frame;
    c->frame = NULL;
    c->head_got = 0;
    c->since_ms = 0;
    c->config.calls.on_frame(c->config.calls.ctx, c, f);
}

/* Room for more of the frame that arrives: grown as it comes, not as it claims. */
static bool make_room(struct net_conn *c)
{
    uint64_t room = (uint64_t)c->frame_room * 2;
    if (room > c->frame->len)
        room = c->frame->len;
    struct net_frame *f = realloc(c->frame, sizeof *f + room);
    if (!f)
        return false;
    c->frame = f;
    c->frame_room = (uint32_t)room;
    return true;
}

static bool begin_frame(struct net_conn *c)
{
    uint32_t len = get_u32(c->head);
    if (len > c->config.frame_max) {
        end(c, "a frame longer than is taken");
        return false;
    }
    c->frame_room = len < FRAME_FIRST_ROOM ? len : FRAME_FIRST_ROOM;
    c->frame = net_frame_new(c->frame_room);
    if (!c->frame) {
        end(c, "out of memory");
        return false;
    }
    c->frame->len = len;
    c->frame->tag = get_u32(c->head + 4);
    c->frame_got = 0;
    return true;
}

/* Takes what it can of n bytes of clear text; one frame at most. 0: it is closed. */
static size_t take(struct net_conn *c, const unsigned char *p, size_t n)
{
    size_t used = 0;
    if (!c->frame) {
        if (c->head_got == 0)
            c->since_ms = uv_now(c->loop->uv);
        used = NET_FRAME_HEAD - c->head_got < n ? NET_FRAME_HEAD - c->head_got : n;
        memcpy(c->head + c->head_got, p, used);
        c->head_got += (unsigned)used;
        if (c->head_got < NET_FRAME_HEAD)
            return used;
        if (!begin_frame(c))
            return 0;
    }
    while (used < n && c->frame_got < c->frame->len) {
        if (c->frame_got == c->frame_room && !make_room(c)) {
            end(c, "out of memory");
            return 0;
        }
        size_t part = c->frame_room - c->frame_got;
        part = part < n - used ? part : n - used;
        memcpy(c->frame->bytes + c->frame_got, p + used, part);
        c->frame_got += (uint32_t)part;
        used += part;
    }
    return used;
}

/* Clear text that the engine has. */
static void decrypt(struct net_conn *c)
{
    size_t n;
    const unsigned char *p = br_ssl_engine_recvapp_buf(c->session->engine, &n);
    size_t used = take(c, p, n);
    if (used == 0)
        return;
    br_ssl_engine_recvapp_ack(c->session->engine, used);
    if (c->frame && c->frame_got == c->frame->len)
        deliver(c);
}

static void feed(struct net_conn *c)
{
    size_t room, n = base_buf_len(&c->unread);
    unsigned char *to = br_ssl_engine_recvrec_buf(c->session->engine, &room);
    n = n < room ? n : room;
    memcpy(to, base_buf_at(&c->unread), n);
    base_buf_take(&c->unread, n);
    br_ssl_engine_recvrec_ack(c->session->engine, n);
}

/* The engine is over: its last alert still goes out. */
static void give_up(struct net_conn *c)
{
    const char *cause = net_session_cause(c->session);
    if (!c->writing && base_buf_len(&c->out) > 0) {
        uv_buf_t buf = uv_buf_init(base_buf_at(&c->out), (unsigned)base_buf_len(&c->out));
        (void)uv_try_write((uv_stream_t *)&c->tcp, &buf, 1);
    }
    end(c, cause);
}

static void become_open(struct net_conn *c)
{
    c->state = NET_CONN_OPEN;
    c->since_ms = 0;
    if (c->config.calls.on_open)
        c->config.calls.on_open(c->config.calls.ctx, c);
}

static void on_alloc(uv_handle_t *handle, size_t hint, uv_buf_t *buf)
{
    struct net_conn *c = handle->data;
    (void)hint;
    *buf = uv_buf_init(c->loop->read, sizeof c->loop->read);
}

/* BearSSL refuses a certificate without an alert: the other side only sees the end. */
static const char *gone(const struct net_conn *c, int error)
{
    if (c->state == NET_CONN_HANDSHAKE)
        return "closed by the other side in the handshake: it may not accept our certificate";
    return error == UV_EOF ? "closed by the other side" : uv_strerror(error);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct net_conn *c = stream->data;
    if (c->state == NET_CONN_CLOSED || n == 0)
        return;
    if (n < 0)
        end(c, gone(c, (int)n));
    else if (base_buf_add(&c->unread, buf->base, (size_t)n) != 0)
        end(c, "out of memory");
    else
        pump(c);
}

/* Reads while the engine has taken all that came before. */
static void watch(struct net_conn *c)
{
    bool want = !c->paused && base_buf_len(&c->unread) == 0;
    if (c->state == NET_CONN_CLOSED || want == c->reading)
        return;
    c->reading = want;
    int rv = want ? uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read)
                  : uv_read_stop((uv_stream_t *)&c->tcp);
    if (rv != 0)
        end(c, uv_strerror(rv));
}

static void pump(struct net_conn *c)
{
    if (c->inside)
        return;
    c->inside = true;
    for (bool more = true; more && c->state != NET_CONN_CLOSED;) {
        unsigned can = br_ssl_engine_current_state(c->session->engine);
        more = true;
        if (can & BR_SSL_CLOSED) {
            give_up(c);
        } else if (can & BR_SSL_SENDREC) {
            if (drain(c))
                make_dirty(c);
        } else if (c->state == NET_CONN_HANDSHAKE && (can & BR_SSL_SENDAPP)) {
            become_open(c);
        } else if ((can & BR_SSL_RECVAPP) && !c->paused) {
            decrypt(c);
        } else if ((can & BR_SSL_RECVREC) && base_buf_len(&c->unread) > 0) {
            feed(c);
        } else {
            more = false;
        }
    }
    c->inside = false;
    watch(c);
}

void net_conn_pause(struct net_conn *c)
{
    c->paused = true;
    if (!c->inside)
        watch(c);
}

void net_conn_resume(struct net_conn *c)
{
    if (c->state == NET_CONN_CLOSED)
        return;
    c->paused = false;
    pump(c);
}

/* ---- life ---- */

struct net_conn *net_conn_new(struct net_loop *l, const struct net_conn_config *config,
                              const char *server_name)
{
    struct net_conn *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->session = net_session_new(config->tls, server_name);
    if (!c->session || uv_tcp_init(l->uv, &c->tcp) != 0) {
        net_session_free(c->session);
        free(c);
        return NULL;
    }
    c->loop = l;
    c->config = *config;
    c->tcp.data = c;
    base_buf_init(&c->unread, UNREAD_MAX);
    base_buf_init(&c->out, 0);
    base_buf_init(&c->inflight, 0);
    c->since_ms = uv_now(l->uv);
    LIST_INSERT_HEAD(&l->conns, c, entry);
    net_loop_hold(l);
    return c;
}

static void name_peer(struct net_conn *c)
{
    struct sockaddr_storage a;
    char host[INET6_ADDRSTRLEN] = "?";
    int n = sizeof a;
    unsigned port = 0;
    if (uv_tcp_getpeername(&c->tcp, (struct sockaddr *)&a, &n) == 0) {
        (void)uv_ip_name((const struct sockaddr *)&a, host, sizeof host);
        port = a.ss_family == AF_INET6 ? ntohs(((const struct sockaddr_in6 *)&a)->sin6_port)
                                       : ntohs(((const struct sockaddr_in *)&a)->sin_port);
    }
    (void)snprintf(c->peer, sizeof c->peer, "%s:%u", host, port);
}

void net_conn_start(struct net_conn *c)
{
    name_peer(c);
    (void)uv_tcp_nodelay(&c->tcp, 1);       /* a socket that refuses these options */
    (void)uv_tcp_keepalive(&c->tcp, 1, 30); /* still carries frames */
    c->since_ms = uv_now(c->loop->uv);
    pump(c);
}

void net_conn_sweep(struct net_conn *c, uint64_t now_ms)
{
    if (c->since_ms == 0 || c->paused || c->state == NET_CONN_CLOSED)
        return;
    if (c->state == NET_CONN_HANDSHAKE && now_ms - c->since_ms > NET_HANDSHAKE_LIMIT_MS)
        end(c, "the handshake took too long");
    else if (c->state == NET_CONN_OPEN && now_ms - c->since_ms > NET_FRAME_LIMIT_MS)
        end(c, "a frame took too long to arrive");
}

void net_conn_close(struct net_conn *c, const char *cause)
{
    end(c, cause);
}

const char *net_conn_peer(const struct net_conn *c)
{
    return c->peer;
}

void net_conn_set_user(struct net_conn *c, void *user)
{
    c->user = user;
}

void *net_conn_user(const struct net_conn *c)
{
    return c->user;
}
