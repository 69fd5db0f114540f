/* SPDX-License-Identifier: Apache-2.0
 * reserve: the admission of one call (F1, F3, F12, F51). Everything is decided before anything
 * moves; a refusal leaves only its record, so that a retry hears the same.
 */
#include "ledger/core/machine.h"

#include <errno.h>

/* What one reserve is decided with. */
struct admission {
    const struct core_apikey *key;
    struct core_subject subject;
    uint32_t row[PROTO_MAX_candidate];   /* price rows; 0: unpriced */
    int64_t amount[PROTO_MAX_candidate]; /* to hold: the candidate's and the fee on it */
    bool usable[PROTO_MAX_candidate];
    uint32_t chosen;
    struct core_lines lines;
};

/* ---- retries ---- */
static bool answer_again(struct core_machine *m, struct core_call *x)
{
    const struct proto_uuid *id = &x->c->head.id;
    struct core_hold *h = core_hold_get(m, &x->org_id, id);
    struct core_closed open, *first = NULL;
    if (h) {
        open = (struct core_closed){.digest = h->digest,
                                    .deadline_us = h->deadline_us,
                                    .amount = core_hold_amount(h) - h->extended,
                                    .team = h->team,
                                    .key = h->key,
                                    .price_version = h->price_version,
                                    .candidate = h->candidate};
        first = &open;
    } else {
        first = core_closed_get(m, &x->org_id, id);
    }
    if (!first)
        return false;
    if (first->state == CORE_CLOSED_FORESTALLED) {
        core_refuse(x, PROTO_HOLD_CLOSED);
    } else if (!core_half_eq(&first->digest, &x->digest)) {
        core_refuse(x, PROTO_COMMAND_ID_REUSED);
    } else if (first->state == CORE_CLOSED_REFUSED) {
        *x->r = (struct proto_result){
            .code = first->code, .flags = PROTO_FLAG_DUPLICATE, .shape = PROTO_SHAPE_earlier};
        x->r->body.earlier.index = first->index;
    } else {
        core_result_reserved(x, x->org, first);
        x->r->flags = PROTO_FLAG_DUPLICATE;
    }
    return true;
}

/* ---- the checks, in their order ---- */
static bool model_allowed(const struct core_apikey *key, struct proto_str model)
{
    const uint8_t *p = key->allowed, *end = p + key->models_bytes;
    if (key->models == 0)
        return true;
    for (; p < end; p += 1 + p[0])
        if (end - p > p[0] && proto_str_eq(core_str((const char *)p + 1, p[0]), model))
            return true;
    return false;
}

static enum proto_code check_model(const struct core_call *x, const struct admission *a, uint32_t i)
{
    const struct proto_reserve *c = &x->c->body.reserve;
    if (!model_allowed(a->key, c->candidates.e[i].model))
        return PROTO_MODEL_NOT_ALLOWED;
    if (a->row[i] == 0 && !x->org->allow_unpriced)
        return PROTO_MODEL_UNPRICED;
    if ((c->flags & PROTO_RESERVE_UNBOUNDED) && !x->org->allow_unbounded)
        return PROTO_UNBOUNDED_REQUEST;
    return PROTO_OK;
}

static enum proto_code stale(struct core_machine *m, struct core_call *x)
{
    *x->r = (struct proto_result){.code = PROTO_STALE_CONFIG, .shape = PROTO_SHAPE_versions};
    x->r->body.versions = (struct proto_versions){m->group.price_version, x->org->rules_version};
    x->unrecorded = true; /* nothing was decided: the same id may come again with newer prices */
    return PROTO_STALE_CONFIG;
}

/* Model and prices of all candidates; the first one must pass, others only drop out. The model
 * comes before the price version, so that a key hears FORBIDDEN models whatever its edge knows. */
static enum proto_code check_candidates(struct core_machine *m, struct core_call *x,
                                        struct admission *a)
{
    const struct proto_reserve *c = &x->c->body.reserve;
    uint32_t active = m->group.price_version;
    if (!model_allowed(a->key, c->candidates.e[0].model))
        return PROTO_MODEL_NOT_ALLOWED;
    if (c->price_version != active && (active == 0 || c->price_version != active - 1))
        return stale(m, x);
    for (uint32_t i = 0; i < c->candidates.n; i++) {
        a->row[i] = core_price_row(m, c->price_version, c->candidates.e[i].model);
        enum proto_code code = check_model(x, a, i);
        if (code == PROTO_OK && !core_with_fee(x->org, c->candidates.e[i].amount, &a->amount[i]))
            code = PROTO_AMOUNT_OVERFLOW;
        if (code != PROTO_OK && i == 0)
            return code;
        a->usable[i] = code == PROTO_OK;
    }
    return x->org->open_holds >= CORE_OPEN_HOLDS_MAX ? PROTO_QUOTA_EXCEEDED : PROTO_OK;
}

static enum proto_code check_credit(struct core_call *x, int64_t amount)
{
    const int64_t *acc = x->org->account;
    if (amount <= acc[CORE_AVAILABLE] + acc[CORE_PROMO])
        return PROTO_OK;
    *x->r = (struct proto_result){.code = PROTO_INSUFFICIENT_CREDIT, .shape = PROTO_SHAPE_short_of};
    x->r->body.short_of = (struct proto_short_of){.org = x->org_id,
                                                  .needed = amount,
                                                  .available = acc[CORE_AVAILABLE],
                                                  .promo = acc[CORE_PROMO],
                                                  .held = acc[CORE_HELD]};
    return PROTO_INSUFFICIENT_CREDIT;
}

