/* SPDX-License-Identifier: Apache-2.0
 * The end of the hold: settled by what the provider reported, by what we saw go by, or released.
 * The client is answered when the ledger has decided, or after settle_wait with the settlement
 * pending.
 */
#include "edge/exchange/exchange_state.h"

#include "proto/base/check.h"
#include "proto/money.h"

static void done(struct edge_exchange *x)
{
    exchange_move(x, EX_DONE);
    exchange_answer(x);
    exchange_free(x);
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
    x->settlement = edge_settlement_start(x->ctx->settlements, r, on_settled, x);
    if (x->settlement == NULL) {
        x->pending = true;
        done(x);
    }
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
    int64_t seen_output = units.n[PROTO_UNIT_output];
    if (usage->seen)
        edge_usage_units(usage, &units);
    /* A report on the way to an answer that broke off may be older than what came after it. */
    if (!whole && units.n[PROTO_UNIT_output] + units.n[PROTO_UNIT_reasoning] < seen_output)
        units.n[PROTO_UNIT_output] = seen_output - units.n[PROTO_UNIT_reasoning];
    edge_usage_list(&units, s);
}

void exchange_settle(struct edge_exchange *x, bool whole, enum exchange_finish finish)
{
    struct edge_settlement_request r = {.command.head.kind = PROTO_CMD_settle};
    exchange_stop_call(x);
    exchange_move(x, EX_SETTLE);
    x->finish = finish;
    x->ctx->stats.settled++;
    r.command.body.settle = (struct proto_settle){.hold = x->hold, .token = x->token};
    fill_settle(x, whole, &r.command.body.settle);
    start(x, &r);
}

void exchange_release(struct edge_exchange *x, enum exchange_finish finish)
{
    struct edge_settlement_request r = {.command.head.kind = PROTO_CMD_release};
    exchange_stop_call(x);
    exchange_move(x, EX_RELEASE);
    x->finish = finish;
    x->ctx->stats.released++;
    r.command.body.release = (struct proto_release){.hold = x->hold, .token = x->token};
    start(x, &r);
}
