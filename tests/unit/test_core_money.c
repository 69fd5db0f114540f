/* SPDX-License-Identifier: Apache-2.0
 * Money in the core: every row of the ledger's table of transfers and of its corner cases.
 */
#include "core_rig.h"

static void F1_settle_charges_cost_and_returns_the_rest(void **state)
{
    struct rig *g = *state;
    assert_int_equal(pay(g, PROTO_CMD_deposit, USD(10), "pay-1"), PROTO_OK);
    struct proto_uuid hold = reserve(g, 100, USD(3), PROTO_OK);
    assert_int_equal(g->r.body.reserved.amount, USD(3));
    assert_int_equal(g->r.body.reserved.team, 1);
    assert_int_equal(g->r.body.reserved.deadline_us, g->clock_us + MINUTE);
    assert_int_equal(ACCOUNT(g, CORE_AVAILABLE), USD(7));
    assert_int_equal(ACCOUNT(g, CORE_HELD), USD(3));
    assert_int_equal(core_machine_open_holds(g->m), 1);
    assert_int_equal(settle(g, hold, USD(1)), PROTO_OK);
    assert_int_equal(g->r.body.settled.cost, USD(1));
    assert_int_equal(g->r.body.settled.released, USD(2));
    assert_int_equal(ACCOUNT(g, CORE_AVAILABLE), USD(9));
    assert_int_equal(ACCOUNT(g, CORE_HELD), 0);
    assert_int_equal(ACCOUNT(g, CORE_USAGE), USD(1));
    assert_int_equal(core_machine_open_holds(g->m), 0);
}

static void F1_release_gives_the_whole_hold_back(void **state)
{
    struct rig *g = *state;
    pay(g, PROTO_CMD_grant, USD(2), "");
    pay(g, PROTO_CMD_deposit, USD(10), "");
    struct proto_uuid hold = reserve(g, 100, USD(3), PROTO_OK);
    assert_int_equal(ACCOUNT(g, CORE_PROMO), 0); /* promo first */
    assert_int_equal(ACCOUNT(g, CORE_AVAILABLE), USD(9));
    assert_int_equal(release(g, hold), PROTO_OK);
    assert_int_equal(g->r.body.settled.released, USD(3));
    assert_int_equal(ACCOUNT(g, CORE_PROMO), USD(2));
    assert_int_equal(ACCOUNT(g, CORE_AVAILABLE), USD(10));
    assert_int_equal(ACCOUNT(g, CORE_USAGE), 0);
}

static void F2_F3_no_credit_no_hold(void **state)
{
    struct rig *g = *state;
    pay(g, PROTO_CMD_deposit, USD(1), "");
    reserve(g, 100, USD(1) + 1, PROTO_INSUFFICIENT_CREDIT);
    assert_int_equal(g->r.shape, PROTO_SHAPE_short_of);
    assert_int_equal(g->r.body.short_of.needed, USD(1) + 1);
    assert_int_equal(ACCOUNT(g, CORE_AVAILABLE), USD(1));
    reserve(g, 100, USD(1), PROTO_OK);
    reserve(g, 100, 1, PROTO_INSUFFICIENT_CREDIT);
    reserve(g, 100, 0, PROTO_OK); /* a hold without transfers */
    assert_int_equal(ACCOUNT(g, CORE_AVAILABLE), 0);
}

static void F2_overrun_takes_what_there_is_and_writes_off_the_rest(void **state)
{
    struct rig *g = *state;
    pay(g, PROTO_CMD_deposit, USD(4), "");
    struct proto_uuid hold = reserve(g, 100, USD(3), PROTO_OK);
    assert_int_equal(settle(g, hold, USD(6)), PROTO_OK);
    assert_int_equal(g->r.flags, PROTO_FLAG_OVERRUN);
    assert_int_equal(g->r.body.settled.cost, USD(6));
    assert_int_equal(g->r.body.settled.written_off, USD(2));
    assert_int_equal(ACCOUNT(g, CORE_AVAILABLE), 0);
    assert_int_equal(ACCOUNT(g, CORE_USAGE), USD(6));
    assert_int_equal(ACCOUNT(g, CORE_WRITEOFF), -USD(2));
}

