/* SPDX-License-Identifier: Apache-2.0
 * F47: holdfastctl's pure parts: what people type, and the JSON that machines read.
 */
#include "proto/key.h"
#include "tools/ctl/init.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static const struct ctl_option options[] = {{"org", "NAME", false, ""},
                                            {"amount", "DOLLARS", true, ""},
                                            {"when", "WHEN", false, ""},
                                            {"flag", NULL, false, ""},
                                            {0}};
static const struct ctl_action action = {"verb", "does", "[FILE]", options, NULL, NULL, NULL, NULL};
static const struct ctl_noun noun = {"noun", "things", &action};

static struct ctl fresh(void)
{
    struct ctl c = {.timeout_ms = CTL_TIMEOUT_MS};
    c.doc = yyjson_mut_doc_new(NULL);
    c.out = yyjson_mut_obj(c.doc);
    yyjson_mut_doc_set_root(c.doc, c.out);
    return c;
}

static int parse(struct ctl *c, struct ctl_args *a, bool *help, const char *line)
{
    static char text[512];
    static char *argv[32];
    int argc = 0;
    snprintf(text, sizeof text, "verb %s", line);
    for (char *s = strtok(text, " "); s && argc < 31; s = strtok(NULL, " "))
        argv[argc++] = s;
    argv[argc] = NULL;
    return ctl_args_read(c, &noun, &action, argc, argv, a, help);
}

static void F47_options_are_read_by_their_table(void **state)
{
    (void)state;
    struct ctl c = fresh();
    struct ctl_args a;
    bool help;
    int64_t nanos = 7;
    assert_int_equal(parse(&c, &a, &help, "--amount 12.50 --json file --timeout 3 --flag"), CTL_OK);
    assert_true(c.json && ctl_given(&a, "flag") && !ctl_given(&a, "org"));
    assert_int_equal(c.timeout_ms, 3000);
    assert_string_equal(a.operand, "file");
    assert_int_equal(ctl_money(&c, &a, "amount", &nanos), CTL_OK);
    assert_int_equal(nanos, INT64_C(12500000000));
    assert_int_equal(parse(&c, &a, &help, "--help"), CTL_OK);
    assert_true(help);
    static const char *const bad[] = {"",
                                      "--amount",
                                      "--amount 1 --amount 2",
                                      "--amount 1 --nonsense",
                                      "--amount 1 a b",
                                      "--amount 1 --timeout 0",
                                      "--amount 1 --timeout x",
                                      "--amount 1 --id 12"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        c.error[0] = '\0';
        assert_int_equal(parse(&c, &a, &help, bad[i]), CTL_USAGE);
        assert_true(c.error[0] != '\0');
    }
    yyjson_mut_doc_free(c.doc);
}

static void F47_amounts_that_are_no_dollars_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "-1", "1e3", "1,5", "12.", "0.0000000001", "$12", "nan", "99999999999999", ".5", "1.2.3"};
    struct ctl c = fresh();
    struct ctl_args a;
    bool help;
    int64_t nanos = 0;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char line[64];
        snprintf(line, sizeof line, "--amount=%s", bad[i]);
        assert_int_equal(parse(&c, &a, &help, line), CTL_OK);
        assert_int_equal(ctl_money(&c, &a, "amount", &nanos), CTL_USAGE);
    }
    yyjson_mut_doc_free(c.doc);
}

