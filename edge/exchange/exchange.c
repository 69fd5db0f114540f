/* SPDX-License-Identifier: Apache-2.0
 * The exchange's life and its one function that changes state.
 *
 *   READ -> AUTHENTICATE -> ESTIMATE <-> RESERVE -> FORWARD -> RELAY -> SETTLE --> DONE
 *     |          |              |           |          |         |                ^
 *     |          |              |           |          '---------'-> RELEASE -----|
 *     '----------'--------------'-----------'-------------------------------------'
 *
 * Before RESERVE nothing is held, so an exchange may end at any point. RESERVE ends in ESTIMATE
 * when the prices were out of date (once). From FORWARD on there is a hold, and the only ways to
 * DONE are SETTLE (the provider may have worked) and RELEASE (it certainly has not, or said so):
 * whatever happens to the client in the meantime. A reserve without an answer leaves for DONE with
 * a release of its own (settlement.h), which forestalls the hold should it still come.
 */
#include "edge/exchange/exchange_state.h"

#include "edge/http/request.h"
#include "edge/http/response.h"
#include "proto/base/check.h"
#include "proto/base/log.h"

#include <arpa/inet.h>
#include <stdlib.h>

#define TO(state) (1u << (state))

static const uint16_t moves[EX_STATES] = {
    [EX_READ] = TO(EX_AUTHENTICATE) | TO(EX_DONE),
    [EX_AUTHENTICATE] = TO(EX_ESTIMATE) | TO(EX_DONE),
    [EX_ESTIMATE] = TO(EX_RESERVE) | TO(EX_DONE),
    [EX_RESERVE] = TO(EX_ESTIMATE) | TO(EX_FORWARD) | TO(EX_RELEASE) | TO(EX_DONE),
    [EX_FORWARD] = TO(EX_RELAY) | TO(EX_SETTLE) | TO(EX_RELEASE),
    [EX_RELAY] = TO(EX_SETTLE) | TO(EX_RELEASE),
    [EX_SETTLE] = TO(EX_DONE),
    [EX_RELEASE] = TO(EX_DONE),
    [EX_DONE] = 0,
};

void exchange_move(struct edge_exchange *x, enum exchange_state next)
{
    CHECK((moves[x->state] & TO(next)) != 0);
    bool holds = next == EX_FORWARD || next == EX_RELAY || next == EX_SETTLE || next == EX_RELEASE;
    CHECK(!holds || x->held);
    CHECK(x->up == NULL || next == EX_RELAY);
    CHECK(next != EX_DONE || !x->held); /* SETTLE and RELEASE have handed it on */
    x->state = next;
}

static void note_ip(struct edge_exchange *x)
{
    const char *peer = edge_http_request_peer(x->req);
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    uint8_t six[16];
    if (inet_pton(AF_INET, peer, x->ip) == 1) {
        x->ip_len = 4;
    } else if (inet_pton(AF_INET6, peer, six) == 1) {
        bool is_four = memcmp(six, mapped, sizeof mapped) == 0;
        x->ip_len = is_four ? 4 : 16;
        memcpy(x->ip, is_four ? six + 12 : six, x->ip_len);
    }
}

void edge_exchange_start(struct edge_context *ctx, struct edge_http_request *req,
                         const struct edge_api *api)
{
    struct edge_exchange *x = calloc(1, sizeof *x);
    if (x == NULL) {
        edge_http_abort(req);
        return;
    }
    x->ctx = ctx;
    x->req = req;
    x->api = api;
    x->state = EX_READ;
    x->started_ms = uv_now(ctx->loop);
    base_buf_init(&x->forwarded, 0); /* the body's own bound, and a few names */
    base_buf_init(&x->out, 0);
    base_buf_init(&x->answer, EDGE_ANSWER_MAX);
    TAILQ_INSERT_TAIL(&ctx->exchanges, x, entry);
    ctx->n_exchanges++;
    edge_http_request_set_user(req, x);
    note_ip(x);
    exchange_move(x, EX_AUTHENTICATE);
    exchange_authenticate(x);
}

uint64_t exchange_now_us(void)
{
    return uv_hrtime() / 1000;
}

static void log_request(const struct edge_exchange *x)
{
    char hold[PROTO_UUID_TEXT] = "", org[PROTO_UUID_TEXT] = "";
    if (!x->ctx->config->debug_log)
        return;
    if (!proto_uuid_none(&x->hold))
        proto_uuid_print(&x->hold, hold);
    if (!proto_uuid_none(&x->org))
        proto_uuid_print(&x->org, org);
    base_log(BASE_LOG_DEBUG, "request", BASE_S("path", x->api->path),
             BASE_S("model", x->call.model),
             BASE_I("status", x->finish == FINISH_ERROR ? x->error.status : x->status),
             BASE_S("key", x->public_part), BASE_S("org", org), BASE_S("hold", hold),
             BASE_I("charged_nanos", x->charged_nanos), BASE_I("index", x->index),
             BASE_I("client_gone", x->client_gone), BASE_S("error", x->error.code),
             BASE_I("ms", uv_now(x->ctx->loop) - x->started_ms), NULL);
}

