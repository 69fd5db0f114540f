/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 2048, TAIL_BYTES = 4 };

static const char *log_program = "holdfast";
static enum base_log_level log_least = BASE_LOG_INFO;

struct line {
    char b[LINE_MAX_BYTES];
    size_t n;
};

void base_log_open(const char *program, enum base_log_level least)
{
    log_program = program;
    log_least = least;
}

static bool put(struct line *l, const char *s, size_t n)
{
    if (l->n + n > sizeof l->b - TAIL_BYTES)
        return false;
    memcpy(l->b + l->n, s, n);
    l->n += n;
    return true;
}

/* A JSON string; cut at a character when the line is full. */
static void put_string(struct line *l, const char *s)
{
    static const char hex[] = "0123456789abcdef";
    if (!put(l, "\"", 1))
        return;
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        char esc[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
        bool ok;
        if (c == '"' || c == '\\')
            ok = put(l, (char[]){'\\', (char)c}, 2);
        else if (c < 0x20 || c == 0x7f)
            ok = put(l, esc, sizeof esc);
        else
            ok = put(l, s, 1);
        if (!ok)
            break;
    }
    l->b[l->n++] = '"'; /* TAIL_BYTES keeps room */
}

void base_log(enum base_log_level level, const char *event, ...)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    if (level < log_least)
        return;
    struct line l;
    struct timespec ts;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &ts);
    gmtime_r(&ts.tv_sec, &tm);
    int n = snprintf(l.b, sizeof l.b,
                     "{\"time\":\"%04d-%02d-%02dT%02d:%02d:%02d.%06ldZ\",\"level\":\"%s\","
                     "\"program\":\"%s\",\"pid\":%d,\"event\":",
                     tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
                     ts.tv_nsec / 1000, names[level], log_program, (int)getpid());
    l.n = n > 0 ? (size_t)n : 0;
    put_string(&l, event);
    va_list ap;
    va_start(ap, event);
    const char *name;
    while ((name = va_arg(ap, const char *)) != NULL) {
        char num[24];
        size_t room = strlen(name) + sizeof num + 8;
        const char *text = NULL;
        if (name[0] == 's')
            text = va_arg(ap, const char *);
        else
            snprintf(num, sizeof num, "%lld", (long long)va_arg(ap, int64_t));
        if (l.n + room > sizeof l.b - TAIL_BYTES)
            continue;
        put(&l, ",", 1);
        put_string(&l, name + 1);
        put(&l, ":", 1);
        if (name[0] != 's')
            put(&l, num, strlen(num));
        else if (text)
            put_string(&l, text);
        else
            put(&l, "null", 4);
    }
    va_end(ap);
    l.b[l.n++] = '}';
    l.b[l.n++] = '\n';
    if (write(STDERR_FILENO, l.b, l.n) < 0)
        return; /* a log that cannot be written has nobody to be reported to */
}
