/* SPDX-License-Identifier: Apache-2.0
 * From a request to a hold: authenticate, estimate, reserve. The credential goes to the ledger with
 * the reserve, and the ledger alone says whose it is. See exchange.c.
 */
#include "edge/exchange/auth.h"
#include "edge/exchange/exchange_state.h"
#include "edge/http/request.h"
#include "proto/base/log.h"

#include <errno.h>
#include <stdio.h>

enum { IDEMPOTENCY_KEY_MAX = 255 };

static bool copy_header(struct edge_exchange *x, const char *what, char out[PROTO_NAME_MAX + 1])
{
    char name[EDGE_PREFIX_MAX + 16];
    snprintf(name, sizeof name, "%s-%s", x->ctx->config->prefix, what);
    const char *value = edge_http_request_header(x->req, name);
    if (value == NULL)
        return true;
    struct proto_str s = proto_str_of(value);
    if (s.n > PROTO_NAME_MAX || !proto_utf8_clean(s)) {
        edge_error_set(&x->error, 400, "invalid_request_error", "invalid_header",
                       "The header %s must be at most %d bytes of UTF-8.", name, PROTO_NAME_MAX);
        return false;
    }
    memcpy(out, s.p, s.n + 1);
    return true;
}

/* The value itself is the client's affair: only its hash goes to the ledger. */
static bool read_idempotency(struct edge_exchange *x)
{
    const char *value = edge_http_request_header(x->req, "idempotency-key");
    if (value == NULL)
        return true;
    size_t n = strlen(value);
    if (n == 0 || n > IDEMPOTENCY_KEY_MAX) {
        edge_error_set(&x->error, 400, "invalid_request_error", "invalid_header",
                       "The header Idempotency-Key must be 1 to %d bytes.", IDEMPOTENCY_KEY_MAX);
        return false;
    }
    proto_sha256_of(value, n, &x->idempotency);
    return true;
}

void exchange_authenticate(struct edge_exchange *x)
{
    if (!edge_auth_read(x->req, &x->cred, x->public_part, &x->error) ||
        !copy_header(x, "user", x->user) || !copy_header(x, "agent", x->agent) ||
        !copy_header(x, "env", x->env) || !read_idempotency(x)) {
        exchange_refuse(x);
        return;
    }
    size_t n;
    char *body = edge_http_request_body(x->req, &n);
    exchange_move(x, EX_ESTIMATE);
    if (edge_call_read(&x->call, x->api, body, n, &x->error))
        exchange_estimate(x);
    else
        exchange_refuse(x);
}

/* ---- estimate ---- */

static bool find_amount(struct edge_exchange *x, const struct edge_price *price)
{
    size_t bytes = base_buf_len(&x->forwarded);
    if (bytes == 0)
        bytes = x->call.body_len;
    snprintf(x->price_model, sizeof x->price_model, "%s",
             price != NULL ? price->model : x->call.model);
    x->flags = x->call.unbounded != NULL ? PROTO_RESERVE_UNBOUNDED : 0;
    if (price == NULL) {
        x->flags |= PROTO_RESERVE_UNPRICED;
        x->amount_nanos = x->route->unpriced_hold_nanos;
        return true;
    }
    bytes += (size_t)x->route->input_overhead_tokens; /* one token a byte, as all of the input */
    if (edge_call_bound(&x->call, bytes, x->max_output, price->points, price->n_points,
                        &x->amount_nanos) == 0)
        return true;
    edge_error_of_code(&x->error, PROTO_AMOUNT_OVERFLOW);
    return false;
}

static void reserve(struct edge_exchange *x);

