/* SPDX-License-Identifier: Apache-2.0
 * The shadow's budgets: windows by the C library's calendar, ceilings by looking at every budget.
 */
#include "shadow.h"

#include <stdlib.h>
#include <time.h>

#define US INT64_C(1000000)

bool shadow_name_is(const struct shadow_name *n, struct proto_str s)
{
    return strlen(n->s) == s.n && memcmp(n->s, s.p, s.n) == 0;
}

struct shadow_name shadow_name_of(struct proto_str s)
{
    struct shadow_name n = {{0}};
    memcpy(n.s, s.p, s.n);
    return n;
}

void shadow_window(unsigned window, unsigned billing_day, int64_t time_us, int64_t *start_us,
                   int64_t *end_us)
{
    time_t t = (time_t)(time_us / US);
    struct tm tm;
    gmtime_r(&t, &tm);
    struct tm a = {.tm_year = tm.tm_year, .tm_mon = tm.tm_mon, .tm_mday = tm.tm_mday}, b;
    *start_us = 0;
    *end_us = INT64_MAX;
    if (window == PROTO_WINDOW_absolute)
        return;
    if (window == PROTO_WINDOW_weekly)
        a.tm_mday -= (tm.tm_wday + 6) % 7; /* Monday */
    if (window == PROTO_WINDOW_monthly) {
        a.tm_mon -= tm.tm_mday < (int)billing_day;
        a.tm_mday = (int)billing_day;
    }
    if (window == PROTO_WINDOW_hourly)
        a.tm_hour = tm.tm_hour;
    b = a;
    b.tm_hour += window == PROTO_WINDOW_hourly;
    b.tm_mday += window == PROTO_WINDOW_daily ? 1 : window == PROTO_WINDOW_weekly ? 7 : 0;
    b.tm_mon += window == PROTO_WINDOW_monthly;
    *start_us = timegm(&a) * US;
    *end_us = timegm(&b) * US;
}

struct shadow_counter *shadow_counter_find(struct shadow *s, unsigned org, uint32_t budget,
                                           uint32_t generation, const struct shadow_name *instance,
                                           int64_t start_us)
{
    for (unsigned i = s->counters; i-- > 0;) {
        struct shadow_counter *c = &s->counter[i];
        if (c->start_us == start_us && c->budget == budget && c->generation == generation &&
            c->org == org && strcmp(c->instance.s, instance->s) == 0)
            return c;
    }
    return NULL;
}

static bool wild(const struct shadow_budget *b)
{
    return strcmp(b->selector.s, "*") == 0;
}

static bool named(const struct shadow_budget *b, struct proto_str name)
{
    return name.n > 0 && (wild(b) || shadow_name_is(&b->selector, name));
}

/* The request's name under the budget's scope; false: it does not fall under it. */
static bool falls(const struct shadow_org *o, const struct shadow_budget *b, uint32_t key,
                  const struct proto_reserve *c, struct proto_str model, struct proto_str *name)
{
    *name = proto_str_of("");
    switch (b->scope) {
    case PROTO_SCOPE_org:
        return true;
    case PROTO_SCOPE_team:
        return o->key[key].team == b->subject;
    case PROTO_SCOPE_key:
        return key == b->subject;
    case PROTO_SCOPE_env:
        *name = o->key[key].env.s[0] ? proto_str_of(o->key[key].env.s) : c->env;
        break;
    case PROTO_SCOPE_model:
        *name = model;
        break;
    case PROTO_SCOPE_agent:
        *name = c->agent;
        break;
    case PROTO_SCOPE_customer:
        *name = c->customer;
        break;
    default:
        *name = c->user;
    }
    return named(b, *name);
}

