/* SPDX-License-Identifier: Apache-2.0
 * The pure rules of a request's head.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "edge/http/connection.h"

#include <string.h>

static bool host(const char *text)
{
    return http_rules_host_is_valid(text, strlen(text), false);
}

static void F27_host_is_valid(void **state)
{
    static const char *const GOOD[] = {
        "a",     "A.b-c_d.example", "localhost:1",      "a.:80",      "a:",  "1.2.3.4:65535",
        "[::1]", "[::1]:80",        "[::ffff:1.2.3.4]", "[fe80::1]:", "x=y", "caf%C3%A9.x",
    };
    (void)state;
    for (size_t i = 0; i < sizeof GOOD / sizeof GOOD[0]; i++) {
        if (!host(GOOD[i]))
            fail_msg("refused: %s", GOOD[i]);
    }
}

static void F27_host_is_refused(void **state)
{
    static const char *const BAD[] = {
        "",      ".",       "..a",       "a..b",  ":80",  "a:65536", "a:123456", "a:8x",
        "a:1:2", "a b",     "a/b",       "a\\b",  "a@b",  "[::1",    "[]",       "[::1]x",
        "[1.2]", "[::1].",  "x[::1]",    "a?b",   "a#b",  "a%2",     "a%zz",     "\xc3\xa9.x",
        "a\tb",  "[::1%1]", "[::1]:1:2", "a,b c", "\x7f", "<a>",     "a\"b",
    };
    (void)state;
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        if (host(BAD[i]))
            fail_msg("accepted: %s", BAD[i]);
    }
    char longest[300];
    memset(longest, 'a', sizeof longest);
    assert_true(http_rules_host_is_valid(longest, 255, false));
    assert_false(http_rules_host_is_valid(longest, 256, false));
    assert_false(http_rules_host_is_valid("a", 1, true));
    assert_false(http_rules_host_is_valid("a:", 2, true));
    assert_true(http_rules_host_is_valid("a:1", 3, true));
}

static void F28_tokens_of_a_list(void **state)
{
    const char *list = " gzip;q=0.5 ,, trailers\t, x";
    const char *token;
    size_t len;
    (void)state;
    token = http_request_next_token(&list, &len);
    assert_true(len == 4 && strncmp(token, "gzip", 4) == 0);
    token = http_request_next_token(&list, &len);
    assert_true(len == 8 && strncmp(token, "trailers", 8) == 0);
    token = http_request_next_token(&list, &len);
    assert_true(len == 1 && *token == 'x');
    assert_null(http_request_next_token(&list, &len));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(F27_host_is_valid),
        cmocka_unit_test(F27_host_is_refused),
        cmocka_unit_test(F28_tokens_of_a_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
