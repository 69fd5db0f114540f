/* SPDX-License-Identifier: Apache-2.0
 * The state on disk: checkpoints are whole or absent, views are stable, scans stay in their prefix.
 */
#include "ledger/store/checkpoint_thread.h"
#include "ledger/store/state_store.h"
#include "tests/unit/store_tmp.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
// cmocka needs these before it
#include <cmocka.h>

static struct store_why why;

static struct state_store *open_state(void)
{
    struct state_store_config config = {.map_bytes = UINT64_C(1) << 30};
    struct state_store *s;
    assert_int_equal(
        state_store_open(&s, store_tmp_path("state"), STATE_STORE_WRITE, &config, &why), 0);
    return s;
}

static void put(struct state_changes *c, const char *key, const char *value)
{
    assert_int_equal(state_changes_add(c, key, strlen(key), value, value ? strlen(value) : 0), 0);
}

static int join(void *ctx, const void *key, size_t klen, const void *value, size_t vlen)
{
    char *out = ctx;
    (void)sprintf(out + strlen(out), "%.*s=%.*s ", (int)klen, (const char *)key, (int)vlen,
                  (const char *)value);
    return 0;
}

static void expect_scan(struct state_reader *r, const char *prefix, const char *from,
                        const char *expected)
{
    char got[512] = "";
    assert_int_equal(
        state_reader_scan(r, prefix, strlen(prefix), from, from ? strlen(from) : 0, join, got), 0);
    assert_string_equal(got, expected);
}

static void F43_checkpoints_carry_records_and_position(void **state)
{
    (void)state;
    struct state_store *s = open_state();
    struct state_reader r;
    struct state_meta m, want = {.applied_index = 7,
                                 .applied_term = 2,
                                 .clock_us = -5,
                                 .chain = {{9, 8}},
                                 .conf = {.index = 1, .len = 3, .data = "abc"}};
    assert_int_equal(state_reader_open(&r, s, &why), 0);
    assert_int_equal(state_reader_meta(&r, &m), 0);
    assert_int_equal(m.applied_index, 0);
    struct state_changes c;
    state_changes_init(&c);
    put(&c, "a/1", "one");
    put(&c, "a/2", "two");
    put(&c, "b", "");
    assert_int_equal(state_store_write(s, &c, &want, &why), 0);
    assert_int_equal(state_reader_meta(&r, &m), 0);
    assert_int_equal(m.applied_index, 0); /* the view stays until it is refreshed */
    assert_int_equal(state_reader_refresh(&r), 0);
    assert_int_equal(state_reader_meta(&r, &m), 0);
    assert_memory_equal(&m, &want, sizeof m);
    const void *value;
    size_t n;
    assert_int_equal(state_reader_get(&r, "a/2", 3, &value, &n), 0);
    assert_int_equal(n, 3);
    assert_memory_equal(value, "two", 3);
    assert_int_equal(state_reader_get(&r, "b", 1, &value, &n), 0);
    assert_int_equal(n, 0);
    assert_int_equal(state_reader_get(&r, "c", 1, &value, &n), -ENOENT);
    expect_scan(&r, "a/", NULL, "a/1=one a/2=two ");
    expect_scan(&r, "a/", "a/2", "a/2=two ");
    expect_scan(&r, "a/", "A", "a/1=one a/2=two ");
    expect_scan(&r, "", NULL, "a/1=one a/2=two b= ");
    expect_scan(&r, "z", NULL, "");
    state_changes_clear(&c);
    put(&c, "a/1", NULL);
    put(&c, "a/3", NULL); /* was never there */
    put(&c, "b", "B");
    want.applied_index = 8;
    assert_int_equal(state_store_write(s, &c, &want, &why), 0);
    assert_int_equal(state_reader_refresh(&r), 0);
    expect_scan(&r, "", NULL, "a/2=two b=B ");
    assert_int_equal(state_store_records(s), 2);
    state_reader_close(&r);
    state_store_close(s);
    s = open_state();
    assert_int_equal(state_reader_open(&r, s, &why), 0);
    assert_int_equal(state_reader_meta(&r, &m), 0);
    assert_memory_equal(&m, &want, sizeof m);
    expect_scan(&r, "", NULL, "a/2=two b=B ");
    state_reader_close(&r);
    state_store_close(s);
    char key[600] = {0};
    assert_int_equal(state_changes_add(&c, key, sizeof key, "", 0), -EINVAL);
    assert_int_equal(state_changes_add(&c, "", 0, "", 0), -EINVAL);
    state_changes_close(&c);
}

/* In checkpoint i, each of 50 records holds i. */
static void changes_of(struct state_changes *c, uint64_t i)
{
    state_changes_clear(c);
    for (unsigned k = 0; k < 50; k++) {
        char key[16];
        (void)snprintf(key, sizeof key, "k%02u", k);
        if (state_changes_add(c, key, 3, &i, sizeof i) != 0)
            abort();
    }
}

