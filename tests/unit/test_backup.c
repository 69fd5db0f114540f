/* SPDX-License-Identifier: Apache-2.0
 * Backup and restore (F45) of a directory as a node writes it: restored is equal, record by record
 * and entry by entry; whatever is damaged, missing or another's is refused with a reason.
 */
#include "ledger/backup/backup.h"
#include "ledger/raft/pump.h"
#include "ledger/store/data_dir.h"
#include "ledger/store/data_mark.h"
#include "ledger/store/log_codec.h"
#include "ledger/store/origin.h"
#include "tests/replay/fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "store_tmp.h"

static struct fixture fixture;
static struct store_why why;
static uint8_t conf[ENTRY_CONF_MAX];
static size_t conf_len;

static struct restore_config target(const char *data)
{
    return (struct restore_config){.data = data,
                                   .id = {.cluster = {{8, 8}}, .group = 0, .node = 2},
                                   .conf = conf,
                                   .conf_len = conf_len};
}

static int setup(void **state)
{
    const struct fixture_options o = {
        .rounds = 400, .per_entry = 5, .tail = 20, .segment_bytes = 128 * 1024};
    const struct pump_server servers[] = {
        {1, "127.0.0.1:1"}, {2, "127.0.0.1:2"}, {3, "127.0.0.1:3"}};
    struct backup_manifest m;
    if (store_tmp_setup(state) != 0)
        return -1;
    int n = pump_encode_servers(servers, 3, conf);
    conf_len = n > 0 ? (size_t)n : 0;
    fixture_make(store_tmp_path("node"), &o, &fixture);
    return backup_take(store_tmp_path("node"), store_tmp_path("backup"), NULL, NULL, &m, &why);
}

struct other {
    struct state_reader view;
    uint64_t n;
};

static int same_record(void *ctx, const void *key, size_t klen, const void *value, size_t vlen)
{
    struct other *o = ctx;
    const void *have;
    size_t have_n;
    assert_int_equal(state_reader_get(&o->view, key, klen, &have, &have_n), 0);
    assert_int_equal(have_n, vlen);
    assert_memory_equal(have, value, vlen);
    o->n++;
    return 0;
}

static void assert_same_records(const char *a, const char *b)
{
    struct state_store *s[2];
    struct state_reader r;
    struct other o = {.n = 0};
    assert_int_equal(state_store_open(&s[0], a, STATE_STORE_COPY, NULL, &why), 0);
    assert_int_equal(state_store_open(&s[1], b, STATE_STORE_COPY, NULL, &why), 0);
    assert_int_equal(state_reader_open(&r, s[0], &why), 0);
    assert_int_equal(state_reader_open(&o.view, s[1], &why), 0);
    assert_int_equal(state_reader_scan(&r, NULL, 0, NULL, 0, same_record, &o), 0);
    assert_true(o.n > 100);
    assert_int_equal(o.n, state_store_records(s[1]));
    state_reader_close(&r);
    state_reader_close(&o.view);
    state_store_close(s[0]);
    state_store_close(s[1]);
}

static void assert_same_entries(const char *a, const char *b, uint64_t last)
{
    struct log_store *s[2];
    struct log_page x, y;
    assert_int_equal(log_store_open(&s[0], a, LOG_STORE_COPY, NULL, &why), 0);
    assert_int_equal(log_store_open(&s[1], b, LOG_STORE_COPY, NULL, &why), 0);
    log_page_init(&x);
    log_page_init(&y);
    for (uint64_t i = 1; i <= last; i++) {
        assert_int_equal(log_store_read(s[0], i, 1, 1, &x, &why), 1);
        assert_int_equal(log_store_read(s[1], i, 1, 1, &y, &why), 1);
        assert_int_equal(x.entries[0].term, y.entries[0].term);
        assert_int_equal(x.entries[0].kind, y.entries[0].kind);
        assert_int_equal(x.entries[0].len, y.entries[0].len);
        if (x.entries[0].len > 0)
            assert_memory_equal(x.entries[0].data, y.entries[0].data, x.entries[0].len);
    }
    log_page_close(&x);
    log_page_close(&y);
    log_store_close(s[0]);
    log_store_close(s[1]);
}

