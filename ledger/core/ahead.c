/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/core/ahead.h"

#include "ledger/core/machine.h"

enum { SCOPES = 3 }; /* org, team, key: those that most budgets have */

/* One command on its way. */
struct way {
    const struct proto_command *c;
    bool admits; /* a reserve; else settle or release */
    struct proto_uuid org_id;
    struct core_hint cred, org, key, hold, decided;
    struct core_hint rules[SCOPES];
    struct core_hint budget[CORE_AHEAD_BUDGETS], counter[CORE_HOLD_COUNTERS];
    uint32_t budgets, counters;
    uint32_t number[CORE_AHEAD_BUDGETS];
    uint32_t of_team; /* the first of the budgets that are the team's */
};

static const struct proto_str none;

static const void *value(const struct core_hint *h, enum core_table table)
{
    size_t n;
    const void *v = core_overlay_hinted(h, table, &n);
    return v && core_record_fits(table, v, n) ? v : NULL;
}

static void want(struct core_machine *m, struct core_hint *h, const struct core_key *k)
{
    core_overlay_hint(&m->overlay, h, k);
}

static void want_hold(struct core_machine *m, struct way *y, const struct proto_uuid *id)
{
    struct core_key k;
    core_key_hold(&k, CORE_TABLE_hold, &y->org_id, id);
    want(m, &y->hold, &k);
    if (y->admits) {
        k.b[0] = CORE_TABLE_refused;
        want(m, &y->decided, &k);
    }
    k.b[0] = CORE_TABLE_closed;
    want(m, &y->decided, &k);
}

static void want_org(struct core_machine *m, struct way *y)
{
    struct core_key k;
    core_key_org(&k, &y->org_id);
    want(m, &y->org, &k);
}

static void want_rules(struct core_machine *m, struct way *y, unsigned i, uint8_t scope,
                       uint32_t subject)
{
    struct core_key k;
    core_key_rules(&k, &y->org_id, scope, false, subject, none);
    want(m, &y->rules[i], &k);
}

static void want_budgets(struct core_machine *m, struct way *y, unsigned i)
{
    const struct core_rules *r = value(&y->rules[i], CORE_TABLE_rules);
    for (uint32_t j = 0; r && j < r->n && y->budgets < CORE_AHEAD_BUDGETS; j++) {
        struct core_key k;
        core_key_org_number(&k, CORE_TABLE_budget, &y->org_id, r->budget[j]);
        y->number[y->budgets] = r->budget[j];
        want(m, &y->budget[y->budgets++], &k);
    }
}

static void want_counter(struct core_machine *m, struct way *y, const struct core_counter_ref *ref)
{
    struct core_key k;
    core_key_org_bytes(&k, CORE_TABLE_counter, &y->org_id, ref, sizeof *ref);
    want(m, &y->counter[y->counters++], &k);
}

static void want_counters(struct core_machine *m, struct way *y, uint32_t from, uint32_t to)
{
    const struct core_org *org = value(&y->org, CORE_TABLE_org);
    for (uint32_t i = from; org && i < to; i++) {
        const struct core_budget *b = value(&y->budget[i], CORE_TABLE_budget);
        if (!b || b->wildcard || b->window > PROTO_WINDOW_LAST || org->billing_day > 28)
            continue;
        struct core_window window = core_window_now(m, b->window, org->billing_day);
        struct core_counter_ref ref = {
            .budget = y->number[i], .generation = b->generation, .start_us = window.start_us};
        want_counter(m, y, &ref);
    }
}

/* ---- the steps; between two of them all other commands take theirs ---- */
static bool begin(struct core_machine *m, struct way *y, const struct proto_command *c)
{
    static const struct core_hint nothing;
    y->c = c;
    y->admits = c->head.kind == PROTO_CMD_reserve;
    y->budgets = y->counters = 0;
    y->cred = y->org = y->key = y->hold = nothing;
    y->rules[0] = y->rules[1] = y->rules[2] = nothing;
    if (y->admits) {
        struct core_key k;
        core_key_bytes(&k, CORE_TABLE_cred, c->head.cred.b, sizeof c->head.cred.b);
        want(m, &y->cred, &k);
        return true;
    }
    if (c->head.kind != PROTO_CMD_settle && c->head.kind != PROTO_CMD_release)
        return false;
    y->org_id = c->head.org;
    want_org(m, y);
    want_hold(m, y,
              c->head.kind == PROTO_CMD_settle ? &c->body.settle.hold : &c->body.release.hold);
    return true;
}

