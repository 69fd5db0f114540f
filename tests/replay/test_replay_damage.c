/* SPDX-License-Identifier: Apache-2.0
 * holdfast-replay on damaged directories: what is wrong is found, and nothing makes it crash.
 * argv[1]: the program; argv[2]: a folder to work in.
 */
#include "tests/replay/rig.h"

#include <stdio.h>

/* ---- lies: the database is sound, its content is not ---- */

static uint64_t seed = 1;
static size_t pick(size_t n)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (size_t)(seed >> 33) % n;
}

/* Every record of the table up to `records`, one byte each (another one every time). */
static void flip_all(const struct damage_table *t, size_t records, size_t stride)
{
    for (size_t i = 0; i < records; i += stride) {
        size_t klen, vlen;
        damage_lengths(t, i, &klen, &vlen);
        size_t offset = pick(vlen);
        uint8_t mask = (uint8_t)(1 << pick(8));
        damage_value(t, i, offset, mask);
        int code = replay0(work);
        if (code != 1)
            fail_msg("%s %s: record %zu, byte %zu of %zu ^ %02x: exit %d\n%s", t->path, t->table, i,
                     offset, vlen, mask, code, output);
        damage_value(t, i, offset, mask);
    }
    assert_int_equal(replay0(work), 0);
}

static void F44_flipped_byte_of_an_entry_is_found(void **state)
{
    (void)state;
    struct damage_table t = table(work, SEGMENT, "entries");
    flip_all(&t, fixture.last, 1); /* the tail too */
}

/* With the entry's checksum made right again: then only re-execution and the chain can tell. */
static void forge(const struct damage_table *t, size_t i, size_t offset, uint8_t mask)
{
    damage_value(t, i, offset, mask);
    damage_mend_entry(t, i);
    int code = replay0(work);
    if (code != 1)
        fail_msg("entry %zu, byte %zu ^ %02x: exit %d\n%s", i + 1, offset, mask, code, output);
    damage_value(t, i, offset, mask);
    damage_mend_entry(t, i);
}

static void F44_forged_byte_of_an_entry_is_found(void **state)
{
    (void)state;
    struct damage_table t = table(work, SEGMENT, "entries");
    for (size_t i = 0; i < fixture.applied; i++) {
        size_t klen, vlen;
        damage_lengths(&t, i, &klen, &vlen);
        if (vlen > 13)
            forge(&t, i, 13 + pick(vlen - 13), (uint8_t)(1 << pick(8)));
        forge(&t, i, pick(9), (uint8_t)(1 << pick(8))); /* term and kind */
    }
    assert_int_equal(replay0(work), 0);
}

static void F44_every_byte_of_some_entries_counts(void **state)
{
    (void)state;
    struct damage_table t = table(work, SEGMENT, "entries");
    for (size_t i = 0; i < fixture.applied; i += 31) {
        size_t klen, vlen;
        damage_lengths(&t, i, &klen, &vlen);
        for (size_t offset = 13; offset < vlen; offset += offset < 96 ? 1 : 23)
            forge(&t, i, offset, 1);
    }
}

static void F44_flipped_byte_of_a_state_record_is_found(void **state)
{
    (void)state;
    struct damage_table t = table(work, "state", "records");
    flip_all(&t, damage_count(&t), 3);
    expect_output("internally consistent");
}

static void F44_flipped_byte_of_the_position_is_found(void **state)
{
    (void)state;
    struct damage_table t = table(work, "state", "meta");
    size_t klen, vlen;
    damage_lengths(&t, 0, &klen, &vlen);
    for (size_t offset = 4; offset < vlen; offset++) { /* before that: the format, exit 2 */
        damage_value(&t, 0, offset, 0x10);
        assert_int_equal(replay0(work), 1);
        damage_value(&t, 0, offset, 0x10);
    }
}

static void F44_moved_or_missing_state_records_are_found(void **state)
{
    (void)state;
    struct damage_table t = table(work, "state", "records");
    size_t n = damage_count(&t);
    for (size_t i = 0; i < n; i += 17) {
        size_t klen, vlen;
        damage_lengths(&t, i, &klen, &vlen);
        size_t offset = klen - 1;
        size_t at = damage_key(&t, i, offset, 0x40);
        int code = replay0(work);
        if (code != 1)
            fail_msg("key of record %zu: exit %d\n%s", i, code, output);
        assert_int_equal(damage_key(&t, at, offset, 0x40), i);
    }
    damage_delete(&t, n / 2);
    assert_int_equal(replay0(work), 1);
    expect_output("the state lacks a record");
}

