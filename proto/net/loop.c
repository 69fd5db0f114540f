/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/net/loop_state.h"

#include <errno.h>
#include <stdlib.h>

void net_loop_hold(struct net_loop *l)
{
    l->handles++;
}

void net_loop_drop(struct net_loop *l)
{
    if (--l->handles > 0)
        return;
    void (*closed)(void *ctx) = l->closed;
    void *ctx = l->closed_ctx;
    struct net_dialer *d;
    while ((d = SLIST_FIRST(&l->dialers)) != NULL) {
        SLIST_REMOVE_HEAD(&l->dialers, entry);
        net_dialer_free(d);
    }
    free(l);
    if (closed)
        closed(ctx);
}

static void on_flush(uv_prepare_t *handle)
{
    struct net_loop *l = handle->data;
    struct net_conn *c;
    while ((c = STAILQ_FIRST(&l->dirty)) != NULL) {
        STAILQ_REMOVE_HEAD(&l->dirty, to_flush);
        c->dirty = false;
        net_conn_flush(c);
    }
}

static void on_sweep(uv_timer_t *timer)
{
    struct net_loop *l = timer->data;
    uint64_t now_ms = uv_now(l->uv);
    struct net_conn *c, *next;
    struct net_listener *n;
    for (c = LIST_FIRST(&l->conns); c; c = next) {
        next = LIST_NEXT(c, entry);
        net_conn_sweep(c, now_ms);
    }
    LIST_FOREACH(n, &l->listeners, entry)
    net_listener_sweep(n);
}

int net_loop_new(struct net_loop **out, uv_loop_t *uv)
{
    struct net_loop *l = calloc(1, sizeof *l);
    if (!l)
        return -ENOMEM;
    l->uv = uv;
    LIST_INIT(&l->conns);
    STAILQ_INIT(&l->dirty);
    LIST_INIT(&l->listeners);
    SLIST_INIT(&l->dialers);
    (void)uv_prepare_init(uv, &l->flush); /* these three cannot fail */
    (void)uv_timer_init(uv, &l->sweep);
    (void)uv_prepare_start(&l->flush, on_flush);
    (void)uv_timer_start(&l->sweep, on_sweep, NET_SWEEP_MS, NET_SWEEP_MS);
    l->flush.data = l->sweep.data = l;
    l->handles = 2;
    *out = l;
    return 0;
}

static void on_handle_closed(uv_handle_t *handle)
{
    net_loop_drop(handle->data);
}

void net_loop_close(struct net_loop *l, void (*closed)(void *ctx), void *ctx)
{
    struct net_conn *c, *next;
    l->closing = true;
    l->closed = closed;
    l->closed_ctx = ctx;
    on_flush(&l->flush); /* what was sent goes out as far as the socket takes it */
    while (!LIST_EMPTY(&l->listeners))
        net_listener_close(LIST_FIRST(&l->listeners));
    struct net_dialer *d;
    SLIST_FOREACH(d, &l->dialers, entry)
    net_dialer_close(d);
    for (c = LIST_FIRST(&l->conns); c; c = next) {
        next = LIST_NEXT(c, entry);
        c->on_end = NULL; /* its maker goes first */
        net_conn_close(c, "closed by us");
    }
    uv_close((uv_handle_t *)&l->flush, on_handle_closed);
    uv_close((uv_handle_t *)&l->sweep, on_handle_closed);
}

uv_loop_t *net_loop_uv(struct net_loop *l)
{
    return l->uv;
}
