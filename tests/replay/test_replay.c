/* SPDX-License-Identifier: Apache-2.0
 * holdfast-replay from the outside, on directories written as a node writes them. argv[1]: the
 * program; argv[2]: a folder to work in.
 */
#include "ledger/store/archive.h"
#include "proto/text.h"
#include "tests/replay/rig.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <yyjson.h>

/* ---- sound directories ---- */

static void F44_sound_directory_is_consistent(void **state)
{
    (void)state;
    assert_int_equal(replay0(sound), 0);
    expect_output("internally consistent");
    expect_output("Org \"0\"");
    assert_int_equal(replay(sound, "--copy", NULL, NULL, NULL), 0);
}

static yyjson_doc *json(void)
{
    yyjson_doc *doc = yyjson_read(output, strlen(output), 0);
    if (!doc)
        fail_msg("not JSON:\n%s", output);
    return doc;
}

static int64_t number(yyjson_val *v, const char *name)
{
    yyjson_val *field = yyjson_obj_get(v, name);
    assert_true(yyjson_is_int(field));
    return yyjson_get_sint(field);
}

static void F4_sum_of_transactions_is_the_balance(void **state)
{
    (void)state;
    assert_int_equal(replay(sound, "--json", NULL, NULL, NULL), 0);
    yyjson_doc *doc = json();
    yyjson_val *root = yyjson_doc_get_root(doc), *org;
    size_t i, n;
    assert_int_equal(number(root, "drift_nanos"), 0);
    assert_int_equal(number(root, "commands"), fixture.commands);
    assert_int_equal(number(yyjson_obj_get(root, "applied"), "index"), fixture.applied);
    assert_int_equal(number(yyjson_obj_get(root, "last"), "index"), fixture.last);
    assert_int_equal(number(root, "tail_entries"), fixture.last - fixture.applied);
    yyjson_val *orgs = yyjson_obj_get(root, "orgs");
    assert_int_equal(yyjson_arr_size(orgs), 4);
    yyjson_arr_foreach(orgs, i, n, org)
    {
        yyjson_val *a = yyjson_obj_get(org, "accounts_nanos"), *key, *v;
        size_t k, m;
        int64_t zero = 0;
        assert_int_equal(number(org, "sum_nanos"), number(org, "balance_nanos"));
        assert_int_equal(number(a, "available") + number(a, "promo") + number(a, "held"),
                         number(org, "balance_nanos"));
        assert_true(number(a, "usage") > 0 && number(a, "held") >= 0);
        yyjson_obj_foreach(a, k, m, key, v) zero += yyjson_get_sint(v);
        assert_int_equal(zero, 0); /* F5 */
    }
    yyjson_doc_free(doc);
}

static void F44_log_and_transactions_are_json_lines(void **state)
{
    (void)state;
    assert_int_equal(replay(sound, "--json", "--log", "--transactions", NULL), 0);
    unsigned lines = 0;
    for (char *line = strtok(output, "\n"); line; line = strtok(NULL, "\n"), lines++) {
        yyjson_doc *doc = yyjson_read(line, strlen(line), 0);
        if (!doc)
            fail_msg("line %u is not JSON: %s", lines, line);
        yyjson_doc_free(doc);
    }
    assert_true(lines > fixture.commands + fixture.last);
}

static void F44_point_in_time_balances(void **state)
{
    (void)state;
    char time[40], org[PROTO_UUID_TEXT];
    struct proto_text t = proto_text_over(time, sizeof time);
    proto_text_time(&t, fixture.middle_us);
    proto_uuid_print(&fixture.org, org);
    assert_int_equal(replay(sound, "--json", "--at", time, NULL), 0);
    yyjson_doc *middle = json();
    assert_int_equal(replay(sound, "--json", "--at", "1999-01-01T00:00:00Z", NULL), 0);
    yyjson_doc *before = json();
    assert_int_equal(replay(sound, "--json", "--org", org, NULL), 0);
    yyjson_doc *now = json();
    yyjson_val *m = yyjson_arr_get_first(yyjson_obj_get(yyjson_doc_get_root(middle), "orgs"));
    yyjson_val *b = yyjson_arr_get_first(yyjson_obj_get(yyjson_doc_get_root(before), "orgs"));
    yyjson_val *w = yyjson_arr_get_first(yyjson_obj_get(yyjson_doc_get_root(now), "orgs"));
    assert_null(b ? yyjson_obj_get(b, "no") : NULL);
    if (b) {
        assert_int_equal(number(b, "balance_nanos"), 0);
        assert_int_equal(number(b, "transactions"), 0);
    }
    assert_true(number(m, "transactions") > 0);
    assert_true(number(m, "transactions") < number(w, "transactions"));
    assert_int_equal(number(m, "drift_nanos"), 0);
    assert_int_equal(yyjson_arr_size(yyjson_obj_get(yyjson_doc_get_root(now), "orgs")), 1);
    yyjson_doc_free(middle);
    yyjson_doc_free(before);
    yyjson_doc_free(now);
}