static void F9_fee_is_its_own_transfer_and_waived_beyond_the_hold(void **state)
{
    struct rig *g = *state;
    g->org = uuid_of(2);
    assert_int_equal(org_create(g, g->org, 20000), PROTO_OK); /* 2 % */
    key_create(g, 0, "0000key2", 200);
    pay(g, PROTO_CMD_deposit, USD(10), "");
    struct proto_uuid hold = reserve(g, 200, USD(2), PROTO_OK);
    assert_int_equal(settle(g, hold, USD(1)), PROTO_OK);
    assert_int_equal(g->r.body.settled.fee, USD(1) / 50);
    assert_int_equal(ACCOUNT(g, CORE_FEES), USD(1) / 50);
    hold = reserve(g, 200, USD(1), PROTO_OK);
    assert_int_equal(g->r.body.reserved.amount, USD(1) + USD(1) / 50); /* room for the fee */
    assert_int_equal(settle(g, hold, USD(1)), PROTO_OK);
    assert_int_equal(g->r.flags, 0);
    assert_int_equal(g->r.body.settled.fee, USD(1) / 50);
    assert_int_equal(g->r.body.settled.released, 0);
    hold = reserve(g, 200, USD(1), PROTO_OK);
    assert_int_equal(settle(g, hold, USD(1) + USD(1) / 50), PROTO_OK);
    assert_int_equal(g->r.flags, PROTO_FLAG_OVERRUN);
    assert_int_equal(g->r.body.settled.fee, 0);
    assert_int_equal(g->r.body.settled.written_off, 0);
    hold = reserve(g, 200, USD(1), PROTO_OK);
    assert_int_equal(settle(g, hold, 1), PROTO_OK);
    assert_int_equal(g->r.body.settled.fee, 1); /* rounded up */
}

static unsigned reserve_with_key(struct rig *g, uint8_t value, struct proto_uuid *id)
{
    struct proto_command c = reserve_command(g, 100, USD(1));
    memset(c.body.reserve.idempotency.b, value, sizeof c.body.reserve.idempotency.b);
    *id = c.head.id;
    return apply(g, &c);
}

static void F6_an_idempotency_key_makes_one_call(void **state)
{
    struct rig *g = *state;
    struct proto_uuid first, other;
    pay(g, PROTO_CMD_deposit, USD(10), "");
    assert_int_equal(reserve_with_key(g, 1, &first), PROTO_OK);
    assert_int_equal(again(g), PROTO_OK); /* a retry of the command is not a second call */
    assert_int_equal(reserve_with_key(g, 1, &other), PROTO_IDEMPOTENT_REPEAT);
    assert_int_equal(g->r.shape, PROTO_SHAPE_repeated);
    assert_memory_equal(g->r.body.repeated.hold.b, first.b, sizeof first.b);
    assert_false(g->r.body.repeated.settled);
    assert_int_equal(ACCOUNT(g, CORE_HELD), USD(1));
    assert_int_equal(reserve_with_key(g, 2, &other), PROTO_OK); /* another value */
    assert_int_equal(settle(g, first, USD(1) / 2), PROTO_OK);
    uint64_t settled_at = g->index;
    assert_int_equal(reserve_with_key(g, 1, &other), PROTO_IDEMPOTENT_REPEAT);
    assert_true(g->r.body.repeated.settled);
    assert_int_equal(g->r.body.repeated.index, settled_at);
    assert_int_equal(g->r.body.repeated.cost, USD(1) / 2);
    g->clock_us += CORE_IDEMPOTENCY_US + 1;
    assert_int_equal(reserve_with_key(g, 1, &other), PROTO_OK); /* a day later */
}

