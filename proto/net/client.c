/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/net/client.h"

#include "proto/base/check.h"
#include "proto/net/dialer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { QUEUE_MAX = 16 * 1024 * 1024 };

struct net_client {
    uv_loop_t uv;
    uv_timer_t limit;
    struct net_loop *loop;
    struct net_tls *tls;
    struct net_dialer *dialer;
    struct net_frame *request; /* until it is sent */
    struct net_frame *reply;
    uint32_t tag;
    bool sent, lost;
};

static void send_request(struct net_client *c, struct net_conn *conn)
{
    struct net_frame *f = c->request;
    c->request = NULL;
    c->sent = true;
    if (net_conn_send(conn, f) != 0) {
        net_frame_free(f);
        c->lost = true;
    }
}

static void on_open(void *ctx, struct net_conn *conn)
{
    struct net_client *c = ctx;
    if (c->request)
        send_request(c, conn);
}

static void on_frame(void *ctx, struct net_conn *conn, struct net_frame *f)
{
    struct net_client *c = ctx;
    (void)conn;
    if (c->sent && !c->reply && f->tag == c->tag)
        c->reply = f;
    else
        net_frame_free(f); /* late */
}

static void on_closed(void *ctx, struct net_conn *conn, const char *cause)
{
    struct net_client *c = ctx;
    (void)conn;
    (void)cause;
    c->lost = c->sent;
}

static void on_limit(uv_timer_t *timer)
{
    (void)timer; /* uv_run returns */
}

int net_client_ask(struct net_client *c, struct net_frame *request, unsigned timeout_ms,
                   struct net_frame **reply, char error[256])
{
    struct net_conn *conn = net_dialer_conn(c->dialer);
    c->tag = c->tag == UINT32_MAX ? 1 : c->tag + 1;
    c->sent = c->lost = false;
    c->reply = NULL;
    c->request = request;
    request->tag = c->tag;
    uv_update_time(&c->uv);
    (void)uv_timer_start(&c->limit, on_limit, timeout_ms, 0);
    if (conn)
        send_request(c, conn);
    while (!c->reply && !c->lost && uv_is_active((uv_handle_t *)&c->limit))
        (void)uv_run(&c->uv, UV_RUN_ONCE);
    (void)uv_timer_stop(&c->limit);
    net_frame_free(c->request);
    c->request = NULL;
    *reply = c->reply;
    if (c->reply)
        return 0;
    (void)snprintf(error, 256, "%s",
                   c->lost   ? "the connection was lost"
                   : c->sent ? "no answer in time"
                             : net_dialer_cause(c->dialer));
    return c->lost ? -ECONNRESET : -ETIMEDOUT;
}

static int open_dialer(struct net_client *c, const struct net_client_config *config,
                       char error[256])
{
    int rv = net_tls_load(&c->tls, &config->tls, error);
    if (rv != 0)
        return rv;
    const struct net_dialer_config dialer = {.address = config->address,
                                             .server_name = config->server_name,
                                             .conn = {.tls = c->tls,
                                                      .frame_max = config->frame_max,
                                                      .queue_max = QUEUE_MAX,
                                                      .calls = {c, on_open, on_frame, on_closed}}};
    return net_dialer_new(&c->dialer, c->loop, &dialer, error);
}

int net_client_new(struct net_client **out, const struct net_client_config *config, char error[256])
{
    struct net_client *c = calloc(1, sizeof *c);
    if (!c || uv_loop_init(&c->uv) != 0 || net_loop_new(&c->loop, &c->uv) != 0) {
        free(c);
        (void)snprintf(error, 256, "out of memory");
        return -ENOMEM;
    }
    (void)uv_timer_init(&c->uv, &c->limit); /* cannot fail */
    int rv = open_dialer(c, config, error);
    if (rv != 0)
        net_client_free(c);
    else
        *out = c;
    return rv;
}

void net_client_free(struct net_client *c)
{
    if (!c)
        return;
    net_loop_close(c->loop, NULL, NULL);
    uv_close((uv_handle_t *)&c->limit, NULL);
    (void)uv_run(&c->uv, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&c->uv) == 0);
    net_tls_free(c->tls);
    free(c);
}
