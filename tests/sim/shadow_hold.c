/* SPDX-License-Identifier: Apache-2.0
 * The shadow's holds: reserve, settle, release, extend, expiry.
 */
#include "shadow.h"

#include <stdlib.h>

static int64_t capped(__int128 v)
{
    return v > INT64_MAX ? INT64_MAX : (int64_t)v;
}

/* A hold has room for the fee on what its caller names. */
static __int128 with_fee(const struct shadow_org *o, int64_t cost)
{
    return cost + ((__int128)cost * o->fee_ppm + 999999) / 1000000;
}

/* ---- holds ---- */
static bool visible(const struct shadow *s, const struct shadow_hold *h)
{
    if (h->state == OPEN)
        return true;
    return s->clock_us <= (h->state == EXPIRED ? h->deadline_us + LATE : h->keep_us);
}

struct shadow_hold *shadow_hold_find(struct shadow *s, unsigned org, const struct proto_uuid *id)
{
    for (unsigned i = s->holds; i-- > 0;)
        if (s->hold[i].org == org && proto_uuid_eq(&s->hold[i].id, id) && visible(s, &s->hold[i]))
            return &s->hold[i];
    return NULL;
}

static struct shadow_hold *new_hold(struct shadow *s, unsigned org, const struct proto_uuid *id)
{
    if (s->holds == SHADOW_HOLDS)
        abort();
    struct shadow_hold *h = &s->hold[s->holds++];
    *h = (struct shadow_hold){.org = org, .id = *id, .index = s->index, .ordinal = s->ordinal};
    return h;
}

int64_t shadow_id_us(const struct proto_uuid *id)
{
    return proto_uuid_time_ms(id) * 1000;
}

/* All the hold's counters together. */
static void count(struct shadow_hold *h, int64_t held, int64_t spent, int64_t overrun)
{
    for (unsigned i = 0; i < h->lines; i++) {
        struct shadow_counter *c = h->line[i];
        c->held += held;
        c->spent = capped((__int128)c->spent + spent);
        c->overrun = capped((__int128)c->overrun + overrun);
    }
}

static void uncount_open(struct shadow *s, struct shadow_hold *h)
{
    for (unsigned i = 0; i < h->lines; i++)
        h->line[i]->open--;
    s->org[h->org].open--;
}

static void draw(struct shadow_org *o, struct shadow_hold *h, int64_t amount)
{
    int64_t promo = shadow_least(amount, o->account[CORE_PROMO]);
    shadow_move(o, CORE_PROMO, CORE_HELD, promo);
    shadow_move(o, CORE_AVAILABLE, CORE_HELD, amount - promo);
    h->promo += promo;
    h->available += amount - promo;
    count(h, amount, 0, 0);
}

/* What `used` leaves goes back; promo was used first. */
static int64_t give_back(struct shadow_org *o, const struct shadow_hold *h, int64_t used)
{
    int64_t of_promo = shadow_least(used, h->promo);
    shadow_move(o, CORE_HELD, CORE_PROMO, h->promo - of_promo);
    shadow_move(o, CORE_HELD, CORE_AVAILABLE, h->available - (used - of_promo));
    return shadow_amount(h) - used;
}

static int by_deadline(const void *a, const void *b)
{
    const struct shadow_hold *x = *(struct shadow_hold *const *)a;
    const struct shadow_hold *y = *(struct shadow_hold *const *)b;
    if (x->deadline_us != y->deadline_us)
        return x->deadline_us < y->deadline_us ? -1 : 1;
    if (x->index != y->index)
        return x->index < y->index ? -1 : 1;
    return x->ordinal < y->ordinal ? -1 : 1;
}

uint32_t shadow_entry(struct shadow *s, uint64_t term, int64_t stamp_us)
{
    static struct shadow_hold *due[SHADOW_HOLDS];
    uint32_t n = 0;
    s->index++;
    if (stamp_us > s->clock_us)
        s->clock_us = stamp_us;
    if (term != s->term)
        s->grace_until_us = s->clock_us + GRACE;
    s->term = term;
    if (s->clock_us < s->grace_until_us)
        return 0;
    for (unsigned i = 0; i < s->holds; i++)
        if (s->hold[i].state == OPEN && s->hold[i].deadline_us <= s->clock_us)
            due[n++] = &s->hold[i];
    qsort(due, n, sizeof due[0], by_deadline);
    if (n > CORE_EXPIRE_PER_ENTRY)
        n = CORE_EXPIRE_PER_ENTRY;
    for (uint32_t i = 0; i < n; i++) {
        struct shadow_hold *h = due[i];
        count(h, -shadow_amount(h), 0, 0);
        uncount_open(s, h);
        give_back(&s->org[h->org], h, 0);
        h->state = EXPIRED;
        s->unconfirmed = capped((__int128)s->unconfirmed + shadow_amount(h));
    }
    return n;
}

