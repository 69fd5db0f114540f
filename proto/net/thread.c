/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/net/thread.h"

#include "proto/base/check.h"
#include "proto/net/loop.h"

#include <pthread.h>
#include <stdlib.h>

struct net_thread {
    uv_loop_t uv;
    uv_async_t wake;
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

static void *run(void *arg)
{
    struct net_thread *t = arg;
    (void)pthread_setname_np(pthread_self(), t->name);
    (void)uv_run(&t->uv, UV_RUN_DEFAULT);
    return NULL;
}

static void close_handles(struct net_thread *t)
{
    if (t->loop)
        net_loop_close(t->loop, NULL, NULL);
    uv_close((uv_handle_t *)&t->wake, NULL);
}

static void release(struct net_thread *t)
{
    CHECK(uv_loop_close(&t->uv) == 0);
    pthread_mutex_destroy(&t->mutex);
    free(t);
}

struct net_thread *net_thread_start(const char *name)
{
    struct net_thread *t = calloc(1, sizeof *t);
    if (!t || uv_loop_init(&t->uv) != 0) {
        free(t);
        return NULL;
    }
    (void)pthread_mutex_init(&t->mutex, NULL); /* cannot fail without attributes */
    t->name = name;
    t->end = &t->first;
    if (uv_async_init(&t->uv, &t->wake, on_wake) != 0) {
        release(t);
        return NULL;
    }
    t->wake.data = t;
    if (net_loop_new(&t->loop, &t->uv) != 0 || pthread_create(&t->thread, NULL, run, t) != 0) {
        close_handles(t);
        (void)uv_run(&t->uv, UV_RUN_DEFAULT);
        release(t);
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
    net_thread_call(t, close_all, t);
    (void)pthread_join(t->thread, NULL);
    release(t);
}
