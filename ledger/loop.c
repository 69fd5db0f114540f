/* SPDX-License-Identifier: Apache-2.0
 * The loop: takes events, hands each to its owner, proposes what waits, and keeps the timers.
 */
#include "ledger/node_state.h"

#include "proto/base/check.h"
#include "proto/base/log.h"

#include <errno.h>
#include <stdio.h>

int node_fail(struct node *n, enum node_exit code, const char *what, const char *why)
{
    if (!n->failed) {
        n->failed = true;
        n->exit = code;
        base_log(BASE_LOG_ERROR, "the node ends", BASE_S("what", what), BASE_S("cause", why),
                 BASE_I("exit", code), NULL);
    }
    return -EIO;
}

void node_pump_result(struct node *n, int rv)
{
    if (rv == -ERESTART)
        (void)node_fail(n, NODE_EXIT_FATAL, "consensus",
                        "a membership change was taken back: the node has to start again");
    else if (rv != 0)
        (void)node_fail(n, NODE_EXIT_FATAL, "consensus", pump_error(n->pump));
    if (n->role_changed || n->intake.lost) {
        n->role_changed = false;
        node_drop_requests(n, PROTO_REPLY_not_leader);
    }
}

/* ---- checkpoints ---- */

static void start_checkpoint(struct node *n)
{
    int rv = checkpoint_start(&n->checkpoint, n->now.mono_ms, pump_applied_conf(n->pump));
    if (rv != 0)
        (void)node_fail(n, NODE_EXIT_FATAL, "checkpoint", core_machine_error(n->machine));
}

static void compare_drift(struct node *n)
{
    int64_t found;
    struct proto_uuid org;
    char text[PROTO_UUID_TEXT];
    if (drift_compare(&n->drift, n->machine, &found, &org) != 0) {
        (void)node_fail(n, NODE_EXIT_FATAL, "drift", core_machine_error(n->machine));
        return;
    }
    if (found != 0) {
        proto_uuid_print(&org, text);
        base_log(BASE_LOG_ERROR, "drift: balances and transactions differ", BASE_S("org", text),
                 BASE_I("nanos", found), NULL);
    }
}

static void on_checkpoint(struct node *n, uint64_t index)
{
    if (checkpoint_done(&n->checkpoint, index) != 0) {
        (void)node_fail(n, NODE_EXIT_FATAL, "checkpoint", "the store cannot be read");
        return;
    }
    if (!n->stopping)
        node_pump_result(n, pump_marker(n->pump, n->now, index));
}

/* ---- events ---- */

static void on_stop(struct node *n)
{
    if (n->stopping)
        return;
    base_log(BASE_LOG_INFO, "stopping", NULL);
    n->stopping = true;
    n->stop_by_ms = n->now.mono_ms + NODE_STOP_MS;
    if (n->role == PUMP_LEADER && n->config->cluster.n_nodes > 1) {
        int rv = pump_transfer(n->pump, n->now, 0);
        base_log(BASE_LOG_INFO, "leadership is handed over", BASE_I("result", rv), NULL);
    }
}

/* A heartbeat, if the node is still there, comes first; then followers ask at different moments. */
static unsigned suspect_ms(const struct node *n)
{
    uint32_t random;
    link_random(&random, sizeof random);
    return n->config->heartbeat_ms * 5 / 4 + random % (n->config->election_timeout_ms / 4 + 1);
}

static void on_event(struct node *n, const struct inbox_event *e)
{
    n->now = node_clock_now();
    switch (e->kind) {
    case INBOX_PEER:
        node_pump_result(n, pump_receive(n->pump, n->now, nng_msg_body(e->p), nng_msg_len(e->p)));
        nng_msg_free(e->p);
        break;
    case INBOX_GONE:
        pump_suspect(n->pump, n->now, e->a, suspect_ms(n));
        break;
    case INBOX_PERSISTED:
        node_pump_result(n, pump_persisted(n->pump, n->now, e->a, e->b));
        break;
    case INBOX_REQUEST:
        node_on_request(n, e->p);
        break;
    case INBOX_CHECKPOINT:
        on_checkpoint(n, e->a);
        break;
    case INBOX_STOP:
        on_stop(n);
        break;
    }
}

