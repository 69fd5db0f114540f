/* SPDX-License-Identifier: Apache-2.0
 * A thread that waits for work: its mutex, its wake-up and its end. What the work is, whoever
 * embeds it keeps beside it, guarded by the mutex. Between start and stop all others may be called
 * from any thread.
 */
#ifndef HOLDFAST_LEDGER_WORKER_H
#define HOLDFAST_LEDGER_WORKER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct worker {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    bool stopping; /* guarded by the mutex */
    void (*run)(void *arg);
    void *arg;
    int nice;
};

/* name: for profiles, at most 15 characters. nice: how far it steps back behind other threads,
 * where that is permitted. run: returns once `stopping` is set. 0, or -errno and nothing is left
 * behind. */
__attribute__((warn_unused_result)) int worker_start(struct worker *w, const char *name, int nice,
                                                     void (*run)(void *arg), void *arg);
/* Sets `stopping`, waits for its end, gives back what start took. */
void worker_stop(struct worker *w);

void worker_lock(struct worker *w);
void worker_unlock(struct worker *w);

/* With the lock held. The waits may end sooner. */
void worker_wake(struct worker *w);
void worker_wait(struct worker *w);
void worker_wait_to_stop(struct worker *w,
                         unsigned ms); /* until it is to stop, or the time is up */

uint64_t worker_nanos(void); /* by CLOCK_MONOTONIC */

#endif
