/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/exchange/usage.h"

#include "edge/exchange/json.h"
#include "proto/money.h"

#include <errno.h>

enum { TEXT_DEPTH_MAX = 8 };

static int64_t tokens(yyjson_val *object, const char *name)
{
    int64_t n;
    yyjson_val *value = yyjson_obj_get(object, name);
    if (!yyjson_is_raw(value))
        return 0;
    if (edge_json_count(value, &n) || edge_json_number_up(value, &n))
        return n < EDGE_TOKENS_MAX ? n : EDGE_TOKENS_MAX;
    return yyjson_get_raw(value)[0] == '-' ? 0 : EDGE_TOKENS_MAX;
}

static int64_t first_of(int64_t a, int64_t b)
{
    return a > 0 ? a : b;
}

bool edge_usage_cost(struct proto_str text, int64_t *cost_nanos)
{
    int64_t nanos;
    if (text.n == 0 || text.n >= 64 || proto_decimal_scale(text, 9, &nanos) < 0 ||
        nanos > EDGE_COST_MAX_NANOS)
        return false;
    *cost_nanos = nanos;
    return true;
}

uint8_t edge_usage_class(yyjson_val *service_tier)
{
    if (yyjson_equals_str(service_tier, "priority"))
        return PROTO_CLASS_priority;
    if (yyjson_equals_str(service_tier, "flex"))
        return PROTO_CLASS_flex;
    if (yyjson_equals_str(service_tier, "batch"))
        return PROTO_CLASS_batch;
    return PROTO_CLASS_standard;
}

static bool tells_tokens(yyjson_val *object)
{
    static const char *const names[] = {"prompt_tokens", "completion_tokens", "total_tokens",
                                        "input_tokens", "output_tokens"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (yyjson_is_raw(yyjson_obj_get(object, names[i])))
            return true;
    return false;
}

/* Tokens that stand in the total alone: of a provider that reports nothing else (embeddings), or
 * output that it does not count as completion (thinking). They are billed, so they are charged. */
static void add_untold(struct edge_usage *u)
{
    int64_t told = u->prompt + u->completion + (u->reasoning_apart ? u->reasoning : 0);
    if (u->total <= told)
        return;
    if (u->prompt + u->completion == 0)
        u->prompt = u->total;
    else
        u->completion += u->total - told;
}

static void read_tokens(struct edge_usage *u, yyjson_val *object)
{
    yyjson_val *in = yyjson_obj_get(object, "prompt_tokens_details");
    yyjson_val *out = yyjson_obj_get(object, "completion_tokens_details");
    if (in == NULL)
        in = yyjson_obj_get(object, "input_tokens_details");
    if (out == NULL)
        out = yyjson_obj_get(object, "output_tokens_details");
    u->seen = true;
    u->prompt = first_of(tokens(object, "prompt_tokens"), tokens(object, "input_tokens"));
    u->completion = first_of(tokens(object, "completion_tokens"), tokens(object, "output_tokens"));
    u->total = tokens(object, "total_tokens");
    u->cached = first_of(tokens(in, "cached_tokens"), tokens(object, "prompt_cache_hit_tokens"));
    u->cached = first_of(u->cached, tokens(object, "cached_tokens"));
    u->cache_write = tokens(in, "cache_write_tokens");
    u->audio_input = tokens(in, "audio_tokens");
    u->image_input = tokens(in, "image_tokens");
    u->audio_output = tokens(out, "audio_tokens");
    u->image_output = tokens(out, "image_tokens");
    u->reasoning = tokens(out, "reasoning_tokens");
    u->reasoning_apart = u->reasoning > 0 && (u->reasoning > u->completion ||
                                              u->total == u->prompt + u->completion + u->reasoning);
    add_untold(u);
}

bool edge_usage_read(struct edge_usage *u, yyjson_val *object)
{
    yyjson_val *cost = yyjson_obj_get(object, "cost");
    bool told = yyjson_is_obj(object) && tells_tokens(object);
    bool costs = yyjson_is_raw(cost) || yyjson_is_str(cost);
    if (!told && !costs)
        return false;
    if (told) { /* all of it replaces what came before */
        *u = (struct edge_usage){.class = u->class};
        read_tokens(u, object);
    }
    if (yyjson_is_raw(cost))
        u->has_cost = edge_usage_cost(
            (struct proto_str){yyjson_get_raw(cost), (uint32_t)yyjson_get_len(cost)},
            &u->cost_nanos);
    else if (yyjson_is_str(cost))
        u->has_cost = edge_usage_cost(edge_json_str(cost), &u->cost_nanos);
    return true;
}

/* What is left of the whole; parts that exceed it leave nothing. */
static int64_t rest_of(int64_t whole, int64_t parts)
{
    return whole > parts ? whole - parts : 0;
}

void edge_usage_units(const struct edge_usage *u, struct proto_units *units)
{
    memset(units, 0, sizeof *units);
    int64_t *n = units->n;
    n[PROTO_UNIT_cache_read] = u->cached;
    n[PROTO_UNIT_cache_write] = u->cache_write;
    n[PROTO_UNIT_audio_input] = u->audio_input;
    n[PROTO_UNIT_image_input] = u->image_input;
    n[PROTO_UNIT_input] =
        rest_of(u->prompt, u->cached + u->cache_write + u->audio_input + u->image_input);
    n[PROTO_UNIT_audio_output] = u->audio_output;
    n[PROTO_UNIT_image_output] = u->image_output;
    n[PROTO_UNIT_reasoning] = u->reasoning;
    n[PROTO_UNIT_output] = rest_of(u->completion, u->audio_output + u->image_output +
                                                      (u->reasoning_apart ? 0 : u->reasoning));
    n[PROTO_UNIT_request] = 1;
}

void edge_usage_guess(int64_t input_bytes, int64_t output_bytes, struct proto_units *units)
{
    memset(units, 0, sizeof *units);
    units->n[PROTO_UNIT_input] = (input_bytes + 3) / 4;
    units->n[PROTO_UNIT_output] = (output_bytes + 3) / 4;
    units->n[PROTO_UNIT_request] = 1;
}

void edge_usage_list(const struct proto_units *units, struct proto_settle *settle)
{
    settle->units.n = 0;
    for (uint8_t i = 0; i < PROTO_UNIT_COUNT; i++)
        if (units->n[i] > 0)
            settle->units.e[settle->units.n++] = (struct proto_usage){i, units->n[i]};
}

static int64_t text_in(yyjson_val *value, unsigned depth)
{
    int64_t sum = 0;
    size_t i, max;
    yyjson_val *key, *item;
    if (yyjson_is_str(value))
        return (int64_t)yyjson_get_len(value);
    if (depth == TEXT_DEPTH_MAX)
        return 0;
    if (yyjson_is_arr(value)) {
        yyjson_arr_foreach(value, i, max, item) sum += text_in(item, depth + 1);
    } else if (yyjson_is_obj(value)) {
        yyjson_obj_foreach(value, i, max, key, item)
        {
            if (!yyjson_equals_str(key, "role") && !yyjson_equals_str(key, "id") &&
                !yyjson_equals_str(key, "type"))
                sum += text_in(item, depth + 1);
        }
    }
    return sum;
}

int64_t edge_usage_text_bytes(yyjson_val *value)
{
    return text_in(value, 0);
}