static void F44_missing_entry_is_found(void **state)
{
    (void)state;
    struct damage_table t = table(work, SEGMENT, "entries");
    damage_delete(&t, fixture.applied / 2);
    assert_int_equal(replay0(work), 1);
}

static void F44_missing_entry_of_the_tail_is_found(void **state)
{
    (void)state;
    struct damage_table t = table(work, SEGMENT, "entries");
    damage_delete(&t, fixture.last - 2);
    assert_int_equal(replay0(work), 1);
}

static void F44_log_shorter_than_the_state_is_found(void **state)
{
    (void)state;
    struct damage_table t = table(work, SEGMENT, "entries");
    for (uint64_t i = fixture.last; i >= fixture.applied; i--)
        damage_delete(&t, (size_t)i - 1);
    assert_int_equal(replay0(work), 1);
}

/* ---- damage of files: never a crash ---- */

static void flip_file(const char *part, unsigned times)
{
    char path[600];
    unsigned codes[3] = {0};
    (void)snprintf(path, sizeof path, "%s/%s/data.mdb", work, part);
    long size = damage_file_size(path);
    for (unsigned i = 0; i < times; i++) {
        /* Half of them in the heads of pages, where LMDB trusts what it reads. */
        long offset = (long)pick((size_t)size);
        if (i % 2)
            offset = offset / 4096 * 4096 + (long)pick(64);
        uint8_t mask = (uint8_t)(1 + pick(255));
        damage_file(path, offset, mask);
        int code = replay0(work);
        if (code < 0 || code > 2)
            fail_msg("%s: byte %ld ^ %02x: %s %d\n%s", path, offset, mask,
                     code < 0 ? "signal" : "exit", code, output);
        codes[code]++;
        damage_file(path, offset, mask);
    }
    (void)printf("%s: %u flips: %u unharmed, %u found, %u unusable\n", part, times, codes[0],
                 codes[1], codes[2]);
    assert_true(codes[1] > 0);
    assert_int_equal(replay0(work), 0);
}

static void F44_random_damage_of_the_log_never_crashes(void **state)
{
    (void)state;
    flip_file(SEGMENT, 250);
}

static void F44_random_damage_of_the_state_never_crashes(void **state)
{
    (void)state;
    flip_file("state", 250);
}

static void F44_cut_files_never_crash(void **state)
{
    (void)state;
    static const char *const parts[] = {SEGMENT, "state", "vote"};
    char path[600], keep[600];
    for (unsigned i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof path, "%s/%s/data.mdb", work, parts[i]);
        (void)snprintf(keep, sizeof keep, "%s/%s/data.mdb", sound, parts[i]);
        long size = damage_file_size(path);
        for (unsigned part = 0; part < 8; part++) {
            damage_cut(path, size * part / 8 + (part % 2 ? 100 : 0));
            int code = replay0(work);
            if (code != 1 && code != 2)
                fail_msg("%s cut to %u/8: exit %d\n%s", parts[i], part, code, output);
            damage_remove(work);
            damage_copy(sound, work);
        }
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(F44_flipped_byte_of_an_entry_is_found, fresh_copy,
                                        drop_copy),
        cmocka_unit_test_setup_teardown(F44_forged_byte_of_an_entry_is_found, fresh_copy,
                                        drop_copy),
        cmocka_unit_test_setup_teardown(F44_every_byte_of_some_entries_counts, fresh_copy,
                                        drop_copy),
        cmocka_unit_test_setup_teardown(F44_flipped_byte_of_a_state_record_is_found, fresh_copy,
                                        drop_copy),
        cmocka_unit_test_setup_teardown(F44_flipped_byte_of_the_position_is_found, fresh_copy,
                                        drop_copy),
        cmocka_unit_test_setup_teardown(F44_moved_or_missing_state_records_are_found, fresh_copy,
                                        drop_copy),
        cmocka_unit_test_setup_teardown(F44_missing_entry_is_found, fresh_copy, drop_copy),
        cmocka_unit_test_setup_teardown(F44_missing_entry_of_the_tail_is_found, fresh_copy,
                                        drop_copy),
        cmocka_unit_test_setup_teardown(F44_log_shorter_than_the_state_is_found, fresh_copy,
                                        drop_copy),
        cmocka_unit_test_setup_teardown(F44_random_damage_of_the_log_never_crashes, fresh_copy,
                                        drop_copy),
        cmocka_unit_test_setup_teardown(F44_random_damage_of_the_state_never_crashes, fresh_copy,
                                        drop_copy),
        cmocka_unit_test_setup_teardown(F44_cut_files_never_crash, fresh_copy, drop_copy),
    };
    if (!rig_open(argc, argv))
        return 2;
    return rig_close(cmocka_run_group_tests(tests, NULL, NULL));
}
