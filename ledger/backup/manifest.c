/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/backup/manifest.h"

#include "proto/base/conf.h"
#include "proto/hash.h"
#include "proto/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { TEXT_MAX = 4096 };
static const char end_line[] = "[end]\nsha256 = ";

/* ---- write ---- */

static void line_uint(struct proto_text *t, const char *key, uint64_t v)
{
    proto_text_put(t, key);
    proto_text_put(t, " = ");
    proto_text_uint(t, v);
    proto_text_put(t, "\n");
}

static void line_hash(struct proto_text *t, const char *key, const struct proto_hash *h)
{
    proto_text_put(t, key);
    proto_text_put(t, " = ");
    proto_text_hex(t, h->b, sizeof h->b);
    proto_text_put(t, "\n");
}

static void put_text(struct proto_text *t, const struct backup_manifest *m)
{
    proto_text_put(t, "; A backup of a Holdfast ledger: holdfast-ledger restore reads it.\n"
                      "[backup]\n");
    line_uint(t, "format", BACKUP_FORMAT);
    proto_text_put(t, "version = " HOLDFAST_VERSION "\ncluster = ");
    proto_text_uuid(t, &m->taken_from.cluster);
    proto_text_put(t, "\n");
    line_uint(t, "group", m->taken_from.group);
    line_uint(t, "node", m->taken_from.node);
    proto_text_put(t, "; taken ");
    proto_text_time(t, m->taken_us);
    proto_text_put(t, "\n");
    line_uint(t, "taken_us", (uint64_t)m->taken_us);
    proto_text_put(t, "[position]\n");
    line_uint(t, "index", m->index);
    line_uint(t, "term", m->term);
    line_uint(t, "clock_us", (uint64_t)m->clock_us);
    line_hash(t, "chain", &m->chain);
    proto_text_put(t, "[state]\n");
    line_uint(t, "records", m->records);
    line_uint(t, "bytes", m->state_bytes);
    line_hash(t, "sha256", &m->state_sum);
    proto_text_put(t, "[log]\n");
    line_uint(t, "first", m->log_first);
    line_uint(t, "files", m->log_files);
    line_uint(t, "bytes", m->log_bytes);
    line_hash(t, "link", &m->log_link);
}

static int write_file(const char *path, const char *text, size_t n, struct store_why *why)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return store_why_set(why, -errno, "create %s: %s", path, strerror(errno));
    int rv = 0;
    ssize_t put = write(fd, text, n);
    if (put != (ssize_t)n || fsync(fd) != 0)
        rv = store_why_set(why, put < 0 ? -errno : -EIO, "write %s: %s", path,
                           put < 0 ? strerror(errno) : "cut short");
    (void)close(fd);
    return rv;
}

int backup_manifest_write(const char *dir, const struct backup_manifest *m, struct store_why *why)
{
    char path[PATH_MAX], text[TEXT_MAX];
    struct proto_hash sum;
    struct proto_text t = proto_text_over(text, sizeof text);
    put_text(&t, m);
    proto_sha256_of(text, t.n, &sum);
    proto_text_put(&t, end_line);
    proto_text_hex(&t, sum.b, sizeof sum.b);
    proto_text_put(&t, "\n");
    if (t.full || snprintf(path, sizeof path, "%s/MANIFEST", dir) >= (int)sizeof path)
        return store_why_set(why, -ENAMETOOLONG, "path too long: %s", dir);
    return write_file(path, text, t.n, why);
}

/* ---- read ---- */

static int damaged(struct store_why *why, const char *path)
{
    return store_why_set(why, -EUCLEAN, "%s is damaged", path);
}

