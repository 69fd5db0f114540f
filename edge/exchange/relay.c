/* SPDX-License-Identifier: Apache-2.0
 * The provider's answer on its way to the client. A stream is passed on as it comes, held back only
 * while its client is slow; a whole answer is kept until it is settled. Called in the loop's turn,
 * never inside curl.
 */
#include "edge/exchange/exchange_state.h"

#include "edge/http/request.h"
#include "edge/http/response.h"
#include "edge/http/server.h"
#include "proto/base/log.h"

#include <stdio.h>
#include <strings.h>

static bool on_event(void *arg, const char *data, size_t n)
{
    struct edge_exchange *x = arg;
    bool was_done = x->meter.done;
    bool hidden = x->api->event(&x->call, &x->meter, data, n);
    if (x->meter.done && !was_done)
        x->done_at_ms = uv_now(x->ctx->loop);
    return hidden;
}

static void begin_stream(struct edge_exchange *x)
{
    char hold_name[EDGE_PREFIX_MAX + 16], hold[PROTO_UUID_TEXT];
    char trailer[2 * (EDGE_PREFIX_MAX + 16) + 2];
    const char *prefix = x->ctx->config->prefix;
    snprintf(hold_name, sizeof hold_name, "%s-hold", prefix);
    snprintf(trailer, sizeof trailer, "%s-request-cost, %s-receipt", prefix, prefix);
    proto_uuid_print(&x->hold, hold);
    const struct edge_http_header headers[] = {
        {"content-type", upstream_field(x->up, "content-type")},
        {"cache-control", "no-cache"},
        {"x-request-id", upstream_field(x->up, "x-request-id")},
        {"openai-processing-ms", upstream_field(x->up, "openai-processing-ms")},
        {hold_name, hold},
    };
    x->began = true;
    edge_sse_init(&x->sse, on_event, x);
    edge_http_begin(x->req, x->status, headers, sizeof headers / sizeof *headers,
                    EDGE_HTTP_LENGTH_UNKNOWN, trailer);
}

static void copy_field(const struct edge_exchange *x, const char *name, char *out, size_t cap)
{
    const char *value = upstream_field(x->up, name);
    if (value != NULL && strlen(value) < cap)
        memcpy(out, value, strlen(value) + 1);
}

void exchange_relay_begin(struct edge_exchange *x)
{
    const char *type = upstream_field(x->up, "content-type");
    x->status = x->up->status;
    edge_metrics_first_byte(x->ctx->metrics, x->ctx->config, x->route->provider,
                            exchange_now_us() - x->asked_us);
    copy_field(x, "content-type", x->content_type, sizeof x->content_type);
    copy_field(x, "x-request-id", x->request_id, sizeof x->request_id);
    copy_field(x, "retry-after", x->retry_after, sizeof x->retry_after);
    if (x->status >= 300) {
        x->mode = RELAY_ERROR;
    } else if (type != NULL && strncasecmp(type, "text/event-stream", 17) == 0) {
        x->mode = RELAY_STREAM;
        begin_stream(x);
    } else {
        x->mode = RELAY_ANSWER;
    }
}

static void fail(struct edge_exchange *x, const char *code, const char *message)
{
    edge_error_set(&x->error, 502, "provider_error", code, "%s", message);
    base_log_seldom(BASE_LOG_WARN, code, x->route->provider->name, BASE_I("status", x->status),
                    BASE_S("path", x->api->upstream_path), NULL);
}

/* False: the exchange was stopped, and may be gone. */
static bool pass_on(struct edge_exchange *x, int rc)
{
    struct base_buf *out = &x->out;
    if (rc < 0) { /* no memory: what was passed on stays, the rest is lost to this client */
        base_buf_clear(out);
        exchange_stop(x);
        return false;
    }
    if (base_buf_len(out) == 0)
        return true;
    size_t queued = edge_http_write(x->req, base_buf_at(out), base_buf_len(out));
    base_buf_clear(out);
    if (queued >= EDGE_HTTP_HIGH_WATER)
        upstream_hold(x->up, true);
    return true;
}

bool exchange_relay_bytes(struct edge_exchange *x)
{
    struct base_buf *in = &x->up->in;
    size_t n = base_buf_len(in);
    if (x->mode == RELAY_STREAM) {
        int rc = edge_sse_feed(&x->sse, base_buf_at(in), n, &x->out);
        base_buf_clear(in);
        return pass_on(x, rc);
    }
    size_t room = x->mode == RELAY_ERROR ? EDGE_ERROR_ANSWER_MAX : EDGE_ANSWER_MAX;
    bool fits =
        base_buf_len(&x->answer) + n <= room && base_buf_add(&x->answer, base_buf_at(in), n) == 0;
    if (!fits) {
        fail(x, "provider_answer_too_large", "The provider's answer is too large.");
        exchange_stop(x);
        return false;
    }
    base_buf_clear(in);
    return true;
}

/* The provider's own number for the call, from a field of its answer (F8). */
static void trust_cost_field(struct edge_exchange *x)
{
    const char *cost = upstream_field(x->up, x->route->provider->cost_header);
    struct edge_usage *usage = &x->meter.usage;
    if (cost != NULL && x->route->provider->trust_cost)
        usage->has_cost = edge_usage_cost(proto_str_of(cost), &usage->cost_nanos);
}

void exchange_relay_cut(struct edge_exchange *x)
{
    if (x->mode == RELAY_STREAM) {
        x->meter.text_bytes += (int64_t)edge_sse_unjudged(&x->sse);
        trust_cost_field(x); /* counts only for a stream that was done */
    } else {
        x->meter.text_bytes += (int64_t)(base_buf_len(&x->answer) + base_buf_len(&x->up->in));
    }
}

static void end_stream(struct edge_exchange *x, bool complete)
{
    if (complete) {
        int rc = edge_sse_finish(&x->sse, &x->out);
        bool cut = base_buf_len(&x->out) > 0; /* an event without its blank line */
        if (rc == 0 && cut)
            rc = base_buf_add(&x->out, "\n\n", 2); /* so that our comment is one */
        if (rc < 0)
            complete = false;
        else if (cut)
            edge_http_write(x->req, base_buf_at(&x->out), base_buf_len(&x->out));
        base_buf_clear(&x->out);
    } else {
        fail(x, "provider_stream_broken", "The provider's stream broke off.");
    }
    exchange_relay_cut(x);
    exchange_stop_call(x);
    bool whole = complete || x->meter.done;
    exchange_settle(x, whole, whole ? FINISH_STREAM : FINISH_BROKEN);
}

void exchange_relay_end(struct edge_exchange *x)
{
    bool complete = x->up->end == UPSTREAM_COMPLETE;
    if (x->mode == RELAY_STREAM) {
        end_stream(x, complete);
        return;
    }
    if (!complete)
        fail(x, "provider_answer_broken", "The provider's answer broke off.");
    if (x->mode == RELAY_ERROR) {
        enum exchange_finish finish = complete ? FINISH_ANSWER : FINISH_ERROR;
        if (complete && (x->status == 401 || x->status < 400)) {
            /* About the gateway's own key or address: not the client's business. */
            fail(x, "provider_misconfigured", "The provider did not accept the gateway's call.");
            finish = FINISH_ERROR;
        }
        exchange_release(x, finish);
        return;
    }
    x->api->answer(&x->meter, base_buf_len(&x->answer) > 0 ? base_buf_at(&x->answer) : "",
                   base_buf_len(&x->answer));
    trust_cost_field(x);
    exchange_settle(x, complete, complete ? FINISH_ANSWER : FINISH_ERROR);
}
