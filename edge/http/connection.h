/* SPDX-License-Identifier: Apache-2.0
 * Private to edge/http: the server and connection structures, and what the files here do to them.
 * All of it runs on the thread of the server's loop.
 */
#ifndef HOLDFAST_EDGE_HTTP_CONNECTION_H
#define HOLDFAST_EDGE_HTTP_CONNECTION_H

#include "edge/http/request.h"
#include "edge/http/response.h"
#include "edge/http/server.h"
#include "edge/http/tls_session.h"
#include "proto/base/buf.h"

#include <llhttp.h>
#include <sys/queue.h>
#include <uv.h>

enum {
    READ_BUFFER_BYTES = 65536,   /* one a server, for plain connections and for discarding */
    OVERLOAD_CONNECTIONS = 64,   /* past limits.connections: answered 503; past these: cut */
    PIPELINE_OUT_BYTES = 16384,  /* answers queued before the next pipelined request starts */
    BODY_OVERHEAD_BYTES = 16384, /* chunk extensions and trailers of one request */
    KEEP_BUFFER_BYTES = 8192,    /* a larger buffer is given back between requests */
    LINGER_MS = 2000,            /* after our end of stream: read and discard this long */
    SWEEP_MS = 100,              /* how late a deadline can be noticed */
    LISTEN_BACKLOG = 1024,
    PROTOCOL_BYTES = 5, /* "HTTP/" */
};

/* See connection.c for the drawing and the table of moves. */
enum http_state {
    CONN_HANDSHAKE,
    CONN_IDLE,
    CONN_HEAD_IN,
    CONN_BODY_IN,
    CONN_WORK,
    CONN_STREAM,
    CONN_FLUSH,
    CONN_LINGER,
    CONN_CLOSED,
    CONN_STATES,
};

/* What follows when the answer under way has left the queue. */
enum http_after {
    HTTP_AFTER_KEEP,   /* the next request */
    HTTP_AFTER_LINGER, /* end of stream, wait for the peer's, close */
    HTTP_AFTER_CUT,    /* close without a proper end */
    HTTP_AFTER_RESET,
};

/* How the end of the answer's body is told. */
enum http_framing {
    HTTP_FRAME_NONE, /* no body goes out: HEAD, 204, 304 */
    HTTP_FRAME_LENGTH,
    HTTP_FRAME_CHUNKED,
    HTTP_FRAME_CLOSE,
};

struct http_field { /* offsets into the head's store of strings */
    uint32_t name;
    uint32_t value;
};

struct edge_http_request {
    struct base_buf head; /* NUL-terminated strings: URL, then name, value, name, value ... */
    struct http_field fields[EDGE_HTTP_HEADERS_MAX];
    size_t fields_count;
    uint32_t path;
    uint32_t query;
    uint32_t host;
    struct base_buf body;
    size_t body_limit;
    size_t body_counted; /* of body.cap, in the server's body_bytes */
    void *user;
    uint8_t method; /* llhttp's number */
    bool http10;
    bool keep_alive; /* the client's wish, and nothing of ours against it */
    bool trailers;   /* TE: trailers */
    bool held;       /* the handler owns it: handed over and not completed */
    bool gone;
    /* the answer */
    enum http_framing framing;
    bool trailer_announced;
    bool over_high_water;
    uint64_t remaining; /* HTTP_FRAME_LENGTH: bytes still owed */
};

struct http_parser {
    llhttp_t ll;
    size_t head_bytes;         /* given to llhttp for this head */
    size_t overhead_bytes;     /* chunk extensions and trailers */
    const char *feed;          /* start of the bytes being parsed */
    char tail[PROTOCOL_BYTES]; /* the bytes before them, until the version is seen */
    bool version_seen;
    unsigned transfer_encodings;
    bool url_complete;
    bool in_field;
    bool wants_continue;
    int refusal;        /* status, 0: none */
    const char *reason; /* static text */
    bool no_memory;
};

