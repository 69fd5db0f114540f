/* SPDX-License-Identifier: Apache-2.0
 * The LiteLLM price map: {"model": {"input_cost_per_token": 1.5e-07, ...}, ...}, dollars per unit.
 * Most keys translate one by one (litellm_keys.c); here is what needs the whole entry: tiers as a
 * list, searches, images priced by the pixel, and whether what was found prices a call at all.
 */
#include "tools/prices/import.h"

#include <errno.h>

static const char no_room[] = "more price points than a row can hold";

static bool is(struct proto_str s, const char *text)
{
    return proto_str_eq(s, proto_str_of(text));
}

static bool contains(struct proto_str s, const char *text)
{
    return memmem(s.p, s.n, text, strlen(text)) != NULL;
}

/* "…1024-x-1536/…" somewhere in the name: pixels of one image; 0: none. */
static uint32_t pixels_of(struct proto_str name)
{
    for (uint32_t i = 1; i + 3 < name.n; i++) {
        if (memcmp(name.p + i, "-x-", 3) != 0)
            continue;
        uint32_t w = 0, h = 0, scale = 1, k = i;
        for (; k > 0 && name.p[k - 1] >= '0' && name.p[k - 1] <= '9' && scale < 100000; k--) {
            w += (uint32_t)(name.p[k - 1] - '0') * scale;
            scale *= 10;
        }
        for (k = i + 3; k < name.n && name.p[k] >= '0' && name.p[k] <= '9' && h < 10000; k++)
            h = h * 10 + (uint32_t)(name.p[k] - '0');
        return w <= 65535 && h <= 65535 ? w * h : 0;
    }
    return 0;
}

/* Per pixel, as one image of the size in the name. Pixels are priced below 10^-18 dollars a unit,
 * so the scale is finer here; one rounding, after the product. */
static int pixel_price(struct proto_str name, yyjson_val *v, struct proto_price *price)
{
    enum { FINER = 3 };
    uint32_t pixels = pixels_of(name);
    int64_t fine, whole;
    if (pixels == 0 || prices_number(v, PRICES_SHIFT_UNIT + FINER, &fine) || fine == 0)
        return 0;
    unsigned __int128 product = (unsigned __int128)(uint64_t)fine * pixels;
    product = (product + 999) / 1000;
    if (product > INT64_MAX)
        return 0;
    whole = (int64_t)product;
    return prices_point(price, PROTO_CLASS_standard, PROTO_UNIT_image, 0, whole);
}

/* {"search_context_size_low": …}: the dearest size, because a call does not say which it used. */
static int search_price(yyjson_val *sizes, struct proto_price *price)
{
    size_t i, n;
    yyjson_val *key, *v;
    int rv = 0;
    yyjson_obj_foreach(sizes, i, n, key, v)
    {
        int64_t value;
        if (rv == 0 && prices_number(v, PRICES_SHIFT_UNIT, &value) == 0)
            rv = prices_point(price, PROTO_CLASS_standard, PROTO_UNIT_web_search, 0, value);
    }
    return rv;
}

/* [{"range": [from, to], "input_cost_per_token": …}, …]: prices by the size of the input. */
static int tiered_prices(yyjson_val *tiers, struct proto_price *price)
{
    size_t i, n, k, m;
    yyjson_val *tier, *key, *v;
    yyjson_arr_foreach(tiers, i, n, tier)
    {
        uint32_t above = prices_tokens(yyjson_arr_get_first(yyjson_obj_get(tier, "range")));
        yyjson_obj_foreach(tier, k, m, key, v)
        {
            struct prices_key what;
            int64_t value;
            if (!prices_litellm_key(prices_str(key), &what) ||
                prices_number(v, PRICES_SHIFT_UNIT, &value))
                continue;
            int rv = prices_point(price, what.class, what.unit, above, value);
            if (rv)
                return rv;
        }
    }
    return 0;
}

