/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static struct histogram h, other;

/* One value: every percentile is that value, as well as a bucket can say. */
static void histogram_error_is_below_one_percent(void **state)
{
    (void)state;
    for (uint64_t v = 0; v < HISTOGRAM_MAX; v += 1 + v / 37) {
        histogram_init(&h);
        histogram_add(&h, v);
        histogram_add(&h, HISTOGRAM_MAX); /* so that the maximum does not cut */
        uint64_t got = histogram_at(&h, 0.5);
        assert_true(got >= v);
        assert_true((got - v) * 100 <= v);
    }
}

static void histogram_small_values_are_exact(void **state)
{
    (void)state;
    histogram_init(&h);
    for (uint64_t v = 1; v <= 200; v++)
        histogram_add(&h, v);
    assert_int_equal(histogram_at(&h, 0), 1);
    assert_int_equal(histogram_at(&h, 0.5), 100);
    assert_int_equal(histogram_at(&h, 0.99), 198);
    assert_int_equal(histogram_at(&h, 1), 200);
    assert_true(histogram_mean(&h) > 100.49 && histogram_mean(&h) < 100.51);
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Against sorted values, over magnitudes from 1 ns to an hour. */
static void histogram_percentiles_match_sorted_values(void **state)
{
    (void)state;
    enum { N = 20000 };
    static uint64_t value[N];
    uint64_t seed = 42;
    histogram_init(&h);
    for (unsigned i = 0; i < N; i++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        value[i] = (seed >> 20) >> ((seed >> 58) % 42);
        histogram_add(&h, value[i]);
    }
    qsort(value, N, sizeof *value, by_value);
    static const double part[] = {0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999, 1};
    for (unsigned i = 0; i < sizeof part / sizeof *part; i++) {
        unsigned rank = (unsigned)(part[i] * N + 0.999999);
        uint64_t want = value[rank - 1], got = histogram_at(&h, part[i]);
        assert_true(got >= want);
        assert_true((got - want) * 100 <= want);
    }
}

static void histogram_merge_is_the_union(void **state)
{
    (void)state;
    histogram_init(&h);
    histogram_init(&other);
    for (uint64_t v = 0; v < 100; v++)
        histogram_add(v % 2 ? &h : &other, v);
    histogram_merge(&h, &other);
    assert_int_equal(h.n, 100);
    assert_int_equal(h.min, 0);
    assert_int_equal(h.max, 99);
    assert_int_equal(histogram_at(&h, 0.5), 49);
}

static void histogram_bounds(void **state)
{
    (void)state;
    histogram_init(&h);
    assert_int_equal(histogram_at(&h, 0.5), 0);
    histogram_add(&h, UINT64_MAX);
    assert_int_equal(histogram_at(&h, 0.5), HISTOGRAM_MAX);
    assert_int_equal(h.max, HISTOGRAM_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(histogram_error_is_below_one_percent),
        cmocka_unit_test(histogram_small_values_are_exact),
        cmocka_unit_test(histogram_percentiles_match_sorted_values),
        cmocka_unit_test(histogram_merge_is_the_union),
        cmocka_unit_test(histogram_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
