/* SPDX-License-Identifier: Apache-2.0
 * The end of the hold: settled by what the provider reported, by what we saw go by, or released.
 * The client is answered when the ledger has decided, or after settle_wait with the settlement
 * pending.
 */
#include "edge/exchange/exchange_state.h"

#include "proto/base/check.h"
#include "proto/base/log.h"
#include "proto/money.h"

static void done(struct edge_exchange *x)
{
    struct edge_metrics *m = x->ctx->metrics;
    if (x->pending)
        edge_metrics_hold(m, EDGE_HOLD_PENDING);
    else
        metrics_histogram_add(&m->settle, exchange_now_us() - x->asked_us);
    edge_metrics_add(&m->charged_nanos, (uint64_t)x->charged_nanos);
    exchange_move(x, EX_DONE);
    exchange_answer(x);
    exchange_free(x);
}

/* The provider billed more than the bound that was held: its prompt grows by more than we know
 * (input_overhead_tokens), or its tokens are not ours. The machine has collected what there was. */
static void note_overrun(const struct edge_exchange *x, const struct edge_settled *settled)
{
    char hold[PROTO_UUID_TEXT];
    const struct proto_result *r = settled->result;
    int64_t cost_nanos = r->shape == PROTO_SHAPE_settled ? r->body.settled.cost : 0;
    proto_uuid_print(&x->hold, hold);
    edge_metrics_overrun(x->ctx->metrics, x->ctx->config, x->route);
    base_log_seldom(BASE_LOG_WARN, "overrun", x->route->model,
                    BASE_S("provider", x->route->provider->name), BASE_S("hold", hold),
                    BASE_I("held_nanos", x->amount_nanos), BASE_I("cost_nanos", cost_nanos), NULL);
}

static void on_settled(void *arg, const struct edge_settled *settled)
{
    struct edge_exchange *x = arg;
    x->settlement = NULL;
    if (settled->result == NULL) {
        x->pending = true;
        done(x);
        return;
    }
    x->decided = true;
    x->code = settled->result->code;
    if ((settled->result->flags & PROTO_FLAG_OVERRUN) != 0)
        note_overrun(x, settled);
    x->index = settled->index;
    x->ordinal = settled->ordinal;
    x->chain = settled->chain;
    if (settled->result->shape == PROTO_SHAPE_settled) {
        const struct proto_settled *s = &settled->result->body.settled;
        if (!proto_add(s->cost, s->fee, &x->charged_nanos))
            x->charged_nanos = s->cost;
    }
    done(x);
}

void exchange_wait_over(struct edge_exchange *x)
{
    CHECK(x->settlement != NULL);
    edge_settlement_forget(x->settlement);
    x->settlement = NULL;
    x->pending = true;
    done(x);
}

static void start(struct edge_exchange *x, struct edge_settlement_request *r)
{
    r->command.head.org = x->org;
    r->command.head.ip = (struct proto_str){(const char *)x->ip, x->ip_len};
    x->wait_until_ms = uv_now(x->ctx->loop) + (uint64_t)x->ctx->config->settle_wait_ms;
    x->held = false; /* the settlement's from here on */
    x->asked_us = exchange_now_us();
    x->settlement = edge_settlement_start(x->ctx->settlements, r, on_settled, x);
    if (x->settlement == NULL) {
        x->pending = true;
        done(x);
    }
}

/* Of the output, guessed. The provider was told how much it may write at most, and that much is
 * held: text that can be as many tokens is not taken for more (English has more than four bytes a
 * token). Far more text shows that the provider did not keep to it. */
static int64_t within_bound(const struct edge_exchange *x, int64_t guessed)
{
    int64_t bound, bytes;
    if (!x->call.bounds_output || __builtin_mul_overflow(x->call.choices, x->max_output, &bound) ||
        __builtin_add_overflow(bound, x->call.extra_output, &bound) ||
        __builtin_mul_overflow(bound, EDGE_TOKEN_BYTES_MAX, &bytes) ||
        __builtin_add_overflow(bytes, EDGE_FRAMING_BYTES, &bytes))
        return guessed;
    return guessed > bound && x->meter.text_bytes <= bytes ? bound : guessed;
}

static void fill_settle(struct edge_exchange *x, bool whole, struct proto_settle *s)
{
    const struct edge_usage *usage = &x->meter.usage;
    struct proto_units units;
    s->class = usage->seen ? usage->class : x->call.class;
    if (usage->has_cost && x->route->provider->trust_cost && whole) {
        s->source = PROTO_COST_PROVIDER;
        s->cost = usage->cost_nanos;
    } else {
        s->source = usage->seen && whole ? PROTO_COST_USAGE : PROTO_COST_ESTIMATE;
    }
    edge_usage_guess((int64_t)x->call.body_len, x->meter.text_bytes, &units);
    int64_t seen_output = within_bound(x, units.n[PROTO_UNIT_output]);
    units.n[PROTO_UNIT_output] = seen_output;
    if (usage->seen)
        edge_usage_units(usage, &units);
    /* A report on the way to an answer that broke off may be older than what came after it. */
    if (!whole && units.n[PROTO_UNIT_output] + units.n[PROTO_UNIT_reasoning] < seen_output)
        units.n[PROTO_UNIT_output] = seen_output - units.n[PROTO_UNIT_reasoning];
    edge_usage_list(&units, s);
}

static void count_settle(struct edge_exchange *x, uint8_t source)
{
    edge_metrics_hold(x->ctx->metrics, source == PROTO_COST_USAGE ? EDGE_HOLD_SETTLED_USAGE
                                       : source == PROTO_COST_PROVIDER
                                           ? EDGE_HOLD_SETTLED_PROVIDER
                                           : EDGE_HOLD_SETTLED_ESTIMATE);
}

/* A provider that says that it failed, and shows neither usage nor a cost nor a generated byte, has
 * answered as with a status of 4xx or 5xx (F1). */
static bool failed_for_nothing(const struct edge_exchange *x)
{
    const struct edge_meter *m = &x->meter;
    return m->failed && !m->usage.seen && !m->usage.has_cost && m->text_bytes == 0;
}

void exchange_settle(struct edge_exchange *x, bool whole, enum exchange_finish finish)
{
    struct edge_settlement_request r = {.command.head.kind = PROTO_CMD_settle};
    if (failed_for_nothing(x)) {
        exchange_release(x, finish);
        return;
    }
    exchange_stop_call(x);
    exchange_move(x, EX_SETTLE);
    x->finish = finish;
    r.command.body.settle = (struct proto_settle){.hold = x->hold, .token = x->token};
    fill_settle(x, whole, &r.command.body.settle);
    count_settle(x, r.command.body.settle.source);
    start(x, &r);
}

void exchange_release(struct edge_exchange *x, enum exchange_finish finish)
{
    struct edge_settlement_request r = {.command.head.kind = PROTO_CMD_release};
    exchange_stop_call(x);
    exchange_move(x, EX_RELEASE);
    x->finish = finish;
    edge_metrics_hold(x->ctx->metrics, EDGE_HOLD_RELEASED);
    r.command.body.release = (struct proto_release){.hold = x->hold, .token = x->token};
    start(x, &r);
}
