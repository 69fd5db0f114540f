/* SPDX-License-Identifier: Apache-2.0
 * The genesis, organisations and their kill switch.
 */
#include "ledger/core/machine.h"

#include <errno.h>

void core_genesis(struct core_machine *m, struct core_call *x)
{
    const struct proto_genesis *g = &x->c->body.genesis;
    if (m->group.initialised) {
        core_refuse(x, PROTO_ALREADY_INITIALISED);
        return;
    }
    if (proto_uuid_none(&g->cluster) || proto_hash_none(&g->operator_hash)) {
        core_refuse(x, PROTO_MALFORMED);
        return;
    }
    if (g->machine != PROTO_MACHINE_VERSION) {
        core_fail(m, -EPROTO, "the genesis names a machine version this program lacks");
        return;
    }
    m->group.initialised = 1;
    m->group.cluster = g->cluster;
    m->group.number = g->group;
    m->group.machine = g->machine;
    m->group.operator_hash = g->operator_hash;
    m->genesis_now = true;
    m->seed = g->seed;
    core_refuse(x, PROTO_OK);
    x->before = proto_text_over(x->before_text, sizeof x->before_text);
    x->after = proto_text_over(x->after_text, sizeof x->after_text);
    proto_text_put(&x->after, "cluster ");
    proto_text_uuid(&x->after, &g->cluster);
    core_audit_write(m, x);
}

static void print_org(struct proto_text *t, const struct core_org *o)
{
    proto_text_put(t, "name=");
    proto_text_json(t, core_str(o->name, o->name_n));
    proto_text_put(t, " billing_day=");
    proto_text_uint(t, o->billing_day);
    proto_text_put(t, " fee_ppm=");
    proto_text_uint(t, o->fee_ppm);
    proto_text_put(t, o->allow_unpriced ? " unpriced" : "");
    proto_text_put(t, o->allow_unbounded ? " unbounded" : "");
}

static void fill_org(struct core_org *o, const struct proto_org_create *c)
{
    o->billing_day = c->billing_day;
    o->fee_ppm = c->fee_ppm;
    o->allow_unpriced = c->allow_unpriced;
    o->allow_unbounded = c->allow_unbounded;
    o->name_n = (uint8_t)c->name.n;
    memset(o->name, 0, sizeof o->name);
    memcpy(o->name, c->name.p, c->name.n);
}

static void created(struct core_call *x, uint32_t number)
{
    *x->r = (struct proto_result){.code = PROTO_OK, .shape = PROTO_SHAPE_created};
    x->r->body.created.number = number;
}

void core_org_create(struct core_machine *m, struct core_call *x)
{
    struct core_key k;
    if (core_org_get(m, &x->org_id)) {
        core_refuse(x, PROTO_ORG_EXISTS);
        return;
    }
    core_key_org(&k, &x->org_id);
    x->org = core_put(m, &k, sizeof *x->org);
    x->org->number = ++m->group.orgs;
    x->org->created_us = m->at.clock_us;
    fill_org(x->org, &x->c->body.org_create);
    core_key_number(&k, CORE_TABLE_org_number, x->org->number);
    struct proto_uuid *id = core_put(m, &k, sizeof *id);
    *id = x->org_id;
    print_org(&x->after, x->org);
    created(x, x->org->number);
}

void core_org_set(struct core_machine *m, struct core_call *x)
{
    print_org(&x->before, x->org);
    fill_org(x->org, (const struct proto_org_create *)(const void *)&x->c->body.org_set);
    core_touch(m, x->org);
    print_org(&x->after, x->org);
    core_refuse(x, PROTO_OK);
}

static void set_paused(struct core_machine *m, struct core_call *x, uint8_t paused)
{
    proto_text_put(&x->before, x->org->paused ? "paused" : "running");
    x->org->paused = paused;
    core_touch(m, x->org);
    proto_text_put(&x->after, paused ? "paused" : "running");
    core_refuse(x, PROTO_OK);
}

void core_org_pause(struct core_machine *m, struct core_call *x)
{
    x->reason = x->c->body.org_pause.reason;
    set_paused(m, x, 1);
}

void core_org_resume(struct core_machine *m, struct core_call *x)
{
    x->reason = x->c->body.org_resume.reason;
    set_paused(m, x, 0);
}
