/* SPDX-License-Identifier: Apache-2.0
 * Two arrays: posters fill one while the loop works through the other.
 */
#include "ledger/inbox.h"

#include "proto/base/check.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { INBOX_MAX = INBOX_PEER_MAX + INBOX_OTHER_MAX };

struct inbox {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    struct inbox_event *posted, *taken;
    size_t n, peers; /* in posted */
    bool waiting, closed, failed;
    char why[512];
};

static int init_sync(struct inbox *in)
{
    pthread_condattr_t attr;
    if (pthread_mutex_init(&in->mutex, NULL) != 0)
        return -ENOMEM;
    if (pthread_condattr_init(&attr) != 0) {
        pthread_mutex_destroy(&in->mutex);
        return -ENOMEM;
    }
    int rv = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    if (rv == 0)
        rv = pthread_cond_init(&in->cond, &attr);
    pthread_condattr_destroy(&attr);
    if (rv != 0)
        pthread_mutex_destroy(&in->mutex);
    return rv == 0 ? 0 : -ENOMEM;
}

int inbox_new(struct inbox **out)
{
    struct inbox *in = calloc(1, sizeof *in);
    if (!in)
        return -ENOMEM;
    in->posted = malloc(INBOX_MAX * sizeof *in->posted);
    in->taken = malloc(INBOX_MAX * sizeof *in->taken);
    if (!in->posted || !in->taken || init_sync(in) != 0) {
        free(in->posted);
        free(in->taken);
        free(in);
        return -ENOMEM;
    }
    *out = in;
    return 0;
}

void inbox_free(struct inbox *in)
{
    if (!in)
        return;
    pthread_cond_destroy(&in->cond);
    pthread_mutex_destroy(&in->mutex);
    free(in->posted);
    free(in->taken);
    free(in);
}

bool inbox_post(struct inbox *in, const struct inbox_event *e)
{
    pthread_mutex_lock(&in->mutex);
    bool peer = e->kind == INBOX_PEER || e->kind == INBOX_GONE;
    bool ok = !in->closed && (!peer || in->peers < INBOX_PEER_MAX);
    if (ok) {
        CHECK(in->n < INBOX_MAX);
        in->posted[in->n++] = *e;
        in->peers += peer;
        if (in->waiting) {
            in->waiting = false;
            pthread_cond_signal(&in->cond);
        }
    }
    pthread_mutex_unlock(&in->mutex);
    return ok;
}

void inbox_fatal(struct inbox *in, const char *why)
{
    pthread_mutex_lock(&in->mutex);
    if (!in->failed)
        (void)snprintf(in->why, sizeof in->why, "%s", why);
    in->failed = true;
    pthread_cond_signal(&in->cond);
    pthread_mutex_unlock(&in->mutex);
}

void inbox_close(struct inbox *in)
{
    pthread_mutex_lock(&in->mutex);
    in->closed = true;
    pthread_mutex_unlock(&in->mutex);
}

const struct inbox_event *inbox_take(struct inbox *in, uint64_t timeout_ms, size_t *n)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(timeout_ms / 1000);
    until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&in->mutex);
    int rv = 0;
    while (timeout_ms > 0 && in->n == 0 && !in->failed && rv == 0) {
        in->waiting = true;
        rv = pthread_cond_timedwait(&in->cond, &in->mutex, &until);
    }
    in->waiting = false;
    struct inbox_event *full = in->posted;
    *n = in->n;
    in->posted = in->taken;
    in->taken = full;
    in->n = in->peers = 0;
    pthread_mutex_unlock(&in->mutex);
    return full;
}

const char *inbox_why(struct inbox *in)
{
    pthread_mutex_lock(&in->mutex);
    const char *why = in->failed ? in->why : NULL;
    pthread_mutex_unlock(&in->mutex);
    return why;
}
