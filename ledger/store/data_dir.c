/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/store/data_dir.h"

#include "ledger/store/env.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TRAIL_ENTRIES_DEFAULT UINT64_C(4000000)

static const char *join(const char *dir, const char *part, char out[PATH_MAX])
{
    (void)snprintf(out, PATH_MAX, "%s/%s", dir, part);
    return out;
}

/* ---- lock ---- */

static int take_lock(const char *dir, int flags, int *fd, struct store_why *why)
{
    char path[PATH_MAX];
    *fd = open(join(dir, "LOCK", path), O_RDWR | O_CLOEXEC | flags, 0600);
    if (*fd < 0 && errno == ENOENT)
        return store_why_set(why, -ENOENT,
                             "%s is not a node's directory: a new cluster's is made by "
                             "'holdfast-ledger init', a lost one filled by 'holdfast-ledger seed'",
                             dir);
    if (*fd < 0)
        return store_why_set(why, -errno, "open %s: %s", path, strerror(errno));
    if (flock(*fd, LOCK_EX | LOCK_NB) != 0) {
        int rv = errno == EWOULDBLOCK ? -EBUSY : -errno;
        (void)close(*fd);
        *fd = -1;
        return store_why_set(why, rv, "%s is in use by another process", dir);
    }
    return 0;
}

/* ---- create ---- */

static int make_empty(const char *dir, struct store_why *why)
{
    int rv = env_make_dir(dir, why);
    if (rv && rv != -EEXIST)
        return rv;
    DIR *d = opendir(dir);
    if (!d)
        return store_why_set(why, -errno, "open %s: %s", dir, strerror(errno));
    bool empty = true;
    struct dirent *e;
    while ((e = readdir(d)) != NULL)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            empty = false;
    (void)closedir(d);
    return empty ? 0 : store_why_set(why, -EEXIST, "%s is not empty: nothing was changed", dir);
}

static int write_entry_one(const char *dir, const void *conf, size_t len, struct store_why *why)
{
    struct log_store *log;
    int rv = log_store_open(&log, dir, LOG_STORE_WRITE, NULL, why);
    if (rv)
        return rv;
    struct log_entry e = {
        .index = 1, .term = 1, .data = conf, .len = (uint32_t)len, .kind = ENTRY_CHANGE};
    struct log_append a = {&e, 1};
    if (len > 0)
        rv = log_store_append(log, &a, 1, why);
    log_store_close(log);
    return rv;
}