static void F6_a_released_call_may_be_made_again(void **state)
{
    struct rig *g = *state;
    struct proto_uuid first, second;
    pay(g, PROTO_CMD_deposit, USD(10), "");
    assert_int_equal(reserve_with_key(g, 1, &first), PROTO_OK);
    assert_int_equal(release(g, first), PROTO_OK);
    assert_int_equal(reserve_with_key(g, 1, &second), PROTO_OK);
    assert_int_equal(reserve_with_key(g, 1, &first), PROTO_IDEMPOTENT_REPEAT);
    assert_memory_equal(g->r.body.repeated.hold.b, second.b, sizeof second.b);
}

static void F6_a_retry_gets_the_first_answer(void **state)
{
    struct rig *g = *state;
    pay(g, PROTO_CMD_deposit, USD(10), "");
    assert_int_equal(again(g), PROTO_OK);
    assert_int_equal(g->r.flags, PROTO_FLAG_DUPLICATE);
    assert_int_equal(g->r.shape, PROTO_SHAPE_earlier);
    assert_int_equal(g->r.body.earlier.index, g->index - 1);
    assert_int_equal(ACCOUNT(g, CORE_AVAILABLE), USD(10));
    struct proto_uuid hold = reserve(g, 100, USD(3), PROTO_OK);
    assert_int_equal(again(g), PROTO_OK);
    assert_int_equal(g->r.flags, PROTO_FLAG_DUPLICATE);
    assert_int_equal(g->r.body.reserved.amount, USD(3));
    assert_int_equal(ACCOUNT(g, CORE_HELD), USD(3));
    struct proto_command other = reserve_command(g, 100, USD(4));
    other.head.id = hold;
    assert_int_equal(apply(g, &other), PROTO_COMMAND_ID_REUSED);
    assert_int_equal(settle(g, hold, USD(1)), PROTO_OK);
    assert_int_equal(again(g), PROTO_OK);
    assert_int_equal(g->r.flags, PROTO_FLAG_DUPLICATE);
    assert_int_equal(settle(g, hold, USD(2)), PROTO_OK); /* another number: the first outcome */
    assert_int_equal(g->r.body.settled.cost, USD(1));
    assert_int_equal(release(g, hold), PROTO_HOLD_CLOSED);
    assert_int_equal(ACCOUNT(g, CORE_USAGE), USD(1));
}

static void F6_a_refused_reserve_stays_refused(void **state)
{
    struct rig *g = *state;
    reserve(g, 100, USD(3), PROTO_INSUFFICIENT_CREDIT);
    uint64_t index = g->index;
    uint8_t sealed[512];
    size_t n = g->sealed_n;
    memcpy(sealed, g->sealed, n);
    pay(g, PROTO_CMD_deposit, USD(10), "");
    memcpy(g->sealed, sealed, n);
    g->sealed_n = n;
    assert_int_equal(again(g), PROTO_INSUFFICIENT_CREDIT);
    assert_int_equal(g->r.flags, PROTO_FLAG_DUPLICATE);
    assert_int_equal(g->r.body.earlier.index, index);
    assert_int_equal(ACCOUNT(g, CORE_HELD), 0);
}

static void F6_a_retry_is_answered_after_the_key_was_revoked(void **state)
{
    struct rig *g = *state;
    pay(g, PROTO_CMD_deposit, USD(10), "");
    struct proto_uuid hold = reserve(g, 100, USD(3), PROTO_OK);
    uint8_t sealed[512];
    size_t n = g->sealed_n;
    memcpy(sealed, g->sealed, n);
    struct proto_command c = command(g, PROTO_CMD_key_revoke);
    c.body.key_revoke = (struct proto_key_revoke){1, S("leaked")};
    assert_int_equal(apply(g, &c), PROTO_OK);
    memcpy(g->sealed, sealed, n);
    g->sealed_n = n;
    assert_int_equal(again(g), PROTO_OK);
    assert_int_equal(g->r.flags, PROTO_FLAG_DUPLICATE);
    reserve(g, 100, USD(1), PROTO_KEY_REVOKED);
    assert_int_equal(extend(g, 100, hold, 1, MINUTE), PROTO_KEY_REVOKED);
    assert_int_equal(settle(g, hold, USD(1)), PROTO_OK); /* the token authorises */
}

