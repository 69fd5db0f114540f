/* SPDX-License-Identifier: Apache-2.0
 * The rules (F12-F16): budget records, the index that a reserve finds them by, and the comparison
 * with parents at the time of writing (F14). What they do at admission is in limit.c.
 */
#include "ledger/core/machine.h"

#include <errno.h>

static struct core_budget *budget_get(struct core_machine *m, const struct proto_uuid *org,
                                      uint32_t number)
{
    struct core_key k;
    core_key_org_number(&k, CORE_TABLE_budget, org, number);
    struct core_budget *b = core_get(m, &k);
    return b && !b->deleted ? b : NULL;
}

/* ---- the index ---- */
static void rules_key(struct core_key *k, const struct proto_uuid *org, const struct core_budget *b)
{
    struct proto_str name = core_str(b->selector, b->wildcard ? 0 : b->selector_n);
    core_key_rules(k, org, b->scope, b->wildcard, b->subject, name);
}

static bool index_full(struct core_machine *m, const struct proto_uuid *org,
                       const struct core_budget *b)
{
    struct core_key k;
    rules_key(&k, org, b);
    const struct core_rules *rules = core_get(m, &k);
    return rules && rules->n >= CORE_RULES_PER_SUBJECT;
}

static void index_add(struct core_machine *m, struct core_call *x, const struct core_budget *b)
{
    struct core_key k;
    rules_key(&k, &x->org_id, b);
    struct core_rules *rules = core_get(m, &k);
    if (!rules)
        rules = core_put(m, &k, sizeof *rules);
    rules->budget[rules->n++] = b->number;
    core_touch(m, rules);
    x->org->rules[b->scope]++;
}

static void index_remove(struct core_machine *m, struct core_call *x, const struct core_budget *b)
{
    struct core_key k;
    rules_key(&k, &x->org_id, b);
    struct core_rules *rules = core_get(m, &k);
    x->org->rules[b->scope]--;
    uint32_t i = 0;
    while (rules && i < rules->n && rules->budget[i] != b->number)
        i++;
    if (!rules || i == rules->n)
        return;
    rules->n--;
    memmove(&rules->budget[i], &rules->budget[i + 1], (rules->n - i) * sizeof rules->budget[0]);
    rules->budget[rules->n] = 0;
    core_touch(m, rules);
    if (rules->n == 0)
        core_drop(m, rules);
}

/* ---- parents ---- */
static bool is_ceiling(const struct core_budget *b)
{
    return b->mode != PROTO_MODE_alert_only;
}

static uint32_t team_of(struct core_machine *m, const struct proto_uuid *org, uint32_t number)
{
    struct core_key k;
    core_key_org_number(&k, CORE_TABLE_key, org, number);
    const struct core_apikey *key = core_get(m, &k);
    return key ? key->team : 0;
}

/* Of those that count the subject: the lowest-numbered one that is below b and contradicts it. */
static const struct core_budget *lower_ceiling(struct core_machine *m, const struct core_call *x,
                                               const struct core_budget *b, enum proto_scope scope,
                                               uint32_t subject)
{
    const struct core_budget of = {.scope = (uint8_t)scope, .subject = subject}, *found = NULL;
    struct core_key k;
    rules_key(&k, &x->org_id, &of);
    const struct core_rules *rules = core_get(m, &k);
    for (uint32_t i = 0; rules && i < rules->n; i++) {
        const struct core_budget *o = budget_get(m, &x->org_id, rules->budget[i]);
        if (o && o->number != b->number && o->limit < b->limit && is_ceiling(o) &&
            core_window_rank(o->window) >= core_window_rank(b->window) &&
            (!found || o->number < found->number))
            found = o;
    }
    return found;
}

/* The lowest-numbered one of those that fall under b, for at most as long, and is above it. */
static const struct core_budget *higher_child(struct core_machine *m, const struct core_call *x,
                                              const struct core_budget *b)
{
    uint32_t team = b->scope == PROTO_SCOPE_team ? b->subject : 0, number = 0;
    if (b->scope != PROTO_SCOPE_org && b->scope != PROTO_SCOPE_team)
        return NULL;
    do {
        number =
            core_peaks_find(m, &x->org_id, team, core_window_rank(b->window), b->limit, number);
    } while (number != 0 && number == b->number);
    return number != 0 ? budget_get(m, &x->org_id, number) : NULL;
}

static const struct core_budget *first_of(const struct core_budget *a, const struct core_budget *b)
{
    return a && (!b || a->number < b->number) ? a : b;
}

