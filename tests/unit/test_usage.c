/* SPDX-License-Identifier: Apache-2.0
 * Usage in the dialects of the OpenAI API, as disjoint units, and what they cost.
 */
#include "edge/exchange/api.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct edge_usage usage_of(const char *text)
{
    struct edge_usage u = {0};
    const char *why;
    size_t at;
    yyjson_doc *doc = edge_json_read(text, strlen(text), &why, &at);
    assert_non_null(doc);
    edge_usage_read(&u, yyjson_doc_get_root(doc));
    yyjson_doc_free(doc);
    return u;
}

static void assert_units(const char *text, int64_t input, int64_t cached, int64_t output,
                         int64_t reasoning)
{
    struct edge_usage u = usage_of(text);
    struct proto_units units;
    edge_usage_units(&u, &units);
    assert_int_equal(units.n[PROTO_UNIT_input], input);
    assert_int_equal(units.n[PROTO_UNIT_cache_read], cached);
    assert_int_equal(units.n[PROTO_UNIT_output], output);
    assert_int_equal(units.n[PROTO_UNIT_reasoning], reasoning);
    assert_int_equal(units.n[PROTO_UNIT_request], 1);
}

static void F8_units_are_disjoint(void **state)
{
    (void)state;
    assert_units("{\"prompt_tokens\":79,\"completion_tokens\":11,\"total_tokens\":90}", 79, 0, 11,
                 0);
    assert_units("{\"prompt_tokens\":687,\"completion_tokens\":187,\"total_tokens\":874,"
                 "\"prompt_tokens_details\":{\"cached_tokens\":679,\"audio_tokens\":0},"
                 "\"completion_tokens_details\":{\"reasoning_tokens\":118}}",
                 8, 679, 69, 118);
    /* deepseek */
    assert_units("{\"prompt_tokens\":339,\"completion_tokens\":83,\"total_tokens\":422,"
                 "\"prompt_cache_hit_tokens\":320,\"prompt_cache_miss_tokens\":19}",
                 19, 320, 83, 0);
    /* xAI counts reasoning beside the completion */
    assert_units("{\"prompt_tokens\":12,\"completion_tokens\":2,\"total_tokens\":354,"
                 "\"prompt_tokens_details\":{\"text_tokens\":12,\"cached_tokens\":11},"
                 "\"completion_tokens_details\":{\"reasoning_tokens\":340}}",
                 1, 11, 2, 340);
    /* the names of the newer APIs */
    assert_units("{\"input_tokens\":20,\"output_tokens\":5,"
                 "\"input_tokens_details\":{\"cached_tokens\":4}}",
                 16, 4, 5, 0);
}

static void F8_a_total_alone_is_billed_too(void **state)
{
    (void)state;
    /* embeddings that report nothing else */
    assert_units("{\"total_tokens\":10}", 10, 0, 0, 0);
    /* thinking that is told in the total only */
    assert_units("{\"prompt_tokens\":9,\"completion_tokens\":5,\"total_tokens\":114}", 9, 0, 105,
                 0);
    assert_units("{\"prompt_tokens\":9,\"completion_tokens\":5,\"total_tokens\":3}", 9, 0, 5, 0);
}

static void F8_a_usage_that_says_nothing_is_none(void **state)
{
    (void)state;
    assert_false(usage_of("{}").seen);
    assert_false(usage_of("{\"prompt_tokens\":null,\"queue_time\":0.1}").seen);
    assert_true(usage_of("{\"prompt_tokens\":0,\"completion_tokens\":0}").seen);
    assert_false(usage_of("{\"cost\":0.1}").seen);    /* it tells no tokens: they are guessed, */
    assert_true(usage_of("{\"cost\":0.1}").has_cost); /* unless its cost is trusted */
}

static void F8_an_absurd_cost_is_not_believed(void **state)
{
    (void)state;
    const char *const texts[] = {
        "9223372036.8", "9000000000", "100000.000000001", "-1", "1e300", "nan", "0x1", "1 2"};
    int64_t nanos = -7;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_false(edge_usage_cost(proto_str_of(texts[i]), &nanos));
    assert_int_equal(nanos, -7);
    assert_true(edge_usage_cost(proto_str_of("100000"), &nanos));
    assert_true(nanos == EDGE_COST_MAX_NANOS);
}

