/* SPDX-License-Identifier: Apache-2.0
 * Prices in the core: imports, stale versions, unpriced models, and what settle multiplies.
 */
#include "core_rig.h"

static struct proto_command priced(struct rig *g, uint32_t version, int64_t amount)
{
    struct proto_command c = reserve_command(g, 100, amount);
    c.body.reserve.price_version = version;
    return c;
}

static void F30_a_version_is_imported_in_chunks(void **state)
{
    struct rig *g = *state;
    assert_int_equal(import_prices(g, 2, 1, true, "model-a"), PROTO_VERSION_CONFLICT);
    assert_int_equal(g->r.body.versions.prices, 0);
    assert_int_equal(import_prices(g, 1, 1, false, "model-a"), PROTO_OK);
    assert_int_equal(import_prices(g, 1, 3, false, "model-b"), PROTO_VERSION_CONFLICT);
    assert_int_equal(import_prices(g, 1, 2, false, "model-a"), PROTO_MALFORMED); /* twice */
    assert_int_equal(import_prices(g, 1, 1, false, "model-x"), PROTO_OK);        /* anew */
    assert_int_equal(import_prices(g, 1, 2, false, "model-a"), PROTO_OK);
    assert_int_equal(import_prices(g, 1, 3, true, "model-b"), PROTO_OK);
    assert_int_equal(g->r.body.created.number, 1);
    assert_int_equal(import_prices(g, 1, 1, true, "model-a"), PROTO_VERSION_CONFLICT);
    assert_int_equal(import_prices(g, 2, 1, true, ""), PROTO_MALFORMED);
    struct proto_command c = command(g, PROTO_CMD_price_import);
    c.body.price_import = (struct proto_price_import){
        .version = 2, .source = S(""), .first = 1, .count = 1, .rows = S("junk")};
    assert_int_equal(apply(g, &c), PROTO_MALFORMED);
    c.head.org = (struct proto_uuid){{0}};
    assert_int_equal(apply(g, &c), PROTO_MALFORMED);
}

static void F30_the_active_version_and_the_one_before_are_good(void **state)
{
    struct rig *g = *state;
    for (uint32_t v = 1; v <= 3; v++)
        assert_int_equal(import_prices(g, v, 1, true, "model-a"), PROTO_OK);
    struct proto_command c = priced(g, 1, 0);
    assert_int_equal(apply(g, &c), PROTO_STALE_CONFIG);
    assert_int_equal(g->r.body.versions.prices, 3);
    c.body.reserve.price_version = 3; /* refreshed, under the same id */
    assert_int_equal(apply(g, &c), PROTO_OK);
    c = priced(g, 2, 0);
    assert_int_equal(apply(g, &c), PROTO_OK);
    assert_int_equal(g->r.body.reserved.price_version, 2);
    c = priced(g, 4, 0);
    assert_int_equal(apply(g, &c), PROTO_STALE_CONFIG);
}

static void F8_settle_multiplies_units_with_the_holds_own_prices(void **state)
{
    struct rig *g = *state;
    assert_int_equal(import_prices(g, 1, 1, true, "model-a"), PROTO_OK);
    pay(g, PROTO_CMD_deposit, USD(5), "");
    struct proto_command c = priced(g, 1, USD(1));
    assert_int_equal(apply(g, &c), PROTO_OK);
    assert_int_equal(import_prices(g, 2, 1, true, "model-z"), PROTO_OK);
    struct proto_command s = settle_command(g, c.head.id, 0);
    s.body.settle.source = PROTO_COST_USAGE;
    s.body.settle.units.n = 2;
    s.body.settle.units.e[0] = (struct proto_usage){PROTO_UNIT_input, 1000};
    s.body.settle.units.e[1] = (struct proto_usage){PROTO_UNIT_output, 501};
    assert_int_equal(apply(g, &s), PROTO_OK);
    assert_int_equal(g->r.body.settled.cost, 2000000 + 5010000);
    assert_int_equal(g->r.flags, 0);

    struct proto_command again_c = priced(g, 1, USD(1));
    assert_int_equal(apply(g, &again_c), PROTO_OK);
    s = settle_command(g, again_c.head.id, 0);
    s.body.settle.source = PROTO_COST_ESTIMATE;
    s.body.settle.units.n = 1;
    s.body.settle.units.e[0] = (struct proto_usage){PROTO_UNIT_output, INT64_MAX};
    assert_int_equal(apply(g, &s), PROTO_AMOUNT_OVERFLOW);
    s.body.settle.units.e[0].n = 1;
    s.body.settle.units.n = 2;
    s.body.settle.units.e[1] = s.body.settle.units.e[0];
    assert_int_equal(apply(g, &s), PROTO_MALFORMED); /* a unit twice */
    s.body.settle.units.n = 1;
    assert_int_equal(apply(g, &s), PROTO_OK);
    assert_int_equal(g->r.flags, PROTO_FLAG_ESTIMATED);
    assert_int_equal(g->r.body.settled.cost, 10000);
}

static void F54_an_unpriced_model_is_refused_unless_the_org_allows_it(void **state)
{
    struct rig *g = *state;
    assert_int_equal(import_prices(g, 1, 1, true, "model-z"), PROTO_OK);
    struct proto_command c = command(g, PROTO_CMD_org_set);
    c.body.org_set = (struct proto_org_set){.name = S("strict"), .billing_day = 1};
    assert_int_equal(apply(g, &c), PROTO_OK);
    c = priced(g, 1, 0);
    assert_int_equal(apply(g, &c), PROTO_MODEL_UNPRICED);
    c = command(g, PROTO_CMD_org_set);
    c.body.org_set = (struct proto_org_set){
        .name = S("free"), .billing_day = 1, .fee_ppm = 40000, .allow_unpriced = true};
    assert_int_equal(apply(g, &c), PROTO_OK);
    pay(g, PROTO_CMD_deposit, USD(5), "");
    c = priced(g, 1, USD(2));
    assert_int_equal(apply(g, &c), PROTO_OK);
    struct proto_command s = settle_command(g, c.head.id, 0);
    s.body.settle.source = PROTO_COST_USAGE;
    assert_int_equal(apply(g, &s), PROTO_OK); /* never zero: what was held */
    assert_int_equal(g->r.flags, PROTO_FLAG_ESTIMATED);
    assert_int_equal(g->r.body.settled.cost, USD(2));
    assert_int_equal(g->r.body.settled.fee, USD(2) / 25);
    assert_int_equal(g->r.body.settled.released, 0);
    c = priced(g, 1, 0);
    c.body.reserve.flags = PROTO_RESERVE_UNBOUNDED;
    assert_int_equal(apply(g, &c), PROTO_UNBOUNDED_REQUEST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(F30_a_version_is_imported_in_chunks),
        RIG_TEST(F30_the_active_version_and_the_one_before_are_good),
        RIG_TEST(F8_settle_multiplies_units_with_the_holds_own_prices),
        RIG_TEST(F54_an_unpriced_model_is_refused_unless_the_org_allows_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
