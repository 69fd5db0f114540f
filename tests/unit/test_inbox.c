/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/inbox.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { POSTERS = 4, POSTS = 1000, WAIT_MS = 10000 };

struct poster {
    struct inbox *in;
    uint64_t id;
    pthread_t thread;
};

static void *post_all(void *arg)
{
    struct poster *p = arg;
    for (uint64_t i = 0; i < POSTS; i++)
        if (!inbox_post(p->in, &(struct inbox_event){.kind = INBOX_PERSISTED, .a = p->id, .b = i}))
            return p;
    return NULL;
}

static void F48_every_post_arrives_once_and_in_its_posters_order(void **state)
{
    (void)state;
    struct inbox *in;
    struct poster posters[POSTERS];
    uint64_t next[POSTERS] = {0}, seen = 0;
    assert_int_equal(inbox_new(&in), 0);
    for (unsigned i = 0; i < POSTERS; i++) {
        posters[i] = (struct poster){.in = in, .id = i};
        assert_int_equal(pthread_create(&posters[i].thread, NULL, post_all, &posters[i]), 0);
    }
    while (seen < (uint64_t)POSTERS * POSTS) {
        size_t n;
        const struct inbox_event *e = inbox_take(in, WAIT_MS, &n);
        assert_true(n > 0);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(e[i].b, next[e[i].a]++);
        seen += n;
    }
    for (unsigned i = 0; i < POSTERS; i++) {
        void *failed;
        assert_int_equal(pthread_join(posters[i].thread, &failed), 0);
        assert_null(failed);
    }
    inbox_free(in);
}

static void F48_peer_messages_are_bounded_and_leave_room_for_the_rest(void **state)
{
    (void)state;
    struct inbox *in;
    size_t n;
    assert_int_equal(inbox_new(&in), 0);
    const struct inbox_event peer = {.kind = INBOX_PEER}, stop = {.kind = INBOX_STOP};
    for (unsigned i = 0; i < INBOX_PEER_MAX; i++)
        assert_true(inbox_post(in, &peer));
    assert_false(inbox_post(in, &peer));
    assert_true(inbox_post(in, &stop));
    const struct inbox_event *e = inbox_take(in, 0, &n);
    assert_int_equal(n, INBOX_PEER_MAX + 1);
    assert_int_equal(e[n - 1].kind, INBOX_STOP);
    assert_true(inbox_post(in, &peer)); /* taken: there is room again */
    inbox_free(in);
}

static void F48_the_first_fatal_reason_is_kept_and_wakes(void **state)
{
    (void)state;
    struct inbox *in;
    size_t n;
    assert_int_equal(inbox_new(&in), 0);
    assert_null(inbox_why(in));
    inbox_fatal(in, "the log's disk is full");
    inbox_fatal(in, "something later");
    (void)inbox_take(in, WAIT_MS, &n);
    assert_int_equal(n, 0);
    assert_string_equal(inbox_why(in), "the log's disk is full");
    inbox_close(in);
    assert_false(inbox_post(in, &(struct inbox_event){.kind = INBOX_STOP}));
    inbox_free(in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(F48_every_post_arrives_once_and_in_its_posters_order),
        cmocka_unit_test(F48_peer_messages_are_bounded_and_leave_room_for_the_rest),
        cmocka_unit_test(F48_the_first_fatal_reason_is_kept_and_wakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
