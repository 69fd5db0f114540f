/* SPDX-License-Identifier: Apache-2.0
 * The log on disk: appends, truncation, segments, what a crash leaves, readers beside the writer.
 */
#include "ledger/store/checksum.h"
#include "ledger/store/log_store.h"
#include "ledger/store/log_thread.h"
#include "tests/unit/store_tmp.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/wait.h>
// cmocka needs these before it
#include <cmocka.h>

static struct store_why why;

/* The processor's way and ours, for every length and alignment. */
static void F43_checksums_do_not_depend_on_the_processor(void **state)
{
    (void)state;
    uint8_t bytes[600];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 131 + (i >> 3));
    for (uint32_t n = 0; n < 500; n++) {
        struct log_entry e = {.index = n * UINT64_C(0x123456789),
                              .term = n,
                              .kind = ENTRY_COMMAND,
                              .len = n,
                              .data = bytes + n % 9};
        assert_int_equal(entry_checksum(&e), entry_checksum_plain(&e));
    }
}

static struct log_store *open_log(enum log_store_mode mode, uint64_t segment_bytes)
{
    struct log_store_config config = {.segment_bytes = segment_bytes};
    struct log_store *s = NULL;
    int rv = log_store_open(&s, store_tmp_path("log"), mode, &config, &why);
    if (rv)
        print_message("%s\n", why.text);
    assert_int_equal(rv, 0);
    return s;
}

/* Payload of entry `index` as written in `term`. */
static size_t payload(uint64_t index, uint64_t term, uint8_t out[4096])
{
    size_t n = (size_t)(index * 37 % 900);
    memset(out, (int)(index ^ term), n);
    return n;
}

static void fill(struct log_entry *e, uint64_t index, uint64_t term, uint8_t *data)
{
    size_t n = payload(index, term, data);
    *e = (struct log_entry){.index = index,
                            .term = term,
                            .data = n > 0 ? data : NULL,
                            .len = (uint32_t)n,
                            .kind = index == 1 ? ENTRY_CHANGE : ENTRY_COMMAND};
}

static void append(struct log_store *s, uint64_t first, uint64_t last, uint64_t term)
{
    struct log_entry e;
    uint8_t data[4096];
    for (uint64_t i = first; i <= last; i++) {
        struct log_append a = {&e, 1};
        fill(&e, i, term, data);
        assert_int_equal(log_store_append(s, &a, 1, &why), 0);
    }
}

/* Entries first..last are there, of the term, and whole. */
static void expect(struct log_store *s, uint64_t first, uint64_t last, uint64_t term)
{
    struct log_page page;
    uint8_t data[4096];
    log_page_init(&page);
    uint64_t at = first;
    while (at <= last) {
        int n = log_store_read(s, at, 100, 5000, &page, &why);
        assert_true(n > 0);
        for (int i = 0; i < n && at <= last; i++, at++) {
            size_t len = payload(at, term, data);
            assert_int_equal(page.entries[i].index, at);
            assert_int_equal(page.entries[i].term, term);
            assert_int_equal(page.entries[i].len, len);
            if (len > 0)
                assert_memory_equal(page.entries[i].data, data, len);
            assert_int_equal(log_store_term(s, at), term);
        }
    }
    log_page_close(&page);
}

static void F43_entries_survive_reopening(void **state)
{
    (void)state;
    struct log_store *s = open_log(LOG_STORE_WRITE, 0);
    assert_int_equal(log_store_first(s), 0);
    assert_int_equal(log_store_last(s), 0);
    append(s, 1, 100, 1);
    append(s, 101, 150, 4);
    log_store_close(s);
    s = open_log(LOG_STORE_WRITE, 0);
    assert_int_equal(log_store_first(s), 1);
    assert_int_equal(log_store_last(s), 150);
    expect(s, 1, 100, 1);
    expect(s, 101, 150, 4);
    assert_int_equal(log_store_term(s, 151), 0);
    struct log_page page;
    log_page_init(&page);
    assert_int_equal(log_store_read(s, 151, 10, 100, &page, &why), 0);
    log_page_close(&page);
    struct log_conf *confs;
    unsigned n;
    assert_int_equal(log_store_confs(s, &confs, &n, &why), 0);
    assert_int_equal(n, 1);
    assert_int_equal(confs[0].index, 1);
    free(confs);
    log_store_close(s);
}

