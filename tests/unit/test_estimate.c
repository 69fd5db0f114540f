/* SPDX-License-Identifier: Apache-2.0
 * The upper bound that is held before a call (F1), and which calls have none.
 */
#include "edge/exchange/api.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct edge_error error;
static const struct proto_point points[] = {
    {.unit = PROTO_UNIT_input, .price = 1000000000},
    {.unit = PROTO_UNIT_input, .above = 1000, .price = 2000000000}, /* 2 */
    {.unit = PROTO_UNIT_output, .price = 5000000000},               /* 5 */
};

static int64_t bound(const struct edge_api *api, const char *body, int64_t max_output)
{
    struct edge_call call;
    int64_t nanos = -1;
    bool good = edge_call_read(&call, api, body, strlen(body), &error);
    assert_true(good);
    assert_int_equal(edge_call_bound(&call, strlen(body), max_output, points, 3, &nanos), 0);
    edge_call_close(&call);
    return nanos;
}

static void F1_input_is_a_token_a_byte_at_the_dearest_rate(void **state)
{
    (void)state;
    const char *body = "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";
    int64_t input = (int64_t)strlen(body) + EDGE_OVERHEAD_TOKENS + EDGE_MESSAGE_OVERHEAD_TOKENS;
    assert_int_equal(bound(&edge_api_chat, body, 0), 2 * input);
    assert_int_equal(bound(&edge_api_chat, body, 10), 2 * input + 50);
}

static void F1_every_answer_asked_for_counts(void **state)
{
    (void)state;
    const char *one = "{\"model\":\"m\",\"messages\":[{\"content\":\"\"}],\"n\":1}";
    const char *nine = "{\"model\":\"m\",\"messages\":[{\"content\":\"\"}],\"n\":9}";
    assert_int_equal(bound(&edge_api_chat, nine, 7) - bound(&edge_api_chat, one, 7), 8 * 7 * 5);
    const char *best = "{\"model\":\"m\",\"prompt\":[\"a\",\"b\"],\"n\":1,\"best_of\":3}";
    const char *flat = "{\"model\":\"m\",\"prompt\":[\"a\",\"b\"],\"n\":1,\"best_of\":1}";
    assert_int_equal(bound(&edge_api_completions, best, 7) - bound(&edge_api_completions, flat, 7),
                     2 * 2 * 7 * 5);
}

static void F1_predictions_and_echo_are_billed_as_output(void **state)
{
    (void)state;
    const char *with = "{\"model\":\"m\",\"messages\":[{}],\"prediction\":{\"content\":\"x\"}}";
    const char *without = "{\"model\":\"m\",\"messages\":[{}],\"prediktion\":{\"content\":\"x\"}}";
    assert_int_equal(bound(&edge_api_chat, with, 7) - bound(&edge_api_chat, without, 7),
                     5 * (int64_t)strlen(with));
}

static void F1_output_bound_of_the_forwarded_request(void **state)
{
    (void)state;
    struct edge_config config = {.default_max_output = 4096};
    struct edge_route route = {.model = "m"};
    struct edge_call call = {.bounds_output = true};
    assert_int_equal(edge_call_max_output(&call, &route, &config, 0), 4096);
    assert_int_equal(edge_call_max_output(&call, &route, &config, 1024), 1024);
    route.max_output = 512;
    assert_int_equal(edge_call_max_output(&call, &route, &config, 1024), 512);
    call.max_output = 9000;
    assert_int_equal(edge_call_max_output(&call, &route, &config, 1024), 9000);
    call.bounds_output = false;
    assert_int_equal(edge_call_max_output(&call, &route, &config, 1024), 0);
}

static void F1_the_larger_of_two_bounds_counts(void **state)
{
    (void)state;
    struct edge_call call;
    const char *body = "{\"model\":\"m\",\"messages\":[{}],\"max_tokens\":10,"
                       "\"max_completion_tokens\":3}";
    assert_true(edge_call_read(&call, &edge_api_chat, body, strlen(body), &error));
    assert_int_equal(call.max_output, 10);
    edge_call_close(&call);
}

