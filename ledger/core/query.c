/* SPDX-License-Identifier: Apache-2.0
 * Reading. A query is opened for exactly one org, or for none; the machine resolves the credential
 * and checks the right itself (F36). Nothing here changes a record.
 */
#include "ledger/core/machine.h"

#include <errno.h>

enum { ROW_MAX = 4096 };

/* An answer in the making. */
struct page {
    struct core_machine *m;
    const struct proto_query_head *q;
    struct core_authority who;
    struct core_org *org; /* NULL: none */
    struct proto_writer rows;
    uint32_t n, next;
    enum proto_code code;
};

/* Adds a row; false: the page is full and `number` is left for the next one. */
#define ADD(p, message, row)                                                                       \
    {                                                                                              \
        uint8_t bytes[ROW_MAX];                                                                    \
        struct proto_writer w = proto_writer_over(bytes, sizeof bytes);                            \
        proto_##message##_put(&w, row);                                                            \
        return add(p, &w);                                                                         \
    }

static bool add(struct page *p, const struct proto_writer *row)
{
    if (row->full) {
        core_fail(p->m, -EOVERFLOW, "a row of an answer does not fit its bound");
        return false;
    }
    if (p->n == PROTO_ANSWER_ROWS || p->rows.n + row->n + 5 > p->rows.cap)
        return false;
    proto_put_bin(&p->rows, row->base, row->n);
    p->n++;
    return true;
}

static void *numbered(struct page *p, enum core_table table, uint32_t number)
{
    struct core_key k;
    core_key_org_number(&k, table, &p->q->org, number);
    return core_get(p->m, &k);
}

/* Rows after q->after up to `last`, until the page is full. Each visit may leave a number out. */
static void list(struct page *p, uint32_t last, bool (*row)(struct page *p, uint32_t number))
{
    for (uint32_t i = p->q->after; i < last && p->m->failed == 0; i++) {
        if (!row(p, i + 1)) {
            p->next = i;
            return;
        }
    }
}

/* ---- rows ---- */
static void fill_models(const struct core_apikey *key, uint32_t *n, struct proto_allowed *e)
{
    const uint8_t *q = key->allowed, *end = q + key->models_bytes;
    for (*n = 0; *n < PROTO_MAX_allowed && q < end && end - q > q[0]; q += 1 + q[0])
        e[(*n)++].model = core_str((const char *)q + 1, q[0]);
}

static bool whoami_row(struct page *p)
{
    struct proto_identity v = {.operator= p->who.role == CORE_ROLE_OPERATOR };
    v.org_name = v.label = core_str("", 0);
    if (p->who.role == CORE_ROLE_KEY) {
        const struct core_org *org = core_org_get(p->m, &p->who.org);
        const struct core_apikey *key = core_authority_key(p->m, &p->who, &p->code);
        if (!org)
            return false;
        v.org = p->who.org;
        if (!key) /* revoked or expired: still whose it was, so that its edge can end its holds */
            ADD(p, identity, &v)
        v.org_name = core_str(org->name, org->name_n);
        v.team = key->team;
        v.key = p->who.key;
        v.label = core_str(key->label, key->label_n);
        v.paused = org->paused;
        fill_models(key, &v.models.n, v.models.e);
    }
    ADD(p, identity, &v)
}

static bool org_row(struct page *p, const struct proto_uuid *id, const struct core_org *o)
{
    const int64_t *a = o->account;
    struct proto_org_row v = {.number = o->number,
                              .org = *id,
                              .name = core_str(o->name, o->name_n),
                              .paused = o->paused,
                              .billing_day = o->billing_day,
                              .fee_ppm = o->fee_ppm,
                              .allow_unpriced = o->allow_unpriced,
                              .allow_unbounded = o->allow_unbounded,
                              .rules_version = o->rules_version,
                              .open_holds = o->open_holds,
                              .settled = o->settled,
                              .refused = o->refused,
                              .available = a[CORE_AVAILABLE],
                              .promo = a[CORE_PROMO],
                              .held = a[CORE_HELD],
                              .usage = a[CORE_USAGE],
                              .fees = a[CORE_FEES],
                              .funding = a[CORE_FUNDING],
                              .writeoff = a[CORE_WRITEOFF],
                              .created_us = o->created_us};
    ADD(p, org_row, &v)
}

