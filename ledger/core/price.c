/* SPDX-License-Identifier: Apache-2.0
 * The price catalogue in the state: every version ever active, row by row, so that a settle finds
 * the price that its reserve was made with. A version is imported in chunks under active + 1 and
 * becomes active with its last one; a first chunk that comes again starts the pending version anew.
 * Who and out of what is part of a pending version: the chunks of two imports do not mix.
 */
#include "ledger/core/machine.h"

#include "proto/price.h"

uint32_t core_price_row(struct core_machine *m, uint32_t version, struct proto_str model)
{
    struct core_key k;
    core_key_price_model(&k, version, model);
    const uint32_t *row = core_get(m, &k);
    return row ? *row : 0;
}

const struct core_price *core_price_get(struct core_machine *m, uint32_t version, uint32_t row)
{
    struct core_key k;
    core_key_price(&k, version, row);
    return core_get(m, &k);
}

/* Takes rows first..last of a version that was never active out again. */
static void erase_rows(struct core_machine *m, uint32_t version, uint32_t first, uint32_t last)
{
    for (uint32_t row = first; row <= last; row++) {
        struct core_key k;
        core_key_price(&k, version, row);
        struct core_price *p = core_get(m, &k);
        if (!p)
            continue;
        core_key_price_model(&k, version, core_str(p->model, p->model_n));
        uint32_t *index = core_get(m, &k);
        if (index)
            core_drop(m, index);
        core_drop(m, p);
    }
}

static void store_row(struct core_machine *m, uint32_t version, uint32_t row,
                      const struct proto_price *price)
{
    struct core_key k;
    core_key_price(&k, version, row);
    struct core_price *p = core_put(m, &k, sizeof *p + price->points.n * sizeof p->point[0]);
    p->max_input = price->max_input;
    p->max_output = price->max_output;
    p->points = price->points.n;
    p->model_n = (uint8_t)price->model.n;
    memcpy(p->model, price->model.p, price->model.n);
    for (uint32_t i = 0; i < price->points.n; i++) {
        /* Field by field: the padding of the stored point stays zero. */
        p->point[i].class = price->points.e[i].class;
        p->point[i].unit = price->points.e[i].unit;
        p->point[i].above = price->points.e[i].above;
        p->point[i].price = price->points.e[i].price;
    }
    core_key_price_model(&k, version, price->model);
    uint32_t *index = core_put(m, &k, sizeof *index);
    *index = row;
}

/* Stores all rows of the chunk, or none. */
static enum proto_code store_rows(struct core_machine *m, const struct proto_price_import *c,
                                  uint32_t version)
{
    struct proto_reader r = proto_reader_over(c->rows.p, c->rows.n);
    uint32_t row = c->first, end = c->first + c->count;
    for (; row < end; row++) {
        struct proto_price price;
        if (!proto_price_get(&r, &price) || proto_price_valid(&price) ||
            core_price_row(m, version, price.model) != 0)
            break;
        store_row(m, version, row, &price);
    }
    if (row == end && proto_get_end(&r))
        return PROTO_OK;
    erase_rows(m, version, c->first, row - 1);
    return PROTO_MALFORMED;
}

static void conflict(struct core_machine *m, struct core_call *x)
{
    *x->r = (struct proto_result){.code = PROTO_VERSION_CONFLICT, .shape = PROTO_SHAPE_versions};
    x->r->body.versions.prices = m->group.price_version;
}

static void note(struct core_machine *m, struct proto_text *t)
{
    proto_text_put(t, "active=");
    proto_text_uint(t, m->group.price_version);
    proto_text_put(t, " rows=");
    proto_text_uint(t, m->group.price_rows);
    proto_text_put(t, " pending=");
    proto_text_uint(t, m->group.pending_rows);
}

static struct core_half import_of(const struct core_call *x)
{
    const struct proto_str source = x->c->body.price_import.source;
    struct proto_sha256 h;
    struct proto_hash out;
    proto_sha256_init(&h);
    proto_sha256_add(&h, x->c->head.cred.b, sizeof x->c->head.cred.b);
    proto_sha256_add(&h, source.p, source.n);
    proto_sha256_out(&h, &out);
    return core_half_of(&out);
}

static bool follows(const struct core_group *g, const struct proto_price_import *c,
                    const struct core_half *import)
{
    if (c->version != g->price_version + 1)
        return false;
    return c->first == 1 ||
           (c->first == g->pending_rows + 1 && core_half_eq(&g->pending_of, import));
}

void core_price_import(struct core_machine *m, struct core_call *x)
{
    const struct proto_price_import *c = &x->c->body.price_import;
    struct core_group *g = &m->group;
    struct core_half import = import_of(x);
    if (!follows(g, c, &import)) {
        conflict(m, x);
        return;
    }
    if (c->count > CORE_PRICE_ROWS_MAX || c->first - 1 > CORE_PRICE_ROWS_MAX - c->count) {
        core_refuse(x, PROTO_QUOTA_EXCEEDED);
        return;
    }
    note(m, &x->before);
    if (c->first == 1) {
        erase_rows(m, c->version, 1, g->pending_rows);
        g->pending_rows = 0;
    }
    enum proto_code code = store_rows(m, c, c->version);
    if (code != PROTO_OK) {
        core_refuse(x, code);
        return;
    }
    g->pending_of = import;
    g->pending_rows += c->count;
    if (c->last) {
        g->price_version = c->version;
        g->price_rows = g->pending_rows;
        g->pending_rows = 0;
    }
    x->reason = c->source;
    note(m, &x->after);
    *x->r = (struct proto_result){.code = PROTO_OK, .shape = PROTO_SHAPE_created};
    x->r->body.created.number = c->version;
}