static void F43_truncation_replaces_the_rest(void **state)
{
    (void)state;
    struct log_store *s = open_log(LOG_STORE_WRITE, 0);
    append(s, 1, 50, 1);
    struct log_entry e[4];
    uint8_t data[4][4096];
    for (unsigned i = 0; i < 4; i++)
        fill(&e[i], 30 + i, 2, data[i]);
    /* One transaction: append, overwrite a part of it, go on. */
    struct log_append a[3] = {{&e[0], 3}, {&e[1], 1}, {&e[2], 2}};
    assert_int_equal(log_store_append(s, a, 3, &why), 0);
    assert_int_equal(log_store_last(s), 33);
    expect(s, 1, 29, 1);
    expect(s, 30, 33, 2);
    log_store_close(s);
    s = open_log(LOG_STORE_WRITE, 0);
    assert_int_equal(log_store_last(s), 33);
    expect(s, 30, 33, 2);
    append(s, 2, 2, 3); /* nearly everything */
    assert_int_equal(log_store_last(s), 2);
    log_store_close(s);
}

static void F43_segments_roll_and_truncation_crosses_them(void **state)
{
    (void)state;
    struct log_store *s = open_log(LOG_STORE_WRITE, 100 * 1024);
    append(s, 1, 2000, 1);
    assert_true(log_store_segments(s) > 5);
    expect(s, 1, 2000, 1);
    append(s, 700, 900, 2);
    assert_int_equal(log_store_last(s), 900);
    expect(s, 1, 699, 1);
    expect(s, 700, 900, 2);
    log_store_close(s);
    s = open_log(LOG_STORE_WRITE, 100 * 1024);
    assert_int_equal(log_store_last(s), 900);
    expect(s, 1, 699, 1);
    expect(s, 700, 900, 2);
    /* A truncation and a roll in one call: the new entries go to a new segment. */
    append(s, 901, 1500, 2);
    append(s, 1490, 1800, 3);
    expect(s, 901, 1489, 2);
    expect(s, 1490, 1800, 3);
    struct term_runs runs;
    assert_int_equal(log_store_runs(s, &runs), 0);
    assert_int_equal(runs.n, 3);
    assert_int_equal(runs.run[1].first, 700);
    assert_int_equal(runs.run[2].first, 1490);
    assert_int_equal(runs.last, 1800);
    term_runs_close(&runs);
    unsigned before = log_store_segments(s);
    assert_int_equal(log_store_trim(s, 1000, &why), 0);
    assert_true(log_store_segments(s) < before);
    assert_true(log_store_first(s) > 1 && log_store_first(s) <= 1000);
    expect(s, 1000, 1489, 2);
    log_store_close(s);
    s = open_log(LOG_STORE_WRITE, 100 * 1024);
    expect(s, 1490, 1800, 3);
    log_store_close(s);
}

static void F43_leftovers_of_a_crash_are_swept(void **state)
{
    (void)state;
    struct log_store *s = open_log(LOG_STORE_WRITE, 100 * 1024);
    append(s, 1, 600, 1);
    log_store_close(s);
    /* Died while making one segment and while dropping another. */
    assert_int_equal(mkdir(store_tmp_path("log/00000000000000000601.new"), 0700), 0);
    assert_int_equal(mkdir(store_tmp_path("log/00000000000000000900.drop"), 0700), 0);
    FILE *f = fopen(store_tmp_path("log/00000000000000000900.drop/data.mdb"), "w");
    assert_non_null(f);
    assert_int_equal(fclose(f), 0);
    s = open_log(LOG_STORE_WRITE, 100 * 1024);
    expect(s, 1, 600, 1);
    append(s, 601, 700, 1);
    log_store_close(s);
    assert_int_not_equal(access(store_tmp_path("log/00000000000000000900.drop"), F_OK), 0);
}

/* A process that ends before its n-th rename; 0: none is counted. */
static unsigned end_at_rename;
int __wrap_rename(const char *from, const char *to);
int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to)
{
    if (end_at_rename > 0 && --end_at_rename == 0)
        _exit(1);
    return __real_rename(from, to);
}

/* A seeded node's first entries: wherever its process ends, the next one goes on. */
static void F43_the_first_entry_after_a_seeding_may_be_cut_off_anywhere(void **state)
{
    (void)state;
    bool cut = true;
    for (unsigned at = 1; cut; at++) {
        int status;
        log_store_close(open_log(LOG_STORE_WRITE, 0));
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            end_at_rename = at;
            append(open_log(LOG_STORE_WRITE, 0), 57, 57, 3);
            _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        cut = WEXITSTATUS(status) != 0;
        log_store_close(open_log(LOG_STORE_COPY, 0)); /* how a start looks first */
        struct log_store *s = open_log(LOG_STORE_WRITE, 0);
        append(s, 57, 60, 3);
        assert_int_equal(log_store_first(s), 57);
        expect(s, 57, 60, 3);
        log_store_close(s);
        store_tmp_remove(store_tmp_path("log"));
        assert_true(at < 10);
    }
}