static bool org_by_number(struct page *p, uint32_t number)
{
    struct core_key k;
    core_key_number(&k, CORE_TABLE_org_number, number);
    const struct proto_uuid *id = core_get(p->m, &k);
    const struct core_org *o = id ? core_org_get(p->m, id) : NULL;
    return o ? org_row(p, id, o) : true;
}

static bool team_row(struct page *p, uint32_t number)
{
    const struct core_team *t = numbered(p, CORE_TABLE_team, number);
    if (!t)
        return true;
    struct proto_team_row v = {.team = number,
                               .name = core_str(t->name, t->name_n),
                               .deleted = t->deleted,
                               .keys = t->keys,
                               .created_us = t->created_us};
    ADD(p, team_row, &v)
}

static bool key_row(struct page *p, uint32_t number)
{
    const struct core_apikey *key = numbered(p, CORE_TABLE_key, number);
    if (!key)
        return true;
    struct proto_key_row v = {.key = number,
                              .team = key->team,
                              .public = core_str(key->public, key->public_n),
                              .label = core_str(key->label, key->label_n),
                              .env = core_str(key->env, key->env_n),
                              .revoked = key->revoked,
                              .expires_us = key->expires_us,
                              .created_us = key->created_us};
    fill_models(key, &v.models.n, v.models.e);
    ADD(p, key_row, &v)
}

static bool budget_row(struct page *p, uint32_t number)
{
    const struct core_budget *b = numbered(p, CORE_TABLE_budget, number);
    if (!b)
        return true;
    struct core_window window = core_window_now(p->m, b->window, p->org->billing_day);
    struct core_counter_ref ref = {
        .budget = number, .generation = b->generation, .start_us = window.start_us};
    const struct core_counter *c = b->wildcard ? NULL : core_counter_get(p->m, &p->q->org, &ref);
    struct proto_budget_row v = {.budget = number,
                                 .generation = b->generation,
                                 .deleted = b->deleted,
                                 .scope = b->scope,
                                 .subject = b->subject,
                                 .selector = core_str(b->selector, b->selector_n),
                                 .window = b->window,
                                 .limit = b->limit,
                                 .soft_limit = b->soft_limit,
                                 .mode = b->mode,
                                 .status = b->status,
                                 .label = core_str(b->label, b->label_n),
                                 .window_start_us = window.start_us,
                                 .reset_us = window.end_us == INT64_MAX ? 0 : window.end_us,
                                 .spent = c ? c->spent : 0,
                                 .held = c ? c->held : 0};
    ADD(p, budget_row, &v)
}

static bool price_row(struct page *p, uint32_t number)
{
    const struct core_price *s = core_price_get(p->m, p->m->group.price_version, number);
    if (!s)
        return true;
    struct proto_price v = {.model = core_str(s->model, s->model_n),
                            .max_input = s->max_input,
                            .max_output = s->max_output};
    v.points.n = s->points;
    memcpy(v.points.e, s->point, s->points * sizeof s->point[0]);
    ADD(p, price, &v)
}

static bool audit_row(struct page *p, uint32_t number)
{
    const struct core_audit *a = numbered(p, CORE_TABLE_audit, number);
    if (!a)
        return true;
    struct proto_audit_row v = {.number = number,
                                .index = a->index,
                                .time_us = a->time_us,
                                .kind = a->kind,
                                .role = a->role,
                                .actor = core_str((const char *)a->actor, sizeof a->actor),
                                .ip = core_str((const char *)a->ip, a->ip_n),
                                .before = core_str(a->text, a->before_n),
                                .after = core_str(a->text + a->before_n, a->after_n),
                                .reason =
                                    core_str(a->text + a->before_n + a->after_n, a->reason_n)};
    ADD(p, audit_row, &v)
}

