/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/replay/source.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Damage is a finding (1); what cannot be read, or is not ours, is not (2). */
static int fail(struct replay_verdict *v, int rv, const struct store_why *why)
{
    return replay_fail(v, rv == -EUCLEAN ? REPLAY_MISMATCH : REPLAY_UNUSABLE, 0, "%s", why->text);
}

/* LMDB's mark, 16 bytes into the file. A file without it was never a part of a ledger: that is
 * another failure than damage, and LMDB is not asked to open it. */
static int look_at_file(const char *dir, const char *part, struct replay_verdict *v)
{
    static const uint8_t mark[] = {0xde, 0xc0, 0xef, 0xbe}, swapped[] = {0xbe, 0xef, 0xc0, 0xde};
    char path[PATH_MAX];
    uint8_t head[20];
    if (snprintf(path, sizeof path, "%s/%s/data.mdb", dir, part) >= (int)sizeof path)
        return replay_fail(v, REPLAY_UNUSABLE, 0, "path too long: %s", dir);
    FILE *f = fopen(path, "rbe");
    if (!f)
        return replay_fail(v, REPLAY_UNUSABLE, 0, "open %s: %s", path, strerror(errno));
    size_t n = fread(head, 1, sizeof head, f);
    int bad = ferror(f) ? errno : 0;
    (void)fclose(f);
    if (bad)
        return replay_fail(v, REPLAY_UNUSABLE, 0, "read %s: %s", path, strerror(bad));
    if (n < sizeof head)
        return replay_fail(v, REPLAY_UNUSABLE, 0, "%s is cut short: no ledger's file", path);
    if (memcmp(head + 16, mark, 4) != 0 && memcmp(head + 16, swapped, 4) != 0)
        return replay_fail(v, REPLAY_UNUSABLE, 0, "%s is no ledger's file", path);
    return 0;
}

static int look_at_log(const char *dir, struct replay_verdict *v)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/log", dir) >= (int)sizeof path)
        return replay_fail(v, REPLAY_UNUSABLE, 0, "path too long: %s", dir);
    DIR *d = opendir(path);
    if (!d)
        return replay_fail(v, REPLAY_UNUSABLE, 0, "%s is not a node's directory: open %s: %s", dir,
                           path, strerror(errno));
    int rv = 0;
    unsigned found = 0;
    struct dirent *e;
    while (rv == 0 && (e = readdir(d)) != NULL) {
        size_t n = strlen(e->d_name);
        if (n != 20 || strspn(e->d_name, "0123456789") != n)
            continue;
        char part[32];
        (void)snprintf(part, sizeof part, "log/%.20s", e->d_name);
        rv = look_at_file(dir, part, v);
        found++;
    }
    (void)closedir(d);
    if (rv == 0 && found == 0)
        rv = replay_fail(v, REPLAY_UNUSABLE, 0, "%s holds no segment of a log", path);
    return rv;
}

/* A live node's log is not trimmed while we read it; a copy's by nobody. */
static int hold_log(struct replay_source *s, const char *dir, struct replay_verdict *v)
{
    char path[PATH_MAX];
    struct store_why why = {{0}};
    (void)snprintf(path, sizeof path, "%s/log", dir);
    int rv = s->live ? log_store_hold(path, &s->hold, &why) : 0;
    return rv ? fail(v, rv, &why) : 0;
}

static int open_parts(struct replay_source *s, const char *dir, bool live, struct replay_verdict *v)
{
    char path[PATH_MAX];
    struct store_why why = {{0}};
    (void)snprintf(path, sizeof path, "%s/log", dir);
    int rv = log_store_open(&s->log, path, live ? LOG_STORE_LIVE : LOG_STORE_COPY, NULL, &why);
    if (rv)
        return fail(v, rv, &why);
    (void)snprintf(path, sizeof path, "%s/state", dir);
    rv = state_store_open(&s->state, path, live ? STATE_STORE_LIVE : STATE_STORE_COPY, NULL, &why);
    return rv ? fail(v, rv, &why) : 0;
}

/* ---- the archive ---- */

/* Archive and log must meet, and be of one cluster and one history. */
static int check_archive(struct replay_source *s, const char *dir, struct replay_verdict *v)
{
    unsigned n = archive_files(s->archive);
    if (n == 0)
        return replay_fail(v, REPLAY_UNUSABLE, 0, "%s holds no log files", dir);
    const struct log_file_facts *end = archive_facts(s->archive, n - 1);
    uint64_t first = log_store_first(s->log), term = log_store_term(s->log, end->last);
    if (first > end->last + 1)
        return replay_fail(v, REPLAY_UNUSABLE, 0,
                           "the archive ends at entry %" PRIu64 ", the log begins at %" PRIu64,
                           end->last, first);
    if (term != 0 && term != end->last_term)
        return replay_fail(v, REPLAY_MISMATCH, end->last,
                           "entry %" PRIu64 " has term %" PRIu64 " in the archive, %" PRIu64
                           " in the log",
                           end->last, end->last_term, term);
    return 0;
}

