/* SPDX-License-Identifier: Apache-2.0
 * A request goes round:  frame -> (with its taker -> answered) -> reply
 *                          '-- waits, its connection paused, while too many are with the taker
 *
 * A request's `to` is the connection it came on, which lives until the last of them is answered.
 */
#include "proto/net/service.h"

#include "proto/base/check.h"
#include "proto/net/listener.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>

struct client {
    TAILQ_ENTRY(client) waiting;
    struct net_service *service;
    struct net_conn *conn;   /* NULL: gone */
    struct net_frame *frame; /* waits for its turn; the connection is paused */
    unsigned in_flight;
};

struct net_service {
    struct net_service_config config;
    struct net_thread *thread;
    struct net_tls *tls;
    unsigned in_flight;
    struct net_post turn; /* take_waiting, from the loop */
    bool turning;         /* it is on its way */
    TAILQ_HEAD(, client) waiting;
    int open_result;
    char *error;
};

/* ---- requests ---- */

static void take(struct client *c, struct net_frame *f)
{
    struct net_service *s = c->service;
    f->to = c;
    c->in_flight++;
    s->in_flight++;
    s->config.on_request(s->config.ctx, f);
}

static void drop_if_over(struct client *c)
{
    if (!c->conn && c->in_flight == 0)
        free(c);
}

/* There is room again: for who waits longest. From the loop, so that no taker is called from inside
 * an answer of its own. */
static void take_waiting(struct net_post *post)
{
    struct net_service *s =
        (struct net_service *)(void *)((char *)post - offsetof(struct net_service, turn));
    s->turning = false;
    while (s->in_flight < s->config.in_flight && !TAILQ_EMPTY(&s->waiting)) {
        struct client *c = TAILQ_FIRST(&s->waiting);
        struct net_conn *conn = c->conn;
        struct net_frame *f = c->frame;
        TAILQ_REMOVE(&s->waiting, c, waiting);
        c->frame = NULL;
        take(c, f);
        net_conn_resume(conn); /* may bring its next frame at once, which then waits */
    }
}

static void end_request(struct client *c)
{
    struct net_service *s = c->service;
    c->in_flight--;
    s->in_flight--;
    drop_if_over(c);
    if (TAILQ_EMPTY(&s->waiting) || s->turning)
        return;
    s->turning = true;
    s->turn.run = take_waiting;
    net_thread_post(s->thread, &s->turn);
}

/* ---- answers ---- */

static void send_reply(struct client *c, struct net_frame *f)
{
    if (!c->conn) {
        net_frame_free(f);
    } else if (net_conn_send(c->conn, f) != 0) {
        net_frame_free(f);
        net_conn_close(c->conn, "does not read its replies");
    }
    end_request(c);
}

void net_service_answer(struct net_frame *request, struct net_frame *reply)
{
    struct client *c = request->to;
    if (reply)
        reply->tag = request->tag;
    net_frame_free(request);
    if (reply)
        send_reply(c, reply);
    else
        end_request(c);
}

static void on_reply(struct net_post *post)
{
    struct net_frame *f = (struct net_frame *)post;
    send_reply(f->to, f);
}

static void on_no_reply(struct net_post *post)
{
    net_service_answer((struct net_frame *)post, NULL);
}

void net_service_post(struct net_frame *request, struct net_frame *reply)
{
    struct net_thread *thread = ((struct client *)request->to)->service->thread;
    if (!reply) {
        request->post.run = on_no_reply;
        net_thread_post(thread, &request->post);
        return;
    }
    reply->to = request->to;
    reply->tag = request->tag;
    reply->post.run = on_reply;
    net_frame_free(request);
    net_thread_post(thread, &reply->post);
}

const char *net_service_peer(const struct net_frame *request)
{
    const struct client *c = request->to;
    return c->conn ? net_conn_peer(c->conn) : "gone";
}

/* ---- connections ---- */

static void on_open(void *ctx, struct net_conn *conn)
{
    struct client *c = calloc(1, sizeof *c);
    net_conn_set_user(conn, c);
    if (!c) {
        net_conn_close(conn, "out of memory");
        return;
    }
    c->service = ctx;
    c->conn = conn;
}

static void on_frame(void *ctx, struct net_conn *conn, struct net_frame *f)
{
    struct net_service *s = ctx;
    struct client *c = net_conn_user(conn);
    if (f->tag == 0 && s->config.on_message) {
        s->config.on_message(s->config.ctx, f);
    } else if (f->tag == 0) {
        net_frame_free(f);
    } else if (s->in_flight < s->config.in_flight && TAILQ_EMPTY(&s->waiting)) {
        take(c, f);
    } else {
        CHECK(!c->frame); /* it is paused */
        c->frame = f;
        net_conn_pause(conn);
        TAILQ_INSERT_TAIL(&s->waiting, c, waiting);
    }
}

static void on_closed(void *ctx, struct net_conn *conn, const char *cause)
{
    struct net_service *s = ctx;
    struct client *c = net_conn_user(conn);
    (void)cause;
    if (!c)
        return;
    if (c->frame) {
        TAILQ_REMOVE(&s->waiting, c, waiting);
        net_frame_free(c->frame);
        c->frame = NULL;
    }
    c->conn = NULL;
    drop_if_over(c);
}

/* ---- life ---- */

static void open_listener(void *arg)
{
    struct net_service *s = arg;
    const struct net_listener_config config = {
        .address = s->config.address,
        .conns_max = s->config.conns_max,
        .conn = {.tls = s->tls,
                 .frame_max = s->config.frame_max,
                 .queue_max = s->config.queue_max,
                 .calls = {s, on_open, on_frame, on_closed}}};
    s->open_result = net_listener_open(net_thread_loop(s->thread), &config, s->error);
}

int net_service_open(struct net_service **out, struct net_thread *thread,
                     const struct net_service_config *config, char error[256])
{
    struct net_service *s = calloc(1, sizeof *s);
    if (!s) {
        (void)snprintf(error, 256, "out of memory");
        return -ENOMEM;
    }
    s->config = *config;
    s->thread = thread;
    s->error = error;
    TAILQ_INIT(&s->waiting);
    int rv = net_tls_load(&s->tls, &config->tls, error);
    if (rv == 0) {
        net_thread_call(thread, open_listener, s);
        rv = s->open_result;
    }
    if (rv != 0) {
        net_service_free(s);
        return rv;
    }
    *out = s;
    return 0;
}

void net_service_free(struct net_service *s)
{
    if (!s)
        return;
    net_tls_free(s->tls);
    free(s);
}