/* ---- answers ---- */
void shadow_reserved(struct shadow *s, const struct shadow_hold *h, int64_t amount, uint8_t flags,
                     struct proto_result *r)
{
    const int64_t *a = s->org[h->org].account;
    *r = (struct proto_result){.code = PROTO_OK, .flags = flags, .shape = PROTO_SHAPE_reserved};
    r->body.reserved = (struct proto_reserved){.org = shadow_org_id(h->org),
                                               .team = h->team,
                                               .key = h->key,
                                               .candidate = h->candidate,
                                               .amount = amount,
                                               .deadline_us = h->deadline_us,
                                               .price_version = h->version,
                                               .available = a[CORE_AVAILABLE],
                                               .promo = a[CORE_PROMO],
                                               .held = a[CORE_HELD]};
}

static void answer_settled(struct shadow *s, const struct shadow_hold *h, uint8_t flags,
                           struct proto_result *r)
{
    const int64_t *a = s->org[h->org].account;
    *r = (struct proto_result){
        .code = PROTO_OK, .flags = h->flags | flags, .shape = PROTO_SHAPE_settled};
    r->body.settled = (struct proto_settled){.cost = h->cost,
                                             .fee = h->fee,
                                             .released = h->released,
                                             .written_off = h->written_off,
                                             .available = a[CORE_AVAILABLE],
                                             .promo = a[CORE_PROMO],
                                             .held = a[CORE_HELD]};
}

void shadow_balances(const struct shadow_org *o, struct proto_result *r)
{
    const int64_t *a = o->account;
    *r = (struct proto_result){.code = PROTO_OK, .shape = PROTO_SHAPE_balances};
    r->body.balances =
        (struct proto_balances){a[CORE_AVAILABLE], a[CORE_PROMO],   a[CORE_HELD],    a[CORE_USAGE],
                                a[CORE_FEES],      a[CORE_FUNDING], a[CORE_WRITEOFF]};
}

void shadow_short_of(struct shadow *s, unsigned org, int64_t needed, struct proto_result *r)
{
    const int64_t *a = s->org[org].account;
    *r = (struct proto_result){.code = PROTO_INSUFFICIENT_CREDIT, .shape = PROTO_SHAPE_short_of};
    r->body.short_of = (struct proto_short_of){shadow_org_id(org), needed, a[CORE_AVAILABLE],
                                               a[CORE_PROMO], a[CORE_HELD]};
}

void shadow_created(struct proto_result *r, uint32_t number)
{
    *r = (struct proto_result){.code = PROTO_OK, .shape = PROTO_SHAPE_created};
    r->body.created.number = number;
}

static bool affordable(const struct shadow_org *o, int64_t amount)
{
    return amount <= o->account[CORE_AVAILABLE] + o->account[CORE_PROMO];
}

/* ---- reserve ---- */
uint32_t shadow_model(struct proto_str name)
{
    return name.n == 7 && memcmp(name.p, "model-", 6) == 0 && name.p[6] >= 'a' &&
                   name.p[6] < 'a' + SHADOW_MODELS
               ? (uint32_t)(name.p[6] - 'a' + 1)
               : 0;
}

static uint32_t priced(const struct shadow *s, uint32_t version, struct proto_str model)
{
    uint32_t n = shadow_model(model);
    return n && version < SHADOW_VERSIONS && s->prices[version].there[n - 1] ? n : 0;
}

static bool reserve_again(struct shadow *s, unsigned org, const struct proto_command *c,
                          const struct proto_hash *digest, struct proto_result *r)
{
    struct shadow_hold *h = shadow_hold_find(s, org, &c->head.id);
    if (!h)
        return false;
    if (h->state == FORESTALLED) {
        shadow_code(r, PROTO_HOLD_CLOSED);
    } else if (!shadow_hash_eq(&h->digest, digest)) {
        shadow_code(r, PROTO_COMMAND_ID_REUSED);
    } else if (h->state == REFUSED) {
        *r = (struct proto_result){
            .code = (uint16_t)h->code, .flags = PROTO_FLAG_DUPLICATE, .shape = PROTO_SHAPE_earlier};
        r->body.earlier.index = h->index;
    } else {
        shadow_reserved(s, h, shadow_amount(h) - h->extended, PROTO_FLAG_DUPLICATE, r);
    }
    return true;
}

