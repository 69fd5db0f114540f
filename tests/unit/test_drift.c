/* SPDX-License-Identifier: Apache-2.0
 * The observer that adds transfers up apart from the machine's records.
 */
#include "ledger/report/drift.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct proto_uuid org = {.b = {1, [15] = 7}};

static struct core_machine *machine(void)
{
    static const struct core_config config;
    struct core_machine *m;
    assert_int_equal(core_machine_new(&m, &config, NULL), 0);
    return m;
}

static void moved(struct drift *d, const struct proto_uuid *o, int64_t amount)
{
    drift_on_transfer(d, &(struct core_transfer){.org = *o,
                                                 .from = CORE_FUNDING,
                                                 .to = CORE_AVAILABLE,
                                                 .kind = CORE_TRANSFER_DEPOSIT,
                                                 .amount = amount});
}

/* The machine does not know the org, so its balances are 0: a transfer it never made is drift. */
static void F4_a_transfer_that_the_records_do_not_show_is_found(void **state)
{
    (void)state;
    struct core_machine *m = machine();
    struct drift d;
    int64_t found;
    struct proto_uuid where = {{0}};
    drift_init(&d);
    assert_int_equal(drift_compare(&d, m, &found, &where), 0);
    assert_int_equal(found, 0);
    moved(&d, &org, 5);
    assert_int_equal(drift_compare(&d, m, &found, &where), 0); /* the base line */
    assert_int_equal(found, 0);
    moved(&d, &org, 3);
    assert_int_equal(drift_compare(&d, m, &found, &where), 0);
    assert_int_equal(found, 6); /* 3 too much here, 3 too little there */
    assert_true(proto_uuid_eq(&where, &org));
    assert_int_equal(d.figure, 6);
    assert_int_equal(drift_compare(&d, m, &found, &where), 0); /* told once, kept in the figure */
    assert_int_equal(found, 0);
    assert_int_equal(d.figure, 6);
    drift_close(&d);
    core_machine_free(m);
}

static void F4_more_orgs_than_fit_are_forgotten_not_mistaken(void **state)
{
    (void)state;
    struct core_machine *m = machine();
    struct drift d;
    int64_t found;
    struct proto_uuid where = {{0}}, many = org;
    drift_init(&d);
    for (uint32_t i = 0; i <= DRIFT_ORGS_MAX; i++) {
        memcpy(many.b + 8, &i, sizeof i);
        moved(&d, &many, 1);
    }
    assert_true(d.full);
    assert_int_equal(drift_compare(&d, m, &found, &where), 0);
    assert_int_equal(found, 0);
    assert_int_equal(d.n, 0);
    moved(&d, &org, 1); /* watched anew, from a base line */
    assert_int_equal(drift_compare(&d, m, &found, &where), 0);
    assert_int_equal(found, 0);
    drift_close(&d);
    core_machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(F4_a_transfer_that_the_records_do_not_show_is_found),
        cmocka_unit_test(F4_more_orgs_than_fit_are_forgotten_not_mistaken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