static void F1_a_bound_that_does_not_fit_is_refused(void **state)
{
    (void)state;
    struct edge_call call;
    int64_t nanos;
    const struct proto_point dear = {.unit = PROTO_UNIT_output, .price = INT64_MAX};
    const char *body = "{\"model\":\"m\",\"messages\":[{}],\"n\":128}";
    assert_true(edge_call_read(&call, &edge_api_chat, body, strlen(body), &error));
    assert_true(edge_call_bound(&call, 1, EDGE_OUTPUT_MAX, &dear, 1, &nanos) < 0);
    assert_true(edge_call_bound(&call, 1, INT64_MAX, &dear, 1, &nanos) < 0);
    edge_call_close(&call);
}

static void F54_calls_without_a_bound_are_known(void **state)
{
    (void)state;
    const struct {
        const char *rest;
        bool unbounded;
    } cases[] = {
        {"\"messages\":[{\"content\":[{\"type\":\"text\",\"text\":\"x\"}]}]", false},
        {"\"messages\":[{\"content\":[{\"type\":\"image_url\",\"image_url\":{}}]}]", true},
        {"\"messages\":[{\"content\":[{\"type\":\"input_audio\"}]}]", true},
        {"\"messages\":[{\"content\":[{\"type\":\"file\"}]}]", true},
        {"\"messages\":[{\"content\":[{\"type\":\"new_thing\"}]}]", true},
        {"\"messages\":[{\"role\":\"assistant\",\"audio\":{\"id\":\"a\"}}]", true},
        {"\"messages\":[{}],\"tools\":[{\"type\":\"function\"}]", false},
        {"\"messages\":[{}],\"tools\":[{\"type\":\"function\"},{\"type\":\"web_search\"}]", true},
        {"\"messages\":[{}],\"web_search_options\":{}", true},
        {"\"messages\":[{}],\"web_search_options\":null", false},
        {"\"messages\":[{}],\"previous_response_id\":\"r\"", true},
        {"\"messages\":[{}],\"response_format\":{\"type\":\"json_object\"}", false},
        {"\"messages\":[{\"content\":{\"type\":\"image_url\",\"image_url\":{}}}]", true},
        {"\"messages\":[{}],\"cached_content\":\"c\"", true},
        {"\"messages\":[{}],\"modalities\":[\"text\",\"audio\"]", false},
        {"\"messages\":[{}],\"modalities\":[\"text\",\"image\"]", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char body[512];
        struct edge_call call;
        snprintf(body, sizeof body, "{\"model\":\"m\",%s}", cases[i].rest);
        assert_true(edge_call_read(&call, &edge_api_chat, body, strlen(body), &error));
        assert_int_equal(call.unbounded != NULL, cases[i].unbounded);
        edge_call_close(&call);
    }
}

static void F54_another_model_has_no_bound_in_any_api(void **state)
{
    (void)state;
    const struct edge_api *const apis[] = {&edge_api_chat, &edge_api_completions,
                                           &edge_api_embeddings};
    const char *body = "{\"model\":\"m\",\"messages\":[{}],\"prompt\":\"p\",\"input\":\"i\","
                       "\"models\":[\"dearer\"]}";
    for (size_t i = 0; i < 3; i++) {
        struct edge_call call;
        assert_true(edge_call_read(&call, apis[i], body, strlen(body), &error));
        assert_non_null(call.unbounded);
        edge_call_close(&call);
    }
}

static void F1_tools_bring_text_of_the_providers(void **state)
{
    (void)state;
    const char *none = "{\"model\":\"m\",\"messages\":[{}],\"tools\":null}";
    const char *some = "{\"model\":\"m\",\"messages\":[{}],\"tools\":[]  }";
    assert_int_equal(bound(&edge_api_chat, some, 0) - bound(&edge_api_chat, none, 0),
                     2 * EDGE_TOOLS_OVERHEAD_TOKENS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(F1_input_is_a_token_a_byte_at_the_dearest_rate),
        cmocka_unit_test(F1_every_answer_asked_for_counts),
        cmocka_unit_test(F1_predictions_and_echo_are_billed_as_output),
        cmocka_unit_test(F1_output_bound_of_the_forwarded_request),
        cmocka_unit_test(F1_the_larger_of_two_bounds_counts),
        cmocka_unit_test(F1_a_bound_that_does_not_fit_is_refused),
        cmocka_unit_test(F54_calls_without_a_bound_are_known),
        cmocka_unit_test(F54_another_model_has_no_bound_in_any_api),
        cmocka_unit_test(F1_tools_bring_text_of_the_providers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
