/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/price.h"

#include <errno.h>

PROTO_DEFINE(point)
PROTO_DEFINE(price)

#define GIGA INT64_C(1000000000)

static const struct {
    const char *name;
    uint8_t fallback;
    bool is_input;
} units_table[PROTO_UNIT_COUNT] = {
#define X(number, name, fallback, is_input) [number] = {#name, PROTO_UNIT_##fallback, is_input},
    PROTO_UNITS(X)
#undef X
};

const char *proto_unit_name(unsigned unit)
{
    return unit < PROTO_UNIT_COUNT ? units_table[unit].name : "?";
}

bool proto_unit_is_input(unsigned unit)
{
    return unit < PROTO_UNIT_COUNT && units_table[unit].is_input;
}

static bool point_before(const struct proto_point *a, const struct proto_point *b)
{
    if (a->class != b->class)
        return a->class < b->class;
    if (a->unit != b->unit)
        return a->unit < b->unit;
    return a->above < b->above;
}

const char *proto_price_valid(const struct proto_price *p)
{
    if (p->model.n == 0)
        return "a price without a model name";
    if (p->points.n == 0)
        return "a price without price points";
    for (uint32_t i = 0; i < p->points.n; i++) {
        const struct proto_point *e = &p->points.e[i];
        if (e->class >= PROTO_CLASS_COUNT)
            return "unknown price class";
        if (e->unit >= PROTO_UNIT_COUNT)
            return "unknown unit";
        if (e->price < 0)
            return "a negative price";
        if (i > 0 && !point_before(e - 1, e))
            return "price points out of order";
    }
    return NULL;
}

/* The point of (class, unit) for this input, without any fallback; -1: none. Points are sorted, so
 * the last one that applies is the highest tier. */
static int64_t find(const struct proto_point *points, uint32_t n, unsigned class, unsigned unit,
                    int64_t total_input)
{
    int64_t price = -1;
    for (uint32_t i = 0; i < n; i++)
        if (points[i].class == class && points[i].unit == unit &&
            (points[i].above == 0 || total_input > (int64_t)points[i].above))
            price = points[i].price;
    return price;
}

int64_t proto_price_of(const struct proto_point *points, uint32_t n, unsigned class, unsigned unit,
                       int64_t total_input)
{
    for (;;) {
        int64_t price = find(points, n, class, unit, total_input);
        if (price < 0 && class != PROTO_CLASS_standard)
            price = find(points, n, PROTO_CLASS_standard, unit, total_input);
        if (price >= 0 || units_table[unit].fallback == unit)
            return price;
        unit = units_table[unit].fallback;
    }
}

static int round_up(unsigned __int128 sum, int64_t divisor, int64_t *out)
{
    sum = (sum + (unsigned __int128)divisor - 1) / (unsigned __int128)divisor;
    if (sum > INT64_MAX)
        return -ERANGE;
    *out = (int64_t)sum;
    return 0;
}

int proto_price_cost(const struct proto_point *points, uint32_t n_points, unsigned class,
                     const struct proto_units *units, int64_t *cost_nanos)
{
    int64_t total_input = 0;
    for (unsigned u = 0; u < PROTO_UNIT_COUNT; u++) {
        if (units->n[u] < 0)
            return -ERANGE;
        if (units_table[u].is_input &&
            __builtin_add_overflow(total_input, units->n[u], &total_input))
            return -ERANGE;
    }
    unsigned __int128 sum = 0; /* 16 products below 2^126 could pass 2^128: bound each */
    for (unsigned u = 0; u < PROTO_UNIT_COUNT; u++) {
        if (units->n[u] == 0)
            continue;
        int64_t price = proto_price_of(points, n_points, class, u, total_input);
        if (price <= 0)
            continue;
        sum += (unsigned __int128)units->n[u] * (unsigned __int128)price;
        if (sum > ((unsigned __int128)INT64_MAX) * GIGA)
            return -ERANGE;
    }
    return round_up(sum, GIGA, cost_nanos);
}

int proto_price_bound(const struct proto_point *points, uint32_t n_points, int64_t input,
                      int64_t output, int64_t *cost_nanos)
{
    int64_t dearest_in = 0, dearest_out = 0, once = 0;
    if (input < 0 || output < 0)
        return -ERANGE;
    for (uint32_t i = 0; i < n_points; i++) {
        unsigned unit = points[i].unit;
        int64_t price = points[i].price;
        if (unit == PROTO_UNIT_request) {
            once = price > once ? price : once;
        } else if (units_table[unit].is_input) {
            dearest_in = price > dearest_in ? price : dearest_in;
        } else if (unit == PROTO_UNIT_output || units_table[unit].fallback == PROTO_UNIT_output) {
            dearest_out = price > dearest_out ? price : dearest_out;
        }
    }
    unsigned __int128 sum = (unsigned __int128)input * (unsigned __int128)dearest_in;
    if (sum > (unsigned __int128)INT64_MAX * GIGA)
        return -ERANGE;
    sum += (unsigned __int128)output * (unsigned __int128)dearest_out + (unsigned __int128)once;
    return round_up(sum, GIGA, cost_nanos);
}

int proto_fee(int64_t cost, uint32_t ppm, int64_t *fee)
{
    if (cost < 0)
        return -ERANGE;
    return round_up((unsigned __int128)cost * ppm, 1000000, fee);
}