static void F6_old_and_future_ids(void **state)
{
    struct rig *g = *state;
    pay(g, PROTO_CMD_deposit, USD(10), "");
    struct proto_command c = reserve_command(g, 100, 1);
    c.head.id = uuid_at(g, g->clock_us - CORE_HOT_HORIZON_US - 1000);
    assert_int_equal(apply(g, &c), PROTO_COMMAND_TOO_OLD);
    c.head.id = uuid_at(g, g->clock_us - CORE_HOT_HORIZON_US);
    assert_int_equal(apply(g, &c), PROTO_OK);
    c.head.id = uuid_at(g, g->clock_us + CORE_AHEAD_US + 1000);
    assert_int_equal(apply(g, &c), PROTO_MALFORMED);
    c.head.id = uuid_at(g, g->clock_us + CORE_AHEAD_US);
    assert_int_equal(apply(g, &c), PROTO_OK);
    struct proto_command d = command(g, PROTO_CMD_deposit);
    d.body.deposit = (struct proto_deposit){1, S(""), S("")};
    d.head.id = uuid_at(g, g->clock_us - CORE_ADMIN_HORIZON_US - 1000);
    assert_int_equal(apply(g, &d), PROTO_COMMAND_TOO_OLD);
    d.head.id = uuid_at(g, g->clock_us - CORE_ADMIN_HORIZON_US);
    assert_int_equal(apply(g, &d), PROTO_OK);
}

static void F6_a_release_that_overtook_its_reserve(void **state)
{
    struct rig *g = *state;
    pay(g, PROTO_CMD_deposit, USD(10), "");
    struct proto_command c = reserve_command(g, 100, USD(1));
    assert_int_equal(release(g, c.head.id), PROTO_HOLD_UNKNOWN);
    assert_int_equal(again(g), PROTO_HOLD_UNKNOWN);
    assert_int_equal(g->r.flags, PROTO_FLAG_DUPLICATE);
    assert_int_equal(apply(g, &c), PROTO_HOLD_CLOSED);
    assert_int_equal(settle(g, c.head.id, 1), PROTO_HOLD_CLOSED);
    assert_int_equal(ACCOUNT(g, CORE_HELD), 0);
    assert_int_equal(settle(g, uuid_at(g, g->clock_us), 1), PROTO_HOLD_UNKNOWN);
}

static void F6_references_are_unique_for_ever(void **state)
{
    struct rig *g = *state;
    assert_int_equal(pay(g, PROTO_CMD_deposit, USD(1), "evt_1"), PROTO_OK);
    assert_int_equal(pay(g, PROTO_CMD_deposit, USD(1), "evt_1"), PROTO_REFERENCE_USED);
    assert_int_equal(pay(g, PROTO_CMD_refund, USD(1), "evt_1"), PROTO_REFERENCE_USED);
    tick(g, 40 * DAY);
    assert_int_equal(pay(g, PROTO_CMD_deposit, USD(1), "evt_1"), PROTO_REFERENCE_USED);
    assert_int_equal(pay(g, PROTO_CMD_deposit, USD(1), "evt_2"), PROTO_OK);
    assert_int_equal(ACCOUNT(g, CORE_AVAILABLE), USD(2));
}

static void F7_orphans_expire_by_replicated_time(void **state)
{
    struct rig *g = *state;
    pay(g, PROTO_CMD_grant, USD(1), "");
    pay(g, PROTO_CMD_deposit, USD(10), "");
    reserve(g, 100, USD(3), PROTO_OK);
    assert_int_equal(core_machine_next_expiry(g->m), g->clock_us + MINUTE);
    tick(g, MINUTE - 1);
    assert_int_equal(g->expired, 0);
    tick(g, 1);
    assert_int_equal(g->expired, 1);
    assert_int_equal(ACCOUNT(g, CORE_HELD), 0);
    assert_int_equal(ACCOUNT(g, CORE_PROMO), USD(1));
    assert_int_equal(core_machine_open_holds(g->m), 0);
    assert_int_equal(core_machine_next_expiry(g->m), INT64_MAX);
}

