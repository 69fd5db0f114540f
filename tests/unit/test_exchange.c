/* SPDX-License-Identifier: Apache-2.0
 * Whole exchanges: a real HTTP client, an edge's worker, the real state machine as the ledger, and
 * holdfast-mock as the provider. What each ends with is read from the ledger.
 */
#include "edge_rig.h"

#include "edge/metrics.h"

#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define DOLLAR INT64_C(1000000000)
#define HELLO "\"messages\":[{\"role\":\"user\",\"content\":\"hello there\"}]" /* 3 tokens */

static struct rig rig;

static int open_rig(void **state)
{
    (void)state;
    rig_open(&rig, "settle_wait_ms = 300\ndrain_timeout_ms = 2000\n");
    return 0;
}

static int close_rig(void **state)
{
    (void)state;
    rig_close(&rig);
    return 0;
}

static void assert_spent(int64_t nanos)
{
    struct proto_org_row org = test_ledger_org();
    assert_int_equal(org.held, 0);
    assert_int_equal(org.usage, nanos);
    assert_int_equal(org.available + org.usage, 10 * DOLLAR);
}

static void F1_F10_answer_is_settled_at_its_cost(void **state)
{
    (void)state;
    struct reply r = rig_chat(&rig, "{\"model\":\"tiny\"," HELLO ",\"max_tokens\":7}");
    assert_int_equal(r.status, 200);
    assert_true(reply_has(&r, "\"completion_tokens\":7"));
    assert_string_equal(reply_field(&r, "x-holdfast-request-cost"), "0.000017"); /* 3 + 14 */
    assert_int_equal(strlen(strrchr(reply_field(&r, "x-holdfast-receipt"), ':') + 1), 64);
    assert_int_equal(strlen(reply_field(&r, "x-holdfast-hold")), 36);
    assert_spent(17000);
    reply_free(&r);
}

static void F8_trusted_cost_is_the_providers(void **state)
{
    (void)state;
    struct reply r =
        rig_chat(&rig, "{\"model\":\"trusted\"," HELLO ",\"metadata\":{\"mock_cost\":\"0.0012\"}}");
    assert_int_equal(r.status, 200);
    assert_string_equal(reply_field(&r, "x-holdfast-request-cost"), "0.0012");
    assert_spent(1200000);
    assert_string_equal(reply_field(&r, "x-nemo-response-cost"), "");
    reply_free(&r);
    r = rig_chat(&rig, "{\"model\":\"tiny\"," HELLO
                       ",\"max_tokens\":1,\"metadata\":{\"mock_cost\":\"7\"}}");
    assert_string_equal(reply_field(&r, "x-holdfast-request-cost"), "0.000005");
    reply_free(&r);
}

static void F1_provider_error_releases_and_is_passed_on(void **state)
{
    (void)state;
    struct reply r =
        rig_chat(&rig, "{\"model\":\"tiny\"," HELLO ",\"metadata\":{\"mock_status\":\"500\"}}");
    assert_int_equal(r.status, 500);
    assert_string_equal(reply_field(&r, "x-holdfast-request-cost"), "0");
    assert_true(reply_has(&r, "\"error\""));
    assert_spent(0);
    reply_free(&r);
    r = rig_chat(&rig, "{\"model\":\"dead\"," HELLO "}");
    assert_int_equal(r.status, 502);
    assert_string_equal(reply_field(&r, "x-holdfast-request-cost"), "0");
    assert_spent(0);
    reply_free(&r);
}

static void F1_lost_answer_is_settled_by_estimate(void **state)
{
    (void)state;
    struct reply r =
        rig_chat(&rig, "{\"model\":\"tiny\"," HELLO ",\"metadata\":{\"mock_cut_after\":\"0\"}}");
    assert_int_equal(r.status, 502);
    rig_wait_settled();
    assert_int_equal(test_ledger_last_settle().source, PROTO_COST_ESTIMATE);
    assert_true(test_ledger_org().usage > 0);
    reply_free(&r);
    r = rig_chat(&rig, "{\"model\":\"tiny\"," HELLO ",\"metadata\":{\"mock_hang\":\"1\"}}");
    assert_int_equal(r.status, 504);
    rig_wait_settled();
    reply_free(&r);
}