/* One key of an entry. 0, -E2BIG, or -ERANGE: a price that cannot be taken. */
static int key_price(struct prices *p, struct proto_str name, struct proto_str mode,
                     struct proto_str key, yyjson_val *v, struct proto_price *price)
{
    struct prices_key what;
    int64_t value;
    if (is(key, "tiered_pricing"))
        return tiered_prices(v, price);
    if (is(key, "search_context_cost_per_query"))
        return search_price(v, price);
    if (prices_litellm_key(key, &what)) {
        if (yyjson_is_null(v))
            return 0;
        if (prices_number(v, PRICES_SHIFT_UNIT, &value))
            return -ERANGE;
        return prices_point(price, what.class, what.unit, what.above, value);
    }
    if (!contains(key, "cost") || prices_number(v, PRICES_SHIFT_UNIT, &value) || value == 0)
        return 0;
    if (contains(key, "_per_pixel") && pixels_of(name) > 0)
        return pixel_price(name, v, price);
    if (is(key, "input_cost_per_image") && (is(mode, "image_generation") || is(mode, "image_edit")))
        return prices_point(price, PROTO_CLASS_standard, PROTO_UNIT_image, 0, value);
    prices_note(p, key);
    return 0;
}

/* Why the points found do not price a call of this mode; NULL: they do. A chat model with a price
 * per image alone would be free of charge, which is worse than unpriced. */
static const char *unusable(const struct proto_price *price, struct proto_str mode, bool notes)
{
    bool by_token = prices_has_unit(price, PROTO_UNIT_input) ||
                    prices_has_unit(price, PROTO_UNIT_output) ||
                    prices_has_unit(price, PROTO_UNIT_request);
    if (price->points.n == 0)
        return notes ? "priced only in units that are not metered" : "the map gives no price";
    bool tokens = mode.n == 0 || is(mode, "chat") || is(mode, "completion") ||
                  is(mode, "responses") || is(mode, "embedding") || is(mode, "realtime");
    if (tokens && !by_token)
        return "a token model without a price per token or request";
    return NULL;
}

static int entry_import(struct prices *p, struct proto_str name, yyjson_val *entry, uint32_t from)
{
    struct prices_row row = {.from = from};
    struct proto_str mode = {"", 0};
    yyjson_val *mode_val = yyjson_obj_get(entry, "mode");
    if (yyjson_is_str(mode_val))
        mode = prices_str(mode_val);
    bool notes = false;
    size_t i, n;
    yyjson_val *key, *v;
    yyjson_obj_foreach(entry, i, n, key, v)
    {
        int rv = key_price(p, name, mode, prices_str(key), v, &row.price);
        if (rv == -E2BIG)
            return prices_skip(p, name, no_room);
        if (rv)
            return prices_skip(p, name, "a price that is negative, too large or no number");
        notes = notes || contains(prices_str(key), "cost");
    }
    const char *why = unusable(&row.price, mode, notes);
    if (why)
        return prices_skip(p, name, why);
    row.price.max_input = prices_tokens(yyjson_obj_get(entry, "max_input_tokens"));
    row.price.max_output = prices_tokens(yyjson_obj_get(entry, "max_output_tokens"));
    if (row.price.max_output == 0) /* the older key: the output's bound, or the input's, above it */
        row.price.max_output = prices_tokens(yyjson_obj_get(entry, "max_tokens"));
    return prices_add(p, name, &row);
}

int prices_import_litellm(struct prices *p, yyjson_val *root)
{
    size_t i, n;
    yyjson_val *key, *entry;
    int rv = 0;
    yyjson_obj_foreach(root, i, n, key, entry)
    {
        struct proto_str name = prices_str(key);
        p->entries++;
        if (is(name, "sample_spec"))
            rv = prices_skip(p, name, "the map's description of its own format");
        else if (!yyjson_is_obj(entry))
            rv = prices_skip(p, name, "the entry is not an object");
        else
            rv = entry_import(p, name, entry, (uint32_t)i);
        if (rv)
            return rv;
    }
    return 0;
}