/* ---- heads and receipts ---- */

static void position_text(char out[128], uint64_t index, int64_t ordinal,
                          const struct proto_hash *chain)
{
    struct proto_text t = proto_text_over(out, 128);
    proto_text_uint(&t, index);
    if (ordinal >= 0) {
        proto_text_put(&t, ":");
        proto_text_int(&t, ordinal);
    }
    proto_text_put(&t, ":");
    proto_text_hex(&t, chain->b, sizeof chain->b);
}

static void F44_head_kept_elsewhere_proves(void **state)
{
    (void)state;
    char head[128];
    position_text(head, fixture.applied, -1, &fixture.applied_chain);
    assert_int_equal(replay(sound, "--expect-head", head, NULL, NULL), 0);
    expect_output("proven against head");
    position_text(head, fixture.last, -1, &fixture.last_chain);
    assert_int_equal(replay(sound, "--expect-head", head, NULL, NULL), 0);
    position_text(head, fixture.last + 1, -1, &fixture.last_chain);
    assert_int_equal(replay(sound, "--expect-head", head, NULL, NULL), 1);
    expect_output("before the expected head");
    position_text(head, fixture.last - 1, -1, &fixture.last_chain);
    assert_int_equal(replay(sound, "--expect-head", head, NULL, NULL), 1);
}

/* Another history, sound in itself: only a head kept elsewhere tells. */
static void F44_rewritten_log_is_caught_by_the_head_only(void **state)
{
    (void)state;
    struct fixture_options o = {.rounds = 120, .per_entry = 4, .tail = 5, .deposit_more = 1};
    struct fixture other;
    char head[128];
    fixture_make(work, &o, &other);
    assert_int_equal(other.applied, fixture.applied);
    assert_int_equal(replay0(work), 0);
    expect_output("internally consistent");
    position_text(head, fixture.applied, -1, &fixture.applied_chain);
    assert_int_equal(replay(work, "--expect-head", head, NULL, NULL), 1);
    expect_output("MISMATCH");
}

static void F59_receipt_stands_in_the_log(void **state)
{
    (void)state;
    char receipt[128];
    position_text(receipt, fixture.settled_index, fixture.settled_ordinal, &fixture.settled_chain);
    assert_int_equal(replay(sound, "--verify-receipt", receipt, NULL, NULL), 0);
    expect_output("\"command\":\"settle\"");
    position_text(receipt, fixture.settled_index, 900, &fixture.settled_chain);
    assert_int_equal(replay(sound, "--verify-receipt", receipt, NULL, NULL), 1);
    struct proto_hash other = fixture.settled_chain;
    other.b[31] ^= 1;
    position_text(receipt, fixture.settled_index, fixture.settled_ordinal, &other);
    assert_int_equal(replay(sound, "--verify-receipt", receipt, NULL, NULL), 1);
    position_text(receipt, fixture.last + 7, 0, &fixture.last_chain);
    assert_int_equal(replay(sound, "--verify-receipt", receipt, NULL, NULL), 1);
}

/* ---- not ours ---- */

static void write_text(const char *part)
{
    char path[600];
    (void)snprintf(path, sizeof path, "%s/%s/data.mdb", work, part);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    for (int i = 0; i < 3000; i++)
        (void)fputs("this is a text, no database\n", f);
    assert_int_equal(fclose(f), 0);
}

static void F44_foreign_directories_are_refused(void **state)
{
    (void)state;
    assert_int_equal(replay0("/nonexistent"), 2);
    expect_output("No such file");
    assert_int_equal(replay0("/proc/self/fd"), 2);
    expect_output("not a node's directory");
    write_text("state");
    assert_int_equal(replay0(work), 2);
    expect_output("no ledger's file");
    write_text(SEGMENT);
    assert_int_equal(replay0(work), 2);
    expect_output("no ledger's file");
}

static void F44_newer_state_is_refused(void **state)
{
    (void)state;
    struct damage_table t = table(work, "state", "meta");
    damage_value(&t, 0, 0, 3); /* format 2 */
    assert_int_equal(replay0(work), 2);
    expect_output("newer version");
}