static void F3_F52_without_credit_the_provider_hears_nothing(void **state)
{
    (void)state;
    struct reply r = rig_chat(&rig, "{\"model\":\"tiny\"," HELLO ",\"max_tokens\":10000000}");
    assert_int_equal(r.status, 402);
    assert_true(reply_has(&r, "\"type\":\"insufficient_credit\""));
    assert_true(reply_has(&r, "\"available\":\"10.00\",\"available_nanos\":10000000000"));
    assert_true(reply_has(&r, "\"ledger_index\":"));
    assert_string_equal(reply_field(&r, "x-should-retry"), "false");
    assert_int_equal(rig_mock_stat(&rig, "received"), 0);
    assert_spent(0);
    reply_free(&r);
}

static void F12_F17_budget_refusal_is_readable(void **state)
{
    (void)state;
    test_ledger_budget(PROTO_SCOPE_key, rig.key_number, PROTO_WINDOW_daily, 5000, "ci");
    struct reply r = rig_chat(&rig, "{\"model\":\"tiny\"," HELLO ",\"max_tokens\":1}");
    assert_int_equal(r.status, 402);
    assert_true(reply_has(&r, "\"type\":\"request_exceeds_budget\""));
    assert_true(reply_has(&r, "key 'ci' daily budget of $0.000005"));
    assert_true(reply_has(&r, "\"scope\":\"key\""));
    assert_true(reply_has(&r, "\"period\":\"daily\""));
    assert_true(reply_has(&r, "\"limit_nanos\":5000"));
    assert_true(reply_has(&r, "\"reset_at\":\"2"));
    reply_free(&r);
}

static void F21_pause_is_429_at_once(void **state)
{
    (void)state;
    test_ledger_pause(true);
    struct reply r = rig_chat(&rig, "{\"model\":\"tiny\"," HELLO "}");
    assert_int_equal(r.status, 429);
    assert_true(reply_has(&r, "\"type\":\"paused\""));
    assert_string_equal(reply_field(&r, "x-should-retry"), "false");
    reply_free(&r);
    test_ledger_pause(false);
    r = rig_chat(&rig, "{\"model\":\"tiny\"," HELLO "}");
    assert_int_equal(r.status, 200);
    reply_free(&r);
}

static void F28_usage_chunk_is_asked_for_and_hidden(void **state)
{
    (void)state;
    const char *const fields[] = {"TE: trailers", NULL};
    struct reply r =
        rig_ask(&rig, "/v1/chat/completions", rig.key,
                "{\"model\":\"tiny\"," HELLO ",\"max_tokens\":5,\"stream\":true}", fields, 0);
    assert_int_equal(r.status, 200);
    assert_false(r.broken);
    assert_false(reply_has(&r, "\"choices\":[]"));
    assert_true(reply_has(&r, "data: [DONE]\n\n: holdfast cost=0.000013 receipt="));
    assert_string_equal(reply_field(&r, "x-holdfast-request-cost"), "0.000013");
    assert_spent(13000);
    reply_free(&r);
    r = rig_chat(&rig, "{\"model\":\"tiny\"," HELLO ",\"max_tokens\":5,\"stream\":true,"
                       "\"stream_options\":{\"include_usage\":true}}");
    assert_true(reply_has(&r, "\"choices\":[]"));
    assert_spent(26000);
    reply_free(&r);
}

static void F28_client_that_leaves_stops_the_call(void **state)
{
    (void)state;
    struct reply r =
        rig_ask(&rig, "/v1/chat/completions", rig.key,
                "{\"model\":\"tiny\"," HELLO ",\"max_tokens\":100000,\"stream\":true,"
                "\"metadata\":{\"mock_tokens\":\"100000\",\"mock_interval_ms\":\"5\"}}",
                NULL, 2000);
    assert_true(r.broken);
    reply_free(&r);
    rig_wait_settled();
    struct proto_settle s = test_ledger_last_settle();
    assert_int_equal(s.source, PROTO_COST_ESTIMATE);
    struct proto_org_row org = test_ledger_org();
    assert_true(org.usage > 0 && org.usage < DOLLAR / 100);
    assert_int_equal(rig_mock_stat(&rig, "in_flight"), 0);
}

static void F28_broken_stream_ends_broken(void **state)
{
    (void)state;
    struct reply r = rig_chat(&rig, "{\"model\":\"tiny\"," HELLO ",\"stream\":true,"
                                    "\"metadata\":{\"mock_cut_after\":\"4\"}}");
    assert_true(r.broken);
    assert_true(reply_has(&r, ": holdfast cost="));
    assert_int_equal(test_ledger_last_settle().source, PROTO_COST_ESTIMATE);
    reply_free(&r);
    r = rig_chat(&rig, "{\"model\":\"tiny\"," HELLO ",\"stream\":true,"
                       "\"metadata\":{\"mock_hang_after\":\"2\"}}");
    assert_true(r.broken);
    reply_free(&r);
    rig_wait_settled();
}

