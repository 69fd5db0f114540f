/* SPDX-License-Identifier: Apache-2.0
 * F30, F8: price catalogues are read whole and exactly. The cases are others'
 * (../shared/data/prices beside the project, or HOLDFAST_SHARED/data/prices); without them those
 * tests say so and skip. Costs are compared in whole nano-dollars, rounded up as ours are.
 */
#include "edge/exchange/json.h"
#include "edge/exchange/usage.h"
#include "proto/money.h"
#include "tools/prices/import.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* The usage cases were priced before this moment and none of its prices has changed since. */
#define CASES_AT "2026-08-01T12:00:00Z"

static const char *data_path(const char *name)
{
    static char path[512];
    const char *shared = getenv("HOLDFAST_SHARED");
    snprintf(path, sizeof path, "%s/data/prices/%s", shared ? shared : "../shared", name);
    return path;
}

static bool load(struct prices *p, const char *name, const char *at)
{
    char error[PRICES_ERROR_MAX];
    int rv = prices_load(p, data_path(name), at, error);
    if (rv)
        print_message("skipped, no data: %s\n", error);
    return rv == 0;
}

static struct prices from_text(const char *text, const char *at)
{
    struct prices p;
    char error[PRICES_ERROR_MAX] = "";
    int rv = prices_open(&p, text, strlen(text), at, error);
    if (rv)
        print_message("%s\n", error);
    assert_int_equal(rv, 0);
    return p;
}

static int64_t point_of(const struct prices *p, const char *model, unsigned class, unsigned unit,
                        int64_t input)
{
    const struct proto_price *price = prices_find(p, proto_str_of(model));
    assert_non_null(price);
    return proto_price_of(price->points.e, price->points.n, class, unit, input);
}

/* Rows are sorted, without doubles, valid, and fit what a command carries. */
static void check_rows(const struct prices *p)
{
    for (uint32_t i = 0; i < p->n_rows; i++) {
        static uint8_t bytes[PROTO_PRICE_MAX];
        const struct proto_price *row = &p->rows[i].price;
        struct proto_writer w = proto_writer_over(bytes, sizeof bytes);
        assert_null(proto_price_valid(row));
        proto_price_put(&w, row);
        assert_false(w.full);
        if (i > 0)
            assert_true(strcmp(p->rows[i - 1].price.model.p, row->model.p) < 0);
    }
}

static void print_reasons(const struct prices *p)
{
    print_message("%s: %u entries, %u rows, %u names without a row\n",
                  prices_format_name(p->format), p->entries, p->n_rows, p->n_skips);
    for (uint32_t i = 0; i < p->n_skips; i++) {
        uint32_t n = 0;
        bool seen = false;
        for (uint32_t k = 0; k < p->n_skips; k++) {
            bool same = strcmp(p->skips[k].reason, p->skips[i].reason) == 0;
            seen = seen || (same && k < i);
            n += same;
        }
        if (!seen)
            print_message("  %5u %s\n", n, p->skips[i].reason);
    }
    for (uint32_t i = 0; i < p->n_notes; i++)
        print_message("  not metered: %s in %u entries\n", p->notes[i].key, p->notes[i].count);
}

static void F30_every_key_of_the_litellm_map_imports_or_says_why(void **state)
{
    (void)state;
    struct prices p;
    if (!load(&p, "litellm_model_prices_2026-03-09.json", "2026-08-01"))
        skip();
    print_reasons(&p);
    check_rows(&p);
    size_t i, n;
    yyjson_val *key, *entry;
    yyjson_obj_foreach(yyjson_doc_get_root(p.doc), i, n, key, entry)
    {
        const char *reason = prices_skipped(&p, prices_str(key));
        if ((prices_find(&p, prices_str(key)) != NULL) == (reason != NULL))
            fail_msg("%s: %s", yyjson_get_str(key), reason ? reason : "neither row nor reason");
    }
    assert_int_equal(p.n_rows + p.n_skips, p.entries);
    assert_int_equal(point_of(&p, "gpt-4o", PROTO_CLASS_standard, PROTO_UNIT_input, 0),
                     INT64_C(2500000000000));
    assert_int_equal(point_of(&p, "gpt-5", PROTO_CLASS_flex, PROTO_UNIT_cache_read, 0),
                     INT64_C(62500000000));
    prices_close(&p);
}