static void F7_no_expiry_during_the_grace_of_a_new_term(void **state)
{
    struct rig *g = *state;
    pay(g, PROTO_CMD_deposit, USD(10), "");
    reserve(g, 100, USD(3), PROTO_OK);
    g->term++;
    tick(g, HOUR); /* the outage */
    assert_int_equal(g->expired, 0);
    assert_int_equal(core_machine_next_expiry(g->m), g->clock_us + CORE_HOLD_GRACE_US);
    tick(g, CORE_HOLD_GRACE_US - 1);
    assert_int_equal(g->expired, 0);
    tick(g, 1);
    assert_int_equal(g->expired, 1);
}

static void F7_expiry_is_bounded_per_entry(void **state)
{
    struct rig *g = *state;
    for (int i = 0; i < CORE_EXPIRE_PER_ENTRY + 10; i++)
        reserve(g, 100, 0, PROTO_OK);
    tick(g, HOUR);
    assert_int_equal(g->expired, CORE_EXPIRE_PER_ENTRY);
    tick(g, 0);
    assert_int_equal(g->expired, 10);
}

static void F7_late_settle_is_accepted_once(void **state)
{
    struct rig *g = *state;
    pay(g, PROTO_CMD_deposit, USD(4), "");
    struct proto_uuid hold = reserve(g, 100, USD(3), PROTO_OK);
    tick(g, HOUR);
    assert_int_equal(settle(g, hold, USD(5)), PROTO_OK);
    assert_int_equal(g->r.flags, PROTO_FLAG_LATE | PROTO_FLAG_OVERRUN);
    assert_int_equal(g->r.body.settled.written_off, USD(1));
    assert_int_equal(ACCOUNT(g, CORE_AVAILABLE), 0);
    assert_int_equal(ACCOUNT(g, CORE_WRITEOFF), -USD(1));
    assert_int_equal(again(g), PROTO_OK);
    assert_true(g->r.flags & PROTO_FLAG_DUPLICATE);
    assert_int_equal(ACCOUNT(g, CORE_USAGE), USD(5));
}

static void F7_late_release_and_the_end_of_the_late_window(void **state)
{
    struct rig *g = *state;
    pay(g, PROTO_CMD_deposit, USD(4), "");
    struct proto_uuid one = reserve(g, 100, USD(1), PROTO_OK);
    struct proto_uuid two = reserve(g, 100, USD(2), PROTO_OK);
    tick(g, HOUR);
    assert_int_equal(release(g, one), PROTO_OK);
    assert_int_equal(g->r.flags, PROTO_FLAG_LATE);
    assert_int_equal(g->r.body.settled.released, 0);
    assert_int_equal(settle(g, one, USD(1)), PROTO_HOLD_CLOSED);
    tick(g, CORE_LATE_WINDOW_US);
    assert_int_equal(settle(g, two, USD(1)), PROTO_HOLD_UNKNOWN);
    assert_int_equal(ACCOUNT(g, CORE_AVAILABLE), USD(4));
}

static void F11_promo_is_spent_first_and_never_refunded(void **state)
{
    struct rig *g = *state;
    pay(g, PROTO_CMD_grant, USD(5), "");
    assert_int_equal(pay(g, PROTO_CMD_refund, USD(1), ""), PROTO_REFUND_EXCEEDS_DEPOSITS);
    pay(g, PROTO_CMD_deposit, USD(5), "");
    struct proto_uuid hold = reserve(g, 100, USD(6), PROTO_OK);
    assert_int_equal(settle(g, hold, USD(2)), PROTO_OK);
    assert_int_equal(ACCOUNT(g, CORE_PROMO), USD(3));
    assert_int_equal(ACCOUNT(g, CORE_AVAILABLE), USD(5));
    assert_int_equal(pay(g, PROTO_CMD_refund, USD(5), ""), PROTO_OK);
    assert_int_equal(pay(g, PROTO_CMD_refund, 1, ""), PROTO_REFUND_EXCEEDS_DEPOSITS);
    assert_int_equal(ACCOUNT(g, CORE_FUNDING), -USD(5));
}