void exchange_estimate(struct edge_exchange *x)
{
    struct edge_context *ctx = x->ctx;
    x->route = edge_config_route(ctx->config, x->call.model);
    if (x->route == NULL) {
        edge_error_set(&x->error, 404, "invalid_request_error", "model_not_found",
                       "The model '%s' does not exist here.", x->call.model);
        x->error.param = "model";
        exchange_refuse(x);
        return;
    }
    if (!edge_prices_loaded(ctx->prices) || edge_settlements_full(ctx->settlements)) {
        edge_error_of_ledger(&x->error, LINK_UNAVAILABLE);
        exchange_refuse(x);
        return;
    }
    const struct edge_price *price = edge_prices_of(ctx->prices, x->route, x->call.model);
    x->max_output = edge_call_max_output(&x->call, x->route, ctx->config,
                                         price != NULL ? price->max_output : 0);
    base_buf_clear(&x->forwarded);
    if (!edge_call_reopen(&x->call, &x->error) ||
        !edge_call_edit(&x->call, x->api, x->route, x->max_output, &x->forwarded, &x->error) ||
        !find_amount(x, price)) {
        exchange_refuse(x);
        return;
    }
    edge_call_close(&x->call); /* many times the size of the body: that alone is kept */
    exchange_move(x, EX_RESERVE);
    reserve(x);
}

/* ---- reserve ---- */

/* The outcome is not known: whatever became of the hold, it shall not stay. */
static void forestall(struct edge_exchange *x)
{
    struct edge_settlement_request r = {.cred = x->cred};
    edge_metrics_hold(x->ctx->metrics, EDGE_HOLD_FORESTALLED);
    r.command.head.kind = PROTO_CMD_release;
    r.command.head.ip = (struct proto_str){(const char *)x->ip, x->ip_len};
    r.command.body.release = (struct proto_release){.hold = x->hold, .token = x->token};
    (void)edge_settlement_start(x->ctx->settlements, &r, NULL, NULL);
}

/* x->error is set: what is said if there are no newer prices. */
static void on_prices(void *arg, bool ok)
{
    struct edge_exchange *x = arg;
    if (ok && edge_prices_version(x->ctx->prices) != x->price_version) {
        memset(&x->error, 0, sizeof x->error);
        exchange_estimate(x);
    } else {
        exchange_refuse(x);
    }
}

static void retry_with_prices(struct edge_exchange *x)
{
    x->retried = true;
    exchange_move(x, EX_ESTIMATE);
    x->waiter.call = on_prices;
    x->waiter.arg = x;
    edge_prices_wait(x->ctx->prices, &x->waiter);
}

/* Which model it was, and the catalogue's name for it where that is another. */
static void name_model(struct edge_exchange *x, unsigned code)
{
    struct edge_error *e = &x->error;
    const char *own = x->call.model;
    const char *other = code == PROTO_MODEL_UNPRICED ? x->route->price_model : x->price_model;
    bool two = other[0] != '\0' && strcmp(own, other) != 0;
    uint64_t index = e->ledger_index;
    if (code == PROTO_MODEL_UNPRICED)
        edge_error_set(e, e->status, e->type, e->code,
                       "The model '%s'%s%s%s has no price and cannot be budgeted.", own,
                       two ? " (its price_model: '" : "", two ? other : "", two ? "')" : "");
    else
        edge_error_set(e, e->status, e->type, e->code, "The key may not use the model '%s'%s%s%s.",
                       own, two ? " (in the catalogue '" : "", two ? other : "", two ? "')" : "");
    e->param = "model";
    e->ledger_index = index;
}