static void F30_litellm_tiers_classes_and_units(void **state)
{
    (void)state;
    struct prices p = from_text(
        "{\"m\": {\"litellm_provider\": \"x\", \"mode\": \"chat\", \"max_tokens\": 4096,"
        "\"input_cost_per_token\": 1.5e-07, \"output_cost_per_token\": 0.000001,"
        "\"input_cost_per_token_above_200k_tokens\": 3e-07,"
        "\"input_cost_per_token_priority\": 5E-7, \"output_cost_per_token_batches\": 5e-07,"
        "\"cache_creation_input_token_cost_above_1hr_above_200k_tokens\": 4e-06,"
        "\"search_context_cost_per_query\": {\"low\": 0.01, \"high\": 0.03},"
        "\"file_search_cost_per_1k_calls\": 2.5},"
        "\"tiered\": {\"tiered_pricing\": [{\"range\": [0, 32000.0], \"input_cost_per_token\": "
        "1e-6},"
        "{\"range\": [32000.0, 64000], \"input_cost_per_token\": 2e-6}]},"
        "\"a/1024-x-512/i\": {\"mode\": \"image_generation\", \"input_cost_per_pixel\": "
        "2.0751953125e-09},"
        "\"fine\": {\"input_cost_per_token\": 1.0000000000000000001e-09},"
        "\"chat-by-image\": {\"mode\": \"chat\", \"output_cost_per_image\": 0.04},"
        "\"bad\": {\"input_cost_per_token\": -1}, \"none\": {\"mode\": \"chat\"},"
        "\"sample_spec\": {\"input_cost_per_token\": 0.0}}",
        "2026-08-01");
    check_rows(&p);
    assert_int_equal(p.n_rows, 4);
    assert_int_equal(point_of(&p, "m", 0, PROTO_UNIT_input, 200000), INT64_C(150000000000));
    assert_int_equal(point_of(&p, "m", 0, PROTO_UNIT_input, 200001), INT64_C(300000000000));
    assert_int_equal(point_of(&p, "m", PROTO_CLASS_priority, PROTO_UNIT_input, 0),
                     INT64_C(500000000000));
    assert_int_equal(point_of(&p, "m", PROTO_CLASS_batch, PROTO_UNIT_output, 0),
                     INT64_C(500000000000));
    assert_int_equal(point_of(&p, "m", 0, PROTO_UNIT_cache_write_1h, 300000),
                     INT64_C(4000000000000));
    assert_int_equal(point_of(&p, "m", 0, PROTO_UNIT_web_search, 0), INT64_C(30000000000000000));
    assert_int_equal(point_of(&p, "tiered", 0, PROTO_UNIT_input, 32001), INT64_C(2000000000000));
    assert_int_equal(point_of(&p, "a/1024-x-512/i", 0, PROTO_UNIT_image, 0),
                     INT64_C(1088000000000000));
    assert_int_equal(point_of(&p, "fine", 0, PROTO_UNIT_input, 0), 1000000001);
    assert_int_equal(prices_find(&p, proto_str_of("m"))->max_output, 4096);
    assert_string_equal(p.notes[0].key, "file_search_cost_per_1k_calls");
    assert_non_null(prices_skipped(&p, proto_str_of("chat-by-image")));
    assert_non_null(prices_skipped(&p, proto_str_of("bad")));
    assert_non_null(prices_skipped(&p, proto_str_of("none")));
    prices_close(&p);
}

