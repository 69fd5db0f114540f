/* SPDX-License-Identifier: Apache-2.0
 * A node's directory: made, locked, recovered, and refused with a reason where it should be.
 */
#include "ledger/raft/pump.h"
#include "ledger/store/data_dir.h"
#include "ledger/store/data_mark.h"
#include "tests/unit/store_tmp.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
// cmocka needs these before it
#include <cmocka.h>

static struct store_why why;
static const struct node_identity self = {.cluster = {{5}}, .node = 1};
static const struct data_dir_config config = {
    .log = {.segment_bytes = 1 << 20}, .state = {.map_bytes = 1 << 28}, .trail_entries = 10};
static uint8_t conf[ENTRY_CONF_MAX];
static int conf_len;

static const char *dir(void)
{
    return store_tmp_path("node");
}

static void create(void)
{
    const struct pump_server servers[] = {{1, "a:1"}, {2, "b:1"}, {3, "c:1"}};
    conf_len = pump_encode_servers(servers, 3, conf);
    assert_true(conf_len > 0);
    int rv = data_dir_create(dir(), &self, conf, (size_t)conf_len, &why);
    if (rv)
        print_message("%s\n", why.text);
    assert_int_equal(rv, 0);
}

static void open_it(struct data_dir *d)
{
    int rv = data_dir_open(d, dir(), &self, &config, &why);
    if (rv)
        print_message("%s\n", why.text);
    assert_int_equal(rv, 0);
}

static void append(struct data_dir *d, uint64_t first, uint64_t last, uint64_t term)
{
    for (uint64_t i = first; i <= last; i++) {
        struct log_entry e = {.index = i, .term = term, .kind = ENTRY_BARRIER};
        struct log_append a = {&e, 1};
        assert_int_equal(log_store_append(d->log, &a, 1, &why), 0);
    }
}

static void checkpoint(struct data_dir *d, uint64_t index, uint64_t term)
{
    struct state_changes none = {0};
    struct state_meta m = {.applied_index = index, .applied_term = term};
    m.conf.index = 1;
    m.conf.len = (uint32_t)conf_len;
    memcpy(m.conf.data, conf, (size_t)conf_len);
    assert_int_equal(state_store_write(d->state, &none, &m, &why), 0);
}

/* ---- names that a power loss leaves ---- */

enum { NAMES_MAX = 256 };
static struct {
    ino_t in;
    char name[256];
} durable[NAMES_MAX];
static unsigned n_durable;

/* A synced directory keeps the names that it has, also when it gets another name itself. */
int __wrap_fsync(int fd);
int __real_fsync(int fd);
int __wrap_fsync(int fd)
{
    char link[64];
    struct stat st;
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    DIR *d = fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) ? opendir(link) : NULL;
    const struct dirent *e;
    while (d && (e = readdir(d)) != NULL && n_durable < NAMES_MAX) {
        durable[n_durable].in = st.st_ino;
        (void)snprintf(durable[n_durable++].name, sizeof e->d_name, "%s", e->d_name);
    }
    if (d)
        (void)closedir(d);
    return __real_fsync(fd);
}

static int is_durable(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    char parent[PATH_MAX];
    struct stat in;
    const char *name = path + ftw->base;
    (void)st, (void)type;
    if (ftw->level == 0 || strcmp(name, "LOCK") == 0 || strcmp(name, "lock.mdb") == 0)
        return 0; /* not worth anything after a power loss */
    (void)snprintf(parent, sizeof parent, "%.*s", ftw->base, path);
    assert_int_equal(stat(parent, &in), 0);
    for (unsigned i = 0; i < n_durable; i++)
        if (durable[i].in == in.st_ino && strcmp(durable[i].name, name) == 0)
            return 0;
    print_message("%s may be gone after a power loss\n", path);
    return 1;
}

static void F43_a_new_directory_survives_a_power_loss(void **state)
{
    (void)state;
    n_durable = 0;
    create();
    assert_true(n_durable < NAMES_MAX);
    assert_int_equal(nftw(store_tmp_root, is_durable, 16, FTW_PHYS), 0);
}

static void F43_a_new_directory_recovers_its_configuration(void **state)
{
    (void)state;
    struct data_dir d;
    struct log_recovered r;
    create();
    assert_int_equal(data_dir_create(dir(), &self, conf, (size_t)conf_len, &why), -EEXIST);
    open_it(&d);
    assert_int_equal(data_dir_recover(&d, &config, &r, &why), 0);
    assert_int_equal(r.term, 1);
    assert_int_equal(r.incarnation, 1);
    assert_int_equal(r.runs.last, 1);
    assert_int_equal(r.n_confs, 1);
    assert_int_equal(r.confs[0].len, conf_len);
    assert_memory_equal(r.confs[0].data, conf, (size_t)conf_len);
    assert_int_equal(r.applied_index, 0);
    log_recovered_close(&r);
    data_dir_close(&d);
}

static void F43_recovery_is_state_plus_the_rest_of_the_log(void **state)
{
    (void)state;
    struct data_dir d;
    struct log_recovered r;
    create();
    open_it(&d);
    append(&d, 2, 100, 1);
    append(&d, 101, 150, 3);
    assert_int_equal(data_dir_recover(&d, &config, &r, &why), 0);
    assert_int_equal(term_runs_first(&r.runs), 1); /* nothing is in the state: all is needed */
    log_recovered_close(&r);
    checkpoint(&d, 120, 3);
    data_dir_close(&d);
    open_it(&d);
    assert_int_equal(data_dir_recover(&d, &config, &r, &why), 0);
    assert_int_equal(r.incarnation, 2);
    assert_int_equal(r.applied_index, 120);
    assert_int_equal(r.applied_term, 3);
    assert_int_equal(r.applied_conf.index, 1);
    assert_int_equal(term_runs_first(&r.runs), 121);
    assert_int_equal(r.runs.last, 150);
    log_recovered_close(&r);
    data_dir_close(&d);
}