static void F44_usage(void **state)
{
    (void)state;
    assert_int_equal(replay(sound, "--org", "nobody", NULL, NULL), 2);
    assert_int_equal(replay(sound, "--org", "00000000-0000-0000-0000-000000000001", NULL, NULL), 2);
    assert_int_equal(replay(sound, "--at", "yesterday", NULL, NULL), 2);
    assert_int_equal(replay(sound, "--expect-head", "12", NULL, NULL), 2);
    assert_int_equal(replay(sound, "--verify-receipt", "12:x:00", NULL, NULL), 2);
    assert_int_equal(replay(sound, "--what", NULL, NULL, NULL), 2);
    assert_int_equal(replay(sound, "left over", NULL, NULL, NULL), 2);
    assert_int_equal(replay(sound, "--help", NULL, NULL, NULL), 0);
}

static void F44_without_a_checkpoint_nothing_is_proven(void **state)
{
    (void)state;
    struct fixture_options o = {.rounds = 10, .per_entry = 2, .no_checkpoint = true};
    struct fixture f;
    fixture_make(work, &o, &f);
    assert_int_equal(replay0(work), 1);
    expect_output("no checkpoint");
    assert_int_equal(replay(work, "--allow-empty", NULL, NULL, NULL), 0);
}

static void F44_many_segments(void **state)
{
    (void)state;
    struct fixture_options o = {
        .rounds = 300, .per_entry = 8, .tail = 5, .segment_bytes = 256 * 1024};
    struct fixture f;
    char segment[600];
    fixture_make(work, &o, &f);
    assert_int_equal(replay0(work), 0);
    (void)snprintf(segment, sizeof segment, "%s/%s", work, SEGMENT);
    damage_remove(segment);
    assert_int_equal(replay0(work), 2);
    expect_output("--archive");
}

/* As a seeding leaves it: the state alone. */
static void F44_F43_a_seeded_node_wants_an_archive(void **state)
{
    (void)state;
    char log[500];
    damage_copy(sound, work);
    (void)snprintf(log, sizeof log, "%s/%s", work, SEGMENT);
    damage_remove(log);
    struct store_why why = {{0}};
    struct log_store *s;
    (void)snprintf(log, sizeof log, "%s/log", work);
    assert_int_equal(log_store_open(&s, log, LOG_STORE_WRITE, NULL, &why), 0);
    log_store_close(s);
    assert_int_equal(replay0(work), 2);
    expect_output("was seeded; --archive DIR");
}

/* Archives what is sealed in work/log and trims the log to its last two segments. */
static void archive_and_trim(const char *archive)
{
    struct store_why why = {{0}};
    const struct archive_owner owner = {{{7, 7, 7}}, 0};
    struct log_store *log;
    struct archive *a;
    struct log_span span;
    char path[500];
    (void)snprintf(path, sizeof path, "%s/log", work);
    assert_int_equal(log_store_open(&log, path, LOG_STORE_WRITE, NULL, &why), 0);
    assert_int_equal(archive_open(&a, archive, ARCHIVE_WRITE, &why), 0);
    for (unsigned i = 0; log_store_span(log, i, &span) && span.sealed; i++)
        assert_int_equal(archive_add(a, log, &owner, span.last, NULL, &why), 0);
    assert_true(archive_files(a) >= 3);
    archive_close(a);
    assert_true(log_store_span(log, log_store_segments(log) - 2, &span));
    int hold;
    assert_int_equal(log_store_hold(path, &hold, &why), 0);
    assert_int_equal(log_store_trim(log, span.first, &why), -EBUSY); /* somebody reads */
    log_store_unhold(hold);
    assert_int_equal(log_store_trim(log, span.first, &why), 0);
    assert_int_equal(log_store_first(log), span.first);
    log_store_close(log);
}

static void F45_F44_archive_and_trimmed_log_are_one_log(void **state)
{
    (void)state;
    struct fixture_options o = {
        .rounds = 500, .per_entry = 8, .tail = 5, .segment_bytes = 256 * 1024};
    struct fixture f;
    char archive[500], head[100], file[600];
    fixture_make(work, &o, &f);
    assert_int_equal(replay0(work), 0);
    (void)snprintf(archive, sizeof archive, "%s/archive", folder);
    archive_and_trim(archive);
    assert_int_equal(replay0(work), 2);
    expect_output("--archive DIR");
    struct proto_text t = proto_text_over(head, sizeof head);
    proto_text_uint(&t, f.last);
    proto_text_put(&t, ":");
    proto_text_hex(&t, f.last_chain.b, sizeof f.last_chain.b);
    assert_int_equal(replay(work, "--archive", archive, "--expect-head", head), 0);
    expect_output("proven");

    (void)snprintf(file, sizeof file, "%s/00000000000000000001.hflog", archive);
    FILE *h = fopen(file, "r+be");
    assert_non_null(h);
    assert_int_equal(fseek(h, 5000, SEEK_SET), 0);
    int byte = fgetc(h);
    assert_int_equal(fseek(h, 5000, SEEK_SET), 0);
    (void)fputc(byte ^ 1, h);
    (void)fclose(h);
    assert_int_equal(replay(work, "--archive", archive, NULL, NULL), 1);
    expect_output("damaged");
    assert_int_equal(unlink(file), 0);
    assert_int_equal(replay(work, "--archive", archive, NULL, NULL), 2);
    expect_output("the archive begins at");
    damage_remove(archive);
    assert_int_equal(replay(work, "--archive", archive, NULL, NULL), 2);
}