static void F30_genai_names_dates_and_conditions(void **state)
{
    (void)state;
    static const char text[] =
        "[{\"id\": \"one\", \"model_match\": {\"starts_with\": \"own-\"}, \"models\": ["
        "{\"id\": \"own-a\", \"match\": {\"or\": [{\"equals\": \"own-a-1\"}, {\"regex\": "
        "\"^own-a-\\\\d{2}$\"}]},"
        " \"prices\": [{\"prices\": {\"input_mtok\": 2}}, {\"constraint\": {\"start_date\": "
        "\"2026-03-01\"},"
        " \"prices\": {\"input_mtok\": 3, \"requests_kcount\": 5}}]},"
        "{\"id\": \"night\", \"match\": {\"equals\": \"night\"}, \"prices\": [{\"prices\": "
        "{\"input_mtok\": 1}},"
        "{\"constraint\": {\"start_time\": \"00:30:00Z\", \"end_time\": \"16:30:00Z\"}, "
        "\"prices\": {\"input_mtok\": 4}}]},"
        "{\"id\": \"gone\", \"match\": {\"equals\": \"gone\"}, \"prices\": {}},"
        "{\"id\": \"gift:free\", \"match\": {\"equals\": \"gift:free\"}, \"prices\": {}}]},"
        "{\"id\": \"two\", \"fallback_model_providers\": [\"one\"], \"models\": ["
        "{\"id\": \"own-a\", \"match\": {\"and\": [{\"starts_with\": \"OWN\"}, {\"ends_with\": "
        "\"a\"}]},"
        " \"prices\": {\"input_mtok\": {\"base\": 9, \"tiers\": [{\"start\": 1000, \"price\": "
        "10}]}}},"
        "{\"id\": \"night\", \"match\": {\"contains\": \"night\"}, \"prices\": {\"input_mtok\": "
        "0.3}}]}]";
    struct prices p = from_text(text, "2026-02-28");
    struct proto_price m;
    check_rows(&p);
    assert_int_equal(point_of(&p, "one/own-a-1", 0, PROTO_UNIT_input, 0), INT64_C(2000000000000));
    assert_int_equal(point_of(&p, "one/night", 0, PROTO_UNIT_input, 0), INT64_C(4000000000000));
    prices_close(&p);

    p = from_text(text, "2026-03-01T20:00:00Z");
    assert_int_equal(point_of(&p, "own-a", 0, PROTO_UNIT_input, 0), INT64_C(3000000000000));
    assert_int_equal(point_of(&p, "own-a", 0, PROTO_UNIT_request, 0), INT64_C(5000000000000000));
    assert_int_equal(point_of(&p, "one/night", 0, PROTO_UNIT_input, 0), INT64_C(1000000000000));
    assert_int_equal(point_of(&p, "two/own-a", 0, PROTO_UNIT_input, 1001), INT64_C(10000000000000));
    assert_int_equal(point_of(&p, "gift:free", 0, PROTO_UNIT_input, 0), 0);
    assert_null(prices_find(&p, proto_str_of("night"))); /* two providers, two prices */
    assert_non_null(prices_skipped(&p, proto_str_of("night")));
    assert_non_null(prices_skipped(&p, proto_str_of("one/gone")));
    assert_int_equal(prices_genai_match(&p, proto_str_of("two"), proto_str_of("own-a-42"), &m), 0);
    assert_int_equal(m.points.e[0].price, INT64_C(3000000000000)); /* two falls back on one */
    assert_int_equal(prices_genai_match(&p, proto_str_of("one"), proto_str_of("own-a-421"), &m),
                     -ENOENT);
    prices_close(&p);
}

static void F30_what_is_no_catalogue_is_refused_with_the_cause(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "[",
                                      "{}",
                                      "[]",
                                      "17",
                                      "{\"a\"}",
                                      "{\"a\": 1}",
                                      "[{\"models\": 3}]",
                                      "[{\"id\": \"x\"}]",
                                      "{\"a\": {\"b\": 1}}"};
    struct prices p;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char error[PRICES_ERROR_MAX] = "";
        assert_int_equal(prices_open(&p, bad[i], strlen(bad[i]), "2026-08-01", error), -EINVAL);
        assert_true(error[0] != '\0');
    }
    static const char *const at[] = {
        "", "2026", "2026-13-01", "2026-01-01T25:00:00Z", "2026-01-01T00:00:00", "01.02.2026"};
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        char error[PRICES_ERROR_MAX] = "";
        assert_int_equal(prices_open(&p, "{}", 2, at[i], error), -EINVAL);
        assert_non_null(strstr(error, "date"));
    }
}

/* ---- cases ---- */
typedef void case_fn(yyjson_val *c, void *ctx);

/* Calls fn for each line; false: no file. */
static bool each_case(const char *name, case_fn *fn, void *ctx)
{
    FILE *f = fopen(data_path(name), "rb");
    if (!f) {
        print_message("skipped, no data: %s\n", data_path(name));
        return false;
    }
    char *line = NULL;
    size_t cap = 0;
    for (ssize_t n; (n = getline(&line, &cap, f)) > 0;) {
        yyjson_doc *doc = yyjson_read_opts(line, (size_t)n, YYJSON_READ_NUMBER_AS_RAW, NULL, NULL);
        assert_non_null(doc);
        fn(yyjson_doc_get_root(doc), ctx);
        yyjson_doc_free(doc);
    }
    free(line);
    fclose(f);
    return true;
}

struct tokencost {
    struct prices map;
    int exact, same_in_map, inconsistent;
};

