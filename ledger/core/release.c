/* SPDX-License-Identifier: Apache-2.0
 * release: the call did not happen; the whole hold goes back (F1). Authorised like settle.
 */
#include "ledger/core/machine.h"

/* Nobody need be anybody to release a hold that is not there: what that can store has a bound. */
static bool forestall_room(struct core_machine *m, struct core_org *org)
{
    if (m->at.clock_us >= org->forestalled_until_us) {
        org->forestalled_until_us = m->at.clock_us + CORE_HOT_HORIZON_US;
        org->forestalled = 0;
    }
    if (org->forestalled >= CORE_FORESTALLED_MAX)
        return false;
    org->forestalled++;
    core_touch(m, org);
    return true;
}

/* A release that overtook its reserve: the reserve, should it still come, finds the hold closed.
 * Only for ids that a reserve could still have, so that the record need not be kept for long. */
static void forestall(struct core_machine *m, struct core_call *x, const struct core_half *token)
{
    const struct proto_uuid *id = &x->c->body.release.hold;
    int64_t time_us = proto_uuid_time_ms(id) * 1000;
    core_refuse(x, PROTO_HOLD_UNKNOWN);
    if (time_us > m->at.clock_us + CORE_AHEAD_US || time_us < m->at.clock_us - CORE_HOT_HORIZON_US)
        return;
    if (!forestall_room(m, x->org))
        return; /* the hold, should it come, expires */
    struct core_closed *c = core_closed_put(m, &x->org_id, id, CORE_CLOSED_FORESTALLED);
    c->token = *token;
    c->index = m->at.index;
    c->ordinal = x->ordinal;
    c->keep_until_us = time_us + CORE_HOT_HORIZON_US;
}

static void decided(struct core_call *x, const struct core_closed *c, const struct core_half *token)
{
    if (!core_half_eq(&c->token, token)) {
        core_refuse(x, PROTO_UNAUTHORISED_HOLD);
    } else if (c->state == CORE_CLOSED_RELEASED) {
        core_result_settled(x, x->org, c);
        x->r->flags |= PROTO_FLAG_DUPLICATE;
    } else if (c->state == CORE_CLOSED_FORESTALLED) {
        core_refuse(x, PROTO_HOLD_UNKNOWN);
        x->r->flags = PROTO_FLAG_DUPLICATE;
    } else {
        core_refuse(x, PROTO_HOLD_CLOSED);
    }
}

static void release_hold(struct core_machine *m, struct core_call *x, struct core_hold *h)
{
    const struct proto_uuid *id = &x->c->body.release.hold;
    int64_t released = 0;
    uint8_t flags = 0;
    core_hold_counters(m, &x->org_id, h, 0, 0);
    if (h->state == CORE_HOLD_OPEN) {
        released = core_hold_return(m, &x->org_id, x->org, h, id, 0);
        core_hold_ends(m, x->org, h);
    } else { /* expiry gave it back; now it is certain that nothing is owed */
        flags = PROTO_FLAG_LATE;
        core_hold_confirm(m, core_hold_amount(h));
    }
    struct core_closed *c = core_hold_close(m, &x->org_id, h, id, CORE_CLOSED_RELEASED);
    c->released = released;
    c->flags = flags;
    core_result_settled(x, x->org, c);
}

void core_release(struct core_machine *m, struct core_call *x)
{
    const struct proto_release *v = &x->c->body.release;
    struct core_half token = core_half_of(&v->token);
    x->org_id = x->c->head.org;
    x->org = core_org_get(m, &x->org_id);
    if (!x->org) {
        core_refuse(x, PROTO_ORG_UNKNOWN);
        return;
    }
    struct core_hold *h = core_hold_get(m, &x->org_id, &v->hold);
    if (h && !core_half_eq(&h->token, &token)) {
        core_refuse(x, PROTO_UNAUTHORISED_HOLD);
        return;
    }
    if (h) {
        release_hold(m, x, h);
        return;
    }
    const struct core_closed *c = core_closed_get(m, &x->org_id, &v->hold);
    if (c)
        decided(x, c, &token);
    else
        forestall(m, x, &token);
}