static bool totals_row(struct page *p)
{
    const struct core_machine *m = p->m;
    const struct core_group *g = &m->group;
    struct proto_totals_row v = {.cluster = g->cluster,
                                 .price_version = g->price_version,
                                 .price_rows = g->price_rows,
                                 .orgs = g->orgs,
                                 .open_holds = g->open_holds,
                                 .settled = g->settled,
                                 .refused = g->refused,
                                 .expired_unconfirmed_nanos = g->expired_unconfirmed,
                                 .clock_us = m->at.clock_us,
                                 .applied_index = m->at.index,
                                 .chain = m->at.chain};
    ADD(p, totals_row, &v)
}

/* ---- rights, and the list of each kind ---- */
static enum proto_code may_read(struct page *p)
{
    const struct proto_query_head *q = p->q;
    enum proto_code code = PROTO_OK;
    if (q->kind == PROTO_QUERY_prices || q->kind == PROTO_QUERY_totals)
        return PROTO_OK; /* no credential */
    p->who = core_authority_of(p->m, &q->cred);
    if (p->who.role == CORE_ROLE_NONE)
        return PROTO_UNAUTHENTICATED;
    if (q->kind == PROTO_QUERY_whoami)
        return PROTO_OK; /* its row finds out whether the key may still be used */
    if (p->who.role == CORE_ROLE_KEY && !core_authority_key(p->m, &p->who, &code))
        return code;
    if (!core_authority_may_read(p->who.role, q->kind))
        return PROTO_FORBIDDEN;
    if (p->who.role == CORE_ROLE_KEY && !proto_uuid_eq(&q->org, &p->who.org))
        return PROTO_FORBIDDEN;
    if (proto_uuid_none(&q->org))
        return q->kind == PROTO_QUERY_orgs || q->kind == PROTO_QUERY_audit ? PROTO_OK
                                                                           : PROTO_ORG_UNKNOWN;
    p->org = core_org_get(p->m, &q->org);
    return p->org ? PROTO_OK : PROTO_ORG_UNKNOWN;
}

static void read_rows(struct page *p)
{
    const struct core_group *g = &p->m->group;
    switch (p->q->kind) {
    case PROTO_QUERY_whoami:
        (void)whoami_row(p);
        break;
    case PROTO_QUERY_orgs: /* one org where one is named */
        if (p->org)
            (void)org_row(p, &p->q->org, p->org);
        else
            list(p, g->orgs, org_by_number);
        break;
    case PROTO_QUERY_teams:
        list(p, p->org->teams, team_row);
        break;
    case PROTO_QUERY_keys:
        list(p, p->org->keys, key_row);
        break;
    case PROTO_QUERY_budgets:
        list(p, p->org->budgets, budget_row);
        break;
    case PROTO_QUERY_prices:
        list(p, g->price_rows, price_row);
        break;
    case PROTO_QUERY_audit:
        list(p, p->org ? p->org->audits : g->audits, audit_row);
        break;
    case PROTO_QUERY_totals:
        (void)totals_row(p);
        break;
    default:
        p->code = PROTO_MALFORMED;
    }
}

int core_machine_query(struct core_machine *m, const void *query, size_t n, struct proto_writer *w)
{
    struct proto_query q;
    if (m->failed)
        return m->failed;
    struct page p = {.m = m, .q = &q.head, .code = PROTO_OK};
    p.rows = proto_writer_over(m->rows, PROTO_ANSWER_MAX - 64); /* less the answer's own frame */
    if (!proto_query_get(query, n, &q, NULL) || q.head.kind < 1 || q.head.kind > PROTO_QUERY_LAST)
        p.code = PROTO_MALFORMED;
    else if (!m->group.initialised && q.head.kind != PROTO_QUERY_totals)
        p.code = PROTO_NOT_INITIALISED;
    else
        p.code = may_read(&p);
    if (p.code == PROTO_OK)
        read_rows(&p);
    if (m->failed == 0 &&
        !proto_answer_put(w, (uint16_t)p.code, p.next, p.n, p.rows.base, p.rows.n))
        core_fail(m, -EOVERFLOW, "an answer does not fit its bound");
    if (m->failed == 0)
        core_overlay_trim(&m->overlay);
    return m->failed;
}
