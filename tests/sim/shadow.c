/* SPDX-License-Identifier: Apache-2.0
 * The shadow's commands: authority, retries, money in and out, orgs, keys, prices.
 */
#include "shadow.h"

#include <stdlib.h>

void shadow_code(struct proto_result *r, unsigned code)
{
    *r = (struct proto_result){.code = (uint16_t)code};
}

struct proto_uuid shadow_org_id(unsigned org)
{
    return (struct proto_uuid){{0xaa, (uint8_t)(org + 1), 1}};
}

unsigned shadow_org_of(const struct proto_uuid *id)
{
    for (unsigned i = 0; i < SHADOW_ORGS; i++) {
        struct proto_uuid o = shadow_org_id(i);
        if (proto_uuid_eq(&o, id))
            return i;
    }
    return SHADOW_ORGS;
}

/* ---- money in and out ---- */
static void pay(struct shadow *s, unsigned org, unsigned kind, const struct proto_deposit *v,
                struct proto_result *r)
{
    struct shadow_org *o = &s->org[org];
    int64_t *a = o->account;
    unsigned code = PROTO_OK;
    bool in = kind == PROTO_CMD_deposit || kind == PROTO_CMD_grant;
    for (unsigned i = 0; i < o->references; i++)
        if (v->reference.n && shadow_name_is(&o->reference[i], v->reference))
            code = PROTO_REFERENCE_USED;
    if (code == PROTO_OK && in &&
        ((__int128)a[CORE_AVAILABLE] + a[CORE_PROMO] + a[CORE_HELD] + v->amount > INT64_MAX ||
         (__int128)a[CORE_FUNDING] - v->amount < INT64_MIN ||
         (__int128)o->deposits + v->amount > INT64_MAX))
        code = PROTO_AMOUNT_OVERFLOW;
    if (code == PROTO_OK && !in && v->amount > o->deposits)
        code = PROTO_REFUND_EXCEEDS_DEPOSITS;
    if (code == PROTO_OK && kind == PROTO_CMD_chargeback && v->amount > a[CORE_AVAILABLE] &&
        (__int128)a[CORE_WRITEOFF] - (v->amount - a[CORE_AVAILABLE]) < INT64_MIN)
        code = PROTO_AMOUNT_OVERFLOW;
    if (code != PROTO_OK) {
        shadow_code(r, code);
        return;
    }
    if (kind == PROTO_CMD_refund && v->amount > a[CORE_AVAILABLE]) {
        shadow_short_of(s, org, v->amount, r);
        return;
    }
    if (v->reference.n) {
        if (o->references == SHADOW_REFERENCES)
            abort();
        o->reference[o->references++] = shadow_name_of(v->reference);
    }
    if (in) {
        shadow_move(o, CORE_FUNDING, kind == PROTO_CMD_grant ? CORE_PROMO : CORE_AVAILABLE,
                    v->amount);
        o->deposits += kind == PROTO_CMD_deposit ? v->amount : 0;
    } else {
        int64_t part = shadow_least(v->amount, a[CORE_AVAILABLE]);
        shadow_move(o, CORE_AVAILABLE, CORE_FUNDING, part);
        shadow_move(o, CORE_WRITEOFF, CORE_FUNDING, v->amount - part);
        o->deposits -= v->amount;
    }
    shadow_balances(o, r);
}

static void adjust(struct shadow *s, unsigned org, const struct proto_adjust *v,
                   struct proto_result *r)
{
    struct shadow_org *o = &s->org[org];
    struct shadow_hold *h = shadow_hold_find(s, org, &v->hold);
    const int64_t *a = o->account;
    if (!h || h->state != SETTLED) {
        shadow_code(r, PROTO_NOT_FOUND);
        return;
    }
    int64_t left =
        v->from_fees ? h->fee - h->adjusted_fees : h->cost - h->written_off - h->adjusted_usage;
    if (v->amount > left) {
        shadow_code(r, PROTO_ADJUST_EXCEEDS_CHARGE);
        return;
    }
    if ((__int128)a[CORE_AVAILABLE] + a[CORE_PROMO] + a[CORE_HELD] + v->amount > INT64_MAX) {
        shadow_code(r, PROTO_AMOUNT_OVERFLOW);
        return;
    }
    int64_t cash = shadow_least(v->amount, h->paid_available);
    shadow_move(o, v->from_fees ? CORE_FEES : CORE_USAGE, CORE_AVAILABLE, cash);
    shadow_move(o, v->from_fees ? CORE_FEES : CORE_USAGE, CORE_PROMO, v->amount - cash);
    h->paid_available -= cash;
    *(v->from_fees ? &h->adjusted_fees : &h->adjusted_usage) += v->amount;
    shadow_balances(o, r);
}

