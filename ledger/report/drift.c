/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/report/drift.h"

#include <errno.h>
#include <stdlib.h>

enum { SLOTS = 2 * DRIFT_ORGS_MAX };

struct drift_org {
    struct proto_uuid org; /* all zero: free */
    bool based, touched;
    int64_t sum[CORE_ACCOUNTS]; /* base line and transfers; before the base line, transfers only */
};

void drift_init(struct drift *d)
{
    *d = (struct drift){0};
}

void drift_close(struct drift *d)
{
    free(d->orgs);
    free(d->touched);
    d->orgs = NULL;
    d->touched = NULL;
    d->last = NULL;
}

/* UUIDv7: the last eight bytes are random. */
static uint32_t slot_of(const struct proto_uuid *org)
{
    uint64_t h;
    memcpy(&h, org->b + 8, sizeof h);
    return (uint32_t)((h * UINT64_C(0x9e3779b97f4a7c15)) >> 40) % SLOTS;
}

/* NULL: no room, no memory. */
static struct drift_org *find(struct drift *d, const struct proto_uuid *org)
{
    if (!d->orgs) {
        d->orgs = calloc(SLOTS, sizeof *d->orgs);
        d->touched = calloc(DRIFT_ORGS_MAX, sizeof *d->touched);
        if (!d->orgs || !d->touched) {
            drift_close(d);
            return NULL;
        }
    }
    for (uint32_t i = slot_of(org);; i = (i + 1) % SLOTS) {
        struct drift_org *o = &d->orgs[i];
        if (proto_uuid_eq(&o->org, org))
            return o;
        if (!proto_uuid_none(&o->org))
            continue;
        if (d->n == DRIFT_ORGS_MAX)
            return NULL;
        d->n++;
        o->org = *org;
        return o;
    }
}

void drift_on_transfer(void *ctx, const struct core_transfer *t)
{
    struct drift *d = ctx;
    struct drift_org *o = d->last;
    if (!o || !proto_uuid_eq(&o->org, &t->org))
        o = find(d, &t->org);
    d->last = o;
    if (!o) {
        d->full = true;
        return;
    }
    if (!o->touched) {
        o->touched = true;
        d->touched[d->n_touched++] = (uint32_t)(o - d->orgs);
    }
    o->sum[t->from] -= t->amount;
    o->sum[t->to] += t->amount;
}

static int64_t distance(int64_t a, int64_t b)
{
    return a > b ? a - b : b - a;
}

/* What the records say against what we added up; then the records are the base line. */
static int64_t compare(struct drift_org *o, const struct core_balances *b)
{
    int64_t total = 0, found = 0;
    for (unsigned i = 0; i < CORE_ACCOUNTS; i++) {
        total += b->account[i];
        if (o->based)
            found += distance(o->sum[i], b->account[i]);
        o->sum[i] = b->account[i];
    }
    o->based = true;
    return found + distance(total, 0);
}

static void forget_all(struct drift *d)
{
    memset(d->orgs, 0, SLOTS * sizeof *d->orgs);
    d->n = d->n_touched = 0;
    d->last = NULL;
    d->full = false;
}

int drift_compare(struct drift *d, struct core_machine *m, int64_t *found, struct proto_uuid *org)
{
    *found = 0;
    for (uint32_t i = 0; i < d->n_touched; i++) {
        struct drift_org *o = &d->orgs[d->touched[i]];
        struct core_balances b;
        int rv = core_machine_balances(m, &o->org, &b);
        if (rv == -ENOENT)
            b = (struct core_balances){0};
        else if (rv != 0)
            return rv;
        int64_t one = compare(o, &b);
        if (one != 0)
            *org = o->org;
        *found += one;
        o->touched = false;
    }
    d->n_touched = 0;
    d->figure += *found;
    if (d->full && d->orgs)
        forget_all(d);
    return 0;
}