bool shadow_collect(struct shadow *s, unsigned org, uint32_t key, const struct proto_reserve *c,
                    struct proto_str model, struct shadow_line *line, unsigned *n)
{
    const struct shadow_org *o = &s->org[org];
    *n = 0;
    for (uint32_t i = 1; i <= o->budgets; i++) {
        const struct shadow_budget *b = &o->budget[i];
        struct proto_str name;
        if (!b->live || !falls(o, b, key, c, model, &name))
            continue;
        if (*n == SHADOW_LINES)
            return false;
        struct shadow_line *l = &line[(*n)++];
        *l = (struct shadow_line){.number = i, .budget = b, .named = b->selector.s};
        if (wild(b)) {
            l->instance = shadow_name_of(name);
            l->named = l->instance.s;
        }
        shadow_window(b->window, o->billing_day, s->clock_us, &l->start_us, &l->end_us);
        l->counter = shadow_counter_find(s, org, i, b->generation, &l->instance, l->start_us);
    }
    return true;
}

static __int128 used(const struct shadow_line *l)
{
    return l->counter ? (__int128)l->counter->spent + l->counter->held : 0;
}

static __int128 headroom(const struct shadow_line *l)
{
    __int128 u = used(l);
    return l->budget->limit - (u > INT64_MAX ? INT64_MAX : u);
}

static void refusal(const struct shadow_line *l, unsigned org, int64_t amount,
                    struct proto_result *r)
{
    const struct shadow_budget *b = l->budget;
    int64_t spent = l->counter ? l->counter->spent : 0;
    unsigned code = amount > b->limit                     ? PROTO_REQUEST_EXCEEDS_BUDGET
                    : (__int128)spent + amount > b->limit ? PROTO_BUDGET_EXCEEDED
                                                          : PROTO_BUDGET_IN_FLIGHT;
    *r = (struct proto_result){.code = (uint16_t)code, .shape = PROTO_SHAPE_refused};
    r->body.refused = (struct proto_refused){.org = shadow_org_id(org),
                                             .budget = l->number,
                                             .scope = (uint8_t)b->scope,
                                             .subject = b->subject,
                                             .instance = proto_str_of(l->named),
                                             .label = proto_str_of("cap"),
                                             .window = (uint8_t)b->window,
                                             .spent = spent,
                                             .held = l->counter ? l->counter->held : 0,
                                             .limit = b->limit,
                                             .needed = amount,
                                             .reset_us = l->end_us == INT64_MAX ? 0 : l->end_us,
                                             .status = (uint16_t)b->status};
}

unsigned shadow_check(const struct shadow_line *line, unsigned n, unsigned org, int64_t amount,
                      bool last, struct proto_result *r, bool *downgrade)
{
    const struct shadow_line *worst = NULL;
    bool hard = false, soft = false;
    for (unsigned i = 0; i < n; i++) {
        const struct shadow_line *l = &line[i];
        if (!l->budget || l->budget->mode == PROTO_MODE_alert_only ||
            l->budget->mode == PROTO_MODE_throttle)
            continue;
        bool may_downgrade = l->budget->mode == PROTO_MODE_auto_downgrade;
        if (headroom(l) >= amount) {
            soft |= may_downgrade && l->budget->soft > 0 && used(l) + amount > l->budget->soft;
            continue;
        }
        hard |= !may_downgrade;
        if (!worst || headroom(l) < headroom(worst) ||
            (headroom(l) == headroom(worst) &&
             (l->budget->scope > worst->budget->scope ||
              (l->budget->scope == worst->budget->scope && l->number < worst->number))))
            worst = l;
    }
    *downgrade = !last && !hard && (worst || soft);
    if (worst)
        refusal(worst, org, amount, r);
    return worst ? r->code : PROTO_OK;
}

/* ---- writing rules ---- */
static unsigned rank_of(unsigned window)
{
    return window == PROTO_WINDOW_absolute ? 99 : window;
}

static bool parent_of(const struct shadow_org *o, const struct shadow_budget *p,
                      const struct shadow_budget *c)
{
    if (p->mode == PROTO_MODE_alert_only || rank_of(p->window) < rank_of(c->window))
        return false;
    if (p->scope == PROTO_SCOPE_org)
        return c->scope != PROTO_SCOPE_org;
    return p->scope == PROTO_SCOPE_team && c->scope == PROTO_SCOPE_key &&
           o->key[c->subject].team == p->subject;
}

