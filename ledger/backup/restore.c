/* SPDX-License-Identifier: Apache-2.0
 * A node of a new cluster, out of a backup. The vote is made last: until then the directory is
 * none that a node would start on.
 */
#include "ledger/backup/backup.h"
#include "ledger/core/core.h"
#include "ledger/store/data_dir.h"
#include "ledger/store/env.h"
#include "ledger/store/origin.h"
#include "proto/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE_ENTRIES = 4096, PAGE_BYTES = 4 << 20, COPY_BYTES = 1 << 20 };

struct restoring {
    const char *from;
    const struct restore_config *config;
    const struct backup_watch *watch;
    struct backup_manifest m;
    struct log_store *log;
    struct state_store *state;
    struct proto_uuid origin;
};

static bool tell(const struct backup_watch *w, const char *what, uint64_t done, uint64_t total)
{
    return !w || !w->on_progress || w->on_progress(w->ctx, what, done, total);
}

/* ---- the state's file ---- */

static int copy_bytes(int in, int out, const char *path, uint64_t *bytes, struct store_why *why)
{
    uint8_t *b = malloc(COPY_BYTES);
    int rv = b ? 0 : store_why_set(why, -ENOMEM, "no memory to copy %s", path);
    *bytes = 0;
    while (rv == 0) {
        ssize_t n = read(in, b, COPY_BYTES);
        if (n == 0)
            break;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rv = store_why_set(why, -errno, "read %s: %s", path, strerror(errno));
        for (ssize_t at = 0; rv == 0 && at < n;) {
            ssize_t put = write(out, b + at, (size_t)(n - at));
            if (put < 0 && errno != EINTR)
                rv = store_why_set(why, -errno, "write the state: %s", strerror(errno));
            at += put > 0 ? put : 0;
        }
        *bytes += n > 0 ? (uint64_t)n : 0;
    }
    free(b);
    if (rv == 0 && fsync(out) != 0)
        rv = store_why_set(why, -errno, "sync the state: %s", strerror(errno));
    return rv;
}

static int copy_state(struct restoring *k, struct store_why *why)
{
    char from[PATH_MAX], dir[PATH_MAX], to[PATH_MAX];
    struct proto_hash sum;
    uint64_t bytes;
    (void)snprintf(from, sizeof from, "%s/state/data.mdb", k->from);
    (void)snprintf(dir, sizeof dir, "%s/state", k->config->data);
    (void)snprintf(to, sizeof to, "%s/state/data.mdb", k->config->data);
    int rv = env_make_dir(dir, why);
    if (rv)
        return rv;
    int in = open(from, O_RDONLY | O_CLOEXEC);
    if (in < 0)
        return store_why_set(why, errno == ENOENT ? -EUCLEAN : -errno, "open %s: %s", from,
                             strerror(errno));
    int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    rv = out < 0 ? store_why_set(why, -errno, "create %s: %s", to, strerror(errno))
                 : copy_bytes(in, out, from, &bytes, why);
    (void)close(in);
    if (out >= 0)
        (void)close(out);
    if (rv == 0)
        rv = backup_sum_file(to, &sum, &bytes, why); /* what was written, not what was read */
    if (rv == 0 && (bytes != k->m.state_bytes || memcmp(&sum, &k->m.state_sum, sizeof sum) != 0))
        rv = store_why_set(why, -EUCLEAN, "%s is damaged: its hash is not the manifest's", from);
    return rv;
}

static int open_state(struct restoring *k, struct store_why *why)
{
    char dir[PATH_MAX];
    (void)snprintf(dir, sizeof dir, "%s/state", k->config->data);
    return state_store_open(&k->state, dir, STATE_STORE_WRITE, NULL, why);
}

static int check_position(struct restoring *k, struct state_meta *meta, struct store_why *why)
{
    struct state_reader r;
    int rv = state_reader_open(&r, k->state, why);
    if (rv)
        return rv;
    rv = state_reader_meta(&r, meta);
    state_reader_close(&r);
    const struct backup_manifest *m = &k->m;
    bool same = rv == 0 && meta->applied_index == m->index && meta->applied_term == m->term &&
                meta->clock_us == m->clock_us &&
                memcmp(&meta->chain, &m->chain, sizeof m->chain) == 0 &&
                state_store_records(k->state) == m->records;
    return same ? 0
                : store_why_set(why, rv ? rv : -EUCLEAN,
                                "%s: the state does not stand where the manifest says", k->from);
}