static void F11_refund_is_limited_to_what_is_available(void **state)
{
    struct rig *g = *state;
    pay(g, PROTO_CMD_deposit, USD(5), "");
    reserve(g, 100, USD(3), PROTO_OK);
    assert_int_equal(pay(g, PROTO_CMD_refund, USD(3), ""), PROTO_INSUFFICIENT_CREDIT);
    assert_int_equal(pay(g, PROTO_CMD_refund, USD(2), ""), PROTO_OK);
    assert_int_equal(g->r.shape, PROTO_SHAPE_balances);
    assert_int_equal(g->r.body.balances.available, 0);
}

static void F11_chargeback_writes_off_what_is_gone(void **state)
{
    struct rig *g = *state;
    pay(g, PROTO_CMD_deposit, USD(5), "");
    struct proto_uuid hold = reserve(g, 100, USD(4), PROTO_OK);
    assert_int_equal(settle(g, hold, USD(4)), PROTO_OK);
    assert_int_equal(pay(g, PROTO_CMD_chargeback, USD(5), ""), PROTO_OK);
    assert_int_equal(ACCOUNT(g, CORE_AVAILABLE), 0);
    assert_int_equal(ACCOUNT(g, CORE_WRITEOFF), -USD(4));
    assert_int_equal(ACCOUNT(g, CORE_FUNDING), 0);
    assert_int_equal(pay(g, PROTO_CMD_chargeback, 1, ""), PROTO_REFUND_EXCEEDS_DEPOSITS);
}

static void F11_adjust_gives_back_at_most_the_charge(void **state)
{
    struct rig *g = *state;
    pay(g, PROTO_CMD_deposit, USD(5), "");
    struct proto_uuid hold = reserve(g, 100, USD(4), PROTO_OK);
    struct proto_command c = command(g, PROTO_CMD_adjust);
    c.body.adjust = (struct proto_adjust){hold, USD(1), false, S("bad answer")};
    assert_int_equal(apply(g, &c), PROTO_NOT_FOUND);
    settle(g, hold, USD(3));
    c.head.id = uuid_at(g, g->clock_us);
    assert_int_equal(apply(g, &c), PROTO_OK);
    c.head.id = uuid_at(g, g->clock_us);
    c.body.adjust.amount = USD(2) + 1;
    assert_int_equal(apply(g, &c), PROTO_ADJUST_EXCEEDS_CHARGE);
    c.head.id = uuid_at(g, g->clock_us);
    c.body.adjust.amount = USD(2);
    assert_int_equal(apply(g, &c), PROTO_OK);
    c.head.id = uuid_at(g, g->clock_us);
    c.body.adjust.amount = 1;
    c.body.adjust.from_fees = true;
    assert_int_equal(apply(g, &c), PROTO_ADJUST_EXCEEDS_CHARGE);
    assert_int_equal(ACCOUNT(g, CORE_AVAILABLE), USD(5));
    assert_int_equal(ACCOUNT(g, CORE_USAGE), 0);
}

/* Promo is never paid out, not by way of adjust and refund either. */
static void F11_adjust_gives_back_to_the_account_that_paid(void **state)
{
    struct rig *g = *state;
    pay(g, PROTO_CMD_deposit, USD(5), "");
    pay(g, PROTO_CMD_grant, USD(3), "");
    struct proto_uuid hold = reserve(g, 100, USD(4), PROTO_OK);
    settle(g, hold, USD(4)); /* 3 of promo, 1 of available */
    struct proto_command c = command(g, PROTO_CMD_adjust);
    c.body.adjust = (struct proto_adjust){hold, USD(2), false, S("bad answer")};
    assert_int_equal(apply(g, &c), PROTO_OK);
    assert_int_equal(ACCOUNT(g, CORE_AVAILABLE), USD(5));
    assert_int_equal(ACCOUNT(g, CORE_PROMO), USD(1));
    c.head.id = uuid_at(g, g->clock_us);
    assert_int_equal(apply(g, &c), PROTO_OK);
    assert_int_equal(ACCOUNT(g, CORE_AVAILABLE), USD(5));
    assert_int_equal(ACCOUNT(g, CORE_PROMO), USD(3));
    assert_int_equal(ACCOUNT(g, CORE_USAGE), 0);
}

