/* SPDX-License-Identifier: Apache-2.0
 * The loop thread of the process. A turn: what sockets bring goes to the deciding part as it comes;
 * then what the other threads have posted, then timers, then what may be proposed. What all that
 * has sent leaves in the next turn, before it waits, in as few writes as it fits.
 */
#include "ledger/node_host.h"

static void on_event(struct node_host *h, const struct inbox_event *e)
{
    struct node *n = &h->node;
    const struct pump_now now = node_clock_now();
    switch (e->kind) {
    case INBOX_PERSISTED:
        node_on_persisted(n, now, e->a, e->b);
        break;
    case INBOX_CHECKPOINT:
        node_on_checkpoint(n, now, e->a);
        if (h->archiver)
            archive_thread_applied(h->archiver, e->a);
        break;
    case INBOX_WANTED:
        node_on_wanted(n, now, e->a);
        break;
    case INBOX_STOP:
        node_on_stop(n, now);
        break;
    }
}

/* At the end only this still matters. */
static void discard(struct node_host *h, const struct inbox_event *e)
{
    if (e->kind == INBOX_CHECKPOINT)
        node_on_checkpoint(&h->node, node_clock_now(), e->a);
}

static void look_for_fatal(struct node_host *h)
{
    const char *why = inbox_why(h->inbox);
    if (why)
        (void)node_fail(&h->node, NODE_EXIT_FATAL, "disk", why);
}

void node_host_loop(struct node_host *h)
{
    struct node *n = &h->node;
    while (!n->failed && !node_may_end(n)) {
        size_t count, i = 0;
        net_thread_turn(h->net, node_wait_ms(n));
        const struct inbox_event *events = inbox_take(h->inbox, &count);
        while (i < count && !n->failed)
            on_event(h, &events[i++]);
        while (i < count)
            discard(h, &events[i++]);
        look_for_fatal(h);
        if (!n->failed)
            node_timers(n, node_clock_now());
        node_propose(n);
        if (!n->failed)
            node_metrics_publish(h->metrics, n, node_clock_now().mono_ms);
    }
    h->ended = true;
}

/* ---- the end ---- */

static void wait_for_checkpoint(struct node_host *h)
{
    while (h->node.checkpoint.writing && !h->node.failed) {
        size_t count;
        net_thread_turn(h->net, NODE_WAIT_MAX_MS);
        const struct inbox_event *events = inbox_take(h->inbox, &count);
        for (size_t i = 0; i < count; i++)
            discard(h, &events[i]);
        look_for_fatal(h);
    }
}

void node_host_finish(struct node_host *h)
{
    node_drop_requests(&h->node, PROTO_REPLY_unavailable);
    if (!h->node.failed) {
        wait_for_checkpoint(h);
        if (!h->node.failed)
            node_start_checkpoint(&h->node);
        wait_for_checkpoint(h);
    }
    inbox_close(h->inbox);
    size_t count;
    const struct inbox_event *events = inbox_take(h->inbox, &count);
    for (size_t i = 0; i < count; i++)
        discard(h, &events[i]);
}
