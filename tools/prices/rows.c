/* SPDX-License-Identifier: Apache-2.0
 * The rows, skips and notes of an import, and what may stand under one name.
 */
#include "tools/prices/import.h"

#include "proto/money.h"

#include <errno.h>
#include <stdlib.h>

static char *copy(struct proto_str s)
{
    char *p = malloc(s.n + 1u);
    if (p) {
        memcpy(p, s.p, s.n);
        p[s.n] = '\0';
    }
    return p;
}

/* Room for one more element of `size` bytes; NULL and a code in *rv where there is none. */
static void *grown(void *base, uint32_t n, uint32_t *cap, size_t size, int *rv)
{
    *rv = 0;
    if (n < *cap)
        return base;
    uint32_t want = *cap ? *cap * 2 : 256;
    if (n >= PRICES_NAMES_MAX) {
        *rv = -E2BIG;
        return base;
    }
    void *p = realloc(base, want * size);
    if (!p) {
        *rv = -ENOMEM;
        return base;
    }
    *cap = want;
    return p;
}

int prices_skip(struct prices *p, struct proto_str name, const char *reason)
{
    int rv;
    p->skips = grown(p->skips, p->n_skips, &p->cap_skips, sizeof *p->skips, &rv);
    if (rv)
        return rv;
    char *text = copy(name);
    if (!text)
        return -ENOMEM;
    p->skips[p->n_skips++] = (struct prices_skip){text, reason};
    return 0;
}

int prices_add(struct prices *p, struct proto_str name, const struct prices_row *row)
{
    if (name.n == 0)
        return prices_skip(p, name, "an empty name");
    if (name.n > PROTO_NAME_MAX)
        return prices_skip(p, name, "the name is longer than 128 bytes");
    if (!proto_utf8_clean(name))
        return prices_skip(p, name, "the name has control characters or is not UTF-8");
    int rv;
    p->rows = grown(p->rows, p->n_rows, &p->cap_rows, sizeof *p->rows, &rv);
    if (rv)
        return rv;
    char *text = copy(name);
    if (!text)
        return -ENOMEM;
    struct prices_row *to = &p->rows[p->n_rows++];
    *to = *row;
    to->price.model = (struct proto_str){text, name.n};
    return 0;
}

void prices_note(struct prices *p, struct proto_str key)
{
    for (uint32_t i = 0; i < p->n_notes; i++)
        if (proto_str_eq(proto_str_of(p->notes[i].key), key)) {
            p->notes[i].count++;
            return;
        }
    char *text = p->n_notes < PRICES_NOTES_MAX ? copy(key) : NULL;
    if (text)
        p->notes[p->n_notes++] = (struct prices_note){text, 1};
}

static int name_order(struct proto_str a, struct proto_str b)
{
    int d = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);
    return d ? d : (a.n > b.n) - (a.n < b.n);
}

/* By name; under one name the strongest first, then the catalogue's order. */
static int row_order(const void *va, const void *vb)
{
    const struct prices_row *a = va, *b = vb;
    int d = name_order(a->price.model, b->price.model);
    if (d)
        return d;
    if (a->rank != b->rank)
        return b->rank - a->rank;
    return (a->from > b->from) - (a->from < b->from);
}

static int skip_order(const void *va, const void *vb)
{
    const struct prices_skip *a = va, *b = vb;
    return strcmp(a->name, b->name);
}

/* Rows [i, end) have one name. Is the first one's claim contradicted by another provider? */
static bool contradicted(const struct prices_row *rows, uint32_t i, uint32_t end)
{
    for (uint32_t k = i + 1; k < end && rows[k].rank == rows[i].rank; k++)
        if (rows[k].provider != rows[i].provider &&
            !prices_same_points(&rows[k].price, &rows[i].price))
            return true;
    return false;
}

