/* SPDX-License-Identifier: Apache-2.0
 * holdfast-replay from the outside, on directories written as a node writes them. argv[1]: the
 * program; argv[2]: a folder to work in.
 */
#include "ledger/store/archive.h"
#include "proto/text.h"
#include "tests/replay/damage.h"
#include "tests/replay/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <yyjson.h>

extern char **environ;

static const char *program, *folder;
static const char *memory;         /* --memory of every run; NULL: the default */
static char sound[400], work[400]; /* the directory that nobody changes, and one for each test */
static struct fixture fixture;
static char output[1 << 20];

/* Runs replay on dir with up to 4 further arguments; its exit code, or -signal. */
static int replay(const char *dir, const char *a, const char *b, const char *c, const char *d)
{
    char *argv[] = {(char *)(uintptr_t)program,
                    (char *)(uintptr_t) "--data",
                    (char *)(uintptr_t)dir,
                    NULL,
                    NULL,
                    NULL,
                    NULL,
                    NULL,
                    NULL,
                    NULL};
    const char *more[] = {a, b, c, d};
    unsigned n = 3;
    if (memory) {
        argv[n++] = (char *)(uintptr_t) "--memory";
        argv[n++] = (char *)(uintptr_t)memory;
    }
    for (unsigned i = 0; i < 4 && more[i]; i++)
        argv[n++] = (char *)(uintptr_t)more[i];
    char out[500];
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int status;
    (void)snprintf(out, sizeof out, "%s/output", folder);
    assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
    assert_int_equal(
        posix_spawn_file_actions_addopen(&actions, 1, out, O_WRONLY | O_CREAT | O_TRUNC, 0600), 0);
    assert_int_equal(posix_spawn_file_actions_adddup2(&actions, 1, 2), 0);
    assert_int_equal(posix_spawn(&pid, program, &actions, NULL, argv, environ), 0);
    (void)posix_spawn_file_actions_destroy(&actions);
    while (waitpid(pid, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    FILE *f = fopen(out, "re");
    assert_non_null(f);
    output[fread(output, 1, sizeof output - 1, f)] = '\0';
    (void)fclose(f);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static int replay0(const char *dir)
{
    return replay(dir, NULL, NULL, NULL, NULL);
}

static void expect_output(const char *text)
{
    if (!strstr(output, text))
        fail_msg("no \"%s\" in:\n%s", text, output);
}

static struct damage_table table(const char *dir, const char *env, const char *name)
{
    struct damage_table t = {.table = name};
    (void)snprintf(t.path, sizeof t.path, "%s/%s", dir, env);
    return t;
}

#define SEGMENT "log/00000000000000000001"

static int fresh_copy(void **state)
{
    (void)state;
    damage_copy(sound, work);
    return 0;
}

static int drop_copy(void **state)
{
    (void)state;
    damage_remove(work);
    return 0;
}

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
    struct fixture_options o = {.rounds = 120, .per_entry = 4, .tail = 5};
    if (argc < 3)
        return 2;
    program = argv[1];
    memory = getenv("REPLAY_MEMORY");
    char pattern[300];
    (void)snprintf(pattern, sizeof pattern, "%s/replay-XXXXXX", argv[2]);
    folder = mkdtemp(pattern);
    if (!folder)
        return 2;
    (void)snprintf(sound, sizeof sound, "%s/sound", folder);
    (void)snprintf(work, sizeof work, "%s/work", folder);
    fixture_make(sound, &o, &fixture);
    if (argc > 3)
        cmocka_set_test_filter(argv[3]);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (failed == 0)
        damage_remove(folder);
    return failed;
}
