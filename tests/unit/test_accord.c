/* SPDX-License-Identifier: Apache-2.0
 * What nodes make of what they tell each other: chains that agree or not, room on the disks.
 */
#include "ledger/accord.h"
#include "ledger/raft/notice.h"
#include "ledger/room.h"
#include "proto/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct proto_hash one = {.b = {1}}, two = {.b = {2}}, three = {.b = {3}};

static unsigned voters(struct pump_peer *p, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        p[i] = (struct pump_peer){.id = 2 + i, .voter = true, .heard_ms = 100};
    return n;
}

static void heard(struct accord *a, uint64_t peer, uint64_t index, const struct proto_hash *theirs,
                  const struct proto_hash *ours)
{
    const struct notice said = {.applied = index, .index = index, .chain = *theirs};
    accord_heard(a, peer, &said, ours);
}

static enum accord_verdict judged(struct accord *a, unsigned n)
{
    struct pump_peer p[PUMP_SERVERS_MAX];
    return accord_judge(a, p, voters(p, n), true);
}

static void F50_two_of_three_decide(void **state)
{
    (void)state;
    struct accord a = {0};
    assert_int_equal(judged(&a, 2), ACCORD_SOUND);
    heard(&a, 2, 10, &two, NULL); /* not at hand here: says nothing */
    assert_int_equal(judged(&a, 2), ACCORD_SOUND);
    heard(&a, 2, 10, &two, &one);
    assert_int_equal(judged(&a, 2), ACCORD_DISPUTED); /* who is right, the third one knows */
    assert_int_equal(accord_other(&a)->id, 2);
    heard(&a, 3, 12, &one, &one);
    assert_int_equal(judged(&a, 2), ACCORD_SOUND);
    heard(&a, 2, 40, &one, &one); /* mended: it agrees from now on */
    assert_null(accord_other(&a));

    struct accord b = {0};
    heard(&b, 2, 10, &two, &one);
    heard(&b, 3, 11, &three, &one);
    assert_int_equal(judged(&b, 2), ACCORD_DISPUTED); /* the first one is asked once more */
    heard(&b, 2, 10, &two, &one);
    assert_int_equal(judged(&b, 2), ACCORD_MINORITY);
    heard(&b, 2, 20, &one, &one);
    assert_int_equal(judged(&b, 2), ACCORD_MINORITY); /* for good */
}

static void F50_without_a_majority_all_stop(void **state)
{
    (void)state;
    struct accord a = {0};
    heard(&a, 2, 10, &two, &one);
    assert_int_equal(judged(&a, 1), ACCORD_MINORITY); /* one against one */
    struct accord b = {0};
    heard(&b, 2, 10, &two, &one);
    assert_int_equal(judged(&b, 4), ACCORD_DISPUTED);
    heard(&b, 3, 10, &two, &one);
    assert_int_equal(judged(&b, 4), ACCORD_DISPUTED); /* two of five may be with us */
    heard(&b, 4, 10, &three, &one);
    assert_int_equal(judged(&b, 4), ACCORD_DISPUTED);
    heard(&b, 2, 10, &two, &one);
    heard(&b, 3, 10, &two, &one);
    assert_int_equal(judged(&b, 4), ACCORD_MINORITY);
}

static void F50_an_entry_that_contradicts_asks_everybody_anew(void **state)
{
    (void)state;
    struct accord a = {0};
    heard(&a, 2, 10, &one, &one);
    heard(&a, 3, 10, &one, &one);
    accord_doubt(&a, 11);
    assert_int_equal(judged(&a, 2), ACCORD_DISPUTED);
    heard(&a, 2, 10, &one, &one); /* of before the entry that contradicts */
    assert_int_equal(judged(&a, 2), ACCORD_DISPUTED);
    heard(&a, 3, 12, &one, &one);
    assert_int_equal(judged(&a, 2), ACCORD_SOUND);
    assert_false(a.doubt);
}

/* The third node agreed before the two parted, and is silent since: it has not said who is right.
 */
static void F50_an_agreement_of_before_decides_nothing(void **state)
{
    (void)state;
    struct accord a = {0};
    heard(&a, 3, 9, &one, &one);
    assert_int_equal(judged(&a, 2), ACCORD_SOUND);
    heard(&a, 2, 10, &two, &one);
    heard(&a, 2, 30, &two, &one);
    assert_int_equal(judged(&a, 2), ACCORD_DISPUTED);
    heard(&a, 3, 9, &one, &one);
    assert_int_equal(judged(&a, 2), ACCORD_DISPUTED);
    heard(&a, 3, 10, &one, &one); /* where they had parted already */
    assert_int_equal(judged(&a, 2), ACCORD_SOUND);
}

