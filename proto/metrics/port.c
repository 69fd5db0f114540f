/* SPDX-License-Identifier: Apache-2.0
 * See port.h. A connection is read until llhttp has seen one whole request, answered with one
 * buffer and closed:
 *
 *   accept -> read ... -> answer -> written -> close        (the deadline closes at any point)
 *
 * Everything but metrics_port_new and _free runs on the port's thread.
 */
#include "proto/metrics/port.h"

#include "proto/base/log.h"

#include <errno.h>
#include <llhttp.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <uv.h>

enum { PATH_BYTES = 64, HEAD_BYTES = 256, BACKLOG = 16 };

struct client {
    LIST_ENTRY(client) entry;
    struct metrics_port *port;
    uv_tcp_t tcp;
    uv_timer_t deadline;
    uv_write_t writing;
    unsigned open_handles;
    llhttp_t parser;
    size_t taken; /* bytes of the request */
    char path[PATH_BYTES];
    size_t path_n; /* may be past the room: then it is no path of ours */
    bool whole;
    char in[1024];
    char head[HEAD_BYTES];
    struct base_buf body;
};

struct metrics_port {
    uv_loop_t loop;
    uv_thread_t thread;
    uv_tcp_t tcp;
    uv_async_t stop;
    uv_tcp_t dropped; /* takes a connection that there is no memory for, to close it */
    bool dropping;    /* it is in use */
    bool drop_next;   /* another connection waits for it */
    uint16_t number;
    metrics_write *write;
    void *arg;
    llhttp_settings_t settings;
    unsigned n_clients;
    LIST_HEAD(, client) clients;
};

static void on_client_closed(uv_handle_t *handle)
{
    struct client *c = handle->data;
    if (--c->open_handles > 0)
        return;
    base_buf_close(&c->body);
    LIST_REMOVE(c, entry);
    free(c);
}

static void drop(struct client *c)
{
    if (uv_is_closing((uv_handle_t *)&c->tcp))
        return;
    c->port->n_clients--;
    uv_close((uv_handle_t *)&c->tcp, on_client_closed);
    uv_close((uv_handle_t *)&c->deadline, on_client_closed);
}

/* ---- the answer ---- */

static void on_written(uv_write_t *writing, int status)
{
    (void)status;
    drop(writing->data);
}

static const char *fill(struct client *c)
{
    struct metrics_text t = {.out = &c->body};
    if (c->path_n != 8 || memcmp(c->path, "/metrics", 8) != 0) {
        (void)!base_buf_add(&c->body, "only /metrics is here\n", 22);
        return "404 Not Found";
    }
    if (c->parser.method != HTTP_GET && c->parser.method != HTTP_HEAD)
        return "405 Method Not Allowed";
    c->port->write(c->port->arg, &t);
    if (!t.failed)
        return "200 OK";
    base_buf_clear(&c->body);
    return "503 Service Unavailable";
}

static void answer(struct client *c)
{
    const char *status = fill(c);
    size_t body = base_buf_len(&c->body);
    int n = snprintf(c->head, sizeof c->head,
                     "HTTP/1.1 %s\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
                     "Content-Length: %zu\r\nAllow: GET, HEAD\r\nConnection: close\r\n\r\n",
                     status, body);
    uv_buf_t parts[2] = {uv_buf_init(c->head, (unsigned)n),
                         uv_buf_init(base_buf_at(&c->body), (unsigned)body)};
    uv_read_stop((uv_stream_t *)&c->tcp);
    c->writing.data = c;
    bool head_only = body == 0 || c->parser.method == HTTP_HEAD;
    if (uv_write(&c->writing, (uv_stream_t *)&c->tcp, parts, head_only ? 1 : 2, on_written) < 0)
        drop(c);
}

/* ---- the request ---- */

static int on_url(llhttp_t *parser, const char *at, size_t n)
{
    struct client *c = parser->data;
    for (size_t i = 0; i < n; i++, c->path_n++)
        if (c->path_n < PATH_BYTES)
            c->path[c->path_n] = at[i];
    return 0;
}

static int on_url_complete(llhttp_t *parser)
{
    struct client *c = parser->data;
    const char *query = c->path_n <= PATH_BYTES ? memchr(c->path, '?', c->path_n) : NULL;
    if (query != NULL)
        c->path_n = (size_t)(query - c->path);
    return 0;
}

static int on_whole(llhttp_t *parser)
{
    struct client *c = parser->data;
    c->whole = true;
    return HPE_PAUSED;
}

static void on_room(uv_handle_t *handle, size_t wanted, uv_buf_t *room)
{
    struct client *c = handle->data;
    (void)wanted;
    *room = uv_buf_init(c->in, sizeof c->in);
}

static void on_bytes(uv_stream_t *stream, ssize_t n, const uv_buf_t *room)
{
    struct client *c = stream->data;
    if (n == 0)
        return;
    if (n < 0 || (c->taken += (size_t)n) > METRICS_REQUEST_MAX) {
        drop(c);
        return;
    }
    llhttp_errno_t rc = llhttp_execute(&c->parser, room->base, (size_t)n);
    if (c->whole)
        answer(c);
    else if (rc != HPE_OK)
        drop(c);
}

static void on_deadline(uv_timer_t *timer)
{
    drop(timer->data);
}

/* ---- the listener ---- */