static int open_archive(struct replay_source *s, const struct replay_options *o,
                        struct replay_verdict *v)
{
    struct store_why why = {{0}};
    int rv = archive_open(&s->archive, o->archive, ARCHIVE_READ, &why);
    return rv ? fail(v, rv, &why) : check_archive(s, o->archive, v);
}

/* What comes from the archive: all that the log does not hold. */
static uint64_t log_begins(const struct replay_source *s)
{
    uint64_t first = log_store_first(s->log);
    return first > 0 ? first : UINT64_MAX;
}

uint64_t source_first(const struct replay_source *s)
{
    uint64_t first = log_store_first(s->log), archived = s->archive ? archive_first(s->archive) : 0;
    return archived > 0 && (first == 0 || archived < first) ? archived : first;
}

uint64_t source_last(const struct replay_source *s)
{
    uint64_t last = log_store_last(s->log);
    return last == 0 && s->archive ? archive_last(s->archive) : last;
}

int source_open(struct replay_source *s, const struct replay_options *o, struct replay_verdict *v)
{
    struct stat st;
    *s = (struct replay_source){.hold = -1};
    log_page_init(&s->page);
    if (stat(o->dir, &st) != 0)
        return replay_fail(v, REPLAY_UNUSABLE, 0, "open %s: %s", o->dir, strerror(errno));
    int rv = look_at_log(o->dir, v);
    if (rv == 0)
        rv = look_at_file(o->dir, "state", v);
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/vote", o->dir);
    if (rv == 0 && stat(path, &st) == 0) {
        struct store_why why = {{0}};
        rv = look_at_file(o->dir, "vote", v);
        int got = rv ? rv : vote_store_peek(path, &s->identity, &s->vote, &why);
        if (rv == 0 && got)
            rv = fail(v, got, &why);
        s->has_identity = rv == 0;
    }
    if (rv == 0) {
        /* A live node is read through LMDB's reader table, which we must be able to write. */
        s->live = !o->copy && access(o->dir, W_OK) == 0;
        rv = hold_log(s, o->dir, v);
        if (rv == 0)
            rv = open_parts(s, o->dir, s->live, v);
    }
    if (rv == 0 && o->archive)
        rv = open_archive(s, o, v);
    return rv;
}

void source_close(struct replay_source *s)
{
    log_page_close(&s->page);
    archive_close(s->archive);
    log_store_close(s->log);
    log_store_unhold(s->hold);
    state_store_close(s->state);
    *s = (struct replay_source){0};
}

int source_read(struct replay_source *s, uint64_t first, uint64_t last, struct replay_verdict *v)
{
    struct store_why why = {{0}};
    uint64_t max = last - first + 1;
    if (max > SOURCE_PAGE_ENTRIES)
        max = SOURCE_PAGE_ENTRIES;
    if (s->archive && first < log_begins(s)) {
        uint64_t before = log_begins(s) - first;
        int rv = archive_read(s->archive, first, (unsigned)(max < before ? max : before),
                              SOURCE_PAGE_BYTES, &s->page, &why);
        if (rv >= 0)
            return rv;
        (void)replay_fail(v, rv == -EUCLEAN ? REPLAY_MISMATCH : REPLAY_UNUSABLE, first,
                          "the archive, at entry %" PRIu64 " or after it: %s", first, why.text);
        return -1;
    }
    int got = log_store_read(s->log, first, (unsigned)max, SOURCE_PAGE_BYTES, &s->page, &why);
    if (got == -EUCLEAN && max > 1) /* one by one, to name the entry that is damaged */
        got = log_store_read(s->log, first, 1, SOURCE_PAGE_BYTES, &s->page, &why);
    if (got >= 0)
        return got;
    (void)replay_fail(v, got == -EUCLEAN ? REPLAY_MISMATCH : REPLAY_UNUSABLE, first,
                      "entry %" PRIu64 " cannot be read: %s", first, why.text);
    return -1;
}

int source_refresh(struct replay_source *s, struct replay_verdict *v)
{
    struct store_why why = {{0}};
    int rv = s->live ? log_store_refresh(s->log, &why) : 0;
    return rv ? fail(v, rv, &why) : 0;
}

int source_view(struct replay_source *s, struct state_reader *view, struct state_meta *meta,
                struct replay_verdict *v)
{
    struct store_why why = {{0}};
    int rv = state_reader_open(view, s->state, &why);
    if (rv)
        return fail(v, rv, &why);
    rv = state_reader_meta(view, meta);
    if (rv == 0)
        return 0;
    state_reader_close(view);
    if (rv == -ENOTSUP)
        return replay_fail(v, REPLAY_UNUSABLE, 0,
                           "the state says it was written by a newer version (or its position is "
                           "damaged)");
    return replay_fail(v, rv == -EUCLEAN ? REPLAY_MISMATCH : REPLAY_UNUSABLE, 0,
                       "the state's position cannot be read: %s", strerror(-rv));
}
