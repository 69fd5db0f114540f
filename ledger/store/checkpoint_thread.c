/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/store/checkpoint_thread.h"

#include "ledger/store/worker.h"

#include <errno.h>
#include <stdlib.h>

/* A checkpoint can wait, those who ask cannot. Not more than a little, though: where all processors
 * are busy it must still be done before the next one is due. */
enum { NICE = 5 };

struct checkpoint_thread {
    struct state_store *store;
    struct checkpoint_thread_calls calls;
    struct worker worker;
    const struct state_changes *changes; /* NULL: idle. Guarded by the worker, like all below */
    struct state_meta meta;
    struct state_sweep sweep; /* the thread's own */
    bool failed;
};

static const struct state_changes *next(struct checkpoint_thread *t)
{
    worker_lock(&t->worker);
    while (!t->changes && !t->worker.stopping)
        worker_wait(&t->worker);
    const struct state_changes *c = t->changes;
    worker_unlock(&t->worker);
    return c;
}

static void run(void *arg)
{
    struct checkpoint_thread *t = arg;
    const struct state_changes *c;
    while ((c = next(t)) != NULL) {
        struct store_why why;
        uint64_t before = worker_nanos();
        int rv =
            state_store_checkpoint(t->store, c, &t->meta, t->calls.sweep ? &t->sweep : NULL, &why);
        uint64_t applied = t->meta.applied_index;
        worker_lock(&t->worker);
        t->failed = rv != 0;
        t->changes = NULL; /* the caller may hand over the next one from on_done already */
        worker_unlock(&t->worker);
        if (rv) {
            t->calls.on_fatal(t->calls.ctx, why.text);
            return;
        }
        t->calls.on_done(t->calls.ctx, applied, worker_nanos() - before);
    }
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
    int rv = worker_start(&t->worker, "checkpoint", NICE, run, t);
    if (rv) {
        state_sweep_close(&t->sweep);
        free(t);
        return rv;
    }
    *out = t;
    return 0;
}

int checkpoint_thread_write(struct checkpoint_thread *t, const struct state_changes *c,
                            const struct state_meta *meta)
{
    int rv = 0;
    worker_lock(&t->worker);
    if (t->changes || t->failed) {
        rv = -EBUSY;
    } else {
        t->meta = *meta;
        t->changes = c;
        worker_wake(&t->worker);
    }
    worker_unlock(&t->worker);
    return rv;
}

void checkpoint_thread_stop(struct checkpoint_thread *t)
{
    if (!t)
        return;
    worker_stop(&t->worker);
    state_sweep_close(&t->sweep);
    free(t);
}