/* The last call admitted for this client's key within a day, unless it was released. */
static bool made_before(struct shadow *s, unsigned org, uint32_t key, const struct proto_command *c,
                        struct proto_result *r)
{
    const struct proto_hash *value = &c->body.reserve.idempotency;
    const struct shadow_hold *h = NULL;
    for (unsigned i = s->holds; i-- > 0 && !h && !proto_hash_none(value);)
        if (s->hold[i].org == org && s->hold[i].key == key && s->hold[i].admitted &&
            shadow_hash_eq(&s->hold[i].idempotency, value))
            h = &s->hold[i];
    if (!h || s->clock_us > h->created_us + DAY || h->state == RELEASED)
        return false;
    *r = (struct proto_result){.code = PROTO_IDEMPOTENT_REPEAT, .shape = PROTO_SHAPE_repeated};
    bool settled = h->state == SETTLED;
    r->body.repeated = (struct proto_repeated){.org = shadow_org_id(org),
                                               .hold = h->id,
                                               .settled = settled,
                                               .index = settled ? h->settle_index : h->index,
                                               .ordinal = settled ? h->settle_ordinal : h->ordinal,
                                               .cost = settled ? h->cost + h->fee : 0};
    return true;
}

static unsigned key_state(const struct shadow *s, unsigned org, uint32_t key, bool stale)
{
    const struct shadow_key *k = &s->org[org].key[key];
    if (stale || k->revoked)
        return PROTO_KEY_REVOKED;
    return k->expires_us && s->clock_us >= k->expires_us ? PROTO_KEY_EXPIRED : PROTO_OK;
}

struct choice {
    uint32_t model[PROTO_MAX_candidate];
    bool usable[PROTO_MAX_candidate];
    unsigned chosen, n;
    struct shadow_line line[SHADOW_LINES];
};

static unsigned check_models(struct shadow *s, unsigned org, uint32_t key,
                             const struct proto_reserve *c, struct choice *ch,
                             struct proto_result *r)
{
    const struct shadow_org *o = &s->org[org];
    bool only_a = o->key[key].only_a;
    if (only_a && shadow_model(c->candidates.e[0].model) != 1)
        return PROTO_MODEL_NOT_ALLOWED;
    if (c->price_version != s->version && (s->version == 0 || c->price_version != s->version - 1)) {
        *r = (struct proto_result){.code = PROTO_STALE_CONFIG, .shape = PROTO_SHAPE_versions};
        r->body.versions = (struct proto_versions){s->version, o->rules_version};
        return PROTO_STALE_CONFIG;
    }
    for (uint32_t i = 0; i < c->candidates.n; i++) {
        struct proto_str model = c->candidates.e[i].model;
        unsigned code = PROTO_OK;
        ch->model[i] = priced(s, c->price_version, model);
        if (only_a && shadow_model(model) != 1)
            code = PROTO_MODEL_NOT_ALLOWED;
        else if (!ch->model[i] && !o->allow_unpriced)
            code = PROTO_MODEL_UNPRICED;
        else if (c->flags & PROTO_RESERVE_UNBOUNDED)
            code = PROTO_UNBOUNDED_REQUEST;
        else if (with_fee(o, c->candidates.e[i].amount) > INT64_MAX)
            code = PROTO_AMOUNT_OVERFLOW;
        if (code != PROTO_OK && i == 0)
            return code;
        ch->usable[i] = code == PROTO_OK;
    }
    return PROTO_OK;
}

static unsigned choose(struct shadow *s, unsigned org, uint32_t key, const struct proto_reserve *c,
                       struct choice *ch, struct proto_result *r)
{
    unsigned code = PROTO_OK, last = 0;
    for (uint32_t i = 0; i < c->candidates.n; i++)
        last = ch->usable[i] ? i : last;
    for (uint32_t i = 0; i < c->candidates.n; i++) {
        int64_t amount;
        bool downgrade;
        if (!ch->usable[i])
            continue;
        ch->chosen = i;
        amount = (int64_t)with_fee(&s->org[org], c->candidates.e[i].amount);
        if (!affordable(&s->org[org], amount)) {
            shadow_short_of(s, org, amount, r);
            return PROTO_INSUFFICIENT_CREDIT;
        }
        if (!shadow_collect(s, org, key, c, c->candidates.e[i].model, ch->line, &ch->n))
            return PROTO_QUOTA_EXCEEDED;
        code = shadow_check(ch->line, ch->n, org, amount, i == last, r, &downgrade);
        if (!downgrade)
            return code;
    }
    return code;
}