/* What is in hand at the end still belongs to somebody. */
static void discard(struct node *n, const struct inbox_event *e)
{
    if (e->kind == INBOX_PEER)
        nng_msg_free(e->p);
    else if (e->kind == INBOX_REQUEST)
        node_reply(n, e->p, PROTO_REPLY_unavailable, "the node is stopping");
    else if (e->kind == INBOX_CHECKPOINT)
        on_checkpoint(n, e->a);
}

/* A peer that is silent although TCP has not noticed anything: after a partition it would take
 * minutes. */
static void redial_silent_peers(struct node *n)
{
    struct pump_peer peers[PUMP_SERVERS_MAX];
    unsigned k = pump_peers(n->pump, peers);
    n->redial_ms = n->now.mono_ms + NODE_REDIAL_MS;
    for (unsigned i = 0; i < k; i++)
        if (n->now.mono_ms - peers[i].heard_ms > NODE_SILENT_MS)
            peers_redial(n->peers, peers[i].id);
}

static void timers(struct node *n)
{
    n->now = node_clock_now();
    if (n->now.mono_ms >= pump_next_timeout(n->pump))
        node_pump_result(n, pump_tick(n->pump, n->now));
    if (!n->failed && n->now.mono_ms >= n->clock_ms)
        node_clock_guard(n);
    if (!n->failed && n->now.mono_ms >= n->redial_ms)
        redial_silent_peers(n);
    if (!n->failed && checkpoint_due(&n->checkpoint, n->now.mono_ms)) {
        compare_drift(n);
        start_checkpoint(n);
    }
}

static uint64_t wait_ms(const struct node *n)
{
    uint64_t at = n->now.mono_ms + NODE_WAIT_MAX_MS;
    const uint64_t due[] = {pump_next_timeout(n->pump), checkpoint_due_ms(&n->checkpoint),
                            node_tick_ms(n), n->clock_ms, n->stopping ? n->stop_by_ms : UINT64_MAX};
    for (unsigned i = 0; i < sizeof due / sizeof due[0]; i++)
        if (due[i] < at)
            at = due[i];
    return at > n->now.mono_ms ? at - n->now.mono_ms : 0;
}

/* Stopping waits for leadership to be somewhere else, or, alone, for what is under way. */
static bool may_end(const struct node *n)
{
    if (!n->stopping)
        return false;
    if (n->now.mono_ms >= n->stop_by_ms)
        return true;
    if (n->config->cluster.n_nodes > 1)
        return n->role != PUMP_LEADER;
    return n->intake.flights == 0 && intake_waiting(&n->intake) == 0;
}

void node_loop(struct node *n)
{
    n->now = node_clock_now();
    n->redial_ms = n->now.mono_ms + NODE_REDIAL_MS;
    while (!n->failed && !may_end(n)) {
        size_t count, i = 0;
        const struct inbox_event *events = inbox_take(n->inbox, wait_ms(n), &count);
        while (i < count && !n->failed)
            on_event(n, &events[i++]);
        while (i < count)
            discard(n, &events[i++]);
        const char *why = inbox_why(n->inbox);
        if (why)
            (void)node_fail(n, NODE_EXIT_FATAL, "disk", why);
        if (!n->failed)
            timers(n);
        node_propose(n);
    }
}

/* ---- the end ---- */

static void wait_for_checkpoint(struct node *n)
{
    while (n->checkpoint.writing && !n->failed) {
        size_t count;
        const struct inbox_event *events = inbox_take(n->inbox, NODE_WAIT_MAX_MS, &count);
        for (size_t i = 0; i < count; i++)
            discard(n, &events[i]);
        const char *why = inbox_why(n->inbox);
        if (why)
            (void)node_fail(n, NODE_EXIT_FATAL, "disk", why);
    }
}

void node_finish(struct node *n)
{
    node_drop_requests(n, PROTO_REPLY_unavailable);
    if (!n->failed) {
        wait_for_checkpoint(n);
        n->now = node_clock_now();
        if (!n->failed)
            start_checkpoint(n);
        wait_for_checkpoint(n);
    }
    inbox_close(n->inbox);
    size_t count;
    const struct inbox_event *events = inbox_take(n->inbox, 0, &count);
    for (size_t i = 0; i < count; i++)
        discard(n, &events[i]);
}
