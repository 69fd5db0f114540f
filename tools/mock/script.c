/* SPDX-License-Identifier: Apache-2.0
 * Recorded streams: a file of --script-dir becomes the body of an event stream. Read anew for each
 * call, on the worker's thread: this serves tests, not load.
 */
#include "tools/mock/mock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int read_all(struct base_buf *out, int fd)
{
    for (;;) {
        int rv = base_buf_reserve(out, 65536);
        if (rv)
            return rv;
        ssize_t n = read(fd, out->base + out->end, 65536);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0)
            return 0;
        if (n > 0)
            out->end += (size_t)n;
    }
}

/* Each line as one event; a stream that was recorded without its end gets one. */
static int frame_lines(struct base_buf *out, const char *p, size_t len)
{
    int rv = 0;
    while (rv == 0 && len) {
        const char *newline = memchr(p, '\n', len);
        size_t line = newline ? (size_t)(newline - p) : len;
        size_t text = line && p[line - 1] == '\r' ? line - 1 : line;
        if (text) {
            rv = base_buf_add(out, "data: ", 6);
            if (rv == 0)
                rv = base_buf_add(out, p, text);
            if (rv == 0)
                rv = base_buf_add(out, "\n\n", 2);
        }
        p += newline ? line + 1 : line;
        len -= newline ? line + 1 : line;
    }
    return rv ? rv : mock_printf(out, "data: [DONE]\n\n");
}

/* A name below the folder: no absolute path, no way up. */
static bool name_is_valid(const char *name)
{
    return *name && *name != '/' && !strstr(name, "..");
}

int mock_script_load(struct base_buf *out, const char *dir, const char *name)
{
    char path[4096];
    if (!dir || !name_is_valid(name) ||
        (size_t)snprintf(path, sizeof path, "%s/%s", dir, name) >= sizeof path)
        return -ENOENT;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    struct base_buf raw;
    base_buf_init(&raw, SCRIPT_BYTES_MAX);
    int rv = read_all(&raw, fd);
    close(fd);
    size_t n = strlen(name);
    if (rv == 0 && n > 6 && strcmp(name + n - 6, ".jsonl") == 0)
        rv = frame_lines(out, base_buf_at(&raw), base_buf_len(&raw));
    else if (rv == 0)
        rv = base_buf_add(out, base_buf_at(&raw), base_buf_len(&raw));
    base_buf_close(&raw);
    return rv;
}
