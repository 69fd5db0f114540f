/* SPDX-License-Identifier: Apache-2.0
 * settle: what the call really cost, charged once (F1, F8, F9). Authorised by org, hold and the
 * hold's token, whatever has happened to key, team, org, pause or budget since.
 */
#include "ledger/core/machine.h"

#include "proto/money.h"
#include "proto/price.h"

#include <errno.h>

/* cost and fee as they are owed, then what of them was paid. */
struct charge {
    int64_t cost, fee;
    int64_t paid_cost, paid_fee;
    int64_t paid_promo; /* part of these two */
    int64_t released;
    uint8_t flags;
};

/* ---- what is owed ---- */
/* An unpriced hold has no units to multiply: the guess that was held is the charge. The fee is a
 * part of it: cost = floor(A x 10^6 / (10^6 + ppm)), without 128-bit arithmetic. */
static void charge_unpriced(struct charge *ch, int64_t amount, uint32_t ppm)
{
    int64_t whole = INT64_C(1000000) + ppm;
    ch->cost = amount / whole * 1000000 + amount % whole * 1000000 / whole;
    ch->fee = amount - ch->cost;
    ch->flags |= PROTO_FLAG_ESTIMATED;
}

static enum proto_code charge_units(struct core_machine *m, const struct core_hold *h,
                                    const struct proto_settle *c, struct charge *ch)
{
    const struct core_price *price = core_price_get(m, h->price_version, h->price_row);
    struct proto_units units = {{0}};
    if (!price) {
        core_fail(m, -EIO, "a hold's price is missing: the state is damaged");
        return PROTO_OK;
    }
    for (uint32_t i = 0; i < c->units.n; i++)
        units.n[c->units.e[i].unit] = c->units.e[i].n;
    if (proto_price_cost(price->point, price->points, c->class, &units, &ch->cost))
        return PROTO_AMOUNT_OVERFLOW;
    return PROTO_OK;
}

static enum proto_code owe(struct core_machine *m, const struct core_org *org,
                           const struct core_hold *h, const struct proto_settle *c,
                           struct charge *ch)
{
    int64_t sum;
    *ch = (struct charge){.cost = c->cost};
    if (c->source == PROTO_COST_ESTIMATE)
        ch->flags |= PROTO_FLAG_ESTIMATED;
    if (c->source != PROTO_COST_PROVIDER && h->price_row == 0) {
        charge_unpriced(ch, core_hold_amount(h), org->fee_ppm);
    } else {
        enum proto_code code = PROTO_OK;
        if (c->source != PROTO_COST_PROVIDER)
            code = charge_units(m, h, c, ch);
        if (code != PROTO_OK)
            return code;
        if (proto_fee(ch->cost, org->fee_ppm, &ch->fee))
            return PROTO_AMOUNT_OVERFLOW;
    }
    /* The worst that can follow must fit: all of it charged, or all of the cost written off. */
    if (!proto_add(ch->cost, ch->fee, &sum) ||
        !proto_add(org->account[CORE_USAGE], ch->cost, &sum) ||
        !proto_add(org->account[CORE_FEES], ch->fee, &sum) ||
        !proto_sub(org->account[CORE_WRITEOFF], ch->cost, &sum))
        return PROTO_AMOUNT_OVERFLOW;
    return PROTO_OK;
}

/* ---- how it is paid ---- */
static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* As much of `amount` as there is, promo first. */
static int64_t collect(struct core_machine *m, struct core_call *x, struct charge *ch,
                       enum core_account to, int64_t amount, enum core_transfer_kind kind)
{
    const struct proto_uuid *ref = &x->c->body.settle.hold;
    int64_t promo = least(amount, x->org->account[CORE_PROMO]);
    core_transfer(m, &x->org_id, x->org, CORE_PROMO, to, promo, kind, ref);
    int64_t rest = least(amount - promo, x->org->account[CORE_AVAILABLE]);
    core_transfer(m, &x->org_id, x->org, CORE_AVAILABLE, to, rest, kind, ref);
    ch->paid_promo += promo;
    return promo + rest;
}

static void pay_rest_of_cost(struct core_machine *m, struct core_call *x, struct charge *ch)
{
    int64_t missing = ch->cost - ch->paid_cost;
    int64_t got = collect(m, x, ch, CORE_USAGE, missing, CORE_TRANSFER_COST);
    ch->paid_cost += got;
    core_transfer(m, &x->org_id, x->org, CORE_WRITEOFF, CORE_USAGE, missing - got,
                  CORE_TRANSFER_WRITEOFF, &x->c->body.settle.hold);
}

