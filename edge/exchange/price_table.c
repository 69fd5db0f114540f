/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/exchange/price_table.h"

#include <errno.h>
#include <stdlib.h>

enum { FIRST_SLOTS = 1024 };

static uint32_t hash_of(const char *name, size_t n) /* FNV-1a */
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)name[i]) * 16777619u;
    return h;
}

struct price_table *price_table_new(uint32_t version)
{
    struct price_table *t = calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    t->version = version;
    t->slots = FIRST_SLOTS;
    t->slot = calloc(t->slots, sizeof *t->slot);
    t->price = calloc(t->slots / 2, sizeof *t->price);
    if (t->slot == NULL || t->price == NULL) {
        price_table_free(t);
        return NULL;
    }
    return t;
}

static void free_price(struct edge_price *price)
{
    free((void *)(uintptr_t)price->points); /* points and name are one block */
}

void price_table_free(struct price_table *t)
{
    if (t == NULL)
        return;
    for (uint32_t i = 0; i < t->n; i++)
        free_price(&t->price[i]);
    free(t->price);
    free(t->slot);
    free(t);
}

/* The slot of a name, or the free one where it belongs. */
static uint32_t slot_of(const struct price_table *t, const char *name, size_t n)
{
    uint32_t i = hash_of(name, n) & (t->slots - 1);
    for (; t->slot[i] != 0; i = (i + 1) & (t->slots - 1)) {
        const char *other = t->price[t->slot[i] - 1].model;
        if (strncmp(other, name, n) == 0 && other[n] == '\0')
            break;
    }
    return i;
}

static int grow(struct price_table *t)
{
    uint32_t slots = t->slots * 2;
    uint32_t *slot = calloc(slots, sizeof *slot);
    struct edge_price *price = realloc(t->price, slots / 2 * sizeof *price);
    if (price != NULL)
        t->price = price;
    if (slot == NULL || price == NULL) {
        free(slot);
        return -ENOMEM;
    }
    free(t->slot);
    t->slot = slot;
    t->slots = slots;
    for (uint32_t i = 0; i < t->n; i++)
        t->slot[slot_of(t, t->price[i].model, strlen(t->price[i].model))] = i + 1;
    return 0;
}

static int copy_price(struct edge_price *out, const struct proto_price *row)
{
    size_t points = row->points.n * sizeof *row->points.e;
    size_t name_at = points; /* points first: they need alignment */
    char *block = malloc(points + row->model.n + 1);
    if (block == NULL)
        return -ENOMEM;
    memcpy(block, row->points.e, points);
    memcpy(block + name_at, row->model.p, row->model.n);
    block[name_at + row->model.n] = '\0';
    *out = (struct edge_price){.model = block + name_at,
                               .max_input = row->max_input,
                               .max_output = row->max_output,
                               .n_points = row->points.n,
                               .points = (const struct proto_point *)(void *)block};
    return 0;
}

int price_table_add(struct price_table *t, const struct proto_price *row)
{
    if (proto_price_valid(row) != NULL)
        return -EINVAL;
    if (t->n == EDGE_PRICES_MAX)
        return -ENOSPC;
    if (t->n == t->slots / 2) {
        int rc = grow(t);
        if (rc < 0)
            return rc;
    }
    struct edge_price price;
    int rc = copy_price(&price, row);
    if (rc < 0)
        return rc;
    uint32_t i = slot_of(t, row->model.p, row->model.n);
    if (t->slot[i] != 0) {
        free_price(&t->price[t->slot[i] - 1]);
        t->price[t->slot[i] - 1] = price;
    } else {
        t->price[t->n] = price;
        t->slot[i] = ++t->n;
    }
    return 0;
}

const struct edge_price *price_table_find(const struct price_table *t, const char *model)
{
    uint32_t i = slot_of(t, model, strlen(model));
    return t->slot[i] != 0 ? &t->price[t->slot[i] - 1] : NULL;
}
