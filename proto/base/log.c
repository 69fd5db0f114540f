/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 2048, TAIL_BYTES = 4, NUMBER_BYTES = 24 };

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

static void put_field(struct line *l, const char *name, const char *number, const char *text)
{
    put(l, ",", 1);
    put_string(l, name);
    put(l, ":", 1);
    if (number != NULL)
        put(l, number, strlen(number));
    else if (text != NULL)
        put_string(l, text);
    else
        put(l, "null", 4);
}

static bool has_room(const struct line *l, const char *name)
{
    return l->n + strlen(name) + NUMBER_BYTES + 8 <= sizeof l->b - TAIL_BYTES;
}

static void put_fields(struct line *l, va_list *ap)
{
    const char *name;
    while ((name = va_arg(*ap, const char *)) != NULL) {
        char number[NUMBER_BYTES];
        const char *text = NULL;
        if (name[0] == 's')
            text = va_arg(*ap, const char *);
        else
            snprintf(number, sizeof number, "%lld", (long long)va_arg(*ap, int64_t));
        if (has_room(l, name))
            put_field(l, name + 1, name[0] == 's' ? NULL : number, text);
    }
}

static void begin(struct line *l, enum base_log_level level, const char *event)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    struct timespec ts;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &ts);
    gmtime_r(&ts.tv_sec, &tm);
    int n = snprintf(l->b, sizeof l->b,
                     "{\"time\":\"%04d-%02d-%02dT%02d:%02d:%02d.%06ldZ\",\"level\":\"%s\","
                     "\"program\":\"%s\",\"pid\":%d,\"event\":",
                     tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
                     ts.tv_nsec / 1000, names[level], log_program, (int)getpid());
    l->n = n > 0 ? (size_t)n : 0;
    put_string(l, event);
}

static void end(struct line *l)
{
    l->b[l->n++] = '}';
    l->b[l->n++] = '\n';
    if (write(STDERR_FILENO, l->b, l->n) < 0)
        return; /* a log that cannot be written has nobody to be reported to */
}

void base_log(enum base_log_level level, const char *event, ...)
{
    struct line l;
    va_list ap;
    if (level < log_least)
        return;
    begin(&l, level, event);
    va_start(ap, event);
    put_fields(&l, &ap);
    va_end(ap);
    end(&l);
}

/* ---- once a second ---- */

static struct cause {
    _Atomic int64_t next_s; /* of CLOCK_MONOTONIC: when a line may be written again */
    _Atomic uint64_t left_out;
} causes[BASE_LOG_CAUSES];
static _Atomic uint64_t left_out_ever;

static struct cause *cause_of(const char *event, const char *cause)
{
    uint32_t h = 2166136261u; /* FNV-1a */
    for (const char *p = event; *p != '\0'; p++)
        h = (h ^ (unsigned char)*p) * 16777619u;
    for (const char *p = cause; p != NULL && *p != '\0'; p++)
        h = (h ^ (unsigned char)*p) * 16777619u;
    return &causes[h % BASE_LOG_CAUSES];
}

/* One caller a second gets true. */
static bool take_turn(struct cause *c)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    int64_t now_s = (int64_t)ts.tv_sec + 1; /* never 0 */
    int64_t next_s = atomic_load_explicit(&c->next_s, memory_order_relaxed);
    if (now_s >= next_s && atomic_compare_exchange_strong(&c->next_s, &next_s, now_s + 1))
        return true;
    atomic_fetch_add_explicit(&c->left_out, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&left_out_ever, 1, memory_order_relaxed);
    return false;
}

void base_log_seldom(enum base_log_level level, const char *event, const char *cause, ...)
{
    struct line l;
    va_list ap;
    char number[NUMBER_BYTES];
    struct cause *c = cause_of(event, cause);
    if (level < log_least || !take_turn(c))
        return;
    begin(&l, level, event);
    put_field(&l, "cause", NULL, cause);
    va_start(ap, cause);
    put_fields(&l, &ap);
    va_end(ap);
    uint64_t left_out = atomic_exchange(&c->left_out, 0);
    snprintf(number, sizeof number, "%llu", (unsigned long long)left_out);
    if (left_out > 0 && has_room(&l, "suppressed"))
        put_field(&l, "suppressed", number, NULL);
    end(&l);
}

uint64_t base_log_suppressed(void)
{
    return atomic_load_explicit(&left_out_ever, memory_order_relaxed);
}