/* The lowest-numbered budget that b contradicts: a parent below it, or, where `narrowed`, a child
 * above it. Everything that falls under a child falls under its parent too, for at least as long: a
 * team's is the parent of those of its keys, an org's of all others. NULL: none. */
static const struct core_budget *in_the_way(struct core_machine *m, const struct core_call *x,
                                            const struct core_budget *b, bool narrowed)
{
    const struct core_budget *found = narrowed ? higher_child(m, x, b) : NULL;
    if (b->scope != PROTO_SCOPE_org)
        found = first_of(found, lower_ceiling(m, x, b, PROTO_SCOPE_org, 0));
    uint32_t team = b->scope == PROTO_SCOPE_key ? team_of(m, &x->org_id, b->subject) : 0;
    if (team != 0)
        found = first_of(found, lower_ceiling(m, x, b, PROTO_SCOPE_team, team));
    return found;
}

/* Where the budget stands in the indexes of limits, or leaves them. Its record is there already. */
static void note_limit(struct core_machine *m, const struct core_call *x,
                       const struct core_budget *b, bool live)
{
    uint32_t team = b->scope == PROTO_SCOPE_key ? team_of(m, &x->org_id, b->subject) : 0;
    if (b->scope != PROTO_SCOPE_org)
        core_peaks_set(m, &x->org_id, 0, b->number, live);
    if (team != 0)
        core_peaks_set(m, &x->org_id, team, b->number, live);
}

/* ---- put ---- */
static void fill(struct core_budget *b, const struct proto_budget_put *c)
{
    b->limit = c->limit;
    b->soft_limit = c->soft_limit;
    b->subject = c->subject;
    b->status = c->status ? c->status : 402;
    b->scope = c->scope;
    b->window = c->window;
    b->mode = c->mode;
    b->wildcard = c->selector.n == 1 && c->selector.p[0] == '*';
    b->selector_n = (uint8_t)c->selector.n;
    b->label_n = (uint8_t)c->label.n;
    b->alerts_n = (uint8_t)c->alerts.n;
    memset(b->selector, 0, sizeof b->selector);
    memset(b->label, 0, sizeof b->label);
    memset(b->alerts, 0, sizeof b->alerts);
    memcpy(b->selector, c->selector.p, c->selector.n);
    memcpy(b->label, c->label.p, c->label.n);
    memcpy(b->alerts, c->alerts.p, c->alerts.n);
}

static bool same_subject(const struct core_budget *a, const struct core_budget *b)
{
    return a->scope == b->scope && a->subject == b->subject && a->selector_n == b->selector_n &&
           memcmp(a->selector, b->selector, a->selector_n) == 0;
}

/* What a budget counts. Another identity is another generation: its counters begin at zero. */
static bool same_identity(const struct core_budget *a, const struct core_budget *b)
{
    return same_subject(a, b) && a->window == b->window;
}

static enum proto_code check_subject(struct core_machine *m, const struct core_call *x,
                                     const struct core_budget *b)
{
    struct core_key k;
    if (b->scope == PROTO_SCOPE_team) {
        core_key_org_number(&k, CORE_TABLE_team, &x->org_id, b->subject);
        const struct core_team *t = core_get(m, &k);
        return t && !t->deleted ? PROTO_OK : PROTO_TEAM_UNKNOWN;
    }
    if (b->scope == PROTO_SCOPE_key) {
        core_key_org_number(&k, CORE_TABLE_key, &x->org_id, b->subject);
        return core_get(m, &k) ? PROTO_OK : PROTO_KEY_UNKNOWN;
    }
    return PROTO_OK;
}

static void print_budget(struct proto_text *t, const struct core_budget *b)
{
    proto_text_put(t, "budget=");
    proto_text_uint(t, b->number);
    proto_text_put(t, " ");
    proto_text_put(t, proto_scope_name(b->scope));
    if (b->subject) {
        proto_text_put(t, "=");
        proto_text_uint(t, b->subject);
    } else if (b->selector_n) {
        proto_text_put(t, "=");
        proto_text_json(t, core_str(b->selector, b->selector_n));
    }
    proto_text_put(t, " ");
    proto_text_put(t, proto_window_name(b->window));
    proto_text_put(t, " limit=");
    proto_text_money(t, b->limit);
    proto_text_put(t, " soft=");
    proto_text_money(t, b->soft_limit);
    proto_text_put(t, " ");
    proto_text_put(t, proto_mode_name(b->mode));
}

/* Everything that can refuse; `old` is NULL for a new budget. *overridden: a parent was in the way
 * and the writer insists. */