/* The text must be what its last line says. */
static int check_sum(const char *path, struct store_why *why)
{
    char text[TEXT_MAX + 1];
    struct proto_hash want, have;
    FILE *f = fopen(path, "rbe");
    if (!f)
        return store_why_set(why, -errno, "%s: %s: not a backup, or one that was interrupted", path,
                             strerror(errno));
    size_t n = fread(text, 1, TEXT_MAX, f);
    (void)fclose(f);
    text[n] = '\0';
    const char *end = strstr(text, end_line);
    size_t mark = sizeof end_line - 1;
    if (!end || strlen(end) != mark + 2 * sizeof want.b + 1 ||
        end[mark + 2 * sizeof want.b] != '\n')
        return damaged(why, path);
    const struct proto_str hex = {end + mark, 2 * sizeof want.b};
    proto_sha256_of(text, (size_t)(end - text), &have);
    if (!proto_hex_parse(hex, want.b, sizeof want.b) || memcmp(&want, &have, sizeof want) != 0)
        return damaged(why, path);
    return 0;
}

static bool get_uint(struct base_conf *f, const char *section, const char *key, int64_t max,
                     uint64_t *out)
{
    char error[BASE_CONF_ERROR];
    int64_t v = -1;
    bool ok = base_conf_int(f, section, key, 0, max, &v, error) == 0 && v >= 0;
    *out = ok ? (uint64_t)v : 0;
    return ok;
}

static bool get_hash(struct base_conf *f, const char *section, const char *key,
                     struct proto_hash *out)
{
    const char *text = base_conf_get(f, section, key);
    return text && proto_hex_parse(proto_str_of(text), out->b, sizeof out->b);
}

static bool get_fields(struct base_conf *f, struct backup_manifest *m)
{
    uint64_t group, files, taken, clock;
    const char *cluster = base_conf_get(f, "backup", "cluster");
    bool ok = cluster && proto_uuid_parse(proto_str_of(cluster), &m->taken_from.cluster) &&
              get_uint(f, "backup", "group", UINT16_MAX, &group) &&
              get_uint(f, "backup", "node", INT64_MAX, &m->taken_from.node) &&
              get_uint(f, "backup", "taken_us", INT64_MAX, &taken) &&
              get_uint(f, "position", "index", INT64_MAX, &m->index) &&
              get_uint(f, "position", "term", INT64_MAX, &m->term) &&
              get_uint(f, "position", "clock_us", INT64_MAX, &clock) &&
              get_hash(f, "position", "chain", &m->chain) &&
              get_uint(f, "state", "records", INT64_MAX, &m->records) &&
              get_uint(f, "state", "bytes", INT64_MAX, &m->state_bytes) &&
              get_hash(f, "state", "sha256", &m->state_sum) &&
              get_uint(f, "log", "first", INT64_MAX, &m->log_first) &&
              get_uint(f, "log", "files", INT32_MAX, &files) &&
              get_uint(f, "log", "bytes", INT64_MAX, &m->log_bytes) &&
              get_hash(f, "log", "link", &m->log_link);
    if (!ok)
        return false;
    m->taken_from.group = (uint16_t)group;
    m->taken_us = (int64_t)taken;
    m->clock_us = (int64_t)clock;
    m->log_files = (unsigned)files;
    return m->index > 0 && m->term > 0 && m->log_first > 0 && m->log_first <= m->index;
}

int backup_manifest_read(const char *dir, struct backup_manifest *m, struct store_why *why)
{
    char path[PATH_MAX], error[BASE_CONF_ERROR];
    struct base_conf *f;
    uint64_t format;
    *m = (struct backup_manifest){0};
    if (snprintf(path, sizeof path, "%s/MANIFEST", dir) >= (int)sizeof path)
        return store_why_set(why, -ENAMETOOLONG, "path too long: %s", dir);
    int rv = check_sum(path, why);
    if (rv)
        return rv;
    if (base_conf_load(&f, path, error) != 0)
        return damaged(why, path);
    if (!get_uint(f, "backup", "format", INT32_MAX, &format))
        rv = damaged(why, path);
    else if (format != BACKUP_FORMAT)
        rv = store_why_set(why, -ENOTSUP, "%s is of format %" PRIu64 "; this version reads %d",
                           path, format, BACKUP_FORMAT);
    else if (!get_fields(f, m))
        rv = damaged(why, path);
    base_conf_free(f);
    return rv;
}
