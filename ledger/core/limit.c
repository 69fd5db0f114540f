/* SPDX-License-Identifier: Apache-2.0
 * Budgets at admission: which ones a request falls under, whether it clears them, and which refusal
 * is named. No admission makes spent + held > limit of a budget that blocks; alert_only and
 * throttle count and let pass.
 */
#include "ledger/core/machine.h"

/* The instance that wildcard counters beyond the cap share. */
static const struct core_half other = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                        0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

static void find_counter(struct core_machine *m, const struct core_subject *s,
                         struct core_line *line)
{
    line->counter = core_counter_get(m, &s->org_id, &line->ref);
    const struct core_budget *b = line->budget;
    if (!line->counter && b->wildcard && b->instances_start_us == line->window.start_us &&
        b->instances >= CORE_INSTANCES_MAX) {
        line->ref.instance = other;
        line->counter = core_counter_get(m, &s->org_id, &line->ref);
    }
}

static void add_line(struct core_machine *m, const struct core_subject *s, uint32_t number,
                     struct proto_str name, struct core_lines *lines)
{
    struct core_key k;
    core_key_org_number(&k, CORE_TABLE_budget, &s->org_id, number);
    struct core_budget *b = core_get(m, &k);
    if (!b || b->deleted)
        return;
    if (lines->n == CORE_HOLD_COUNTERS) {
        lines->overflow = true;
        return;
    }
    struct core_line *line = &lines->e[lines->n++];
    *line = (struct core_line){.budget = b, .instance = name};
    line->window = core_window_now(m, b->window, s->org->billing_day);
    line->ref.budget = number;
    line->ref.generation = b->generation;
    line->ref.start_us = line->window.start_us;
    if (b->wildcard) {
        struct proto_hash h;
        proto_sha256_of(name.p, name.n, &h);
        line->ref.instance = core_half_of(&h);
    }
    find_counter(m, s, line);
}

static void add_rules(struct core_machine *m, const struct core_subject *s, uint8_t scope,
                      bool wildcard, uint32_t subject, struct proto_str name,
                      struct core_lines *lines)
{
    static const struct proto_str none;
    struct core_key k;
    core_key_rules(&k, &s->org_id, scope, wildcard, subject, wildcard ? none : name);
    const struct core_rules *rules = core_get(m, &k);
    for (uint32_t i = 0; rules && i < rules->n; i++)
        add_line(m, s, rules->budget[i], name, lines);
}

static void add_named(struct core_machine *m, const struct core_subject *s, uint8_t scope,
                      struct proto_str name, struct core_lines *lines)
{
    if (s->org->rules[scope] == 0 || name.n == 0)
        return;
    add_rules(m, s, scope, false, 0, name, lines);
    add_rules(m, s, scope, true, 0, name, lines);
}

static void add_numbered(struct core_machine *m, const struct core_subject *s, uint8_t scope,
                         uint32_t subject, struct core_lines *lines)
{
    static const struct proto_str none;
    if (s->org->rules[scope] != 0)
        add_rules(m, s, scope, false, subject, none, lines);
}

void core_limit_collect(struct core_machine *m, const struct core_subject *s,
                        struct proto_str model, struct core_lines *lines)
{
    lines->n = 0;
    lines->overflow = false;
    add_numbered(m, s, PROTO_SCOPE_org, 0, lines);
    if (s->team != 0)
        add_numbered(m, s, PROTO_SCOPE_team, s->team, lines);
    add_numbered(m, s, PROTO_SCOPE_key, s->key, lines);
    add_named(m, s, PROTO_SCOPE_env, s->env, lines);
    add_named(m, s, PROTO_SCOPE_model, model, lines);
    add_named(m, s, PROTO_SCOPE_agent, s->agent, lines);
    add_named(m, s, PROTO_SCOPE_customer, s->customer, lines);
    add_named(m, s, PROTO_SCOPE_user, s->user, lines);
}

/* ---- the decision ---- */
static int64_t spent_of(const struct core_line *line)
{
    return line->counter ? line->counter->spent : 0;
}

static int64_t held_of(const struct core_line *line)
{
    return line->counter ? line->counter->held : 0;
}

static int64_t headroom(const struct core_line *line)
{
    return line->budget->limit - core_add_capped(spent_of(line), held_of(line));
}

static bool tighter(const struct core_line *a, const struct core_line *b)
{
    if (headroom(a) != headroom(b))
        return headroom(a) < headroom(b);
    if (a->budget->scope != b->budget->scope)
        return a->budget->scope > b->budget->scope;
    return a->ref.budget < b->ref.budget;
}

