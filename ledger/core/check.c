/* SPDX-License-Identifier: Apache-2.0
 * Values that no state can make good: the second half of MALFORMED, after the decoder. Pure.
 */
#include "ledger/core/machine.h"

#include "proto/level.h"

static enum proto_code ok_if(bool good)
{
    return good ? PROTO_OK : PROTO_MALFORMED;
}

static enum proto_code check_org(const struct proto_org_create *o)
{
    return ok_if(o->name.n > 0 && o->billing_day >= 1 && o->billing_day <= 28 &&
                 o->fee_ppm <= CORE_FEE_PPM_MAX);
}

static bool public_good(struct proto_str s)
{
    for (uint32_t i = 0; i < s.n; i++)
        if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'z')))
            return false;
    return s.n > 0;
}

static enum proto_code check_key(const struct proto_key_create *k)
{
    for (uint32_t i = 0; i < k->models.n; i++)
        if (k->models.e[i].model.n == 0)
            return PROTO_MALFORMED;
    return ok_if(public_good(k->public) && !proto_hash_none(&k->secret) && k->expires_us >= 0);
}

static bool scope_has_subject(unsigned scope)
{
    return scope == PROTO_SCOPE_team || scope == PROTO_SCOPE_key;
}

static bool scope_good(const struct proto_budget_put *b)
{
    if (b->scope < PROTO_SCOPE_org || b->scope > PROTO_SCOPE_LAST)
        return false;
    if (scope_has_subject(b->scope))
        return b->subject != 0 && b->selector.n == 0;
    if (b->scope == PROTO_SCOPE_org)
        return b->subject == 0 && b->selector.n == 0;
    return b->subject == 0 && b->selector.n > 0;
}

static enum proto_code check_budget(const struct proto_budget_put *b)
{
    const uint8_t *alert = (const uint8_t *)b->alerts.p;
    for (uint32_t i = 0; i < b->alerts.n; i++)
        if (alert[i] < 1 || alert[i] > 100 || (i > 0 && alert[i] <= alert[i - 1]))
            return PROTO_MALFORMED;
    if (!scope_good(b) || b->window < 1 || b->window > PROTO_WINDOW_LAST || b->mode < 1 ||
        b->mode > PROTO_MODE_LAST || (b->status != 0 && b->status != 402 && b->status != 429))
        return PROTO_MALFORMED;
    if (b->limit < 0 || b->soft_limit < 0)
        return PROTO_AMOUNT_INVALID;
    return ok_if(b->soft_limit <= b->limit);
}

static enum proto_code check_reserve(const struct proto_reserve *v)
{
    if (proto_hash_none(&v->token) || v->candidates.n == 0 || v->ttl_us <= 0 ||
        v->ttl_us > CORE_TTL_MAX_US ||
        (v->flags & ~(uint32_t)(PROTO_RESERVE_UNPRICED | PROTO_RESERVE_UNBOUNDED)) != 0)
        return PROTO_MALFORMED;
    for (uint32_t i = 0; i < v->candidates.n; i++) {
        if (v->candidates.e[i].model.n == 0)
            return PROTO_MALFORMED;
        if (v->candidates.e[i].amount < 0)
            return PROTO_AMOUNT_INVALID;
    }
    return PROTO_OK;
}

static enum proto_code check_settle(const struct proto_settle *v)
{
    uint32_t seen = 0;
    if (proto_uuid_none(&v->hold) || v->source > PROTO_COST_ESTIMATE ||
        v->class >= PROTO_CLASS_COUNT)
        return PROTO_MALFORMED;
    for (uint32_t i = 0; i < v->units.n; i++) {
        const struct proto_usage *u = &v->units.e[i];
        if (u->unit >= PROTO_UNIT_COUNT || (seen & 1u << u->unit) != 0 || u->n < 0)
            return PROTO_MALFORMED;
        seen |= 1u << u->unit;
    }
    return v->cost < 0 ? PROTO_AMOUNT_INVALID : PROTO_OK;
}

static enum proto_code check_extend(const struct proto_extend *v)
{
    if (proto_uuid_none(&v->hold) || v->ttl_us <= 0 || v->ttl_us > CORE_TTL_MAX_US)
        return PROTO_MALFORMED;
    return v->amount < 0 ? PROTO_AMOUNT_INVALID : PROTO_OK;
}

static enum proto_code positive(int64_t amount)
{
    return amount > 0 ? PROTO_OK : PROTO_AMOUNT_INVALID;
}

static enum proto_code check_head(const struct proto_command_head *h)
{
    return ok_if(!proto_uuid_none(&h->id) && (h->ip.n == 0 || h->ip.n == 4 || h->ip.n == 16) &&
                 h->deadline_us >= 0);
}

enum proto_code core_check_values(const struct proto_command *c)
{
    if (check_head(&c->head) != PROTO_OK)
        return PROTO_MALFORMED;
    switch (c->head.kind) {
    case PROTO_CMD_org_create:
        return proto_uuid_none(&c->head.org) ? PROTO_MALFORMED : check_org(&c->body.org_create);
    case PROTO_CMD_org_set: /* the same field list */
        return check_org((const struct proto_org_create *)(const void *)&c->body.org_set);
    case PROTO_CMD_team_create:
        return ok_if(c->body.team_create.name.n > 0);
    case PROTO_CMD_key_create:
        return check_key(&c->body.key_create);
    case PROTO_CMD_key_rotate:
        return ok_if(public_good(c->body.key_rotate.public) &&
                     !proto_hash_none(&c->body.key_rotate.secret));
    case PROTO_CMD_deposit:
        return positive(c->body.deposit.amount);
    case PROTO_CMD_grant:
        return positive(c->body.grant.amount);
    case PROTO_CMD_refund:
        return positive(c->body.refund.amount);
    case PROTO_CMD_chargeback:
        return positive(c->body.chargeback.amount);
    case PROTO_CMD_adjust:
        return positive(c->body.adjust.amount);
    case PROTO_CMD_budget_put:
        return check_budget(&c->body.budget_put);
    case PROTO_CMD_price_import:
        return ok_if(c->body.price_import.count > 0 && c->body.price_import.first > 0);
    case PROTO_CMD_reserve:
        return check_reserve(&c->body.reserve);
    case PROTO_CMD_settle:
        return check_settle(&c->body.settle);
    case PROTO_CMD_release:
        return ok_if(!proto_uuid_none(&c->body.release.hold));
    case PROTO_CMD_extend:
        return check_extend(&c->body.extend);
    case PROTO_CMD_feature_level:
        return ok_if(c->body.feature_level.level >= PROTO_LEVEL_FIRST &&
                     c->body.feature_level.level <= PROTO_LEVEL_MAX);
    case PROTO_CMD_cluster_add:
        return ok_if(c->body.cluster_add.node > 0 && c->body.cluster_add.address.n > 0 &&
                     c->body.cluster_add.address.n <= CORE_ADDRESS_MAX);
    case PROTO_CMD_cluster_remove:
        return ok_if(c->body.cluster_remove.node > 0);
    default:
        return PROTO_OK;
    }
}
