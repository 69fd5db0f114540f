/* SPDX-License-Identifier: Apache-2.0
 * Server-sent events on their way through: bytes go in as they come from the provider, cut
 * anywhere, and come out the same, but for events that the judge hides. An event is passed on when
 * its blank line has come (a client can do nothing with less); one that grows past
 * EDGE_SSE_EVENT_MAX is passed on as it comes, unjudged. Line ends are CR, LF or CRLF (WHATWG HTML,
 * section 9.2.5). Pure; one owner.
 */
#ifndef HOLDFAST_EDGE_SSE_H
#define HOLDFAST_EDGE_SSE_H

#include "proto/base/buf.h"

#include <stdbool.h>

#define EDGE_SSE_EVENT_MAX ((size_t)(4 << 20))

/* Sees the data of each event that has any (lines joined by LF). True: the event is hidden. */
typedef bool edge_sse_judge(void *arg, const char *data, size_t n);

struct edge_sse {
    edge_sse_judge *judge;
    void *arg;
    struct base_buf held;   /* the event under way, all of its bytes */
    struct base_buf joined; /* its data, where it has more than one line */
    size_t line_at;         /* where the line under way starts in held */
    size_t line_len;        /* its bytes so far */
    size_t data_at, data_len;
    unsigned data_lines;
    bool passing;      /* the event outgrew its bound */
    size_t unjudged;   /* bytes of such events so far */
    bool after_cr;     /* an LF that follows belongs to that line end */
    bool closed_event; /* ... and to an event that is gone already */
    bool closed_hidden;
    bool started; /* a byte-order mark can no longer come */
};

void edge_sse_init(struct edge_sse *s, edge_sse_judge *judge, void *arg);
void edge_sse_close(struct edge_sse *s);
/* What is to be passed on is added to out. 0, -ENOMEM or out's -ENOBUFS. */
__attribute__((warn_unused_result)) int edge_sse_feed(struct edge_sse *s, const char *p, size_t n,
                                                      struct base_buf *out);
/* Bytes that the judge has not seen: of events that outgrew their bound, and of the one under way.
 */
size_t edge_sse_unjudged(const struct edge_sse *s);
/* The end of the stream: an event without its blank line is judged and passed on as it is. */
__attribute__((warn_unused_result)) int edge_sse_finish(struct edge_sse *s, struct base_buf *out);

#endif