static void F43_killed_writer_leaves_a_prefix(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 12; round++) {
        int fds[2];
        assert_int_equal(pipe(fds), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) { /* writes until it is killed, telling what is durable */
            struct log_store_config config = {.segment_bytes = 64 * 1024};
            struct log_store *s;
            struct log_entry e;
            uint8_t data[4096];
            if (log_store_open(&s, store_tmp_path("log"), LOG_STORE_WRITE, &config, &why) != 0)
                _exit(3);
            for (uint64_t i = log_store_last(s) + 1;; i++) {
                struct log_append a = {&e, 1};
                fill(&e, i, 1, data);
                if (log_store_append(s, &a, 1, &why) != 0 || write(fds[1], &i, 8) != 8)
                    _exit(4);
            }
        }
        (void)close(fds[1]);
        uint64_t told = 0, i;
        for (unsigned n = 0; n < 20 + round * 17 && read(fds[0], &i, 8) == 8; n++)
            told = i;
        assert_int_equal(kill(pid, SIGKILL), 0);
        while (read(fds[0], &i, 8) == 8)
            told = i;
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        (void)close(fds[0]);
        struct log_store *s = open_log(LOG_STORE_WRITE, 64 * 1024);
        assert_true(log_store_last(s) >= told);
        expect(s, 1, log_store_last(s), 1);
        log_store_close(s);
    }
}

static void F44_readers_beside_the_writer_and_of_a_copy(void **state)
{
    (void)state;
    struct log_store *s = open_log(LOG_STORE_WRITE, 100 * 1024);
    append(s, 1, 500, 1);
    struct log_store *copy;
    store_tmp_copy(store_tmp_path("log"), store_tmp_path("copy"));
    append(s, 501, 600, 1);
    assert_int_equal(log_store_open(&copy, store_tmp_path("copy"), LOG_STORE_COPY, NULL, &why), 0);
    assert_int_equal(log_store_last(copy), 500);
    expect(copy, 1, 500, 1);
    log_store_close(copy);
    pid_t pid = fork(); /* another process, as a tool is */
    assert_true(pid >= 0);
    if (pid == 0) {
        struct log_store *live;
        if (log_store_open(&live, store_tmp_path("log"), LOG_STORE_LIVE, NULL, &why) != 0)
            _exit(3);
        uint64_t last = log_store_last(live);
        log_store_close(live);
        _exit(last == 600 ? 0 : 4);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    log_store_close(s);
}

static void F43_damage_is_refused_with_a_reason(void **state)
{
    (void)state;
    struct log_store *s = open_log(LOG_STORE_WRITE, 100 * 1024);
    append(s, 1, 600, 1);
    log_store_close(s);
    const char *log = store_tmp_path("log"), *bad = store_tmp_path("bad");
    char file[PATH_MAX];
    (void)snprintf(file, sizeof file, "%s/00000000000000000001/data.mdb", bad);
    store_tmp_copy(log, bad);
    store_tmp_damage(file, 3 * 4096 + 100, 0); /* cut short */
    assert_int_equal(log_store_open(&s, bad, LOG_STORE_COPY, NULL, &why), -EUCLEAN);
    assert_non_null(strstr(why.text, "cut short"));
    assert_non_null(strstr(why.text, "00000000000000000001"));
    store_tmp_remove(bad);
    store_tmp_copy(log, bad);
    store_tmp_damage(file, 0, 4096); /* no head */
    assert_int_equal(log_store_open(&s, bad, LOG_STORE_COPY, NULL, &why), -EUCLEAN);
    assert_non_null(strstr(why.text, "no LMDB head"));
    store_tmp_remove(bad);
    store_tmp_copy(log, bad);
    (void)snprintf(file, sizeof file, "%s/00000000000000000001", bad);
    (void)rename(file, store_tmp_path("elsewhere"));
    assert_int_equal(log_store_open(&s, bad, LOG_STORE_COPY, NULL, &why), 0);
    assert_true(log_store_first(s) > 1); /* the archived part is gone: the rest is whole */
    log_store_close(s);
}

/* A disk that takes no more: the write fails with a reason, and what was told durable is. */
static void F43_a_full_disk_is_an_error_and_loses_nothing(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        const struct rlimit limit = {400 * 1024, 400 * 1024};
        struct log_store *s;
        struct log_entry e;
        uint8_t data[4096];
        uint64_t i = 1;
        int rv = 0;
        (void)signal(SIGXFSZ, SIG_IGN);
        if (setrlimit(RLIMIT_FSIZE, &limit) != 0 ||
            log_store_open(&s, store_tmp_path("log"), LOG_STORE_WRITE, NULL, &why) != 0)
            _exit(3);
        for (; i < 5000 && rv == 0; i++) {
            struct log_append a = {&e, 1};
            fill(&e, i, 1, data);
            rv = log_store_append(s, &a, 1, &why);
        }
        i -= 2; /* the last one that was taken */
        _exit(rv < 0 && strstr(why.text, "/log") && write(fds[1], &i, 8) == 8 ? 0 : 4);
    }
    int status;
    uint64_t told = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(read(fds[0], &told, 8), 8);
    (void)close(fds[0]);
    (void)close(fds[1]);
    struct log_store *s = open_log(LOG_STORE_WRITE, 0);
    assert_true(log_store_last(s) >= told && told > 100);
    expect(s, 1, log_store_last(s), 1);
    append(s, log_store_last(s) + 1, log_store_last(s) + 10, 1);
    log_store_close(s);
}

