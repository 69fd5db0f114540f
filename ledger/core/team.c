/* SPDX-License-Identifier: Apache-2.0
 * Teams: numbers, names, and how many live keys they have. A team's budgets end with it: they
 * bound nothing any more, and would stand in the way of a smaller limit of the org for ever.
 */
#include "ledger/core/machine.h"

static struct core_team *team_get(struct core_machine *m, const struct proto_uuid *org,
                                  uint32_t number)
{
    struct core_key k;
    core_key_org_number(&k, CORE_TABLE_team, org, number);
    return core_get(m, &k);
}

void core_team_create(struct core_machine *m, struct core_call *x)
{
    const struct proto_str name = x->c->body.team_create.name;
    if (x->org->live_teams >= CORE_TEAMS_MAX) {
        core_refuse(x, PROTO_QUOTA_EXCEEDED);
        return;
    }
    uint32_t number = ++x->org->teams;
    x->org->live_teams++;
    core_touch(m, x->org);
    struct core_key k;
    core_key_org_number(&k, CORE_TABLE_team, &x->org_id, number);
    struct core_team *t = core_put(m, &k, sizeof *t);
    t->created_us = m->at.clock_us;
    t->name_n = (uint8_t)name.n;
    memcpy(t->name, name.p, name.n);
    proto_text_put(&x->after, "team=");
    proto_text_uint(&x->after, number);
    proto_text_put(&x->after, " name=");
    proto_text_json(&x->after, name);
    *x->r = (struct proto_result){.code = PROTO_OK, .shape = PROTO_SHAPE_created};
    x->r->body.created.number = number;
}

void core_team_delete(struct core_machine *m, struct core_call *x)
{
    uint32_t number = x->c->body.team_delete.team;
    struct core_team *t = team_get(m, &x->org_id, number);
    if (!t || t->deleted) {
        core_refuse(x, PROTO_TEAM_UNKNOWN);
        return;
    }
    if (t->keys > 0) {
        core_refuse(x, PROTO_TEAM_NOT_EMPTY);
        return;
    }
    t->deleted = 1;
    core_touch(m, t);
    x->org->live_teams--;
    core_touch(m, x->org);
    proto_text_put(&x->before, "team=");
    proto_text_uint(&x->before, number);
    proto_text_put(&x->before, " name=");
    proto_text_json(&x->before, core_str(t->name, t->name_n));
    uint32_t ended = core_budget_end_team(m, x, number);
    proto_text_put(&x->after, ended > 0 ? "deleted, budgets=" : "deleted");
    if (ended > 0)
        proto_text_uint(&x->after, ended);
    core_refuse(x, PROTO_OK);
}
