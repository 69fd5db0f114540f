/* SPDX-License-Identifier: Apache-2.0
 * A leader that hangs or is cut off from its followers keeps its connections: nothing fails, and
 * the others have long chosen another one. After LINK_DOUBT_MS of silence another node is asked.
 */
#include "proto/link/client_state.h"

/* Since when the leader owes an answer; UINT64_MAX: it owes none. */
static uint64_t silent_since(const struct link_client *c)
{
    uint64_t since = UINT64_MAX;
    for (unsigned i = 0; i < c->in_flight; i++) {
        const struct link_attempt *a = &c->attempt[i];
        if (a->busy && (int)a->node == c->leader && a->sent_ms < since)
            since = a->sent_ms;
    }
    if (since != UINT64_MAX && c->heard_ms[c->leader] > since)
        since = c->heard_ms[c->leader];
    return since;
}

static void on_probed(void *arg, const struct link_answer *answer)
{
    struct link_client *c = arg;
    c->probing = false;
    if (answer->outcome != LINK_ANSWERED || !answer->status)
        return;
    int leader = link_index_of(c, answer->status->leader), old = c->leader;
    if (leader < 0 || old < 0 || leader == old ||
        !link_channel_connected(c->channel, (unsigned)leader))
        return;
    c->leader = leader;
    link_channel_cancel(c->channel, (unsigned)old); /* what was under way is tried at the new one */
}

/* A connected node other than the leader, in turn; -1: none. */
static int somebody_else(struct link_client *c)
{
    for (unsigned i = 0; i < c->n_nodes; i++) {
        unsigned node = (c->rotor + i) % c->n_nodes;
        if ((int)node != c->leader && link_channel_connected(c->channel, node)) {
            c->rotor = (node + 1) % c->n_nodes;
            return (int)node;
        }
    }
    return -1;
}

uint64_t link_doubt_at(const struct link_client *c)
{
    if (c->leader < 0 || c->commands_under_way == 0 || c->probing)
        return UINT64_MAX;
    uint64_t since = silent_since(c);
    if (since == UINT64_MAX)
        return UINT64_MAX;
    return since + LINK_DOUBT_MS > c->probe_ms ? since + LINK_DOUBT_MS : c->probe_ms;
}

void link_doubt(struct link_client *c, uint64_t now_ms)
{
    if (now_ms < link_doubt_at(c))
        return;
    c->probe_ms = now_ms + LINK_DOUBT_MS;
    int node = somebody_else(c);
    if (node < 0)
        return;
    struct link_item *item =
        link_item_new(LINK_STATUS, LINK_PROBE_TIMEOUT_MS, on_probed, c, NULL, 0);
    if (!item)
        return;
    item->node = (unsigned)node;
    c->probing = true;
    link_queue_push(&c->others, item);
    if (item->deadline_ms < c->earliest_ms)
        c->earliest_ms = item->deadline_ms;
}