static void tokencost_case(yyjson_val *c, void *ctx)
{
    struct tokencost *t = ctx;
    const char *type = yyjson_get_str(yyjson_obj_get(c, "token_type"));
    unsigned unit = strcmp(type, "input") == 0    ? PROTO_UNIT_input
                    : strcmp(type, "output") == 0 ? PROTO_UNIT_output
                                                  : PROTO_UNIT_cache_read;
    struct proto_units units = {{0}};
    struct proto_price price = {.points.n = 0};
    int64_t value, expected, cost;
    units.n[unit] = prices_tokens(yyjson_obj_get(c, "tokens"));
    assert_int_equal(prices_number(yyjson_obj_get(c, "price_per_token"), PRICES_SHIFT_UNIT, &value),
                     0);
    assert_int_equal(prices_number(yyjson_obj_get(c, "expected_cost"), 9, &expected), 0);
    assert_int_equal(prices_point(&price, 0, unit, 0, value), 0);
    assert_int_equal(proto_price_cost(price.points.e, price.points.n, 0, &units, &cost), 0);
    if (!yyjson_get_bool(yyjson_obj_get(c, "consistent"))) {
        t->inconsistent++; /* the case itself says that its cost is not tokens times price */
        return;
    }
    assert_int_equal(cost, expected);
    t->exact++;
    const struct proto_price *row = prices_find(&t->map, prices_str(yyjson_obj_get(c, "model")));
    if (row && proto_price_of(row->points.e, row->points.n, 0, unit, units.n[unit]) == value) {
        assert_int_equal(proto_price_cost(row->points.e, row->points.n, 0, &units, &cost), 0);
        assert_int_equal(cost, expected);
        t->same_in_map++;
    }
}

static void F8_tokencost_cases_are_exact(void **state)
{
    (void)state;
    struct tokencost t = {.exact = 0};
    if (!load(&t.map, "litellm_model_prices_2026-03-09.json", "2026-08-01"))
        skip();
    assert_true(each_case("tokencost_tests.jsonl", tokencost_case, &t));
    print_message("tokencost: %d exact (%d of them from the map too), %d not consistent\n", t.exact,
                  t.same_in_map, t.inconsistent);
    assert_true(t.exact > 30 && t.inconsistent <= 1);
    prices_close(&t.map);
}

/* The edge's own reader, as it meters a call. An embeddings answer has a prompt and nothing else;
 * the cases read chat bodies as such. */
static const char *read_openai(yyjson_val *usage, const char *flavor, struct proto_units *u)
{
    struct edge_usage seen = {.seen = false};
    assert_true(edge_usage_read(&seen, usage));
    bool embeddings = strcmp(flavor, "embeddings") == 0;
    if (embeddings)
        seen = (struct edge_usage){.seen = true, .prompt = seen.prompt};
    edge_usage_units(&seen, u);
    return embeddings                              ? "OpenAI embeddings"
           : yyjson_obj_get(usage, "input_tokens") ? "OpenAI responses"
                                                   : "OpenAI chat";
}

static int64_t count(yyjson_val *usage, const char *key)
{
    return prices_tokens(yyjson_obj_get(usage, key));
}

/* No API of ours yet; the prices are tested all the same. */
static const char *read_anthropic(yyjson_val *usage, struct proto_units *u)
{
    u->n[PROTO_UNIT_input] = count(usage, "input_tokens");
    u->n[PROTO_UNIT_cache_read] = count(usage, "cache_read_input_tokens");
    u->n[PROTO_UNIT_cache_write] = count(usage, "cache_creation_input_tokens");
    u->n[PROTO_UNIT_output] = count(usage, "output_tokens");
    return "Anthropic messages";
}

enum { SHAPES_MAX = 8 };
struct usages {
    struct prices catalogue;
    struct {
        const char *shape;
        int exact, wrong, no_rule, unpriced;
    } by[SHAPES_MAX];
    int others;
};

/* Gemini's thinking stands in the total alone: it is billed and we charge it, that table does not.
 */
static bool tells_in_total(yyjson_val *usage)
{
    int64_t total = 0, input = 0, output = 0;
    return edge_json_count(yyjson_obj_get(usage, "total_tokens"), &total) &&
           edge_json_count(yyjson_obj_get(usage, "prompt_tokens"), &input) &&
           edge_json_count(yyjson_obj_get(usage, "completion_tokens"), &output) &&
           yyjson_obj_get(usage, "completion_tokens_details") == NULL && total > input + output;
}