static void F28_slow_client_gets_everything(void **state)
{
    (void)state;
    rig.bytes_a_second = 4000000; /* the stream is longer than all buffers on its way */
    struct reply r =
        rig_chat(&rig, "{\"model\":\"tiny\"," HELLO ",\"max_tokens\":30000,\"stream\":true,"
                       "\"metadata\":{\"mock_tokens\":\"30000\"}}");
    assert_int_equal(r.status, 200);
    assert_true(r.body_len > 3000000);
    assert_true(reply_has(&r, "data: [DONE]\n\n: holdfast cost=0.060003 "));
    assert_spent(60003000);
    reply_free(&r);
}

static void F6_lost_reserve_leaves_no_hold(void **state)
{
    (void)state;
    test_ledger_set_mode(PROTO_CMD_reserve, TEST_LEDGER_LOST);
    struct reply r = rig_chat(&rig, "{\"model\":\"tiny\"," HELLO "}");
    assert_int_equal(r.status, 503);
    assert_string_equal(reply_field(&r, "retry-after"), "1");
    reply_free(&r);
    rig_wait_settled();
    assert_spent(0);
    assert_int_equal(rig_mock_stat(&rig, "received"), 0);
}

static void F6_F38_a_lost_reserve_of_a_key_that_is_revoked_meanwhile_leaves_no_hold(void **state)
{
    (void)state;
    struct proto_command revoke = {.head.kind = PROTO_CMD_key_revoke};
    revoke.body.key_revoke.key = rig.key_number;
    test_ledger_set_mode(PROTO_CMD_reserve, TEST_LEDGER_LOST);
    test_ledger_set_mode(0, TEST_LEDGER_SILENT); /* queries: whose hold it would be is not known */
    struct reply r = rig_chat(&rig, "{\"model\":\"tiny\"," HELLO "}");
    assert_int_equal(r.status, 503);
    reply_free(&r);
    assert_int_equal(test_ledger_org().open_holds, 1);
    assert_int_equal(test_ledger_do(&revoke).code, PROTO_OK);
    test_ledger_set_mode(0, TEST_LEDGER_WORKS);
    rig_wait_settled();
    assert_spent(0);
}

static void F51_without_ledger_nothing_is_forwarded(void **state)
{
    (void)state;
    test_ledger_set_mode(PROTO_CMD_reserve, TEST_LEDGER_DOWN);
    struct reply r = rig_chat(&rig, "{\"model\":\"tiny\"," HELLO "}");
    assert_int_equal(r.status, 503);
    assert_true(reply_has(&r, "\"code\":\"ledger_unavailable\""));
    reply_free(&r);
    assert_int_equal(rig_mock_stat(&rig, "received"), 0);
}

static void F1_late_settlement_is_pending_and_comes(void **state)
{
    (void)state;
    test_ledger_set_mode(PROTO_CMD_settle, TEST_LEDGER_SILENT);
    struct reply r = rig_chat(&rig, "{\"model\":\"tiny\"," HELLO ",\"max_tokens\":7}");
    assert_int_equal(r.status, 200);
    assert_string_equal(reply_field(&r, "x-holdfast-settlement"), "pending");
    assert_string_equal(reply_field(&r, "x-holdfast-request-cost"), "");
    reply_free(&r);
    r = rig_chat(&rig, "{\"model\":\"tiny\"," HELLO ",\"max_tokens\":7,\"stream\":true}");
    assert_true(reply_has(&r, ": holdfast settlement=pending hold="));
    reply_free(&r);
    assert_true(test_ledger_org().held > 0);
    test_ledger_set_mode(PROTO_CMD_settle, TEST_LEDGER_WORKS);
    rig_wait_settled();
    assert_spent(34000);
}

static void F6_lost_settle_is_tried_again_and_charged_once(void **state)
{
    (void)state;
    test_ledger_set_mode(PROTO_CMD_settle, TEST_LEDGER_LOST);
    struct reply r = rig_chat(&rig, "{\"model\":\"tiny\"," HELLO ",\"max_tokens\":7}");
    assert_string_equal(reply_field(&r, "x-holdfast-settlement"), "pending");
    reply_free(&r);
    test_ledger_set_mode(PROTO_CMD_settle, TEST_LEDGER_WORKS);
    for (int i = 0; i < RIG_WAIT_MS && test_ledger_count(PROTO_CMD_settle) < 2; i++) {
        r = rig_ask(&rig, "/healthz", NULL, NULL, NULL, 0);
        reply_free(&r);
    }
    assert_spent(17000);
}

