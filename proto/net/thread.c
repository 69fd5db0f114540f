/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/net/thread.h"

#include "proto/base/check.h"
#include "proto/net/loop.h"

#include <pthread.h>
#include <stdlib.h>

struct net_thread {
    uv_loop_t uv;
    uv_async_t wake;
    uv_timer_t limit; /* of a turn */
    bool started;     /* it has a thread of its own */
    struct net_loop *loop;
    pthread_t thread;
    pthread_mutex_t mutex;
    struct net_post *first, **end;
    const char *name;
};

static void on_wake(uv_async_t *async)
{
    struct net_thread *t = async->data;
    pthread_mutex_lock(&t->mutex);
    struct net_post *post = t->first;
    t->first = NULL;
    t->end = &t->first;
    pthread_mutex_unlock(&t->mutex);
    while (post) {
        struct net_post *next = post->next;
        post->run(post);
        post = next;
    }
}

void net_thread_post(struct net_thread *t, struct net_post *post)
{
    post->next = NULL;
    pthread_mutex_lock(&t->mutex);
    bool idle = t->first == NULL;
    *t->end = post;
    t->end = &post->next;
    pthread_mutex_unlock(&t->mutex);
    if (idle)
        (void)uv_async_send(&t->wake);
}

void net_thread_wake(struct net_thread *t)
{
    (void)uv_async_send(&t->wake);
}

static void *run(void *arg)
{
    struct net_thread *t = arg;
    (void)pthread_setname_np(pthread_self(), t->name);
    (void)uv_run(&t->uv, UV_RUN_DEFAULT);
    return NULL;
}

static void on_limit(uv_timer_t *timer)
{
    (void)timer; /* uv_run returns */
}

void net_thread_turn(struct net_thread *t, uint64_t timeout_ms)
{
    if (timeout_ms == 0) {
        (void)uv_run(&t->uv, UV_RUN_NOWAIT);
        return;
    }
    uv_update_time(&t->uv);
    (void)uv_timer_start(&t->limit, on_limit, timeout_ms, 0);
    (void)uv_run(&t->uv, UV_RUN_ONCE);
    (void)uv_timer_stop(&t->limit);
}

static void close_handles(struct net_thread *t)
{
    if (t->loop)
        net_loop_close(t->loop, NULL, NULL);
    uv_close((uv_handle_t *)&t->wake, NULL);
    uv_close((uv_handle_t *)&t->limit, NULL);
}

static void release(struct net_thread *t)
{
    CHECK(uv_loop_close(&t->uv) == 0);
    pthread_mutex_destroy(&t->mutex);
    free(t);
}

static void close_and_release(struct net_thread *t)
{
    close_handles(t);
    (void)uv_run(&t->uv, UV_RUN_DEFAULT);
    release(t);
}

struct net_thread *net_thread_new(void)
{
    struct net_thread *t = calloc(1, sizeof *t);
    if (!t || uv_loop_init(&t->uv) != 0) {
        free(t);
        return NULL;
    }
    (void)pthread_mutex_init(&t->mutex, NULL); /* cannot fail without attributes */
    t->end = &t->first;
    if (uv_async_init(&t->uv, &t->wake, on_wake) != 0) {
        release(t);
        return NULL;
    }
    (void)uv_timer_init(&t->uv, &t->limit); /* cannot fail */
    t->wake.data = t;
    if (net_loop_new(&t->loop, &t->uv) != 0) {
        close_and_release(t);
        return NULL;
    }
    return t;
}

struct net_thread *net_thread_start(const char *name)
{
    struct net_thread *t = net_thread_new();
    if (!t)
        return NULL;
    t->name = name;
    t->started = pthread_create(&t->thread, NULL, run, t) == 0;
    if (!t->started) {
        close_and_release(t);
        return NULL;
    }
    return t;
}

struct net_loop *net_thread_loop(struct net_thread *t)
{
    return t->loop;
}

/* ---- calls that are waited for ---- */

struct call {
    struct net_post post;
    void (*call)(void *arg);
    void *arg;
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    bool done;
};

static void run_call(struct net_post *post)
{
    struct call *c = (struct call *)post;
    c->call(c->arg);
    pthread_mutex_lock(&c->mutex);
    c->done = true;
    pthread_cond_signal(&c->cond);
    pthread_mutex_unlock(&c->mutex);
}

void net_thread_call(struct net_thread *t, void (*call)(void *arg), void *arg)
{
    struct call c = {.post = {.run = run_call},
                     .call = call,
                     .arg = arg,
                     .mutex = PTHREAD_MUTEX_INITIALIZER,
                     .cond = PTHREAD_COND_INITIALIZER};
    if (!t->started) { /* the owner's own */
        call(arg);
        return;
    }
    net_thread_post(t, &c.post);
    pthread_mutex_lock(&c.mutex);
    while (!c.done)
        pthread_cond_wait(&c.cond, &c.mutex);
    pthread_mutex_unlock(&c.mutex);
    pthread_cond_destroy(&c.cond);
    pthread_mutex_destroy(&c.mutex);
}

static void close_all(void *arg)
{
    close_handles(arg);
}

void net_thread_stop(struct net_thread *t)
{
    if (!t)
        return;
    if (!t->started) {
        on_wake(&t->wake); /* what was posted last */
        close_and_release(t);
        return;
    }
    net_thread_call(t, close_all, t);
    (void)pthread_join(t->thread, NULL);
    release(t);
}
