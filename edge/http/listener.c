/* SPDX-License-Identifier: Apache-2.0
 * The server: its socket, the turn of the loop in which output is written, deadlines, drain, end.
 * Loop thread.
 */
#include "edge/http/connection.h"

#include "edge/http/tls.h"
#include "proto/base/check.h"
#include "proto/base/log.h"

#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HEAD_BYTES_MIN = 256, HEAD_BYTES_MAX = 1 << 20 };

void edge_http_config_init(struct edge_http_config *config)
{
    *config = (struct edge_http_config){
        .address = "127.0.0.1",
        .limits =
            {
                .head_bytes = 32768,
                .url_bytes = 8192,
                .body_bytes = (size_t)8 << 20,
                .body_total_bytes = (size_t)512 << 20,
                .connections = 10000,
                .head_ms = 10000,
                .body_ms = 60000,
                .idle_ms = 75000,
                .write_ms = 60000,
            },
    };
}

static bool config_is_valid(const struct edge_http_config *config)
{
    const struct edge_http_limits *limits = &config->limits;
    return config->address && config->handler.on_request && limits->head_bytes >= HEAD_BYTES_MIN &&
           limits->head_bytes <= HEAD_BYTES_MAX && limits->url_bytes && limits->connections &&
           limits->head_ms && limits->body_ms && limits->idle_ms && limits->write_ms;
}

