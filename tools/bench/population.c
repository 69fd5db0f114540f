/* SPDX-License-Identifier: Apache-2.0
 * Names and credentials of a population, and its making. Each org is one task that goes through
 * its steps in order; WINDOW orgs at once, each with KEYS keys at once.
 */
#include "tools/bench/population.h"

#include "proto/budget.h"
#include "proto/hash.h"

#include <stdio.h>
#include <stdlib.h>

enum { WINDOW = 64, KEYS = 128 }; /* WINDOW * KEYS stays below LINK_QUEUED_MAX */

void population_init(struct population *p, const struct bench_options *o)
{
    *p = (struct population){.orgs = o->orgs, .keys_per_org = o->keys_per_org};
    if (o->population) {
        (void)snprintf(p->name, sizeof p->name, "%s", o->population);
    } else {
        struct proto_uuid id;
        link_uuid7(&id);
        proto_uuid_print(&id, p->name);
    }
    proto_sha256_of(p->name, strlen(p->name), &p->seed);
}

static void derive(const struct population *p, char what, unsigned org, unsigned key,
                   struct proto_hash *out)
{
    struct proto_sha256 h;
    uint32_t n[2] = {org, key};
    proto_sha256_init(&h);
    proto_sha256_add(&h, p->seed.b, sizeof p->seed.b);
    proto_sha256_add(&h, &what, 1);
    proto_sha256_add(&h, n, sizeof n);
    proto_sha256_out(&h, out);
}

void population_org(const struct population *p, unsigned org, struct proto_uuid *out)
{
    struct proto_hash h;
    derive(p, 'o', org, 0, &h);
    memcpy(out->b, h.b, sizeof out->b);
    out->b[6] = (uint8_t)(0x80 | (out->b[6] & 0x0f)); /* version 8: made by a rule of our own */
    out->b[8] = (uint8_t)(0x80 | (out->b[8] & 0x3f));
}

void population_cred(const struct population *p, unsigned org, unsigned key, struct proto_hash *out)
{
    derive(p, 'k', org, key, out);
}

/* The routing tag of group 0, then eight digits of base 36 that no two keys share. */
void population_public(const struct population *p, unsigned org, unsigned key,
                       char out[PROTO_PUBLIC_MAX + 1])
{
    uint64_t n;
    memcpy(&n, p->seed.b, sizeof n);
    n = (n >> 8) + (uint64_t)org * p->keys_per_org + key;
    memcpy(out, "0000", 4);
    for (int i = 11; i >= 4; i--, n /= 36)
        out[i] = "0123456789abcdefghijklmnopqrstuvwxyz"[n % 36];
    out[12] = '\0';
}

/* ---- making ---- */

/* The step that is under way. */
enum stage { MAKE_ORG, MAKE_TEAM, MAKE_DEPOSIT, MAKE_ORG_BUDGET, MAKE_TEAM_BUDGET, MAKE_KEYS };

struct making;
struct key_task;

struct org_task {
    struct making *m;
    struct proto_uuid org;
    unsigned number, next_key, keys_done;
    enum stage stage;
    uint32_t team;
    struct key_task *keys;
};
struct key_task {
    struct org_task *task;
    unsigned key;
    bool has_key; /* it is made, its budget is not */
};
struct making {
    const struct population *p;
    struct link_client *c;
    const struct proto_hash *cred;
    struct org_task *tasks;
    struct key_task *keys;
    unsigned next_org, orgs_done;
    bool finished, failed;
};

static void step_org(void *arg, const struct link_answer *a);
static void step_key(void *arg, const struct link_answer *a);
static void begin_org(struct org_task *t);

static void fail(struct making *m, const char *what, const char *why)
{
    if (!m->failed)
        (void)fprintf(stderr, "holdfast-bench: %s: %s\n", what, why);
    m->failed = m->finished = true;
}

static void submit(struct making *m, struct proto_command *c, link_done *done, void *arg)
{
    link_uuid7(&c->head.id);
    c->head.cred = *m->cred;
    int rv = link_client_submit(m->c, c, POPULATION_DEADLINE_MS, false, done, arg);
    if (rv)
        fail(m, proto_command_name(c->head.kind), strerror(-rv));
}

/* The number that was made, 0 where none is; false: failed. */
static bool accepted(struct making *m, const char *what, const struct link_answer *a, uint32_t *out)
{
    if (m->failed)
        return false;
    if (a->outcome != LINK_ANSWERED)
        fail(m, what, a->detail && *a->detail ? a->detail : "no answer from the ledger");
    else if (a->result->code == PROTO_ORG_EXISTS || a->result->code == PROTO_KEY_EXISTS)
        fail(m, what, "this population stands already: --reuse, or another --population");
    else if (a->result->code != PROTO_OK)
        fail(m, what, proto_code_text(a->result->code));
    else
        *out = a->result->shape == PROTO_SHAPE_created ? a->result->body.created.number : 0;
    return !m->failed;
}

