/* SPDX-License-Identifier: Apache-2.0
 * The copy of the state: fetched by chunks into DIR/seed/data.mdb. DIR/seed/progress says which
 * copy it is and from whom; how far it is, is the file's length.
 */
#include "ledger/seed/seeding.h"

#include "ledger/store/env.h"
#include "proto/hash.h"
#include "proto/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SYNC_BYTES = 64 << 20, LINE_MAX_BYTES = 256 };

/* ---- progress ---- */

int seed_progress_load(struct seeding *s, struct store_why *why)
{
    char path[PATH_MAX], sum[80] = "";
    int installed = 0;
    seeding_path(s, "seed/progress", path);
    FILE *f = fopen(path, "re");
    if (!f)
        return errno == ENOENT ? 0
                               : store_why_set(why, -errno, "open %s: %s", path, strerror(errno));
    int n = fscanf(f, "source %" SCNu64 " copy %" SCNu64 " size %" SCNu64 " sum %64s installed %d",
                   &s->facts.source, &s->copy, &s->size, sum, &installed);
    (void)fclose(f);
    if (n != 5 || !proto_hex_parse(proto_str_of(sum), s->sum.b, sizeof s->sum.b))
        return store_why_set(why, -EEXIST, "%s is damaged: delete the directory", path);
    s->installed = installed != 0;
    s->facts.resumed = true;
    return 0;
}

static int save_progress(struct seeding *s, struct store_why *why)
{
    char path[PATH_MAX], fresh[PATH_MAX], dir[PATH_MAX], sum[PROTO_HASH_TEXT];
    struct proto_text t = proto_text_over(sum, sizeof sum);
    proto_text_hex(&t, s->sum.b, sizeof s->sum.b);
    seeding_path(s, "seed", dir);
    seeding_path(s, "seed/progress", path);
    seeding_path(s, "seed/progress.new", fresh);
    FILE *f = fopen(fresh, "we");
    if (!f)
        return store_why_set(why, -errno, "create %s: %s", fresh, strerror(errno));
    bool ok =
        fprintf(f, "source %" PRIu64 " copy %" PRIu64 " size %" PRIu64 " sum %s installed %d\n",
                s->facts.source, s->copy, s->size, sum, s->installed) > 0 &&
        fflush(f) == 0 && fsync(fileno(f)) == 0;
    ok = fclose(f) == 0 && ok;
    if (!ok || rename(fresh, path) != 0)
        return store_why_set(why, -EIO, "write %s: %s", path, strerror(errno));
    return env_sync_dir(dir, why);
}

/* ---- chunks ---- */

/* A new copy, from `source`; what is there of another one is worth nothing. */
static int open_copy(struct seeding *s, struct store_why *why)
{
    struct proto_seed_ask ask = {.kind = SEED_OPEN};
    struct proto_seed_answer a;
    char path[PATH_MAX];
    seeding_path(s, "seed/data.mdb", path);
    if (unlink(path) != 0 && errno != ENOENT)
        return store_why_set(why, -errno, "delete %s: %s", path, strerror(errno));
    int rv = seeding_ask(s, s->facts.source, &ask, &a, why);
    if (rv)
        return rv == -ESTALE ? -EAGAIN : rv;
    if (a.index == 0 || a.size == 0)
        return store_why_set(why, -EUCLEAN, "node %" PRIu64 " offers an empty copy",
                             s->facts.source);
    s->copy = a.index;
    s->size = a.size;
    s->sum = a.sum;
    return save_progress(s, why);
}

static int write_chunk(int fd, const struct proto_str *b, uint64_t at, struct store_why *why)
{
    for (uint32_t done = 0; done < b->n;) {
        ssize_t n = pwrite(fd, b->p + done, b->n - done, (off_t)(at + done));
        if (n < 0 && errno != EINTR)
            return store_why_set(why, -errno, "write the copy: %s", strerror(errno));
        done += n > 0 ? (uint32_t)n : 0;
    }
    return 0;
}

static uint32_t chunk_bytes(const struct seeding *s)
{
    uint32_t n = s->config->chunk_bytes;
    return n > 0 && n < SEED_CHUNK_MAX ? n : SEED_CHUNK_MAX;
}