/* ---- the log ---- */

static int check_archive(const struct restoring *k, const struct archive *a, struct store_why *why)
{
    unsigned n = archive_files(a);
    const struct log_file_facts *end = n > 0 ? archive_facts(a, n - 1) : NULL;
    bool same = n == k->m.log_files && end && archive_first(a) == k->m.log_first &&
                end->last == k->m.index && end->last_term == k->m.term &&
                proto_uuid_eq(&end->cluster, &k->m.taken_from.cluster) &&
                memcmp(&end->link, &k->m.log_link, sizeof end->link) == 0;
    return same ? 0
                : store_why_set(why, -EUCLEAN,
                                "%s/log: files are missing, or are not those of the manifest",
                                k->from);
}

/* Terms do not fall; the log takes that for granted. */
static int check_terms(const struct log_page *page, uint64_t *term, struct store_why *why)
{
    for (unsigned i = 0; i < page->n; i++) {
        const struct log_entry *e = &page->entries[i];
        if (e->term < *term)
            return store_why_set(why, -EUCLEAN, "entry %" PRIu64 "'s term falls", e->index);
        *term = e->term;
    }
    return 0;
}

static int copy_entries(struct restoring *k, struct archive *a, struct store_why *why)
{
    struct log_page page;
    uint64_t next = k->m.log_first, total = k->m.index - next + 1, term = 0;
    int rv = 0;
    log_page_init(&page);
    while (rv == 0 && next <= k->m.index) {
        int got = archive_read(a, next, PAGE_ENTRIES, PAGE_BYTES, &page, why);
        if (got <= 0) {
            rv = got < 0 ? got : store_why_set(why, -EUCLEAN, "entry %" PRIu64 " is missing", next);
            break;
        }
        const struct log_append append = {page.entries, (unsigned)got};
        rv = check_terms(&page, &term, why);
        if (rv == 0)
            rv = log_store_append(k->log, &append, 1, why);
        next += (uint64_t)got;
        if (rv == 0 && !tell(k->watch, "log", next - k->m.log_first, total))
            rv = store_why_set(why, -ECANCELED, "interrupted");
    }
    log_page_close(&page);
    return rv;
}

static int copy_log(struct restoring *k, struct store_why *why)
{
    char path[PATH_MAX];
    struct archive *a;
    const struct log_store_config config = {.segment_bytes = k->config->segment_bytes};
    (void)snprintf(path, sizeof path, "%s/log", k->from);
    int rv = archive_open(&a, path, ARCHIVE_READ, why);
    if (rv)
        return rv;
    rv = check_archive(k, a, why);
    (void)snprintf(path, sizeof path, "%s/log", k->config->data);
    if (rv == 0)
        rv = log_store_open(&k->log, path, LOG_STORE_WRITE, &config, why);
    if (rv == 0)
        rv = copy_entries(k, a, why);
    archive_close(a);
    return rv;
}

/* ---- the new cluster's configuration ---- */

static int get_record(void *ctx, const void *key, size_t klen, const void **value, size_t *vlen)
{
    return state_reader_get(ctx, key, klen, value, vlen);
}

static int add_change(void *ctx, const void *key, size_t klen, const void *value, size_t vlen)
{
    return state_changes_add(ctx, key, klen, value, vlen);
}

