/* SPDX-License-Identifier: Apache-2.0
 * What a leader says of followers that get on, and of one that does not.
 */
#include "ledger/progress.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void look(struct progress *p, uint64_t at_ms, uint64_t commit, uint64_t second,
                 uint64_t third)
{
    const struct pump_peer peers[] = {{.id = 2, .voter = true, .match = second},
                                      {.id = 3, .voter = true, .match = third}};
    progress_look(p, 7, peers, 2, commit, at_ms);
}

static void F48_a_follower_that_gets_nothing_is_stuck_however_little_it_lacks(void **state)
{
    (void)state;
    struct progress p = {0};
    look(&p, 1000, 50, 50, 50);
    look(&p, 2000, 51, 51, 50);
    look(&p, 9000, 51, 51, 50);
    assert_int_equal(progress_stuck_ms(&p, 2, 9000), 0);
    assert_int_equal(progress_stuck_ms(&p, 3, 9000), 7000);
    look(&p, 10000, 51, 51, 51);
    assert_int_equal(progress_stuck_ms(&p, 3, 10000), 0);
    look(&p, 11000, 60, 60, 51); /* it lacks something from now on */
    assert_int_equal(progress_stuck_ms(&p, 3, 11500), 500);
}

static void F48_a_follower_that_is_behind_and_catches_up_is_not_stuck(void **state)
{
    (void)state;
    struct progress p = {0};
    for (uint64_t s = 1; s < 100; s++) {
        look(&p, s * 1000, 100000 + s * 500, 100000 + s * 500, s * 600);
        assert_int_equal(progress_stuck_ms(&p, 3, s * 1000), 0);
    }
    assert_int_equal(progress_stuck_ms(&p, 9, 1), 0); /* nothing is known of it */
}

static void F48_another_leadership_begins_anew(void **state)
{
    (void)state;
    struct progress p = {0};
    const struct pump_peer peers[] = {{.id = 2, .match = 0}};
    look(&p, 1000, 50, 0, 50);
    progress_look(&p, 8, peers, 1, 50, 60000);
    assert_int_equal(progress_stuck_ms(&p, 2, 60000), 0);
    progress_look(&p, 8, peers, 1, 50, 63000);
    assert_int_equal(progress_stuck_ms(&p, 2, 63000), 3000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(F48_a_follower_that_gets_nothing_is_stuck_however_little_it_lacks),
        cmocka_unit_test(F48_a_follower_that_is_behind_and_catches_up_is_not_stuck),
        cmocka_unit_test(F48_another_leadership_begins_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
