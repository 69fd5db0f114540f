/* SPDX-License-Identifier: Apache-2.0
 * The genai-prices catalogue: an array of providers, each with models, each with a match rule and
 * prices in dollars per million units. A price is a number, or {"base", "tiers": [{"start",
 * "price"}]}; prices may be a list of alternatives, of which later ones take precedence when their
 * constraint (from a date on; between two times of day) holds at p->at.
 *
 * A model becomes rows under PROVIDER/ID and ID, and under every other name that its rule spells
 * out. A bare name belongs to the provider that says the model is its own (`model_match`), else to
 * any provider if those that list it agree.
 */
#include "tools/prices/import.h"

#include <errno.h>
#include <strings.h>

enum { RANK_ANYBODY, RANK_FIRST_PARTY, RANK_FULL };
enum { FALLBACK_DEPTH = 4 };

static const struct {
    const char *key;
    uint8_t unit;
    int8_t shift;
} price_keys[] = {
    {"input_mtok", PROTO_UNIT_input, PRICES_SHIFT_MEGA},
    {"output_mtok", PROTO_UNIT_output, PRICES_SHIFT_MEGA},
    {"cache_read_mtok", PROTO_UNIT_cache_read, PRICES_SHIFT_MEGA},
    {"cache_write_mtok", PROTO_UNIT_cache_write, PRICES_SHIFT_MEGA},
    {"input_audio_mtok", PROTO_UNIT_audio_input, PRICES_SHIFT_MEGA},
    {"output_audio_mtok", PROTO_UNIT_audio_output, PRICES_SHIFT_MEGA},
    {"cache_audio_read_mtok", PROTO_UNIT_audio_cache_read, PRICES_SHIFT_MEGA},
    {"requests_kcount", PROTO_UNIT_request, PRICES_SHIFT_KILO},
};

/* One price, with its tiers. false: not a price we can take. */
static bool value_read(yyjson_val *v, uint8_t unit, int shift, struct proto_price *price)
{
    int64_t value;
    if (!yyjson_is_obj(v))
        return prices_number(v, shift, &value) == 0 &&
               prices_point(price, PROTO_CLASS_standard, unit, 0, value) == 0;
    if (prices_number(yyjson_obj_get(v, "base"), shift, &value) ||
        prices_point(price, PROTO_CLASS_standard, unit, 0, value))
        return false;
    size_t i, n;
    yyjson_val *tier;
    yyjson_arr_foreach(yyjson_obj_get(v, "tiers"), i, n, tier)
    {
        uint32_t start = prices_tokens(yyjson_obj_get(tier, "start"));
        if (start == 0 || prices_number(yyjson_obj_get(tier, "price"), shift, &value) ||
            prices_point(price, PROTO_CLASS_standard, unit, start, value))
            return false;
    }
    return true;
}

/* The object of prices. NULL, or why it cannot be used. */
static const char *prices_read(yyjson_val *prices, bool free_of_charge, struct proto_price *price)
{
    price->points.n = 0;
    size_t i, n;
    yyjson_val *key, *v;
    yyjson_obj_foreach(prices, i, n, key, v)
    {
        size_t k = 0, keys = sizeof price_keys / sizeof *price_keys;
        while (k < keys && !yyjson_equals_str(key, price_keys[k].key))
            k++;
        if (k == keys)
            return "a kind of price that is not known";
        if (!value_read(v, price_keys[k].unit, price_keys[k].shift, price))
            return "a price that is negative, too large or no number";
    }
    if (price->points.n > 0)
        return NULL;
    if (!free_of_charge)
        return "the catalogue gives no price";
    return prices_point(price, PROTO_CLASS_standard, PROTO_UNIT_input, 0, 0) ? "no room" : NULL;
}

enum held { NOT_HELD, MAY_HOLD, HELD, NOT_KNOWN };

