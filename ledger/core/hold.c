/* SPDX-License-Identifier: Apache-2.0
 * A hold's life. Table `hold` has the open and the expired ones; the decided ones stand in
 * `closed`, or in `refused` what never was a hold and need not be known for long:
 *
 *    reserve --> OPEN --settle--> SETTLED          reserve refused --> REFUSED
 *                 | \---release--> RELEASED        release of an unknown hold --> FORESTALLED
 *                 v deadline
 *              EXPIRED --late settle--> SETTLED
 *                 \-----late release--> RELEASED
 *
 * A hold is counted in org.open_holds and in the heap exactly while it is OPEN.
 */
#include "ledger/core/machine.h"

#include <errno.h>

struct core_hold *core_hold_get(struct core_machine *m, const struct proto_uuid *org,
                                const struct proto_uuid *id)
{
    struct core_key k;
    core_key_hold(&k, CORE_TABLE_hold, org, id);
    struct core_hold *h = core_get(m, &k);
    if (h && h->state == CORE_HOLD_EXPIRED && h->deadline_us + CORE_LATE_WINDOW_US < m->at.clock_us)
        return NULL;
    return h;
}

struct core_closed *core_closed_get(struct core_machine *m, const struct proto_uuid *org,
                                    const struct proto_uuid *id)
{
    struct core_key k;
    core_key_hold(&k, CORE_TABLE_closed, org, id);
    struct core_closed *c = core_get(m, &k);
    if (!c) {
        k.b[0] = CORE_TABLE_refused;
        c = core_get(m, &k);
    }
    return c && c->keep_until_us >= m->at.clock_us ? c : NULL;
}

struct core_closed *core_closed_put(struct core_machine *m, const struct proto_uuid *org,
                                    const struct proto_uuid *id, enum core_closed_state state)
{
    bool brief = state == CORE_CLOSED_REFUSED || state == CORE_CLOSED_FORESTALLED;
    struct core_key k;
    core_key_hold(&k, brief ? CORE_TABLE_refused : CORE_TABLE_closed, org, id);
    struct core_closed *c = core_put(m, &k, sizeof *c);
    c->state = (uint8_t)state;
    return c;
}

void core_hold_draw(struct core_machine *m, const struct proto_uuid *org_id, struct core_org *org,
                    struct core_hold *h, const struct proto_uuid *id, int64_t amount)
{
    int64_t promo = org->account[CORE_PROMO];
    if (promo > amount)
        promo = amount;
    core_transfer(m, org_id, org, CORE_PROMO, CORE_HELD, promo, CORE_TRANSFER_HOLD, id);
    core_transfer(m, org_id, org, CORE_AVAILABLE, CORE_HELD, amount - promo, CORE_TRANSFER_HOLD,
                  id);
    h->from_promo += promo;
    h->from_available += amount - promo;
}

int64_t core_hold_return(struct core_machine *m, const struct proto_uuid *org_id,
                         struct core_org *org, struct core_hold *h, const struct proto_uuid *id,
                         int64_t used)
{
    /* Promo was drawn first, so it is used first. */
    int64_t promo = h->from_promo > used ? h->from_promo - used : 0;
    int64_t rest = core_hold_amount(h) - used - promo;
    core_transfer(m, org_id, org, CORE_HELD, CORE_PROMO, promo, CORE_TRANSFER_RETURN, id);
    core_transfer(m, org_id, org, CORE_HELD, CORE_AVAILABLE, rest, CORE_TRANSFER_RETURN, id);
    return promo + rest;
}

void core_hold_ends(struct core_machine *m, struct core_org *org, const struct core_hold *h)
{
    core_open_heap_remove(&m->heap, h->index, h->ordinal);
    org->open_holds--;
    m->group.open_holds--;
    core_touch(m, org);
}

struct core_counter *core_counter_get(struct core_machine *m, const struct proto_uuid *org,
                                      const struct core_counter_ref *ref)
{
    /* The ref's bytes are the key's: budget, generation, instance, start, as they stand in memory.
     */
    struct core_key k;
    core_key_org_bytes(&k, CORE_TABLE_counter, org, ref, sizeof *ref);
    return core_get(m, &k);
}

void core_hold_counters(struct core_machine *m, const struct proto_uuid *org_id,
                        const struct core_hold *h, int64_t spent, int64_t overrun)
{
    for (unsigned i = 0; i < h->counters; i++) {
        struct core_counter *c = core_counter_get(m, org_id, &h->counter[i]);
        if (!c) {
            core_fail(m, -EIO, "a hold's counter is missing: the state is damaged");
            return;
        }
        if (h->state == CORE_HOLD_OPEN) {
            c->held -= core_hold_amount(h);
            c->open--;
        }
        c->spent = core_add_capped(c->spent, spent);
        c->overrun = core_add_capped(c->overrun, overrun);
        core_touch(m, c);
    }
}

