/* SPDX-License-Identifier: Apache-2.0
 * Refusals as clients see them: status, OpenAI's shape, a sentence that people understand.
 */
#include "edge/exchange/auth.h"
#include "edge/exchange/error.h"
#include "edge/exchange/json.h"
#include "proto/budget.h"
#include "proto/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char body[EDGE_ERROR_BODY];

static void write_body(const struct edge_error *e)
{
    const char *why;
    size_t at;
    size_t n = edge_error_body(e, body);
    assert_int_equal(n, strlen(body));
    yyjson_doc *doc = edge_json_read(body, n, &why, &at);
    assert_non_null(doc);
    yyjson_val *error = yyjson_obj_get(yyjson_doc_get_root(doc), "error");
    assert_true(yyjson_is_str(yyjson_obj_get(error, "message")));
    assert_true(yyjson_is_str(yyjson_obj_get(error, "type")));
    assert_non_null(yyjson_obj_get(error, "param"));
    yyjson_doc_free(doc);
}

static struct proto_result refused(unsigned code, unsigned scope, unsigned window)
{
    struct proto_result r = {.code = (uint16_t)code, .shape = PROTO_SHAPE_refused};
    r.body.refused = (struct proto_refused){.budget = 3,
                                            .scope = (uint8_t)scope,
                                            .subject = 7,
                                            .window = (uint8_t)window,
                                            .spent = INT64_C(14990000001),
                                            .held = 5000,
                                            .limit = INT64_C(15000000000),
                                            .needed = 20000,
                                            .reset_us = INT64_C(1764547200000000),
                                            .status = 402};
    return r;
}

static void F17_budget_refusals_read_well(void **state)
{
    (void)state;
    struct edge_error e;
    struct proto_result r = refused(PROTO_BUDGET_EXCEEDED, PROTO_SCOPE_team, PROTO_WINDOW_monthly);
    r.body.refused.label = proto_str_of("research");
    edge_error_of_result(&e, &r, 42);
    assert_int_equal(e.status, 402);
    assert_true(e.no_retry);
    assert_string_equal(e.message, "Team 'research' monthly budget of $15.00 exceeded.");
    write_body(&e);
    assert_non_null(strstr(body, "\"type\":\"budget_exceeded\",\"param\":null,"
                                 "\"code\":\"budget_exceeded\",\"scope\":\"team\",\"budget\":3,"
                                 "\"label\":\"research\""));
    assert_non_null(strstr(body, "\"spent\":\"14.990000001\",\"spent_nanos\":14990000001"));
    assert_non_null(strstr(body, "\"reset_at\":\"2025-12-01T00:00:00"));
    assert_non_null(strstr(body, "\"ledger_index\":42"));

    r = refused(PROTO_BUDGET_EXCEEDED, PROTO_SCOPE_agent, PROTO_WINDOW_daily);
    r.body.refused.instance = proto_str_of("support-bot");
    r.body.refused.label = proto_str_of("all agents");
    r.body.refused.status = 429;
    edge_error_of_result(&e, &r, 42);
    assert_int_equal(e.status, 429);
    assert_string_equal(e.message, "Agent 'support-bot' daily budget of $15.00 exceeded.");

    r = refused(PROTO_BUDGET_EXCEEDED, PROTO_SCOPE_key, PROTO_WINDOW_absolute);
    edge_error_of_result(&e, &r, 42);
    assert_string_equal(e.message, "Key 7 budget of $15.00 exceeded.");
}

static void F52_refusals_say_what_to_do(void **state)
{
    (void)state;
    struct edge_error e;
    struct proto_result r = refused(PROTO_BUDGET_IN_FLIGHT, PROTO_SCOPE_key, PROTO_WINDOW_daily);
    edge_error_of_result(&e, &r, 1);
    assert_int_equal(e.status, 402);
    assert_false(e.no_retry);
    assert_int_equal(e.retry_after_s, 1);
    r = refused(PROTO_REQUEST_EXCEEDS_BUDGET, PROTO_SCOPE_key, PROTO_WINDOW_daily);
    edge_error_of_result(&e, &r, 1);
    assert_true(e.no_retry);
    assert_string_equal(e.message, "The request can cost up to $0.00002, more than the key 7 "
                                   "daily budget of $15.00 allows at all.");
    struct proto_result credit = {.code = PROTO_INSUFFICIENT_CREDIT, .shape = PROTO_SHAPE_short_of};
    credit.body.short_of.needed = 1500000000;
    credit.body.short_of.available = 200000000;
    credit.body.short_of.promo = 50000000;
    edge_error_of_result(&e, &credit, 9);
    assert_int_equal(e.status, 402);
    assert_true(e.no_retry);
    write_body(&e);
    assert_non_null(strstr(body, "it can cost up to $1.50, available is $0.25."));
    assert_non_null(strstr(body, "\"needed_nanos\":1500000000"));
}

