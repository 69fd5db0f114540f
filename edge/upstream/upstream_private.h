/* SPDX-License-Identifier: Apache-2.0
 * Private to edge/upstream.
 */
#ifndef HOLDFAST_EDGE_UPSTREAM_PRIVATE_H
#define HOLDFAST_EDGE_UPSTREAM_PRIVATE_H

#include "edge/upstream/upstream.h"

#include <curl/curl.h>

enum { UPSTREAM_CONNECTIONS_KEPT = 4096 }; /* idle and busy; above a worker's peak of calls */

TAILQ_HEAD(upstream_calls, upstream_call);

struct upstream_watch;

struct upstream {
    uv_loop_t *loop;
    CURLM *multi;
    uv_timer_t timer, sweep;
    int handles_closed;
    bool pumping;
    struct upstream_call *telling; /* whose owner is being called; NULL once it is freed */
    struct upstream_calls all, dirty;
    struct upstream_watch **watches; /* by descriptor; NULL: none */
    unsigned watches_n;
    CURL *pool[UPSTREAM_POOL_MAX];
    unsigned pooled;
    void (*on_closed)(void *arg);
    void *closed_arg;
};

/* Tells the owners of calls that have news, until none has. Not from inside curl. */
void upstream_pump(struct upstream *up);

/* Given to every call, so that a socket's watch ends with it. */
curl_socket_t upstream_socket_open(void *up, curlsocktype purpose, struct curl_sockaddr *a);
int upstream_socket_close(void *up, curl_socket_t fd);

/* call.c */
void upstream_call_ended(struct upstream_call *call, CURLcode code);
void upstream_call_expire(struct upstream_call *call, uint64_t now_ms);
void upstream_call_clean(struct upstream_call *call); /* off the dirty list */
void upstream_call_tell(struct upstream_call *call);

#endif