static void F8_audio_and_images_have_units_of_their_own(void **state)
{
    (void)state;
    struct edge_usage u =
        usage_of("{\"prompt_tokens\":100,\"completion_tokens\":50,\"prompt_tokens_details\":{"
                 "\"audio_tokens\":30,\"image_tokens\":20,\"cached_tokens\":10,"
                 "\"cache_write_tokens\":5},\"completion_tokens_details\":{\"audio_tokens\":40}}");
    struct proto_units units;
    struct proto_settle settle;
    edge_usage_units(&u, &units);
    assert_int_equal(units.n[PROTO_UNIT_input], 35);
    assert_int_equal(units.n[PROTO_UNIT_audio_input], 30);
    assert_int_equal(units.n[PROTO_UNIT_image_input], 20);
    assert_int_equal(units.n[PROTO_UNIT_cache_write], 5);
    assert_int_equal(units.n[PROTO_UNIT_output], 10);
    assert_int_equal(units.n[PROTO_UNIT_audio_output], 40);
    edge_usage_list(&units, &settle);
    assert_int_equal(settle.units.n, 8);
    for (uint32_t i = 1; i < settle.units.n; i++)
        assert_true(settle.units.e[i].unit > settle.units.e[i - 1].unit);
}

static void F8_what_a_provider_says_is_never_trusted_to_fit(void **state)
{
    (void)state;
    assert_units("{\"prompt_tokens\":5,\"completion_tokens\":3,"
                 "\"prompt_tokens_details\":{\"cached_tokens\":9},"
                 "\"completion_tokens_details\":null}",
                 0, 9, 3, 0);
    assert_units("{\"prompt_tokens\":-5,\"completion_tokens\":1e300}", 0, 0, EDGE_TOKENS_MAX, 0);
    assert_units("{\"prompt_tokens\":12.0,\"completion_tokens\":\"7\"}", 12, 0, 0, 0);
    assert_units("{\"prompt_tokens\":99999999999999999999999}", EDGE_TOKENS_MAX, 0, 0, 0);
    assert_units("{\"prompt_tokens\":[1],\"prompt_tokens_details\":7}", 0, 0, 0, 0);
    struct edge_usage u = {0};
    assert_false(edge_usage_read(&u, NULL));
}

static void F8_a_cost_alone_takes_no_tokens_back(void **state)
{
    (void)state;
    struct edge_usage u = usage_of("{\"prompt_tokens\":3,\"completion_tokens\":5}");
    const char *why, later[] = "{\"cost\":0.5}";
    size_t at;
    yyjson_doc *doc = edge_json_read(later, sizeof later - 1, &why, &at);
    assert_true(edge_usage_read(&u, yyjson_doc_get_root(doc)));
    yyjson_doc_free(doc);
    assert_true(u.seen);
    assert_int_equal(u.completion, 5);
    assert_int_equal(u.cost_nanos, 500000000);
}

static void F8_costs_of_a_provider_are_exact(void **state)
{
    (void)state;
    struct edge_usage u = usage_of("{\"prompt_tokens\":1,\"cost\":0.00333825}");
    assert_true(u.has_cost);
    assert_int_equal(u.cost_nanos, 3338250);
    assert_int_equal(usage_of("{\"cost\":7.159e-05}").cost_nanos, 71590);
    assert_int_equal(usage_of("{\"cost\":\"0.0000000001\"}").cost_nanos, 1); /* rounded up */
    assert_int_equal(usage_of("{\"cost\":0}").cost_nanos, 0);
    assert_true(usage_of("{\"cost\":0}").has_cost);
    assert_false(usage_of("{\"cost\":-1}").has_cost);
    assert_false(usage_of("{\"cost\":1e40}").has_cost);
    assert_false(usage_of("{\"cost\":null}").has_cost);
    assert_false(usage_of("{\"cost\":\"free\"}").has_cost);
}

static void F28_text_is_counted_for_estimates(void **state)
{
    (void)state;
    struct edge_call call = {0};
    struct edge_meter m = {0};
    const char *chunk = "{\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"12345\","
                        "\"reasoning_content\":\"678\",\"tool_calls\":[{\"id\":\"call_1\","
                        "\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":"
                        "\"{}\"}}]}}]}";
    assert_false(edge_api_chat.event(&call, &m, chunk, strlen(chunk)));
    assert_int_equal(m.text_bytes, 11);
    assert_false(edge_api_chat.event(&call, &m, "not json", 8));
    assert_int_equal(m.text_bytes, 19);
    struct proto_units units;
    edge_usage_guess(401, m.text_bytes, &units);
    assert_int_equal(units.n[PROTO_UNIT_input], 101);
    assert_int_equal(units.n[PROTO_UNIT_output], 5);
}