static int all_equal(void *ctx, const void *key, size_t klen, const void *value, size_t vlen)
{
    (void)key, (void)klen;
    return vlen == 8 && memcmp(value, ctx, 8) == 0 ? 0 : -1;
}

static void F43_a_killed_writer_leaves_a_whole_checkpoint(void **state)
{
    (void)state;
    for (int round = 0; round < 10; round++) {
        int fds[2];
        assert_int_equal(pipe(fds), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            struct state_store *s = open_state();
            struct state_changes c;
            state_changes_init(&c);
            for (uint64_t i = (uint64_t)round * 1000 + 1;; i++) {
                struct state_meta m = {.applied_index = i, .applied_term = 1};
                changes_of(&c, i);
                if (state_store_write(s, &c, &m, &why) != 0 || write(fds[1], &i, 8) != 8)
                    _exit(3);
            }
        }
        (void)close(fds[1]);
        uint64_t told = 0, i;
        for (int n = 0; n < 5 + round * 3 && read(fds[0], &i, 8) == 8; n++)
            told = i;
        assert_int_equal(kill(pid, SIGKILL), 0);
        while (read(fds[0], &i, 8) == 8)
            told = i;
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        (void)close(fds[0]);
        struct state_store *s = open_state();
        struct state_reader r;
        struct state_meta m;
        assert_int_equal(state_reader_open(&r, s, &why), 0);
        assert_int_equal(state_reader_meta(&r, &m), 0);
        assert_true(m.applied_index >= told);
        assert_int_equal(state_reader_scan(&r, "k", 1, NULL, 0, all_equal, &m.applied_index), 0);
        state_reader_close(&r);
        state_store_close(s);
    }
}

struct told {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    uint64_t done;
};

static void on_done(void *ctx, uint64_t applied, uint64_t nanos)
{
    struct told *t = ctx;
    (void)nanos;
    pthread_mutex_lock(&t->mutex);
    t->done = applied;
    pthread_cond_signal(&t->cond);
    pthread_mutex_unlock(&t->mutex);
}

static void on_fatal(void *ctx, const char *text)
{
    (void)ctx;
    print_message("%s\n", text);
    abort();
}

static void F43_the_checkpoint_thread_writes_one_at_a_time(void **state)
{
    (void)state;
    struct told told = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};
    struct checkpoint_thread_calls calls = {.ctx = &told, .on_done = on_done, .on_fatal = on_fatal};
    struct state_store *s = open_state();
    struct checkpoint_thread *t;
    struct state_changes c;
    state_changes_init(&c);
    assert_int_equal(checkpoint_thread_start(&t, s, &calls), 0);
    for (uint64_t i = 1; i <= 20; i++) {
        struct state_meta m = {.applied_index = i, .applied_term = 1};
        changes_of(&c, i);
        assert_int_equal(checkpoint_thread_write(t, &c, &m), 0);
        pthread_mutex_lock(&told.mutex);
        while (told.done < i)
            pthread_cond_wait(&told.cond, &told.mutex);
        pthread_mutex_unlock(&told.mutex);
    }
    struct state_meta m = {.applied_index = 21, .applied_term = 1};
    changes_of(&c, 21);
    assert_int_equal(checkpoint_thread_write(t, &c, &m), 0);
    checkpoint_thread_stop(t); /* finishes it */
    assert_int_equal(told.done, 21);
    state_changes_close(&c);
    state_store_close(s);
}

static void F43_a_copy_reads_and_damage_is_refused(void **state)
{
    (void)state;
    struct state_store *s = open_state();
    struct state_changes c;
    state_changes_init(&c);
    struct state_meta m = {.applied_index = 3, .applied_term = 1};
    changes_of(&c, 3);
    assert_int_equal(state_store_write(s, &c, &m, &why), 0);
    store_tmp_copy(store_tmp_path("state"), store_tmp_path("copy"));
    state_store_close(s);
    assert_int_equal(state_store_open(&s, store_tmp_path("copy"), STATE_STORE_COPY, NULL, &why), 0);
    assert_int_equal(state_store_records(s), 50);
    state_store_close(s);
    store_tmp_damage(store_tmp_path("copy/data.mdb"), 2 * 4096 + 1, 0);
    assert_int_equal(state_store_open(&s, store_tmp_path("copy"), STATE_STORE_COPY, NULL, &why),
                     -EUCLEAN);
    state_changes_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(F43_checkpoints_carry_records_and_position, store_tmp_setup,
                                        store_tmp_teardown),
        cmocka_unit_test_setup_teardown(F43_a_killed_writer_leaves_a_whole_checkpoint,
                                        store_tmp_setup, store_tmp_teardown),
        cmocka_unit_test_setup_teardown(F43_the_checkpoint_thread_writes_one_at_a_time,
                                        store_tmp_setup, store_tmp_teardown),
        cmocka_unit_test_setup_teardown(F43_a_copy_reads_and_damage_is_refused, store_tmp_setup,
                                        store_tmp_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
