/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/link/channel.h"

#include "proto/base/check.h"
#include "proto/net/dialer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SLOT_BITS = 8, /* a tag is a slot's number below a count of its requests */
    QUEUE_MAX = 16 * 1024 * 1024,
};

struct slot {
    struct slot *next; /* in the list of arrivals */
    bool busy, sent;
    unsigned node;
    uint32_t count;          /* tells a late reply from the one that is due */
    struct net_frame *frame; /* waits for a connection */
    struct net_conn *conn;   /* that it went out on */
    uint64_t until_ms;
    enum link_fate fate;
    struct net_frame *reply;
    const char *cause;
    bool timed_out;
};

struct node_link {
    struct link_channel *channel;
    struct net_dialer *dialer;
};

struct link_channel {
    struct net_loop *loop;
    struct net_tls *tls;
    uv_loop_t *uv;
    uv_idle_t soon;
    uv_timer_t timer;    /* of the owner */
    uv_timer_t timeout;  /* of the slot that is due first */
    uint64_t timeout_ms; /* when; 0: not set */
    void (*work)(void *ctx);
    void *ctx;
    struct node_link node[LINK_NODES_MAX];
    unsigned n_nodes;
    struct slot slot[LINK_SLOTS_MAX];
    struct slot *first, **end; /* arrivals */
    unsigned handles;          /* ours, and one for the net loop */
    bool closed;
};

/* ---- the owner's turn ---- */

static void on_soon(uv_idle_t *idle)
{
    struct link_channel *c = idle->data;
    (void)uv_idle_stop(idle);
    c->work(c->ctx);
}

void link_channel_wake(struct link_channel *c)
{
    if (!c->closed)
        (void)uv_idle_start(&c->soon, on_soon);
}

static void on_timer(uv_timer_t *timer)
{
    struct link_channel *c = timer->data;
    c->work(c->ctx);
}

void link_channel_wake_in(struct link_channel *c, int ms)
{
    if (c->closed)
        return;
    if (ms < 0)
        (void)uv_timer_stop(&c->timer);
    else
        (void)uv_timer_start(&c->timer, on_timer, (uint64_t)ms, 0);
}

/* ---- arrivals ---- */

static void arrive(struct link_channel *c, struct slot *s, enum link_fate fate,
                   struct net_frame *reply, const char *cause)
{
    net_frame_free(s->frame);
    s->frame = NULL;
    s->busy = false;
    s->fate = fate;
    s->reply = reply;
    s->cause = cause;
    s->next = NULL;
    *c->end = s;
    c->end = &s->next;
    link_channel_wake(c);
}

static void lose(struct link_channel *c, struct slot *s, const char *cause)
{
    s->timed_out = false;
    arrive(c, s, s->sent ? LINK_FATE_LOST : LINK_FATE_NOT_SENT, NULL, cause);
}

bool link_channel_take(struct link_channel *c, struct link_arrival *out)
{
    struct slot *s = c->first;
    if (!s)
        return false;
    c->first = s->next;
    if (!c->first)
        c->end = &c->first;
    *out = (struct link_arrival){.slot = (unsigned)(s - c->slot),
                                 .node = s->node,
                                 .fate = s->fate,
                                 .reply = s->reply,
                                 .cause = s->cause,
                                 .timed_out = s->timed_out};
    s->reply = NULL;
    return true;
}

/* ---- deadlines ---- */

static void on_timeout(uv_timer_t *timer);

static void set_timeout(struct link_channel *c, uint64_t at_ms)
{
    uint64_t now_ms = uv_now(c->uv);
    if (c->timeout_ms != 0 && c->timeout_ms <= at_ms)
        return;
    c->timeout_ms = at_ms;
    (void)uv_timer_start(&c->timeout, on_timeout, at_ms > now_ms ? at_ms - now_ms : 0, 0);
}

static void on_timeout(uv_timer_t *timer)
{
    struct link_channel *c = timer->data;
    uint64_t now_ms = uv_now(c->uv), next_ms = UINT64_MAX;
    c->timeout_ms = 0;
    for (struct slot *s = c->slot; s < c->slot + LINK_SLOTS_MAX; s++) {
        if (s->busy && s->until_ms <= now_ms) {
            lose(c, s, "no answer in time");
            s->timed_out = true;
        } else if (s->busy && s->until_ms < next_ms) {
            next_ms = s->until_ms;
        }
    }
    if (next_ms != UINT64_MAX)
        set_timeout(c, next_ms);
}

/* ---- connections ---- */

static unsigned index_of(const struct node_link *n)
{
    return (unsigned)(n - n->channel->node);
}

static void send_now(struct link_channel *c, struct slot *s, struct net_conn *conn)
{
    struct net_frame *f = s->frame;
    s->frame = NULL;
    int rv = net_conn_send(conn, f);
    s->sent = rv == 0;
    s->conn = conn;
    if (rv != 0) {
        net_frame_free(f);
        lose(c, s, rv == -ENOBUFS ? "the node does not read" : "not connected");
    }
}

static void on_open(void *ctx, struct net_conn *conn)
{
    struct node_link *n = ctx;
    struct link_channel *c = n->channel;
    for (struct slot *s = c->slot; s < c->slot + LINK_SLOTS_MAX; s++)
        if (s->busy && s->frame && s->node == index_of(n))
            send_now(c, s, conn);
    link_channel_wake(c);
}

