/* SPDX-License-Identifier: Apache-2.0
 * HTTP/1.1 server on a uv_loop: listener, connections, limits, deadlines, drain.
 *
 * One edge_http_server per loop; every call and every callback happens on that loop's thread, and a
 * connection lives and dies on the loop that accepted it (workers share a port by SO_REUSEPORT).
 * Only a struct edge_http_tls is shared between loops. The layer knows HTTP and nothing above it.
 *
 * What a handler sees, in order, for each request (one at a time on a connection):
 *
 *   on_head?  ->  on_request  ->  [on_client_gone]  ->  exactly one completion by the handler
 *
 *   on_head      optional, when the head is complete and legal and before any of the body is kept.
 *                It may look, call edge_http_request_limit_body, or refuse with edge_http_reply
 *                (nothing else, and only before it returns; the connection closes after that
 *                answer). It must leave nothing behind: if the body then fails (413, 408, reset)
 *                the request vanishes without another call.
 *   on_request   head and body are complete; the handler owns the request from here until it
 *                completes it: edge_http_reply, edge_http_end, edge_http_abort (response.h).
 *                The answer may come inside the callback or at any later time.
 *   on_client_gone  at most once, between on_request and the completion: the client left (EOF,
 *                half-close, reset, stalled write) or the server was closed. The request stays
 *                readable (head, body, user pointer) and must still be completed; whatever is
 *                written from now on is discarded.
 *   on_writable  the queue of a streamed answer fell to EDGE_HTTP_LOW_WATER after an
 *                edge_http_write had returned EDGE_HTTP_HIGH_WATER or more.
 *
 * No callback is ever made from inside a call of the handler (reply, begin, write, end, abort):
 * output is collected and written once per turn of the loop, in a prepare handle, so a handler may
 * answer from within any callback of its own, curl's included.
 *
 * Refused by the layer itself, then the connection closes: malformed or ambiguous requests 400,
 * CONNECT and TRACE 405, head or body late 408, body 413, URL 414, Expect 417, head 431, transfer
 * codings 501, full 503, version 505. The rules are listed in rules.c.
 */
#ifndef HOLDFAST_EDGE_HTTP_SERVER_H
#define HOLDFAST_EDGE_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct edge_http_request;
struct edge_http_server;
struct edge_http_tls;

/* Bounds that are part of the layer's shape.
 * HEADERS_MAX    fields in a head; one more: 431.
 * HIGH_WATER     bytes queued for a client at which the producer should pause.
 * LOW_WATER      bytes queued at which on_writable is called.
 * QUEUE_MAX      bytes queued past which the connection is cut: an answer of 64 MiB, its head, and
 *                what of the answers before it may still be queued.
 * PIPELINE_MAX   bytes kept behind a request under way. At it, reading stops until the request is
 *                answered; the client's leaving is then looked for every 100 ms in the kernel's
 * state of the connection, which may not tell while unread bytes fill its buffer. */
#define EDGE_HTTP_HEADERS_MAX 100
#define EDGE_HTTP_HIGH_WATER ((size_t)262144)
#define EDGE_HTTP_LOW_WATER ((size_t)65536)
#define EDGE_HTTP_QUEUE_MAX ((size_t)68157440)
#define EDGE_HTTP_PIPELINE_MAX ((size_t)65536)

struct edge_http_limits {
    size_t head_bytes;       /* request line and fields; default 32 KiB, 256 .. 1 MiB */
    size_t url_bytes;        /* default 8 KiB */
    size_t body_bytes;       /* of one request; default 8 MiB */
    size_t body_total_bytes; /* held for all requests of this server; default 512 MiB; then 503 */
    size_t connections;      /* default 10000; a few more are answered 503, the rest cut */
    uint64_t head_ms;        /* first byte (or accept, or TLS start) to end of head; 10 s */
    uint64_t body_ms;        /* end of head to end of body; 60 s */
    uint64_t idle_ms;        /* between requests; 75 s */
    uint64_t write_ms;       /* no byte accepted by the peer for this long: cut; 60 s */
};

struct edge_http_handler {
    void (*on_head)(void *context, struct edge_http_request *req); /* may be NULL */
    void (*on_request)(void *context, struct edge_http_request *req);
    void (*on_client_gone)(void *context, struct edge_http_request *req); /* may be NULL */
    void (*on_writable)(void *context, struct edge_http_request *req);    /* may be NULL */
    /* Body of a refusal that the layer makes itself, written to out (at most cap bytes, a few KiB):
     * returns its length and may set *content_type (a string that lives on). NULL: the reason as
     * text/plain. */
    size_t (*refusal_body)(void *context, int status, const char *reason, char *out, size_t cap,
                           const char **content_type);
};

struct edge_http_config {
    const char *address;       /* IPv4 or IPv6 address, or a name; default 127.0.0.1 */
    uint16_t port;             /* 0: chosen by the system, see edge_http_server_port */
    struct edge_http_tls *tls; /* NULL: plain HTTP; must outlive the server */
    struct edge_http_limits limits;
    struct edge_http_handler handler;
    void *context; /* handed to every callback */
};

struct edge_http_stats {
    uint64_t accepted;   /* connections */
    uint64_t overloaded; /* connections refused because the server was full */
    uint64_t requests;   /* handed to on_request */
    uint64_t refused;    /* requests answered by the layer itself */
    uint64_t gone;       /* on_client_gone calls */
    size_t connections;  /* open now, including closed ones whose request is not completed */
    size_t body_bytes;   /* body memory held now */
};

/* Every field at its default, no handler, no TLS. */
void edge_http_config_init(struct edge_http_config *config);

/* Binds and listens; SIGPIPE, if it is at its default, is ignored from now on. Negative errno
 * (-EINVAL for a bad limit, -EADDRNOTAVAIL, -EADDRINUSE ...); *out is written on success only.
 * The loop must outlive the server. */
__attribute__((warn_unused_result)) int edge_http_server_new(struct edge_http_server **out,
                                                             uv_loop_t *loop,
                                                             const struct edge_http_config *config);

/* Whether nobody listens there: servers share their port (SO_REUSEPORT), and would share it with
 * another process that somebody forgot, too. 0 or a negative code. port 0: always free. */
__attribute__((warn_unused_result)) int edge_http_port_free(const char *address, uint16_t port);
uint16_t edge_http_server_port(const struct edge_http_server *server);
void edge_http_server_stats(const struct edge_http_server *server, struct edge_http_stats *out);

/* Graceful end: stop accepting, close idle connections, send `Connection: close` with the answers
 * under way. on_drained (may be NULL) is called once, from the loop, when no connection is left.
 * Called again it replaces the callback, and calls it at once if nothing is left already. */
void edge_http_server_drain(struct edge_http_server *server, void (*on_drained)(void *arg),
                            void *arg);

/* End at once: closes every connection (on_client_gone for requests under way), and frees the
 * server when the last request has been completed and the last handle closed; then calls on_closed
 * (may be NULL). The server pointer is not to be used after this call. */
void edge_http_server_close(struct edge_http_server *server, void (*on_closed)(void *arg),
                            void *arg);

#endif
