/* SPDX-License-Identifier: Apache-2.0
 * What a review of the machine found: each test failed before its fix.
 */
#include "core_rig.h"

/* Version 2^32 - 1 is not the one before version 0. */
static void F30_no_price_version_before_the_first(void **state)
{
    struct rig *g = *state;
    struct proto_command c;
    pay(g, PROTO_CMD_deposit, USD(1), "");
    c = reserve_command(g, 100, 5);
    c.body.reserve.price_version = UINT32_MAX;
    assert_int_equal(apply(g, &c), PROTO_STALE_CONFIG);
}

/* A hold's window is that of its reserve, whatever the org's billing day is now. */
static void F13_an_extend_names_the_end_of_the_holds_own_window(void **state)
{
    struct rig *g = *state;
    struct proto_command c;
    pay(g, PROTO_CMD_deposit, USD(100), "");
    budget(g, PROTO_SCOPE_org, 0, "", PROTO_WINDOW_monthly, USD(1), PROTO_MODE_hard_block);
    struct proto_uuid hold = reserve(g, 100, USD(1), PROTO_OK);
    c = command(g, PROTO_CMD_org_set);
    c.body.org_set = (struct proto_org_set){.name = S("acme"), .billing_day = 20};
    assert_int_equal(apply(g, &c), PROTO_OK);
    assert_int_equal(extend(g, 100, hold, 1, MINUTE), PROTO_BUDGET_IN_FLIGHT);
    assert_int_equal(g->r.body.refused.reset_us, START_US + 31 * DAY);
}

static int64_t unconfirmed(struct rig *g)
{
    uint8_t query[128];
    static uint8_t answer[PROTO_ANSWER_MAX];
    struct proto_query q = {.head = {.kind = PROTO_QUERY_totals}};
    struct proto_writer qw = proto_writer_over(query, sizeof query);
    struct proto_writer aw = proto_writer_over(answer, sizeof answer);
    struct proto_answer a;
    struct proto_str row;
    struct proto_totals_row t;
    assert_true(proto_query_put(&qw, &q));
    assert_int_equal(core_machine_query(g->m, query, qw.n, &aw), 0);
    assert_true(proto_answer_get(answer, aw.n, &a, NULL));
    assert_true(proto_answer_row(&a, &row));
    struct proto_reader r = proto_reader_over(row.p, row.n);
    assert_true(proto_totals_row_get(&r, &t));
    return t.expired_unconfirmed_nanos;
}

/* Three orgs with all the money that there can be: the published sum neither wraps nor turns
 * negative. */
static void F7_what_expired_is_never_less_than_nothing(void **state)
{
    struct rig *g = *state;
    static const char *const public[] = {"0000a", "0000b", "0000c"};
    struct proto_uuid hold[3];
    for (uint8_t i = 0; i < 3; i++) {
        g->org = uuid_of((uint8_t)(10 + i));
        assert_int_equal(org_create(g, g->org, 0), PROTO_OK);
        assert_int_equal(key_create(g, 0, public[i], 200u + i), 1);
        assert_int_equal(pay(g, PROTO_CMD_deposit, INT64_MAX, ""), PROTO_OK);
        hold[i] = reserve(g, 200u + i, INT64_MAX, PROTO_OK);
    }
    tick(g, 2 * MINUTE);
    assert_int_equal(g->expired, 3);
    assert_int_equal(unconfirmed(g), INT64_MAX);
    for (uint8_t i = 0; i < 3; i++) {
        g->org = uuid_of((uint8_t)(10 + i));
        assert_int_equal(i ? release(g, hold[i]) : settle(g, hold[i], 1), PROTO_OK);
        assert_int_equal(unconfirmed(g), 0);
    }
}

/* A rule that changes its window where all places are taken adds none. */
static void F12_a_full_subject_can_still_change_its_rules(void **state)
{
    struct rig *g = *state;
    struct proto_command c;
    for (uint32_t i = 1; i <= 8; i++)
        assert_int_equal(
            budget(g, PROTO_SCOPE_org, 0, "", PROTO_WINDOW_daily, USD(i), PROTO_MODE_hard_block),
            i);
    c = budget_command(g, PROTO_SCOPE_org, 0, "", PROTO_WINDOW_hourly, USD(1),
                       PROTO_MODE_hard_block);
    assert_int_equal(apply(g, &c), PROTO_QUOTA_EXCEEDED);
    c.head.id = uuid_at(g, g->clock_us);
    c.body.budget_put.budget = 3;
    assert_int_equal(apply(g, &c), PROTO_OK);
}