static void on_frame(void *ctx, struct net_conn *conn, struct net_frame *f)
{
    struct link_channel *c = ((struct node_link *)ctx)->channel;
    unsigned slot = f->tag & ((1U << SLOT_BITS) - 1);
    struct slot *s = &c->slot[slot < LINK_SLOTS_MAX ? slot : 0];
    if (slot < LINK_SLOTS_MAX && s->busy && s->sent && s->conn == conn &&
        f->tag >> SLOT_BITS == s->count)
        arrive(c, s, LINK_FATE_REPLY, f, "");
    else
        net_frame_free(f); /* late: nobody waits for it any more */
}

static void cancel(struct link_channel *c, unsigned node, const char *cause)
{
    for (struct slot *s = c->slot; s < c->slot + LINK_SLOTS_MAX; s++)
        if (s->busy && s->node == node && !s->frame)
            lose(c, s, cause);
}

static void on_closed(void *ctx, struct net_conn *conn, const char *cause)
{
    struct link_channel *c = ((struct node_link *)ctx)->channel;
    (void)cause; /* net_dialer_cause has it */
    for (struct slot *s = c->slot; s < c->slot + LINK_SLOTS_MAX; s++)
        if (s->busy && s->sent && s->conn == conn)
            lose(c, s, "the connection was lost");
    link_channel_wake(c);
}

void link_channel_cancel(struct link_channel *c, unsigned node)
{
    cancel(c, node, "given up: another node leads");
}

bool link_channel_connected(const struct link_channel *c, unsigned node)
{
    return net_dialer_conn(c->node[node].dialer) != NULL;
}

const char *link_channel_cause(const struct link_channel *c, unsigned node)
{
    return net_dialer_cause(c->node[node].dialer);
}

void link_channel_redial(struct link_channel *c, unsigned node)
{
    net_dialer_redial(c->node[node].dialer);
    cancel(c, node, "no sign of life");
}

void link_channel_send(struct link_channel *c, unsigned slot, unsigned node, struct net_frame *f,
                       unsigned timeout_ms)
{
    struct slot *s = &c->slot[slot];
    struct net_conn *conn = net_dialer_conn(c->node[node].dialer);
    CHECK(!s->busy && node < c->n_nodes);
    s->busy = true;
    s->sent = s->timed_out = false;
    s->node = node;
    s->count = s->count == UINT32_MAX >> SLOT_BITS ? 1 : s->count + 1; /* a tag is never 0 */
    s->frame = f;
    f->tag = s->count << SLOT_BITS | slot;
    s->until_ms = uv_now(c->uv) + timeout_ms;
    set_timeout(c, s->until_ms);
    if (conn)
        send_now(c, s, conn);
}

/* ---- life ---- */

static void drop(struct link_channel *c)
{
    if (--c->handles > 0)
        return;
    for (struct slot *s = c->slot; s < c->slot + LINK_SLOTS_MAX; s++) {
        net_frame_free(s->frame);
        net_frame_free(s->reply);
    }
    net_tls_free(c->tls);
    free(c);
}

static void on_handle_closed(uv_handle_t *handle)
{
    drop(handle->data);
}

static void on_loop_closed(void *ctx)
{
    drop(ctx);
}

static int open_node(struct link_channel *c, const struct link_node *node, char error[256])
{
    char cause[256];
    struct node_link *n = &c->node[c->n_nodes];
    *n = (struct node_link){.channel = c};
    const struct net_dialer_config config = {.conn = {.tls = c->tls,
                                                      .frame_max = PROTO_FRAME_REPLY_MAX,
                                                      .queue_max = QUEUE_MAX,
                                                      .calls = {n, on_open, on_frame, on_closed}},
                                             .address = node->address,
                                             .server_name = node->server_name};
    int rv = net_dialer_new(&n->dialer, c->loop, &config, cause);
    if (rv != 0)
        (void)snprintf(error, 256, "node %u: %.200s", (unsigned)node->id, cause);
    else
        c->n_nodes++;
    return rv;
}

static void open_handles(struct link_channel *c)
{
    (void)uv_idle_init(c->uv, &c->soon); /* these cannot fail */
    (void)uv_timer_init(c->uv, &c->timer);
    (void)uv_timer_init(c->uv, &c->timeout);
    c->soon.data = c->timer.data = c->timeout.data = c;
    c->handles = 4;
}

int link_channel_new(struct link_channel **out, const struct link_config *config, uv_loop_t *uv,
                     void (*work)(void *ctx), void *ctx, char error[256])
{
    const struct net_tls_files files = {.ca_file = config->ca_file, .cert_file = config->cert_file};
    struct link_channel *c = calloc(1, sizeof *c);
    int rv = c && net_loop_new(&c->loop, uv) == 0 ? 0 : -ENOMEM;
    if (rv != 0) {
        (void)snprintf(error, 256, "out of memory");
        free(c);
        return rv;
    }
    c->uv = uv;
    c->work = work;
    c->ctx = ctx;
    c->end = &c->first;
    open_handles(c);
    rv = net_tls_load(&c->tls, &files, error);
    for (unsigned i = 0; rv == 0 && i < config->n_nodes; i++)
        rv = open_node(c, &config->nodes[i], error);
    if (rv != 0)
        link_channel_close(c);
    else
        *out = c;
    return rv;
}

void link_channel_close(struct link_channel *c)
{
    c->closed = true;
    uv_close((uv_handle_t *)&c->soon, on_handle_closed);
    uv_close((uv_handle_t *)&c->timer, on_handle_closed);
    uv_close((uv_handle_t *)&c->timeout, on_handle_closed);
    net_loop_close(c->loop, on_loop_closed, c);
}
