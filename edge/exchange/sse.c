/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/exchange/sse.h"

#include <string.h>

void edge_sse_init(struct edge_sse *s, edge_sse_judge *judge, void *arg)
{
    memset(s, 0, sizeof *s);
    s->judge = judge;
    s->arg = arg;
    base_buf_init(&s->held, 0);
    base_buf_init(&s->joined, 0);
}

void edge_sse_close(struct edge_sse *s)
{
    base_buf_close(&s->held);
    base_buf_close(&s->joined);
}

/* Bytes of the event under way. */
static int keep(struct edge_sse *s, const char *p, size_t n, struct base_buf *out)
{
    if (!s->passing && base_buf_len(&s->held) + n > EDGE_SSE_EVENT_MAX) {
        s->passing = true;
        s->data_lines = 0; /* unjudged */
        base_buf_clear(&s->joined);
        int rc = base_buf_add(out, base_buf_at(&s->held), base_buf_len(&s->held));
        if (rc < 0)
            return rc;
        s->unjudged += base_buf_len(&s->held);
        base_buf_clear(&s->held);
    }
    if (s->passing)
        s->unjudged += n;
    return base_buf_add(s->passing ? out : &s->held, p, n);
}

/* A complete line, without its end, of an event that is held. */
static int take_line(struct edge_sse *s)
{
    const char *line = base_buf_at(&s->held) + s->line_at;
    size_t n = s->line_len;
    size_t at = s->line_at;
    if (!s->started && n >= 3 && memcmp(line, "\xEF\xBB\xBF", 3) == 0) {
        line += 3;
        at += 3;
        n -= 3;
    }
    if (n < 4 || memcmp(line, "data", 4) != 0 || (n > 4 && line[4] != ':'))
        return 0;
    size_t skip = n == 4 ? 4 : n > 5 && line[5] == ' ' ? 6 : 5;
    if (s->data_lines++ == 0) {
        s->data_at = at + skip;
        s->data_len = n - skip;
        return 0;
    }
    int rc = 0;
    if (s->data_lines == 2)
        rc = base_buf_add(&s->joined, base_buf_at(&s->held) + s->data_at, s->data_len);
    if (rc == 0)
        rc = base_buf_add(&s->joined, "\n", 1);
    if (rc == 0)
        rc = base_buf_add(&s->joined, base_buf_at(&s->held) + at + skip, n - skip);
    return rc;
}

static int end_event(struct edge_sse *s, struct base_buf *out)
{
    bool hidden = false;
    if (s->data_lines == 1)
        hidden = s->judge(s->arg, base_buf_at(&s->held) + s->data_at, s->data_len);
    else if (s->data_lines > 1)
        hidden = s->judge(s->arg, base_buf_at(&s->joined), base_buf_len(&s->joined));
    int rc = 0;
    if (!hidden && !s->passing)
        rc = base_buf_add(out, base_buf_at(&s->held), base_buf_len(&s->held));
    base_buf_clear(&s->held);
    base_buf_clear(&s->joined);
    s->data_lines = 0;
    s->passing = false;
    s->closed_hidden = hidden;
    return rc;
}

/* The line under way has ended; its end is kept already. */
static int end_line(struct edge_sse *s, struct base_buf *out)
{
    int rc = 0;
    s->closed_event = s->line_len == 0;
    if (s->closed_event)
        rc = end_event(s, out);
    else if (!s->passing)
        rc = take_line(s);
    s->started = true;
    s->line_len = 0;
    s->line_at = base_buf_len(&s->held);
    return rc;
}

static int take_lf(struct edge_sse *s, struct base_buf *out)
{
    if (!s->closed_event) {
        int rc = keep(s, "\n", 1, out);
        s->line_at = base_buf_len(&s->held);
        return rc;
    }
    return s->closed_hidden ? 0 : base_buf_add(out, "\n", 1);
}

static const char *find_end(const char *p, size_t n)
{
    const char *lf = memchr(p, '\n', n);
    const char *cr = memchr(p, '\r', lf != NULL ? (size_t)(lf - p) : n);
    return cr != NULL ? cr : lf;
}

int edge_sse_feed(struct edge_sse *s, const char *p, size_t n, struct base_buf *out)
{
    int rc = 0;
    while (n > 0 && rc == 0) {
        if (s->after_cr) {
            s->after_cr = false;
            if (*p == '\n') {
                rc = take_lf(s, out);
                p++;
                n--;
                continue;
            }
        }
        const char *end = find_end(p, n);
        size_t line = end != NULL ? (size_t)(end - p) : n;
        size_t all = end != NULL ? line + 1 : n;
        s->line_len += line;
        rc = keep(s, p, all, out);
        if (rc == 0 && end != NULL) {
            s->after_cr = *end == '\r';
            rc = end_line(s, out);
        }
        p += all;
        n -= all;
    }
    return rc;
}

size_t edge_sse_unjudged(const struct edge_sse *s)
{
    return s->unjudged + base_buf_len(&s->held);
}

int edge_sse_finish(struct edge_sse *s, struct base_buf *out)
{
    int rc = 0;
    if (base_buf_len(&s->held) == 0)
        return 0;
    if (s->line_len > 0)
        rc = take_line(s);
    s->line_len = 0;
    s->line_at = 0;
    if (rc == 0)
        rc = end_event(s, out);
    return rc;
}
