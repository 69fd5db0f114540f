/* SPDX-License-Identifier: Apache-2.0
 * The edge's configuration file: what is read, and that each mistake is named with its line.
 */
#include "edge/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define LEDGER "[ledger]\ncluster = cluster.conf\nca = ca.crt\ncert = edge.pem\n"
#define PROVIDER "[provider p]\nbase_url = https://example.com/v1/\n"
#define ROUTE "[route m]\nprovider = p\n"

static char folder[] = "/tmp/holdfast-conf-XXXXXX";
static char error[BASE_CONF_ERROR];

static void write_file(const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int open_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    write_file("cluster.conf",
               "[cluster]\nuuid = 0198c0de-0000-7000-8000-000000000001\n"
               "seed = 1111111111111111111111111111111111111111111111111111111111111111\n"
               "operator_hash = "
               "2222222222222222222222222222222222222222222222222222222222222222\n"
               "[node 1]\npeer = 127.0.0.1:1\nclient = 127.0.0.1:2\n");
    write_file("secret", "sk-very-secret\n");
    return 0;
}

static int close_folder(void **state)
{
    const char *const names[] = {"cluster.conf", "secret", "edge.conf"};
    char path[256];
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    return rmdir(folder);
}

static struct edge_config *load(const char *text)
{
    char path[256];
    struct edge_config *config = NULL;
    write_file("edge.conf", text);
    snprintf(path, sizeof path, "%s/edge.conf", folder);
    return edge_config_load(&config, path, error) == 0 ? config : NULL;
}

static void F29_routes_and_providers(void **state)
{
    (void)state;
    struct edge_config *c = load(
        "[edge]\nlisten = [::1]:0\nheader_prefix = x-nemo\nmetrics = 127.0.0.1:9464\n" LEDGER
        "[provider p]\nbase_url = https://example.com/v1/\napi_key_file = secret\n"
        "max_output_field = max_tokens\ntrust_cost = true\ncost_header = X-Cost\nkeep_alive_ms = "
        "0\n" ROUTE "[route b]\nprovider = p\nmax_output_field = max_completion_tokens\n"
        "upstream_model = B\nprice_model = p/b\nmax_output = 9\nunpriced_hold = 0.25\n"
        "input_overhead_tokens = 700\n"
        "[route *]\nprovider = p\n");
    assert_non_null(c);
    assert_string_equal(c->host, "::1");
    assert_string_equal(c->prefix, "x-nemo");
    assert_string_equal(c->providers[0].base_url, "https://example.com/v1");
    assert_string_equal(c->providers[0].api_key, "sk-very-secret");
    assert_string_equal(c->providers[0].cost_header, "x-cost");
    assert_int_equal(c->providers[0].keep_alive_ms, 0);
    assert_string_equal(c->metrics_host, "127.0.0.1");
    assert_int_equal(c->metrics_port, 9464);
    const struct edge_route *m = edge_config_route(c, "m"), *b = edge_config_route(c, "b");
    assert_true(m->max_tokens_field);
    assert_false(b->max_tokens_field);
    assert_int_equal(b->unpriced_hold_nanos, 250000000);
    assert_int_equal(m->unpriced_hold_nanos, 1000000000);
    assert_int_equal(b->input_overhead_tokens, 700);
    assert_int_equal(m->input_overhead_tokens, 0);
    assert_string_equal(edge_config_route(c, "any other")->model, "*");
    edge_config_free(c);
    c = load(LEDGER PROVIDER ROUTE);
    assert_non_null(c);
    assert_null(edge_config_route(c, "other"));
    assert_string_equal(c->metrics_host, "");
    assert_int_equal(c->providers[0].keep_alive_ms, 15000);
    edge_config_free(c);
}

static void F29_mistakes_are_named(void **state)
{
    (void)state;
    assert_int_equal(setenv("HOLDFAST_EMPTY", "", 1), 0);
    const struct {
        const char *text, *expected;
    } cases[] = {
        {PROVIDER ROUTE, "cluster"},
        {LEDGER PROVIDER, "no [route MODEL] section"},
        {LEDGER ROUTE, "no [provider p]"},
        {LEDGER PROVIDER ROUTE "colour = red\n", "edge.conf:9: unknown key 'colour'"},
        {LEDGER PROVIDER ROUTE "[edge]\nworkers = many\n", "edge.conf:10: [edge] workers"},
        {LEDGER PROVIDER ROUTE "[edge]\nlisten = nowhere\n", "edge.conf:10: [edge] listen"},
        {LEDGER PROVIDER ROUTE "[edge]\nheader_prefix = X-Y\n", "[edge] header_prefix"},
        {LEDGER PROVIDER ROUTE "[tls]\ncert = a.crt\n", "both cert and key"},
        {LEDGER "[provider p]\nbase_url = ftp://x\n" ROUTE, "[provider p] base_url"},
        {LEDGER "[provider p]\nbase_url = http://u:p@x\n" ROUTE, "[provider p] base_url"},
        {LEDGER PROVIDER "api_key_env = HOLDFAST_NOT_SET\n" ROUTE, "not in the environment"},
        {LEDGER PROVIDER "api_key_env = HOLDFAST_EMPTY\n" ROUTE, "the key is empty"},
        {LEDGER PROVIDER "api_key_file = none\n" ROUTE, "none: No such file or directory"},
        {LEDGER PROVIDER "api_key_file = secret\napi_key_env = HOME\n" ROUTE, "either"},
        {LEDGER PROVIDER "connect_timeout_ms = 0\n" ROUTE, "connect_timeout_ms"},
        {LEDGER PROVIDER ROUTE "max_output = 0\n", "[route m] max_output"},
        {LEDGER PROVIDER ROUTE "input_overhead_tokens = -1\n", "input_overhead_tokens"},
        {LEDGER PROVIDER "keep_alive_ms = soon\n" ROUTE, "keep_alive_ms"},
        {LEDGER PROVIDER ROUTE "[edge]\nmetrics = 9464\n", "[edge] metrics"},
        {LEDGER PROVIDER ROUTE "unpriced_hold = -1\n", "unpriced_hold"},
        {LEDGER PROVIDER ROUTE "max_output_field = tokens\n", "max_output_field"},
        {"[ledger]\ncluster = none.conf\nca = a\ncert = b\n" PROVIDER ROUTE, "none.conf"},
        {"no section\n", "edge.conf:1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_null(load(cases[i].text));
        if (strstr(error, cases[i].expected) == NULL)
            fail_msg("case %zu: %s", i, error);
        assert_null(strstr(error, "sk-very-secret"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(F29_routes_and_providers),
        cmocka_unit_test(F29_mistakes_are_named),
    };
    return cmocka_run_group_tests(tests, open_folder, close_folder);
}