static struct shadow_counter *counter_for(struct shadow *s, unsigned org,
                                          const struct shadow_line *l)
{
    if (l->counter)
        return l->counter;
    if (s->counters == SHADOW_COUNTERS)
        abort();
    struct shadow_counter *c = &s->counter[s->counters++];
    *c = (struct shadow_counter){.org = org,
                                 .budget = l->number,
                                 .generation = l->budget->generation,
                                 .instance = l->instance,
                                 .start_us = l->start_us,
                                 .end_us = l->end_us};
    return c;
}

static void admit(struct shadow *s, unsigned org, uint32_t key, const struct proto_command *c,
                  const struct proto_hash *digest, struct choice *ch, struct proto_result *r)
{
    const struct proto_reserve *v = &c->body.reserve;
    struct shadow_org *o = &s->org[org];
    struct shadow_hold *h = new_hold(s, org, &c->head.id);
    h->state = OPEN;
    h->token = v->token;
    h->digest = *digest;
    h->team = o->key[key].team;
    h->key = key;
    h->version = v->price_version;
    h->model = ch->model[ch->chosen];
    h->candidate = (uint8_t)ch->chosen;
    h->admitted = true;
    h->idempotency = v->idempotency;
    h->created_us = s->clock_us;
    h->deadline_us = s->clock_us + v->ttl_us;
    for (unsigned i = 0; i < ch->n; i++) {
        h->line[i] = counter_for(s, org, &ch->line[i]);
        h->line[i]->open++;
    }
    h->lines = ch->n;
    o->open++;
    draw(o, h, (int64_t)with_fee(o, v->candidates.e[ch->chosen].amount));
    shadow_reserved(s, h, shadow_amount(h), 0, r);
}

void shadow_reserve(struct shadow *s, unsigned org, const struct shadow_cred *who,
                    const struct proto_command *c, const struct proto_hash *digest,
                    struct proto_result *r)
{
    static struct choice ch; /* the result's views point into it until the next command */
    memset(&ch, 0, sizeof ch);
    if (reserve_again(s, org, c, digest, r) || made_before(s, org, who->key, c, r))
        return;
    unsigned code = s->org[org].paused ? PROTO_PAUSED : key_state(s, org, who->key, who->stale);
    if (code == PROTO_OK)
        code = check_models(s, org, who->key, &c->body.reserve, &ch, r);
    if (code == PROTO_OK)
        code = choose(s, org, who->key, &c->body.reserve, &ch, r);
    if (code == PROTO_OK) {
        admit(s, org, who->key, c, digest, &ch, r);
        return;
    }
    if (r->code != code)
        shadow_code(r, code);
    s->refused++;
    if (code == PROTO_STALE_CONFIG)
        return;
    struct shadow_hold *h = new_hold(s, org, &c->head.id);
    h->state = REFUSED;
    h->token = c->body.reserve.token;
    h->digest = *digest;
    h->code = code;
    h->keep_us = shadow_id_us(&h->id) + HOT;
}

/* ---- settle, release, extend ---- */
static bool what_is_owed(const struct shadow *s, const struct shadow_hold *h,
                         const struct proto_settle *c, __int128 *cost, __int128 *fee,
                         uint8_t *flags)
{
    const struct shadow_org *o = &s->org[h->org];
    *flags |= c->source == PROTO_COST_ESTIMATE ? PROTO_FLAG_ESTIMATED : 0;
    *cost = c->cost;
    if (c->source != PROTO_COST_PROVIDER && h->model == 0) {
        *cost = (__int128)shadow_amount(h) * 1000000 / (1000000 + o->fee_ppm);
        *fee = shadow_amount(h) - *cost;
        *flags |= PROTO_FLAG_ESTIMATED;
    } else {
        if (c->source != PROTO_COST_PROVIDER) {
            *cost = 0;
            for (uint32_t i = 0; i < c->units.n; i++)
                *cost +=
                    (__int128)c->units.e[i].n * (c->units.e[i].unit == PROTO_UNIT_input
                                                     ? s->prices[h->version].input[h->model - 1]
                                                     : s->prices[h->version].output[h->model - 1]);
            *cost = (*cost + 999999999) / 1000000000;
        }
        if (*cost > INT64_MAX)
            return false;
        *fee = (*cost * o->fee_ppm + 999999) / 1000000;
    }
    return *cost + *fee <= INT64_MAX && o->account[CORE_USAGE] + *cost <= INT64_MAX &&
           o->account[CORE_FEES] + *fee <= INT64_MAX &&
           o->account[CORE_WRITEOFF] - *cost >= INT64_MIN;
}