static void usage_case(yyjson_val *c, void *ctx)
{
    struct usages *s = ctx;
    const char *flavor = yyjson_get_str(yyjson_obj_get(c, "api_flavor"));
    yyjson_val *usage = yyjson_obj_get(yyjson_obj_get(c, "response_body"), "usage");
    struct proto_str provider = prices_str(yyjson_obj_get(c, "provider"));
    struct proto_str model = prices_str(yyjson_obj_get(c, "model"));
    struct proto_units units = {{0}};
    const char *shape;
    if (!usage) {
        s->others++; /* Google's own API, which no feature serves */
        return;
    }
    if (yyjson_obj_get(usage, "prompt_tokens") || strcmp(flavor, "responses") == 0)
        shape = read_openai(usage, flavor, &units);
    else
        shape = read_anthropic(usage, &units);
    unsigned k = 0;
    while (k < SHAPES_MAX - 1 && s->by[k].shape && strcmp(s->by[k].shape, shape) != 0)
        k++;
    s->by[k].shape = shape;
    struct proto_price price;
    int64_t cost, expected;
    assert_int_equal(prices_number(yyjson_obj_get(c, "expected_total"), 9, &expected), 0);
    int rv = prices_genai_match(&s->catalogue, provider, model, &price);
    if (rv) {
        print_message("%s: %.*s %.*s (%s)\n",
                      rv == -ENOENT ? "no rule matches" : "no price is given", (int)provider.n,
                      provider.p, (int)model.n, model.p, shape);
        /* the catalogue prices what it knows no price of at zero; we call it unpriced (F54) */
        assert_true(rv == -ENOENT || expected == 0);
        s->by[k].no_rule += rv == -ENOENT;
        s->by[k].unpriced += rv == -EINVAL;
        return;
    }
    assert_int_equal(proto_price_cost(price.points.e, price.points.n, 0, &units, &cost), 0);
    if (cost > expected && tells_in_total(usage)) {
        s->others++;
        return;
    }
    if (cost == expected)
        s->by[k].exact++;
    else
        s->by[k].wrong++;
    if (cost != expected)
        print_message("%.*s %.*s: %lld, expected %lld\n", (int)provider.n, provider.p, (int)model.n,
                      model.p, (long long)cost, (long long)expected);
}

static void F8_usages_of_the_served_apis_are_priced_exactly(void **state)
{
    (void)state;
    struct usages s = {.others = 0};
    if (!load(&s.catalogue, "genai_prices_data.json", CASES_AT))
        skip();
    assert_true(each_case("genai_prices_usages.jsonl", usage_case, &s));
    for (unsigned k = 0; k < SHAPES_MAX && s.by[k].shape; k++) {
        print_message("%s: %d exact, %d wrong, %d without a rule, %d without a price\n",
                      s.by[k].shape, s.by[k].exact, s.by[k].wrong, s.by[k].no_rule,
                      s.by[k].unpriced);
        assert_int_equal(s.by[k].wrong, 0);
        if (strncmp(s.by[k].shape, "OpenAI", 6) == 0)
            assert_int_equal(s.by[k].no_rule, 0);
    }
    print_message("other APIs: %d\n", s.others);
    prices_close(&s.catalogue);
}

static void F30_the_genai_catalogue_imports(void **state)
{
    (void)state;
    struct prices p;
    if (!load(&p, "genai_prices_data.json", CASES_AT))
        skip();
    print_reasons(&p);
    check_rows(&p);
    assert_int_equal(point_of(&p, "openai/gpt-4o", 0, PROTO_UNIT_input, 0), INT64_C(2500000000000));
    assert_int_equal(point_of(&p, "gpt-4o-2024-08-06", 0, PROTO_UNIT_input, 0),
                     INT64_C(2500000000000));
    assert_int_equal(point_of(&p, "deepseek/deepseek-chat", 0, PROTO_UNIT_input, 0),
                     INT64_C(270000000000));
    prices_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(F30_every_key_of_the_litellm_map_imports_or_says_why),
        cmocka_unit_test(F30_litellm_tiers_classes_and_units),
        cmocka_unit_test(F30_genai_names_dates_and_conditions),
        cmocka_unit_test(F30_the_genai_catalogue_imports),
        cmocka_unit_test(F30_what_is_no_catalogue_is_refused_with_the_cause),
        cmocka_unit_test(F8_tokencost_cases_are_exact),
        cmocka_unit_test(F8_usages_of_the_served_apis_are_priced_exactly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
