/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/inbox.h"

#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { POSTERS = 4, POSTS = 1000 };

struct poster {
    struct inbox *in;
    uint64_t id;
    pthread_t thread;
};

static sem_t woken;

static void wake(void *ctx)
{
    (void)sem_post(ctx);
}

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
    assert_int_equal(sem_init(&woken, 0, 0), 0);
    assert_int_equal(inbox_new(&in, wake, &woken), 0);
    for (unsigned i = 0; i < POSTERS; i++) {
        posters[i] = (struct poster){.in = in, .id = i};
        assert_int_equal(pthread_create(&posters[i].thread, NULL, post_all, &posters[i]), 0);
    }
    while (seen < (uint64_t)POSTERS * POSTS) {
        size_t n;
        assert_int_equal(sem_wait(&woken), 0); /* who posts to an empty inbox wakes */
        const struct inbox_event *e = inbox_take(in, &n);
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

static void F48_the_first_fatal_reason_is_kept_and_wakes(void **state)
{
    (void)state;
    struct inbox *in;
    size_t n;
    assert_int_equal(sem_init(&woken, 0, 0), 0);
    assert_int_equal(inbox_new(&in, wake, &woken), 0);
    assert_null(inbox_why(in));
    inbox_fatal(in, "the log's disk is full");
    inbox_fatal(in, "something later");
    assert_int_equal(sem_wait(&woken), 0);
    (void)inbox_take(in, &n);
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
        cmocka_unit_test(F48_the_first_fatal_reason_is_kept_and_wakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