static void F28_usage_of_groq_and_service_tier(void **state)
{
    (void)state;
    struct edge_call call = {0};
    struct edge_meter m = {0};
    const char *chunk = "{\"choices\":[],\"service_tier\":\"priority\","
                        "\"x_groq\":{\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":2}}}";
    assert_false(edge_api_chat.event(&call, &m, chunk, strlen(chunk)));
    assert_int_equal(m.usage.prompt, 4);
    assert_int_equal(m.usage.class, PROTO_CLASS_priority);
    const char *last = "{\"choices\":[],\"usage\":{\"prompt_tokens\":5}}";
    assert_true(edge_api_chat.event(&call, &m, last, strlen(last)));
    assert_int_equal(m.usage.prompt, 5);
    assert_int_equal(m.usage.class, PROTO_CLASS_priority);
    call.wants_usage = true;
    assert_false(edge_api_chat.event(&call, &m, last, strlen(last)));
}

/* ---- the usages that others price (pydantic/genai-prices) ---- */

static int64_t number(yyjson_val *object, const char *name)
{
    int64_t n = 0;
    edge_json_count(yyjson_obj_get(object, name), &n);
    return n;
}

/* True: a body of the API that this file reads. */
static bool check_case(yyjson_val *row)
{
    struct edge_usage u = {0};
    struct proto_units units;
    yyjson_val *body = yyjson_obj_get(row, "response_body");
    yyjson_val *usage = yyjson_obj_get(body, "usage"), *expected = yyjson_obj_get(row, "usage");
    yyjson_val *flavor = yyjson_obj_get(row, "api_flavor");
    if ((!yyjson_equals_str(flavor, "chat") && !yyjson_equals_str(flavor, "default")) ||
        yyjson_obj_get(usage, "prompt_tokens") == NULL)
        return false;
    assert_true(edge_usage_read(&u, usage));
    edge_usage_units(&u, &units);
    const int64_t *n = units.n;
    assert_int_equal(n[PROTO_UNIT_cache_read], number(expected, "cache_read_tokens"));
    assert_int_equal(n[PROTO_UNIT_cache_write], number(expected, "cache_write_tokens"));
    assert_int_equal(n[PROTO_UNIT_audio_input], number(expected, "input_audio_tokens"));
    assert_int_equal(n[PROTO_UNIT_input] + n[PROTO_UNIT_cache_read] + n[PROTO_UNIT_cache_write] +
                         n[PROTO_UNIT_audio_input] + n[PROTO_UNIT_image_input],
                     number(expected, "input_tokens"));
    assert_int_equal(n[PROTO_UNIT_reasoning], number(expected, "output_reasoning_tokens"));
    /* Gemini's thinking stands in the total alone; it is billed, and that table leaves it out. */
    int64_t untold = number(usage, "total_tokens") - number(usage, "prompt_tokens") -
                     number(usage, "completion_tokens");
    if (!u.reasoning_apart)
        assert_int_equal(n[PROTO_UNIT_output] + n[PROTO_UNIT_reasoning] +
                             n[PROTO_UNIT_audio_output] + n[PROTO_UNIT_image_output],
                         number(expected, "output_tokens") + (untold > 0 ? untold : 0));
    return true;
}

static void F8_usages_of_real_providers(void **state)
{
    (void)state;
    const char *shared = getenv("HOLDFAST_SHARED");
    char path[512], *line = NULL;
    size_t cap = 0;
    unsigned checked = 0;
    snprintf(path, sizeof path, "%s/data/prices/genai_prices_usages.jsonl",
             shared != NULL ? shared : "../shared");
    FILE *f = fopen(path, "r");
    if (f == NULL) {
        print_message("no %s: skipped\n", path);
        skip();
    }
    for (ssize_t n; (n = getline(&line, &cap, f)) > 0;) {
        const char *why;
        size_t at;
        yyjson_doc *doc = edge_json_read(line, (size_t)n, &why, &at);
        assert_non_null(doc);
        checked += check_case(yyjson_doc_get_root(doc));
        yyjson_doc_free(doc);
    }
    free(line);
    fclose(f);
    assert_true(checked >= 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(F8_units_are_disjoint),
        cmocka_unit_test(F8_a_total_alone_is_billed_too),
        cmocka_unit_test(F8_a_usage_that_says_nothing_is_none),
        cmocka_unit_test(F8_an_absurd_cost_is_not_believed),
        cmocka_unit_test(F8_audio_and_images_have_units_of_their_own),
        cmocka_unit_test(F8_what_a_provider_says_is_never_trusted_to_fit),
        cmocka_unit_test(F8_a_cost_alone_takes_no_tokens_back),
        cmocka_unit_test(F8_costs_of_a_provider_are_exact),
        cmocka_unit_test(F28_text_is_counted_for_estimates),
        cmocka_unit_test(F28_usage_of_groq_and_service_tier),
        cmocka_unit_test(F8_usages_of_real_providers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
