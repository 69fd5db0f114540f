/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/link/client_state.h"

#include <stdio.h>

/* ---- learning who leads ---- */

int link_index_of(const struct link_client *c, uint32_t id)
{
    for (unsigned i = 0; i < c->n_nodes; i++)
        if (id != 0 && c->nodes[i].id == id)
            return (int)i;
    return -1;
}

static void note(struct link_client *c, unsigned node, const char *what, struct proto_str detail)
{
    (void)snprintf(c->cause, sizeof c->cause, "node %u: %s%s%.*s", (unsigned)c->nodes[node].id,
                   what, detail.n ? ": " : "", (int)detail.n, detail.n ? detail.p : "");
}

/* The next attempt goes elsewhere: at once to a leader that was found meanwhile, else after a
 * pause. */
static uint64_t look_elsewhere(struct link_client *c, unsigned node, uint64_t now_ms)
{
    if (c->leader == (int)node)
        c->leader = -1;
    if (c->rotor == node)
        c->rotor = (node + 1) % c->n_nodes;
    return c->leader >= 0 ? now_ms : link_pause_until(c, now_ms);
}

/* A hint is followed at once, but never to the node that gave it, to one that cannot be reached, or
 * round in circles. Returns when the next attempt may start. */
static uint64_t follow(struct link_client *c, unsigned node, uint32_t leader_id, uint64_t now_ms)
{
    int leader = link_index_of(c, leader_id);
    if (leader < 0 || leader == (int)node || !link_channel_connected(c->channel, (unsigned)leader))
        return look_elsewhere(c, node, now_ms);
    c->leader = leader;
    if (c->hints++ < LINK_HINTS_MAX)
        return now_ms;
    return link_pause_until(c, now_ms);
}

static void leads(struct link_client *c, unsigned node)
{
    c->leader = (int)node;
    c->failures = 0;
    c->hints = 0;
    c->not_before_ms = 0;
}

/* ---- items back into their queues ---- */

static void requeue_from(struct link_client *c, struct link_attempt *a, unsigned from, bool tried,
                         uint64_t at_ms)
{
    for (unsigned i = a->n; i-- > from;) {
        struct link_item *item = a->items[i];
        if (!item)
            continue;
        item->tried = item->tried || tried;
        if (item->kind == LINK_COMMAND) {
            link_queue_push_front(item->urgent ? &c->urgent : &c->normal, item);
        } else if (item->kind == LINK_STATUS) {
            link_give_up(c, item); /* of this node or of none */
        } else {
            item->not_before_ms = at_ms;
            link_queue_push_front(&c->others, item);
        }
    }
    a->n = 0;
}

static void retry(struct link_client *c, struct link_attempt *a, bool commands, bool tried,
                  uint64_t at_ms)
{
    if (commands)
        c->not_before_ms = at_ms;
    requeue_from(c, a, 0, tried, at_ms);
}

/* ---- answers ---- */

struct reply {
    struct proto_reader r;
    struct proto_reply_head head;
    uint32_t n;
};

static bool complete_command(struct link_client *c, struct link_attempt *a, unsigned i,
                             struct reply *p)
{
    struct proto_reply_item item;
    struct proto_result result;
    if (!proto_reply_item_get(&p->r, &item))
        return false;
    /* Not proposed by this attempt: dropped at its deadline, or refused by the node with a reason.
     * Of an earlier attempt that says nothing. */
    if (item.index == 0 && (item.result.n == 0 || (a->items[i] && a->items[i]->tried))) {
        if (a->items[i])
            link_give_up(c, a->items[i]);
        a->items[i] = NULL;
        return true;
    }
    if (!proto_result_get(item.result.p, item.result.n, &result, &p->r.error))
        return false;
    struct link_item *own = a->items[i];
    a->items[i] = NULL;
    if (own)
        link_complete(own, &(struct link_answer){.outcome = LINK_ANSWERED,
                                                 .detail = "",
                                                 .index = item.index,
                                                 .ordinal = item.ordinal,
                                                 .chain = item.chain,
                                                 .result = &result,
                                                 .node = c->nodes[a->node].id});
    return true;
}

/* false: the rest of the reply makes no sense. */
static bool complete_commands(struct link_client *c, struct link_attempt *a, struct reply *p)
{
    if (p->n != a->n) {
        p->r.error = "another number of results than commands";
        return false;
    }
    for (unsigned i = 0; i < a->n; i++)
        if (!complete_command(c, a, i, p))
            return false;
    return proto_get_end(&p->r);
}

static bool complete_query(struct link_client *c, struct link_attempt *a, struct reply *p)
{
    struct proto_str bytes;
    struct proto_answer answer;
    if (p->n != 1 || !proto_get_bin(&p->r, &bytes, PROTO_ANSWER_MAX) || !proto_get_end(&p->r) ||
        !proto_answer_get(bytes.p, bytes.n, &answer, &p->r.error))
        return false;
    struct link_item *own = a->items[0];
    a->items[0] = NULL;
    link_complete(own, &(struct link_answer){.outcome = LINK_ANSWERED,
                                             .detail = "",
                                             .index = p->head.applied,
                                             .answer = &answer,
                                             .node = c->nodes[a->node].id});
    return true;
}