/* ---- orgs, keys, prices ---- */
static struct shadow_cred *find_cred(struct shadow *s, const struct proto_hash *hash)
{
    for (unsigned i = 0; i < s->creds; i++)
        if (shadow_hash_eq(&s->cred[i].hash, hash))
            return &s->cred[i];
    return NULL;
}

static void add_cred(struct shadow *s, unsigned org, uint32_t key, const struct proto_hash *hash)
{
    if (s->creds == SHADOW_CREDS)
        abort();
    s->cred[s->creds++] = (struct shadow_cred){.hash = *hash, .org = org, .key = key};
}

static void key_create(struct shadow *s, unsigned org, const struct proto_key_create *v,
                       struct proto_result *r)
{
    struct shadow_org *o = &s->org[org];
    if (v->team > o->teams) {
        shadow_code(r, PROTO_TEAM_UNKNOWN);
        return;
    }
    if (find_cred(s, &v->secret) || shadow_hash_eq(&v->secret, &s->operator_hash)) {
        shadow_code(r, PROTO_KEY_EXISTS); /* public parts follow the secret in these streams */
        return;
    }
    o->key[++o->keys] = (struct shadow_key){.team = v->team,
                                            .only_a = v->models.n > 0,
                                            .expires_us = v->expires_us,
                                            .env = shadow_name_of(v->env)};
    add_cred(s, org, o->keys, &v->secret);
    shadow_created(r, o->keys);
}

static void key_change(struct shadow *s, unsigned org, const struct proto_command *c,
                       struct proto_result *r)
{
    struct shadow_org *o = &s->org[org];
    bool rotate = c->head.kind == PROTO_CMD_key_rotate;
    uint32_t n = rotate ? c->body.key_rotate.key : c->body.key_revoke.key;
    if (n == 0 || n > o->keys) {
        shadow_code(r, PROTO_KEY_UNKNOWN);
    } else if (o->key[n].revoked) {
        shadow_code(r, PROTO_KEY_REVOKED);
    } else if (!rotate) {
        o->key[n].revoked = true;
        shadow_code(r, PROTO_OK);
    } else if (find_cred(s, &c->body.key_rotate.secret)) {
        shadow_code(r, PROTO_KEY_EXISTS);
    } else {
        for (unsigned i = 0; i < s->creds; i++)
            if (s->cred[i].org == org && s->cred[i].key == n)
                s->cred[i].stale = true;
        add_cred(s, org, n, &c->body.key_rotate.secret);
        shadow_created(r, n);
    }
}

static void price_import(struct shadow *s, const struct proto_price_import *v,
                         struct proto_result *r)
{
    uint32_t version = s->version + 1;
    if (v->version != version ||
        (v->first != 1 &&
         (v->first != s->pending + 1 || !shadow_name_is(&s->pending_source, v->source)))) {
        *r = (struct proto_result){.code = PROTO_VERSION_CONFLICT, .shape = PROTO_SHAPE_versions};
        r->body.versions.prices = s->version;
        return;
    }
    if (version == SHADOW_VERSIONS)
        abort();
    if (v->first == 1) {
        memset(&s->prices[version], 0, sizeof s->prices[version]);
        s->pending = 0;
    }
    struct proto_reader reader = proto_reader_over(v->rows.p, v->rows.n);
    struct proto_price p; /* these streams have one row a chunk: input, output */
    uint32_t m = proto_price_get(&reader, &p) ? shadow_model(p.model) : 0;
    if (m == 0 || s->prices[version].there[m - 1]) {
        shadow_code(r, PROTO_MALFORMED);
        return;
    }
    s->prices[version].there[m - 1] = true;
    s->prices[version].input[m - 1] = p.points.e[0].price;
    s->prices[version].output[m - 1] = p.points.e[1].price;
    s->pending++;
    s->pending_source = shadow_name_of(v->source);
    if (v->last) {
        s->version = version;
        s->pending = 0;
    }
    shadow_created(r, version);
}