static void refused(struct edge_exchange *x, const struct link_answer *a)
{
    unsigned code = a->result->code;
    bool priced = (x->flags & PROTO_RESERVE_UNPRICED) == 0;
    edge_error_of_result(&x->error, a->result, a->index);
    if (code == PROTO_MODEL_UNPRICED || code == PROTO_MODEL_NOT_ALLOWED)
        name_model(x, code);
    if (code == PROTO_STALE_CONFIG) { /* twice: prices are being imported */
        x->error.status = 503;
        x->error.no_retry = false;
        x->error.retry_after_s = 1;
    }
    /* The model may have been priced a moment ago. */
    bool old = code == PROTO_STALE_CONFIG || (code == PROTO_MODEL_UNPRICED && !priced);
    if (old && !x->retried && !x->client_gone) {
        retry_with_prices(x);
        return;
    }
    /* Nothing is wrong with the client's request: what we made of it carries our clock's time. */
    if (code == PROTO_MALFORMED || code == PROTO_COMMAND_TOO_OLD) {
        base_log_seldom(BASE_LOG_ERROR, "reserve_not_accepted", proto_code_name(code),
                        BASE_S("hint", "is this machine's clock right?"), NULL);
        edge_error_of_ledger(&x->error, LINK_REFUSED);
    }
    if (x->call.unbounded != NULL && code == PROTO_UNBOUNDED_REQUEST) {
        edge_error_set(&x->error, 400, "unbounded_request", "unbounded_request",
                       "The cost of this request has no upper bound (%s), and the organisation "
                       "does not allow such requests.",
                       x->call.unbounded);
        x->error.ledger_index = a->index;
    }
    exchange_refuse(x);
}

static void on_reserved(void *arg, const struct link_answer *a)
{
    struct edge_exchange *x = arg;
    metrics_histogram_add(&x->ctx->metrics->reserve, exchange_now_us() - x->asked_us);
    if (a->outcome != LINK_ANSWERED || a->result == NULL) {
        if (a->outcome == LINK_UNKNOWN)
            forestall(x);
        if (a->outcome == LINK_REFUSED)
            base_log_seldom(BASE_LOG_ERROR, "ledger_refuses_edge", a->detail, NULL);
        edge_error_of_ledger(&x->error, a->outcome);
        exchange_refuse(x);
        return;
    }
    if (a->result->code != PROTO_OK || a->result->shape != PROTO_SHAPE_reserved) {
        refused(x, a);
        return;
    }
    const struct proto_reserved *r = &a->result->body.reserved;
    x->held = true;
    x->org = r->org;
    x->index = a->index;
    edge_metrics_hold(x->ctx->metrics, EDGE_HOLD_RESERVED);
    edge_metrics_add(&x->ctx->metrics->held_nanos, (uint64_t)x->amount_nanos);
    if (r->price_version != x->price_version)
        edge_prices_refresh(x->ctx->prices);
    if (x->client_gone)
        exchange_release(x, FINISH_ERROR);
    else
        exchange_forward(x);
}

static void reserve(struct edge_exchange *x)
{
    struct proto_command c = {.head.kind = PROTO_CMD_reserve};
    link_uuid7(&x->hold);
    link_random(x->token.b, sizeof x->token.b);
    x->price_version = edge_prices_version(x->ctx->prices);
    c.head.id = x->hold;
    x->asked_us = exchange_now_us();
    c.head.cred = x->cred;
    c.head.ip = (struct proto_str){(const char *)x->ip, x->ip_len};
    int64_t ttl_ms = x->route->provider->request_timeout_ms + EDGE_HOLD_MARGIN_MS;
    c.body.reserve = (struct proto_reserve){
        .token = x->token,
        .price_version = x->price_version,
        .ttl_us = ttl_ms * 1000,
        .flags = x->flags,
        .customer = proto_str_of(x->call.customer),
        .user = proto_str_of(x->user),
        .agent = proto_str_of(x->agent),
        .env = proto_str_of(x->env),
        .idempotency = x->idempotency,
        .candidates = {.n = 1,
                       .e = {{.model = proto_str_of(x->price_model), .amount = x->amount_nanos}}},
    };
    if (link_client_submit(x->ctx->link, &c, (unsigned)x->ctx->config->reserve_timeout_ms, false,
                           on_reserved, x) < 0) {
        edge_error_of_ledger(&x->error, LINK_UNAVAILABLE);
        exchange_refuse(x);
    }
}
