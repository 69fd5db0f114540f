/* SPDX-License-Identifier: Apache-2.0
 * Bytes between a connection and its socket, plain or through TLS. Loop thread.
 * Plain input goes through the server's one read buffer; TLS input through the engine's own record
 * buffer. A write is tried at once; what the socket does not take is left to one uv_write, whose
 * completion advances the connection again. Nothing here calls a handler except by way of
 * http_connection_input.
 */
#include "edge/http/connection.h"

#include "proto/base/check.h"

#include "proto/base/log.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

size_t http_transport_queued(const struct http_connection *c)
{
    size_t n = base_buf_len(&c->out) + base_buf_len(&c->inflight);
    return c->tls ? n + c->tls->sending : n;
}

uint64_t http_transport_progress(const struct http_connection *c)
{
    /* What uv still holds of the write under way shrinks while the peer reads. */
    return c->sent_bytes - uv_stream_get_write_queue_size((const uv_stream_t *)&c->tcp);
}

static void on_alloc(uv_handle_t *handle, size_t hint, uv_buf_t *buf)
{
    (void)hint;
    struct http_connection *c = handle->data;
    size_t n = READ_BUFFER_BYTES;
    unsigned char *p = (unsigned char *)c->server->read_buffer;
    if (c->tls && c->state != CONN_LINGER)
        p = br_ssl_engine_recvrec_buf(&c->tls->server.eng, &n);
    *buf = uv_buf_init((char *)p, p ? (unsigned)n : 0);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct http_connection *c = stream->data;
    if (c->state == CONN_CLOSED || n == 0)
        return;
    if (n == UV_ENOBUFS) { /* TLS takes nothing now: advance turns reading off */
        http_connection_mark(c);
    } else if (n == UV_EOF) {
        http_connection_end_of_input(c);
    } else if (n < 0) {
        http_connection_close(c);
    } else if (c->state == CONN_LINGER) {
        return;
    } else if (c->tls) {
        br_ssl_engine_recvrec_ack(&c->tls->server.eng, (size_t)n);
        http_connection_advance(c);
    } else {
        http_connection_input(c, buf->base, (size_t)n);
        if (c->state != CONN_CLOSED && http_transport_watch(c) != 0)
            http_connection_close(c);
    }
}