static void F45_restored_is_equal_record_by_record_and_entry_by_entry(void **state)
{
    struct backup_manifest m;
    struct data_dir d;
    struct log_recovered r;
    struct proto_uuid origin;
    (void)state;
    char data[PATH_MAX];
    (void)snprintf(data, sizeof data, "%s/restored", store_tmp_root);
    const struct restore_config config = target(data);
    assert_int_equal(restore_make(store_tmp_path("backup"), &config, NULL, &m, &why), 0);
    assert_int_equal(m.index, fixture.applied);
    assert_memory_equal(&m.chain, &fixture.applied_chain, sizeof m.chain);
    assert_same_records(store_tmp_path("node/state"), store_tmp_path("restored/state"));
    assert_same_entries(store_tmp_path("node/log"), store_tmp_path("restored/log"), m.index);

    /* A node may start on it: behind the history stands the new cluster's configuration. */
    assert_int_equal(data_dir_open(&d, data, &config.id, NULL, &why), 0);
    assert_int_equal(data_dir_recover(&d, NULL, &r, &why), 0);
    assert_int_equal(log_store_last(d.log), m.index + 1);
    assert_int_equal(r.applied_index, m.index + 1);
    assert_int_equal(r.applied_term, m.term + 1);
    assert_int_equal(r.term, m.term + 1);
    assert_int_equal(r.voted_for, 0);
    assert_int_equal(r.applied_conf.index, m.index + 1);
    assert_int_equal(r.applied_conf.len, conf_len);
    assert_memory_equal(r.applied_conf.data, conf, conf_len);
    log_recovered_close(&r);
    data_dir_close(&d);
    assert_int_equal(origin_read(data, &origin), 0);
    static const struct proto_uuid genesis = {{7, 7, 7}};
    assert_true(proto_uuid_eq(&origin, &genesis));
}

static void F45_a_backup_of_a_restored_node_restores_as_well(void **state)
{
    struct backup_manifest m;
    (void)state;
    struct restore_config config = target(store_tmp_path("again"));
    config.id.cluster.b[0] = 9;
    assert_int_equal(
        backup_take(store_tmp_path("restored"), store_tmp_path("backup2"), NULL, NULL, &m, &why),
        0);
    assert_int_equal(restore_make(store_tmp_path("backup2"), &config, NULL, &m, &why), 0);
    assert_same_records(store_tmp_path("node/state"), store_tmp_path("again/state"));
}

/* A copy of the backup, to be harmed. */
static const char *copy(const char *name)
{
    static char to[PATH_MAX];
    (void)snprintf(to, sizeof to, "%s/%s", store_tmp_root, name);
    store_tmp_remove(to);
    store_tmp_copy(store_tmp_path("backup"), to);
    return to;
}

static void assert_refused(const char *from, int want, const char *word)
{
    struct backup_manifest m;
    char data[PATH_MAX];
    (void)snprintf(data, sizeof data, "%s/refused", store_tmp_root);
    const struct restore_config config = target(data);
    int rv = restore_make(from, &config, NULL, &m, &why);
    assert_int_equal(rv, want);
    assert_non_null(strstr(why.text, word));
    struct data_dir d;
    assert_int_equal(data_dir_open(&d, data, NULL, NULL, &why), -ENOENT); /* nothing is left */
}

static void F45_damaged_and_partial_backups_are_refused(void **state)
{
    char path[PATH_MAX + 64];
    struct archive *a;
    char name[32];
    (void)state;
    const char *from = copy("harmed");
    (void)snprintf(path, sizeof path, "%s/MANIFEST", from);
    store_tmp_damage(path, 120, 1);
    assert_refused(from, -EUCLEAN, "MANIFEST is damaged");
    store_tmp_damage(path, 60, 0);
    assert_refused(from, -EUCLEAN, "MANIFEST is damaged");
    assert_int_equal(unlink(path), 0);
    assert_refused(from, -ENOENT, "not a backup");

    from = copy("harmed");
    (void)snprintf(path, sizeof path, "%s/state/data.mdb", from);
    store_tmp_damage(path, 9000, 1);
    assert_refused(from, -EUCLEAN, "hash");
    store_tmp_damage(path, 8192, 0);
    assert_refused(from, -EUCLEAN, "hash");
    assert_int_equal(unlink(path), 0);
    assert_refused(from, -EUCLEAN, "data.mdb");

    from = copy("harmed");
    (void)snprintf(path, sizeof path, "%s/log", from);
    assert_int_equal(archive_open(&a, path, ARCHIVE_READ, &why), 0);
    unsigned files = archive_files(a);
    assert_true(files >= 3);
    archive_name(a, files - 1, name);
    archive_close(a);
    (void)snprintf(path, sizeof path, "%s/log/%s", from, name);
    store_tmp_damage(path, 300, 1);
    assert_refused(from, -EUCLEAN, "damaged");
    assert_int_equal(unlink(path), 0);
    assert_refused(from, -EUCLEAN, "missing");
}

