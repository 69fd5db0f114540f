/* SPDX-License-Identifier: Apache-2.0
 * When commands of nobody we know make a crowd.
 */
#include "ledger/strangers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void F51_a_few_are_no_crowd(void **state)
{
    (void)state;
    struct strangers s = {0};
    for (unsigned window = 0; window < 20; window++)
        for (unsigned i = 0; i < STRANGERS_FEW; i++)
            assert_false(strangers_note(&s, 1000 + window * STRANGERS_WINDOW_MS));
    assert_false(strangers_crowd(&s, 1000 + 19 * STRANGERS_WINDOW_MS));
}

static void F51_a_crowd_lasts_as_long_as_they_come(void **state)
{
    (void)state;
    struct strangers s = {0};
    for (unsigned i = 0; i < STRANGERS_FEW; i++)
        assert_false(strangers_note(&s, 1000 + i));
    assert_true(strangers_note(&s, 2000)); /* said once */
    assert_false(strangers_note(&s, 2001));
    assert_true(strangers_crowd(&s, 2001 + STRANGERS_WINDOW_MS - 1));
    assert_false(strangers_crowd(&s, 2001 + STRANGERS_WINDOW_MS));
    for (unsigned i = 0; i < STRANGERS_FEW; i++) /* another window */
        assert_false(strangers_note(&s, 20000));
    assert_false(strangers_crowd(&s, 20000));
    assert_true(strangers_note(&s, 20000));
}

static void F51_who_has_a_credential_is_no_stranger(void **state)
{
    (void)state;
    assert_true(strangers_code(PROTO_MALFORMED));
    assert_true(strangers_code(PROTO_UNAUTHENTICATED));
    assert_true(strangers_code(PROTO_ORG_UNKNOWN));
    assert_false(strangers_code(PROTO_OK));
    assert_false(strangers_code(PROTO_KEY_REVOKED));
    assert_false(strangers_code(PROTO_HOLD_UNKNOWN)); /* it may be on its way */
    assert_false(strangers_code(PROTO_BUDGET_EXCEEDED));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(F51_a_few_are_no_crowd),
        cmocka_unit_test(F51_a_crowd_lasts_as_long_as_they_come),
        cmocka_unit_test(F51_who_has_a_credential_is_no_stranger),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