static int64_t collect(struct shadow_org *o, struct shadow_hold *h, int to, int64_t amount)
{
    int64_t promo = shadow_least(amount, o->account[CORE_PROMO]);
    int64_t rest = shadow_least(amount - promo, o->account[CORE_AVAILABLE]);
    shadow_move(o, CORE_PROMO, to, promo);
    shadow_move(o, CORE_AVAILABLE, to, rest);
    h->paid_available += rest;
    return promo + rest;
}

static void charge(struct shadow *s, struct shadow_hold *h, int64_t cost, int64_t fee,
                   uint8_t flags)
{
    struct shadow_org *o = &s->org[h->org];
    int64_t amount = shadow_amount(h), paid = 0, paid_fee = 0;
    if ((__int128)cost + fee > amount)
        flags |= PROTO_FLAG_OVERRUN;
    if (h->state == OPEN) {
        paid = shadow_least(cost, amount);
        paid_fee = shadow_least(fee, amount - paid);
        shadow_move(o, CORE_HELD, CORE_USAGE, paid);
        shadow_move(o, CORE_HELD, CORE_FEES, paid_fee);
        if (paid + paid_fee > h->promo)
            h->paid_available = paid + paid_fee - h->promo;
        h->released = give_back(o, h, paid + paid_fee);
        count(h, -amount, 0, 0);
        uncount_open(s, h);
        paid += collect(o, h, CORE_USAGE, cost - paid);
    } else {
        flags |= PROTO_FLAG_LATE;
        paid = collect(o, h, CORE_USAGE, cost);
        paid_fee = -1;
        s->unconfirmed -= shadow_least(amount, s->unconfirmed);
    }
    shadow_move(o, CORE_WRITEOFF, CORE_USAGE, cost - paid);
    if (paid_fee < 0)
        paid_fee = collect(o, h, CORE_FEES, fee);
    int64_t spent = cost + paid_fee;
    count(h, 0, spent, spent > amount ? spent - amount : 0);
    s->settled++;
    h->cost = cost;
    h->fee = paid_fee;
    h->written_off = cost - paid;
    h->flags = flags;
    h->settle_index = s->index;
    h->settle_ordinal = s->ordinal;
}

static void decide(struct shadow *s, struct shadow_hold *h, enum shadow_state state)
{
    h->state = state;
    h->keep_us = (h->deadline_us > s->clock_us ? h->deadline_us : s->clock_us) + LATE;
}

void shadow_settle(struct shadow *s, const struct proto_command *c, struct proto_result *r)
{
    const struct proto_settle *v = &c->body.settle;
    unsigned org = shadow_org_of(&c->head.org);
    if (org == SHADOW_ORGS || !s->org[org].there) {
        shadow_code(r, PROTO_ORG_UNKNOWN);
        return;
    }
    struct shadow_hold *h = shadow_hold_find(s, org, &v->hold);
    __int128 cost = 0, fee = 0;
    uint8_t flags = 0;
    if (!h)
        shadow_code(r, PROTO_HOLD_UNKNOWN);
    else if (!shadow_hash_eq(&h->token, &v->token))
        shadow_code(r, PROTO_UNAUTHORISED_HOLD);
    else if (h->state == SETTLED)
        answer_settled(s, h, PROTO_FLAG_DUPLICATE, r);
    else if (h->state != OPEN && h->state != EXPIRED)
        shadow_code(r, PROTO_HOLD_CLOSED);
    else if (!what_is_owed(s, h, v, &cost, &fee, &flags))
        shadow_code(r, PROTO_AMOUNT_OVERFLOW);
    else {
        charge(s, h, (int64_t)cost, (int64_t)fee, flags);
        decide(s, h, SETTLED);
        answer_settled(s, h, 0, r);
    }
}

static void forestall(struct shadow *s, unsigned org, const struct proto_release *v)
{
    int64_t t = shadow_id_us(&v->hold);
    if (t > s->clock_us + AHEAD || t < s->clock_us - HOT)
        return;
    struct shadow_hold *h = new_hold(s, org, &v->hold);
    h->state = FORESTALLED;
    h->token = v->token;
    h->keep_us = t + HOT;
}

