/* SPDX-License-Identifier: Apache-2.0
 * extend: a stream's hold grows or lives longer (F53), against the ceilings of the window that it
 * was reserved in. Refused when the org is paused or the key revoked; a refusal leaves the hold as
 * it is.
 */
#include "ledger/core/machine.h"

static enum proto_code check_principals(struct core_machine *m, const struct core_call *x,
                                        const struct core_hold *h)
{
    enum proto_code code = PROTO_OK;
    if (x->who.role == CORE_ROLE_KEY && !core_authority_key(m, &x->who, &code))
        return code;
    struct core_authority holder = {.role = CORE_ROLE_KEY, .org = x->org_id, .key = h->key};
    (void)core_authority_key(m, &holder, &code);
    return code;
}

static enum proto_code check_money(struct core_machine *m, struct core_call *x,
                                   const struct core_hold *h, int64_t amount,
                                   struct core_lines *lines)
{
    const int64_t *a = x->org->account;
    bool downgrade;
    core_limit_of_hold(m, &x->org_id, h, lines);
    if (amount == 0)
        return PROTO_OK;
    if (amount > a[CORE_AVAILABLE] + a[CORE_PROMO]) {
        *x->r =
            (struct proto_result){.code = PROTO_INSUFFICIENT_CREDIT, .shape = PROTO_SHAPE_short_of};
        x->r->body.short_of = (struct proto_short_of){.org = x->org_id,
                                                      .needed = amount,
                                                      .available = a[CORE_AVAILABLE],
                                                      .promo = a[CORE_PROMO],
                                                      .held = a[CORE_HELD]};
        return PROTO_INSUFFICIENT_CREDIT;
    }
    return core_limit_check(lines, &x->org_id, amount, true, x->r, &downgrade);
}

static enum proto_code decide(struct core_machine *m, struct core_call *x,
                              const struct core_hold *h, int64_t *amount, struct core_lines *lines)
{
    const struct proto_extend *c = &x->c->body.extend;
    struct core_half token = core_half_of(&c->token);
    if (x->org->paused)
        return PROTO_PAUSED;
    if (!h)
        return core_closed_get(m, &x->org_id, &c->hold) ? PROTO_HOLD_CLOSED : PROTO_HOLD_UNKNOWN;
    if (!core_half_eq(&h->token, &token))
        return PROTO_UNAUTHORISED_HOLD;
    enum proto_code code = check_principals(m, x, h);
    if (code != PROTO_OK)
        return code;
    if (h->state != CORE_HOLD_OPEN)
        return PROTO_HOLD_CLOSED;
    if (!core_with_fee(x->org, c->amount, amount))
        return PROTO_AMOUNT_OVERFLOW;
    return check_money(m, x, h, *amount, lines);
}

static void grow(struct core_machine *m, struct core_call *x, struct core_hold *h, int64_t amount,
                 struct core_lines *lines)
{
    const struct proto_extend *c = &x->c->body.extend;
    int64_t latest = h->created_us + CORE_HOLD_LIFE_US;
    for (uint32_t i = 0; i < lines->n; i++) {
        struct core_counter *counter = lines->e[i].counter;
        if (!counter)
            continue;
        counter->held += amount;
        core_touch(m, counter);
    }
    core_hold_draw(m, &x->org_id, x->org, h, &c->hold, amount);
    h->extended += amount;
    h->deadline_us = m->at.clock_us + c->ttl_us;
    if (h->deadline_us > latest)
        h->deadline_us = latest;
    core_touch(m, h);
    core_open_heap_move(&m->heap, h->index, h->ordinal, h->deadline_us);
    struct core_closed now = {.team = h->team,
                              .key = h->key,
                              .candidate = h->candidate,
                              .amount = core_hold_amount(h),
                              .deadline_us = h->deadline_us,
                              .price_version = h->price_version};
    core_result_reserved(x, x->org, &now);
}

void core_extend(struct core_machine *m, struct core_call *x)
{
    struct core_lines lines;
    int64_t amount = 0;
    struct core_hold *h = core_hold_get(m, &x->org_id, &x->c->body.extend.hold);
    enum proto_code code = decide(m, x, h, &amount, &lines);
    if (m->failed)
        return;
    if (code == PROTO_OK) {
        grow(m, x, h, amount, &lines);
        return;
    }
    if (x->r->code != code)
        core_refuse(x, code);
    x->org->refused++;
    m->group.refused++;
    core_touch(m, x->org);
}