static bool same_thing(const struct shadow_budget *a, const struct shadow_budget *b)
{
    return a->scope == b->scope && a->subject == b->subject &&
           strcmp(a->selector.s, b->selector.s) == 0;
}

static unsigned in_the_way(const struct shadow_org *o, uint32_t number,
                           const struct shadow_budget *b, bool narrowed)
{
    for (uint32_t i = 1; i <= o->budgets; i++) {
        const struct shadow_budget *p = &o->budget[i];
        if (i == number || !p->live)
            continue;
        if ((p->limit < b->limit && parent_of(o, p, b)) ||
            (narrowed && p->limit > b->limit && parent_of(o, b, p)))
            return i;
    }
    return 0;
}

static unsigned put_refused(const struct shadow_org *o, uint32_t number,
                            const struct shadow_budget *b, bool same)
{
    unsigned siblings = 0;
    if (b->scope == PROTO_SCOPE_team && (b->subject == 0 || b->subject > o->teams))
        return PROTO_TEAM_UNKNOWN;
    if (b->scope == PROTO_SCOPE_key && (b->subject == 0 || b->subject > o->keys))
        return PROTO_KEY_UNKNOWN;
    for (uint32_t i = 1; i <= o->budgets; i++)
        siblings += i != number && o->budget[i].live && same_thing(&o->budget[i], b);
    return !same && siblings >= 8 ? PROTO_QUOTA_EXCEEDED : PROTO_OK;
}

void shadow_budget_put(struct shadow *s, unsigned org, const struct proto_budget_put *c,
                       struct proto_result *r)
{
    struct shadow_org *o = &s->org[org];
    struct shadow_budget b = {.live = true,
                              .generation = 1,
                              .subject = c->subject,
                              .selector = shadow_name_of(c->selector),
                              .limit = c->limit,
                              .soft = c->soft_limit,
                              .scope = c->scope,
                              .window = c->window,
                              .mode = c->mode,
                              .status = c->status ? c->status : 402};
    uint32_t number = c->budget ? c->budget : o->budgets + 1;
    struct shadow_budget *old = NULL;
    if (c->budget) {
        old = &o->budget[c->budget < SHADOW_BUDGETS ? c->budget : 0];
        if (!old->live || c->budget > o->budgets) {
            shadow_code(r, PROTO_BUDGET_UNKNOWN);
            return;
        }
    }
    bool same = old && same_thing(old, &b) && old->window == b.window;
    unsigned code = put_refused(o, number, &b, same);
    if (code != PROTO_OK) {
        shadow_code(r, code);
        return;
    }
    bool ceiling = b.mode != PROTO_MODE_alert_only;
    bool narrowed =
        ceiling && (!same || b.limit < old->limit || old->mode == PROTO_MODE_alert_only);
    unsigned way = in_the_way(o, number, &b, narrowed);
    if (way && !c->override) {
        *r = (struct proto_result){.code = PROTO_LIMIT_EXCEEDS_PARENT, .shape = PROTO_SHAPE_parent};
        r->body.parent = (struct proto_parent){way, o->budget[way].limit};
        return;
    }
    if (old)
        b.generation = old->generation + (same ? 0 : 1);
    else
        o->budgets++;
    o->budget[number] = b;
    o->rules_version++;
    *r = (struct proto_result){.code = PROTO_OK, .shape = PROTO_SHAPE_created};
    r->flags = way ? PROTO_FLAG_OVERRIDE : 0;
    r->body.created.number = number;
}

void shadow_budget_delete(struct shadow *s, unsigned org, uint32_t number, struct proto_result *r)
{
    struct shadow_org *o = &s->org[org];
    if (number == 0 || number > o->budgets || !o->budget[number].live) {
        shadow_code(r, PROTO_BUDGET_UNKNOWN);
        return;
    }
    o->budget[number].live = false;
    o->rules_version++;
    shadow_code(r, PROTO_OK);
}