int data_dir_begin(const char *dir, int *lock_fd, struct store_why *why)
{
    int rv = make_empty(dir, why);
    return rv ? rv : take_lock(dir, O_CREAT | O_EXCL, lock_fd, why);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static void remove_part(const char *dir, const char *part)
{
    char path[PATH_MAX];
    (void)nftw(join(dir, part, path), remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void remove_begun(const char *dir)
{
    static const char *const parts[] = {"vote.new", "vote", "log", "state", "ORIGIN", "LOCK"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        remove_part(dir, parts[i]);
}

/* There whole or not at all. */
static int make_vote(const char *dir, const struct node_identity *id, const struct node_vote *vote,
                     struct store_why *why)
{
    char fresh[PATH_MAX], path[PATH_MAX];
    remove_part(dir, "vote.new"); /* of a run that was interrupted */
    int rv = vote_store_create(join(dir, "vote.new", fresh), id, vote, why);
    if (rv == 0 && rename(fresh, join(dir, "vote", path)) != 0)
        rv = store_why_set(why, -errno, "rename %s: %s", fresh, strerror(errno));
    return rv;
}

/* The vote comes last: a directory without it is one whose creation was interrupted. */
static int make_node(const char *dir, const struct node_identity *id, const struct node_vote *vote,
                     struct store_why *why)
{
    int rv = env_sync_dir(dir, why);
    if (rv == 0)
        rv = make_vote(dir, id, vote, why);
    return rv == 0 ? env_sync_dir(dir, why) : rv;
}

int data_dir_end(const char *dir, int lock_fd, const struct node_identity *id,
                 const struct node_vote *vote, int rv, struct store_why *why)
{
    if (rv == 0)
        rv = make_node(dir, id, vote, why);
    if (rv)
        remove_begun(dir);
    (void)close(lock_fd);
    return rv;
}

int data_dir_end_or_keep(const char *dir, int lock_fd, const struct node_identity *id,
                         const struct node_vote *vote, struct store_why *why)
{
    int rv = make_node(dir, id, vote, why);
    (void)close(lock_fd);
    return rv;
}

int data_dir_resume(const char *dir, int *lock_fd, struct store_why *why)
{
    char path[PATH_MAX];
    struct stat st;
    if (stat(join(dir, "vote", path), &st) == 0)
        return store_why_set(why, -EEXIST, "%s is a node's directory: nothing was changed", dir);
    return take_lock(dir, O_CREAT, lock_fd, why);
}

void data_dir_release(int lock_fd)
{
    if (lock_fd >= 0)
        (void)close(lock_fd);
}

int data_dir_create(const char *dir, const struct node_identity *id, const void *conf,
                    size_t conf_len, struct store_why *why)
{
    char path[PATH_MAX];
    struct state_store *state = NULL;
    /* Others may remember a node of this id, and take what is of an older incarnation for
     * overtaken: one that joins counts on from the clock. */
    const struct node_vote vote = {.term = conf_len > 0,
                                   .incarnation = conf_len > 0 ? 0 : (uint64_t)time(NULL)};
    if (id->node == 0 || conf_len > ENTRY_CONF_MAX)
        return store_why_set(why, -EINVAL, "node id 0, or no configuration");
    int fd, rv = data_dir_begin(dir, &fd, why);
    if (rv)
        return rv;
    rv = write_entry_one(join(dir, "log", path), conf, conf_len, why);
    if (rv == 0)
        rv = state_store_open(&state, join(dir, "state", path), STATE_STORE_WRITE, NULL, why);
    state_store_close(state);
    return data_dir_end(dir, fd, id, &vote, rv, why);
}

/* ---- probe ---- */

static int probe_log(const char *dir, struct store_why *why)
{
    struct log_store *log;
    int rv = log_store_open(&log, dir, LOG_STORE_COPY, NULL, why);
    if (rv)
        return rv;
    struct log_conf *confs = NULL;
    unsigned n;
    rv = log_store_confs(log, &confs, &n, why);
    free(confs);
    uint64_t last = log_store_last(log);
    if (rv == 0 && last > 0) {
        struct log_page page;
        log_page_init(&page);
        rv = log_store_read(log, last, 1, 1, &page, why);
        log_page_close(&page);
        rv = rv < 0 ? rv : 0;
    }
    log_store_close(log);
    return rv;
}

static int stop_at_first(void *ctx, const void *key, size_t klen, const void *value, size_t vlen)
{
    (void)ctx, (void)key, (void)klen, (void)value, (void)vlen;
    return 1;
}

static int probe_state(const char *dir, struct store_why *why)
{
    struct state_store *state;
    struct state_reader r;
    struct state_meta meta;
    int rv = state_store_open(&state, dir, STATE_STORE_COPY, NULL, why);
    if (rv)
        return rv;
    rv = state_reader_open(&r, state, why);
    if (rv == 0) {
        rv = state_reader_meta(&r, &meta);
        if (rv == 0)
            rv = state_reader_scan(&r, NULL, 0, NULL, 0, stop_at_first, NULL);
        if (rv < 0)
            (void)store_why_set(why, rv, "state %s: %s", dir, strerror(-rv));
        state_reader_close(&r);
    }
    state_store_close(state);
    return rv < 0 ? rv : 0;
}

static int probe(const char *dir, struct store_why *why)
{
    char path[PATH_MAX];
    struct node_identity id;
    struct node_vote vote;
    int rv = vote_store_peek(join(dir, "vote", path), &id, &vote, why);
    if (rv == 0)
        rv = probe_log(join(dir, "log", path), why);
    if (rv == 0)
        rv = probe_state(join(dir, "state", path), why);
    return rv;
}

struct verdict {
    int rv;
    struct store_why why;
};

/* Reads a little of every part in a child, so that a page LMDB faults on ends the child only. */
static int probe_in_child(const char *dir, struct store_why *why)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0)
        return store_why_set(why, -errno, "pipe: %s", strerror(errno));
    pid_t pid = fork();
    if (pid < 0) {
        int rv = store_why_set(why, -errno, "fork: %s", strerror(errno));
        (void)close(fds[0]);
        (void)close(fds[1]);
        return rv;
    }
    struct verdict v = {0};
    if (pid == 0) {
        static const int faults[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};
        for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
            (void)signal(faults[i], SIG_DFL); /* the process's handlers are not the child's */
        v.rv = probe(dir, &v.why);
        ssize_t n = write(fds[1], &v, sizeof v);
        _exit(n == (ssize_t)sizeof v ? 0 : 1);
    }
    (void)close(fds[1]);
    ssize_t n;
    do
        n = read(fds[0], &v, sizeof v);
    while (n < 0 && errno == EINTR);
    (void)close(fds[0]);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (n != (ssize_t)sizeof v)
        return store_why_set(why, -EUCLEAN,
                             "%s is damaged: reading it ended with signal %d; restore it from a "
                             "copy or re-seed this node",
                             dir, WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    if (v.rv)
        *why = v.why;
    return v.rv;
}

/* ---- open ---- */

static int check_parts(const char *dir, struct store_why *why)
{
    static const char *const parts[] = {"vote", "log", "state"};
    struct stat st;
    char path[PATH_MAX];
    if (stat(join(dir, "vote", path), &st) != 0 && stat(join(dir, "seed", path), &st) == 0)
        return store_why_set(why, -EUCLEAN,
                             "%s is being seeded, or that was interrupted: run "
                             "holdfast-ledger seed again",
                             dir);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (stat(join(dir, parts[i], path), &st) != 0 || !S_ISDIR(st.st_mode))
            return store_why_set(why, -EUCLEAN,
                                 "%s is missing: creation was interrupted or the part was "
                                 "removed; restore it from a copy or create the node anew",
                                 path);
    return 0;
}

static int read_meta(struct data_dir *d, struct state_meta *meta, struct store_why *why)
{
    struct state_reader r;
    int rv = state_reader_open(&r, d->state, why);
    if (rv)
        return rv;
    rv = state_reader_meta(&r, meta);
    state_reader_close(&r);
    return rv ? store_why_set(why, rv, "state: its position cannot be read") : 0;
}

/* Only what is stored and committed was ever applied, so the log reaches at least to the state. */
static int check_fit(struct data_dir *d, struct store_why *why)
{
    struct state_meta m;
    int rv = read_meta(d, &m, why);
    if (rv)
        return rv;
    uint64_t first = log_store_first(d->log), last = log_store_last(d->log);
    if (last == 0 && m.applied_index > 0)
        return 0; /* seeded, and nothing logged since */
    if (last < m.applied_index || first > m.applied_index + 1)
        return store_why_set(why, -EUCLEAN,
                             "the state stands at entry %" PRIu64 " but the log holds %" PRIu64
                             " to %" PRIu64 ": parts of different copies",
                             m.applied_index, first, last);
    uint64_t term = log_store_term(d->log, m.applied_index);
    if (term > 0 && term != m.applied_term)
        return store_why_set(why, -EUCLEAN,
                             "entry %" PRIu64 " has term %" PRIu64 " in the log and %" PRIu64
                             " in the state: parts of different copies",
                             m.applied_index, term, m.applied_term);
    return 0;
}

int data_dir_open(struct data_dir *d, const char *dir, const struct node_identity *want,
                  const struct data_dir_config *config, struct store_why *why)
{
    char path[PATH_MAX];
    *d = (struct data_dir){.lock_fd = -1};
    int rv = take_lock(dir, 0, &d->lock_fd, why);
    if (rv)
        return rv;
    if ((rv = check_parts(dir, why)) != 0 || (rv = probe_in_child(dir, why)) != 0 ||
        (rv = vote_store_open(&d->vote, join(dir, "vote", path), want, why)) != 0 ||
        (rv = log_store_open(&d->log, join(dir, "log", path), LOG_STORE_WRITE,
                             config ? &config->log : NULL, why)) != 0 ||
        (rv = state_store_open(&d->state, join(dir, "state", path), STATE_STORE_WRITE,
                               config ? &config->state : NULL, why)) != 0 ||
        (rv = check_fit(d, why)) != 0)
        data_dir_close(d);
    return rv;
}

void data_dir_close(struct data_dir *d)
{
    state_store_close(d->state);
    log_store_close(d->log);
    vote_store_close(d->vote);
    if (d->lock_fd >= 0)
        (void)close(d->lock_fd);
    *d = (struct data_dir){.lock_fd = -1};
}

/* ---- recover ---- */

int data_dir_recover(struct data_dir *d, const struct data_dir_config *config,
                     struct log_recovered *out, struct store_why *why)
{
    const struct node_vote *vote = vote_store_vote(d->vote);
    struct state_meta m;
    *out = (struct log_recovered){
        .term = vote->term, .voted_for = vote->voted_for, .incarnation = vote->incarnation};
    int rv = read_meta(d, &m, why);
    if (rv)
        return rv;
    out->applied_index = m.applied_index;
    out->applied_term = m.applied_term;
    out->applied_conf = m.conf;
    if (log_store_runs(d->log, &out->runs) != 0)
        return store_why_set(why, -ENOMEM, "no memory for the log's terms");
    rv = log_store_confs(d->log, &out->confs, &out->n_confs, why);
    if (rv) {
        log_recovered_close(out);
        return rv;
    }
    uint64_t trail =
        config && config->trail_entries ? config->trail_entries : TRAIL_ENTRIES_DEFAULT;
    uint64_t last = out->runs.last, from = last > trail ? last - trail + 1 : 1;
    if (from > m.applied_index + 1)
        from = m.applied_index + 1;
    term_runs_trim(&out->runs, from);
    return 0;
}