static enum proto_code refusal_of(const struct core_line *line, const struct proto_uuid *org,
                                  int64_t amount, struct proto_result *r)
{
    const struct core_budget *b = line->budget;
    enum proto_code code = PROTO_BUDGET_IN_FLIGHT;
    if (amount > b->limit)
        code = PROTO_REQUEST_EXCEEDS_BUDGET;
    else if (amount > b->limit - spent_of(line))
        code = PROTO_BUDGET_EXCEEDED;
    *r = (struct proto_result){.code = (uint16_t)code, .shape = PROTO_SHAPE_refused};
    r->body.refused = (struct proto_refused){
        .org = *org,
        .budget = line->ref.budget,
        .scope = b->scope,
        .subject = b->subject,
        .instance = b->wildcard ? line->instance : core_str(b->selector, b->selector_n),
        .label = core_str(b->label, b->label_n),
        .window = b->window,
        .spent = spent_of(line),
        .held = held_of(line),
        .limit = b->limit,
        .needed = amount,
        .reset_us = line->window.end_us == INT64_MAX ? 0 : line->window.end_us,
        .status = b->status};
    return code;
}

enum proto_code core_limit_check(const struct core_lines *lines, const struct proto_uuid *org,
                                 int64_t amount, bool last, struct proto_result *r, bool *downgrade)
{
    const struct core_line *tightest = NULL;
    bool hard = false, soft = false;
    for (uint32_t i = 0; i < lines->n; i++) {
        const struct core_line *line = &lines->e[i];
        const struct core_budget *b = line->budget;
        if (!b || (b->mode != PROTO_MODE_hard_block && b->mode != PROTO_MODE_auto_downgrade))
            continue;
        int64_t left = headroom(line);
        if (amount > left) {
            hard = hard || b->mode == PROTO_MODE_hard_block;
            if (!tightest || tighter(line, tightest))
                tightest = line;
        } else if (b->mode == PROTO_MODE_auto_downgrade && b->soft_limit > 0 &&
                   amount > left - (b->limit - b->soft_limit)) {
            soft = true; /* fits, but only a cheaper candidate's absence admits it */
        }
    }
    *downgrade = !last && !hard && (tightest || soft);
    if (tightest)
        return refusal_of(tightest, org, amount, r);
    return PROTO_OK;
}

/* ---- the effect ---- */
static void count_instance(struct core_machine *m, struct core_line *line)
{
    struct core_budget *b = line->budget;
    if (!b->wildcard || core_half_eq(&line->ref.instance, &other))
        return;
    if (b->instances_start_us != line->window.start_us) {
        b->instances_start_us = line->window.start_us;
        b->instances = 0;
    }
    b->instances++;
    core_touch(m, b);
}

void core_limit_take(struct core_machine *m, const struct core_subject *s, struct core_lines *lines,
                     int64_t amount, struct core_hold *h)
{
    for (uint32_t i = 0; i < lines->n; i++) {
        struct core_line *line = &lines->e[i];
        if (!line->counter) {
            struct core_key k;
            core_key_org_bytes(&k, CORE_TABLE_counter, &s->org_id, &line->ref, sizeof line->ref);
            line->counter = core_put(m, &k, sizeof *line->counter);
            line->counter->end_us = line->window.end_us;
            count_instance(m, line);
        }
        line->counter->held += amount;
        line->counter->open++;
        core_touch(m, line->counter);
        h->counter[i] = line->ref;
    }
    h->counters = (uint8_t)lines->n;
}

void core_limit_of_hold(struct core_machine *m, const struct proto_uuid *org_id,
                        const struct core_hold *h, struct core_lines *lines)
{
    lines->n = h->counters;
    lines->overflow = false;
    for (uint32_t i = 0; i < lines->n; i++) {
        struct core_line *line = &lines->e[i];
        *line = (struct core_line){.ref = h->counter[i]};
        line->counter = core_counter_get(m, org_id, &line->ref);
        struct core_key k;
        core_key_org_number(&k, CORE_TABLE_budget, org_id, line->ref.budget);
        struct core_budget *b = core_get(m, &k);
        if (!b || b->deleted || b->generation != line->ref.generation)
            continue;
        line->budget = b;
        line->window.start_us = line->ref.start_us;
        if (line->counter) /* as it was: the org's billing day may have moved since */
            line->window.end_us = line->counter->end_us;
        line->instance = core_str(b->selector, b->selector_n);
    }
}