int prices_settle_names(struct prices *p)
{
    if (p->n_rows > 0)
        qsort(p->rows, p->n_rows, sizeof *p->rows, row_order);
    uint32_t kept = 0;
    int rv = 0;
    for (uint32_t i = 0, end; i < p->n_rows; i = end) {
        for (end = i + 1;
             end < p->n_rows && proto_str_eq(p->rows[i].price.model, p->rows[end].price.model);)
            end++;
        bool drop = contradicted(p->rows, i, end);
        if (drop && rv == 0)
            rv = prices_skip(p, p->rows[i].price.model,
                             "providers differ in price: use the name PROVIDER/MODEL");
        for (uint32_t k = i + !drop; k < end; k++)
            free((char *)(uintptr_t)p->rows[k].price.model.p);
        if (!drop)
            p->rows[kept++] = p->rows[i];
    }
    p->n_rows = kept;
    if (p->n_skips > 0)
        qsort(p->skips, p->n_skips, sizeof *p->skips, skip_order);
    return rv;
}

static int find_order(const void *key, const void *row)
{
    return name_order(*(const struct proto_str *)key,
                      ((const struct prices_row *)row)->price.model);
}

const struct proto_price *prices_find(const struct prices *p, struct proto_str model)
{
    if (p->n_rows == 0)
        return NULL;
    struct prices_row *row = bsearch(&model, p->rows, p->n_rows, sizeof *p->rows, find_order);
    return row ? &row->price : NULL;
}

const char *prices_skipped(const struct prices *p, struct proto_str name)
{
    for (uint32_t i = 0; i < p->n_skips; i++)
        if (proto_str_eq(proto_str_of(p->skips[i].name), name))
            return p->skips[i].reason;
    return NULL;
}

int prices_point(struct proto_price *price, unsigned class, unsigned unit, uint32_t above,
                 int64_t value)
{
    struct proto_point point = {(uint8_t) class, (uint8_t)unit, above, value};
    uint32_t i = 0;
    for (; i < price->points.n; i++) {
        struct proto_point *e = &price->points.e[i];
        if (e->class == class && e->unit == unit && e->above == above) {
            e->price = e->price > value ? e->price : value;
            return 0;
        }
        if (e->class > class ||
            (e->class == class && (e->unit > unit || (e->unit == unit && e->above > above))))
            break;
    }
    if (price->points.n == PROTO_MAX_point)
        return -E2BIG;
    memmove(&price->points.e[i + 1], &price->points.e[i], (price->points.n - i) * sizeof point);
    price->points.e[i] = point;
    price->points.n++;
    return 0;
}

bool prices_same_points(const struct proto_price *a, const struct proto_price *b)
{
    if (a->points.n != b->points.n)
        return false;
    for (uint32_t i = 0; i < a->points.n; i++) {
        const struct proto_point *x = &a->points.e[i], *y = &b->points.e[i];
        if (x->class != y->class || x->unit != y->unit || x->above != y->above ||
            x->price != y->price)
            return false;
    }
    return true;
}

bool prices_has_unit(const struct proto_price *price, unsigned unit)
{
    for (uint32_t i = 0; i < price->points.n; i++)
        if (price->points.e[i].unit == unit)
            return true;
    return false;
}

int prices_number(yyjson_val *v, int shift, int64_t *out)
{
    if (yyjson_is_raw(v))
        return proto_decimal_scale(
            (struct proto_str){yyjson_get_raw(v), (uint32_t)yyjson_get_len(v)}, shift, out);
    if (yyjson_is_str(v) && yyjson_get_len(v) < 64)
        return proto_decimal_scale(prices_str(v), shift, out);
    return -EINVAL;
}

uint32_t prices_tokens(yyjson_val *v)
{
    int64_t n;
    if (prices_number(v, 0, &n) || n > UINT32_MAX)
        return 0;
    return (uint32_t)n;
}

struct proto_str prices_str(yyjson_val *v)
{
    return (struct proto_str){yyjson_get_str(v), (uint32_t)yyjson_get_len(v)};
}