/* ---- the log thread ---- */

struct told {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    uint64_t last;
    bool in_order;
};

static void on_persisted(void *ctx, uint64_t first, uint64_t last)
{
    struct told *t = ctx;
    pthread_mutex_lock(&t->mutex);
    t->in_order = t->in_order && first == t->last + 1;
    t->last = last;
    pthread_cond_signal(&t->cond);
    pthread_mutex_unlock(&t->mutex);
}

static void on_fatal(void *ctx, const char *text)
{
    (void)ctx;
    print_message("%s\n", text);
    abort();
}

static void F43_the_log_thread_groups_commits_and_tells_in_order(void **state)
{
    (void)state;
    enum { N = 600 };
    static struct log_entry e[N + 1];
    static uint8_t data[N + 1][4096];
    struct told told = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, true};
    struct log_thread_calls calls = {
        .ctx = &told, .on_persisted = on_persisted, .on_fatal = on_fatal};
    struct log_store *s = open_log(LOG_STORE_WRITE, 0);
    struct log_thread *t;
    assert_int_equal(log_thread_start(&t, s, &calls), 0);
    for (uint64_t i = 1; i <= N; i++) {
        fill(&e[i], i, 1, data[i]);
        assert_int_equal(log_thread_append(t, &e[i], 1), 0);
    }
    pthread_mutex_lock(&told.mutex);
    while (told.last < N)
        pthread_cond_wait(&told.cond, &told.mutex);
    pthread_mutex_unlock(&told.mutex);
    struct log_thread_stats stats;
    log_thread_stats(t, &stats);
    assert_true(stats.commits < N);
    assert_int_equal(stats.entries, N);
    log_thread_stop(t);
    assert_true(told.in_order);
    expect(s, 1, N, 1);
    log_store_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(F43_entries_survive_reopening, store_tmp_setup,
                                        store_tmp_teardown),
        cmocka_unit_test_setup_teardown(F43_truncation_replaces_the_rest, store_tmp_setup,
                                        store_tmp_teardown),
        cmocka_unit_test_setup_teardown(F43_segments_roll_and_truncation_crosses_them,
                                        store_tmp_setup, store_tmp_teardown),
        cmocka_unit_test_setup_teardown(F43_leftovers_of_a_crash_are_swept, store_tmp_setup,
                                        store_tmp_teardown),
        cmocka_unit_test_setup_teardown(F43_the_first_entry_after_a_seeding_may_be_cut_off_anywhere,
                                        store_tmp_setup, store_tmp_teardown),
        cmocka_unit_test_setup_teardown(F43_killed_writer_leaves_a_prefix, store_tmp_setup,
                                        store_tmp_teardown),
        cmocka_unit_test_setup_teardown(F44_readers_beside_the_writer_and_of_a_copy,
                                        store_tmp_setup, store_tmp_teardown),
        cmocka_unit_test(F43_checksums_do_not_depend_on_the_processor),
        cmocka_unit_test_setup_teardown(F43_damage_is_refused_with_a_reason, store_tmp_setup,
                                        store_tmp_teardown),
        cmocka_unit_test_setup_teardown(F43_a_full_disk_is_an_error_and_loses_nothing,
                                        store_tmp_setup, store_tmp_teardown),
        cmocka_unit_test_setup_teardown(F43_the_log_thread_groups_commits_and_tells_in_order,
                                        store_tmp_setup, store_tmp_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
