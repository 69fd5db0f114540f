/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/store/archive_thread.h"

#include "ledger/store/worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { NICE = 10 }; /* calls go first */

struct archive_thread {
    struct archive_thread_config config;
    struct log_store *log;
    struct worker worker;
    uint64_t applied;                    /* guarded by the worker */
    char told[sizeof(struct store_why)]; /* the failure told last; the thread's own */
};

/* ---- rules ---- */

uint64_t archive_wanted(struct log_store *log, const struct archive_thread_config *config,
                        uint64_t archived, int64_t now_s)
{
    uint64_t bytes = log_store_bytes(log), first = 0;
    struct log_span span;
    for (unsigned i = 0; log_store_span(log, i, &span) && span.sealed; i++) {
        bool safe = config->trim_unarchived || span.last <= archived;
        bool large = config->keep_bytes > 0 && bytes > config->keep_bytes;
        bool old = config->keep_s > 0 && span.written_s > 0 && now_s > span.written_s &&
                   (uint64_t)(now_s - span.written_s) > config->keep_s;
        if (!safe || (!large && !old))
            break;
        first = span.last + 1;
        bytes -= span.bytes;
    }
    return first;
}

/* ---- the thread ---- */

static bool go_on(void *ctx, uint64_t last, uint64_t raw_bytes)
{
    struct archive_thread *t = ctx;
    (void)last, (void)raw_bytes;
    worker_lock(&t->worker);
    bool on = !t->worker.stopping;
    worker_unlock(&t->worker);
    return on;
}

static int add_sealed(struct archive_thread *t, struct archive *a, uint64_t applied,
                      struct store_why *why)
{
    const struct archive_watch watch = {t, go_on};
    struct log_span span;
    int rv = 0;
    for (unsigned i = 0; rv == 0 && log_store_span(t->log, i, &span); i++) {
        uint64_t from = archive_last(a) + 1;
        if (!span.sealed || span.last > applied)
            break;
        if (span.last < from)
            continue;
        rv = archive_add(a, t->log, &t->config.owner, span.last, &watch, why);
        if (rv == 0 && t->config.on_archived)
            t->config.on_archived(t->config.ctx, from > 1 ? from : span.first, span.last);
    }
    return rv;
}

/* Archives what it can. 0 and the last entry that is archived. */
static int archive(struct archive_thread *t, uint64_t applied, uint64_t *archived,
                   struct store_why *why)
{
    struct archive *a;
    *archived = 0;
    if (!t->config.archive)
        return 0;
    int rv = archive_open(&a, t->config.archive, ARCHIVE_WRITE, why);
    if (rv)
        return rv;
    rv = add_sealed(t, a, applied, why);
    *archived = archive_last(a);
    archive_close(a);
    return rv;
}

static void tell_failure(struct archive_thread *t, int rv, const char *why)
{
    if (rv == -ECANCELED || strcmp(why, t->told) == 0)
        return;
    (void)snprintf(t->told, sizeof t->told, "%s", why);
    if (t->config.on_failed)
        t->config.on_failed(t->config.ctx, why);
}

static void look(struct archive_thread *t, uint64_t applied)
{
    struct store_why why = {{0}};
    uint64_t archived;
    int rv = archive(t, applied, &archived, &why);
    if (rv)
        tell_failure(t, rv, why.text);
    else
        t->told[0] = '\0';
    if (rv && !t->config.trim_unarchived)
        return;
    uint64_t first = archive_wanted(t->log, &t->config, archived, (int64_t)time(NULL));
    if (first > 0)
        t->config.on_wanted(t->config.ctx, first);
}

/* Until the next look; false: it is time to end. */
static bool wait_for_turn(struct archive_thread *t, uint64_t *applied)
{
    unsigned ms = t->config.every_ms ? t->config.every_ms : ARCHIVE_EVERY_MS;
    worker_lock(&t->worker);
    worker_wait_to_stop(&t->worker, ms);
    *applied = t->applied;
    bool on = !t->worker.stopping;
    worker_unlock(&t->worker);
    return on;
}

static void run(void *arg)
{
    struct archive_thread *t = arg;
    uint64_t applied;
    while (wait_for_turn(t, &applied))
        look(t, applied);
}

int archive_thread_start(struct archive_thread **out, struct log_store *log,
                         const struct archive_thread_config *config)
{
    struct archive_thread *t = calloc(1, sizeof *t);
    if (!t)
        return -ENOMEM;
    t->config = *config;
    t->log = log;
    int rv = worker_start(&t->worker, "archive", NICE, run, t);
    if (rv) {
        free(t);
        return rv;
    }
    *out = t;
    return 0;
}

void archive_thread_applied(struct archive_thread *t, uint64_t index)
{
    worker_lock(&t->worker);
    t->applied = index;
    worker_unlock(&t->worker);
}

void archive_thread_stop(struct archive_thread *t)
{
    if (!t)
        return;
    worker_stop(&t->worker);
    free(t);
}
