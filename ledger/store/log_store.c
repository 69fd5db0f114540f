/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/store/log_segment.h"

#include "proto/base/check.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SEGMENT_BYTES_DEFAULT (UINT64_C(1) << 30)

static int by_first(const void *a, const void *b)
{
    const struct log_segment *x = *(struct log_segment *const *)a;
    const struct log_segment *y = *(struct log_segment *const *)b;
    return x->first < y->first ? -1 : x->first > y->first;
}

/* "00000000000000000001": 1. Anything else: 0. */
static uint64_t index_of_name(const char *name, const char *suffix)
{
    if (strspn(name, "0123456789") != SEGMENT_NAME_DIGITS ||
        strcmp(name + SEGMENT_NAME_DIGITS, suffix) != 0)
        return 0;
    return strtoull(name, NULL, 10);
}

static int find_segments(struct log_store *s, struct store_why *why)
{
    DIR *d = opendir(s->dir);
    if (!d)
        return store_why_set(why, -errno, "open %s: %s", s->dir, strerror(errno));
    int rv = 0;
    struct dirent *e;
    while (rv == 0 && (e = readdir(d)) != NULL) {
        uint64_t first = index_of_name(e->d_name, "");
        if (first > 0 && !segment_add(s, first))
            rv = store_why_set(why, -ENOMEM, "no memory for the log's segments");
        /* A roll or a truncation that a crash interrupted: never part of the log. */
        if (s->mode == LOG_STORE_WRITE &&
            (index_of_name(e->d_name, ".new") || index_of_name(e->d_name, ".drop")))
            rv = segment_sweep(s, e->d_name, why);
    }
    (void)closedir(d);
    if (s->n > 1)
        qsort(s->segment, s->n, sizeof(struct log_segment *), by_first);
    return rv;
}

static void drop_all(struct log_store *s)
{
    while (s->n > 0)
        segment_drop(s, s->n - 1);
    term_runs_close(&s->runs);
    term_runs_close(&s->work);
}

static int load(struct log_store *s, struct store_why *why)
{
    int rv = find_segments(s, why);
    for (unsigned i = 0; rv == 0 && i < s->n; i++) {
        struct log_segment *g = s->segment[i];
        if (i > 0 && g->first != s->segment[i - 1]->last + 1)
            return store_why_set(why, -EUCLEAN,
                                 "%s: entries %" PRIu64 " to %" PRIu64 " are missing: a segment "
                                 "was removed or not copied",
                                 s->dir, s->segment[i - 1]->last + 1, g->first - 1);
        rv = segment_load(s, g, &s->runs, why);
        if (rv == 0 && i + 1 < s->n) {
            if (g->last < g->first)
                return store_why_set(why, -EUCLEAN, "%s: segment %" PRIu64 " is empty", s->dir,
                                     g->first);
            if (s->n_open > SEGMENTS_OPEN_MAX)
                segment_close(s, g);
        }
    }
    return rv;
}

static int prepare_writer(struct log_store *s, struct store_why *why)
{
    if (s->n == 0) {
        int rv = segment_create(s, 1, why);
        if (rv)
            return rv;
        struct log_segment *g = segment_add(s, 1);
        if (!g)
            return store_why_set(why, -ENOMEM, "no memory for the log's segments");
        rv = segment_open(s, g, why);
        if (rv)
            return rv;
    }
    if (term_runs_copy(&s->runs, &s->work) != 0)
        return store_why_set(why, -ENOMEM, "no memory for the log's terms");
    return 0;
}

static int start(struct log_store *s, struct store_why *why)
{
    DIR *d = opendir(s->dir);
    if (d)
        (void)closedir(d);
    int rv = 0;
    if (!d && errno == ENOENT && s->mode == LOG_STORE_WRITE)
        rv = env_make_dir(s->dir, why);
    if (rv == 0)
        rv = load(s, why);
    if (rv == 0 && s->mode == LOG_STORE_WRITE)
        rv = prepare_writer(s, why);
    return rv;
}

int log_store_open(struct log_store **out, const char *dir, enum log_store_mode mode,
                   const struct log_store_config *config, struct store_why *why)
{
    struct log_store *s = calloc(1, sizeof *s);
    if (!s)
        return store_why_set(why, -ENOMEM, "no memory to open %s", dir);
    s->mode = mode;
    s->segment_bytes =
        config && config->segment_bytes ? config->segment_bytes : SEGMENT_BYTES_DEFAULT;
    if (snprintf(s->dir, sizeof s->dir, "%s", dir) >= (int)sizeof s->dir) {
        free(s);
        return store_why_set(why, -ENAMETOOLONG, "path too long: %s", dir);
    }
    (void)pthread_mutex_init(&s->mutex, NULL);
    int rv = start(s, why);
    if (rv) {
        log_store_close(s);
        return rv;
    }
    *out = s;
    return 0;
}

void log_store_close(struct log_store *s)
{
    if (!s)
        return;
    drop_all(s);
    CHECK(s->n_open == 0); /* else somebody still reads */
    free(s->segment);
    (void)pthread_mutex_destroy(&s->mutex);
    free(s);
}

int log_store_refresh(struct log_store *s, struct store_why *why)
{
    pthread_mutex_lock(&s->mutex);
    drop_all(s);
    int rv = load(s, why);
    pthread_mutex_unlock(&s->mutex);
    return rv;
}

uint64_t log_store_first(struct log_store *s)
{
    pthread_mutex_lock(&s->mutex);
    uint64_t first = term_runs_first(&s->runs);
    pthread_mutex_unlock(&s->mutex);
    return first;
}

uint64_t log_store_last(struct log_store *s)
{
    pthread_mutex_lock(&s->mutex);
    uint64_t last = s->runs.n > 0 ? s->runs.last : 0;
    pthread_mutex_unlock(&s->mutex);
    return last;
}

uint64_t log_store_term(struct log_store *s, uint64_t index)
{
    pthread_mutex_lock(&s->mutex);
    uint64_t term = term_runs_of(&s->runs, index);
    pthread_mutex_unlock(&s->mutex);
    return term;
}

uint64_t log_store_bytes(struct log_store *s)
{
    uint64_t bytes = 0;
    pthread_mutex_lock(&s->mutex);
    for (unsigned i = 0; i < s->n; i++)
        bytes += s->segment[i]->bytes;
    pthread_mutex_unlock(&s->mutex);
    return bytes;
}

unsigned log_store_segments(struct log_store *s)
{
    pthread_mutex_lock(&s->mutex);
    unsigned n = s->n;
    pthread_mutex_unlock(&s->mutex);
    return n;
}

bool log_store_span(struct log_store *s, unsigned i, struct log_span *out)
{
    char path[PATH_MAX];
    struct stat st;
    pthread_mutex_lock(&s->mutex);
    bool found = i < s->n;
    if (found)
        *out = (struct log_span){.first = s->segment[i]->first,
                                 .last = s->segment[i]->last,
                                 .bytes = s->segment[i]->bytes,
                                 .sealed = i + 1 < s->n};
    pthread_mutex_unlock(&s->mutex);
    if (!found)
        return false;
    segment_path(s, out->first, "/data.mdb", path);
    if (stat(path, &st) == 0)
        out->written_s = st.st_mtim.tv_sec;
    return true;
}

int log_store_runs(struct log_store *s, struct term_runs *out)
{
    pthread_mutex_lock(&s->mutex);
    int rv = term_runs_copy(&s->runs, out);
    pthread_mutex_unlock(&s->mutex);
    return rv;
}
