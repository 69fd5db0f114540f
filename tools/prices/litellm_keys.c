/* SPDX-License-Identifier: Apache-2.0
 * The vocabulary of the LiteLLM price map: from a key such as
 * `cache_read_input_token_cost_above_200k_tokens_priority` to class, unit and tier. A key is a
 * base, then perhaps a tier, then perhaps a class.
 */
#include "tools/prices/import.h"

static const struct {
    const char *base;
    uint8_t unit;
} bases[] = {
    {"input_cost_per_token", PROTO_UNIT_input},
    {"output_cost_per_token", PROTO_UNIT_output},
    {"cache_read_input_token_cost", PROTO_UNIT_cache_read},
    {"input_cost_per_token_cache_hit", PROTO_UNIT_cache_read},
    {"cache_creation_input_token_cost", PROTO_UNIT_cache_write},
    {"cache_creation_input_token_cost_above_1hr", PROTO_UNIT_cache_write_1h},
    {"input_cost_per_audio_token", PROTO_UNIT_audio_input},
    {"output_cost_per_audio_token", PROTO_UNIT_audio_output},
    {"cache_read_input_audio_token_cost", PROTO_UNIT_audio_cache_read},
    {"cache_read_input_token_cost_per_audio_token", PROTO_UNIT_audio_cache_read},
    {"input_cost_per_image_token", PROTO_UNIT_image_input},
    {"output_cost_per_image_token", PROTO_UNIT_image_output},
    {"output_cost_per_reasoning_token", PROTO_UNIT_reasoning},
    {"input_cost_per_request", PROTO_UNIT_request},
    {"input_cost_per_query", PROTO_UNIT_request},
    {"input_cost_per_second", PROTO_UNIT_second},
    {"output_cost_per_second", PROTO_UNIT_second},
    {"output_cost_per_video_per_second", PROTO_UNIT_second},
    {"input_cost_per_character", PROTO_UNIT_character},
    /* One image is billed at the dearest of its sizes and qualities: a call does not say which. */
    {"output_cost_per_image", PROTO_UNIT_image},
    {"output_cost_per_image_premium_image", PROTO_UNIT_image},
    {"output_cost_per_image_above_512_and_512_pixels", PROTO_UNIT_image},
    {"output_cost_per_image_above_512_and_512_pixels_and_premium_image", PROTO_UNIT_image},
    {"output_cost_per_image_above_1024_and_1024_pixels", PROTO_UNIT_image},
    {"output_cost_per_image_above_1024_and_1024_pixels_and_premium_image", PROTO_UNIT_image},
};

static const struct {
    const char *suffix;
    uint8_t class;
} classes[] = {
    {"_priority", PROTO_CLASS_priority},
    {"_flex", PROTO_CLASS_flex},
    {"_batches", PROTO_CLASS_batch},
    {"_batch_requests", PROTO_CLASS_batch},
};

static bool strip(struct proto_str *s, const char *suffix)
{
    size_t n = strlen(suffix);
    if (s->n < n || memcmp(s->p + s->n - n, suffix, n) != 0)
        return false;
    s->n -= (uint32_t)n;
    return true;
}

/* Takes `_above_<N>k_tokens` off the end; false: not there, s is as it was. */
static bool strip_tier(struct proto_str *s, uint32_t *above)
{
    struct proto_str t = *s;
    uint32_t thousands = 0, scale = 1, digits = 0;
    if (!strip(&t, "k_tokens"))
        return false;
    for (; t.n > 0 && t.p[t.n - 1] >= '0' && t.p[t.n - 1] <= '9' && digits < 6; digits++) {
        thousands += (uint32_t)(t.p[--t.n] - '0') * scale;
        scale *= 10;
    }
    if (digits == 0 || thousands == 0 || !strip(&t, "_above_"))
        return false;
    *s = t;
    *above = thousands * 1000;
    return true;
}

bool prices_litellm_key(struct proto_str key, struct prices_key *out)
{
    *out = (struct prices_key){.class = PROTO_CLASS_standard};
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (strip(&key, classes[i].suffix)) {
            out->class = classes[i].class;
            break;
        }
    (void)strip_tier(&key, &out->above);
    for (size_t i = 0; i < sizeof bases / sizeof *bases; i++)
        if (proto_str_eq(key, proto_str_of(bases[i].base))) {
            out->unit = bases[i].unit;
            return true;
        }
    return false;
}