static void F30_new_prices_are_fetched_when_refused(void **state)
{
    (void)state;
    static const struct test_price dearer[] = {{"tiny", 3000000000, 5000000000, 0}};
    test_ledger_prices(dearer, 1);
    test_ledger_prices(dearer, 1); /* two versions on: the edge's amounts are refused */
    struct reply r = rig_chat(&rig, "{\"model\":\"tiny\"," HELLO ",\"max_tokens\":7}");
    assert_int_equal(r.status, 200);
    assert_string_equal(reply_field(&r, "x-holdfast-request-cost"), "0.000044");
    reply_free(&r);
    test_ledger_prices(dearer, 1);
    test_ledger_prices(dearer, 1);
    r = rig_chat(&rig, "{\"model\":\"renamed\"," HELLO "}"); /* whose body is edited anew */
    assert_int_equal(r.status, 200);
    reply_free(&r);
}

static void F54_unpriced_and_unbounded_need_the_orgs_leave(void **state)
{
    (void)state;
    const char *image = "{\"model\":\"tiny\",\"messages\":[{\"role\":\"user\",\"content\":[{"
                        "\"type\":\"image_url\",\"image_url\":{\"url\":\"http://x/y.png\"}}]}]}";
    struct reply r = rig_chat(&rig, "{\"model\":\"unpriced\"," HELLO "}");
    assert_int_equal(r.status, 400);
    assert_true(reply_has(&r, "\"type\":\"model_unpriced\",\"param\":\"model\""));
    assert_true(reply_has(&r, "The model 'unpriced' has no price and cannot be budgeted."));
    reply_free(&r);
    r = rig_chat(&rig, image);
    assert_int_equal(r.status, 400);
    assert_true(reply_has(&r, "\"code\":\"unbounded_request\""));
    reply_free(&r);
    assert_int_equal(rig_mock_stat(&rig, "received"), 0);
    test_ledger_allow(true, true);
    r = rig_chat(&rig, "{\"model\":\"unpriced\"," HELLO "}");
    assert_int_equal(r.status, 200);
    assert_string_equal(reply_field(&r, "x-holdfast-request-cost"), "0.50");
    reply_free(&r);
    r = rig_chat(&rig, image);
    assert_int_equal(r.status, 200);
    reply_free(&r);
}

static void F22_attribution_goes_to_the_ledger(void **state)
{
    (void)state;
    char customer[PROTO_NAME_MAX + 1], user[PROTO_NAME_MAX + 1];
    struct proto_reserve reserve;
    const char *const fields[] = {"X-Holdfast-User: u7", "x-holdfast-agent: bot", NULL};
    struct reply r = rig_ask(&rig, "/v1/chat/completions", rig.key,
                             "{\"model\":\"tiny\"," HELLO ",\"user\":\"end-1\","
                             "\"metadata\":{\"customer_id\":\"cust-9\"}}",
                             fields, 0);
    assert_int_equal(r.status, 200);
    test_ledger_last_reserve(customer, user, &reserve);
    assert_string_equal(customer, "cust-9");
    assert_string_equal(user, "u7");
    assert_int_equal(reserve.agent.n, 3);
    reply_free(&r);
}

static void F56_bad_keys_are_401(void **state)
{
    (void)state;
    const char *body = "{\"model\":\"tiny\"," HELLO "}";
    char other[PROTO_KEY_TEXT_LEN + 1];
    const uint8_t random[40] = {1};
    proto_key_make(random, random + 8, other);
    const char *const keys[] = {NULL, "", "sk-other", other};
    for (size_t i = 0; i < 4; i++) {
        struct reply r = rig_ask(&rig, "/v1/chat/completions", keys[i], body, NULL, 0);
        assert_int_equal(r.status, 401);
        assert_true(reply_has(&r, "\"code\":\"invalid_api_key\""));
        reply_free(&r);
    }
    assert_int_equal(test_ledger_count(PROTO_CMD_reserve), 1); /* only the well-formed one */
    char line[128];
    snprintf(line, sizeof line, "x-api-key: %s", rig.key);
    const char *const fields[] = {line, NULL};
    struct reply r = rig_ask(&rig, "/v1/chat/completions", NULL, body, fields, 0);
    assert_int_equal(r.status, 200);
    reply_free(&r);
}

