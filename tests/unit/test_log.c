/* SPDX-License-Identifier: Apache-2.0
 * Log lines as others read them: valid JSON, bounded, and seldom where anybody can cause them.
 */
#include "proto/base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <yyjson.h>

enum { TEXT_BYTES = 1 << 20, TRIES = 20000, WAIT_MS = 5000 };

static FILE *taken;
static int real_stderr;

static int take_stderr(void **state)
{
    (void)state;
    taken = tmpfile();
    real_stderr = dup(STDERR_FILENO);
    return taken != NULL && dup2(fileno(taken), STDERR_FILENO) >= 0 ? 0 : -1;
}

static int give_stderr_back(void **state)
{
    (void)state;
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    fclose(taken);
    return 0;
}

/* Lines so far, and the sum of their `suppressed`. Every line must be JSON. */
static unsigned lines_of(const char *event, const char *cause, uint64_t *suppressed)
{
    static char text[TEXT_BYTES];
    unsigned found = 0;
    rewind(taken);
    size_t n = fread(text, 1, sizeof text - 1, taken);
    text[n] = '\0';
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        yyjson_doc *doc = yyjson_read(line, strlen(line), 0);
        assert_non_null(doc);
        yyjson_val *root = yyjson_doc_get_root(doc);
        if (yyjson_equals_str(yyjson_obj_get(root, "event"), event) &&
            yyjson_equals_str(yyjson_obj_get(root, "cause"), cause)) {
            found++;
            *suppressed += yyjson_get_uint(yyjson_obj_get(root, "suppressed"));
        }
        yyjson_doc_free(doc);
    }
    return found;
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void F48_what_strangers_cause_is_logged_once_a_second_with_a_count(void **state)
{
    uint64_t suppressed = 0, before = base_log_suppressed();
    (void)state;
    int64_t began_ms = now_ms();
    for (unsigned i = 0; i < TRIES; i++)
        base_log_seldom(BASE_LOG_WARN, "refused", "frame", BASE_I("n", i), NULL);
    unsigned lines = lines_of("refused", "frame", &suppressed);
    assert_true(lines >= 1 && lines <= (now_ms() - began_ms) / 1000 + 2);
    base_log_seldom(BASE_LOG_WARN, "refused", "another", NULL); /* has a turn of its own */
    assert_int_equal(lines_of("refused", "another", &suppressed), 1);
    uint64_t tried = TRIES;
    while (lines_of("refused", "frame", &(uint64_t){0}) == lines) { /* until its next turn */
        assert_true(now_ms() - began_ms < WAIT_MS);
        base_log_seldom(BASE_LOG_WARN, "refused", "frame", BASE_I("n", tried), NULL);
        tried++;
    }
    suppressed = 0;
    lines = lines_of("refused", "frame", &suppressed);
    assert_int_equal(suppressed + lines, tried);
    assert_int_equal(base_log_suppressed() - before, suppressed);
}

static void F48_a_line_is_json_whatever_is_in_it(void **state)
{
    char huge[8192];
    uint64_t suppressed = 0;
    (void)state;
    memset(huge, '"', sizeof huge - 1);
    huge[sizeof huge - 1] = '\0';
    base_log(BASE_LOG_INFO, "odd", BASE_S("cause", "\x01\x7f\"\\"), BASE_S("huge", huge),
             BASE_S("none", NULL), BASE_I("last", INT64_MIN), NULL);
    base_log_seldom(BASE_LOG_INFO, "odd", huge, BASE_S("huge", huge), NULL);
    base_log(BASE_LOG_DEBUG, "hidden", BASE_S("cause", "hidden"), NULL);
    assert_int_equal(lines_of("odd", "\x01\x7f\"\\", &suppressed), 1);
    assert_int_equal(lines_of("hidden", "hidden", &suppressed), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            F48_what_strangers_cause_is_logged_once_a_second_with_a_count, take_stderr,
            give_stderr_back),
        cmocka_unit_test_setup_teardown(F48_a_line_is_json_whatever_is_in_it, take_stderr,
                                        give_stderr_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