/* A text that is cut for the audit trail is cut between characters: its page can be read. */
static void F37_an_audit_text_is_cut_between_characters(void **state)
{
    struct rig *g = *state;
    uint8_t query[128];
    static uint8_t answer[PROTO_ANSWER_MAX];
    for (unsigned shift = 0; shift < 8; shift++) {
        char name[PROTO_NAME_MAX + 1] = {0};
        for (unsigned i = 0; i < 113 + shift; i++)
            strcat(name, "\"");
        while (strlen(name) + 3 <= PROTO_NAME_MAX)
            strcat(name, "\xe2\x82\xac");
        struct proto_command c = budget_command(g, PROTO_SCOPE_customer, 0, name,
                                                PROTO_WINDOW_daily, USD(1), PROTO_MODE_hard_block);
        assert_int_equal(apply(g, &c), PROTO_OK);
        c = command(g, PROTO_CMD_org_set);
        c.body.org_set = (struct proto_org_set){.name = S(name), .billing_day = 20};
        assert_int_equal(apply(g, &c), PROTO_OK);
    }
    struct proto_query q = {
        .head = {.kind = PROTO_QUERY_audit, .org = g->org, .cred = secret(OPERATOR)}};
    struct proto_writer qw = proto_writer_over(query, sizeof query);
    struct proto_writer aw = proto_writer_over(answer, sizeof answer);
    struct proto_answer a;
    struct proto_str row;
    assert_true(proto_query_put(&qw, &q));
    assert_true(proto_query_seal(query, qw.n, NULL));
    assert_int_equal(core_machine_query(g->m, query, qw.n, &aw), 0);
    assert_true(proto_answer_get(answer, aw.n, &a, NULL));
    assert_int_equal(a.code, PROTO_OK);
    while (a.n > 0 && proto_answer_row(&a, &row)) {
        struct proto_reader r = proto_reader_over(row.p, row.n);
        struct proto_audit_row v;
        if (!proto_audit_row_get(&r, &v))
            fail_msg("an audit row cannot be read: %s", r.error);
    }
}

/* The env of a key is the key's: a request cannot name another to come under another budget. */
static void F12_a_keys_env_cannot_be_escaped(void **state)
{
    struct rig *g = *state;
    struct proto_command c = key_command(g, 1, "0000dev", 101);
    pay(g, PROTO_CMD_deposit, USD(100), "");
    c.body.key_create.env = S("dev");
    assert_int_equal(apply(g, &c), PROTO_OK);
    budget(g, PROTO_SCOPE_env, 0, "dev", PROTO_WINDOW_daily, USD(1), PROTO_MODE_hard_block);
    c = reserve_command(g, 101, USD(2));
    c.body.reserve.env = S("prod");
    assert_int_equal(apply(g, &c), PROTO_REQUEST_EXCEEDS_BUDGET);
    c = reserve_command(g, 100, USD(2)); /* a key without one goes by the request's */
    c.body.reserve.env = S("prod");
    assert_int_equal(apply(g, &c), PROTO_OK);
}

static unsigned import_from(struct rig *g, const char *source, uint32_t first, const char *model)
{
    uint8_t rows[PROTO_PRICE_MAX];
    struct proto_price p = {.model = S(model)};
    struct proto_writer w = proto_writer_over(rows, sizeof rows);
    p.points.n = 1;
    p.points.e[0] = (struct proto_point){.unit = PROTO_UNIT_input, .price = 1};
    proto_price_put(&w, &p);
    struct proto_command c = command(g, PROTO_CMD_price_import);
    c.head.org = (struct proto_uuid){{0}};
    c.body.price_import = (struct proto_price_import){.version = 1,
                                                      .source = S(source),
                                                      .first = first,
                                                      .count = 1,
                                                      .rows = {(const char *)rows, (uint32_t)w.n}};
    return apply(g, &c);
}

/* The rows of two imports at once never become one version. */
static void F30_two_imports_do_not_mix(void **state)
{
    struct rig *g = *state;
    assert_int_equal(import_from(g, "yours", 1, "a"), PROTO_OK);
    assert_int_equal(import_from(g, "mine", 1, "b"), PROTO_OK);
    assert_int_equal(import_from(g, "yours", 2, "c"), PROTO_VERSION_CONFLICT);
    assert_int_equal(import_from(g, "mine", 2, "d"), PROTO_OK);
}

/* Releases of holds that never were, by somebody without any credential. */
static void flood(struct rig *g, uint32_t n)
{
    enum { BATCH = 1000, EACH = 256 };
    static uint8_t bytes[BATCH][EACH];
    static struct proto_str commands[BATCH];
    struct core_outcome out;
    for (uint32_t done = 0; done < n; done += BATCH) {
        for (uint32_t i = 0; i < BATCH; i++) {
            struct proto_command c = command(g, PROTO_CMD_release);
            struct proto_writer w = proto_writer_over(bytes[i], EACH);
            c.head.cred = (struct proto_hash){{0}};
            c.body.release.hold = uuid_at(g, g->clock_us);
            assert_true(proto_command_put(&w, &c));
            commands[i] = (struct proto_str){(const char *)bytes[i], (uint32_t)w.n};
        }
        rig_entry(g, commands, BATCH, &out);
    }
}

static unsigned reserve_released(struct rig *g)
{
    struct proto_command c = reserve_command(g, 100, 0);
    assert_int_equal(release(g, c.head.id), PROTO_HOLD_UNKNOWN);
    return apply(g, &c);
}

static void F36_unknown_holds_cannot_fill_the_store(void **state)
{
    struct rig *g = *state;
    assert_int_equal(reserve_released(g), PROTO_HOLD_CLOSED);
    size_t before = core_machine_records(g->m);
    flood(g, 150000);
    assert_true(core_machine_records(g->m) - before <= 100000);
    assert_int_equal(reserve_released(g), PROTO_OK);
    g->clock_us += 11 * MINUTE;
    assert_int_equal(reserve_released(g), PROTO_HOLD_CLOSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(F30_no_price_version_before_the_first),
        RIG_TEST(F13_an_extend_names_the_end_of_the_holds_own_window),
        RIG_TEST(F7_what_expired_is_never_less_than_nothing),
        RIG_TEST(F12_a_full_subject_can_still_change_its_rules),
        RIG_TEST(F37_an_audit_text_is_cut_between_characters),
        RIG_TEST(F12_a_keys_env_cannot_be_escaped),
        RIG_TEST(F30_two_imports_do_not_mix),
        RIG_TEST(F36_unknown_holds_cannot_fill_the_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