static void org_write(struct shadow *s, unsigned org, const struct proto_command *c,
                      struct proto_result *r)
{
    const struct proto_org_create *v = &c->body.org_create; /* org_set: the same fields */
    struct shadow_org *o = &s->org[org];
    bool create = c->head.kind == PROTO_CMD_org_create;
    if (create && o->there) {
        shadow_code(r, PROTO_ORG_EXISTS);
        return;
    }
    o->there = true;
    o->billing_day = v->billing_day;
    o->fee_ppm = v->fee_ppm;
    o->allow_unpriced = v->allow_unpriced;
    shadow_code(r, PROTO_OK);
    uint32_t orgs = 0;
    for (unsigned i = 0; i < SHADOW_ORGS; i++)
        orgs += s->org[i].there;
    if (create)
        shadow_created(r, orgs);
}

/* ---- the cluster ---- */
uint32_t shadow_level(const struct shadow *s)
{
    return s->level > 0 ? s->level : 1;
}

static void feature_level(struct shadow *s, uint32_t level, struct proto_result *r)
{
    if (level <= shadow_level(s)) {
        shadow_code(r, PROTO_VERSION_CONFLICT);
        return;
    }
    s->level = level;
    shadow_created(r, level);
}

/* ---- any command ---- */
static void run(struct shadow *s, unsigned org, const struct shadow_cred *who,
                const struct proto_command *c, struct proto_result *r)
{
    switch (c->head.kind) {
    case PROTO_CMD_org_create:
    case PROTO_CMD_org_set:
        org_write(s, org, c, r);
        break;
    case PROTO_CMD_org_pause:
    case PROTO_CMD_org_resume:
        s->org[org].paused = c->head.kind == PROTO_CMD_org_pause;
        shadow_code(r, PROTO_OK);
        break;
    case PROTO_CMD_team_create:
        shadow_created(r, ++s->org[org].teams);
        break;
    case PROTO_CMD_key_create:
        key_create(s, org, &c->body.key_create, r);
        break;
    case PROTO_CMD_key_revoke:
    case PROTO_CMD_key_rotate:
        key_change(s, org, c, r);
        break;
    case PROTO_CMD_adjust:
        adjust(s, org, &c->body.adjust, r);
        break;
    case PROTO_CMD_budget_put:
        shadow_budget_put(s, org, &c->body.budget_put, r);
        break;
    case PROTO_CMD_budget_delete:
        shadow_budget_delete(s, org, c->body.budget_delete.budget, r);
        break;
    case PROTO_CMD_price_import:
        price_import(s, &c->body.price_import, r);
        break;
    case PROTO_CMD_extend:
        shadow_extend(s, org, who, c, r);
        break;
    case PROTO_CMD_feature_level:
        feature_level(s, c->body.feature_level.level, r);
        break;
    case PROTO_CMD_cluster_transfer: /* the leader's to carry out */
    case PROTO_CMD_cluster_add:
    case PROTO_CMD_cluster_remove:
        shadow_code(r, PROTO_OK);
        break;
    default:
        pay(s, org, c->head.kind, &c->body.deposit, r);
    }
}

static bool done_before(struct shadow *s, unsigned org, const struct shadow_cred *who,
                        const struct proto_command *c, const struct proto_hash *digest,
                        struct proto_result *r)
{
    const struct shadow_done *d = NULL;
    (void)who;
    for (unsigned i = s->dones; i-- > 0 && !d;)
        if (s->done[i].org == org && proto_uuid_eq(&s->done[i].id, &c->head.id) &&
            shadow_hash_eq(&s->done[i].cred, &c->head.cred) && s->clock_us <= s->done[i].keep_us)
            d = &s->done[i];
    if (!d)
        return false;
    if (!shadow_hash_eq(&d->digest, digest)) {
        shadow_code(r, PROTO_COMMAND_ID_REUSED);
        return true;
    }
    struct shadow_hold *h = c->head.kind == PROTO_CMD_extend && d->code == PROTO_OK
                                ? shadow_hold_find(s, org, &c->body.extend.hold)
                                : NULL;
    if (h && h->state == OPEN) {
        shadow_reserved(s, h, shadow_amount(h), PROTO_FLAG_DUPLICATE, r);
        return true;
    }
    if (d->shape == PROTO_SHAPE_created) {
        shadow_created(r, d->number);
    } else {
        *r = (struct proto_result){.shape = PROTO_SHAPE_earlier};
        r->body.earlier.index = d->index;
    }
    r->code = (uint16_t)d->code;
    r->flags = PROTO_FLAG_DUPLICATE;
    return true;
}

