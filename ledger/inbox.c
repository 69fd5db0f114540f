/* SPDX-License-Identifier: Apache-2.0
 * Two arrays: posters fill one while the loop works through the other.
 */
#include "ledger/inbox.h"

#include "proto/base/check.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct inbox {
    pthread_mutex_t mutex;
    void (*wake)(void *ctx);
    void *ctx;
    struct inbox_event *posted, *taken;
    size_t n; /* in posted */
    bool closed, failed;
    char why[512];
};

int inbox_new(struct inbox **out, void (*wake)(void *ctx), void *ctx)
{
    struct inbox *in = calloc(1, sizeof *in);
    if (!in)
        return -ENOMEM;
    in->posted = malloc(INBOX_MAX * sizeof *in->posted);
    in->taken = malloc(INBOX_MAX * sizeof *in->taken);
    if (!in->posted || !in->taken || pthread_mutex_init(&in->mutex, NULL) != 0) {
        free(in->posted);
        free(in->taken);
        free(in);
        return -ENOMEM;
    }
    in->wake = wake;
    in->ctx = ctx;
    *out = in;
    return 0;
}

void inbox_free(struct inbox *in)
{
    if (!in)
        return;
    pthread_mutex_destroy(&in->mutex);
    free(in->posted);
    free(in->taken);
    free(in);
}

bool inbox_post(struct inbox *in, const struct inbox_event *e)
{
    pthread_mutex_lock(&in->mutex);
    bool ok = !in->closed, first = in->n == 0;
    if (ok) {
        CHECK(in->n < INBOX_MAX);
        in->posted[in->n++] = *e;
    }
    pthread_mutex_unlock(&in->mutex);
    if (ok && first)
        in->wake(in->ctx);
    return ok;
}

void inbox_fatal(struct inbox *in, const char *why)
{
    pthread_mutex_lock(&in->mutex);
    if (!in->failed)
        (void)snprintf(in->why, sizeof in->why, "%s", why);
    in->failed = true;
    bool wake = !in->closed;
    pthread_mutex_unlock(&in->mutex);
    if (wake)
        in->wake(in->ctx);
}

void inbox_close(struct inbox *in)
{
    pthread_mutex_lock(&in->mutex);
    in->closed = true;
    pthread_mutex_unlock(&in->mutex);
}

const struct inbox_event *inbox_take(struct inbox *in, size_t *n)
{
    pthread_mutex_lock(&in->mutex);
    struct inbox_event *full = in->posted;
    *n = in->n;
    in->posted = in->taken;
    in->taken = full;
    in->n = 0;
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