static void F17_every_code_has_a_body(void **state)
{
    (void)state;
    for (unsigned code = 1; code < PROTO_CODE_COUNT; code++) {
        struct edge_error e;
        edge_error_of_code(&e, code);
        assert_int_equal(e.status, proto_code_http(code));
        write_body(&e);
        assert_true(e.message[0] >= 'A' && e.message[0] <= 'Z');
    }
}

static void F17_the_longest_names_fit(void **state)
{
    (void)state;
    char name[PROTO_NAME_MAX];
    memset(name, '"', sizeof name); /* doubles when it is escaped */
    struct edge_error e;
    struct proto_result r = refused(PROTO_BUDGET_EXCEEDED, PROTO_SCOPE_user, PROTO_WINDOW_weekly);
    r.body.refused.label = r.body.refused.instance = (struct proto_str){name, sizeof name};
    r.body.refused.spent = r.body.refused.held = r.body.refused.limit = INT64_MAX;
    edge_error_of_result(&e, &r, UINT64_MAX);
    write_body(&e);
    edge_error_set(&e, 400, "a", "b", "%0*d", 2 * EDGE_ERROR_MESSAGE, 0);
    write_body(&e);
    memset(e.message, 1, sizeof e.message - 1); /* six bytes each */
    write_body(&e);
}

static void F56_key_texts(void **state)
{
    (void)state;
    struct edge_error e;
    struct proto_hash cred;
    char public_part[PROTO_PUBLIC_MAX + 1];
    const char *const bad[] = {NULL, "", "sk-hf-", "sk-hf-0000abcd1234", "op-hf-x", "sk-proj-1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(edge_auth_key(bad[i], &cred, public_part, &e));
        assert_int_equal(e.status, 401);
        assert_string_equal(e.code, "invalid_api_key");
        write_body(&e);
        assert_null(strstr(body, "0000abcd1234"));
    }
    assert_true(edge_auth_key("sk-hf-0000wnnc9m53-mInCLlEZV6g9ZCjeNt4YZsCYAgJ9hK0QmolEfte2d0I",
                              &cred, public_part, &e));
    assert_string_equal(public_part, "0000wnnc9m53");
}

static void F3_refusals_of_the_http_layer_have_the_shape(void **state)
{
    (void)state;
    char out[1024];
    const char *why;
    size_t at;
    size_t n = edge_error_plain(413, "the \"body\" is too large", out, sizeof out);
    yyjson_doc *doc = edge_json_read(out, n, &why, &at);
    assert_non_null(doc);
    assert_true(
        yyjson_equals_str(yyjson_obj_get(yyjson_obj_get(yyjson_doc_get_root(doc), "error"), "code"),
                          "body_too_large"));
    yyjson_doc_free(doc);
    assert_int_equal(edge_error_plain(400, "x", out, 16), 0);
}

/* Clients read JSON strictly: a name that was cut inside a character must not spoil the body. */
static void F17_a_message_is_whole_text_whatever_it_quotes(void **state)
{
    (void)state;
    struct edge_error e;
    char long_name[1001];
    static const char *const names[] = {"a\xc3\xa9", "a\xc3", "\xff/\x80", "\xe2\x82",
                                        "\xed\xa0\x80"};
    static const char *const shown[] = {"'a\xc3\xa9'", "'a?'", "'?/?'", "'\?\?'", "'\?\?\?'"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        edge_error_set(&e, 400, "t", "c", "The member '%s' stands twice.", names[i]);
        assert_non_null(strstr(e.message, shown[i]));
        write_body(&e);
    }
    for (size_t i = 0; i < 1000; i += 2)
        memcpy(long_name + i, "\xc3\xa9", 2);
    long_name[1000] = '\0';
    for (int n = 0; n < 4; n++) { /* the cut falls on either byte */
        edge_error_set(&e, 400, "t", "c", "%.*s%s", n, "abcd", long_name);
        assert_true(proto_utf8_clean(proto_str_of(e.message)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(F17_budget_refusals_read_well),
        cmocka_unit_test(F52_refusals_say_what_to_do),
        cmocka_unit_test(F17_every_code_has_a_body),
        cmocka_unit_test(F17_the_longest_names_fit),
        cmocka_unit_test(F56_key_texts),
        cmocka_unit_test(F3_refusals_of_the_http_layer_have_the_shape),
        cmocka_unit_test(F17_a_message_is_whole_text_whatever_it_quotes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