static void F47_times_are_dates_instants_or_spans(void **state)
{
    (void)state;
    int64_t us = 0;
    assert_true(ctl_time_parse("2026-03-01", 0, &us));
    assert_int_equal(us, INT64_C(1772323200000000));
    assert_true(ctl_time_parse("2026-03-01T12:00:01Z", 0, &us));
    assert_int_equal(us, INT64_C(1772366401000000));
    assert_true(ctl_time_parse("30d", 1000000, &us));
    assert_int_equal(us, INT64_C(2592001000000));
    assert_true(ctl_time_parse("90m", 0, &us));
    assert_int_equal(us, INT64_C(5400000000));
    static const char *const bad[] = {
        "", "30", "d", "-3d", "2026-02-30", "2026-13-01", "3y", "2026-03-01T12:00:01", "tomorrow"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(ctl_time_parse(bad[i], 0, &us));
}

static void F47_json_has_exact_money_and_escapes_names(void **state)
{
    (void)state;
    struct ctl c = fresh();
    out_money(&c, c.out, "limit", INT64_MAX);
    out_money(&c, c.out, "spent", -1);
    out_str(&c, c.out, "name", proto_str_of("a \"b\"\n\\ü"));
    out_str(&c, c.out, "none", (struct proto_str){NULL, 0});
    out_time(&c, c.out, "expires", 0);
    char *text = yyjson_mut_write(c.doc, 0, NULL);
    assert_string_equal(text,
                        "{\"limit\":\"9223372036.854775807\",\"limit_nanos\":9223372036854775807,"
                        "\"spent\":\"-0.000000001\",\"spent_nanos\":-1,"
                        "\"name\":\"a \\\"b\\\"\\n\\\\ü\",\"none\":\"\",\"expires\":null}");
    free(text);
    yyjson_mut_doc_free(c.doc);
}

/* ---- init ---- */
static void write_with(const char *path, void (*fn)(FILE *, const struct init_plan *),
                       const struct init_plan *p)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fn(f, p);
    assert_int_equal(fclose(f), 0);
}

static void F49_the_files_of_init_are_what_the_programs_read(void **state)
{
    (void)state;
    char dir[] = "/tmp/holdfast-ctl-XXXXXX", cluster[64], ctl[64], why[BASE_CONF_ERROR];
    struct init_plan p = {.out = dir,
                          .nodes = 2,
                          .edges = 1,
                          .node_host = {"127.0.0.1", "::1"},
                          .edge_host = "127.0.0.1",
                          .peer_port = {7400, 7402},
                          .client_port = {7401, 7403},
                          .edge_port = {7404},
                          .data = "data",
                          .provider = "openai",
                          .provider_url = "http://127.0.0.1:1/v1"};
    assert_non_null(mkdtemp(dir));
    link_uuid7(&p.cluster);
    memset(p.seed.b, 1, sizeof p.seed.b);
    memset(p.operator_hash.b, 2, sizeof p.operator_hash.b);
    snprintf(cluster, sizeof cluster, "%s/cluster.conf", dir);
    snprintf(ctl, sizeof ctl, "%s/ctl.conf", dir);
    write_with(cluster, init_text_cluster, &p);
    write_with(ctl, init_text_ctl, &p);

    struct base_conf *conf;
    struct ledger_conf l;
    char *token;
    assert_int_equal(base_conf_load(&conf, ctl, why), 0);
    assert_int_equal(ledger_conf_read(&l, conf, why), 0);
    assert_int_equal(base_conf_path_of(conf, "operator", "token_file", true, &token, why), 0);
    assert_int_equal(base_conf_done(conf, why), 0);
    assert_true(proto_uuid_eq(&l.cluster.uuid, &p.cluster));
    assert_memory_equal(&l.cluster.operator_hash, &p.operator_hash, sizeof p.operator_hash);
    assert_int_equal(l.cluster.n_nodes, 2);
    assert_string_equal(l.cluster.nodes[0].peer, "127.0.0.1:7400");
    assert_string_equal(l.cluster.nodes[1].client, "[::1]:7403");
    assert_string_equal(l.cluster.nodes[1].client_name, "node-2.ledger.holdfast");
    free(token);
    ledger_conf_close(&l);
    base_conf_free(conf);
    unlink(cluster);
    unlink(ctl);
    rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(F47_options_are_read_by_their_table),
        cmocka_unit_test(F47_amounts_that_are_no_dollars_are_refused),
        cmocka_unit_test(F47_times_are_dates_instants_or_spans),
        cmocka_unit_test(F47_json_has_exact_money_and_escapes_names),
        cmocka_unit_test(F49_the_files_of_init_are_what_the_programs_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
