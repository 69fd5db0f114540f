/* SPDX-License-Identifier: Apache-2.0
 * Calls to an edge: what the plain loop (http_plain.c: sockets, epoll, llhttp) and the TLS loop
 * (http_tls.c: libcurl) share. One thread each with connections of its own.
 */
#ifndef HOLDFAST_BENCH_HTTP_H
#define HOLDFAST_BENCH_HTTP_H

#include "tools/bench/crew.h"
#include "tools/bench/stamp.h"

#include <netdb.h>
#include <stddef.h>

enum http_latency { HTTP_WHOLE, HTTP_FIRST, HTTP_GAP, HTTP_DELAY, HTTP_LATENCIES };

struct http_load {
    const struct bench_options *o;
    bool tls;
    bool streams;  /* they stay open: measured by the chunk, not by the call */
    char url[600]; /* whole, with the path */
    char host[256], port[8], path[300];
    const struct addrinfo *address; /* plain only */
    char *key, *body;
    size_t body_n;
    char *request; /* head and body, as sent on a plain connection */
    size_t request_n;
    uint64_t start_ns;
};

struct http_figures {
    struct crew_figures common;
    uint64_t last_ok_ns;
    uint64_t status[600]; /* 0: none of the others */
    uint64_t open;        /* streams that have brought something, at the end */
    uint64_t connect_failed, broken, bad_answer, timeouts, unfinished;
};

void http_plain_run(const struct http_load *load, unsigned thread, struct http_figures *f);
void http_tls_run(const struct http_load *load, unsigned thread, struct http_figures *f);

/* One call came back whole. */
void http_answered(struct http_figures *f, const struct load_schedule *s, unsigned status,
                   uint64_t due_ns, uint64_t now_ns);
/* A piece of a 2xx answer's body; at_ns: of the piece before, 0: this is the first. */
struct http_chunk {
    struct stamp_scan stamps;
    uint64_t at_ns;
};
void http_chunk_came(struct http_figures *f, const struct http_load *l,
                     const struct load_schedule *s, struct http_chunk *c, uint64_t due_ns,
                     const char *p, size_t n, uint64_t now_ns);
/* Connections of this thread's share. */
unsigned http_share(const struct bench_options *o, unsigned thread);

#endif
