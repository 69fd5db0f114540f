/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/conf.h"
#include "proto/base/log.h"
#include "proto/net/loop_state.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BACKLOG = 512 };

static void on_conn_end(void *maker, struct net_conn *c, const char *cause)
{
    struct net_listener *n = maker;
    n->conns--;
    if (!c->was_open)
        base_log_seldom(BASE_LOG_WARN, "connection refused", cause,
                        BASE_S("port", n->config.address), BASE_S("peer", c->peer), NULL);
}

/* The connection that is offered. libuv offers no further one until it is taken: where there is no
 * memory for it, the sweep tries again. */
static void take_offered(struct net_listener *n)
{
    uv_stream_t *stream = (uv_stream_t *)&n->tcp;
    struct net_conn *c = net_conn_new(n->loop, &n->config.conn, NULL);
    n->starved = c == NULL;
    if (!c) {
        base_log_seldom(BASE_LOG_WARN, "connection waits", "out of memory",
                        BASE_S("port", n->config.address), NULL);
        return;
    }
    n->conns++;
    c->maker = n;
    c->on_end = on_conn_end;
    int rv = uv_accept(stream, (uv_stream_t *)&c->tcp);
    if (rv != 0)
        net_conn_close(c, uv_strerror(rv));
    else if (n->conns > n->config.conns_max)
        net_conn_close(c, "too many connections");
    else
        net_conn_start(c);
}

static void on_connection(uv_stream_t *stream, int status)
{
    if (status == 0) /* else libuv makes room where descriptors ran out, and goes on */
        take_offered(stream->data);
}

void net_listener_sweep(struct net_listener *n)
{
    if (n->starved)
        take_offered(n);
}

static void on_closed(uv_handle_t *handle)
{
    struct net_listener *n = handle->data;
    struct net_loop *l = n->loop;
    free((char *)(uintptr_t)n->config.address);
    free(n);
    net_loop_drop(l);
}

void net_listener_close(struct net_listener *n)
{
    LIST_REMOVE(n, entry);
    uv_close((uv_handle_t *)&n->tcp, on_closed);
}

static int fail(char error[256], const char *address, int rv)
{
    (void)snprintf(error, 256, "%s: %s", address, uv_strerror(rv));
    return rv; /* libuv's codes are -errno */
}

static int resolve(struct addrinfo **out, const char *text, char error[256])
{
    char host[NI_MAXHOST], service[8];
    uint16_t port;
    const struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM};
    if (!base_address_split(text, host, sizeof host, &port)) {
        (void)snprintf(error, 256, "%s: not an address: host:port is", text);
        return -EINVAL;
    }
    (void)snprintf(service, sizeof service, "%u", port);
    int rv = getaddrinfo(host, service, &hints, out);
    if (rv != 0) {
        (void)snprintf(error, 256, "%s: %s", text, gai_strerror(rv));
        return -EADDRNOTAVAIL; /* may be otherwise in a while: no matter of configuration */
    }
    return 0;
}

int net_listener_open(struct net_loop *l, const struct net_listener_config *config, char error[256])
{
    struct addrinfo *info = NULL;
    int rv = resolve(&info, config->address, error);
    if (rv != 0)
        return rv;
    struct net_listener *n = calloc(1, sizeof *n);
    char *address = strdup(config->address);
    rv = n && address ? uv_tcp_init(l->uv, &n->tcp) : -ENOMEM;
    if (rv != 0) {
        freeaddrinfo(info);
        free(address);
        free(n);
        return fail(error, config->address, rv);
    }
    n->loop = l;
    n->config = *config;
    n->config.address = address;
    n->tcp.data = n;
    LIST_INSERT_HEAD(&l->listeners, n, entry);
    net_loop_hold(l);
    rv = uv_tcp_bind(&n->tcp, info->ai_addr, 0);
    freeaddrinfo(info);
    if (rv == 0)
        rv = uv_listen((uv_stream_t *)&n->tcp, BACKLOG, on_connection);
    if (rv != 0) {
        rv = fail(error, config->address, rv);
        net_listener_close(n);
    }
    return rv;
}
