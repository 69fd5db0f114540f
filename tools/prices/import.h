/* SPDX-License-Identifier: Apache-2.0
 * What the two importers share: collecting rows, skips and notes, and reading decimals. Private to
 * tools/prices.
 */
#ifndef HOLDFAST_PRICES_IMPORT_H
#define HOLDFAST_PRICES_IMPORT_H

#include "tools/prices/prices.h"

#include <yyjson.h>

enum {
    PRICES_SHIFT_UNIT = 18, /* dollars per unit -> nano-dollars per 10^9 units */
    PRICES_SHIFT_KILO = 15, /* dollars per thousand units */
    PRICES_SHIFT_MEGA = 12, /* dollars per million units */
};

/* A copy of `price` under `name` becomes a row. -ENOMEM, -E2BIG (PRICES_NAMES_MAX). A name that
 * cannot be one (length, characters) is a skip instead. */
__attribute__((warn_unused_result)) int prices_add(struct prices *p, struct proto_str name,
                                                   const struct prices_row *row);
__attribute__((warn_unused_result)) int prices_skip(struct prices *p, struct proto_str name,
                                                    const char *reason);
void prices_note(struct prices *p, struct proto_str key);
/* Sorts rows by name; of several with one name keeps the strongest, or none where providers
 * contradict each other. */
__attribute__((warn_unused_result)) int prices_settle_names(struct prices *p);

/* Puts a point at its place; where it stands already the larger price stays. -E2BIG: no room. */
__attribute__((warn_unused_result)) int prices_point(struct proto_price *price, unsigned class,
                                                     unsigned unit, uint32_t above, int64_t value);
bool prices_same_points(const struct proto_price *a, const struct proto_price *b);
bool prices_has_unit(const struct proto_price *price, unsigned unit);

/* A number (raw) or a string with one, times 10^shift, rounded up. -EINVAL or -ERANGE. */
__attribute__((warn_unused_result)) int prices_number(yyjson_val *v, int shift, int64_t *out);
/* Tokens as a uint32; 0 where it is no such number. */
uint32_t prices_tokens(yyjson_val *v);
struct proto_str prices_str(yyjson_val *v); /* of a string value */

__attribute__((warn_unused_result)) int prices_import_litellm(struct prices *p, yyjson_val *root);
__attribute__((warn_unused_result)) int prices_import_genai(struct prices *p, yyjson_val *root);

/* ---- litellm_keys.c ---- */
/* What a price key of the map means. */
struct prices_key {
    uint8_t class, unit;
    uint32_t above;
};
/* false: no unit of ours (or no price at all). */
bool prices_litellm_key(struct proto_str key, struct prices_key *out);

/* ---- match.c ---- */
/* A rule ({"or": [...]}, {"equals": "..."}) of the genai catalogue; letters' case does not count.
 * A rule that is not understood matches nothing. */
bool prices_rule_match(yyjson_val *rule, struct proto_str text);
/* Calls fn for each name that the rule spells out (equals, under nothing but or). Stops at != 0. */
int prices_rule_names(yyjson_val *rule, int (*fn)(void *ctx, struct proto_str name), void *ctx);

#endif
