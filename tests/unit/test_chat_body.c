/* SPDX-License-Identifier: Apache-2.0
 * Requests of chat completions: what is read, what is refused, and that the forwarded body differs
 * from the client's only where it must.
 */
#include "edge/exchange/api.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define MESSAGES "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"

static const struct edge_route plain = {.model = "m"};
static const struct edge_route renamed = {
    .model = "m", .upstream_model = "real \"one\"", .max_tokens_field = true};

static struct edge_error error;

static bool read_body(struct edge_call *call, const char *body)
{
    size_t n = strlen(body);
    char *exact = malloc(n); /* not NUL-terminated: a read past it shows */
    memcpy(exact, body, n);
    bool good = edge_call_read(call, &edge_api_chat, exact, n, &error);
    call->body = body; /* the same bytes, which outlive this */
    free(exact);
    return good;
}

static void assert_forwarded(const char *body, const struct edge_route *route, const char *expected)
{
    struct edge_call call;
    struct base_buf out;
    base_buf_init(&out, 0);
    assert_true(read_body(&call, body));
    assert_true(edge_call_edit(&call, &edge_api_chat, route, 100, &out, &error));
    if (expected == NULL) {
        assert_int_equal(base_buf_len(&out), 0);
    } else {
        assert_int_equal(base_buf_add(&out, "", 1), 0);
        assert_string_equal(base_buf_at(&out), expected);
    }
    edge_call_close(&call);
    base_buf_close(&out);
}

static void F27_nothing_to_change_changes_nothing(void **state)
{
    (void)state;
    assert_forwarded("{\"model\":\"m\"," MESSAGES ",\"max_tokens\":5}", &plain, NULL);
    assert_forwarded(" { \"model\" : \"m\" ," MESSAGES ",\"max_completion_tokens\":5,"
                     "\"stream\":true,\"stream_options\":{\"include_usage\":true}}\n",
                     &plain, NULL);
}

static void F27_edits_are_minimal(void **state)
{
    (void)state;
    assert_forwarded("{\"model\":\"m\"," MESSAGES ",\"temperature\":0.10000000000000000001}",
                     &plain,
                     "{\"max_completion_tokens\":100,\"model\":\"m\"," MESSAGES
                     ",\"temperature\":0.10000000000000000001}");
    assert_forwarded("{ \"seed\": 12345678901234567890 , \"model\" : \"m\" , " MESSAGES " }",
                     &renamed,
                     "{\"max_tokens\":100, \"seed\": 12345678901234567890 , \"model\" : "
                     "\"real \\\"one\\\"\" , " MESSAGES " }");
    assert_forwarded("{\"mod\\u0065l\":\"m\"," MESSAGES ",\"max_tokens\":1}", &renamed,
                     "{\"mod\\u0065l\":\"real \\\"one\\\"\"," MESSAGES ",\"max_tokens\":1}");
    assert_forwarded("{\"model\":\"m\"," MESSAGES ",\"max_completion_tokens\": null ,\"n\":2}",
                     &plain,
                     "{\"model\":\"m\"," MESSAGES ",\"max_completion_tokens\": 100 ,\"n\":2}");
}

static void F1_the_providers_own_field_bounds_the_output(void **state)
{
    (void)state;
    struct edge_call call;
    const char *body = "{\"model\":\"m\"," MESSAGES ",\"max_completion_tokens\":7,\"Top\":1}";
    static const struct edge_route older = {.model = "m", .max_tokens_field = true};
    struct base_buf out;
    base_buf_init(&out, 0);
    assert_true(read_body(&call, body));
    assert_true(edge_call_edit(&call, &edge_api_chat, &older, 7, &out, &error));
    assert_int_equal(base_buf_add(&out, "", 1), 0);
    assert_string_equal(base_buf_at(&out), "{\"max_tokens\":7,\"model\":\"m\"," MESSAGES
                                           ",\"max_completion_tokens\":7,\"Top\":1}");
    edge_call_close(&call);
    base_buf_close(&out);
    assert_forwarded("{\"model\":\"m\"," MESSAGES ",\"max_tokens\":7}", &older, NULL);
    assert_forwarded("{\"model\":\"m\"," MESSAGES ",\"max_tokens\":7}", &plain, NULL);
}

