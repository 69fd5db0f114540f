/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/store/data_mark.h"

#include "ledger/store/env.h"
#include "ledger/store/log_store.h"
#include "ledger/store/state_store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static const char *join(const char *dir, const char *part, char out[PATH_MAX])
{
    (void)snprintf(out, PATH_MAX, "%s/%s", dir, part);
    return out;
}

static int fail(struct store_why *why, const char *what, const char *path)
{
    return store_why_set(why, -errno, "%s %s: %s", what, path, strerror(errno));
}

static int write_file(const char *path, const char *text, struct store_why *why)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail(why, "create", path);
    size_t n = strlen(text);
    int rv = 0;
    if (write(fd, text, n) != (ssize_t)n || fsync(fd) != 0)
        rv = fail(why, "write", path);
    (void)close(fd);
    return rv;
}

int data_mark_write(const char *dir, const char *text, struct store_why *why)
{
    char fresh[PATH_MAX], path[PATH_MAX];
    int rv = write_file(join(dir, "DIVERGED.new", fresh), text, why);
    if (rv == 0 && rename(fresh, join(dir, "DIVERGED", path)) != 0)
        rv = fail(why, "rename", fresh);
    return rv == 0 ? env_sync_dir(dir, why) : rv;
}

bool data_mark_read(const char *dir, char text[DATA_MARK_MAX])
{
    char path[PATH_MAX];
    int fd = open(join(dir, "DIVERGED", path), O_RDONLY | O_CLOEXEC);
    text[0] = '\0';
    if (fd < 0)
        return errno != ENOENT && errno != ENOTDIR;
    ssize_t n = read(fd, text, DATA_MARK_MAX - 1);
    text[n > 0 ? n : 0] = '\0';
    text[strcspn(text, "\n")] = '\0'; /* one line */
    (void)close(fd);
    return true;
}

/* ---- the state from the log ---- */

static int log_is_whole(const char *dir, struct store_why *why)
{
    char path[PATH_MAX];
    struct log_store *log;
    int rv = log_store_open(&log, join(dir, "log", path), LOG_STORE_COPY, NULL, why);
    if (rv)
        return rv;
    uint64_t first = log_store_first(log);
    log_store_close(log);
    if (first == 1)
        return 0;
    return store_why_set(why, -ENODATA,
                         "the log of %s begins with entry %" PRIu64
                         ", so the state cannot be made from it: seed the node",
                         dir, first);
}

static int drop_state(const char *dir, struct store_why *why)
{
    static const char *const files[] = {"state/data.mdb", "state/lock.mdb"};
    char path[PATH_MAX];
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (unlink(join(dir, files[i], path)) != 0 && errno != ENOENT)
            return fail(why, "delete", path);
    if (rmdir(join(dir, "state", path)) != 0 && errno != ENOENT)
        return fail(why, "delete", path);
    return 0;
}

static int rebuild(const char *dir, struct store_why *why)
{
    char path[PATH_MAX];
    struct state_store *state = NULL;
    int rv = log_is_whole(dir, why);
    if (rv == 0)
        rv = drop_state(dir, why);
    if (rv == 0)
        rv = state_store_open(&state, join(dir, "state", path), STATE_STORE_WRITE, NULL, why);
    state_store_close(state);
    /* Last: until here the directory stays marked. */
    if (rv == 0 && unlink(join(dir, "DIVERGED", path)) != 0 && errno != ENOENT)
        rv = fail(why, "delete", path);
    return rv == 0 ? env_sync_dir(dir, why) : rv;
}

int data_dir_rebuild(const char *dir, struct store_why *why)
{
    char path[PATH_MAX];
    int fd = open(join(dir, "LOCK", path), O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return fail(why, "open", path);
    int rv = flock(fd, LOCK_EX | LOCK_NB) == 0
                 ? rebuild(dir, why)
                 : store_why_set(why, -EBUSY, "%s is in use by another process", dir);
    (void)close(fd);
    return rv;
}