/* Out of the hold: cost before fee, the rest back to where it came from. What the hold does not
 * cover of the cost is collected or written off; of the fee it is waived. */
static void pay_from_hold(struct core_machine *m, struct core_call *x, struct core_hold *h,
                          struct charge *ch)
{
    const struct proto_uuid *ref = &x->c->body.settle.hold;
    int64_t amount = core_hold_amount(h);
    ch->paid_cost = least(ch->cost, amount);
    ch->paid_fee = least(ch->fee, amount - ch->paid_cost);
    core_transfer(m, &x->org_id, x->org, CORE_HELD, CORE_USAGE, ch->paid_cost, CORE_TRANSFER_COST,
                  ref);
    core_transfer(m, &x->org_id, x->org, CORE_HELD, CORE_FEES, ch->paid_fee, CORE_TRANSFER_FEE,
                  ref);
    ch->paid_promo = least(h->from_promo, ch->paid_cost + ch->paid_fee);
    ch->released = core_hold_return(m, &x->org_id, x->org, h, ref, ch->paid_cost + ch->paid_fee);
    pay_rest_of_cost(m, x, ch);
}

/* The hold has expired and its money is back: collect what there is. */
static void pay_late(struct core_machine *m, struct core_call *x, struct charge *ch)
{
    ch->flags |= PROTO_FLAG_LATE;
    pay_rest_of_cost(m, x, ch);
    ch->paid_fee = collect(m, x, ch, CORE_FEES, ch->fee, CORE_TRANSFER_FEE);
}

static void charge_hold(struct core_machine *m, struct core_call *x, struct core_hold *h,
                        struct charge *ch)
{
    int64_t amount = core_hold_amount(h), over = 0;
    if (ch->cost + ch->fee > amount)
        ch->flags |= PROTO_FLAG_OVERRUN;
    if (h->state == CORE_HOLD_OPEN) {
        pay_from_hold(m, x, h, ch);
        core_hold_ends(m, x->org, h);
    } else {
        pay_late(m, x, ch);
        core_hold_confirm(m, amount);
    }
    if (ch->cost + ch->paid_fee > amount)
        over = ch->cost + ch->paid_fee - amount;
    core_hold_counters(m, &x->org_id, h, ch->cost + ch->paid_fee, over);
    x->org->settled++;
    m->group.settled++;
    core_touch(m, x->org);
    struct core_closed *c =
        core_hold_close(m, &x->org_id, h, &x->c->body.settle.hold, CORE_CLOSED_SETTLED);
    c->settle_index = m->at.index;
    c->settle_ordinal = x->ordinal;
    c->cost = ch->cost;
    c->fee = ch->paid_fee;
    c->released = ch->released;
    c->written_off = ch->cost - ch->paid_cost;
    c->paid_promo = ch->paid_promo;
    c->flags = ch->flags;
    core_result_settled(x, x->org, c);
}

/* ---- decided before ---- */
static void decided(struct core_call *x, const struct core_closed *c, const struct core_half *token)
{
    if (!c) {
        core_refuse(x, PROTO_HOLD_UNKNOWN);
    } else if (!core_half_eq(&c->token, token)) {
        core_refuse(x, PROTO_UNAUTHORISED_HOLD);
    } else if (c->state != CORE_CLOSED_SETTLED) {
        core_refuse(x, PROTO_HOLD_CLOSED);
    } else {
        core_result_settled(x, x->org, c);
        x->r->flags |= PROTO_FLAG_DUPLICATE;
    }
}

void core_settle(struct core_machine *m, struct core_call *x)
{
    const struct proto_settle *c = &x->c->body.settle;
    struct core_half token = core_half_of(&c->token);
    struct charge ch;
    x->org_id = x->c->head.org;
    x->org = core_org_get(m, &x->org_id);
    if (!x->org) {
        core_refuse(x, PROTO_ORG_UNKNOWN);
        return;
    }
    struct core_hold *h = core_hold_get(m, &x->org_id, &c->hold);
    if (!h) {
        decided(x, core_closed_get(m, &x->org_id, &c->hold), &token);
        return;
    }
    if (!core_half_eq(&h->token, &token)) {
        core_refuse(x, PROTO_UNAUTHORISED_HOLD);
        return;
    }
    enum proto_code code = owe(m, x->org, h, c, &ch);
    if (code != PROTO_OK)
        core_refuse(x, code);
    else if (!m->failed)
        charge_hold(m, x, h, &ch);
}
