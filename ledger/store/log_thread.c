/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/store/log_thread.h"

#include "ledger/store/worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct log_thread {
    struct log_store *store;
    struct log_thread_calls calls;
    struct worker worker;
    struct log_append queue[LOG_THREAD_QUEUE_MAX]; /* guarded by the worker, like all below */
    unsigned n;
    uint64_t trim; /* up to here; 0: nothing to trim */
    bool failed;
    struct log_thread_stats stats;
    struct log_append taken[LOG_THREAD_QUEUE_MAX]; /* the thread's own */
};

/* Everything that waits. 0 with *trim 0: it is time to end. */
static unsigned take(struct log_thread *t, uint64_t *trim)
{
    worker_lock(&t->worker);
    while (t->n == 0 && t->trim == 0 && !t->worker.stopping)
        worker_wait(&t->worker);
    unsigned n = t->n;
    memcpy(t->taken, t->queue, n * sizeof *t->queue);
    t->n = 0;
    *trim = t->worker.stopping ? 0 : t->trim;
    t->trim = 0;
    worker_unlock(&t->worker);
    return n;
}

static void trim_to(struct log_thread *t, uint64_t first)
{
    struct store_why why = {{0}};
    uint64_t before = log_store_first(t->store);
    int rv = log_store_trim(t->store, first, &why);
    uint64_t now = log_store_first(t->store);
    if (t->calls.on_trimmed && (now != before || (rv && rv != -EBUSY)))
        t->calls.on_trimmed(t->calls.ctx, now, rv ? why.text : NULL);
}

static void count(struct log_thread *t, unsigned n, uint64_t spent)
{
    worker_lock(&t->worker);
    t->stats.commits++;
    t->stats.commit_nanos += spent;
    t->stats.appends += n;
    for (unsigned i = 0; i < n; i++) {
        t->stats.entries += t->taken[i].n;
        for (unsigned j = 0; j < t->taken[i].n; j++)
            t->stats.bytes += t->taken[i].entries[j].len;
    }
    worker_unlock(&t->worker);
}

static void run(void *arg)
{
    struct log_thread *t = arg;
    unsigned n;
    uint64_t trim;
    while ((n = take(t, &trim)) > 0 || trim > 0) {
        if (trim > 0)
            trim_to(t, trim);
        if (n == 0)
            continue;
        struct store_why why;
        uint64_t before = worker_nanos();
        int rv = log_store_append(t->store, t->taken, n, &why);
        if (rv) {
            worker_lock(&t->worker);
            t->failed = true;
            worker_unlock(&t->worker);
            t->calls.on_fatal(t->calls.ctx, why.text);
            return;
        }
        count(t, n, worker_nanos() - before);
        for (unsigned i = 0; i < n; i++) {
            uint64_t first = t->taken[i].entries[0].index;
            t->calls.on_persisted(t->calls.ctx, first, first + t->taken[i].n - 1);
        }
        log_store_make_room(t->store);
    }
}

int log_thread_start(struct log_thread **out, struct log_store *store,
                     const struct log_thread_calls *calls)
{
    struct log_thread *t = calloc(1, sizeof *t);
    if (!t)
        return -ENOMEM;
    t->store = store;
    t->calls = *calls;
    int rv = worker_start(&t->worker, "log", 0, run, t);
    if (rv) {
        free(t);
        return rv;
    }
    *out = t;
    return 0;
}

int log_thread_append(struct log_thread *t, const struct log_entry *entries, unsigned n)
{
    int rv = 0;
    worker_lock(&t->worker);
    if (t->failed) {
        rv = 0; /* the reason is on its way: it ends the process, and nothing is reported */
    } else if (t->n == LOG_THREAD_QUEUE_MAX) {
        rv = -ENOBUFS;
    } else {
        t->queue[t->n++] = (struct log_append){entries, n};
        worker_wake(&t->worker);
    }
    worker_unlock(&t->worker);
    return rv;
}

void log_thread_trim(struct log_thread *t, uint64_t first)
{
    worker_lock(&t->worker);
    t->trim = first;
    worker_wake(&t->worker);
    worker_unlock(&t->worker);
}

void log_thread_stop(struct log_thread *t)
{
    if (!t)
        return;
    worker_stop(&t->worker);
    free(t);
}

void log_thread_stats(struct log_thread *t, struct log_thread_stats *out)
{
    worker_lock(&t->worker);
    *out = t->stats;
    out->queued = t->n;
    worker_unlock(&t->worker);
}