static void take(struct metrics_port *p, struct client *c)
{
    c->port = p;
    c->tcp.data = c->deadline.data = c;
    c->open_handles = 2;
    base_buf_init(&c->body, METRICS_TEXT_MAX);
    llhttp_init(&c->parser, HTTP_REQUEST, &p->settings);
    c->parser.data = c;
    LIST_INSERT_HEAD(&p->clients, c, entry);
    p->n_clients++;
    uv_tcp_init(&p->loop, &c->tcp);
    uv_timer_init(&p->loop, &c->deadline);
    if (uv_accept((uv_stream_t *)&p->tcp, (uv_stream_t *)&c->tcp) < 0 ||
        p->n_clients > METRICS_CONNECTIONS_MAX ||
        uv_timer_start(&c->deadline, on_deadline, METRICS_DEADLINE_MS, 0) < 0 ||
        uv_read_start((uv_stream_t *)&c->tcp, on_room, on_bytes) < 0)
        drop(c);
}

static void on_dropped(uv_handle_t *handle);

/* A connection that is not taken with uv_accept would stop the listener for good. */
static void drop_offered(struct metrics_port *p)
{
    if (p->dropping) {
        p->drop_next = true;
        return;
    }
    p->dropping = true;
    p->drop_next = false;
    uv_tcp_init(&p->loop, &p->dropped);
    p->dropped.data = p;
    (void)uv_accept((uv_stream_t *)&p->tcp, (uv_stream_t *)&p->dropped);
    uv_close((uv_handle_t *)&p->dropped, on_dropped);
}

static void on_dropped(uv_handle_t *handle)
{
    struct metrics_port *p = handle->data;
    p->dropping = false;
    if (p->drop_next && !uv_is_closing((uv_handle_t *)&p->tcp))
        drop_offered(p);
}

static void on_connection(uv_stream_t *server, int status)
{
    struct metrics_port *p = server->data;
    struct client *c = status == 0 ? calloc(1, sizeof *c) : NULL;
    if (c != NULL)
        take(p, c);
    else if (status == 0)
        drop_offered(p);
    if (c == NULL)
        base_log_seldom(BASE_LOG_WARN, "metrics_accept_failed",
                        status < 0 ? uv_strerror(status) : "out of memory", NULL);
}

static void on_stop(uv_async_t *async)
{
    struct metrics_port *p = async->data;
    struct client *c;
    LIST_FOREACH(c, &p->clients, entry)
    drop(c);
    uv_close((uv_handle_t *)&p->tcp, NULL);
    uv_close((uv_handle_t *)&p->stop, NULL);
}

static void run(void *arg)
{
    struct metrics_port *p = arg;
    uv_run(&p->loop, UV_RUN_DEFAULT); /* until on_stop has closed every handle */
}

static int listen_on(struct metrics_port *p, const char *host, uint16_t port)
{
    const struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found, *first;
    struct sockaddr_storage a;
    char service[8];
    int n = sizeof a;
    snprintf(service, sizeof service, "%u", port);
    if (getaddrinfo(host, service, &hints, &found) != 0)
        return UV_EADDRNOTAVAIL; /* a name that nobody knows now */
    for (first = found; first != NULL && first->ai_family != AF_INET;)
        first = first->ai_next; /* of both kinds the IPv4 one */
    int rc = uv_tcp_bind(&p->tcp, first != NULL ? first->ai_addr : found->ai_addr, 0);
    freeaddrinfo(found);
    if (rc == 0)
        rc = uv_listen((uv_stream_t *)&p->tcp, BACKLOG, on_connection);
    if (rc == 0)
        rc = uv_tcp_getsockname(&p->tcp, (struct sockaddr *)&a, &n);
    if (rc == 0)
        p->number = ntohs(a.ss_family == AF_INET ? ((struct sockaddr_in *)&a)->sin_port
                                                 : ((struct sockaddr_in6 *)&a)->sin6_port);
    return rc;
}

static void close_loop(struct metrics_port *p)
{
    uv_run(&p->loop, UV_RUN_DEFAULT);
    uv_loop_close(&p->loop);
    free(p);
}

int metrics_port_new(struct metrics_port **out, const char *host, uint16_t port,
                     metrics_write *write, void *arg, char error[METRICS_PORT_ERROR])
{
    struct metrics_port *p = calloc(1, sizeof *p);
    int rc = p != NULL ? uv_loop_init(&p->loop) : -ENOMEM;
    if (rc < 0) {
        snprintf(error, METRICS_PORT_ERROR, "cannot open the metrics port: %s", uv_strerror(rc));
        free(p);
        return rc;
    }
    LIST_INIT(&p->clients);
    p->write = write;
    p->arg = arg;
    llhttp_settings_init(&p->settings);
    p->settings.on_url = on_url;
    p->settings.on_url_complete = on_url_complete;
    p->settings.on_message_complete = on_whole;
    uv_tcp_init(&p->loop, &p->tcp);
    uv_async_init(&p->loop, &p->stop, on_stop);
    p->tcp.data = p->stop.data = p;
    rc = listen_on(p, host, port);
    if (rc == 0)
        rc = uv_thread_create(&p->thread, run, p);
    if (rc < 0) {
        snprintf(error, METRICS_PORT_ERROR, "cannot listen for metrics on %s port %u: %s", host,
                 port, uv_strerror(rc));
        on_stop(&p->stop);
        close_loop(p);
        return rc;
    }
    base_log(BASE_LOG_INFO, "metrics_listening", BASE_S("host", host), BASE_I("port", p->number),
             NULL);
    *out = p;
    return 0;
}

uint16_t metrics_port_number(const struct metrics_port *p)
{
    return p->number;
}

void metrics_port_free(struct metrics_port *p)
{
    if (p == NULL)
        return;
    uv_async_send(&p->stop);
    uv_thread_join(&p->thread);
    uv_loop_close(&p->loop);
    free(p);
}
