/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/replay/scratch.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void scratch_init(struct replay_scratch *s, uint64_t memory_mib)
{
    uint64_t records = (memory_mib ? memory_mib : REPLAY_MEMORY_MIB) * 1024 * 1024 / SCRATCH_RECORD;
    *s = (struct replay_scratch){.clean_records = records / 2, .changed_records = records / 4};
    state_changes_init(&s->changes);
}

void scratch_close(struct replay_scratch *s)
{
    state_changes_close(&s->changes);
    if (!s->store)
        return;
    state_reader_close(&s->reader);
    state_store_close(s->store);
    s->store = NULL;
}

static int get(void *ctx, const void *key, size_t klen, const void **value, size_t *vlen)
{
    struct replay_scratch *s = ctx;
    return s->store ? state_reader_get(&s->reader, key, klen, value, vlen) : -ENOENT;
}

struct core_backing scratch_backing(struct replay_scratch *s)
{
    return (struct core_backing){.ctx = s, .get = get};
}

/* The files live on as long as they are open. */
static void unlink_all(const char *dir)
{
    static const char *const parts[] = {"data.mdb", "lock.mdb"};
    char path[PATH_MAX];
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (snprintf(path, sizeof path, "%s/%s", dir, parts[i]) < (int)sizeof path)
            (void)unlink(path);
    (void)rmdir(dir);
}

static int open_store(struct replay_scratch *s, struct store_why *why)
{
    char dir[PATH_MAX - 64];
    const char *base = getenv("TMPDIR");
    if (snprintf(dir, sizeof dir, "%s/holdfast-replay-XXXXXX", base && *base ? base : "/tmp") >=
            (int)sizeof dir ||
        !mkdtemp(dir))
        return store_why_set(why, -errno, "cannot make a directory in %s: %s",
                             base && *base ? base : "/tmp", strerror(errno));
    int rv = state_store_open(&s->store, dir, STATE_STORE_WRITE, NULL, why);
    if (rv == 0) {
        rv = state_store_forgets(s->store) ? store_why_set(why, -EIO, "LMDB refuses a flag")
                                           : state_reader_open(&s->reader, s->store, why);
        if (rv)
            state_store_close(s->store);
    }
    if (rv)
        s->store = NULL;
    unlink_all(dir);
    return rv;
}

bool scratch_due(const struct replay_scratch *s, const struct core_machine *m)
{
    return core_machine_changed(m) >= s->changed_records;
}

static int add(void *ctx, const void *key, size_t klen, const void *value, size_t vlen)
{
    return state_changes_add(ctx, key, klen, value, vlen);
}

int scratch_spill(struct replay_scratch *s, struct core_machine *m, struct replay_verdict *v)
{
    struct store_why why = {{0}};
    const struct state_meta meta = {0};
    int rv = s->store ? 0 : open_store(s, &why);
    state_changes_clear(&s->changes);
    if (rv == 0 && core_machine_changes(m, add, &s->changes) != 0)
        rv = store_why_set(&why, -ENOMEM, "out of memory");
    if (rv == 0)
        rv = state_store_write(s->store, &s->changes, &meta, &why);
    if (rv == 0 && state_reader_refresh(&s->reader) != 0)
        rv = store_why_set(&why, -EIO, "cannot be read again");
    if (rv)
        return replay_fail(v, REPLAY_UNUSABLE, 0,
                           "the records need more than the memory given (--memory), and there is "
                           "no room for them on the disk ($TMPDIR): %s",
                           why.text);
    core_machine_written(m);
    return 0;
}
