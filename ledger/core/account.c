/* SPDX-License-Identifier: Apache-2.0
 * Double entry: core_transfer is the only function that writes an account. It holds the signs of
 * the accounts and keeps the org's independent sum of transactions.
 */
#include "ledger/core/machine.h"

#include "proto/money.h"
#include "proto/price.h"

#include <errno.h>

const char *core_account_name(enum core_account a)
{
    static const char *const names[CORE_ACCOUNTS] = {"available", "promo",   "held",    "usage",
                                                     "fees",      "funding", "writeoff"};
    return a < CORE_ACCOUNTS ? names[a] : "?";
}

const char *core_transfer_kind_name(enum core_transfer_kind k)
{
    static const char *const names[CORE_TRANSFER_KINDS] = {
        "deposit", "grant", "refund", "adjust", "chargeback",
        "hold",    "cost",  "fee",    "return", "writeoff"};
    return k < CORE_TRANSFER_KINDS ? names[k] : "?";
}

struct core_org *core_org_get(struct core_machine *m, const struct proto_uuid *org)
{
    struct core_key k;
    core_key_org(&k, org);
    return core_get(m, &k);
}

static bool in_balance(enum core_account a)
{
    return a == CORE_AVAILABLE || a == CORE_PROMO || a == CORE_HELD;
}

/* Funding and writeoff are the world outside, never above zero; all others never below. */
static bool sign_allowed(enum core_account a, int64_t v)
{
    return a == CORE_FUNDING || a == CORE_WRITEOFF ? v <= 0 : v >= 0;
}

bool core_with_fee(const struct core_org *org, int64_t cost, int64_t *amount)
{
    int64_t fee;
    return proto_fee(cost, org->fee_ppm, &fee) == 0 && proto_add(cost, fee, amount);
}

int64_t core_org_drift(const struct core_org *org)
{
    int64_t d = org->account[CORE_AVAILABLE] + org->account[CORE_PROMO] + org->account[CORE_HELD] -
                org->transactions;
    return d < 0 ? -d : d;
}

bool core_balance_room(const struct core_org *org, int64_t amount)
{
    int64_t sum;
    return proto_add(org->account[CORE_AVAILABLE], org->account[CORE_PROMO], &sum) &&
           proto_add(sum, org->account[CORE_HELD], &sum) && proto_add(sum, amount, &sum);
}

void core_transfer(struct core_machine *m, const struct proto_uuid *org_id, struct core_org *org,
                   enum core_account from, enum core_account to, int64_t amount,
                   enum core_transfer_kind kind, const struct proto_uuid *ref)
{
    int64_t left, got;
    if (amount == 0 || m->failed)
        return;
    if (amount < 0 || !proto_sub(org->account[from], amount, &left) ||
        !proto_add(org->account[to], amount, &got) || !sign_allowed(from, left) ||
        !sign_allowed(to, got)) {
        core_fail(m, -EIO, "an org's accounts contradict its holds: the state is damaged");
        return;
    }
    int64_t drift = core_org_drift(org);
    org->account[from] = left;
    org->account[to] = got;
    if (in_balance(to) && !in_balance(from))
        org->transactions += amount;
    if (in_balance(from) && !in_balance(to))
        org->transactions -= amount;
    m->group.drift += core_org_drift(org) - drift;
    core_touch(m, org);
    uint32_t ordinal = m->transfers++;
    if (!m->observer.on_transfer)
        return;
    struct core_transfer t = {.org = *org_id,
                              .ref = *ref,
                              .from = from,
                              .to = to,
                              .kind = kind,
                              .ordinal = ordinal,
                              .amount = amount,
                              .index = m->at.index,
                              .time_us = m->at.clock_us};
    m->observer.on_transfer(m->observer.ctx, &t);
}

static int check_org(void *ctx, const void *key, size_t klen, const void *value, size_t vlen)
{
    const struct core_org *org = value;
    int64_t sum = 0;
    if (*(const uint8_t *)key != CORE_TABLE_org || vlen != sizeof *org)
        return 0;
    for (unsigned a = 0; a < CORE_ACCOUNTS; a++)
        sum = (int64_t)((uint64_t)sum + (uint64_t)org->account[a]); /* may pass int64 on its way */
    if (sum == 0 && core_org_drift(org) == 0)
        return 0;
    memcpy(ctx, (const uint8_t *)key + 1, klen - 1);
    return 1;
}

bool core_machine_balanced(struct core_machine *m, struct proto_uuid *org)
{
    return core_overlay_visit(&m->overlay, check_org, org) == 0;
}

void core_result_balances(struct core_call *x)
{
    const int64_t *a = x->org->account;
    *x->r = (struct proto_result){.code = PROTO_OK, .shape = PROTO_SHAPE_balances};
    x->r->body.balances = (struct proto_balances){.available = a[CORE_AVAILABLE],
                                                  .promo = a[CORE_PROMO],
                                                  .held = a[CORE_HELD],
                                                  .usage = a[CORE_USAGE],
                                                  .fees = a[CORE_FEES],
                                                  .funding = a[CORE_FUNDING],
                                                  .writeoff = a[CORE_WRITEOFF]};
}