/* Who starts again from a checkpoint of before stands where all were one: that mends nothing. */
static void F50_a_restart_does_not_end_a_dispute(void **state)
{
    (void)state;
    struct accord a = {0};
    heard(&a, 2, 20, &two, &one);
    assert_int_equal(judged(&a, 2), ACCORD_DISPUTED);
    heard(&a, 2, 14, &one, &one);
    assert_int_equal(judged(&a, 2), ACCORD_DISPUTED);
    heard(&a, 3, 21, &one, &one);
    heard(&a, 3, 15, &one, &one); /* what it said of 21 stays said */
    assert_int_equal(judged(&a, 2), ACCORD_SOUND);
    heard(&a, 2, 20, &one, &one); /* its state was made anew */
    assert_null(accord_other(&a));
}

/* Two that differed at different times are no majority against us when the first one has been
 * mended since: it has not come far enough again to say so. holdfast-sim, seed 2065421 of its
 * version. */
static void F50_who_was_mended_is_asked_once_more(void **state)
{
    (void)state;
    struct accord a = {0};
    heard(&a, 2, 47, &two, &one);
    heard(&a, 3, 48, &one, &one);
    assert_int_equal(judged(&a, 2), ACCORD_SOUND);
    heard(&a, 2, 10, &one, &one); /* its state was made anew, from the log */
    heard(&a, 3, 87, &three, &one);
    assert_int_equal(judged(&a, 2), ACCORD_DISPUTED);
    heard(&a, 2, 90, &one, &one);
    assert_int_equal(judged(&a, 2), ACCORD_SOUND);
    heard(&a, 2, 91, &three, &one);
    assert_int_equal(judged(&a, 2), ACCORD_DISPUTED);
    heard(&a, 3, 92, &three, &one);
    assert_int_equal(judged(&a, 2), ACCORD_MINORITY);
}

/* The same, and the one that was mended has not been heard since. holdfast-sim, seed 3015731 of
 * its version. */
static void F50_who_was_mended_unheard_is_asked_once_more(void **state)
{
    (void)state;
    struct accord a = {0};
    heard(&a, 3, 22, &three, &one);
    heard(&a, 2, 25, &one, &one);
    assert_int_equal(judged(&a, 2), ACCORD_SOUND);
    heard(&a, 2, 70, &two, &one);
    assert_int_equal(judged(&a, 2), ACCORD_DISPUTED);
    heard(&a, 2, 71, &two, &one); /* says the same as before */
    assert_int_equal(judged(&a, 2), ACCORD_DISPUTED);
    heard(&a, 3, 71, &one, &one);
    assert_int_equal(judged(&a, 2), ACCORD_SOUND);
}

static void F50_chains_are_told_where_the_other_one_stands(void **state)
{
    (void)state;
    struct accord a = {0};
    assert_int_equal(accord_index_for(&a, 2, 50), 50);
    heard(&a, 2, 30, &one, NULL);
    assert_int_equal(accord_index_for(&a, 2, 50), 30);
    assert_int_equal(accord_index_for(&a, 2, 20), 20);
    for (uint64_t id = 10; id < 10 + 2 * PUMP_SERVERS_MAX; id++)
        heard(&a, id, 1, &two, &one); /* strangers fill the table, and have no vote */
    assert_int_equal(judged(&a, 2), ACCORD_SOUND);
}

static void F50_a_notice_may_grow(void **state)
{
    (void)state;
    uint8_t bytes[NOTICE_TAKE_MAX];
    const struct notice in = {
        .level = 3, .flags = NOTICE_NO_ROOM, .applied = 8, .index = 7, .chain = one};
    struct notice out;
    struct proto_writer w = proto_writer_over(bytes, sizeof bytes);
    notice_put(&w, &in);
    assert_false(w.full);
    struct proto_reader r = proto_reader_over(bytes, w.n);
    assert_true(notice_get(&r, &out));
    assert_memory_equal(&in, &out, sizeof in);

    uint8_t newer[64];
    struct proto_writer n = proto_writer_over(newer, sizeof newer);
    proto_put_array(&n, 7); /* two fields that we do not know */
    proto_put_uint(&n, 4);
    proto_put_uint(&n, 0);
    proto_put_uint(&n, 0);
    proto_put_uint(&n, 0);
    proto_put_bin(&n, "", 0);
    proto_put_uint(&n, 99);
    proto_put_bin(&n, "xyz", 3);
    w = proto_writer_over(bytes, sizeof bytes);
    proto_put_bin(&w, newer, n.n);
    r = proto_reader_over(bytes, w.n);
    assert_true(notice_get(&r, &out));
    assert_int_equal(out.level, 4);
    assert_true(proto_get_end(&r));

    newer[0] = 0x94; /* too few */
    w = proto_writer_over(bytes, sizeof bytes);
    proto_put_bin(&w, newer, n.n);
    r = proto_reader_over(bytes, w.n);
    assert_false(notice_get(&r, &out));
}