/* The entry moves the chain, and it is the machine that knows how. */
static int execute(struct restoring *k, const struct log_entry *e, struct state_meta *meta,
                   struct state_changes *changes, struct store_why *why)
{
    struct state_reader view;
    int rv = state_reader_open(&view, k->state, why);
    if (rv)
        return rv;
    const struct core_config config = {.backing = {.ctx = &view, .get = get_record}};
    struct core_position at = {meta->applied_index, meta->applied_term, meta->clock_us,
                               meta->chain};
    struct core_machine *m = NULL;
    rv = core_machine_new(&m, &config, &at);
    if (rv == 0)
        rv = core_machine_skip(m, e->index, e->term, e->kind, e->data, e->len);
    if (rv == 0)
        rv = core_machine_changes(m, add_change, changes);
    if (rv == 0) {
        core_machine_position(m, &at);
        k->origin = *core_machine_cluster(m);
        *meta = (struct state_meta){.applied_index = at.index,
                                    .applied_term = at.term,
                                    .clock_us = at.clock_us,
                                    .chain = at.chain,
                                    .conf = {.index = e->index, .len = e->len}};
        memcpy(meta->conf.data, e->data, e->len);
    } else {
        (void)store_why_set(why, rv, "the state cannot be carried on: %s",
                            m ? core_machine_error(m) : strerror(-rv));
    }
    core_machine_free(m);
    state_reader_close(&view);
    return rv;
}

static int add_configuration(struct restoring *k, struct state_meta *meta, struct store_why *why)
{
    struct state_changes changes;
    const struct log_entry e = {.index = meta->applied_index + 1,
                                .term = meta->applied_term + 1,
                                .data = k->config->conf,
                                .len = (uint32_t)k->config->conf_len,
                                .kind = ENTRY_CHANGE};
    const struct log_append append = {&e, 1};
    state_changes_init(&changes);
    int rv = execute(k, &e, meta, &changes, why);
    if (rv == 0)
        rv = log_store_append(k->log, &append, 1, why);
    if (rv == 0)
        rv = state_store_write(k->state, &changes, meta, why);
    state_changes_close(&changes);
    return rv;
}

/* ---- the whole ---- */

static int fill(struct restoring *k, struct state_meta *meta, struct store_why *why)
{
    if (!tell(k->watch, "state", 0, k->m.state_bytes))
        return store_why_set(why, -ECANCELED, "interrupted");
    int rv = copy_state(k, why);
    if (rv == 0)
        rv = open_state(k, why);
    if (rv == 0)
        rv = check_position(k, meta, why);
    if (rv == 0)
        rv = copy_log(k, why);
    if (rv == 0)
        rv = add_configuration(k, meta, why);
    state_store_close(k->state);
    log_store_close(k->log);
    return rv;
}

static int check_target(const struct restoring *k, struct store_why *why)
{
    const struct node_identity *id = &k->config->id;
    if (proto_uuid_eq(&id->cluster, &k->m.taken_from.cluster)) {
        char uuid[PROTO_UUID_TEXT];
        proto_uuid_print(&id->cluster, uuid);
        return store_why_set(
            why, -EINVAL,
            "cluster.conf has the uuid of the cluster that was backed up, %s: a "
            "restored cluster needs one of its own (holdfastctl uuid), the same in "
            "every cluster.conf",
            uuid);
    }
    if (id->group != k->m.taken_from.group)
        return store_why_set(why, -EINVAL, "the backup is of group %u, cluster.conf says %u",
                             k->m.taken_from.group, id->group);
    if (k->config->conf_len == 0 || k->config->conf_len > ENTRY_CONF_MAX)
        return store_why_set(why, -EINVAL, "no configuration");
    return strlen(k->config->data) < PATH_MAX - 128 && strlen(k->from) < PATH_MAX - 128
               ? 0
               : store_why_set(why, -ENAMETOOLONG, "path too long: %s", k->from);
}

int restore_make(const char *from, const struct restore_config *config,
                 const struct backup_watch *watch, struct backup_manifest *out,
                 struct store_why *why)
{
    struct restoring k = {.from = from, .config = config, .watch = watch};
    struct state_meta meta = {0};
    int lock;
    int rv = backup_manifest_read(from, &k.m, why);
    if (rv == 0)
        rv = check_target(&k, why);
    if (rv == 0)
        rv = data_dir_begin(config->data, &lock, why);
    if (rv)
        return rv;
    rv = fill(&k, &meta, why);
    if (rv == 0)
        rv = origin_write(config->data, &k.origin, why);
    const struct node_vote vote = {.term = meta.applied_term};
    rv = data_dir_end(config->data, lock, rv == 0 ? &config->id : NULL, &vote, rv, why);
    if (rv == 0)
        *out = k.m;
    return rv;
}
