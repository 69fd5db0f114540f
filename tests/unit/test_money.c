/* SPDX-License-Identifier: Apache-2.0
 * Money and prices: exact text, checked arithmetic, one rounding (F2, F8).
 */
#include "proto/money.h"
#include "proto/price.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
// cmocka needs the four above before it
#include <cmocka.h>

static int parse(const char *s, int64_t *v)
{
    return proto_money_parse(proto_str_of(s), v);
}

static void F8_money_text_is_exact(void **state)
{
    static const struct {
        const char *in;
        int64_t nanos;
        const char *out;
    } cases[] = {
        {"0", 0, "0.00"},
        {"12.5", 12500000000, "12.50"},
        {"0.000000001", 1, "0.000000001"},
        {"-0.000000001", -1, "-0.000000001"},
        {"12.345678901", 12345678901, "12.345678901"},
        {"9223372036.854775807", INT64_MAX, "9223372036.854775807"},
        {"-9223372036.854775808", INT64_MIN, "-9223372036.854775808"},
        {"1000000", 1000000000000000, "1000000.00"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t v;
        char out[PROTO_MONEY_TEXT_MAX];
        assert_int_equal(parse(cases[i].in, &v), 0);
        assert_true(v == cases[i].nanos);
        assert_int_equal(proto_money_print(v, out), strlen(cases[i].out));
        assert_string_equal(out, cases[i].out);
    }
}

static void F8_money_text_refuses_the_rest(void **state)
{
    static const char *const bad[] = {"",     "-",   ".",   ".5",  "5.",   "1.0000000001",
                                      "+1",   "1e3", " 1",  "1 ",  "1,5",  "0x1",
                                      "1..2", "--1", "nan", "inf", "1.2.3"};
    static const char *const large[] = {"9223372036.854775808", "-9223372036.854775809",
                                        "99999999999999999999999999999999999999999999"};
    int64_t v = 7;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(parse(bad[i], &v), -EINVAL);
    for (size_t i = 0; i < sizeof large / sizeof large[0]; i++)
        assert_int_equal(parse(large[i], &v), -ERANGE);
    assert_int_equal(v, 7);
}

static void F30_price_decimals_round_up(void **state)
{
    static const struct {
        const char *text;
        int shift;
        int64_t want;
    } cases[] = {
        {"1.5e-07", 18, 150000000000},
        {"0.00000015", 18, 150000000000},
        {"2.5E-6", 18, 2500000000000},
        {"1e-19", 18, 1},
        {"0", 18, 0},
        {"0.0", 18, 0},
        {"1", 0, 1},
        {"0.1", 0, 1},
        {"1.000000000000000000000000000000000000000000001", 0, 2},
        {"0.00000000000000000000000000000000000000000001", 9, 1},
        {"9223372036854775807", 0, INT64_MAX},
        {"1.0000000000000000000e+3", 0, 1000},
    };
    int64_t v;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(proto_decimal_scale(proto_str_of(cases[i].text), cases[i].shift, &v), 0);
        if (v != cases[i].want)
            fail_msg("%s x 10^%d = %lld", cases[i].text, cases[i].shift, (long long)v);
    }
    assert_int_equal(proto_decimal_scale(proto_str_of("9223372036854775808"), 0, &v), -ERANGE);
    assert_int_equal(proto_decimal_scale(proto_str_of("1e999999999"), 0, &v), -ERANGE);
    assert_int_equal(proto_decimal_scale(proto_str_of("-1"), 0, &v), -ERANGE);
    assert_int_equal(proto_decimal_scale(proto_str_of("1e"), 0, &v), -EINVAL);
    assert_int_equal(proto_decimal_scale(proto_str_of("abc"), 0, &v), -EINVAL);
}

/* dollars per million tokens -> nano-dollars per 10^9 tokens: x 10^12 */
static const struct proto_point gpt[] = {
    {PROTO_CLASS_standard, PROTO_UNIT_input, 0, 2500000000000},
    {PROTO_CLASS_standard, PROTO_UNIT_input, 200000, 5000000000000},
    {PROTO_CLASS_standard, PROTO_UNIT_output, 0, 10000000000000},
    {PROTO_CLASS_standard, PROTO_UNIT_cache_read, 0, 1250000000000},
    {PROTO_CLASS_priority, PROTO_UNIT_input, 0, 4000000000000},
};