/* MAY_HOLD: depends on the time of day, and p->at is only a date. */
static enum held constraint_held(const struct prices *p, yyjson_val *constraint)
{
    if (!constraint || yyjson_is_null(constraint))
        return HELD;
    const char *date = yyjson_get_str(yyjson_obj_get(constraint, "start_date"));
    const char *from = yyjson_get_str(yyjson_obj_get(constraint, "start_time"));
    const char *to = yyjson_get_str(yyjson_obj_get(constraint, "end_time"));
    if (date && !from && !to)
        return strncmp(p->at, date, 10) >= 0 ? HELD : NOT_HELD;
    if (date || !from || !to || strlen(from) != 9 || strlen(to) != 9 || from[8] != 'Z' ||
        to[8] != 'Z')
        return NOT_KNOWN;
    if (p->at[10] == '\0')
        return MAY_HOLD;
    const char *now = p->at + 11;
    bool after = strcmp(now, from) >= 0, before = strcmp(now, to) < 0;
    return (strcmp(from, to) <= 0 ? after && before : after || before) ? HELD : NOT_HELD;
}

static int64_t weight(const struct proto_price *price)
{
    int64_t sum = 0;
    for (uint32_t i = 0; i < price->points.n; i++)
        if (__builtin_add_overflow(sum, price->points.e[i].price, &sum))
            return INT64_MAX;
    return sum;
}

/* The prices of a model that hold at p->at. NULL, or why there are none. */
static const char *model_price(const struct prices *p, yyjson_val *model, struct proto_price *out)
{
    yyjson_val *prices = yyjson_obj_get(model, "prices");
    struct proto_str id = prices_str(yyjson_obj_get(model, "id"));
    bool free_of_charge = id.n > 5 && memcmp(id.p + id.n - 5, ":free", 5) == 0;
    out->model = id;
    out->max_input = prices_tokens(yyjson_obj_get(model, "context_window"));
    out->max_output = 0;
    if (!yyjson_is_arr(prices))
        return prices_read(prices, free_of_charge, out);
    bool found = false;
    for (size_t i = yyjson_arr_size(prices); i-- > 0;) {
        yyjson_val *each = yyjson_arr_get(prices, i);
        enum held held = constraint_held(p, yyjson_obj_get(each, "constraint"));
        struct proto_price other = *out;
        if (held == NOT_KNOWN)
            return "a condition on the price that is not known";
        if (held == NOT_HELD)
            continue;
        const char *why = prices_read(yyjson_obj_get(each, "prices"), free_of_charge, &other);
        if (why)
            return why;
        if (!found || weight(&other) > weight(out))
            *out = other;
        found = true;
        if (held == HELD)
            break;
    }
    return found ? NULL : "none of the dated prices holds at that time";
}

static yyjson_val *provider_of(yyjson_val *root, struct proto_str id)
{
    size_t i, n;
    yyjson_val *provider;
    yyjson_arr_foreach(root, i, n, provider)
    {
        yyjson_val *v = yyjson_obj_get(provider, "id");
        if (yyjson_is_str(v) && yyjson_get_len(v) == id.n &&
            strncasecmp(yyjson_get_str(v), id.p, id.n) == 0)
            return provider;
    }
    yyjson_arr_foreach(root, i, n,
                       provider) if (prices_rule_match(yyjson_obj_get(provider, "provider_match"),
                                                       id)) return provider;
    return NULL;
}

/* The first model whose rule matches, here or at the providers it falls back on. */
static yyjson_val *model_of(yyjson_val *root, yyjson_val *provider, struct proto_str name,
                            int depth)
{
    size_t i, n;
    yyjson_val *model, *next;
    yyjson_arr_foreach(
        yyjson_obj_get(provider, "models"), i, n,
        model) if (prices_rule_match(yyjson_obj_get(model, "match"), name)) return model;
    if (depth == FALLBACK_DEPTH)
        return NULL;
    yyjson_arr_foreach(yyjson_obj_get(provider, "fallback_model_providers"), i, n, next)
    {
        yyjson_val *other = yyjson_is_str(next) ? provider_of(root, prices_str(next)) : NULL;
        model = other ? model_of(root, other, name, depth + 1) : NULL;
        if (model)
            return model;
    }
    return NULL;
}

