/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/conf.h"
#include "proto/net/loop_state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void attempt(struct net_dialer *d);

static void on_timer(uv_timer_t *timer)
{
    attempt(timer->data);
}

static void wait_and_retry(struct net_dialer *d, const char *cause)
{
    (void)snprintf(d->cause, sizeof d->cause, "%s", cause);
    (void)uv_timer_start(&d->timer, on_timer, d->delay_ms, 0);
    d->delay_ms = d->delay_ms * 2 > NET_REDIAL_MAX_MS ? NET_REDIAL_MAX_MS : d->delay_ms * 2;
}

static void on_conn_end(void *maker, struct net_conn *c, const char *cause)
{
    struct net_dialer *d = maker;
    if (c != d->conn)
        return; /* given up by a redial */
    d->conn = NULL;
    if (c->was_open)
        d->delay_ms = NET_REDIAL_MIN_MS;
    wait_and_retry(d, cause);
}

static void on_connected(uv_connect_t *req, int status)
{
    struct net_conn *c = req->data;
    if (c->state == NET_CONN_CLOSED)
        return;
    if (status < 0)
        net_conn_close(c, uv_strerror(status));
    else
        net_conn_start(c);
}

static void dial(struct net_dialer *d, const struct sockaddr *to)
{
    struct net_conn *c = net_conn_new(d->loop, &d->conn_config, d->server_name);
    if (!c) {
        wait_and_retry(d, "out of memory");
        return;
    }
    d->conn = c;
    c->maker = d;
    c->on_end = on_conn_end;
    c->connect.data = c;
    int rv = uv_tcp_connect(&c->connect, &c->tcp, to, on_connected);
    if (rv != 0)
        net_conn_close(c, uv_strerror(rv));
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *info)
{
    struct net_dialer *d = req->data;
    unsigned n = 0;
    d->resolving = false;
    if (!d->closing && d->moved) {
        d->moved = false;
        wait_and_retry(d, "moved");
    } else if (!d->closing && status == 0) {
        const struct addrinfo *a;
        for (a = info; a; a = a->ai_next)
            n++;
        n = n ? d->turn++ % n : 0;
        for (a = info; n > 0; n--)
            a = a->ai_next;
        dial(d, a->ai_addr);
    } else if (!d->closing) {
        wait_and_retry(d, uv_strerror(status));
    }
    uv_freeaddrinfo(info);
    net_loop_drop(d->loop);
}

static bool numeric(const struct net_dialer *d, struct sockaddr_storage *out)
{
    return uv_ip4_addr(d->host, d->port, (struct sockaddr_in *)out) == 0 ||
           uv_ip6_addr(d->host, d->port, (struct sockaddr_in6 *)out) == 0;
}

static void attempt(struct net_dialer *d)
{
    struct sockaddr_storage to;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    if (d->conn || d->resolving)
        return;
    if (numeric(d, &to)) {
        dial(d, (const struct sockaddr *)&to);
        return;
    }
    d->resolve.data = d;
    char service[8];
    (void)snprintf(service, sizeof service, "%u", d->port);
    int rv = uv_getaddrinfo(d->loop->uv, &d->resolve, on_resolved, d->host, service, &hints);
    if (rv != 0) {
        wait_and_retry(d, uv_strerror(rv));
        return;
    }
    d->resolving = true;
    net_loop_hold(d->loop);
}

int net_dialer_new(struct net_dialer **out, struct net_loop *l,
                   const struct net_dialer_config *config, char error[256])
{
    if (!config->server_name || !config->server_name[0]) {
        (void)snprintf(error, 256, "the server's name is needed: it is checked");
        return -EINVAL;
    }
    struct net_dialer *d = calloc(1, sizeof *d);
    if (d)
        d->server_name = strdup(config->server_name);
    if (!d || !d->server_name) {
        free(d);
        (void)snprintf(error, 256, "out of memory");
        return -ENOMEM;
    }
    if (!base_address_split(config->address, d->host, sizeof d->host, &d->port) || d->port == 0) {
        (void)snprintf(error, 256, "%s: not an address: host:port is", config->address);
        free(d->server_name);
        free(d);
        return -EINVAL;
    }
    d->loop = l;
    d->conn_config = config->conn;
    d->delay_ms = NET_REDIAL_MIN_MS;
    (void)uv_timer_init(l->uv, &d->timer);
    d->timer.data = d;
    SLIST_INSERT_HEAD(&l->dialers, d, entry);
    net_loop_hold(l);
    (void)uv_timer_start(&d->timer, on_timer, 0, 0);
    *out = d;
    return 0;
}

void net_dialer_redial(struct net_dialer *d)
{
    struct net_conn *c = d->conn;
    d->conn = NULL;
    if (c)
        net_conn_close(c, "given up: no sign of life");
    d->delay_ms = NET_REDIAL_MIN_MS;
    (void)uv_timer_start(&d->timer, on_timer, 0, 0);
}

int net_dialer_move(struct net_dialer *d, const char *address, const char *server_name,
                    char error[256])
{
    char host[NET_HOST_MAX];
    uint16_t port;
    if (!base_address_split(address, host, sizeof host, &port) || port == 0) {
        (void)snprintf(error, 256, "%s: not an address: host:port is", address);
        return -EINVAL;
    }
    char *name = strdup(server_name);
    if (!name) {
        (void)snprintf(error, 256, "out of memory");
        return -ENOMEM;
    }
    free(d->server_name);
    d->server_name = name;
    memcpy(d->host, host, sizeof host);
    d->port = port;
    d->moved = d->resolving;
    net_dialer_redial(d);
    return 0;
}

struct net_conn *net_dialer_conn(struct net_dialer *d)
{
    return d->conn && d->conn->state == NET_CONN_OPEN ? d->conn : NULL;
}

const char *net_dialer_cause(const struct net_dialer *d)
{
    return d->cause;
}

static void on_timer_closed(uv_handle_t *handle)
{
    const struct net_dialer *d = handle->data;
    net_loop_drop(d->loop);
}

/* The loop closes the connection. */
void net_dialer_close(struct net_dialer *d)
{
    d->closing = true;
    d->conn = NULL;
    uv_close((uv_handle_t *)&d->timer, on_timer_closed);
}

void net_dialer_free(struct net_dialer *d)
{
    free(d->server_name);
    free(d);
}
