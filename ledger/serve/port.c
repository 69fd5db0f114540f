/* SPDX-License-Identifier: Apache-2.0
 * A request goes round:  frame -> (refused | with the loop -> answered) -> reply
 *                          '-- waits, its connection paused, while too many are with the loop
 */
#include "ledger/serve/port.h"

#include "ledger/serve/reply.h"
#include "proto/base/check.h"
#include "proto/base/log.h"
#include "proto/net/listener.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

enum {
    QUEUE_MAX = 32 * 1024 * 1024, /* bytes of replies that a client does not read */
    SAY_EVERY_MS = 1000,
};

struct serve_conn {
    TAILQ_ENTRY(serve_conn) waiting;
    struct serve_port *port;
    struct net_conn *net;    /* NULL: gone */
    struct net_frame *frame; /* waits for its turn; the connection is paused */
    unsigned in_flight;
};

struct serve_port {
    struct serve_config config;
    struct net_thread *thread;
    struct net_tls *tls;
    unsigned in_flight;
    TAILQ_HEAD(, serve_conn) waiting;
    uint64_t said_ms; /* a refusal was logged */
    uint64_t unsaid;  /* refusals since */
    int open_result;
    char *error;
};

/* ---- replies ---- */

static void send_reply(const struct serve_conn *c, struct net_frame *f, uint32_t tag)
{
    if (!f || !c->net) {
        net_frame_free(f);
        return;
    }
    f->tag = tag;
    if (net_conn_send(c->net, f) != 0) {
        net_frame_free(f);
        net_conn_close(c->net, "does not read its replies");
    }
}

static void say_refused(struct serve_port *p, const struct serve_conn *c,
                        const struct serve_refusal *refusal)
{
    uint64_t now_ms = uv_now(net_loop_uv(net_thread_loop(p->thread)));
    p->unsaid++;
    if (now_ms - p->said_ms < SAY_EVERY_MS)
        return;
    base_log(BASE_LOG_WARN, "request refused", BASE_S("cause", refusal->detail),
             BASE_S("peer", net_conn_peer(c->net)), BASE_I("count", p->unsaid), NULL);
    p->said_ms = now_ms;
    p->unsaid = 0;
}

static void refuse(const struct serve_conn *c, uint32_t tag, const struct serve_refusal *refusal)
{
    const struct proto_reply_head head = {.status = (uint8_t)refusal->status,
                                          .detail = proto_str_of(refusal->detail)};
    send_reply(c, serve_reply(&head), tag);
}

/* ---- requests ---- */

static void take(struct serve_conn *c, struct net_frame *f)
{
    struct serve_port *p = c->port;
    struct serve_refusal refusal;
    uint32_t tag = f->tag;
    struct serve_request *r = serve_request_open(f, &p->config.cluster, p->config.group, &refusal);
    if (!r) {
        net_frame_free(f);
        say_refused(p, c, &refusal);
        refuse(c, tag, &refusal);
        return;
    }
    r->from = c;
    c->in_flight++;
    p->in_flight++;
    if (p->config.on_request(p->config.ctx, r))
        return;
    c->in_flight--;
    p->in_flight--;
    serve_request_free(r);
    refusal =
        (struct serve_refusal){.status = PROTO_REPLY_unavailable, .detail = "the node is stopping"};
    refuse(c, tag, &refusal);
}

static void drop_if_over(struct serve_conn *c)
{
    if (!c->net && c->in_flight == 0)
        free(c);
}

/* There is room again: for who waits longest. */
static void take_waiting(struct serve_port *p)
{
    while (p->in_flight < p->config.in_flight && !TAILQ_EMPTY(&p->waiting)) {
        struct serve_conn *c = TAILQ_FIRST(&p->waiting);
        struct net_frame *f = c->frame;
        TAILQ_REMOVE(&p->waiting, c, waiting);
        c->frame = NULL;
        take(c, f);
        if (c->net)
            net_conn_resume(c->net); /* may bring its next frame at once, which then waits */
    }
}

static void on_answered(struct net_post *post)
{
    struct serve_request *r = (struct serve_request *)post;
    struct serve_conn *c = r->from;
    struct serve_port *p = c->port;
    send_reply(c, r->reply, r->frame->tag);
    serve_request_free(r);
    c->in_flight--;
    p->in_flight--;
    drop_if_over(c);
    take_waiting(p);
}

void serve_port_answer(struct serve_request *r, struct net_frame *reply)
{
    r->reply = reply;
    r->post.run = on_answered;
    net_thread_post(r->from->port->thread, &r->post);
}

/* ---- connections ---- */

static void on_open(void *ctx, struct net_conn *net)
{
    struct serve_conn *c = calloc(1, sizeof *c);
    net_conn_set_user(net, c);
    if (!c) {
        net_conn_close(net, "out of memory");
        return;
    }
    c->port = ctx;
    c->net = net;
}

static void on_frame(void *ctx, struct net_conn *net, struct net_frame *f)
{
    struct serve_port *p = ctx;
    struct serve_conn *c = net_conn_user(net);
    if (p->in_flight < p->config.in_flight && TAILQ_EMPTY(&p->waiting)) {
        take(c, f);
        return;
    }
    CHECK(!c->frame); /* it is paused */
    c->frame = f;
    net_conn_pause(net);
    TAILQ_INSERT_TAIL(&p->waiting, c, waiting);
}

static void on_closed(void *ctx, struct net_conn *net, const char *cause)
{
    struct serve_port *p = ctx;
    struct serve_conn *c = net_conn_user(net);
    (void)cause;
    if (!c)
        return;
    if (c->frame) {
        TAILQ_REMOVE(&p->waiting, c, waiting);
        net_frame_free(c->frame);
        c->frame = NULL;
    }
    c->net = NULL;
    drop_if_over(c);
}

/* ---- life ---- */

static void open_listener(void *arg)
{
    struct serve_port *p = arg;
    const struct net_listener_config config = {
        .address = p->config.address,
        .conns_max = SERVE_CONNS_MAX,
        .conn = {.tls = p->tls,
                 .frame_max = PROTO_FRAME_MAX,
                 .queue_max = QUEUE_MAX,
                 .calls = {p, on_open, on_frame, on_closed}}};
    p->open_result = net_listener_open(net_thread_loop(p->thread), &config, p->error);
}

int serve_port_open(struct serve_port **out, struct net_thread *thread,
                    const struct serve_config *config, char error[256])
{
    struct serve_port *p = calloc(1, sizeof *p);
    if (!p) {
        (void)snprintf(error, 256, "out of memory");
        return -ENOMEM;
    }
    p->config = *config;
    p->thread = thread;
    p->error = error;
    TAILQ_INIT(&p->waiting);
    int rv = net_tls_load(&p->tls, &config->tls, error);
    if (rv == 0) {
        net_thread_call(thread, open_listener, p);
        rv = p->open_result;
    }
    if (rv != 0) {
        serve_port_free(p);
        return rv;
    }
    *out = p;
    return 0;
}

void serve_port_free(struct serve_port *p)
{
    if (!p)
        return;
    net_tls_free(p->tls);
    free(p);
}