static bool complete_status(struct link_client *c, struct link_attempt *a, struct reply *p)
{
    struct proto_node_status status;
    if (p->n != 1 || !proto_node_status_get(&p->r, &status) || !proto_get_end(&p->r))
        return false;
    struct link_item *own = a->items[0];
    a->items[0] = NULL;
    link_complete(own, &(struct link_answer){.outcome = LINK_ANSWERED,
                                             .detail = "",
                                             .index = p->head.applied,
                                             .status = &status,
                                             .node = c->nodes[a->node].id});
    return true;
}

/* The node refused the frame itself: the same bytes fare no better elsewhere. Of an earlier attempt
 * that says nothing. */
static void refuse(struct link_client *c, struct link_attempt *a)
{
    for (unsigned i = 0; i < a->n; i++)
        if (a->items[i] && a->items[i]->kind == LINK_COMMAND && a->items[i]->tried)
            link_give_up(c, a->items[i]);
        else if (a->items[i])
            link_complete(a->items[i], &(struct link_answer){.outcome = LINK_REFUSED,
                                                             .detail = c->cause,
                                                             .node = c->nodes[a->node].id});
    a->n = 0;
}

static void expire(struct link_client *c, struct link_attempt *a)
{
    for (unsigned i = 0; i < a->n; i++)
        if (a->items[i])
            link_give_up(c, a->items[i]);
    a->n = 0;
}

static void on_done(struct link_client *c, struct link_attempt *a, struct reply *p,
                    const struct link_item *first, uint64_t now_ms)
{
    bool ok, commands = !first || first->kind == LINK_COMMAND;
    if (commands)
        ok = complete_commands(c, a, p);
    else if (first->kind == LINK_QUERY)
        ok = complete_query(c, a, p);
    else
        ok = complete_status(c, a, p);
    if (ok) {
        if (commands)
            leads(c, a->node);
        else if (c->leader < 0)
            c->leader = link_index_of(c, p->head.leader);
        return;
    }
    note(c, a->node, "reply cannot be read", proto_str_of(p->r.error ? p->r.error : ""));
    retry(c, a, commands, true, look_elsewhere(c, a->node, now_ms));
}

/* The node says when, or it has not even the memory to say so. */
static uint64_t busy_until(struct link_client *c, uint32_t retry_ms, uint64_t now_ms)
{
    if (retry_ms == 0)
        return link_pause_until(c, now_ms);
    return now_ms + (retry_ms > LINK_BACKOFF_MAX_MS ? LINK_BACKOFF_MAX_MS : retry_ms);
}

static void on_status(struct link_client *c, struct link_attempt *a, struct reply *p,
                      const struct link_item *first, uint64_t now_ms)
{
    bool commands = !first || first->kind == LINK_COMMAND;
    note(c, a->node, proto_reply_text(p->head.status), p->head.detail);
    switch (p->head.status) {
    case PROTO_REPLY_not_leader:
        retry(c, a, commands, false, follow(c, a->node, p->head.leader, now_ms));
        break;
    case PROTO_REPLY_busy:
        retry(c, a, commands, false, busy_until(c, p->head.retry_ms, now_ms));
        break;
    case PROTO_REPLY_unknown:
        retry(c, a, commands, true, follow(c, a->node, p->head.leader, now_ms));
        break;
    case PROTO_REPLY_unavailable:
        retry(c, a, commands, false, look_elsewhere(c, a->node, now_ms));
        break;
    case PROTO_REPLY_expired:
        expire(c, a);
        break;
    default:
        refuse(c, a);
    }
}

/* A command attempt whose first items all ended early still answers as a command attempt. */
static const struct link_item *any_item(const struct link_attempt *a)
{
    for (unsigned i = 0; i < a->n; i++)
        if (a->items[i])
            return a->items[i];
    return NULL;
}

void link_arrived(struct link_client *c, struct link_arrival *arrival, uint64_t now_ms)
{
    struct link_attempt *a = &c->attempt[arrival->slot];
    bool commands = arrival->slot < c->in_flight;
    const struct link_item *first = any_item(a);
    if (commands)
        c->commands_under_way--;
    if (arrival->fate == LINK_FATE_REPLY)
        c->heard_ms[a->node] = now_ms;
    else if (arrival->timed_out)
        link_silent(c, a->node, now_ms);
    if (!first && !commands) { /* a query that timed out: nobody waits */
        net_frame_free(arrival->reply);
        a->busy = false;
        return;
    }
    if (arrival->fate == LINK_FATE_REPLY) {
        struct reply p = {.r = proto_reader_over(arrival->reply->bytes, arrival->reply->len)};
        if (!proto_reply_open(&p.r, &p.head, &p.n) || p.head.version != PROTO_FRAME_VERSION) {
            note(c, a->node, "reply cannot be read", proto_str_of(p.r.error ? p.r.error : ""));
            retry(c, a, commands, true, look_elsewhere(c, a->node, now_ms));
        } else if (p.head.status == PROTO_REPLY_done) {
            on_done(c, a, &p, first, now_ms);
        } else {
            on_status(c, a, &p, first, now_ms);
        }
        net_frame_free(arrival->reply);
    } else {
        note(c, a->node, arrival->cause, (struct proto_str){NULL, 0});
        retry(c, a, commands, arrival->fate == LINK_FATE_LOST, look_elsewhere(c, a->node, now_ms));
    }
    a->n = 0;
    a->busy = false;
}