struct core_closed *core_hold_close(struct core_machine *m, const struct proto_uuid *org_id,
                                    struct core_hold *h, const struct proto_uuid *id,
                                    enum core_closed_state state)
{
    struct core_closed *c = core_closed_put(m, org_id, id, state);
    int64_t from = h->deadline_us > m->at.clock_us ? h->deadline_us : m->at.clock_us;
    c->digest = h->digest;
    c->token = h->token;
    c->index = h->index;
    c->ordinal = h->ordinal;
    c->keep_until_us = from + CORE_LATE_WINDOW_US;
    c->deadline_us = h->deadline_us;
    c->amount = core_hold_amount(h) - h->extended;
    c->team = h->team;
    c->key = h->key;
    c->price_version = h->price_version;
    c->candidate = h->candidate;
    core_drop(m, h);
    return c;
}

void core_result_reserved(struct core_call *x, const struct core_org *org,
                          const struct core_closed *first)
{
    *x->r = (struct proto_result){.code = PROTO_OK, .shape = PROTO_SHAPE_reserved};
    x->r->body.reserved = (struct proto_reserved){.org = x->org_id,
                                                  .team = first->team,
                                                  .key = first->key,
                                                  .candidate = first->candidate,
                                                  .amount = first->amount,
                                                  .deadline_us = first->deadline_us,
                                                  .price_version = first->price_version,
                                                  .available = org->account[CORE_AVAILABLE],
                                                  .promo = org->account[CORE_PROMO],
                                                  .held = org->account[CORE_HELD]};
}

void core_result_settled(struct core_call *x, const struct core_org *org,
                         const struct core_closed *closed)
{
    *x->r = (struct proto_result){
        .code = PROTO_OK, .flags = closed->flags, .shape = PROTO_SHAPE_settled};
    x->r->body.settled = (struct proto_settled){.cost = closed->cost,
                                                .fee = closed->fee,
                                                .released = closed->released,
                                                .written_off = closed->written_off,
                                                .available = org->account[CORE_AVAILABLE],
                                                .promo = org->account[CORE_PROMO],
                                                .held = org->account[CORE_HELD]};
}

/* ---- expiry ---- */
void core_hold_confirm(struct core_machine *m, int64_t amount)
{
    /* The sum stops at INT64_MAX, where it knows less than it gives back. */
    int64_t *sum = &m->group.expired_unconfirmed;
    *sum -= amount < *sum ? amount : *sum;
}

static void add_be(struct proto_sha256 *h, uint64_t v, unsigned bytes)
{
    uint8_t be[8];
    for (unsigned i = bytes; i-- > 0; v >>= 8)
        be[i] = (uint8_t)v;
    proto_sha256_add(h, be, bytes);
}

static void expire_one(struct core_machine *m, const struct core_open *o, struct proto_sha256 *tail)
{
    struct core_hold *h = core_hold_get(m, &o->org, &o->id);
    struct core_org *org = core_org_get(m, &o->org);
    if (!h || !org || h->state != CORE_HOLD_OPEN) {
        core_fail(m, -EIO, "an open hold has no record: the state is damaged");
        return;
    }
    int64_t amount = core_hold_amount(h);
    core_hold_counters(m, &o->org, h, 0, 0);
    core_hold_return(m, &o->org, org, h, &o->id, 0);
    core_hold_ends(m, org, h);
    h->state = CORE_HOLD_EXPIRED;
    core_touch(m, h);
    m->group.expired_unconfirmed = core_add_capped(m->group.expired_unconfirmed, amount);
    proto_sha256_add(tail, o->org.b, sizeof o->org.b);
    proto_sha256_add(tail, o->id.b, sizeof o->id.b);
    add_be(tail, (uint64_t)amount, 8);
}

uint32_t core_expire(struct core_machine *m, struct proto_sha256 *tail)
{
    static const uint8_t prefix = 0x02;
    struct core_open due[CORE_EXPIRE_PER_ENTRY];
    uint32_t n = 0;
    while (n < CORE_EXPIRE_PER_ENTRY && m->at.clock_us >= m->group.grace_until_us) {
        const struct core_open *o = core_open_heap_first(&m->heap);
        if (!o || o->deadline_us > m->at.clock_us)
            break;
        due[n++] = *o;
        core_open_heap_remove(&m->heap, o->index, o->ordinal);
    }
    proto_sha256_init(tail);
    proto_sha256_add(tail, &prefix, 1);
    add_be(tail, (uint64_t)m->at.clock_us, 8);
    add_be(tail, n, 4);
    for (uint32_t i = 0; i < n && m->failed == 0; i++)
        expire_one(m, &due[i], tail);
    return n;
}
