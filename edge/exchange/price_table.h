/* SPDX-License-Identifier: Apache-2.0
 * One version of the price catalogue: models with their points, found by name. Filled once, then
 * only read. Private to prices.c; pure.
 */
#ifndef HOLDFAST_EDGE_PRICE_TABLE_H
#define HOLDFAST_EDGE_PRICE_TABLE_H

#include "edge/exchange/prices.h"

struct price_table {
    uint32_t version;
    uint32_t n;
    uint32_t slots; /* a power of two, at least twice n */
    struct edge_price *price;
    uint32_t *slot; /* index + 1; 0: free */
};

struct price_table *price_table_new(uint32_t version); /* NULL: no memory */
void price_table_free(struct price_table *t);          /* NULL is fine */
/* 0, -ENOMEM, -ENOSPC (EDGE_PRICES_MAX), -EINVAL (proto_price_valid says no). A name given again
 * replaces the first. */
__attribute__((warn_unused_result)) int price_table_add(struct price_table *t,
                                                        const struct proto_price *row);
const struct edge_price *price_table_find(const struct price_table *t, const char *model);

#endif
