/* SPDX-License-Identifier: Apache-2.0
 * holdfastctl deposit, grant, refund, chargeback, adjust: money in and out, each with a reason.
 */
#include "tools/ctl/ctl.h"

static bool balances_now(struct ctl *c, const struct proto_uuid *org, struct proto_balances *out)
{
    struct proto_org_row o;
    char name[PROTO_NAME_MAX];
    if (ctl_org_row(c, org, &o, name) != CTL_OK)
        return false;
    *out = (struct proto_balances){o.available, o.promo,   o.held,    o.usage,
                                   o.fees,      o.funding, o.writeoff};
    return true;
}

static int money_done(struct ctl *c, struct proto_command *cmd, int64_t amount)
{
    struct ctl_reply reply;
    int rv = ctl_command(c, cmd, &reply);
    if (rv != CTL_OK)
        return rv;
    out_uuid(c, c->out, "org", &cmd->head.org);
    out_money(c, c->out, "amount", amount);
    struct proto_balances now, *b = &now;
    bool known = reply.result.shape == PROTO_SHAPE_balances;
    if (known)
        now = reply.result.body.balances;
    else if (reply.result.flags &
             PROTO_FLAG_DUPLICATE) /* the first answer is gone; this is today's */
        known = balances_now(c, &cmd->head.org, &now);
    if (known) {
        out_money(c, c->out, "balance", b->available + b->promo + b->held);
        out_money(c, c->out, "available", b->available);
        out_money(c, c->out, "promo", b->promo);
        out_money(c, c->out, "held", b->held);
        out_money(c, c->out, "usage", b->usage);
        out_money(c, c->out, "fees", b->fees);
        out_money(c, c->out, "funding", b->funding);
        out_money(c, c->out, "writeoff", b->writeoff);
    }
    out_receipt(c, &reply);
    return CTL_OK;
}

/* deposit, grant, refund and chargeback have one field list. */
static int transfer(struct ctl *c, const struct ctl_args *a, unsigned kind)
{
    struct proto_command cmd = {.head.kind = (uint8_t)kind};
    struct proto_deposit *d = &cmd.body.deposit;
    int rv = ctl_money(c, a, "amount", &d->amount);
    if (rv == CTL_OK)
        rv = ctl_string(c, a, "reference", PROTO_NAME_MAX, &d->reference);
    if (rv == CTL_OK)
        rv = ctl_string(c, a, "reason", PROTO_REASON_MAX, &d->reason);
    if (rv == CTL_OK)
        rv = ctl_org(c, a, &cmd.head.org);
    if (rv != CTL_OK)
        return rv;
    struct proto_deposit same = *d;
    if (kind == PROTO_CMD_grant)
        cmd.body.grant = (struct proto_grant){same.amount, same.reference, same.reason};
    else if (kind == PROTO_CMD_refund)
        cmd.body.refund = (struct proto_refund){same.amount, same.reference, same.reason};
    else if (kind == PROTO_CMD_chargeback)
        cmd.body.chargeback = (struct proto_chargeback){same.amount, same.reference, same.reason};
    return money_done(c, &cmd, same.amount);
}

static int deposit(struct ctl *c, const struct ctl_args *a)
{
    return transfer(c, a, PROTO_CMD_deposit);
}
static int grant(struct ctl *c, const struct ctl_args *a)
{
    return transfer(c, a, PROTO_CMD_grant);
}
static int refund(struct ctl *c, const struct ctl_args *a)
{
    return transfer(c, a, PROTO_CMD_refund);
}
static int chargeback(struct ctl *c, const struct ctl_args *a)
{
    return transfer(c, a, PROTO_CMD_chargeback);
}

static int adjust(struct ctl *c, const struct ctl_args *a)
{
    struct proto_command cmd = {.head.kind = PROTO_CMD_adjust};
    struct proto_adjust *j = &cmd.body.adjust;
    int rv = ctl_uuid(c, a, "hold", &j->hold);
    if (rv == CTL_OK)
        rv = ctl_money(c, a, "amount", &j->amount);
    if (rv == CTL_OK)
        rv = ctl_string(c, a, "reason", PROTO_REASON_MAX, &j->reason);
    if (rv == CTL_OK)
        rv = ctl_org(c, a, &cmd.head.org);
    j->from_fees = ctl_given(a, "from-fees");
    return rv == CTL_OK ? money_done(c, &cmd, j->amount) : rv;
}

static const struct ctl_option options[] = {
    {"org", "NAME|UUID", false, "the organisation (default: $HOLDFAST_ORG)"},
    {"amount", "DOLLARS", true, "as in 12 or 12.50; at most nine decimals"},
    {"reference", "TEXT", false, "an outside id (a payment's); each can be used once, for ever"},
    {"reason", "TEXT", false, "goes into the audit trail"},
    {0}};
static const struct ctl_option adjust_options[] = {
    {"org", "NAME|UUID", false, "the organisation (default: $HOLDFAST_ORG)"},
    {"hold", "UUID", true, "the settled hold whose charge is corrected"},
    {"amount", "DOLLARS", true, "what is given back"},
    {"from-fees", NULL, false, "out of the fee, not the cost"},
    {"reason", "TEXT", false, "goes into the audit trail"},
    {0}};

#define NOUN(name, run, options, summary, help)                                                    \
    static const struct ctl_action name##_actions[] = {                                            \
        {NULL, help, NULL, options, NULL, NULL, run, NULL}, {0}};                                  \
    const struct ctl_noun ctl_noun_##name = {#name, summary, name##_actions}

NOUN(deposit, deposit, options, "pays money in", "Pays money into an organisation.");
NOUN(grant, grant, options, "gives promotional credit",
     "Gives promotional credit: spent first, never refunded.");
NOUN(refund, refund, options, "pays deposited money back out",
     "Pays deposited money back out, at most what was deposited and is available.");
NOUN(chargeback, chargeback, options, "a payment that was taken back",
     "Takes back a payment that its payer revoked; what is spent already is written off.");
NOUN(adjust, adjust, adjust_options, "corrects the charge of a settled call",
     "Gives back part of what a settled call was charged.");