static void F28_usage_is_asked_for(void **state)
{
    (void)state;
    const char *head = "{\"model\":\"m\"," MESSAGES ",\"max_tokens\":1,\"stream\":true";
    const struct {
        const char *options, *expected;
    } cases[] = {
        {",\"stream_options\":null", ",\"stream_options\":{\"include_usage\":true}"},
        {",\"stream_options\":{}", ",\"stream_options\":{\"include_usage\":true}"},
        {",\"stream_options\": { \"x\":1}",
         ",\"stream_options\": {\"include_usage\":true, \"x\":1}"},
        {",\"stream_options\":{\"x\":[{}],\"include_usage\": false}",
         ",\"stream_options\":{\"x\":[{}],\"include_usage\": true}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char body[512], expected[512];
        snprintf(body, sizeof body, "%s%s}", head, cases[i].options);
        snprintf(expected, sizeof expected, "%s%s}", head, cases[i].expected);
        assert_forwarded(body, &plain, expected);
    }
    assert_forwarded(
        "{\"stream\":true,\"model\":\"m\"," MESSAGES ",\"max_tokens\":1}", &plain,
        "{\"stream_options\":{\"include_usage\":true},\"stream\":true,\"model\":\"m\"," MESSAGES
        ",\"max_tokens\":1}");
    assert_forwarded("{\"model\":\"m\"," MESSAGES ",\"max_tokens\":1,\"stream\":false,"
                     "\"stream_options\":null}",
                     &plain, NULL);
}

static void F27_bad_bodies_are_400(void **state)
{
    (void)state;
    const struct {
        const char *body, *code;
    } cases[] = {
        {"", "invalid_json"},
        {"[]", "invalid_json"},
        {"{\"model\":\"m\"," MESSAGES "} x", "invalid_json"},
        {"{\"model\":\"m\",/* no */" MESSAGES "}", "invalid_json"},
        {"{\"model\":\"m\"," MESSAGES ",}", "invalid_json"},
        {"{\"model\":\"m\"," MESSAGES ",\"x\":NaN}", "invalid_json"},
        {"\xEF\xBB\xBF{\"model\":\"m\"," MESSAGES "}", "invalid_json"},
        {"{\"model\":\"m\"," MESSAGES ",\"x\":\"\xff\"}", "invalid_json"},
        {"{" MESSAGES "}", "missing_required_parameter"},
        {"{\"model\":\"\"," MESSAGES "}", "missing_required_parameter"},
        {"{\"model\":7," MESSAGES "}", "missing_required_parameter"},
        {"{\"model\":\"a\\u0000b\"," MESSAGES "}", "invalid_value"},
        {"{\"model\":\"m\"}", "missing_required_parameter"},
        {"{\"model\":\"m\",\"messages\":[]}", "missing_required_parameter"},
        {"{\"model\":\"m\",\"messages\":[7]}", "invalid_type"},
        {"{\"model\":\"m\",\"model\":\"n\"," MESSAGES "}", "duplicate_key"},
        {"{\"model\":\"m\",\"mod\\u0065l\":\"n\"," MESSAGES "}", "duplicate_key"},
        {"{\"max_tokens\":1,\"model\":\"m\"," MESSAGES ",\"max_tokens\":99}", "duplicate_key"},
        {"{\"model\":\"m\"," MESSAGES ",\"stream_options\":{\"include_usage\":true,"
         "\"include_usage\":false}}",
         "duplicate_key"},
        {"{\"model\":\"m\"," MESSAGES ",\"metadata\":{\"customer_id\":\"a\","
         "\"customer_id\":\"b\"}}",
         "duplicate_key"},
        {"{\"model\":\"m\"," MESSAGES ",\"MAX_TOKENS\":99,\"max_tokens\":1}", "duplicate_key"},
        {"{\"model\":\"m\"," MESSAGES ",\"Model\":\"n\"}", "duplicate_key"},
        {"{\"model\":\"m\"," MESSAGES ",\"max_to\xE2\x84\xAA"
         "ens\":9}",
         "duplicate_key"},
        {"{\"model\":\"m\"," MESSAGES ",\"me\\u017f\\u017fages\":[]}", "duplicate_key"},
        {"{\"model\":\"m\"," MESSAGES ",\"Plugins\":[]}", "duplicate_key"},
        {"{\"model\":\"m\"," MESSAGES ",\"stream_options\":{\"Include_usage\":false}}",
         "duplicate_key"},
        {"{\"model\":\"m\",\"messages\":[{\"content\":\"x\",\"content\":[]}]}", "duplicate_key"},
        {"{\"model\":\"m\",\"messages\":[{\"content\":\"x\",\"Content\":[]}]}", "duplicate_key"},
        {"{\"model\":\"m\",\"messages\":[{\"content\":[{\"type\":\"text\",\"text\":\"x\","
         "\"type\":\"image_url\"}]}]}",
         "duplicate_key"},
        {"{\"model\":\"m\"," MESSAGES ",\"tools\":[{\"type\":\"function\","
         "\"type\":\"web_search\"}]}",
         "duplicate_key"},
        {"{\"model\":\"m\"," MESSAGES ",\"max_tokens\":0}", "invalid_value"},
        {"{\"model\":\"m\"," MESSAGES ",\"max_tokens\":-1}", "invalid_value"},
        {"{\"model\":\"m\"," MESSAGES ",\"max_tokens\":1.5}", "invalid_value"},
        {"{\"model\":\"m\"," MESSAGES ",\"max_tokens\":\"9\"}", "invalid_value"},
        {"{\"model\":\"m\"," MESSAGES ",\"max_tokens\":99999999999999999999}", "invalid_value"},
        {"{\"model\":\"m\"," MESSAGES ",\"n\":1000}", "invalid_value"},
        {"{\"model\":\"m\"," MESSAGES ",\"stream\":\"yes\"}", "invalid_type"},
        {"{\"model\":\"m\"," MESSAGES ",\"stream_options\":[]}", "invalid_type"},
        {"{\"model\":\"m\"," MESSAGES ",\"user\":\"a\\nb\"}", "invalid_value"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct edge_call call;
        assert_false(read_body(&call, cases[i].body));
        assert_int_equal(error.status, 400);
        assert_string_equal(error.code, cases[i].code);
        edge_call_close(&call);
    }
}

static void F27_depth_and_width_are_bounded(void **state)
{
    (void)state;
    struct edge_call call;
    static char body[1 << 20];
    for (int depth = EDGE_JSON_DEPTH_MAX - 2; depth <= EDGE_JSON_DEPTH_MAX + 1; depth++) {
        char *o = body + sprintf(body, "{\"model\":\"m\"," MESSAGES ",\"x\":");
        for (int i = 0; i < depth; i++)
            *o++ = '[';
        for (int i = 0; i < depth; i++)
            *o++ = ']';
        strcpy(o, "}");
        assert_int_equal(read_body(&call, body), depth < EDGE_JSON_DEPTH_MAX);
        edge_call_close(&call);
    }
    for (int width = EDGE_JSON_MEMBERS_MAX - 3; width < EDGE_JSON_MEMBERS_MAX; width++) {
        char *o = body + sprintf(body, "{\"model\":\"m\"," MESSAGES);
        for (int i = 0; i < width; i++)
            o += sprintf(o, ",\"k%d\":%d", i, i);
        strcpy(o, "}");
        assert_int_equal(read_body(&call, body), width + 2 <= EDGE_JSON_MEMBERS_MAX);
        edge_call_close(&call);
    }
}

static void F22_customer_of_the_request(void **state)
{
    (void)state;
    struct edge_call call;
    assert_true(read_body(&call, "{\"model\":\"m\"," MESSAGES ",\"user\":\"u\"}"));
    assert_string_equal(call.customer, "u");
    edge_call_close(&call);
    assert_true(read_body(&call, "{\"model\":\"m\"," MESSAGES
                                 ",\"user\":\"u\",\"metadata\":{\"customer_id\":\"\\u00e9\"}}"));
    assert_string_equal(call.customer, "\xc3\xa9");
    edge_call_close(&call);
    assert_true(read_body(&call, "{\"model\":\"m\"," MESSAGES ",\"user\":7,\"metadata\":null}"));
    assert_string_equal(call.customer, "");
    edge_call_close(&call);
}

/* ---- JSONTestSuite ---- */

static void judge_file(const char *folder, const char *name)
{
    char path[1024], text[200000];
    const char *why;
    size_t at;
    struct edge_call call;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n = fread(text, 1, sizeof text, f);
    fclose(f);
    char *exact = malloc(n > 0 ? n : 1);
    memcpy(exact, text, n);
    yyjson_doc *doc = edge_json_read(exact, n, &why, &at);
    if (name[0] != 'i' && (doc != NULL) != (name[0] == 'y'))
        fail_msg("%s: %s", name, doc != NULL ? "accepted" : why);
    yyjson_doc_free(doc);
    edge_call_read(&call, &edge_api_chat, exact, n, &error); /* any outcome, no harm */
    edge_call_close(&call);
    free(exact);
}

static void F27_JSONTestSuite(void **state)
{
    (void)state;
    const char *shared = getenv("HOLDFAST_SHARED");
    char tar[512], folder[] = "/tmp/holdfast-json-XXXXXX", command[1024];
    unsigned judged = 0;
    snprintf(tar, sizeof tar, "%s/data/json/JSONTestSuite.tar",
             shared != NULL ? shared : "../shared");
    if (access(tar, R_OK) != 0) {
        print_message("no %s: skipped\n", tar);
        skip();
    }
    assert_non_null(mkdtemp(folder));
    snprintf(command, sizeof command, "tar -xf '%s' -C %s --strip-components=1 test_parsing", tar,
             folder);
    assert_int_equal(system(command), 0);
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        if (strchr("yni", e->d_name[0]) != NULL && e->d_name[1] == '_') {
            judge_file(folder, e->d_name);
            judged++;
        }
    }
    closedir(dir);
    snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(system(command), 0);
    assert_true(judged > 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(F27_nothing_to_change_changes_nothing),
        cmocka_unit_test(F27_edits_are_minimal),
        cmocka_unit_test(F1_the_providers_own_field_bounds_the_output),
        cmocka_unit_test(F28_usage_is_asked_for),
        cmocka_unit_test(F27_bad_bodies_are_400),
        cmocka_unit_test(F27_depth_and_width_are_bounded),
        cmocka_unit_test(F22_customer_of_the_request),
        cmocka_unit_test(F27_JSONTestSuite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