static int64_t cost(unsigned class, int64_t in, int64_t cached, int64_t out)
{
    struct proto_units u = {
        .n = {
            [PROTO_UNIT_input] = in, [PROTO_UNIT_cache_read] = cached, [PROTO_UNIT_output] = out}};
    int64_t c;
    assert_int_equal(proto_price_cost(gpt, 5, class, &u, &c), 0);
    return c;
}

static void F8_cost_is_exact_with_tiers_and_classes(void **state)
{
    (void)state;
    assert_int_equal(cost(PROTO_CLASS_standard, 1000, 0, 500), 2500000 + 5000000);
    assert_int_equal(cost(PROTO_CLASS_standard, 199999, 1, 0), 199999 * INT64_C(2500) + 1250);
    /* the tier counts all input, and its price holds for all of it; cache_read has no tier */
    assert_int_equal(cost(PROTO_CLASS_standard, 200000, 1, 0), 200000 * INT64_C(5000) + 1250);
    assert_int_equal(cost(PROTO_CLASS_priority, 10, 0, 1), 10 * 4000 + 10000);
    /* without a price of its own a unit costs what its fallback costs */
    struct proto_units u = {.n = {[PROTO_UNIT_reasoning] = 3, [PROTO_UNIT_cache_write_1h] = 2}};
    int64_t c;
    assert_int_equal(proto_price_cost(gpt, 5, 0, &u, &c), 0);
    assert_int_equal(c, 3 * 10000 + 2 * 2500);
}

static void F8_cost_rounds_up_once(void **state)
{
    static const struct proto_point p[] = {{0, PROTO_UNIT_input, 0, 1},
                                           {0, PROTO_UNIT_output, 0, 1}};
    struct proto_units u = {.n = {1, 1}};
    int64_t c;
    (void)state;
    assert_int_equal(proto_price_cost(p, 2, 0, &u, &c), 0);
    assert_int_equal(c, 1); /* not 2: one rounding, after the sum */
    u.n[0] = INT64_MAX;
    static const struct proto_point dear[] = {{0, PROTO_UNIT_input, 0, INT64_MAX}};
    assert_int_equal(proto_price_cost(dear, 1, 0, &u, &c), -ERANGE);
    u.n[0] = -1;
    assert_int_equal(proto_price_cost(p, 2, 0, &u, &c), -ERANGE);
    int64_t fee;
    assert_int_equal(proto_fee(1, 20000, &fee), 0);
    assert_int_equal(fee, 1);
    assert_int_equal(proto_fee(INT64_MAX, UINT32_MAX, &fee), -ERANGE);
}

/* Whatever the mix, the bound is never below the cost. */
static void F1_bound_is_never_below_cost(void **state)
{
    (void)state;
    uint64_t x = 88172645463325252u;
    for (int i = 0; i < 20000; i++) {
        struct proto_units u = {.n = {0}};
        int64_t in = 0, out = 0, c, b;
        for (unsigned k = 0; k <= PROTO_UNIT_reasoning; k++) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            u.n[k] = (int64_t)(x % 100000);
            *(proto_unit_is_input(k) ? &in : &out) += u.n[k];
        }
        assert_int_equal(proto_price_cost(gpt, 5, (unsigned)(x >> 32) % 4, &u, &c), 0);
        assert_int_equal(proto_price_bound(gpt, 5, in, out, &b), 0);
        assert_true(b >= c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(F8_money_text_is_exact),
        cmocka_unit_test(F8_money_text_refuses_the_rest),
        cmocka_unit_test(F30_price_decimals_round_up),
        cmocka_unit_test(F8_cost_is_exact_with_tiers_and_classes),
        cmocka_unit_test(F8_cost_rounds_up_once),
        cmocka_unit_test(F1_bound_is_never_below_cost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
