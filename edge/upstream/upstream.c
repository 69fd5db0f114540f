/* SPDX-License-Identifier: Apache-2.0
 * curl's sockets and timer on the loop, and the calls that have news. See upstream.h; a single call
 * is call.c.
 */
#include "edge/upstream/upstream_private.h"

#include "proto/base/check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* One socket of curl's. A connection's, which is opened and closed through us, stays with the
 * poller from one call to the next, when curl does not want to hear of it: most calls then change
 * nothing there. Any other (a resolver's) goes as soon as curl lets go of it: it may be closed
 * unseen. */
struct upstream_watch {
    uv_poll_t poll;
    struct upstream *up;
    curl_socket_t fd;
    int polled; /* events that the poller looks for */
    bool wanted, ours;
};

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

static void free_watch(uv_handle_t *handle)
{
    free(handle->data);
}

static struct upstream_watch **place_of(struct upstream *up, curl_socket_t fd)
{
    return fd >= 0 && (unsigned)fd < up->watches_n ? &up->watches[fd] : NULL;
}

/* The socket is closed, or about to be. */
static void forget_watch(struct upstream *up, curl_socket_t fd)
{
    struct upstream_watch **place = place_of(up, fd);
    if (place == NULL || *place == NULL)
        return;
    uv_poll_stop(&(*place)->poll);
    uv_close((uv_handle_t *)&(*place)->poll, free_watch);
    *place = NULL;
}

/* NULL: no memory. */
static struct upstream_watch *watch_of(struct upstream *up, curl_socket_t fd)
{
    struct upstream_watch **place = place_of(up, fd);
    if (place == NULL) {
        unsigned n = ((unsigned)fd | 255U) + 1;
        struct upstream_watch **more = realloc(up->watches, n * sizeof(struct upstream_watch *));
        if (more == NULL)
            return NULL;
        memset(more + up->watches_n, 0, (n - up->watches_n) * sizeof *more);
        up->watches = more;
        up->watches_n = n;
        place = &more[fd];
    }
    if (*place != NULL)
        return *place;
    struct upstream_watch *w = calloc(1, sizeof *w);
    if (w == NULL || uv_poll_init_socket(up->loop, &w->poll, fd) < 0) {
        free(w);
        return NULL;
    }
    w->up = up;
    w->fd = fd;
    w->poll.data = w;
    return *place = w;
}

static void on_socket(uv_poll_t *poll, int status, int events)
{
    struct upstream_watch *w = poll->data;
    struct upstream *up = w->up;
    int flags = status < 0 ? CURL_CSELECT_ERR : 0;
    int running;
    if (status < 0)
        w->polled = 0; /* libuv has stopped it */
    if (!w->wanted) {  /* an idle connection was closed, say: curl looks before it takes it again */
        uv_poll_stop(&w->poll);
        w->polled = 0;
        return;
    }
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
    (void)easy, (void)of_socket;
    if (what == CURL_POLL_REMOVE) {
        struct upstream_watch **place = place_of(up, fd);
        if (place != NULL && *place != NULL && (*place)->ours)
            (*place)->wanted = false;
        else
            forget_watch(up, fd);
        return 0;
    }
    struct upstream_watch *w = watch_of(up, fd);
    if (w == NULL)
        return -1;
    int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    w->wanted = true;
    if (events == w->polled)
        return 0;
    w->polled = events;
    return uv_poll_start(&w->poll, events, on_socket) < 0 ? -1 : 0;
}

/* ---- from opening to closing ---- */

curl_socket_t upstream_socket_open(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
    (void)purpose;
    int fd = socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
    if (fd < 0)
        return CURL_SOCKET_BAD;
    forget_watch(arg, fd); /* of one that had this number and was closed without a word */
    struct upstream_watch *w = watch_of(arg, fd);
    if (w == NULL) {
        (void)close(fd);
        return CURL_SOCKET_BAD;
    }
    w->ours = true;
    return fd;
}

int upstream_socket_close(void *arg, curl_socket_t fd)
{
    forget_watch(arg, fd);
    return close(fd);
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
    curl_multi_cleanup(up->multi); /* closes idle connections: upstream_socket_close is called */
    for (unsigned fd = 0; fd < up->watches_n; fd++)
        forget_watch(up, (curl_socket_t)fd);
    free(up->watches);
    up->watches = NULL;
    up->watches_n = 0;
    uv_close((uv_handle_t *)&up->timer, on_handle_closed);
    uv_close((uv_handle_t *)&up->sweep, on_handle_closed);
}