static int fetch_chunks(struct seeding *s, int fd, uint64_t at, struct store_why *why)
{
    uint64_t synced = at;
    while (at < s->size) {
        struct proto_seed_ask ask = {
            .kind = SEED_CHUNK, .copy = s->copy, .at = at, .max = chunk_bytes(s)};
        struct proto_seed_answer a;
        int rv = seeding_ask(s, s->facts.source, &ask, &a, why);
        if (rv)
            return rv;
        if (a.bytes.n == 0 || a.bytes.n > s->size - at)
            return store_why_set(why, -EUCLEAN, "node %" PRIu64 " sends another copy than it said",
                                 s->facts.source);
        rv = write_chunk(fd, &a.bytes, at, why);
        if (rv)
            return rv;
        at += a.bytes.n;
        if (at - synced >= SYNC_BYTES) {
            if (fdatasync(fd) != 0)
                return store_why_set(why, -errno, "sync the copy: %s", strerror(errno));
            synced = at;
        }
        if (!seeding_tell(s, "state", at, s->size))
            return store_why_set(why, -ECANCELED, "interrupted: run it again to go on");
    }
    return 0;
}

static int fetch(struct seeding *s, struct store_why *why)
{
    char path[PATH_MAX];
    struct stat st;
    seeding_path(s, "seed/data.mdb", path);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return store_why_set(why, -errno, "create %s: %s", path, strerror(errno));
    int rv = fstat(fd, &st) != 0 ? store_why_set(why, -errno, "stat %s", path) : 0;
    /* The last piece may have been cut by a crash: it is fetched again. */
    uint64_t at = rv == 0 ? (uint64_t)st.st_size / chunk_bytes(s) * chunk_bytes(s) : 0;
    if (rv == 0)
        rv = fetch_chunks(s, fd, at < s->size ? at : 0, why);
    if (rv == 0 && fdatasync(fd) != 0) /* also what an interrupted run wrote last */
        rv = store_why_set(why, -errno, "sync %s: %s", path, strerror(errno));
    (void)close(fd);
    return rv;
}

/* ---- install ---- */

static int install(struct seeding *s, struct store_why *why)
{
    char from[PATH_MAX], dir[PATH_MAX], to[PATH_MAX];
    struct proto_hash sum;
    uint64_t bytes;
    seeding_path(s, "seed/data.mdb", from);
    seeding_path(s, "state", dir);
    seeding_path(s, "state/data.mdb", to);
    int rv = backup_sum_file(from, &sum, &bytes, why);
    if (rv)
        return rv;
    if (bytes != s->size || memcmp(&sum, &s->sum, sizeof sum) != 0) {
        (void)unlink(from);
        return store_why_set(why, -ESTALE, "the copy was damaged on its way");
    }
    rv = env_make_dir(dir, why);
    if (rv == -EEXIST)
        rv = 0;
    if (rv == 0 && rename(from, to) != 0)
        rv = store_why_set(why, -errno, "rename %s: %s", from, strerror(errno));
    if (rv == 0)
        rv = env_sync_dir(dir, why);
    s->installed = rv == 0;
    return rv ? rv : save_progress(s, why);
}

int seed_copy_fetch(struct seeding *s, struct store_why *why)
{
    int rv = -ESTALE;
    for (unsigned tries = 0; rv == -ESTALE && tries < 5; tries++) {
        rv = s->copy == 0 ? open_copy(s, why) : 0;
        if (rv == 0)
            rv = fetch(s, why);
        if (rv == 0)
            rv = install(s, why);
        if (rv == -ESTALE)
            s->copy = 0; /* it is gone, or was damaged: another one */
    }
    if (rv)
        return rv;
    struct proto_seed_ask ask = {.kind = SEED_CLOSE, .copy = s->copy};
    struct proto_seed_answer a;
    struct store_why ignored;
    rv = seeding_ask(s, s->facts.source, &ask, &a, &ignored);
    return rv == -ECANCELED ? rv : 0; /* it will notice by itself */
}