/* What a hold did not cover is collected, promo first: it is remembered, too. */
static void F11_adjust_of_an_overrun_knows_what_was_collected(void **state)
{
    struct rig *g = *state;
    pay(g, PROTO_CMD_deposit, USD(2), "");
    struct proto_uuid hold = reserve(g, 100, USD(1), PROTO_OK);
    pay(g, PROTO_CMD_grant, USD(1), "");
    settle(g, hold, USD(3)); /* 1 held, 1 of promo, 1 of available */
    assert_int_equal(ACCOUNT(g, CORE_AVAILABLE) + ACCOUNT(g, CORE_PROMO), 0);
    struct proto_command c = command(g, PROTO_CMD_adjust);
    c.body.adjust = (struct proto_adjust){hold, USD(3), false, S("bad answer")};
    assert_int_equal(apply(g, &c), PROTO_OK);
    assert_int_equal(ACCOUNT(g, CORE_AVAILABLE), USD(2));
    assert_int_equal(ACCOUNT(g, CORE_PROMO), USD(1));
}

static void F2_amounts_never_wrap(void **state)
{
    struct rig *g = *state;
    assert_int_equal(pay(g, PROTO_CMD_deposit, 0, ""), PROTO_AMOUNT_INVALID);
    assert_int_equal(pay(g, PROTO_CMD_deposit, -1, ""), PROTO_AMOUNT_INVALID);
    assert_int_equal(pay(g, PROTO_CMD_deposit, INT64_MAX, ""), PROTO_OK);
    assert_int_equal(pay(g, PROTO_CMD_deposit, 1, ""), PROTO_AMOUNT_OVERFLOW);
    assert_int_equal(pay(g, PROTO_CMD_grant, 1, ""), PROTO_AMOUNT_OVERFLOW);
    struct proto_uuid hold = reserve(g, 100, INT64_MAX, PROTO_OK);
    struct proto_uuid next = reserve(g, 100, 0, PROTO_OK);
    assert_int_equal(settle(g, hold, INT64_MAX), PROTO_OK);
    assert_int_equal(settle(g, next, INT64_MAX), PROTO_AMOUNT_OVERFLOW);
    assert_int_equal(settle(g, next, -1), PROTO_AMOUNT_INVALID);
    assert_int_equal(release(g, next), PROTO_OK);
    reserve(g, 100, -1, PROTO_AMOUNT_INVALID);
}

static void F1_a_wrong_token_moves_nothing(void **state)
{
    struct rig *g = *state;
    pay(g, PROTO_CMD_deposit, USD(5), "");
    struct proto_uuid hold = reserve(g, 100, USD(4), PROTO_OK);
    struct proto_command c = settle_command(g, hold, 1);
    c.body.settle.token = secret(4001);
    assert_int_equal(apply(g, &c), PROTO_UNAUTHORISED_HOLD);
    c.head.org = uuid_of(9);
    assert_int_equal(apply(g, &c), PROTO_ORG_UNKNOWN);
    assert_int_equal(ACCOUNT(g, CORE_HELD), USD(4));
    assert_int_equal(settle(g, hold, 1), PROTO_OK);
    c = settle_command(g, hold, 1);
    c.body.settle.token = secret(4001);
    assert_int_equal(apply(g, &c), PROTO_UNAUTHORISED_HOLD);
}