void shadow_release(struct shadow *s, const struct proto_command *c, struct proto_result *r)
{
    const struct proto_release *v = &c->body.release;
    unsigned org = shadow_org_of(&c->head.org);
    if (org == SHADOW_ORGS || !s->org[org].there) {
        shadow_code(r, PROTO_ORG_UNKNOWN);
        return;
    }
    struct shadow_hold *h = shadow_hold_find(s, org, &v->hold);
    if (!h) {
        forestall(s, org, v);
        shadow_code(r, PROTO_HOLD_UNKNOWN);
    } else if (!shadow_hash_eq(&h->token, &v->token)) {
        shadow_code(r, PROTO_UNAUTHORISED_HOLD);
    } else if (h->state == RELEASED) {
        answer_settled(s, h, PROTO_FLAG_DUPLICATE, r);
    } else if (h->state == FORESTALLED) {
        shadow_code(r, PROTO_HOLD_UNKNOWN);
        r->flags = PROTO_FLAG_DUPLICATE;
    } else if (h->state == OPEN) {
        count(h, -shadow_amount(h), 0, 0);
        uncount_open(s, h);
        h->released = give_back(&s->org[org], h, 0);
        decide(s, h, RELEASED);
        answer_settled(s, h, 0, r);
    } else if (h->state == EXPIRED) {
        s->unconfirmed -= shadow_least(shadow_amount(h), s->unconfirmed);
        h->flags = PROTO_FLAG_LATE;
        decide(s, h, RELEASED);
        answer_settled(s, h, 0, r);
    } else {
        shadow_code(r, PROTO_HOLD_CLOSED);
    }
}

static unsigned extend_refused(struct shadow *s, unsigned org, const struct shadow_cred *who,
                               const struct proto_extend *v, struct shadow_hold *h,
                               struct proto_result *r)
{
    struct shadow_org *o = &s->org[org];
    struct shadow_line line[SHADOW_LINES];
    bool downgrade;
    if (o->paused)
        return PROTO_PAUSED;
    if (!h)
        return PROTO_HOLD_UNKNOWN;
    if (h->state != OPEN && h->state != EXPIRED)
        return PROTO_HOLD_CLOSED;
    if (!shadow_hash_eq(&h->token, &v->token))
        return PROTO_UNAUTHORISED_HOLD;
    unsigned code = who ? key_state(s, org, who->key, who->stale) : PROTO_OK;
    if (code == PROTO_OK)
        code = key_state(s, org, h->key, false);
    if (code == PROTO_OK && h->state == EXPIRED)
        code = PROTO_HOLD_CLOSED;
    if (code == PROTO_OK && with_fee(o, v->amount) > INT64_MAX)
        return PROTO_AMOUNT_OVERFLOW;
    if (code != PROTO_OK || v->amount == 0)
        return code;
    int64_t amount = (int64_t)with_fee(o, v->amount);
    if (!affordable(o, amount)) {
        shadow_short_of(s, org, amount, r);
        return PROTO_INSUFFICIENT_CREDIT;
    }
    for (unsigned i = 0; i < h->lines; i++) {
        struct shadow_counter *c = h->line[i];
        const struct shadow_budget *b = &o->budget[c->budget];
        line[i] = (struct shadow_line){.number = c->budget, .counter = c, .end_us = c->end_us};
        if (b->live && b->generation == c->generation)
            line[i].budget = b;
        line[i].named = b->selector.s;
    }
    return shadow_check(line, h->lines, org, amount, true, r, &downgrade);
}

void shadow_extend(struct shadow *s, unsigned org, const struct shadow_cred *who,
                   const struct proto_command *c, struct proto_result *r)
{
    const struct proto_extend *v = &c->body.extend;
    struct shadow_hold *h = shadow_hold_find(s, org, &v->hold);
    unsigned code = extend_refused(s, org, who, v, h, r);
    if (code != PROTO_OK) {
        if (r->code != code)
            shadow_code(r, code);
        s->refused++;
        return;
    }
    int64_t amount = (int64_t)with_fee(&s->org[org], v->amount);
    draw(&s->org[org], h, amount);
    h->extended += amount;
    h->deadline_us = shadow_least(s->clock_us + v->ttl_us, h->created_us + 7 * DAY);
    shadow_reserved(s, h, shadow_amount(h), 0, r);
}
