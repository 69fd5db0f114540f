/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/store/checkpoint_thread.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { NICE = 5 };

struct checkpoint_thread {
    struct state_store *store;
    struct checkpoint_thread_calls calls;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    const struct state_changes *changes; /* NULL: idle. Guarded by the mutex, like all below */
    struct state_meta meta;
    struct state_sweep sweep; /* the thread's own */
    bool stopping, failed;
};

static uint64_t nanos(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static const struct state_changes *next(struct checkpoint_thread *t)
{
    pthread_mutex_lock(&t->mutex);
    while (!t->changes && !t->stopping)
        pthread_cond_wait(&t->wake, &t->mutex);
    const struct state_changes *c = t->changes;
    pthread_mutex_unlock(&t->mutex);
    return c;
}

/* A checkpoint can wait, those who ask cannot. Not more than a little, though: where all processors
 * are busy it must still be done before the next one is due. Without permission: as it is. */
static void step_back(void)
{
    (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICE);
}

static void *run(void *arg)
{
    struct checkpoint_thread *t = arg;
    const struct state_changes *c;
    step_back();
    while ((c = next(t)) != NULL) {
        struct store_why why;
        uint64_t before = nanos();
        int rv =
            state_store_checkpoint(t->store, c, &t->meta, t->calls.sweep ? &t->sweep : NULL, &why);
        uint64_t applied = t->meta.applied_index;
        pthread_mutex_lock(&t->mutex);
        t->failed = rv != 0;
        t->changes = NULL; /* the caller may hand over the next one from on_done already */
        pthread_mutex_unlock(&t->mutex);
        if (rv) {
            t->calls.on_fatal(t->calls.ctx, why.text);
            return NULL;
        }
        t->calls.on_done(t->calls.ctx, applied, nanos() - before);
    }
    return NULL;
}

int checkpoint_thread_start(struct checkpoint_thread **out, struct state_store *store,
                            const struct checkpoint_thread_calls *calls)
{
    struct checkpoint_thread *t = calloc(1, sizeof *t);
    if (!t)
        return -ENOMEM;
    t->store = store;
    t->calls = *calls;
    if (calls->sweep)
        state_sweep_init(&t->sweep, calls->sweep);
    (void)pthread_mutex_init(&t->mutex, NULL);
    (void)pthread_cond_init(&t->wake, NULL);
    int rv = pthread_create(&t->thread, NULL, run, t);
    if (rv) {
        free(t);
        return -rv;
    }
    (void)pthread_setname_np(t->thread, "checkpoint"); /* for profiles */
    *out = t;
    return 0;
}

int checkpoint_thread_write(struct checkpoint_thread *t, const struct state_changes *c,
                            const struct state_meta *meta)
{
    int rv = 0;
    pthread_mutex_lock(&t->mutex);
    if (t->changes || t->failed) {
        rv = -EBUSY;
    } else {
        t->meta = *meta;
        t->changes = c;
        pthread_cond_signal(&t->wake);
    }
    pthread_mutex_unlock(&t->mutex);
    return rv;
}

void checkpoint_thread_stop(struct checkpoint_thread *t)
{
    if (!t)
        return;
    pthread_mutex_lock(&t->mutex);
    t->stopping = true;
    pthread_cond_signal(&t->wake);
    pthread_mutex_unlock(&t->mutex);
    (void)pthread_join(t->thread, NULL);
    (void)pthread_cond_destroy(&t->wake);
    (void)pthread_mutex_destroy(&t->mutex);
    state_sweep_close(&t->sweep);
    free(t);
}
