/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/store/state_store.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[] = "/tmp/dead-reader-XXXXXX";

/* A tool that is killed while it holds a view of the state. */
static void read_and_die(const char *path)
{
    struct state_store *s;
    struct state_reader r;
    struct store_why why;
    if (state_store_open(&s, path, STATE_STORE_LIVE, NULL, &why) == 0 &&
        state_reader_open(&r, s, &why) == 0)
        (void)raise(SIGKILL);
    _exit(1);
}

static void write_checkpoint(struct state_store *s, struct state_changes *c, uint64_t index)
{
    struct state_meta meta = {.applied_index = index, .applied_term = 1};
    struct store_why why;
    state_changes_clear(c);
    for (uint32_t i = 0; i < 200; i++) {
        uint32_t key = __builtin_bswap32(i);
        uint8_t value[200] = {(uint8_t)index};
        assert_int_equal(state_changes_add(c, &key, sizeof key, value, sizeof value), 0);
    }
    assert_int_equal(state_store_write(s, c, &meta, &why), 0);
}

static void F44_killed_reader_does_not_make_the_state_grow(void **state)
{
    (void)state;
    struct state_store *s;
    struct state_changes c;
    struct store_why why;
    char path[64];
    int status;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/state", dir);
    assert_int_equal(state_store_open(&s, path, STATE_STORE_WRITE, NULL, &why), 0);
    state_changes_init(&c);
    for (uint64_t i = 1; i <= 10; i++)
        write_checkpoint(s, &c, i);
    uint64_t before = state_store_bytes(s);
    pid_t child = fork();
    if (child == 0)
        read_and_die(path);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    for (uint64_t i = 11; i <= 100; i++)
        write_checkpoint(s, &c, i);
    assert_true(state_store_bytes(s) <= 2 * before);
    state_changes_close(&c);
    state_store_close(s);
    (void)snprintf(path, sizeof path, "rm -r %s", dir);
    assert_int_equal(system(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(F44_killed_reader_does_not_make_the_state_grow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