struct http_connection {
    uv_tcp_t tcp;
    struct edge_http_server *server;
    TAILQ_ENTRY(http_connection) all;
    TAILQ_ENTRY(http_connection) dirty;
    enum http_state state;
    enum http_after after;
    bool is_dirty;
    bool reading;
    bool writing;         /* a uv_write is under way */
    bool broken;          /* memory ran out while writing: close at the next turn */
    bool overloaded;      /* accepted past the limit: answer 503 */
    bool served;          /* a request was answered: idle_ms counts from now on */
    bool shut;            /* uv_shutdown is called */
    bool ended;           /* the peer's end of stream was seen */
    bool handle_closed;   /* uv is done with tcp */
    uint64_t deadline_ms; /* of the state; 0: none */
    uint64_t sent_bytes;  /* accepted by the socket so far */
    uint64_t stall_bytes; /* progress when last looked at */
    uint64_t stall_ms;    /* when it last changed */
    uv_write_t write_req;
    uv_shutdown_t shutdown_req;
    struct base_buf out;          /* bytes of answers not yet given to the socket or to TLS */
    struct base_buf inflight;     /* plain: bytes that a uv_write is sending */
    struct base_buf pending;      /* input behind the request under way */
    struct http_tls_session *tls; /* NULL: plain */
    struct http_parser parser;
    struct edge_http_request req;
    char peer[46];
};

TAILQ_HEAD(http_connections, http_connection);

struct edge_http_server {
    uv_loop_t *loop;
    struct edge_http_config config;
    uv_tcp_t listener;
    uv_prepare_t prepare;
    uv_timer_t sweep;
    uv_tcp_t dropped; /* takes a connection that there is no memory for, to close it */
    bool dropping;    /* it is in use */
    bool drop_next;   /* another connection waits for it */
    int handles;      /* of the four above, not closed yet */
    uint16_t port;
    bool draining;
    bool closing;
    bool listener_closed;
    void (*on_drained)(void *arg);
    void *drained_arg;
    void (*on_closed)(void *arg);
    void *closed_arg;
    struct http_connections connections;
    struct http_connections dirty;
    size_t connections_count;
    struct edge_http_stats stats;
    time_t date_second;
    char date[32];
    char read_buffer[READ_BUFFER_BYTES];
};

static inline struct http_connection *http_connection_of(const struct edge_http_request *req)
{
    return (struct http_connection *)((const char *)req - offsetof(struct http_connection, req));
}

/* connection.c: life and state */
enum http_admission { HTTP_ADMIT_SERVE, HTTP_ADMIT_REFUSE /* with 503 */, HTTP_ADMIT_CUT };
int http_connection_accept(struct edge_http_server *server, enum http_admission admission);
void http_connection_set_state(struct http_connection *c, enum http_state next);
void http_connection_close(struct http_connection *c);
void http_connection_reset(struct http_connection *c);
void http_connection_input(struct http_connection *c, const char *p, size_t n);
void http_connection_end_of_input(struct http_connection *c);
void http_connection_advance(struct http_connection *c);
void http_connection_mark(struct http_connection *c); /* advance before the loop waits again */
void http_connection_expire(struct http_connection *c, uint64_t now_ms);
void http_connection_complete(struct http_connection *c, enum http_after after);

/* transport.c: bytes to and from the socket. Negative: the connection is to be closed. */
__attribute__((warn_unused_result)) int http_transport_flush(struct http_connection *c);
int http_transport_shutdown(struct http_connection *c);
int http_transport_watch(struct http_connection *c); /* reading on or off, as the state wants */
/* The peer has ended or reset the connection, as far as the kernel knows: asked for while reading
 * is stopped, when no read can tell. */
bool http_transport_peer_left(const struct http_connection *c);
size_t http_transport_queued(const struct http_connection *c);
uint64_t http_transport_progress(const struct http_connection *c);

/* parser.c */
enum http_parsed { HTTP_PARSE_MORE, HTTP_PARSE_DONE, HTTP_PARSE_REFUSED, HTTP_PARSE_NO_MEMORY };
void http_parser_start(struct http_connection *c);
size_t http_parser_feed(struct http_connection *c, const char *p, size_t n,
                        enum http_parsed *outcome);

/* rules.c: what a complete head must be. 0, or the status of the refusal with its reason. */
int http_rules_check(struct edge_http_request *req, const llhttp_t *ll, const char **reason);
bool http_rules_host_is_valid(const char *host, size_t len, bool port_required);

/* response.c */
void http_response_refuse(struct http_connection *c, int status, const char *reason);
void http_response_continue(struct http_connection *c);

/* request.c */
void http_request_clear(struct http_connection *c); /* ready for the next; big buffers go back */
void http_request_close(struct http_connection *c);
void http_request_count_body(struct http_connection *c); /* body.cap into the server's total */
const char *http_request_next_token(const char **list, size_t *len);

/* listener.c */
const char *http_server_date(struct edge_http_server *server); /* as in the Date field */
void http_server_drop(struct edge_http_server *server); /* the connection that is being offered */
void http_server_connection_freed(struct edge_http_server *server);

#endif