static enum proto_code check_put(struct core_machine *m, struct core_call *x,
                                 const struct core_budget *old, const struct core_budget *b,
                                 bool *overridden)
{
    bool same = old && same_identity(old, b);
    enum proto_code code = check_subject(m, x, b);
    if (code != PROTO_OK)
        return code;
    if (!old && (x->org->live_budgets >= CORE_BUDGETS_MAX || x->org->budgets == UINT32_MAX))
        return PROTO_QUOTA_EXCEEDED;
    if (!(old && same_subject(old, b)) && index_full(m, &x->org_id, b))
        return PROTO_QUOTA_EXCEEDED;
    bool narrowed = is_ceiling(b) && (!same || b->limit < old->limit || !is_ceiling(old));
    const struct core_budget *way = in_the_way(m, x, b, narrowed);
    *overridden = way && x->c->body.budget_put.override;
    if (!way || *overridden)
        return PROTO_OK;
    *x->r = (struct proto_result){.code = PROTO_LIMIT_EXCEEDS_PARENT, .shape = PROTO_SHAPE_parent};
    x->r->body.parent = (struct proto_parent){way->number, way->limit};
    return PROTO_LIMIT_EXCEEDS_PARENT;
}

static void store(struct core_machine *m, struct core_call *x, struct core_budget *old,
                  struct core_budget *b)
{
    struct core_key k;
    bool same = old && same_identity(old, b);
    if (old && !same) {
        index_remove(m, x, old);
        note_limit(m, x, old, false);
        b->generation++;
        b->instances = 0;
        b->instances_start_us = 0;
    }
    if (!old) {
        x->org->budgets++;
        x->org->live_budgets++;
    }
    core_key_org_number(&k, CORE_TABLE_budget, &x->org_id, b->number);
    if (!old)
        old = core_put(m, &k, sizeof *old);
    *old = *b;
    core_touch(m, old);
    if (!same)
        index_add(m, x, old);
    note_limit(m, x, old, true);
    x->org->rules_version++;
    core_touch(m, x->org);
}

void core_budget_put(struct core_machine *m, struct core_call *x)
{
    const struct proto_budget_put *c = &x->c->body.budget_put;
    struct core_budget b = {.number = x->org->budgets + 1, .generation = 1}, *old = NULL;
    bool overridden = false;
    if (c->budget != 0) {
        old = budget_get(m, &x->org_id, c->budget);
        if (!old) {
            core_refuse(x, PROTO_BUDGET_UNKNOWN);
            return;
        }
        b = *old;
        print_budget(&x->before, old);
    }
    fill(&b, c);
    enum proto_code code = check_put(m, x, old, &b, &overridden);
    if (code != PROTO_OK) {
        if (x->r->code != code)
            core_refuse(x, code);
        return;
    }
    store(m, x, old, &b);
    print_budget(&x->after, &b);
    proto_text_put(&x->after, overridden ? " override" : "");
    *x->r = (struct proto_result){.code = PROTO_OK, .shape = PROTO_SHAPE_created};
    x->r->flags = overridden ? PROTO_FLAG_OVERRIDE : 0;
    x->r->body.created.number = b.number;
}

static void end_budget(struct core_machine *m, struct core_call *x, struct core_budget *b)
{
    index_remove(m, x, b);
    b->deleted = 1;
    core_touch(m, b);
    note_limit(m, x, b, false);
    x->org->live_budgets--;
    x->org->rules_version++;
    core_touch(m, x->org);
}

uint32_t core_budget_end_team(struct core_machine *m, struct core_call *x, uint32_t team)
{
    const struct core_budget of_team = {.scope = PROTO_SCOPE_team, .subject = team};
    const struct core_rules *rules;
    struct core_key k;
    uint32_t n = 0;
    rules_key(&k, &x->org_id, &of_team);
    while (n < CORE_RULES_PER_SUBJECT && (rules = core_get(m, &k)) != NULL) {
        struct core_budget *b = budget_get(m, &x->org_id, rules->budget[0]);
        if (!b) {
            core_fail(m, -EIO, "the index of budgets names one that is not there");
            return n;
        }
        end_budget(m, x, b);
        n++;
    }
    return n;
}

void core_budget_delete(struct core_machine *m, struct core_call *x)
{
    struct core_budget *b = budget_get(m, &x->org_id, x->c->body.budget_delete.budget);
    x->reason = x->c->body.budget_delete.reason;
    if (!b) {
        core_refuse(x, PROTO_BUDGET_UNKNOWN);
        return;
    }
    print_budget(&x->before, b);
    end_budget(m, x, b);
    proto_text_put(&x->after, "deleted");
    core_refuse(x, PROTO_OK);
}
