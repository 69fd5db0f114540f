/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/check.h"
#include "proto/link/client_state.h"

#include <stdlib.h>

enum { REQUEST_HEAD_MAX = 64, BIN_HEAD_MAX = 5 };

static int free_slot(const struct link_client *c, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++)
        if (!c->attempt[i].busy)
            return (int)i;
    return -1;
}

/* The next connected node after the one asked last; -1: none. */
static int any_node(struct link_client *c)
{
    for (unsigned i = 0; i < c->n_nodes; i++) {
        unsigned node = (c->rotor + i) % c->n_nodes;
        if (link_channel_connected(c->channel, node)) {
            c->rotor = (node + 1) % c->n_nodes;
            return (int)node;
        }
    }
    return -1;
}

static int leading_node(struct link_client *c)
{
    if (c->leader >= 0 && link_channel_connected(c->channel, (unsigned)c->leader))
        return c->leader;
    c->leader = -1;
    return any_node(c);
}

/* One frame of a's items; NULL: no memory. */
static struct net_frame *request(const struct link_client *c, const struct link_attempt *a,
                                 enum proto_request_kind kind, bool stale)
{
    size_t cap = REQUEST_HEAD_MAX;
    for (unsigned i = 0; i < a->n; i++)
        cap += BIN_HEAD_MAX + a->items[i]->n;
    struct net_frame *f = net_frame_new(cap);
    if (!f)
        return NULL;
    struct proto_writer w = proto_writer_over(f->bytes, cap);
    const struct proto_request_head head = {.version = PROTO_FRAME_VERSION,
                                            .cluster = c->cluster,
                                            .group = c->group,
                                            .kind = (uint8_t)kind,
                                            .stale = stale};
    proto_request_begin(&w, &head, kind == PROTO_REQUEST_STATUS ? 0 : a->n);
    for (unsigned i = 0; i < a->n && kind != PROTO_REQUEST_STATUS; i++)
        proto_put_bin(&w, a->items[i]->bytes, a->items[i]->n);
    CHECK(!w.full);
    f->len = (uint32_t)w.n;
    return f;
}

/* false: no memory; the attempt is as before. */
static bool start(struct link_client *c, int slot, unsigned node, enum proto_request_kind kind,
                  bool stale, uint64_t now_ms)
{
    struct link_attempt *a = &c->attempt[slot];
    struct net_frame *f = request(c, a, kind, stale);
    if (!f)
        return false;
    a->busy = true;
    a->node = node;
    a->sent_ms = now_ms;
    link_channel_send(c->channel, (unsigned)slot, node, f, c->request_timeout_ms);
    return true;
}

/* Moves what fits one request out of the queue. */
static void fill(struct link_attempt *a, struct link_queue *q, size_t *bytes)
{
    while (q->first && a->n < PROTO_FRAME_COMMANDS) {
        struct link_item *item = q->first;
        if (a->n > 0 && *bytes + item->n + BIN_HEAD_MAX > LINK_REQUEST_BYTES)
            return;
        link_queue_remove(q, item);
        *bytes += item->n + BIN_HEAD_MAX;
        a->items[a->n++] = item;
    }
}

static void unfill(struct link_client *c, struct link_attempt *a)
{
    while (a->n > 0) {
        struct link_item *item = a->items[--a->n];
        link_queue_push_front(item->urgent ? &c->urgent : &c->normal, item);
    }
}

/* While nobody is known to lead, one attempt at a time looks for the leader. */
static bool may_send(const struct link_client *c, uint64_t now_ms)
{
    return (c->urgent.first || c->normal.first) && now_ms >= c->not_before_ms &&
           (c->leader >= 0 || c->commands_under_way == 0);
}

static void send_commands(struct link_client *c, uint64_t now_ms)
{
    while (may_send(c, now_ms)) {
        int slot = free_slot(c, 0, c->in_flight);
        int node = slot < 0 ? -1 : leading_node(c);
        if (node < 0 || !may_send(c, now_ms))
            return;
        struct link_attempt *a = &c->attempt[slot];
        size_t bytes = 0;
        a->n = 0;
        fill(a, &c->urgent, &bytes);
        fill(a, &c->normal, &bytes);
        if (!start(c, slot, (unsigned)node, PROTO_REQUEST_COMMANDS, false, now_ms)) {
            unfill(c, a);
            c->not_before_ms = now_ms + LINK_BACKOFF_MIN_MS;
            return;
        }
        c->commands_under_way++;
    }
}

static int node_for(struct link_client *c, const struct link_item *item)
{
    if (item->kind == LINK_STATUS)
        return link_channel_connected(c->channel, item->node) ? (int)item->node : -1;
    return item->stale ? any_node(c) : leading_node(c);
}

static void send_others(struct link_client *c, uint64_t now_ms)
{
    struct link_item *next;
    for (struct link_item *item = c->others.first; item; item = next) {
        next = item->next;
        int slot = free_slot(c, c->in_flight, c->in_flight + LINK_QUERY_SLOTS);
        if (slot < 0)
            return;
        int node = now_ms < item->not_before_ms ? -1 : node_for(c, item);
        if (node < 0)
            continue;
        struct link_attempt *a = &c->attempt[slot];
        a->items[0] = item;
        a->n = 1;
        bool status = item->kind == LINK_STATUS;
        link_queue_remove(&c->others, item);
        if (!start(c, slot, (unsigned)node, status ? PROTO_REQUEST_STATUS : PROTO_REQUEST_QUERY,
                   item->stale, now_ms)) {
            item->not_before_ms = now_ms + LINK_BACKOFF_MIN_MS;
            link_queue_push(&c->others, item);
            return;
        }
    }
}

void link_silent(struct link_client *c, unsigned node, uint64_t now_ms)
{
    if (now_ms - c->heard_ms[node] < LINK_REDIAL_MS)
        return;
    c->heard_ms[node] = now_ms;
    link_channel_redial(c->channel, node);
}

uint64_t link_dispatch(struct link_client *c, uint64_t now_ms)
{
    uint64_t at = UINT64_MAX;
    send_commands(c, now_ms);
    send_others(c, now_ms);
    if ((c->urgent.first || c->normal.first) && c->not_before_ms > now_ms)
        at = c->not_before_ms;
    for (const struct link_item *item = c->others.first; item; item = item->next)
        if (item->not_before_ms > now_ms && item->not_before_ms < at)
            at = item->not_before_ms;
    return at;
}