void exchange_free(struct edge_exchange *x)
{
    CHECK(x->state == EX_DONE && x->up == NULL && x->settlement == NULL);
    log_request(x);
    metrics_histogram_add(&x->ctx->metrics->request, (uv_now(x->ctx->loop) - x->started_ms) * 1000);
    edge_prices_unwait(x->ctx->prices, &x->waiter);
    TAILQ_REMOVE(&x->ctx->exchanges, x, entry);
    x->ctx->n_exchanges--;
    edge_call_close(&x->call);
    edge_sse_close(&x->sse);
    base_buf_close(&x->forwarded);
    base_buf_close(&x->out);
    base_buf_close(&x->answer);
    explicit_bzero(&x->cred, sizeof x->cred);
    explicit_bzero(&x->token, sizeof x->token);
    free(x);
}

void exchange_refuse(struct edge_exchange *x)
{
    x->finish = FINISH_ERROR;
    exchange_move(x, EX_DONE);
    exchange_answer(x);
    exchange_free(x);
}

static enum edge_call_end call_end(const struct edge_exchange *x)
{
    switch (x->up->end) {
    case UPSTREAM_COMPLETE:
        return EDGE_CALL_ANSWERED;
    case UPSTREAM_NOT_SENT:
        return EDGE_CALL_NOT_SENT;
    case UPSTREAM_UNKNOWN:
        return x->up->timed_out     ? EDGE_CALL_TIMED_OUT
               : x->up->status != 0 ? EDGE_CALL_BROKEN
                                    : EDGE_CALL_UNKNOWN;
    default: /* only the end of its connection may be missing */
        return x->meter.done ? EDGE_CALL_ANSWERED : EDGE_CALL_STOPPED;
    }
}

void exchange_stop_call(struct edge_exchange *x)
{
    if (x->up == NULL)
        return;
    edge_metrics_call(x->ctx->metrics, x->ctx->config, x->route->provider, call_end(x),
                      exchange_now_us() - x->asked_us);
    upstream_free(x->up);
    x->up = NULL;
}

/* ---- the client, and time ---- */

void edge_exchange_client_gone(struct edge_exchange *x)
{
    x->client_gone = true;
    switch (x->state) {
    case EX_ESTIMATE: /* waiting for prices */
        exchange_refuse(x);
        break;
    case EX_FORWARD:
        /* A whole answer is waited for: its cost will then be known, not guessed. */
        if (x->call.stream || !upstream_was_sent(x->up))
            exchange_stop(x);
        break;
    case EX_RELAY:
        if (x->mode == RELAY_STREAM)
            exchange_stop(x);
        break;
    default: /* the ledger's answer comes in any case */
        break;
    }
}

void edge_exchange_writable(struct edge_exchange *x)
{
    if (x->state == EX_RELAY && x->up != NULL)
        upstream_hold(x->up, false); /* may go on to the end of x */
}

void edge_exchange_sweep(struct edge_context *ctx)
{
    struct edge_exchange *x, *next;
    uint64_t now_ms = uv_now(ctx->loop);
    for (x = TAILQ_FIRST(&ctx->exchanges); x != NULL; x = next) {
        next = TAILQ_NEXT(x, entry);
        if ((x->state == EX_SETTLE || x->state == EX_RELEASE) && now_ms >= x->wait_until_ms)
            exchange_wait_over(x);
        else if (x->state == EX_RELAY && x->meter.done &&
                 now_ms - x->done_at_ms >= EDGE_DONE_GRACE_MS)
            exchange_stop(x);
    }
}

void edge_exchange_cut_all(struct edge_context *ctx)
{
    struct edge_exchange *x, *next;
    for (x = TAILQ_FIRST(&ctx->exchanges); x != NULL; x = next) {
        next = TAILQ_NEXT(x, entry);
        if (x->state == EX_FORWARD || x->state == EX_RELAY) {
            edge_error_set(&x->error, 503, "server_error", "shutting_down",
                           "The gateway is shutting down.");
            exchange_stop(x);
        } else if (x->state == EX_ESTIMATE) {
            edge_error_of_ledger(&x->error, LINK_UNAVAILABLE);
            exchange_refuse(x);
        }
    }
}
