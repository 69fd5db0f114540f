/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/store/worker.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void *begin(void *arg)
{
    struct worker *w = arg;
    if (w->nice > 0)
        (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), w->nice);
    w->run(w->arg);
    return NULL;
}

static void close_all(struct worker *w)
{
    (void)pthread_cond_destroy(&w->wake);
    (void)pthread_mutex_destroy(&w->mutex);
}

int worker_start(struct worker *w, const char *name, int nice, void (*run)(void *arg), void *arg)
{
    pthread_condattr_t clock;
    w->stopping = false;
    w->run = run;
    w->arg = arg;
    w->nice = nice;
    (void)pthread_mutex_init(&w->mutex, NULL); /* none of these can fail here */
    (void)pthread_condattr_init(&clock);
    (void)pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&w->wake, &clock);
    (void)pthread_condattr_destroy(&clock);
    int rv = pthread_create(&w->thread, NULL, begin, w);
    if (rv) {
        close_all(w);
        return -rv;
    }
    (void)pthread_setname_np(w->thread, name);
    return 0;
}

void worker_stop(struct worker *w)
{
    worker_lock(w);
    w->stopping = true;
    worker_wake(w);
    worker_unlock(w);
    (void)pthread_join(w->thread, NULL);
    close_all(w);
}

void worker_lock(struct worker *w)
{
    (void)pthread_mutex_lock(&w->mutex);
}

void worker_unlock(struct worker *w)
{
    (void)pthread_mutex_unlock(&w->mutex);
}

void worker_wake(struct worker *w)
{
    (void)pthread_cond_signal(&w->wake);
}

void worker_wait(struct worker *w)
{
    (void)pthread_cond_wait(&w->wake, &w->mutex);
}

void worker_wait_to_stop(struct worker *w, unsigned ms)
{
    struct timespec at;
    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += ms / 1000;
    at.tv_nsec += (long)(ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    while (!w->stopping && pthread_cond_timedwait(&w->wake, &w->mutex, &at) == 0)
        ;
}

uint64_t worker_nanos(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