static void first_records(struct core_machine *m, struct way *y)
{
    core_overlay_near(&m->overlay, &y->cred);
    core_overlay_near(&m->overlay, &y->org);
    core_overlay_near(&m->overlay, &y->hold);
}

static void after_first(struct core_machine *m, struct way *y)
{
    const struct core_cred *cred = value(&y->cred, CORE_TABLE_cred);
    const struct core_hold *hold = value(&y->hold, CORE_TABLE_hold);
    if (cred) {
        struct core_key k;
        y->org_id = cred->org;
        want_org(m, y);
        core_key_org_number(&k, CORE_TABLE_key, &y->org_id, cred->key);
        want(m, &y->key, &k);
        want_rules(m, y, 0, PROTO_SCOPE_org, 0);
        want_rules(m, y, 1, PROTO_SCOPE_key, cred->key);
        want_hold(m, y, &y->c->head.id);
    } else if (hold) {
        for (unsigned i = 0; i < hold->counters; i++)
            want_counter(m, y, &hold->counter[i]);
        core_open_heap_hint(&m->heap, hold->index, hold->ordinal);
    }
}

static void second_records(struct core_machine *m, struct way *y)
{
    if (y->admits) {
        core_overlay_near(&m->overlay, &y->org);
        core_overlay_near(&m->overlay, &y->key);
        core_overlay_near(&m->overlay, &y->rules[0]);
        core_overlay_near(&m->overlay, &y->rules[1]);
    } else {
        for (uint32_t i = 0; i < y->counters; i++)
            core_overlay_near(&m->overlay, &y->counter[i]);
    }
}

static void after_second(struct core_machine *m, struct way *y)
{
    const struct core_apikey *key = value(&y->key, CORE_TABLE_key);
    if (!y->admits)
        return;
    if (key && key->team != 0)
        want_rules(m, y, 2, PROTO_SCOPE_team, key->team);
    want_budgets(m, y, 0);
    want_budgets(m, y, 1);
    y->of_team = y->budgets;
}

static void third_records(struct core_machine *m, struct way *y)
{
    core_overlay_near(&m->overlay, &y->rules[2]);
    for (uint32_t i = 0; i < y->budgets; i++)
        core_overlay_near(&m->overlay, &y->budget[i]);
}

static void after_third(struct core_machine *m, struct way *y)
{
    want_budgets(m, y, 2);
    want_counters(m, y, 0, y->of_team);
}

static void fourth_records(struct core_machine *m, struct way *y)
{
    for (uint32_t i = y->of_team; i < y->budgets; i++)
        core_overlay_near(&m->overlay, &y->budget[i]);
    for (uint32_t i = 0; i < y->counters; i++)
        core_overlay_near(&m->overlay, &y->counter[i]);
}

static void after_fourth(struct core_machine *m, struct way *y)
{
    y->counters = 0; /* the others are on their way */
    want_counters(m, y, y->of_team, y->budgets);
}

static void last_records(struct core_machine *m, struct way *y)
{
    for (uint32_t i = 0; i < y->counters; i++)
        core_overlay_near(&m->overlay, &y->counter[i]);
}

typedef void step(struct core_machine *m, struct way *y);
static step *const both[] = {first_records, after_first, second_records};
static step *const reserves[] = {after_second,   third_records, after_third,
                                 fourth_records, after_fourth,  last_records};

void core_ahead(struct core_machine *m, const struct proto_command *c, const bool *known,
                uint32_t n)
{
    struct way way[CORE_AHEAD_COMMANDS], *admits[CORE_AHEAD_COMMANDS];
    uint32_t k = 0, r = 0;
    for (uint32_t i = 0; i < n; i++)
        k += known[i] && begin(m, &way[k], &c[i]);
    for (unsigned s = 0; s < sizeof both / sizeof both[0]; s++)
        for (uint32_t i = 0; i < k; i++)
            both[s](m, &way[i]);
    for (uint32_t i = 0; i < k; i++)
        if (way[i].admits)
            admits[r++] = &way[i];
    for (unsigned s = 0; s < sizeof reserves / sizeof reserves[0]; s++)
        for (uint32_t i = 0; i < r; i++)
            reserves[s](m, admits[i]);
}