static void F53_extend_moves_amount_and_deadline(void **state)
{
    struct rig *g = *state;
    pay(g, PROTO_CMD_deposit, USD(5), "");
    struct proto_uuid hold = reserve(g, 100, USD(1), PROTO_OK);
    tick(g, MINUTE / 2);
    assert_int_equal(extend(g, 100, hold, USD(2), MINUTE), PROTO_OK);
    assert_int_equal(g->r.body.reserved.amount, USD(3));
    assert_int_equal(again(g), PROTO_OK);
    assert_int_equal(g->r.flags, PROTO_FLAG_DUPLICATE);
    assert_int_equal(ACCOUNT(g, CORE_HELD), USD(3));
    assert_int_equal(extend(g, 100, hold, USD(3), MINUTE), PROTO_INSUFFICIENT_CREDIT);
    tick(g, MINUTE - 1);
    assert_int_equal(g->expired, 0);
    assert_int_equal(extend(g, 100, hold, 0, MINUTE), PROTO_OK);
    assert_int_equal(settle(g, hold, USD(2)), PROTO_OK);
    assert_int_equal(g->r.body.settled.released, USD(1));
    assert_int_equal(extend(g, 100, hold, 0, MINUTE), PROTO_HOLD_CLOSED);
    assert_int_equal(extend(g, 100, uuid_of(3), 0, MINUTE), PROTO_HOLD_UNKNOWN);
}

static void F53_no_hold_lives_for_ever(void **state)
{
    struct rig *g = *state;
    struct proto_uuid hold = reserve(g, 100, 0, PROTO_OK);
    int64_t born = g->clock_us;
    while (extend(g, 100, hold, 0, CORE_TTL_MAX_US) == PROTO_OK)
        tick(g, CORE_TTL_MAX_US - MINUTE);
    assert_int_equal(g->r.code, PROTO_HOLD_CLOSED);
    assert_true(g->clock_us >= born + 7 * DAY && g->clock_us < born + 8 * DAY);
    assert_int_equal(core_machine_open_holds(g->m), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(F1_settle_charges_cost_and_returns_the_rest),
        RIG_TEST(F1_release_gives_the_whole_hold_back),
        RIG_TEST(F2_F3_no_credit_no_hold),
        RIG_TEST(F2_overrun_takes_what_there_is_and_writes_off_the_rest),
        RIG_TEST(F9_fee_is_its_own_transfer_and_waived_beyond_the_hold),
        RIG_TEST(F6_an_idempotency_key_makes_one_call),
        RIG_TEST(F6_a_released_call_may_be_made_again),
        RIG_TEST(F6_a_retry_gets_the_first_answer),
        RIG_TEST(F6_a_refused_reserve_stays_refused),
        RIG_TEST(F6_a_retry_is_answered_after_the_key_was_revoked),
        RIG_TEST(F6_old_and_future_ids),
        RIG_TEST(F6_a_release_that_overtook_its_reserve),
        RIG_TEST(F6_references_are_unique_for_ever),
        RIG_TEST(F7_orphans_expire_by_replicated_time),
        RIG_TEST(F7_no_expiry_during_the_grace_of_a_new_term),
        RIG_TEST(F7_expiry_is_bounded_per_entry),
        RIG_TEST(F7_late_settle_is_accepted_once),
        RIG_TEST(F7_late_release_and_the_end_of_the_late_window),
        RIG_TEST(F11_promo_is_spent_first_and_never_refunded),
        RIG_TEST(F11_refund_is_limited_to_what_is_available),
        RIG_TEST(F11_chargeback_writes_off_what_is_gone),
        RIG_TEST(F11_adjust_gives_back_at_most_the_charge),
        RIG_TEST(F11_adjust_gives_back_to_the_account_that_paid),
        RIG_TEST(F11_adjust_of_an_overrun_knows_what_was_collected),
        RIG_TEST(F2_amounts_never_wrap),
        RIG_TEST(F1_a_wrong_token_moves_nothing),
        RIG_TEST(F53_extend_moves_amount_and_deadline),
        RIG_TEST(F53_no_hold_lives_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
