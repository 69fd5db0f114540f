/* SPDX-License-Identifier: Apache-2.0
 * A model's price and what a call costs. Edge (estimate), core (settle) and tools (import) share it.
 *
 * A price is nano-dollars per 10^9 units, rounded up at import. A model has price points
 * (class, unit, above): the point of a tier applies to *all* units of a call whose input (sum of the
 * is_input units) is greater than `above`; the highest such tier that has the unit wins. A class
 * without a point for a unit uses the standard class's. A unit without a point uses its fallback
 * unit's (units.h), else it costs nothing.
 *     cost = ceil(sum(units x price) / 10^9), one rounding, in 128-bit integers.
 */
#ifndef HOLDFAST_PROTO_PRICE_H
#define HOLDFAST_PROTO_PRICE_H

#include "proto/fields.h"
#include "proto/units.h"

enum { PROTO_MAX_point = 64, PROTO_PRICE_MAX = 2048 /* bytes of one encoded price row */ };

/* above: 0 for the base price, else the tier's threshold in input units. */
#define PROTO_FIELDS_point(F)                                                                      \
    F(U8, class, 0)                                                                                \
    F(U8, unit, 0)                                                                                 \
    F(U32, above, 0)                                                                               \
    F(I64, price, 0)
PROTO_DECLARE(point)

/* max_input, max_output: the model's own bounds in tokens, 0 = unknown. Points are sorted by (class,
 * unit, above), without doubles, prices >= 0; proto_price_valid holds that. */
#define PROTO_FIELDS_price(F)                                                                      \
    F(STR, model, PROTO_NAME_MAX)                                                                  \
    F(U32, max_input, 0)                                                                           \
    F(U32, max_output, 0)                                                                          \
    F(LIST, points, point)
PROTO_DECLARE(price)

/* NULL, or what is wrong (static text): empty name, no points, order, class, unit, sign. */
const char *proto_price_valid(const struct proto_price *p);

/* Units by kind; all >= 0. */
struct proto_units {
    int64_t n[PROTO_UNIT_COUNT];
};

/* The cost of `units` at class `class`. 0, or -ERANGE: does not fit, or a negative count. */
__attribute__((warn_unused_result)) int proto_price_cost(const struct proto_point *points,
                                                         uint32_t n_points, unsigned class,
                                                         const struct proto_units *units,
                                                         int64_t *cost_nanos);

/* An upper bound of what `input` input units and `output` output units can cost, whatever their
 * kinds, class and tier: each side at its dearest point, and one request. 0 or -ERANGE. */
__attribute__((warn_unused_result)) int proto_price_bound(const struct proto_point *points,
                                                          uint32_t n_points, int64_t input,
                                                          int64_t output, int64_t *cost_nanos);

/* The price of (class, unit) for a call with `total_input` input units: < 0 where there is none. */
int64_t proto_price_of(const struct proto_point *points, uint32_t n_points, unsigned class,
                       unsigned unit, int64_t total_input);

const char *proto_unit_name(unsigned unit); /* "?" for none */
bool proto_unit_is_input(unsigned unit);

/* ceil(cost x ppm / 10^6) for cost >= 0. 0 or -ERANGE. */
__attribute__((warn_unused_result)) int proto_fee(int64_t cost, uint32_t ppm, int64_t *fee);

#endif
