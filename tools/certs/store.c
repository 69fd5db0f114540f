/* SPDX-License-Identifier: Apache-2.0
 * Writes through a temporary file beside the target: link(2) puts it in place where nothing may
 * be replaced (it fails if the name exists, with no moment in between), rename(2) otherwise.
 */
#include "tools/certs/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail_file(struct certs_error *error, const char *what, const char *path, int code)
{
    return certs_fail(error, -code, "%s %s: %s", what, path, strerror(code));
}

static int path_of(char *path, const char *dir, const char *name, const char *suffix,
                   struct certs_error *error)
{
    int len = snprintf(path, CERTS_PATH_MAX, "%s/%s%s", dir, name, suffix);
    if (len < 0 || len >= CERTS_PATH_MAX)
        return certs_fail(error, -ENAMETOOLONG, "the path of %.80s in that folder is too long",
                          name);
    return 0;
}

int certs_store_folder(const char *dir, struct certs_error *error)
{
    struct stat st;
    if (mkdir(dir, 0700) == 0)
        return 0;
    if (errno != EEXIST)
        return fail_file(error, "cannot make the folder", dir, errno);
    if (stat(dir, &st) != 0)
        return fail_file(error, "cannot look at", dir, errno);
    if (!S_ISDIR(st.st_mode))
        return fail_file(error, "cannot use", dir, ENOTDIR);
    return 0;
}

int certs_store_absent(const char *dir, const char *name, struct certs_error *error)
{
    char path[CERTS_PATH_MAX];
    struct stat st;
    int rc = path_of(path, dir, name, "", error);
    if (rc != 0)
        return rc;
    if (lstat(path, &st) == 0)
        return certs_fail(error, -EEXIST, "%s exists: --force replaces it", path);
    if (errno != ENOENT)
        return fail_file(error, "cannot look at", path, errno);
    return 0;
}

void certs_store_remove(const char *dir, const char *name)
{
    char path[CERTS_PATH_MAX];
    struct certs_error ignored;
    if (path_of(path, dir, name, "", &ignored) == 0)
        (void)unlink(path);
}

/* Writes and syncs the temporary file; 0 or a positive errno. */
static int write_whole(const char *path, const char *text, mode_t mode)
{
    size_t len = strlen(text);
    size_t done = 0;
    int code = 0;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return errno;
    while (code == 0 && done < len) {
        ssize_t n = write(fd, text + done, len - done);
        if (n >= 0)
            done += (size_t)n;
        else if (errno != EINTR)
            code = errno;
    }
    if (code == 0 && fchmod(fd, mode) != 0) /* whatever the umask */
        code = errno;
    if (code == 0 && fsync(fd) != 0)
        code = errno;
    if (close(fd) != 0 && code == 0)
        code = errno;
    return code;
}

int certs_store_write(const char *dir, const char *name, const char *text, mode_t mode, bool force,
                      struct certs_error *error)
{
    char path[CERTS_PATH_MAX];
    char temporary[CERTS_PATH_MAX];
    char suffix[32];
    int code;
    int rc;

    snprintf(suffix, sizeof suffix, ".new-%ld", (long)getpid());
    if ((rc = path_of(path, dir, name, "", error)) != 0 ||
        (rc = path_of(temporary, dir, name, suffix, error)) != 0)
        return rc;
    code = write_whole(temporary, text, mode);
    if (code != 0) {
        if (code != EEXIST)
            (void)unlink(temporary);
        return fail_file(error, "cannot write", temporary, code);
    }
    if (force) {
        code = rename(temporary, path) == 0 ? 0 : errno;
    } else {
        code = link(temporary, path) == 0 ? 0 : errno;
    }
    if (!force || code != 0)
        (void)unlink(temporary);
    if (code == EEXIST)
        return certs_fail(error, -EEXIST, "%s exists: --force replaces it", path);
    return code == 0 ? 0 : fail_file(error, "cannot write", path, code);
}

int certs_store_read(const char *dir, const char *name, char *text, size_t size,
                     struct certs_error *error)
{
    char path[CERTS_PATH_MAX];
    size_t len;
    FILE *file;
    int rc = path_of(path, dir, name, "", error);
    if (rc != 0)
        return rc;
    file = fopen(path, "re");
    if (file == NULL)
        return fail_file(error, "cannot read", path, errno);
    errno = 0;
    len = fread(text, 1, size, file);
    if (ferror(file))
        rc = fail_file(error, "cannot read", path, errno != 0 ? errno : EIO);
    else if (len == size)
        rc = certs_fail(error, -EFBIG, "%s is too large to be a certificate or key", path);
    else
        text[len] = '\0';
    (void)fclose(file);
    return rc;
}