/* The values that these streams get wrong on purpose. */
static unsigned check_values(const struct proto_command *c)
{
    switch (c->head.kind) {
    case PROTO_CMD_deposit:
    case PROTO_CMD_grant:
    case PROTO_CMD_refund:
    case PROTO_CMD_chargeback:
        return c->body.deposit.amount > 0 ? PROTO_OK : PROTO_AMOUNT_INVALID;
    case PROTO_CMD_adjust:
        return c->body.adjust.amount > 0 ? PROTO_OK : PROTO_AMOUNT_INVALID;
    case PROTO_CMD_reserve:
        if (c->body.reserve.ttl_us <= 0 || c->body.reserve.ttl_us > DAY)
            return PROTO_MALFORMED;
        return c->body.reserve.candidates.e[0].amount >= 0 ? PROTO_OK : PROTO_AMOUNT_INVALID;
    case PROTO_CMD_extend:
        if (c->body.extend.ttl_us <= 0 || c->body.extend.ttl_us > DAY)
            return PROTO_MALFORMED;
        return c->body.extend.amount >= 0 ? PROTO_OK : PROTO_AMOUNT_INVALID;
    case PROTO_CMD_settle:
        return c->body.settle.cost >= 0 ? PROTO_OK : PROTO_AMOUNT_INVALID;
    default:
        return PROTO_OK;
    }
}

static unsigned check_id(const struct shadow *s, const struct proto_command *c)
{
    int64_t t = shadow_id_us(&c->head.id);
    if (t > s->clock_us + AHEAD)
        return PROTO_MALFORMED;
    return t < s->clock_us - (proto_command_hot(c->head.kind) ? HOT : COLD) ? PROTO_COMMAND_TOO_OLD
                                                                            : PROTO_OK;
}

/* Who asks, for which org. */
static unsigned check_who(struct shadow *s, const struct proto_command *c, unsigned *org,
                          const struct shadow_cred **who)
{
    unsigned kind = c->head.kind;
    bool operator_asks = shadow_hash_eq(&c->head.cred, &s->operator_hash);
    *who = operator_asks ? NULL : find_cred(s, &c->head.cred);
    *org = shadow_org_of(&c->head.org);
    if (!operator_asks && !*who)
        return PROTO_UNAUTHENTICATED;
    if (operator_asks ? kind == PROTO_CMD_reserve
                      : kind != PROTO_CMD_reserve && kind != PROTO_CMD_extend)
        return PROTO_FORBIDDEN;
    if (*who) {
        if (!proto_uuid_none(&c->head.org) && *org != (*who)->org)
            return PROTO_FORBIDDEN;
        *org = (*who)->org;
    }
    if (kind == PROTO_CMD_price_import || proto_command_cluster(kind))
        return PROTO_OK;
    return *org < SHADOW_ORGS && (kind == PROTO_CMD_org_create || s->org[*org].there)
               ? PROTO_OK
               : PROTO_ORG_UNKNOWN;
}

void shadow_command(struct shadow *s, const struct proto_command *c,
                    const struct proto_hash *digest, struct proto_result *r)
{
    unsigned org = 0, kind = c->head.kind;
    const struct shadow_cred *who = NULL;
    shadow_code(r, PROTO_OK);
    if (kind == PROTO_CMD_genesis) {
        if (!proto_hash_none(&s->operator_hash))
            shadow_code(r, PROTO_ALREADY_INITIALISED);
        s->operator_hash = c->body.genesis.operator_hash;
        return;
    }
    unsigned code = check_values(c);
    if (code == PROTO_OK && (kind == PROTO_CMD_settle || kind == PROTO_CMD_release)) {
        (kind == PROTO_CMD_settle ? shadow_settle : shadow_release)(s, c, r);
        return;
    }
    if (code == PROTO_OK)
        code = check_id(s, c);
    if (code == PROTO_OK)
        code = check_who(s, c, &org, &who);
    if (code != PROTO_OK) {
        shadow_code(r, code);
        return;
    }
    if (kind == PROTO_CMD_reserve) {
        shadow_reserve(s, org, who, c, digest, r);
        return;
    }
    if (done_before(s, org, who, c, digest, r))
        return;
    run(s, org, who, c, r);
    if (s->dones == SHADOW_DONE)
        abort();
    struct shadow_done *d = &s->done[s->dones++];
    *d = (struct shadow_done){.org = org,
                              .cred = c->head.cred,
                              .digest = *digest,
                              .id = c->head.id,
                              .code = r->code,
                              .shape = r->shape,
                              .index = s->index,
                              .keep_us = shadow_id_us(&c->head.id) +
                                         (proto_command_hot(kind) ? HOT : COLD)};
    if (r->shape == PROTO_SHAPE_created)
        d->number = r->body.created.number;
}
