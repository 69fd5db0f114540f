/* SPDX-License-Identifier: Apache-2.0
 * Configuration files: typed values, and errors that name file, line and cause.
 */
#include "proto/base/conf.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
// cmocka needs these before it
#include <cmocka.h>

static char path[] = "/tmp/hf-conf-XXXXXX";

static int load(const char *text, struct base_conf **c, char error[BASE_CONF_ERROR])
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    return base_conf_load(c, path, error);
}

static void F49_values_are_typed(void **state)
{
    struct base_conf *c;
    char error[BASE_CONF_ERROR], host[64];
    int64_t n = 5;
    bool b = false;
    uint16_t port;
    char *p;
    (void)state;
    assert_int_equal(load("# comment\n[edge]\nlisten = [::1]:8080\nn = 7\non = true\n"
                          "file = certs/a.pem\n[provider openai]\nbase_url = http://x/v1\n",
                          &c, error),
                     0);
    assert_int_equal(base_conf_int(c, "edge", "n", 1, 9, &n, error), 0);
    assert_int_equal(n, 7);
    assert_int_equal(base_conf_int(c, "edge", "absent", 1, 9, &n, error), 0);
    assert_int_equal(n, 7);
    assert_int_equal(base_conf_bool(c, "edge", "on", &b, error), 0);
    assert_true(b);
    assert_int_equal(base_conf_address(c, "edge", "listen", host, sizeof host, &port, error), 0);
    assert_string_equal(host, "::1");
    assert_int_equal(port, 8080);
    assert_int_equal(base_conf_path_of(c, "edge", "file", true, &p, error), 0);
    assert_string_equal(p, "/tmp/certs/a.pem");
    free(p);
    assert_string_equal(base_conf_section(c, 1), "provider openai");
    assert_string_equal(base_conf_name(base_conf_section(c, 1), "provider"), "openai");
    assert_null(base_conf_section(c, 2));
    assert_int_equal(base_conf_done(c, error), -EINVAL);
    assert_non_null(strstr(error, ":8: unknown key 'base_url' in [provider openai]"));
    base_conf_free(c);
}

static void F49_errors_name_file_line_and_cause(void **state)
{
    struct base_conf *c;
    char error[BASE_CONF_ERROR], long_line[3000];
    int64_t n = 0;
    (void)state;
    assert_int_equal(load("[a]\nk = 1\nk = 2\n", &c, error), -EINVAL);
    assert_non_null(strstr(error, ":3: the key stands twice"));
    assert_int_equal(load("[a]\nnonsense\n", &c, error), -EINVAL);
    assert_non_null(strstr(error, ":2: neither"));
    const char *v;
    assert_int_equal(load("[a]\nother = 1\nlisen = x\n", &c, error), 0); /* a slip is named */
    assert_int_equal(base_conf_need(c, "a", "listen", &v, error), -EINVAL);
    assert_non_null(strstr(error, "[a] listen: is required (line 3 has an unknown key 'lisen')"));
    assert_int_equal(base_conf_need(c, "a", "cluster", &v, error), -EINVAL);
    assert_null(strstr(error, "unknown key"));
    base_conf_free(c);
    assert_int_equal(load("[a]\nk = 12x\n", &c, error), 0);
    assert_int_equal(base_conf_int(c, "a", "k", 0, 99, &n, error), -EINVAL);
    assert_non_null(strstr(error, ":2: [a] k: expected a whole number from 0 to 99"));
    base_conf_free(c);
    memset(long_line, 'x', sizeof long_line);
    memcpy(long_line, "[a]\nk = ", 8);
    memcpy(long_line + sizeof long_line - 2, "\n", 2);
    int rv = load(long_line, &c, error); /* a long value is whole or refused, never cut */
    if (rv == 0) {
        assert_int_equal(strlen(base_conf_get(c, "a", "k")), sizeof long_line - 10);
        base_conf_free(c);
    } else {
        assert_int_equal(rv, -EINVAL);
    }
    assert_int_equal(base_conf_load(&c, "/nonexistent/x.conf", error), -ENOENT);
    assert_non_null(strstr(error, "/nonexistent/x.conf"));
    assert_int_equal(base_conf_load(&c, "/tmp", error), -EINVAL);
}

static void F49_a_line_is_a_line(void **state)
{
    struct base_conf *c;
    char error[BASE_CONF_ERROR], text[1024];
    int64_t n = 0;
    (void)state;
    assert_int_equal(load("  [a]\n\tk = 1\n    j = 2\n\n   ; comment\n", &c, error), 0);
    assert_string_equal(base_conf_get(c, "a", "k"), "1"); /* not "1" and then "j = 2" */
    assert_int_equal(base_conf_int(c, "a", "j", 0, 1, &n, error), -EINVAL);
    assert_non_null(strstr(error, ":3: [a] j: "));
    base_conf_free(c);
    /* What a long comment ends with is no key. */
    snprintf(text, sizeof text, "[a]\n#%0198dm = 1\nk = 1\n ; %0500d k = 2\nj = 3", 0, 0);
    assert_int_equal(load(text, &c, error), 0);
    assert_string_equal(base_conf_get(c, "a", "k"), "1");
    assert_int_equal(base_conf_int(c, "a", "j", 0, 1, &n, error), -EINVAL);
    assert_non_null(strstr(error, ":5: [a] j: "));
    assert_int_equal(base_conf_done(c, error), 0);
    base_conf_free(c);
    /* Nor is what a long value ends with. */
    snprintf(text, sizeof text, "[a]\nk = %0300dj=1\n", 0);
    assert_int_equal(load(text, &c, error), -EINVAL);
    assert_non_null(strstr(error, ":2: the line is too long"));
    snprintf(text, sizeof text, "[a]\nk = %0190d\nj = %0190d", 1, 2);
    assert_int_equal(load(text, &c, error), 0);
    assert_int_equal(strlen(base_conf_get(c, "a", "k")), 190);
    assert_int_equal(strlen(base_conf_get(c, "a", "j")), 190);
    base_conf_free(c);
}

static void F49_addresses(void **state)
{
    char host[32];
    uint16_t port;
    (void)state;
    assert_true(base_address_split("127.0.0.1:0", host, sizeof host, &port));
    assert_true(base_address_split("node-1.example:65535", host, sizeof host, &port));
    static const char *const bad[] = {
        "",       ":1",   "a",     "a:",    "a:x",  "a:65536", "a:-1",
        "::1:80", "[]:1", "a: 80", "a:+80", "a:1x", "[::1]80", "a:99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(base_address_split(bad[i], host, sizeof host, &port));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(F49_values_are_typed),
        cmocka_unit_test(F49_errors_name_file_line_and_cause),
        cmocka_unit_test(F49_a_line_is_a_line),
        cmocka_unit_test(F49_addresses),
    };
    int fd = mkstemp(path);
    if (fd < 0)
        return 2;
    close(fd);
    int rv = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return rv;
}
