/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/load.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define SECOND UINT64_C(1000000000)

/* A server that stands still for a second: calls that were due meanwhile begin late, and their
 * latency counts from when they were due. */
static void open_loop_counts_from_the_scheduled_time(void **state)
{
    (void)state;
    struct bench_options o = {.threads = 1, .rate = 100, .seconds = 10, .warmup = 0};
    struct load_schedule s;
    uint64_t due;
    load_schedule_init(&s, &o, SECOND, 0);
    assert_true(load_schedule_take(&s, SECOND, &due));
    assert_int_equal(due, SECOND);
    assert_false(load_schedule_take(&s, SECOND + SECOND / 200, &due));
    assert_int_equal(load_schedule_wait(&s, SECOND), SECOND / 100);
    unsigned late = 0;
    while (load_schedule_take(&s, 2 * SECOND, &due)) {
        late++;
        assert_int_equal(due, SECOND + late * SECOND / 100);
    }
    assert_int_equal(late, 100);
}

static void open_loop_offers_the_rate_over_all_threads(void **state)
{
    (void)state;
    struct bench_options o = {.threads = 4, .rate = 1000, .seconds = 3, .warmup = 2};
    unsigned taken = 0, measured = 0;
    for (unsigned thread = 0; thread < 4; thread++) {
        struct load_schedule s;
        uint64_t due;
        load_schedule_init(&s, &o, SECOND, thread);
        for (uint64_t now = SECOND; now < 7 * SECOND; now += SECOND / 2000)
            while (load_schedule_take(&s, now, &due)) {
                taken++;
                measured += due >= s.measure_ns;
            }
        assert_int_equal(load_schedule_wait(&s, 7 * SECOND), UINT64_MAX);
    }
    assert_in_range(taken, 4996, 5000);
    assert_in_range(measured, 2996, 3000);
}

static void closed_loop_is_always_due_until_the_end(void **state)
{
    (void)state;
    struct bench_options o = {.threads = 1, .seconds = 1};
    struct load_schedule s;
    uint64_t due;
    load_schedule_init(&s, &o, SECOND, 0);
    assert_true(load_schedule_take(&s, SECOND + 5, &due));
    assert_int_equal(due, SECOND + 5);
    assert_int_equal(load_schedule_wait(&s, SECOND + 6), 0);
    assert_false(load_schedule_take(&s, 2 * SECOND, &due));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(open_loop_counts_from_the_scheduled_time),
        cmocka_unit_test(open_loop_offers_the_rate_over_all_threads),
        cmocka_unit_test(closed_loop_is_always_due_until_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