const char *http_server_date(struct edge_http_server *server)
{
    time_t now = time(NULL);
    if (now != server->date_second) {
        struct tm tm;
        gmtime_r(&now, &tm);
        (void)strftime(server->date, sizeof server->date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
        server->date_second = now;
    }
    return server->date;
}

/* ---- end of life ---- */

static void on_handle_closed(uv_handle_t *handle)
{
    struct edge_http_server *server = handle->data;
    if (--server->handles)
        return;
    void (*on_closed)(void *) = server->on_closed;
    void *arg = server->closed_arg;
    free(server);
    if (on_closed)
        on_closed(arg);
}

/* What is due once the listener is closed and no connection is left. */
static void settle_end(struct edge_http_server *server)
{
    if (!server->listener_closed || server->connections_count)
        return;
    void (*on_drained)(void *) = server->on_drained;
    server->on_drained = NULL;
    if (server->closing) {
        uv_close((uv_handle_t *)&server->prepare, on_handle_closed);
        uv_close((uv_handle_t *)&server->sweep, on_handle_closed);
        server->closing = false; /* once */
    }
    if (on_drained)
        on_drained(server->drained_arg);
}

void http_server_connection_freed(struct edge_http_server *server)
{
    settle_end(server);
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct edge_http_server *server = handle->data;
    server->listener_closed = true;
    settle_end(server);
    on_handle_closed(handle);
}

static void stop_accepting(struct edge_http_server *server)
{
    server->draining = true;
    if (!uv_is_closing((uv_handle_t *)&server->listener))
        uv_close((uv_handle_t *)&server->listener, on_listener_closed);
}

void edge_http_server_drain(struct edge_http_server *server, void (*on_drained)(void *arg),
                            void *arg)
{
    struct http_connection *c;
    server->on_drained = on_drained;
    server->drained_arg = arg;
    stop_accepting(server);
    /* Nothing is freed inside the loop: that waits for uv, or for the prepare handle. */
    TAILQ_FOREACH(c, &server->connections, all)
    {
        if (c->state == CONN_IDLE || c->state == CONN_HANDSHAKE)
            http_connection_end_of_input(c);
    }
    settle_end(server);
}

void edge_http_server_close(struct edge_http_server *server, void (*on_closed)(void *arg),
                            void *arg)
{
    struct http_connection *c;
    server->closing = true;
    server->on_drained = NULL;
    server->on_closed = on_closed;
    server->closed_arg = arg;
    stop_accepting(server);
    TAILQ_FOREACH(c, &server->connections, all)
    {
        http_connection_close(c);
    }
    settle_end(server);
}

/* ---- the loop's turns ---- */

static void on_prepare(uv_prepare_t *handle)
{
    struct edge_http_server *server = handle->data;
    struct http_connection *c;
    while ((c = TAILQ_FIRST(&server->dirty))) {
        TAILQ_REMOVE(&server->dirty, c, dirty);
        c->is_dirty = false;
        http_connection_advance(c);
    }
    uv_unref((uv_handle_t *)handle);
}

static void on_sweep(uv_timer_t *timer)
{
    struct edge_http_server *server = timer->data;
    struct http_connection *c;
    uint64_t now_ms = uv_now(server->loop);
    TAILQ_FOREACH(c, &server->connections, all)
    {
        http_connection_expire(c, now_ms);
    }
}

/* A connection that is not taken with uv_accept would stop the listener for good. */
static void on_dropped(uv_handle_t *handle);

void http_server_drop(struct edge_http_server *server)
{
    if (server->dropping) {
        server->drop_next = true;
        return;
    }
    if (uv_tcp_init(server->loop, &server->dropped) != 0)
        return;
    server->dropping = true;
    server->handles++;
    server->dropped.data = server;
    (void)uv_accept((uv_stream_t *)&server->listener, (uv_stream_t *)&server->dropped);
    uv_close((uv_handle_t *)&server->dropped, on_dropped);
}

static void on_dropped(uv_handle_t *handle)
{
    struct edge_http_server *server = handle->data;
    server->dropping = false;
    if (server->drop_next && !uv_is_closing((uv_handle_t *)&server->listener)) {
        server->drop_next = false;
        http_server_drop(server);
    }
    on_handle_closed(handle);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct edge_http_server *server = listener->data;
    if (status < 0) {
        base_log_seldom(BASE_LOG_WARN, "accept_failed", uv_strerror(status), NULL);
        return;
    }
    size_t limit = server->config.limits.connections;
    enum http_admission admission = HTTP_ADMIT_SERVE;
    if (server->connections_count >= limit + OVERLOAD_CONNECTIONS)
        admission = HTTP_ADMIT_CUT;
    else if (server->connections_count >= limit)
        admission = HTTP_ADMIT_REFUSE;
    server->stats.accepted++;
    if (admission != HTTP_ADMIT_SERVE)
        server->stats.overloaded++;
    int rv = http_connection_accept(server, admission);
    if (rv)
        base_log_seldom(BASE_LOG_WARN, "connection_failed", uv_strerror(rv), NULL);
}

/* ---- start ---- */

/* Of a name with addresses of both kinds the IPv4 one, as everybody means by localhost. */
static int parse_address(const struct edge_http_config *config, struct sockaddr_storage *addr,
                         socklen_t *len)
{
    const struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found, *a;
    char service[8];
    snprintf(service, sizeof service, "%u", config->port);
    if (getaddrinfo(config->address, service, &hints, &found) != 0)
        return -EADDRNOTAVAIL; /* a name that nobody knows now */
    for (a = found; a != NULL && a->ai_family != AF_INET;)
        a = a->ai_next;
    if (a == NULL)
        a = found;
    *len = a->ai_addrlen;
    memcpy(addr, a->ai_addr, a->ai_addrlen);
    freeaddrinfo(found);
    return 0;
}

/* uv_tcp_bind cannot set SO_REUSEPORT before libuv 1.49: the socket is made by hand. */
static int bind_socket(const struct edge_http_config *config, int *out, uint16_t *port)
{
    struct sockaddr_storage addr;
    socklen_t len;
    int rv = parse_address(config, &addr, &len);
    if (rv)
        return rv;
    int fd = socket(addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0 ||
        bind(fd, (struct sockaddr *)&addr, len) != 0 ||
        getsockname(fd, (struct sockaddr *)&addr, &len) != 0) {
        rv = -errno;
        close(fd);
        return rv;
    }
    *port = ntohs(addr.ss_family == AF_INET ? ((struct sockaddr_in *)&addr)->sin_port
                                            : ((struct sockaddr_in6 *)&addr)->sin6_port);
    *out = fd;
    return 0;
}

int edge_http_port_free(const char *address, uint16_t port)
{
    const struct edge_http_config config = {.address = address, .port = port};
    struct sockaddr_storage addr;
    socklen_t len;
    const int on = 1;
    int rv = parse_address(&config, &addr, &len);
    if (rv || port == 0)
        return rv;
    int fd = socket(addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    rv = bind(fd, (struct sockaddr *)&addr, len) != 0 ? -errno : 0;
    close(fd);
    return rv;
}

static int listen_on(struct edge_http_server *server)
{
    int fd = -1;
    int rv = bind_socket(&server->config, &fd, &server->port);
    if (rv)
        return rv;
    rv = uv_tcp_open(&server->listener, fd);
    if (rv) {
        close(fd);
        return rv;
    }
    return uv_listen((uv_stream_t *)&server->listener, LISTEN_BACKLOG, on_connection);
}

/* libuv writes without MSG_NOSIGNAL: a peer's reset would end the process. */
static void ignore_sigpipe(void)
{
    struct sigaction action;
    if (sigaction(SIGPIPE, NULL, &action) == 0 && action.sa_handler == SIG_DFL) {
        action.sa_handler = SIG_IGN;
        (void)sigaction(SIGPIPE, &action, NULL);
    }
}

int edge_http_server_new(struct edge_http_server **out, uv_loop_t *loop,
                         const struct edge_http_config *config)
{
    if (!config_is_valid(config))
        return -EINVAL;
    struct edge_http_server *server = calloc(1, sizeof *server);
    if (!server)
        return -ENOMEM;
    ignore_sigpipe();
    server->loop = loop;
    server->config = *config;
    TAILQ_INIT(&server->connections);
    TAILQ_INIT(&server->dirty);
    int rv = uv_tcp_init(loop, &server->listener);
    if (rv) {
        free(server);
        return rv;
    }
    CHECK(uv_prepare_init(loop, &server->prepare) == 0);
    CHECK(uv_timer_init(loop, &server->sweep) == 0);
    server->handles = 3;
    server->listener.data = server->prepare.data = server->sweep.data = server;
    rv = listen_on(server);
    if (rv == 0)
        rv = uv_prepare_start(&server->prepare, on_prepare);
    if (rv == 0)
        rv = uv_timer_start(&server->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
    if (rv) { /* the loop frees it on its next turn */
        edge_http_server_close(server, NULL, NULL);
        return rv;
    }
    /* Listener and connections keep the loop alive; these two need not. */
    uv_unref((uv_handle_t *)&server->prepare);
    uv_unref((uv_handle_t *)&server->sweep);
    server->config.address = NULL; /* the caller's string, not needed again */
    *out = server;
    return 0;
}

uint16_t edge_http_server_port(const struct edge_http_server *server)
{
    return server->port;
}

void edge_http_server_stats(const struct edge_http_server *server, struct edge_http_stats *out)
{
    *out = server->stats;
    out->connections = server->connections_count;
}
