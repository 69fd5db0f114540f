/* SPDX-License-Identifier: Apache-2.0
 * A client's Idempotency-Key (F6): of the calls that one key makes with one such value, one reaches
 * the provider. A repeat is told which one; only a call that was released, so that it cost nothing,
 * may be made again.
 */
#include "ledger/core/machine.h"

static bool key_of(struct core_key *k, const struct core_call *x)
{
    const struct proto_hash *value = &x->c->body.reserve.idempotency;
    uint8_t rest[4 + sizeof(struct core_half)];
    if (proto_hash_none(value))
        return false;
    for (unsigned i = 0; i < 4; i++)
        rest[i] = (uint8_t)(x->who.key >> (24 - 8 * i));
    memcpy(rest + 4, value->b, sizeof(struct core_half));
    core_key_org_bytes(k, CORE_TABLE_idempotency, &x->org_id, rest, sizeof rest);
    return true;
}

bool core_idempotency_repeat(struct core_machine *m, struct core_call *x)
{
    struct core_key k;
    if (!key_of(&k, x))
        return false;
    const struct core_idempotency *first = core_get(m, &k);
    if (!first || first->keep_until_us < m->at.clock_us)
        return false;
    struct proto_repeated r = {.org = x->org_id, .hold = first->hold};
    const struct core_hold *h = core_hold_get(m, &x->org_id, &r.hold);
    const struct core_closed *c = h ? NULL : core_closed_get(m, &x->org_id, &r.hold);
    if (h) {
        r.index = h->index;
        r.ordinal = h->ordinal;
    } else if (c && c->state == CORE_CLOSED_SETTLED) {
        r.settled = true;
        r.index = c->settle_index;
        r.ordinal = c->settle_ordinal;
        r.cost = c->cost + c->fee;
    } else {
        return false;
    }
    /* Not recorded under the command's id: asked again, the same is found again. */
    *x->r = (struct proto_result){.code = PROTO_IDEMPOTENT_REPEAT, .shape = PROTO_SHAPE_repeated};
    x->r->body.repeated = r;
    return true;
}

void core_idempotency_note(struct core_machine *m, const struct core_call *x)
{
    struct core_key k;
    if (!key_of(&k, x))
        return;
    struct core_idempotency *i = core_put(m, &k, sizeof *i);
    i->hold = x->c->head.id;
    i->keep_until_us = core_add_capped(m->at.clock_us, CORE_IDEMPOTENCY_US);
}