/* The first candidate that clears credit and budgets. */
static enum proto_code choose(struct core_machine *m, struct core_call *x, struct admission *a)
{
    const struct proto_reserve *c = &x->c->body.reserve;
    enum proto_code code = PROTO_OK;
    uint32_t last = c->candidates.n - 1;
    while (!a->usable[last])
        last--;
    for (uint32_t i = 0; i <= last; i++) {
        bool downgrade = false;
        if (!a->usable[i])
            continue;
        int64_t amount = a->amount[i];
        a->chosen = i;
        code = check_credit(x, amount);
        if (code != PROTO_OK)
            return code;
        core_limit_collect(m, &a->subject, c->candidates.e[i].model, &a->lines);
        if (a->lines.overflow)
            return PROTO_QUOTA_EXCEEDED;
        code = core_limit_check(&a->lines, &x->org_id, amount, i == last, x->r, &downgrade);
        if (!downgrade)
            return code;
    }
    return code;
}

static enum proto_code decide(struct core_machine *m, struct core_call *x, struct admission *a)
{
    const struct proto_reserve *c = &x->c->body.reserve;
    enum proto_code code = PROTO_OK;
    if (x->org->paused)
        return PROTO_PAUSED;
    a->key = core_authority_key(m, &x->who, &code);
    if (!a->key)
        return code;
    code = check_candidates(m, x, a);
    if (code != PROTO_OK)
        return code;
    a->subject = (struct core_subject){.org_id = x->org_id,
                                       .org = x->org,
                                       .team = a->key->team,
                                       .key = x->who.key,
                                       .env = core_str(a->key->env, a->key->env_n),
                                       .agent = c->agent,
                                       .customer = c->customer,
                                       .user = c->user};
    if (a->key->env_n == 0) /* a key's own env is not for the caller to change */
        a->subject.env = c->env;
    return choose(m, x, a);
}

/* ---- the effect ---- */
static void admit(struct core_machine *m, struct core_call *x, struct admission *a)
{
    const struct proto_reserve *c = &x->c->body.reserve;
    const struct proto_uuid *id = &x->c->head.id;
    int64_t amount = a->amount[a->chosen];
    if (core_open_heap_room(&m->heap)) {
        core_fail(m, -ENOMEM, "no memory for the open holds");
        return;
    }
    struct core_key k;
    core_key_hold(&k, CORE_TABLE_hold, &x->org_id, id);
    struct core_hold *h = core_put(m, &k, sizeof *h + a->lines.n * sizeof h->counter[0]);
    h->digest = x->digest;
    h->token = core_half_of(&c->token);
    h->index = m->at.index;
    h->ordinal = x->ordinal;
    h->created_us = m->at.clock_us;
    h->deadline_us = m->at.clock_us + c->ttl_us;
    h->team = a->subject.team;
    h->key = a->subject.key;
    h->price_version = c->price_version;
    h->price_row = a->row[a->chosen];
    h->candidate = (uint8_t)a->chosen;
    h->state = CORE_HOLD_OPEN;
    core_limit_take(m, &a->subject, &a->lines, amount, h);
    core_hold_draw(m, &x->org_id, x->org, h, id, amount);
    x->org->open_holds++;
    m->group.open_holds++;
    core_touch(m, x->org);
    struct core_open o = {.deadline_us = h->deadline_us,
                          .index = h->index,
                          .ordinal = h->ordinal,
                          .org = x->org_id,
                          .id = *id};
    core_open_heap_add(&m->heap, &o);
    struct core_closed first = {.team = h->team,
                                .key = h->key,
                                .candidate = h->candidate,
                                .amount = amount,
                                .deadline_us = h->deadline_us,
                                .price_version = h->price_version};
    core_result_reserved(x, x->org, &first);
    core_idempotency_note(m, x);
}

static void refuse(struct core_machine *m, struct core_call *x, enum proto_code code)
{
    const struct proto_uuid *id = &x->c->head.id;
    if (x->r->code != code) /* no shape was filled in */
        core_refuse(x, code);
    x->org->refused++;
    core_touch(m, x->org);
    m->group.refused++;
    if (x->unrecorded)
        return;
    struct core_closed *c = core_closed_put(m, &x->org_id, id, CORE_CLOSED_REFUSED);
    c->digest = x->digest;
    c->token = core_half_of(&x->c->body.reserve.token);
    c->index = m->at.index;
    c->ordinal = x->ordinal;
    c->keep_until_us = proto_uuid_time_ms(id) * 1000 + CORE_HOT_HORIZON_US;
    c->code = (uint16_t)code;
}

void core_reserve(struct core_machine *m, struct core_call *x)
{
    struct admission a;
    if (answer_again(m, x) || core_idempotency_repeat(m, x))
        return;
    enum proto_code code = decide(m, x, &a);
    if (m->failed)
        return;
    if (code == PROTO_OK)
        admit(m, x, &a);
    else
        refuse(m, x, code);
}