static void F45_what_a_restore_or_a_backup_would_overwrite_or_mix_is_refused(void **state)
{
    struct backup_manifest m;
    (void)state;
    const char *backup = store_tmp_path("backup");
    struct restore_config config = target(store_tmp_path("mixed"));
    config.id.cluster = (struct proto_uuid){{7, 7, 7}};
    assert_int_equal(restore_make(backup, &config, NULL, &m, &why), -EINVAL);
    assert_non_null(strstr(why.text, "uuid"));
    config = target(store_tmp_path("mixed"));
    config.id.group = 3;
    assert_int_equal(restore_make(backup, &config, NULL, &m, &why), -EINVAL);
    config = target(store_tmp_path("node"));
    assert_int_equal(restore_make(backup, &config, NULL, &m, &why), -EEXIST);

    const struct node_identity stranger = {{{1}}, 0, 1};
    assert_int_equal(backup_take(store_tmp_path("node"), backup, NULL, NULL, &m, &why), -EEXIST);
    assert_int_equal(
        backup_take(store_tmp_path("node"), store_tmp_path("b3"), &stranger, NULL, &m, &why),
        -EXDEV);
    assert_int_equal(access(store_tmp_path("b3"), F_OK), -1);
    assert_int_equal(access(store_tmp_path("b3.partial"), F_OK), -1);
}

static bool stop_at_once(void *ctx, const char *what, uint64_t done, uint64_t total)
{
    (void)ctx, (void)done, (void)total;
    return strcmp(what, "log") != 0;
}