/* ---- leaders that had diverged ---- */

static void liar(uint64_t first, uint64_t last, unsigned rounds)
{
    struct fixture f;
    const struct fixture_options o = {
        .rounds = rounds, .per_entry = 4, .tail = 5, .liar_first = first, .liar_last = last};
    fixture_make(work, &o, &f);
}

/* Entries that name a diverged leader's chain: a later leader has the log's. */
static void F50_F44_a_diverged_leader_is_named_and_the_log_proven(void **state)
{
    (void)state;
    liar(60, 80, 120);
    assert_int_equal(replay(work, "--json", NULL, NULL, NULL), 0);
    expect_output("\"result\":\"consistent\"");
    expect_output("\"diverged_leaders\":[{\"term\":1,\"first\":61,\"last\":79,\"entries\":7,"
                  "\"index\":60,");
    assert_int_equal(replay0(work), 0);
    expect_output("leader   of term 1 had diverged: entries 61 to 79 name its own chain");
}

/* The state alone says who was right: it is not written while states are disputed. */
static void F50_F44_the_state_disowns_a_diverged_leader(void **state)
{
    (void)state;
    liar(40, 43, 50);
    assert_int_equal(replay0(work), 0);
    expect_output("leader   of term 1 had diverged");
}

/* Nothing comes after it: the log or the leader is wrong, and replay cannot know which. */
static void F50_F44_a_leader_that_nothing_disowns_is_a_mismatch(void **state)
{
    (void)state;
    struct fixture f;
    const struct fixture_options o = {
        .rounds = 50, .per_entry = 4, .tail = 20, .liar_first = 45, .liar_last = UINT64_MAX};
    fixture_make(work, &o, &f);
    assert_int_equal(replay(work, "--json", NULL, NULL, NULL), 1);
    expect_output("that leader had diverged");
    expect_output("\"diverged_leaders\":[]");
}

static void F50_F44_a_marked_directory_says_so(void **state)
{
    (void)state;
    char path[500];
    (void)snprintf(path, sizeof path, "%s/DIVERGED", work);
    FILE *h = fopen(path, "we");
    assert_non_null(h);
    (void)fputs("state differs from the majority's at index 7\n", h);
    (void)fclose(h);
    assert_int_equal(replay0(work), 0);
    expect_output("mark     this node stopped: state differs from the majority's at index 7");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(F44_sound_directory_is_consistent),
        cmocka_unit_test(F4_sum_of_transactions_is_the_balance),
        cmocka_unit_test(F44_log_and_transactions_are_json_lines),
        cmocka_unit_test(F44_point_in_time_balances),
        cmocka_unit_test(F44_head_kept_elsewhere_proves),
        cmocka_unit_test_teardown(F44_rewritten_log_is_caught_by_the_head_only, drop_copy),
        cmocka_unit_test(F59_receipt_stands_in_the_log),
        cmocka_unit_test_setup_teardown(F44_foreign_directories_are_refused, fresh_copy, drop_copy),
        cmocka_unit_test_setup_teardown(F44_newer_state_is_refused, fresh_copy, drop_copy),
        cmocka_unit_test(F44_usage),
        cmocka_unit_test_teardown(F44_without_a_checkpoint_nothing_is_proven, drop_copy),
        cmocka_unit_test_teardown(F44_many_segments, drop_copy),
        cmocka_unit_test_teardown(F44_F43_a_seeded_node_wants_an_archive, drop_copy),
        cmocka_unit_test_teardown(F45_F44_archive_and_trimmed_log_are_one_log, drop_copy),
        cmocka_unit_test_teardown(F50_F44_a_diverged_leader_is_named_and_the_log_proven, drop_copy),
        cmocka_unit_test_teardown(F50_F44_the_state_disowns_a_diverged_leader, drop_copy),
        cmocka_unit_test_teardown(F50_F44_a_leader_that_nothing_disowns_is_a_mismatch, drop_copy),
        cmocka_unit_test_setup_teardown(F50_F44_a_marked_directory_says_so, fresh_copy, drop_copy),
    };
    if (!rig_open(argc, argv))
        return 2;
    return rig_close(cmocka_run_group_tests(tests, NULL, NULL));
}