static void F27_F55_models_are_listed_for_the_key(void **state)
{
    (void)state;
    const char *const only[] = {"tiny"};
    char key[PROTO_KEY_TEXT_LEN + 1];
    test_ledger_key("narrow", only, 1, key);
    struct reply r = rig_ask(&rig, "/v1/models", rig.key, NULL, NULL, 0);
    assert_int_equal(r.status, 200);
    assert_true(reply_has(&r, "{\"object\":\"list\",\"data\":[{\"id\":\"dead\""));
    assert_true(reply_has(&r, "\"unpriced\""));
    reply_free(&r);
    r = rig_ask(&rig, "/v1/models", key, NULL, NULL, 0);
    assert_false(reply_has(&r, "\"unpriced\""));
    assert_true(reply_has(&r, "\"renamed\"")); /* its price is tiny's */
    reply_free(&r);
    r = rig_ask(&rig, "/v1/models/t%69ny", key, NULL, NULL, 0);
    assert_int_equal(r.status, 200);
    reply_free(&r);
    r = rig_ask(&rig, "/v1/models/unpriced", key, NULL, NULL, 0);
    assert_int_equal(r.status, 404);
    reply_free(&r);
    r = rig_ask(&rig, "/v1/models", NULL, NULL, NULL, 0);
    assert_int_equal(r.status, 401);
    reply_free(&r);
}

/* What is listed for a key can be called with it: both go by the catalogue's name. */
static void F55_a_key_for_a_routes_own_name_neither_lists_nor_calls_it(void **state)
{
    (void)state;
    const char *const only[] = {"renamed"};
    char key[PROTO_KEY_TEXT_LEN + 1];
    test_ledger_key("own name", only, 1, key);
    struct reply r = rig_ask(&rig, "/v1/models/renamed", key, NULL, NULL, 0);
    assert_int_equal(r.status, 404);
    reply_free(&r);
    r = rig_ask(&rig, "/v1/chat/completions", key, "{\"model\":\"renamed\"," HELLO "}", NULL, 0);
    assert_int_equal(r.status, 403);
    assert_true(
        reply_has(&r, "The key may not use the model 'renamed' (in the catalogue 'tiny')."));
    reply_free(&r);
}

static void F27_paths_and_methods(void **state)
{
    (void)state;
    struct reply r = rig_ask(&rig, "/v1/nothing", rig.key, NULL, NULL, 0);
    assert_int_equal(r.status, 404);
    assert_true(reply_has(&r, "\"code\":\"unknown_url\""));
    reply_free(&r);
    r = rig_ask(&rig, "/v1/chat/completions", rig.key, NULL, NULL, 0);
    assert_int_equal(r.status, 405);
    assert_string_equal(reply_field(&r, "allow"), "POST");
    reply_free(&r);
    r = rig_chat(&rig, "{\"model\":\"nowhere\"," HELLO "}");
    assert_int_equal(r.status, 404);
    assert_true(reply_has(&r, "\"code\":\"model_not_found\""));
    reply_free(&r);
    r = rig_chat(&rig, "{\"model\":\"tiny\",\"model\":\"tiny\"," HELLO "}");
    assert_int_equal(r.status, 400);
    assert_true(reply_has(&r, "\"code\":\"duplicate_key\""));
    reply_free(&r);
}

static void F27_embeddings_and_completions(void **state)
{
    (void)state;
    struct reply r = rig_ask(&rig, "/v1/embeddings", rig.key,
                             "{\"model\":\"tiny\",\"input\":\"hello there\"}", NULL, 0);
    assert_int_equal(r.status, 200);
    assert_string_equal(reply_field(&r, "x-holdfast-request-cost"), "0.000003");
    reply_free(&r);
    r = rig_ask(&rig, "/v1/completions", rig.key,
                "{\"model\":\"tiny\",\"prompt\":\"hello there\",\"max_tokens\":2}", NULL, 0);
    assert_int_equal(r.status, 200);
    assert_string_equal(reply_field(&r, "x-holdfast-request-cost"), "0.000007");
    assert_spent(10000);
    reply_free(&r);
}

