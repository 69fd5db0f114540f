/* SPDX-License-Identifier: Apache-2.0
 * Start and end of a worker. The end goes in this order, each step when the one before is through:
 *
 *   drain (finish requests) -> cut (stop provider calls) -> settle (bounded) -> close everything
 *
 * The ledger client is freed before what it calls back into, and that answers whatever still waits.
 */
#include "edge/worker.h"

#include "edge/exchange/exchange.h"
#include "edge/exchange/router.h"
#include "edge/http/request.h"
#include "edge/http/server.h"
#include "proto/base/check.h"
#include "proto/base/log.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { TICK_MS = EDGE_SWEEP_MS, SETTLE_GRACE_MS = 5000 };

enum phase { PHASE_SERVE, PHASE_DRAIN, PHASE_SETTLE, PHASE_CLOSE };

struct edge_worker {
    uv_loop_t loop;
    uv_thread_t thread;
    const struct edge_config *config;
    struct edge_http_server *server; /* the thread's once it runs */
    uint16_t port;
    struct edge_context ctx;
    uv_async_t stop;
    uv_timer_t tick;
    atomic_uint stops; /* calls of edge_worker_drain */
    enum phase phase;
    uint64_t phase_until_ms;
    bool drained;
    unsigned abandoned;
};

/* ---- the HTTP server's callbacks ---- */

static void on_request(void *context, struct edge_http_request *req)
{
    struct edge_worker *w = context;
    edge_router_serve(&w->ctx, req);
}

static void on_client_gone(void *context, struct edge_http_request *req)
{
    struct edge_exchange *x = edge_http_request_user(req);
    (void)context;
    if (x != NULL)
        edge_exchange_client_gone(x);
}

static void on_writable(void *context, struct edge_http_request *req)
{
    struct edge_exchange *x = edge_http_request_user(req);
    (void)context;
    if (x != NULL)
        edge_exchange_writable(x);
}

/* ---- the end ---- */

static void on_drained(void *arg)
{
    struct edge_worker *w = arg;
    w->drained = true;
}

static void enter(struct edge_worker *w, enum phase phase, int64_t limit_ms)
{
    w->phase = phase;
    w->phase_until_ms = uv_now(&w->loop) + (uint64_t)limit_ms;
}

static void close_all(struct edge_worker *w)
{
    enter(w, PHASE_CLOSE, 0);
    edge_settlements_stop(w->ctx.settlements);
    link_client_free(w->ctx.link); /* completes what waits, as unknown: reserves leave a release */
    w->ctx.link = NULL;
    w->abandoned = edge_settlements_count(w->ctx.settlements);
    edge_settlements_close(w->ctx.settlements, NULL, NULL);
    edge_exchange_cut_all(&w->ctx);
    CHECK(TAILQ_EMPTY(&w->ctx.exchanges));
    upstream_close(w->ctx.upstream, NULL, NULL);
    edge_prices_close(w->ctx.prices, NULL, NULL);
    uv_close((uv_handle_t *)&w->stop, NULL);
    uv_close((uv_handle_t *)&w->tick, NULL);
}

static void advance(struct edge_worker *w)
{
    uint64_t now_ms = uv_now(&w->loop);
    bool over = now_ms >= w->phase_until_ms || atomic_load(&w->stops) > 1;
    if (w->phase == PHASE_DRAIN && (w->drained || over)) {
        edge_http_server_close(w->server, NULL, NULL); /* clients that are left are gone now */
        w->server = NULL;
        edge_exchange_cut_all(&w->ctx);
        enter(w, PHASE_SETTLE, SETTLE_GRACE_MS);
        over = atomic_load(&w->stops) > 1;
    }
    bool settled = w->ctx.n_exchanges == 0 && edge_settlements_count(w->ctx.settlements) == 0;
    if (w->phase == PHASE_SETTLE && (settled || over))
        close_all(w);
}

static void set(_Atomic int64_t *gauge, int64_t value)
{
    atomic_store_explicit(gauge, value, memory_order_relaxed);
}

/* What the metrics port shows of this moment. */
static void publish(struct edge_worker *w)
{
    struct edge_gauges *g = &w->ctx.metrics->gauges;
    struct edge_http_stats http = {0};
    set(&g->exchanges, w->ctx.n_exchanges);
    set(&g->settlements, edge_settlements_count(w->ctx.settlements));
    set(&g->ledger_queue, w->ctx.link != NULL ? link_client_queued(w->ctx.link) : 0);
    set(&g->price_version, edge_prices_version(w->ctx.prices));
    set(&g->ledger_answers, edge_prices_ledger_answers(w->ctx.prices));
    set(&g->draining, w->phase != PHASE_SERVE);
    if (w->server == NULL)
        return;
    edge_http_server_stats(w->server, &http);
    set(&g->connections, (int64_t)http.connections);
    set(&g->body_bytes, (int64_t)http.body_bytes);
    atomic_store_explicit(&g->accepted, http.accepted, memory_order_relaxed);
    atomic_store_explicit(&g->overloaded, http.overloaded, memory_order_relaxed);
    atomic_store_explicit(&g->http_refused, http.refused, memory_order_relaxed);
    atomic_store_explicit(&g->clients_gone, http.gone, memory_order_relaxed);
}

