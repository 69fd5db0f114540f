/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/seed/server.h"

#include "ledger/seed/digest.h"
#include "ledger/store/env.h"
#include "ledger/store/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum { COPY_IDLE_S = 60, NICE = 5 /* calls go first */, READ_BYTES = 1 << 20, ENTRIES_MAX = 65536 };

struct waiting {
    void *request;
    struct proto_seed_ask ask;
    struct seed_standing standing;
};

/* The copy that is being given away. */
struct copy {
    int fd;      /* -1: there is none */
    time_t used; /* when it was asked for last */
    uint64_t size;
    struct proto_hash sum;
    struct state_meta meta;
};

struct seed_server {
    struct seed_server_config config;
    char dir[PATH_MAX - 64], file[PATH_MAX];
    struct worker worker;
    struct waiting waiting[SEED_ASKING_MAX]; /* guarded by the worker, as the next one */
    unsigned n;
    struct copy copy; /* the seed thread's, as all below */
    struct log_page page;
    uint8_t bytes[SEED_BYTES_MAX], frame[SEED_FRAME_MAX];
    struct store_why why;
};

static time_t now_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec;
}

static void say(struct proto_seed_answer *a, enum seed_code code, const char *text)
{
    a->code = (uint8_t)code;
    a->text = proto_str_of(text);
    if (a->text.n > SEED_TEXT_MAX || !proto_utf8_clean(a->text))
        a->text = proto_str_of("it failed; the node's log says why");
}

/* ---- the copy ---- */

static void drop_copy(struct seed_server *s)
{
    if (s->copy.fd >= 0)
        (void)close(s->copy.fd);
    s->copy = (struct copy){.fd = -1};
    (void)unlink(s->file);
}

static int sum_copy(struct seed_server *s)
{
    struct proto_sha256 h;
    ssize_t n;
    proto_sha256_init(&h);
    s->copy.size = 0;
    while ((n = pread(s->copy.fd, s->bytes, READ_BYTES, (off_t)s->copy.size)) > 0) {
        proto_sha256_add(&h, s->bytes, (size_t)n);
        s->copy.size += (uint64_t)n;
    }
    proto_sha256_out(&h, &s->copy.sum);
    return n < 0 ? store_why_set(&s->why, -errno, "read %s: %s", s->file, strerror(errno)) : 0;
}

static int read_copy_meta(struct seed_server *s)
{
    struct state_store *copy;
    struct state_reader r;
    int rv = state_store_open(&copy, s->dir, STATE_STORE_COPY, NULL, &s->why);
    if (rv)
        return rv;
    rv = state_reader_open(&r, copy, &s->why);
    if (rv == 0) {
        rv = state_reader_meta(&r, &s->copy.meta);
        if (rv)
            (void)store_why_set(&s->why, rv, "the copy's position cannot be read");
        state_reader_close(&r);
    }
    state_store_close(copy);
    return rv;
}

static int look_for_room(struct seed_server *s)
{
    struct statvfs v;
    if (statvfs(s->dir, &v) != 0)
        return store_why_set(&s->why, -errno, "%s: %s", s->dir, strerror(errno));
    uint64_t total = (uint64_t)v.f_blocks * v.f_frsize, free = (uint64_t)v.f_bavail * v.f_frsize;
    uint64_t keep = s->config.keep_free ? s->config.keep_free(s->config.ctx, total) : 0;
    uint64_t needed = state_store_copy_bytes(s->config.state);
    if (free >= keep && free - keep >= needed)
        return 0;
    return store_why_set(&s->why, -ENOSPC,
                         "no room on its disk for a copy of its state: %" PRIu64
                         " MB needed, %" PRIu64 " MB free, of which %" PRIu64 " MB stay so",
                         (needed >> 20) + 1, free >> 20, keep >> 20);
}

