/* SPDX-License-Identifier: Apache-2.0
 * Money that enters, leaves or is corrected: deposit, grant, refund, chargeback, adjust. The first
 * four share one field list.
 */
#include "ledger/core/machine.h"

#include "proto/money.h"

static const struct proto_deposit *fields(const struct core_call *x)
{
    return &x->c->body.deposit; /* grant, refund and chargeback are the same list */
}
_Static_assert(sizeof(struct proto_deposit) == sizeof(struct proto_chargeback), "one field list");

static bool refused_reference(struct core_machine *m, struct core_call *x)
{
    x->reason = fields(x)->reason;
    if (!core_reference_used(m, x, fields(x)->reference))
        return false;
    core_refuse(x, PROTO_REFERENCE_USED);
    return true;
}

static void note(struct core_call *x, struct proto_text *t)
{
    const int64_t *a = x->org->account;
    proto_text_put(t, "available=");
    proto_text_money(t, a[CORE_AVAILABLE]);
    proto_text_put(t, " promo=");
    proto_text_money(t, a[CORE_PROMO]);
}

/* Before and after every move that this file makes. */
static void begin(struct core_machine *m, struct core_call *x)
{
    note(x, &x->before);
    core_reference_use(m, x, fields(x)->reference);
}

static void finish(struct core_call *x, int64_t amount)
{
    note(x, &x->after);
    proto_text_put(&x->after, " amount=");
    proto_text_money(&x->after, amount);
    core_result_balances(x);
}

static void pay_in(struct core_machine *m, struct core_call *x, enum core_account to,
                   enum core_transfer_kind kind)
{
    int64_t amount = fields(x)->amount, funding, deposits;
    if (refused_reference(m, x))
        return;
    if (!core_balance_room(x->org, amount) ||
        !proto_sub(x->org->account[CORE_FUNDING], amount, &funding) ||
        !proto_add(x->org->deposits, amount, &deposits)) {
        core_refuse(x, PROTO_AMOUNT_OVERFLOW);
        return;
    }
    begin(m, x);
    core_transfer(m, &x->org_id, x->org, CORE_FUNDING, to, amount, kind, &x->c->head.id);
    if (to == CORE_AVAILABLE)
        x->org->deposits = deposits;
    finish(x, amount);
}

void core_deposit(struct core_machine *m, struct core_call *x)
{
    pay_in(m, x, CORE_AVAILABLE, CORE_TRANSFER_DEPOSIT);
}

void core_grant(struct core_machine *m, struct core_call *x)
{
    pay_in(m, x, CORE_PROMO, CORE_TRANSFER_GRANT);
}

void core_refund(struct core_machine *m, struct core_call *x)
{
    int64_t amount = fields(x)->amount;
    if (refused_reference(m, x))
        return;
    if (amount > x->org->deposits) {
        core_refuse(x, PROTO_REFUND_EXCEEDS_DEPOSITS);
        return;
    }
    if (amount > x->org->account[CORE_AVAILABLE]) {
        const int64_t *a = x->org->account;
        *x->r =
            (struct proto_result){.code = PROTO_INSUFFICIENT_CREDIT, .shape = PROTO_SHAPE_short_of};
        x->r->body.short_of = (struct proto_short_of){.org = x->org_id,
                                                      .needed = amount,
                                                      .available = a[CORE_AVAILABLE],
                                                      .promo = a[CORE_PROMO],
                                                      .held = a[CORE_HELD]};
        return;
    }
    begin(m, x);
    core_transfer(m, &x->org_id, x->org, CORE_AVAILABLE, CORE_FUNDING, amount, CORE_TRANSFER_REFUND,
                  &x->c->head.id);
    x->org->deposits -= amount;
    finish(x, amount);
}

/* The bank took a deposit back, whether the money is still there or not. */
void core_chargeback(struct core_machine *m, struct core_call *x)
{
    int64_t amount = fields(x)->amount, writeoff;
    if (refused_reference(m, x))
        return;
    if (amount > x->org->deposits) {
        core_refuse(x, PROTO_REFUND_EXCEEDS_DEPOSITS);
        return;
    }
    int64_t there = x->org->account[CORE_AVAILABLE];
    int64_t part = amount < there ? amount : there;
    if (!proto_sub(x->org->account[CORE_WRITEOFF], amount - part, &writeoff)) {
        core_refuse(x, PROTO_AMOUNT_OVERFLOW);
        return;
    }
    begin(m, x);
    core_transfer(m, &x->org_id, x->org, CORE_AVAILABLE, CORE_FUNDING, part,
                  CORE_TRANSFER_CHARGEBACK, &x->c->head.id);
    core_transfer(m, &x->org_id, x->org, CORE_WRITEOFF, CORE_FUNDING, amount - part,
                  CORE_TRANSFER_CHARGEBACK, &x->c->head.id);
    x->org->deposits -= amount;
    finish(x, amount);
}

/* Back to where it came from, as if the call had cost less: promo was used first, so what
 * `available` paid comes back before it. Promo is never paid out, not by way of a refund either. */
static void give_back(struct core_machine *m, struct core_call *x, const struct core_closed *hold)
{
    const struct proto_adjust *c = &x->c->body.adjust;
    enum core_account from = c->from_fees ? CORE_FEES : CORE_USAGE;
    int64_t paid = hold->cost - hold->written_off + hold->fee;
    int64_t left =
        paid - hold->paid_promo - hold->adjusted_usage - hold->adjusted_fees; /* of available's */
    int64_t part = left < 0 ? 0 : c->amount < left ? c->amount : left;
    core_transfer(m, &x->org_id, x->org, from, CORE_AVAILABLE, part, CORE_TRANSFER_ADJUST,
                  &c->hold);
    core_transfer(m, &x->org_id, x->org, from, CORE_PROMO, c->amount - part, CORE_TRANSFER_ADJUST,
                  &c->hold);
}

void core_adjust(struct core_machine *m, struct core_call *x)
{
    const struct proto_adjust *c = &x->c->body.adjust;
    struct core_closed *hold = core_closed_get(m, &x->org_id, &c->hold);
    x->reason = c->reason;
    if (!hold || hold->state != CORE_CLOSED_SETTLED) {
        core_refuse(x, PROTO_NOT_FOUND);
        return;
    }
    int64_t left = c->from_fees ? hold->fee - hold->adjusted_fees
                                : hold->cost - hold->written_off - hold->adjusted_usage;
    if (c->amount > left) {
        core_refuse(x, PROTO_ADJUST_EXCEEDS_CHARGE);
        return;
    }
    if (!core_balance_room(x->org, c->amount)) {
        core_refuse(x, PROTO_AMOUNT_OVERFLOW);
        return;
    }
    note(x, &x->before);
    give_back(m, x, hold);
    *(c->from_fees ? &hold->adjusted_fees : &hold->adjusted_usage) += c->amount;
    core_touch(m, hold);
    finish(x, c->amount);
}