/* ---- room ---- */

static void F43_a_disk_is_short_until_a_quarter_more_is_free(void **state)
{
    (void)state;
    const struct node_config c = {.disk_free_bytes = 1000, .disk_free_percent = 1};
    struct room r = {0};
    assert_int_equal(room_bound(&c, 5000), 1000);
    assert_int_equal(room_bound(&c, 1000000), 10000);
    room_look(&r, &c, 1000, 5000);
    assert_false(r.is_short);
    room_look(&r, &c, 999, 5000);
    assert_true(r.is_short);
    room_look(&r, &c, 1249, 5000);
    assert_true(r.is_short);
    room_look(&r, &c, 1250, 5000);
    assert_false(r.is_short);
}

static void F43_new_work_needs_a_majority_with_room(void **state)
{
    (void)state;
    struct pump_peer p[4];
    voters(p, 2);
    assert_false(room_refuses(false, p, 2, 200));
    p[0].flags = NOTICE_NO_ROOM;
    assert_false(room_refuses(false, p, 2, 200)); /* one of three is short: its own affair */
    assert_false(room_refuses(false, p, 2, 100 + ROOM_FRESH_MS));
    p[1].heard_ms = 0; /* but the third one is gone: the short one must not fill up */
    assert_true(room_refuses(false, p, 2, 200));
    p[1].heard_ms = 100;
    p[1].flags = NOTICE_NO_ROOM;
    assert_true(room_refuses(false, p, 2, 200));
    p[0].flags = p[1].flags = 0;
    assert_false(room_refuses(true, p, 2, 200));
    p[0].heard_ms = p[1].heard_ms = 0; /* nobody is heard, nobody known to be short */
    assert_false(room_refuses(false, p, 2, 20000));
    assert_true(room_refuses(true, NULL, 0, 200)); /* alone */
}

static void F43_a_short_leader_finds_an_heir_with_room(void **state)
{
    (void)state;
    struct pump_peer p[2];
    voters(p, 2);
    p[0].match = 90;
    p[1].match = 100;
    assert_int_equal(room_heir(p, 2, 200, 95), 3);
    p[1].flags = NOTICE_NO_ROOM;
    assert_int_equal(room_heir(p, 2, 200, 95), 0);
    p[0].match = 95;
    assert_int_equal(room_heir(p, 2, 200, 95), 2);
    p[0].voter = false;
    assert_int_equal(room_heir(p, 2, 200, 95), 0);
    assert_true(room_grows(PROTO_CMD_reserve));
    assert_true(room_grows(PROTO_CMD_price_import));
    assert_false(room_grows(PROTO_CMD_settle));
    assert_false(room_grows(PROTO_CMD_release));
    assert_false(room_grows(PROTO_CMD_org_pause));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(F50_two_of_three_decide),
        cmocka_unit_test(F50_without_a_majority_all_stop),
        cmocka_unit_test(F50_an_entry_that_contradicts_asks_everybody_anew),
        cmocka_unit_test(F50_an_agreement_of_before_decides_nothing),
        cmocka_unit_test(F50_a_restart_does_not_end_a_dispute),
        cmocka_unit_test(F50_who_was_mended_is_asked_once_more),
        cmocka_unit_test(F50_who_was_mended_unheard_is_asked_once_more),
        cmocka_unit_test(F50_chains_are_told_where_the_other_one_stands),
        cmocka_unit_test(F50_a_notice_may_grow),
        cmocka_unit_test(F43_a_disk_is_short_until_a_quarter_more_is_free),
        cmocka_unit_test(F43_new_work_needs_a_majority_with_room),
        cmocka_unit_test(F43_a_short_leader_finds_an_heir_with_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