static void on_tick(uv_timer_t *timer)
{
    struct edge_worker *w = timer->data;
    edge_exchange_sweep(&w->ctx);
    if (w->phase != PHASE_CLOSE)
        publish(w);
    if (w->phase != PHASE_SERVE)
        advance(w);
}

static void on_stop(uv_async_t *async)
{
    struct edge_worker *w = async->data;
    if (w->phase != PHASE_SERVE)
        return; /* the tick sees the second call */
    enter(w, PHASE_DRAIN, w->config->drain_timeout_ms);
    edge_http_server_drain(w->server, on_drained, w);
}

void edge_worker_drain(struct edge_worker *w)
{
    if (atomic_fetch_add(&w->stops, 1) == 0)
        uv_async_send(&w->stop); /* later calls only count: the handle may be closed */
}

/* ---- the start ---- */

static int listen_on(struct edge_worker *w, struct edge_http_tls *tls, uint16_t port, char *error)
{
    struct edge_http_config http;
    edge_http_config_init(&http);
    http.address = w->config->host;
    http.port = port;
    http.tls = tls;
    http.limits.body_bytes = (size_t)w->config->max_body;
    http.handler = (struct edge_http_handler){.on_request = on_request,
                                              .on_client_gone = on_client_gone,
                                              .on_writable = on_writable,
                                              .refusal_body = edge_router_refusal};
    http.context = w;
    int rc = edge_http_server_new(&w->server, &w->loop, &http);
    if (rc < 0)
        snprintf(error, BASE_CONF_ERROR, "cannot listen on %s port %u: %s", w->config->host, port,
                 uv_strerror(rc));
    return rc;
}

static int open_services(struct edge_worker *w, char *error)
{
    struct link_config link = w->config->link;
    struct edge_context *ctx = &w->ctx;
    link.loop = &w->loop;
    int rc = link_client_new(&ctx->link, &link, error);
    if (rc < 0)
        return rc;
    rc = upstream_new(&ctx->upstream, &w->loop);
    if (rc == 0)
        rc = edge_prices_new(&ctx->prices, &w->loop, ctx->link);
    if (rc == 0)
        rc = edge_settlements_new(&ctx->settlements, &w->loop, ctx->link);
    if (rc < 0)
        snprintf(error, BASE_CONF_ERROR, "cannot start a worker: %s", strerror(-rc));
    return rc;
}

int edge_worker_new(struct edge_worker **out, const struct edge_config *config,
                    struct edge_http_tls *tls, struct edge_metrics *metrics, uint16_t port,
                    char error[BASE_CONF_ERROR])
{
    struct edge_worker *w = calloc(1, sizeof *w);
    if (w == NULL || uv_loop_init(&w->loop) < 0) {
        snprintf(error, BASE_CONF_ERROR, "cannot start a worker: out of memory");
        free(w);
        return -ENOMEM;
    }
    w->config = config;
    w->ctx.metrics = metrics;
    w->ctx.config = config;
    w->ctx.loop = &w->loop;
    TAILQ_INIT(&w->ctx.exchanges);
    uv_async_init(&w->loop, &w->stop, on_stop);
    uv_timer_init(&w->loop, &w->tick);
    w->stop.data = w->tick.data = w;
    uv_timer_start(&w->tick, on_tick, TICK_MS, TICK_MS);
    /* A failure here ends the process: main reports it and exits, so nothing is unwound. */
    int rc = open_services(w, error);
    if (rc == 0)
        rc = listen_on(w, tls, port, error);
    if (rc < 0)
        return rc;
    w->port = edge_http_server_port(w->server);
    *out = w;
    return 0;
}

uint16_t edge_worker_port(const struct edge_worker *w)
{
    return w->port;
}

static void run(void *arg)
{
    struct edge_worker *w = arg;
    uv_run(&w->loop, UV_RUN_DEFAULT); /* until close_all has closed every handle */
}

int edge_worker_start(struct edge_worker *w)
{
    return uv_thread_create(&w->thread, run, w);
}

unsigned edge_worker_join(struct edge_worker *w)
{
    uv_thread_join(&w->thread);
    return w->abandoned;
}

void edge_worker_free(struct edge_worker *w)
{
    uv_loop_close(&w->loop);
    free(w);
}