bool http_transport_peer_left(const struct http_connection *c)
{
    struct tcp_info info;
    socklen_t len = sizeof info;
    uv_os_fd_t fd;
    if (uv_fileno((const uv_handle_t *)&c->tcp, &fd) != 0 ||
        getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
        return false;
    return info.tcpi_state == TCP_CLOSE_WAIT || info.tcpi_state == TCP_CLOSE;
}

int http_transport_watch(struct http_connection *c)
{
    bool want = base_buf_len(&c->pending) < EDGE_HTTP_PIPELINE_MAX && !c->ended;
    if (c->tls && c->state != CONN_LINGER)
        want =
            !c->ended && (br_ssl_engine_current_state(&c->tls->server.eng) & BR_SSL_RECVREC) != 0;
    if (want == c->reading)
        return 0;
    c->reading = want;
    if (want)
        return uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
    return uv_read_stop((uv_stream_t *)&c->tcp);
}

static void on_written(uv_write_t *write_req, int status)
{
    struct http_connection *c = write_req->data;
    if (c->state == CONN_CLOSED)
        return;
    c->writing = false;
    if (status < 0) {
        http_connection_close(c);
        return;
    }
    if (c->tls) {
        br_ssl_engine_sendrec_ack(&c->tls->server.eng, c->tls->sending);
        c->tls->sending = 0;
    }
    base_buf_close(&c->inflight);
    http_connection_advance(c);
}

/* Gives p to the socket: the bytes taken now, 0 if a uv_write has taken over all of it, negative.
 */
static ssize_t send_bytes(struct http_connection *c, char *p, size_t n)
{
    uv_buf_t buf = uv_buf_init(p, (unsigned)n);
    int rv = uv_try_write((uv_stream_t *)&c->tcp, &buf, 1);
    if (rv > 0) {
        c->sent_bytes += (size_t)rv;
        return rv;
    }
    if (rv != UV_EAGAIN && rv != 0)
        return rv;
    c->write_req.data = c;
    rv = uv_write(&c->write_req, (uv_stream_t *)&c->tcp, &buf, 1, on_written);
    if (rv)
        return rv;
    c->writing = true;
    c->sent_bytes += n;
    return 0;
}

static int flush_plain(struct http_connection *c)
{
    while (!c->writing && base_buf_len(&c->out)) {
        ssize_t n = send_bytes(c, base_buf_at(&c->out), base_buf_len(&c->out));
        if (n < 0)
            return (int)n;
        if (n > 0) {
            base_buf_take(&c->out, (size_t)n);
            continue;
        }
        /* uv points into out: it must not move while the handler adds to the queue. */
        struct base_buf empty = c->inflight;
        c->inflight = c->out;
        c->out = empty;
    }
    return 0;
}

/* One finished record to the socket; 1: done, 0: uv_write has it, negative. */
static int send_record(struct http_connection *c, br_ssl_engine_context *engine)
{
    size_t n;
    unsigned char *p = br_ssl_engine_sendrec_buf(engine, &n);
    ssize_t sent = send_bytes(c, (char *)p, n);
    if (sent < 0)
        return (int)sent;
    if (sent == 0) {
        c->tls->sending = n;
        return 0;
    }
    br_ssl_engine_sendrec_ack(engine, (size_t)sent);
    return 1;
}

static void encrypt(struct http_connection *c, br_ssl_engine_context *engine)
{
    size_t room;
    unsigned char *p = br_ssl_engine_sendapp_buf(engine, &room);
    size_t n = base_buf_len(&c->out) < room ? base_buf_len(&c->out) : room;
    memcpy(p, base_buf_at(&c->out), n);
    base_buf_take(&c->out, n);
    br_ssl_engine_sendapp_ack(engine, n);
    if (!base_buf_len(&c->out))
        br_ssl_engine_flush(engine, 0);
}

static void decrypt(struct http_connection *c, br_ssl_engine_context *engine)
{
    size_t n;
    unsigned char *p = br_ssl_engine_recvapp_buf(engine, &n);
    http_connection_input(c, (const char *)p, n);
    br_ssl_engine_recvapp_ack(engine, n);
}

/* What a wrongly set up client does; the commonest is http:// where https:// is meant. */
static void log_handshake(int error)
{
    if (error == BR_ERR_OK || error >= BR_ERR_RECV_FATAL_ALERT)
        return; /* it left, or refused us: its own log says why */
    bool foreign = error == BR_ERR_UNSUPPORTED_VERSION || error == BR_ERR_UNKNOWN_TYPE ||
                   error == BR_ERR_BAD_VERSION || error == BR_ERR_TOO_LARGE ||
                   error == BR_ERR_BAD_LENGTH;
    base_log_seldom(BASE_LOG_WARN, "handshake_failed",
                    foreign ? "what came is no TLS: http:// instead of https://?"
                            : "no version or cipher suite in common, or a broken handshake",
                    BASE_I("code", error), NULL);
}

/* Turns the engine until it can do nothing without the socket. */
static int flush_tls(struct http_connection *c)
{
    br_ssl_engine_context *engine = &c->tls->server.eng;
    while (c->state != CONN_CLOSED) {
        unsigned can = br_ssl_engine_current_state(engine);
        if ((can & BR_SSL_CLOSED) && c->state == CONN_HANDSHAKE)
            log_handshake(br_ssl_engine_last_error(engine));
        if (can & BR_SSL_CLOSED) /* failed, or the peer's close_notify: it wants no more bytes */
            return -ECONNRESET;
        if ((can & BR_SSL_SENDREC) && !c->writing) {
            int rv = send_record(c, engine);
            if (rv < 0)
                return rv;
            continue;
        }
        if (c->state == CONN_HANDSHAKE && (can & (BR_SSL_SENDAPP | BR_SSL_RECVAPP)))
            http_connection_set_state(c, CONN_IDLE);
        if ((can & BR_SSL_RECVAPP) && base_buf_len(&c->pending) < EDGE_HTTP_PIPELINE_MAX)
            decrypt(c, engine);
        else if ((can & BR_SSL_SENDAPP) && base_buf_len(&c->out))
            encrypt(c, engine);
        else
            return 0;
    }
    return 0;
}

static void on_shutdown(uv_shutdown_t *shutdown_req, int status)
{
    struct http_connection *c = shutdown_req->data;
    if (c->state != CONN_CLOSED && (status < 0 || c->ended))
        http_connection_close(c);
}

/* In LINGER: our close_notify first, then the end of stream. */
static int flush_linger(struct http_connection *c)
{
    if (c->shut)
        return 0;
    while (c->tls && !c->writing &&
           (br_ssl_engine_current_state(&c->tls->server.eng) & BR_SSL_SENDREC)) {
        int rv = send_record(c, &c->tls->server.eng);
        if (rv < 0)
            return rv;
    }
    if (c->writing)
        return 0;
    c->shut = true;
    c->shutdown_req.data = c;
    return uv_shutdown(&c->shutdown_req, (uv_stream_t *)&c->tcp, on_shutdown);
}

int http_transport_shutdown(struct http_connection *c)
{
    if (c->tls)
        br_ssl_engine_close(&c->tls->server.eng);
    return flush_linger(c);
}

int http_transport_flush(struct http_connection *c)
{
    if (c->state == CONN_LINGER)
        return flush_linger(c);
    int rv = c->tls ? flush_tls(c) : flush_plain(c);
    if (!base_buf_len(&c->out) && c->out.cap > KEEP_BUFFER_BYTES)
        base_buf_close(&c->out);
    return rv;
}