static void F43_one_process_at_a_time(void **state)
{
    (void)state;
    struct data_dir d;
    create();
    open_it(&d);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct data_dir other;
        int rv = data_dir_open(&other, dir(), &self, &config, &why);
        _exit(rv == -EBUSY && strstr(why.text, "in use") ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    data_dir_close(&d);
    open_it(&d);
    data_dir_close(&d);
}

static void refuse(int code, const char *words)
{
    struct data_dir d;
    assert_int_equal(data_dir_open(&d, dir(), &self, &config, &why), code);
    if (!strstr(why.text, words))
        fail_msg("\"%s\" lacks \"%s\"", why.text, words);
}

static void F43_foreign_missing_and_mixed_parts_are_refused(void **state)
{
    (void)state;
    struct data_dir d;
    refuse(-ENOENT, "is not a node's directory");
    create();
    struct node_identity other = {.cluster = {{6}}, .node = 1};
    assert_int_equal(data_dir_open(&d, dir(), &other, &config, &why), -EXDEV);
    open_it(&d);
    append(&d, 2, 50, 1);
    store_tmp_copy(store_tmp_path("node/log"), store_tmp_path("old-log"));
    append(&d, 51, 80, 2);
    checkpoint(&d, 70, 2);
    data_dir_close(&d);
    assert_int_equal(rename(store_tmp_path("node/log"), store_tmp_path("log")), 0);
    refuse(-EUCLEAN, "node/log is missing");
    assert_int_equal(rename(store_tmp_path("old-log"), store_tmp_path("node/log")), 0);
    refuse(-EUCLEAN, "the state stands at entry 70 but the log holds 1 to 50");
    store_tmp_remove(store_tmp_path("node/log"));
    assert_int_equal(rename(store_tmp_path("log"), store_tmp_path("node/log")), 0);
    open_it(&d);
    data_dir_close(&d);
}

/* Pages of rubbish in every file: a refusal, never a fault in this process. */
static void F43_damaged_pages_are_refused_not_faulted_on(void **state)
{
    (void)state;
    static const char *const files[] = {"node/vote/data.mdb", "node/state/data.mdb",
                                        "node/log/00000000000000000001/data.mdb"};
    struct data_dir d;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        create();
        open_it(&d);
        append(&d, 2, 400, 1);
        checkpoint(&d, 100, 1);
        data_dir_close(&d);
        struct stat st;
        assert_int_equal(stat(store_tmp_path(files[i]), &st), 0);
        store_tmp_damage(store_tmp_path(files[i]), 2 * 4096, (size_t)st.st_size - 2 * 4096);
        int rv = data_dir_open(&d, dir(), &self, &config, &why);
        if (rv != -EUCLEAN)
            fail_msg("%s: %d", files[i], rv);
        store_tmp_remove(store_tmp_path("node"));
    }
}

static void F50_a_marked_state_is_made_again_from_the_log(void **state)
{
    (void)state;
    struct data_dir d;
    struct log_recovered r;
    char text[DATA_MARK_MAX];
    create();
    open_it(&d);
    append(&d, 2, 50, 1);
    checkpoint(&d, 40, 1);
    assert_false(data_mark_read(dir(), text));
    assert_int_equal(data_mark_write(dir(), "differs at index 17", &why), 0);
    assert_true(data_mark_read(dir(), text));
    assert_string_equal(text, "differs at index 17");
    assert_int_equal(data_dir_rebuild(dir(), &why), -EBUSY);
    data_dir_close(&d);
    for (int twice = 0; twice < 2; twice++) {
        assert_int_equal(data_dir_rebuild(dir(), &why), 0);
        assert_false(data_mark_read(dir(), text));
        open_it(&d);
        assert_int_equal(data_dir_recover(&d, &config, &r, &why), 0);
        assert_int_equal(r.applied_index, 0);
        assert_int_equal(term_runs_first(&r.runs), 1);
        assert_int_equal(r.runs.last, 50);
        log_recovered_close(&r);
        data_dir_close(&d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(F43_a_new_directory_survives_a_power_loss, store_tmp_setup,
                                        store_tmp_teardown),
        cmocka_unit_test_setup_teardown(F43_a_new_directory_recovers_its_configuration,
                                        store_tmp_setup, store_tmp_teardown),
        cmocka_unit_test_setup_teardown(F43_recovery_is_state_plus_the_rest_of_the_log,
                                        store_tmp_setup, store_tmp_teardown),
        cmocka_unit_test_setup_teardown(F43_one_process_at_a_time, store_tmp_setup,
                                        store_tmp_teardown),
        cmocka_unit_test_setup_teardown(F43_foreign_missing_and_mixed_parts_are_refused,
                                        store_tmp_setup, store_tmp_teardown),
        cmocka_unit_test_setup_teardown(F50_a_marked_state_is_made_again_from_the_log,
                                        store_tmp_setup, store_tmp_teardown),
        cmocka_unit_test_setup_teardown(F43_damaged_pages_are_refused_not_faulted_on,
                                        store_tmp_setup, store_tmp_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
