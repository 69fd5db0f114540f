/* SPDX-License-Identifier: Apache-2.0
 * The call to the provider: what is sent, and what its failure means for the hold. Only a failure
 * before anything was sent releases; after that the provider may have worked, so what is known is
 * settled, marked as an estimate.
 */
#include "edge/exchange/exchange_state.h"

#include "edge/http/request.h"
#include "proto/base/log.h"

#include <stdio.h>

enum { FIELD_BYTES_MAX = 1024 };

/* What passes from the client to the provider, beside the body. Everything else stays here. */
static const char *const passed_fields[] = {"accept", "openai-beta"};
enum { PASSED_FIELDS = sizeof passed_fields / sizeof *passed_fields };

static void fail(struct edge_exchange *x)
{
    const struct upstream_call *up = x->up;
    if (up->timed_out)
        edge_error_set(&x->error, 504, "provider_error", "provider_timeout",
                       "The provider did not answer in time (%s).", up->why);
    else
        edge_error_set(&x->error, 502, "provider_error", "provider_unreachable",
                       "The call to the provider failed (%s).", up->why);
    base_log_seldom(BASE_LOG_WARN, "provider_call_failed", x->route->provider->name,
                    BASE_S("why", up->why), BASE_I("sent", up->end == UPSTREAM_UNKNOWN), NULL);
}

void exchange_stop(struct edge_exchange *x)
{
    bool sent = x->up->end == UPSTREAM_COMPLETE || upstream_was_sent(x->up);
    bool no_cost = x->state == EX_RELAY && x->mode == RELAY_ERROR;
    enum exchange_finish finish = x->began ? FINISH_BROKEN : FINISH_ERROR;
    if (x->meter.done)
        finish = FINISH_STREAM; /* only the end of the connection was missing */
    if (x->state == EX_RELAY)
        exchange_relay_cut(x);
    exchange_stop_call(x);
    if (x->error.status == 0)
        edge_error_set(&x->error, 502, "provider_error", "provider_stopped",
                       "The call to the provider was stopped.");
    if (sent && !no_cost)
        exchange_settle(x, x->meter.done, finish);
    else
        exchange_release(x, finish);
}

static void on_progress(void *arg, struct upstream_call *up)
{
    struct edge_exchange *x = arg;
    if (x->state == EX_FORWARD && up->status != 0) {
        exchange_move(x, EX_RELAY);
        exchange_relay_begin(x);
    }
    if (x->state == EX_RELAY && base_buf_len(&up->in) > 0 && !exchange_relay_bytes(x))
        return;
    if (up->end == UPSTREAM_RUNNING)
        return;
    if (x->state == EX_RELAY) {
        exchange_relay_end(x);
        return;
    }
    bool sent = up->end != UPSTREAM_NOT_SENT;
    fail(x);
    exchange_stop_call(x);
    if (sent)
        exchange_settle(x, false, FINISH_ERROR);
    else
        exchange_release(x, FINISH_ERROR);
}

void exchange_forward(struct edge_exchange *x)
{
    struct upstream_request r = {.provider = x->route->provider, .path = x->api->upstream_path};
    char lines[PASSED_FIELDS][FIELD_BYTES_MAX];
    size_t n = 0;
    exchange_move(x, EX_FORWARD);
    x->asked_us = exchange_now_us();
    for (size_t i = 0; i < PASSED_FIELDS; i++) {
        const char *value = edge_http_request_header(x->req, passed_fields[i]);
        if (value == NULL || strlen(value) > FIELD_BYTES_MAX - 64)
            continue;
        snprintf(lines[n], FIELD_BYTES_MAX, "%s: %s", passed_fields[i], value);
        r.fields[n] = lines[n];
        n++;
    }
    r.body = x->call.body;
    r.body_len = x->call.body_len;
    if (base_buf_len(&x->forwarded) > 0) {
        r.body = base_buf_at(&x->forwarded);
        r.body_len = base_buf_len(&x->forwarded);
    }
    if (upstream_start(x->ctx->upstream, &r, on_progress, x, &x->up) < 0) {
        edge_error_set(&x->error, 503, "server_error", "overloaded", "Out of memory.");
        exchange_release(x, FINISH_ERROR);
    }
}