static void put_budget(struct org_task *t, unsigned scope, uint32_t subject, link_done *done,
                       void *arg)
{
    struct proto_command c = {.head = {.kind = PROTO_CMD_budget_put, .org = t->org}};
    c.body.budget_put = (struct proto_budget_put){.scope = (uint8_t)scope,
                                                  .subject = subject,
                                                  .window = PROTO_WINDOW_monthly,
                                                  .limit = POPULATION_LIMIT_NANOS,
                                                  .mode = PROTO_MODE_hard_block,
                                                  .status = 402,
                                                  .label = proto_str_of("bench")};
    submit(t->m, &c, done, arg);
}

static void begin_key(struct key_task *k)
{
    struct org_task *t = k->task;
    struct proto_command c = {.head = {.kind = PROTO_CMD_key_create, .org = t->org}};
    char public[PROTO_PUBLIC_MAX + 1];
    k->key = t->next_key++;
    k->has_key = false;
    population_public(t->m->p, t->number, k->key, public);
    c.body.key_create = (struct proto_key_create){
        .team = t->team, .public = proto_str_of(public), .label = proto_str_of("bench")};
    population_cred(t->m->p, t->number, k->key, &c.body.key_create.secret);
    submit(t->m, &c, step_key, k);
}

static void end_org(struct org_task *t)
{
    struct making *m = t->m;
    if (++m->orgs_done == m->p->orgs)
        m->finished = true;
    else if (m->next_org < m->p->orgs)
        begin_org(t);
}

static void step_key(void *arg, const struct link_answer *a)
{
    struct key_task *k = arg;
    struct org_task *t = k->task;
    uint32_t number;
    if (!accepted(t->m, k->has_key ? "budget of a key" : "key", a, &number))
        return;
    if (!k->has_key) {
        k->has_key = true;
        put_budget(t, PROTO_SCOPE_key, number, step_key, k);
        return;
    }
    t->keys_done++;
    if (t->next_key < t->m->p->keys_per_org)
        begin_key(k);
    else if (t->keys_done == t->m->p->keys_per_org)
        end_org(t);
}

static void begin_keys(struct org_task *t)
{
    for (unsigned i = 0; i < KEYS && t->next_key < t->m->p->keys_per_org && !t->m->failed; i++) {
        t->keys[i].task = t;
        begin_key(&t->keys[i]);
    }
}

static void step_org(void *arg, const struct link_answer *a)
{
    struct org_task *t = arg;
    uint32_t number;
    if (!accepted(t->m, "organisation, team, deposit or budget", a, &number))
        return;
    struct proto_command c = {.head = {.org = t->org}};
    t->stage = (enum stage)(t->stage + 1);
    switch (t->stage) {
    case MAKE_TEAM:
        c.head.kind = PROTO_CMD_team_create;
        c.body.team_create = (struct proto_team_create){proto_str_of("bench")};
        submit(t->m, &c, step_org, t);
        break;
    case MAKE_DEPOSIT:
        t->team = number;
        c.head.kind = PROTO_CMD_deposit;
        c.body.deposit = (struct proto_deposit){.amount = POPULATION_LIMIT_NANOS,
                                                .reason = proto_str_of("bench")};
        submit(t->m, &c, step_org, t);
        break;
    case MAKE_ORG_BUDGET:
        put_budget(t, PROTO_SCOPE_org, 0, step_org, t);
        break;
    case MAKE_TEAM_BUDGET:
        put_budget(t, PROTO_SCOPE_team, t->team, step_org, t);
        break;
    case MAKE_KEYS:
    default:
        begin_keys(t);
        break;
    }
}

static void begin_org(struct org_task *t)
{
    struct making *m = t->m;
    char name[PROTO_NAME_MAX];
    *t = (struct org_task){.m = m, .number = m->next_org++, .keys = t->keys};
    population_org(m->p, t->number, &t->org);
    (void)snprintf(name, sizeof name, "bench %u", t->number);
    struct proto_command c = {.head = {.kind = PROTO_CMD_org_create, .org = t->org}};
    c.body.org_create = (struct proto_org_create){.name = proto_str_of(name), .billing_day = 1};
    submit(m, &c, step_org, t);
}

/* Static, and kept after a failure: requests under way still point into it. */
static struct making making;

int population_make(const struct population *p, struct link_client *c,
                    const struct proto_hash *operator_cred)
{
    struct making *m = &making;
    *m = (struct making){.p = p, .c = c, .cred = operator_cred};
    m->tasks = calloc(WINDOW, sizeof *m->tasks);
    m->keys = calloc((size_t)WINDOW * KEYS, sizeof *m->keys);
    if (!m->tasks || !m->keys)
        fail(m, "set-up", "no memory");
    for (unsigned i = 0; i < WINDOW && m->next_org < p->orgs && !m->failed; i++) {
        m->tasks[i].m = m;
        m->tasks[i].keys = m->keys + (size_t)i * KEYS;
        begin_org(&m->tasks[i]);
    }
    while (!m->finished) /* every command has its own deadline */
        (void)link_client_wait(c, &m->finished, 1000);
    if (m->failed)
        return -1;
    free(m->keys);
    free(m->tasks);
    return 0;
}