int prices_genai_match(const struct prices *p, struct proto_str provider, struct proto_str model,
                       struct proto_price *out)
{
    if (p->format != PRICES_GENAI)
        return -ENOENT;
    yyjson_val *root = yyjson_doc_get_root(p->doc);
    yyjson_val *at = provider_of(root, provider);
    yyjson_val *found = at ? model_of(root, at, model, 0) : NULL;
    if (!found || !yyjson_is_str(yyjson_obj_get(found, "id")))
        return -ENOENT;
    return model_price(p, found, out) ? -EINVAL : 0;
}

/* ---- import ---- */
struct naming {
    struct prices *p;
    yyjson_val *root, *provider, *model;
    struct proto_str provider_id;
    struct prices_row row;
};

static int name_add(void *ctx, struct proto_str name)
{
    struct naming *g = ctx;
    char full[2 * PROTO_NAME_MAX + 2];
    if (g->provider_id.n + 1 + name.n > sizeof full)
        return prices_skip(g->p, name, "the name is longer than 128 bytes");
    memcpy(full, g->provider_id.p, g->provider_id.n);
    full[g->provider_id.n] = '/';
    memcpy(full + g->provider_id.n + 1, name.p, name.n);
    g->row.rank = RANK_FULL;
    int rv = prices_add(g->p, (struct proto_str){full, g->provider_id.n + 1 + name.n}, &g->row);
    if (rv)
        return rv;
    bool own = prices_rule_match(yyjson_obj_get(g->provider, "model_match"), name);
    g->row.rank = own ? RANK_FIRST_PARTY : RANK_ANYBODY;
    return prices_add(g->p, name, &g->row);
}

/* A name out of the rule, unless an earlier model's rule takes it. */
static int rule_name_add(void *ctx, struct proto_str name)
{
    struct naming *g = ctx;
    if (model_of(g->root, g->provider, name, FALLBACK_DEPTH) != g->model)
        return 0;
    return name_add(ctx, name);
}

static int model_import(struct naming *g)
{
    struct prices *p = g->p;
    yyjson_val *id = yyjson_obj_get(g->model, "id");
    g->row = (struct prices_row){.from = p->entries++, .provider = g->row.provider};
    if (!yyjson_is_str(id))
        return prices_skip(p, g->provider_id, "a model without an id");
    const char *why = model_price(p, g->model, &g->row.price);
    if (why) {
        char full[2 * PROTO_NAME_MAX + 2];
        struct proto_text t = proto_text_over(full, sizeof full);
        proto_text_raw(&t, g->provider_id.p, g->provider_id.n);
        proto_text_put(&t, "/");
        proto_text_raw(&t, yyjson_get_str(id), yyjson_get_len(id));
        return prices_skip(p, (struct proto_str){t.base, (uint32_t)t.n}, why);
    }
    int rv = name_add(g, prices_str(id));
    return rv ? rv : prices_rule_names(yyjson_obj_get(g->model, "match"), rule_name_add, g);
}

int prices_import_genai(struct prices *p, yyjson_val *root)
{
    struct naming g = {.p = p, .root = root};
    size_t i, n, k, m;
    int rv = 0;
    yyjson_arr_foreach(root, i, n, g.provider)
    {
        yyjson_val *id = yyjson_obj_get(g.provider, "id");
        g.row.provider = (uint16_t)i;
        if (!yyjson_is_str(id) || yyjson_get_len(id) > PROTO_NAME_MAX) {
            rv = prices_skip(p, proto_str_of("?"), "a provider without an id");
        } else {
            g.provider_id = prices_str(id);
            yyjson_arr_foreach(yyjson_obj_get(g.provider, "models"), k, m, g.model)
            {
                rv = model_import(&g);
                if (rv)
                    return rv;
            }
        }
        if (rv)
            return rv;
    }
    return 0;
}
