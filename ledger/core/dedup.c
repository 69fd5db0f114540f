/* SPDX-License-Identifier: Apache-2.0
 * Exactly once, for all commands but reserve, settle and release (whose hold is their record):
 * under (org, principal, command id) stands the first outcome, until no command of that id can be
 * accepted any more because it is too old. So the table holds at most what was accepted within the
 * horizon.
 */
#include "ledger/core/machine.h"

/* An accepted extend is answered with the hold as it stands, while it is open. */
static bool extended_again(struct core_machine *m, struct core_call *x)
{
    if (x->c->head.kind != PROTO_CMD_extend)
        return false;
    const struct core_hold *h = core_hold_get(m, &x->org_id, &x->c->body.extend.hold);
    if (!h || h->state != CORE_HOLD_OPEN)
        return false;
    struct core_closed now = {.team = h->team,
                              .key = h->key,
                              .candidate = h->candidate,
                              .amount = core_hold_amount(h),
                              .deadline_us = h->deadline_us,
                              .price_version = h->price_version};
    core_result_reserved(x, x->org, &now);
    x->r->flags = PROTO_FLAG_DUPLICATE;
    return true;
}

bool core_dedup_find(struct core_machine *m, struct core_call *x)
{
    const struct proto_command_head *head = &x->c->head;
    struct core_key k;
    core_key_command(&k, &x->org_id, &head->cred, &head->id);
    const struct core_done *d = core_get(m, &k);
    if (!d || d->keep_until_us < m->at.clock_us)
        return false;
    if (!core_half_eq(&d->digest, &x->digest)) {
        core_refuse(x, PROTO_COMMAND_ID_REUSED);
        return true;
    }
    if (d->code == PROTO_OK && extended_again(m, x))
        return true;
    *x->r = (struct proto_result){.code = d->code, .flags = PROTO_FLAG_DUPLICATE};
    if (d->shape == PROTO_SHAPE_created) {
        x->r->shape = PROTO_SHAPE_created;
        x->r->body.created.number = d->number;
    } else {
        x->r->shape = PROTO_SHAPE_earlier;
        x->r->body.earlier.index = d->index;
    }
    return true;
}

void core_dedup_record(struct core_machine *m, struct core_call *x)
{
    const struct proto_command_head *head = &x->c->head;
    int64_t horizon = proto_command_hot(head->kind) ? CORE_HOT_HORIZON_US : CORE_ADMIN_HORIZON_US;
    struct core_key k;
    core_key_command(&k, &x->org_id, &head->cred, &head->id);
    struct core_done *d = core_put(m, &k, sizeof *d);
    d->digest = x->digest;
    d->index = m->at.index;
    d->keep_until_us = proto_uuid_time_ms(&head->id) * 1000 + horizon;
    d->code = x->r->code;
    d->shape = x->r->shape;
    if (x->r->shape == PROTO_SHAPE_created)
        d->number = x->r->body.created.number;
}

static void reference_key(struct core_key *k, const struct core_call *x, struct proto_str ref)
{
    struct proto_hash h;
    proto_sha256_of(ref.p, ref.n, &h);
    core_key_org_bytes(k, CORE_TABLE_reference, &x->org_id, h.b, sizeof h.b);
}

bool core_reference_used(struct core_machine *m, const struct core_call *x, struct proto_str ref)
{
    struct core_key k;
    if (ref.n == 0)
        return false;
    reference_key(&k, x, ref);
    return core_get(m, &k) != NULL;
}

void core_reference_use(struct core_machine *m, const struct core_call *x, struct proto_str ref)
{
    struct core_key k;
    if (ref.n == 0)
        return;
    reference_key(&k, x, ref);
    struct core_reference *r = core_put(m, &k, sizeof *r);
    r->index = m->at.index;
}