static int make_copy(struct seed_server *s)
{
    drop_copy(s);
    if (look_for_room(s) != 0)
        return -ENOSPC;
    s->copy.fd = open(s->file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (s->copy.fd < 0)
        return store_why_set(&s->why, -errno, "create %s: %s", s->file, strerror(errno));
    int rv = state_store_copy(s->config.state, s->copy.fd, &s->why);
    if (rv == 0)
        rv = sum_copy(s);
    if (rv == 0)
        rv = read_copy_meta(s);
    if (rv)
        drop_copy(s);
    return rv;
}

static void put_position(struct proto_seed_answer *a, const struct state_meta *m)
{
    a->index = m->applied_index;
    a->index_term = m->applied_term;
    a->clock_us = m->clock_us;
    a->chain = m->chain;
}

/* ---- the answers ---- */

/* Somebody else is fetching it: he must not lose it to a second one, who can as well have it. */
static bool is_in_use(const struct seed_server *s)
{
    return s->copy.fd >= 0 && now_s() - s->copy.used < COPY_IDLE_S;
}

static void answer_open(struct seed_server *s, struct proto_seed_answer *a)
{
    if (!is_in_use(s) && make_copy(s) != 0) {
        say(a, SEED_FAILED, s->why.text);
    } else if (s->copy.meta.applied_index == 0) {
        drop_copy(s);
        say(a, SEED_FAILED, "nothing has been written to this ledger yet");
    } else {
        s->copy.used = now_s();
        put_position(a, &s->copy.meta);
        a->size = s->copy.size;
        a->sum = s->copy.sum;
    }
}

static void answer_chunk(struct seed_server *s, const struct proto_seed_ask *ask,
                         struct proto_seed_answer *a)
{
    uint32_t max = ask->max < SEED_CHUNK_MAX ? ask->max : SEED_CHUNK_MAX;
    if (s->copy.fd < 0 || s->copy.meta.applied_index != ask->copy || ask->at > s->copy.size) {
        say(a, SEED_GONE, "that copy is not here any more");
        return;
    }
    s->copy.used = now_s();
    ssize_t n = pread(s->copy.fd, s->bytes, max, (off_t)ask->at);
    if (n < 0) {
        say(a, SEED_FAILED, strerror(errno));
        return;
    }
    a->bytes = (struct proto_str){(const char *)s->bytes, (uint32_t)n};
}

static void answer_entries(struct seed_server *s, const struct proto_seed_ask *ask,
                           const struct seed_standing *standing, struct proto_seed_answer *a)
{
    size_t used = 0, max = ask->max < SEED_CHUNK_MAX ? ask->max : SEED_CHUNK_MAX;
    uint64_t left = ask->at > 0 && ask->at <= standing->commit ? standing->commit - ask->at + 1 : 0;
    if (left == 0)
        return; /* none yet */
    int got =
        log_store_read(s->config.log, ask->at, (unsigned)(left < ENTRIES_MAX ? left : ENTRIES_MAX),
                       max, &s->page, &s->why);
    if (got < 0) {
        say(a, SEED_FAILED, s->why.text);
        return;
    }
    if (got == 0 && ask->at < log_store_first(s->config.log))
        say(a, SEED_GONE, "those entries have been trimmed");
    for (int i = 0; i < got; i++) {
        const struct log_entry *e = &s->page.entries[i];
        if (used + SEED_ENTRY_HEAD + e->len > sizeof s->bytes)
            break;
        uint8_t *p = s->bytes + used;
        for (int b = 0; b < 8; b++)
            p[b] = (uint8_t)(e->term >> (8 * b));
        p[8] = e->kind;
        for (int b = 0; b < 4; b++)
            p[9 + b] = (uint8_t)(e->len >> (8 * b));
        if (e->len > 0)
            memcpy(p + SEED_ENTRY_HEAD, e->data, e->len);
        used += SEED_ENTRY_HEAD + e->len;
        a->count++;
    }
    a->bytes = (struct proto_str){(const char *)s->bytes, (uint32_t)used};
}

static void answer_digest(struct seed_server *s, struct proto_seed_answer *a)
{
    struct state_meta meta;
    if (seed_digest(s->config.state, &meta, &a->sum, &s->why) != 0)
        say(a, SEED_FAILED, s->why.text);
    else
        put_position(a, &meta);
}

static bool is_ours(const struct seed_server *s, const struct proto_seed_ask *ask)
{
    const struct node_identity *id = &s->config.id;
    return ask->format == SEED_FORMAT && proto_uuid_eq(&ask->cluster, &id->cluster) &&
           ask->group == id->group && ask->node != id->node;
}

void seed_server_answer(struct seed_server *s, const struct proto_seed_ask *ask,
                        const struct seed_standing *standing, struct proto_seed_answer *a)
{
    *a = (struct proto_seed_answer){.format = SEED_FORMAT,
                                    .node = s->config.id.node,
                                    .term = standing->term,
                                    .leader = standing->leader,
                                    .firm = standing->firm,
                                    .commit = standing->commit,
                                    .last = standing->last,
                                    .first = log_store_first(s->config.log)};
    if (!is_ours(s, ask)) {
        say(a, SEED_REFUSED, "another cluster, group or version, or this very node");
        return;
    }
    switch (ask->kind) {
    case SEED_HELLO:
        break;
    case SEED_OPEN:
        answer_open(s, a);
        break;
    case SEED_CHUNK:
        answer_chunk(s, ask, a);
        break;
    case SEED_CLOSE:
        if (s->copy.meta.applied_index == ask->copy)
            drop_copy(s);
        break;
    case SEED_ENTRIES:
        answer_entries(s, ask, standing, a);
        break;
    case SEED_DIGEST:
        answer_digest(s, a);
        break;
    default:
        say(a, SEED_REFUSED, "no such question");
    }
}

/* ---- the thread ---- */

static bool take(struct seed_server *s, struct waiting *w, bool *stopping)
{
    worker_lock(&s->worker);
    while (s->n == 0 && !s->worker.stopping)
        worker_wait(&s->worker);
    bool any = s->n > 0;
    if (any) {
        *w = s->waiting[0];
        s->n--;
        memmove(s->waiting, s->waiting + 1, s->n * sizeof *s->waiting);
    }
    *stopping = s->worker.stopping;
    worker_unlock(&s->worker);
    return any;
}

static void run(void *arg)
{
    struct seed_server *s = arg;
    struct waiting w;
    bool stopping;
    while (take(s, &w, &stopping)) {
        if (stopping) {
            s->config.on_answer(s->config.ctx, w.request, NULL, 0);
            continue;
        }
        struct proto_seed_answer a;
        struct proto_writer out = proto_writer_over(s->frame, sizeof s->frame);
        seed_server_answer(s, &w.ask, &w.standing, &a);
        proto_seed_answer_put(&out, &a);
        s->config.on_answer(s->config.ctx, w.request, s->frame, out.full ? 0 : out.n);
    }
}

int seed_server_start(struct seed_server **out, const struct seed_server_config *config)
{
    struct seed_server *s = calloc(1, sizeof *s);
    struct store_why why;
    if (!s)
        return -ENOMEM;
    s->config = *config;
    s->copy.fd = -1;
    log_page_init(&s->page);
    (void)snprintf(s->dir, sizeof s->dir, "%.4000s/seed-out", config->data);
    (void)snprintf(s->file, sizeof s->file, "%s/data.mdb", s->dir);
    (void)unlink(s->file);
    int rv = env_make_dir(s->dir, &why);
    if (rv == -EEXIST)
        rv = 0;
    if (rv == 0)
        rv = worker_start(&s->worker, "seed", NICE, run, s);
    if (rv) {
        free(s);
        return rv;
    }
    *out = s;
    return 0;
}

uint64_t seed_server_asker(const void *bytes, size_t n, bool *digest)
{
    struct proto_seed_ask ask;
    struct proto_reader r = proto_reader_over(bytes, n);
    bool whole = proto_seed_ask_get(&r, &ask) && proto_get_end(&r);
    *digest = whole && ask.kind == SEED_DIGEST;
    return whole ? ask.node : 0;
}

bool seed_server_ask(struct seed_server *s, void *request, const void *bytes, size_t n,
                     const struct seed_standing *standing)
{
    struct waiting w = {.request = request, .standing = *standing};
    struct proto_reader r = proto_reader_over(bytes, n);
    if (!proto_seed_ask_get(&r, &w.ask) || !proto_get_end(&r))
        return false;
    worker_lock(&s->worker);
    bool room = s->n < SEED_ASKING_MAX && !s->worker.stopping;
    if (room) {
        s->waiting[s->n++] = w;
        worker_wake(&s->worker);
    }
    worker_unlock(&s->worker);
    return room;
}

void seed_server_stop(struct seed_server *s)
{
    if (!s)
        return;
    worker_stop(&s->worker);
    drop_copy(s);
    log_page_close(&s->page);
    free(s);
}