/* The file says that it ends in `claimed`. */
static void claim_last_term(const char *path, uint64_t claimed, struct log_file_facts *f)
{
    static uint8_t bytes[1 << 20];
    FILE *file = fopen(path, "r+be");
    assert_non_null(file);
    size_t n = fread(bytes, 1, sizeof bytes, file);
    assert_true(n > LOG_HEAD_SIZE + LOG_TRAILER_SIZE && n < sizeof bytes);
    uint8_t *trailer = bytes + n - LOG_TRAILER_SIZE;
    struct proto_sha256 link;
    f->last_term = claimed;
    log_trailer_put(trailer, f);
    proto_sha256_init(&link);
    proto_sha256_add(&link, bytes, LOG_HEAD_SIZE);
    for (uint8_t *at = bytes + LOG_HEAD_SIZE; at < trailer;) {
        struct log_block b;
        log_block_get(at, &b);
        proto_sha256_add(&link, at, LOG_BLOCK_HEAD_SIZE);
        at += LOG_BLOCK_HEAD_SIZE + b.stored;
    }
    proto_sha256_add(&link, trailer, LOG_TRAILER_SIZE - LOG_LINK_SIZE);
    proto_sha256_out(&link, &f->link);
    log_trailer_put(trailer, f);
    rewind(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

/* The last file again, its later half in another term than it says; all hashes are as they must
 * be. */
static void forge_terms(const char *from, uint64_t term)
{
    char path[PATH_MAX], fresh[PATH_MAX], name[32];
    struct archive *a;
    struct log_file *f;
    struct log_file_writer *w;
    struct backup_manifest m;
    struct log_page page;
    assert_int_equal(backup_manifest_read(from, &m, &why), 0);
    (void)snprintf(path, sizeof path, "%.1000s/log", from);
    assert_int_equal(archive_open(&a, path, ARCHIVE_READ, &why), 0);
    archive_name(a, archive_files(a) - 1, name);
    struct log_file_facts facts = *archive_facts(a, archive_files(a) - 1);
    archive_close(a);
    (void)snprintf(path, sizeof path, "%.1000s/log/%s", from, name);
    (void)snprintf(fresh, sizeof fresh, "%.1000s/log/fresh", from);
    assert_int_equal(log_file_open(&f, path, &why), 0);
    assert_int_equal(log_file_create(&w, fresh, &facts, &why), 0);
    log_page_init(&page);
    int n = log_file_read(f, facts.first, 100000, 1 << 30, &page, &why);
    assert_true(n > 2);
    for (int i = 0; i < n; i++) {
        page.entries[i].term = i < n / 2 ? page.entries[i].term : term;
        assert_int_equal(log_file_add(w, &page.entries[i], &why), 0);
    }
    log_page_close(&page);
    log_file_close(f);
    assert_int_equal(log_file_finish(w, &facts, &why), 0);
    claim_last_term(fresh, m.term, &facts);
    assert_int_equal(rename(fresh, path), 0);
    m.log_link = facts.link;
    (void)snprintf(path, sizeof path, "%.1000s/MANIFEST", from);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(backup_manifest_write(from, &m, &why), 0);
}

static void F45_a_backup_with_another_history_inside_is_refused(void **state)
{
    (void)state;
    const char *from = copy("forged");
    forge_terms(from, 1000); /* the configuration that is added would come before it */
    assert_refused(from, -EUCLEAN, "an entry makes no sense");
}

static bool mark_now(void *ctx, const char *what, uint64_t done, uint64_t total)
{
    (void)done, (void)total;
    if (strcmp(what, "log") == 0)
        assert_int_equal(data_mark_write(ctx, "it differs at index 9\n", &why), 0);
    return true;
}

/* It would be the state of a new cluster. */
static void F45_F50_a_state_that_has_diverged_is_not_backed_up(void **state)
{
    struct backup_manifest m;
    char data[PATH_MAX], to[PATH_MAX];
    const struct backup_watch watch = {data, mark_now};
    (void)state;
    (void)snprintf(data, sizeof data, "%s", store_tmp_path("marked"));
    (void)snprintf(to, sizeof to, "%s", store_tmp_path("b7"));
    store_tmp_copy(store_tmp_path("node"), data);
    for (unsigned found = 0; found < 2; found++) { /* while it is taken, and before */
        assert_int_equal(backup_take(data, to, NULL, found == 0 ? &watch : NULL, &m, &why),
                         -EUCLEAN);
        assert_non_null(strstr(why.text, "it differs at index 9"));
        assert_int_not_equal(access(to, F_OK), 0);
        assert_int_not_equal(access(store_tmp_path("b7.partial"), F_OK), 0);
    }
}

static void F45_an_interrupted_backup_leaves_nothing(void **state)
{
    struct backup_manifest m;
    const struct backup_watch watch = {NULL, stop_at_once};
    (void)state;
    const char *to = store_tmp_path("b4");
    assert_int_equal(backup_take(store_tmp_path("node"), to, NULL, &watch, &m, &why), -ECANCELED);
    assert_int_equal(access(to, F_OK), -1);
    assert_int_equal(access(store_tmp_path("b4.partial"), F_OK), -1);
    const struct restore_config config = target(store_tmp_path("r4"));
    assert_int_equal(restore_make(store_tmp_path("backup"), &config, &watch, &m, &why), -ECANCELED);
    assert_int_equal(rmdir(store_tmp_path("r4")), 0);
}

/* As a seeding leaves it: a state, and a log that begins behind it, or not at all. */
static void F45_a_node_that_was_just_seeded_says_to_back_up_another(void **state)
{
    struct backup_manifest m;
    char log[PATH_MAX];
    struct log_store *s;
    (void)state;
    store_tmp_copy(store_tmp_path("node"), store_tmp_path("seeded"));
    (void)snprintf(log, sizeof log, "%s/seeded/log", store_tmp_root);
    store_tmp_remove(log);
    assert_int_equal(log_store_open(&s, log, LOG_STORE_WRITE, NULL, &why), 0);
    log_store_close(s);
    assert_int_equal(
        backup_take(store_tmp_path("seeded"), store_tmp_path("b6"), NULL, NULL, &m, &why),
        -ENODATA);
    assert_int_equal(log_store_open(&s, log, LOG_STORE_WRITE, NULL, &why), 0);
    const struct log_entry e = {fixture.applied + 1, 1000, NULL, 0, ENTRY_BARRIER};
    const struct log_append append = {&e, 1};
    assert_int_equal(log_store_append(s, &append, 1, &why), 0);
    log_store_close(s);
    assert_int_equal(
        backup_take(store_tmp_path("seeded"), store_tmp_path("b6"), NULL, NULL, &m, &why),
        -ENODATA);
    assert_non_null(strstr(why.text, "seeded"));
    assert_int_equal(access(store_tmp_path("b6.partial"), F_OK), -1);
}

static void F45_an_empty_ledger_has_nothing_to_back_up(void **state)
{
    struct backup_manifest m;
    const struct node_identity id = {{{5}}, 0, 1};
    (void)state;
    const char *dir = store_tmp_path("empty");
    assert_int_equal(data_dir_create(dir, &id, conf, conf_len, &why), 0);
    assert_int_equal(backup_take(dir, store_tmp_path("b5"), NULL, NULL, &m, &why), -ENODATA);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(F45_restored_is_equal_record_by_record_and_entry_by_entry),
        cmocka_unit_test(F45_a_backup_of_a_restored_node_restores_as_well),
        cmocka_unit_test(F45_damaged_and_partial_backups_are_refused),
        cmocka_unit_test(F45_what_a_restore_or_a_backup_would_overwrite_or_mix_is_refused),
        cmocka_unit_test(F45_a_backup_with_another_history_inside_is_refused),
        cmocka_unit_test(F45_F50_a_state_that_has_diverged_is_not_backed_up),
        cmocka_unit_test(F45_an_interrupted_backup_leaves_nothing),
        cmocka_unit_test(F45_a_node_that_was_just_seeded_says_to_back_up_another),
        cmocka_unit_test(F45_an_empty_ledger_has_nothing_to_back_up),
    };
    return cmocka_run_group_tests(tests, setup, store_tmp_teardown);
}
