/* SPDX-License-Identifier: Apache-2.0
 * curl's sockets and timer on the loop, and the calls that have news. See upstream.h; a single call
 * is call.c.
 */
#include "edge/upstream/upstream_private.h"

#include "proto/base/check.h"

#include <errno.h>
#include <stdlib.h>

struct watch { /* one socket of curl's */
    uv_poll_t poll;
    struct upstream *up;
    curl_socket_t fd;
};

static void free_watch(uv_handle_t *handle)
{
    free(handle->data);
}

/* Ends that curl reports. */
static void take_messages(struct upstream *up)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(up->multi, &left)) != NULL) {
        struct upstream_call *call = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode code = message->data.result; /* gone after remove_handle */
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&call);
        if (call != NULL)
            upstream_call_ended(call, code);
    }
}

void upstream_pump(struct upstream *up)
{
    if (up->pumping)
        return;
    up->pumping = true;
    struct upstream_call *call;
    take_messages(up);
    while ((call = TAILQ_FIRST(&up->dirty)) != NULL) {
        upstream_call_clean(call);
        upstream_call_tell(call); /* may free it */
        take_messages(up);
    }
    up->pumping = false;
}

static void on_socket(uv_poll_t *poll, int status, int events)
{
    struct watch *w = poll->data;
    struct upstream *up = w->up;
    int flags = status < 0 ? CURL_CSELECT_ERR : 0;
    int running;
    if (events & UV_READABLE)
        flags |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        flags |= CURL_CSELECT_OUT;
    curl_multi_socket_action(up->multi, w->fd, flags, &running);
    upstream_pump(up);
}

static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *of_socket)
{
    struct upstream *up = arg;
    struct watch *w = of_socket;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (w != NULL) {
            uv_poll_stop(&w->poll);
            uv_close((uv_handle_t *)&w->poll, free_watch);
            curl_multi_assign(up->multi, fd, NULL);
        }
        return 0;
    }
    if (w == NULL) {
        w = calloc(1, sizeof *w);
        if (w == NULL)
            return -1;
        w->up = up;
        w->fd = fd;
        if (uv_poll_init_socket(up->loop, &w->poll, fd) < 0) {
            free(w);
            return -1;
        }
        w->poll.data = w;
        curl_multi_assign(up->multi, fd, w);
    }
    int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    return uv_poll_start(&w->poll, events, on_socket) < 0 ? -1 : 0;
}

static void on_timer(uv_timer_t *timer)
{
    struct upstream *up = timer->data;
    int running;
    curl_multi_socket_action(up->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    upstream_pump(up);
}

static int set_timer(CURLM *multi, long timeout_ms, void *arg)
{
    struct upstream *up = arg;
    (void)multi;
    if (timeout_ms < 0)
        uv_timer_stop(&up->timer);
    else
        uv_timer_start(&up->timer, on_timer, (uint64_t)timeout_ms, 0);
    return 0;
}

static void on_sweep(uv_timer_t *timer)
{
    struct upstream *up = timer->data;
    struct upstream_call *call;
    uint64_t now_ms = uv_now(up->loop);
    TAILQ_FOREACH(call, &up->all, all)
    upstream_call_expire(call, now_ms);
    upstream_pump(up);
}

int upstream_new(struct upstream **out, uv_loop_t *loop)
{
    struct upstream *up = calloc(1, sizeof *up);
    if (up == NULL)
        return -ENOMEM;
    up->multi = curl_multi_init();
    if (up->multi == NULL) {
        free(up);
        return -ENOMEM;
    }
    up->loop = loop;
    TAILQ_INIT(&up->all);
    TAILQ_INIT(&up->dirty);
    uv_timer_init(loop, &up->timer);
    uv_timer_init(loop, &up->sweep);
    up->timer.data = up->sweep.data = up;
    uv_timer_start(&up->sweep, on_sweep, UPSTREAM_SWEEP_MS, UPSTREAM_SWEEP_MS);
    curl_multi_setopt(up->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
    curl_multi_setopt(up->multi, CURLMOPT_SOCKETDATA, up);
    curl_multi_setopt(up->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(up->multi, CURLMOPT_TIMERDATA, up);
    curl_multi_setopt(up->multi, CURLMOPT_MAXCONNECTS, (long)UPSTREAM_CONNECTIONS_KEPT);
    *out = up;
    return 0;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct upstream *up = handle->data;
    if (++up->handles_closed < 2)
        return;
    if (up->on_closed != NULL)
        up->on_closed(up->closed_arg);
    free(up);
}

void upstream_close(struct upstream *up, void (*on_closed)(void *arg), void *arg)
{
    CHECK(TAILQ_EMPTY(&up->all));
    up->on_closed = on_closed;
    up->closed_arg = arg;
    while (up->pooled > 0)
        curl_easy_cleanup(up->pool[--up->pooled]);
    curl_multi_cleanup(up->multi); /* closes idle connections: watch_socket is called */
    uv_close((uv_handle_t *)&up->timer, on_handle_closed);
    uv_close((uv_handle_t *)&up->sweep, on_handle_closed);
}