static void F31_drain_settles_what_is_under_way(void **state)
{
    (void)state;
    struct reply r = rig_ask(&rig, "/v1/chat/completions", rig.key,
                             "{\"model\":\"tiny\"," HELLO ",\"stream\":true,"
                             "\"metadata\":{\"mock_tokens\":\"1000\",\"mock_interval_ms\":\"5\"}}",
                             NULL, 1000);
    reply_free(&r);
    assert_int_equal(rig_drain(&rig), 0);
    assert_int_equal(test_ledger_org().held, 0);
    assert_int_equal(test_ledger_org().open_holds, 0);
}

/* ---- what waits ---- */

enum { SHORT_VALUES = 500000 };
static char wide_body[2 * SHORT_VALUES + 256];

/* With a key that looks like one, as anybody can make it. */
static void *ask_with_wide_body(void *arg)
{
    char key[PROTO_KEY_TEXT_LEN + 1];
    memcpy(key, rig.key, sizeof key);
    key[PROTO_KEY_TEXT_LEN - 2] ^= 1;
    struct reply r = rig_ask(&rig, "/v1/chat/completions", key, wide_body, NULL, 0);
    *(int *)arg = r.status;
    reply_free(&r);
    return NULL;
}

/* As the worker publishes it. */
static void wait_for_exchanges(int64_t n)
{
    for (time_t end = time(NULL) + 20; atomic_load(&rig.metrics->gauges.exchanges) != n;) {
        assert_true(time(NULL) < end);
        sched_yield();
    }
}

static size_t allocated(void)
{
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}

/* Of what waits for the ledger only the bytes are kept, which are bounded and counted: parsed, a
 * body of short values has eight times its size. */
static void F27_a_request_that_waits_keeps_its_bytes_only(void **state)
{
    (void)state;
    pthread_t client;
    int status = 0;
    int n = snprintf(wide_body, sizeof wide_body, "{\"model\":\"tiny\"," HELLO ",\"x\":[1");
    for (size_t i = 1; i < SHORT_VALUES; i++, n += 2)
        memcpy(wide_body + n, ",1", 2);
    snprintf(wide_body + n, sizeof wide_body - (size_t)n, "]}");
    test_ledger_set_mode(PROTO_CMD_reserve, TEST_LEDGER_SILENT);
    size_t before = allocated();
    assert_int_equal(pthread_create(&client, NULL, ask_with_wide_body, &status), 0);
    wait_for_exchanges(1);
    size_t more = allocated() - before;
    test_ledger_set_mode(PROTO_CMD_reserve, TEST_LEDGER_WORKS);
    pthread_join(client, NULL);
    assert_int_equal(status, 401);
    assert_true(more < (size_t)4 * sizeof wide_body);
}

#define RIG_TEST(f) cmocka_unit_test_setup_teardown(f, open_rig, close_rig)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(F1_F10_answer_is_settled_at_its_cost),
        RIG_TEST(F8_trusted_cost_is_the_providers),
        RIG_TEST(F1_provider_error_releases_and_is_passed_on),
        RIG_TEST(F1_lost_answer_is_settled_by_estimate),
        RIG_TEST(F3_F52_without_credit_the_provider_hears_nothing),
        RIG_TEST(F12_F17_budget_refusal_is_readable),
        RIG_TEST(F21_pause_is_429_at_once),
        RIG_TEST(F28_usage_chunk_is_asked_for_and_hidden),
        RIG_TEST(F28_client_that_leaves_stops_the_call),
        RIG_TEST(F28_broken_stream_ends_broken),
        RIG_TEST(F28_slow_client_gets_everything),
        RIG_TEST(F6_lost_reserve_leaves_no_hold),
        RIG_TEST(F6_F38_a_lost_reserve_of_a_key_that_is_revoked_meanwhile_leaves_no_hold),
        RIG_TEST(F51_without_ledger_nothing_is_forwarded),
        RIG_TEST(F1_late_settlement_is_pending_and_comes),
        RIG_TEST(F6_lost_settle_is_tried_again_and_charged_once),
        RIG_TEST(F30_new_prices_are_fetched_when_refused),
        RIG_TEST(F54_unpriced_and_unbounded_need_the_orgs_leave),
        RIG_TEST(F22_attribution_goes_to_the_ledger),
        RIG_TEST(F56_bad_keys_are_401),
        RIG_TEST(F27_F55_models_are_listed_for_the_key),
        RIG_TEST(F55_a_key_for_a_routes_own_name_neither_lists_nor_calls_it),
        RIG_TEST(F27_paths_and_methods),
        RIG_TEST(F27_embeddings_and_completions),
        RIG_TEST(F31_drain_settles_what_is_under_way),
        RIG_TEST(F27_a_request_that_waits_keeps_its_bytes_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
