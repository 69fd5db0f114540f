/* SPDX-License-Identifier: Apache-2.0
 * Calls to providers: libcurl's multi interface on a worker's uv_loop. One struct upstream a
 * worker; everything on that loop's thread.
 *
 * A call tells its owner through one callback, made from the loop and never from inside curl:
 * on_progress comes whenever there is something new (the head, bytes, the end), until the call has
 * ended or is freed; several of these can come together. The owner reads the fields below, takes
 * bytes from `in`, and frees the call when it likes, in the callback too. Freeing a call that has
 * not ended stops it.
 *
 * Back-pressure: curl is paused while `in` holds UPSTREAM_IN_HIGH bytes or the owner said hold.
 * Deadlines: connect and whole request by curl; first byte and idle time here, not counted while
 * held. A head past UPSTREAM_HEAD_MAX ends the call.
 *
 * A call sends its request at most once. What curl would send again by itself (a kept connection
 * that the provider had closed meanwhile) ends as UPSTREAM_UNKNOWN, unless nothing had left.
 */
#ifndef HOLDFAST_EDGE_UPSTREAM_H
#define HOLDFAST_EDGE_UPSTREAM_H

#include "edge/config.h"
#include "proto/base/buf.h"

#include <sys/queue.h>
#include <uv.h>

enum {
    UPSTREAM_IN_HIGH = 256 * 1024,
    UPSTREAM_HEAD_MAX = 64 * 1024,
    UPSTREAM_POOL_MAX = 256,  /* idle curl handles kept; more are freed */
    UPSTREAM_FIELDS_MAX = 16, /* request fields of one call */
    UPSTREAM_SWEEP_MS = 100,  /* how late a deadline can be noticed */
};

enum upstream_end {
    UPSTREAM_RUNNING,
    UPSTREAM_COMPLETE, /* a whole answer, whatever its status */
    UPSTREAM_NOT_SENT, /* failed, and the provider cannot have seen the request */
    UPSTREAM_UNKNOWN,  /* failed after it was sent: what the provider did is not known */
};

struct upstream;
struct upstream_call;
typedef void upstream_progress(void *arg, struct upstream_call *call);

struct upstream_request {
    const struct edge_provider *provider;
    const char *path; /* behind base_url */
    const void *body; /* must live as long as the call */
    size_t body_len;
    const char *fields[UPSTREAM_FIELDS_MAX]; /* "Name: value"; copied; ends with NULL */
};

struct upstream_call {
    /* for the owner to read */
    enum upstream_end end;
    bool timed_out;     /* with NOT_SENT or UNKNOWN */
    char why[160];      /* with NOT_SENT or UNKNOWN: for logs and people */
    int status;         /* 0 until the head is complete */
    struct base_buf in; /* bytes of the body, to be taken by the owner */
    /* private */
    struct upstream *up;
    void *easy; /* CURL */
    struct curl_slist *fields;
    const struct edge_provider *provider;
    upstream_progress *on_progress;
    void *arg;
    struct base_buf head; /* "name\0value\0" ..., names in lower case */
    bool head_open;       /* fields of an answer that is not final */
    bool added, is_dirty, held, paused;
    bool resend_refused;     /* curl would have sent it a second time */
    uint64_t quiet_since_ms; /* of the loop's clock */
    TAILQ_ENTRY(upstream_call) all, dirty;
};

/* 0 or a negative errno. */
__attribute__((warn_unused_result)) int upstream_new(struct upstream **out, uv_loop_t *loop);
/* No call may be left. on_closed comes from the loop when its handles are closed. */
void upstream_close(struct upstream *up, void (*on_closed)(void *arg), void *arg);

/* 0 or -ENOMEM; the first on_progress comes later. */
__attribute__((warn_unused_result)) int upstream_start(struct upstream *up,
                                                       const struct upstream_request *request,
                                                       upstream_progress *on_progress, void *arg,
                                                       struct upstream_call **out);
void upstream_free(struct upstream_call *call);

/* Value of an answer's field (lower-case name), NULL: none. */
const char *upstream_field(const struct upstream_call *call, const char *name);
/* Whether the request (or a part of it) has left for the provider. */
bool upstream_was_sent(const struct upstream_call *call);
/* true: no more bytes for now; false: go on. */
void upstream_hold(struct upstream_call *call, bool held);

#endif
