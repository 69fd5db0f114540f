/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { NOW_MS = 1000000 };
static const struct pump_now now = {.mono_ms = NOW_MS, .wall_us = 5000000};

static struct pump_peer peer(int64_t ahead_us, uint64_t heard_ms)
{
    return (struct pump_peer){.voter = true,
                              .heard_ms = heard_ms,
                              .clock_us = 5000000 + ahead_us,
                              .clock_here_us = 5000000};
}

static void F7_our_clock_is_measured_against_the_median(void **state)
{
    (void)state;
    int64_t offset = 1;
    struct pump_peer p[4] = {peer(0, NOW_MS), peer(3, NOW_MS)};
    assert_true(node_clock_offset(p, 2, now, &offset)); /* 0 (ours), 0, 3 */
    assert_int_equal(offset, 0);

    p[0] = peer(-900000, NOW_MS); /* both others are behind: we are ahead */
    p[1] = peer(-800000, NOW_MS);
    assert_true(node_clock_offset(p, 2, now, &offset));
    assert_int_equal(offset, 800000);

    p[0] = peer(900000, NOW_MS); /* one of them is far off: not we */
    p[1] = peer(-10, NOW_MS);
    assert_true(node_clock_offset(p, 2, now, &offset));
    assert_int_equal(offset, 0);

    p[0] = p[1] = p[2] = peer(700, NOW_MS); /* an even number: ours and three others */
    assert_true(node_clock_offset(p, 3, now, &offset));
    assert_int_equal(offset, -700);
}

static void F7_a_clock_that_was_set_shows_at_once(void **state)
{
    (void)state;
    int64_t offset = 1;
    struct pump_peer p[2] = {peer(0, NOW_MS), peer(0, NOW_MS)};
    struct pump_now later = {.mono_ms = NOW_MS + 50, .wall_us = 5000000 + 50000};
    assert_true(node_clock_offset(p, 2, later, &offset)); /* time went on, nothing else */
    assert_int_equal(offset, 0);
    later.wall_us += 3600000000;
    assert_true(node_clock_offset(p, 2, later, &offset)); /* before any of them spoke again */
    assert_int_equal(offset, 3600000000);
}

static void F7_two_clocks_do_not_say_which_is_wrong(void **state)
{
    (void)state;
    int64_t offset = 1;
    struct pump_peer p[3] = {peer(900000, NOW_MS), peer(900000, 0),
                             peer(900000, NOW_MS - CLOCK_GUARD_FRESH_MS - 1)};
    assert_false(node_clock_offset(p, 3, now, &offset)); /* never heard, heard too long ago */
    p[1] = peer(900000, NOW_MS);
    p[1].voter = false;
    assert_false(node_clock_offset(p, 3, now, &offset));
    assert_int_equal(offset, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(F7_our_clock_is_measured_against_the_median),
        cmocka_unit_test(F7_a_clock_that_was_set_shows_at_once),
        cmocka_unit_test(F7_two_clocks_do_not_say_which_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
