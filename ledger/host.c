/* SPDX-License-Identifier: Apache-2.0
 * What the pump asks of its host: durable votes, the log, messages, and the state machine.
 */
#include "ledger/node_state.h"

#include "proto/base/log.h"

#include <errno.h>
#include <stdio.h>

static int save_term(void *ctx, uint64_t term, uint64_t voted_for)
{
    struct node *n = ctx;
    struct store_why why = {0};
    if (n->io.save_term(n->io.ctx, term, voted_for, &why) != 0)
        return node_fail(n, NODE_EXIT_FATAL, "term and vote", why.text);
    return 0;
}

static int append(void *ctx, const struct log_entry *entries, unsigned count)
{
    struct node *n = ctx;
    if (n->io.append(n->io.ctx, entries, count) != 0)
        return node_fail(n, NODE_EXIT_FATAL, "log", "its queue is full");
    return 0;
}

static int read_entries(void *ctx, uint64_t first, unsigned count, size_t max_bytes,
                        const struct log_entry **out)
{
    struct node *n = ctx;
    struct store_why why = {0};
    int rv = n->io.read_entries(n->io.ctx, first, count, max_bytes, out, &why);
    if (rv <= 0)
        return node_fail(n, NODE_EXIT_FATAL, "log", rv < 0 ? why.text : "an entry is missing");
    return rv;
}

static void send_message(void *ctx, uint64_t peer, const void *head, size_t head_len,
                         const void *body, size_t body_len)
{
    struct node *n = ctx;
    n->io.send(n->io.ctx, peer, head, head_len, body, body_len);
}

static int machine_failed(struct node *n, int rv, uint64_t index)
{
    char what[64];
    bool diverged = rv == -EUCLEAN;
    (void)snprintf(what, sizeof what, "%s at index %llu",
                   diverged ? "state differs from the leader's" : "state machine",
                   (unsigned long long)index);
    return node_fail(n, diverged ? NODE_EXIT_DIVERGED : NODE_EXIT_FATAL, what,
                     core_machine_error(n->machine));
}

static int apply(void *ctx, const struct log_entry *e)
{
    struct node *n = ctx;
    struct core_outcome outcome;
    struct core_position at;
    struct serve_request *r;
    bool command = e->kind == ENTRY_COMMAND;
    int rv = command ? core_machine_apply(n->machine, e->index, e->term, e->data, e->len, &outcome)
                     : core_machine_skip(n->machine, e->index, e->term, e->kind, e->data, e->len);
    if (rv != 0)
        return machine_failed(n, rv, e->index);
    if (command)
        n->counters.expired += outcome.expired;
    core_machine_position(n->machine, &at);
    rv = intake_applied(&n->intake, e->index, e->term, &at.chain, command ? &outcome : NULL);
    if (rv != 0)
        return node_fail(n, NODE_EXIT_FATAL, "answers", "out of memory");
    while ((r = reads_take(&n->reads, e->index, e->term)) != NULL)
        node_answer_query(n, r);
    return n->failed ? -EIO : 0;
}

static void on_role(void *ctx, enum pump_role role, uint64_t term, uint64_t leader)
{
    static const char *const names[] = {
        [PUMP_FOLLOWER] = "follower", [PUMP_CANDIDATE] = "candidate", [PUMP_LEADER] = "leader"};
    struct node *n = ctx;
    if (n->role == PUMP_LEADER && (role != PUMP_LEADER || term != n->term))
        n->role_changed = true; /* requests are told after the pump has returned */
    if (role == PUMP_LEADER && (n->role != PUMP_LEADER || term != n->term)) {
        n->leader_ms = n->now.mono_ms;
        n->room_ms = n->leader_ms + ROOM_HEARD_MS;
    }
    if (role != n->role || term != n->term || leader != n->leader)
        base_log(BASE_LOG_INFO, "role", BASE_S("role", names[role]), BASE_I("term", term),
                 BASE_I("leader", leader), NULL);
    if (role != n->role) /* from now on others are to be heard: their silence counts from here */
        n->redial_ms = n->now.mono_ms + NODE_REDIAL_MS;
    n->role = role;
    n->term = term;
    n->leader = leader;
}

static void on_seed_needed(void *ctx, uint64_t peer)
{
    struct node *n = ctx;
    base_log(BASE_LOG_WARN, "a node is behind the log and has to be seeded", BASE_I("node", peer),
             BASE_I("self", peer == n->config->id), NULL);
}

static void on_bad_message(void *ctx, uint64_t peer, const char *cause)
{
    (void)ctx;
    base_log_seldom(BASE_LOG_WARN, "peer message dropped", cause, BASE_I("peer", peer), NULL);
}

struct pump_io node_pump_io(struct node *n)
{
    return (struct pump_io){.ctx = n,
                            .save_term = save_term,
                            .append = append,
                            .read_entries = read_entries,
                            .send = send_message,
                            .apply = apply,
                            .on_role = on_role,
                            .on_seed_needed = on_seed_needed,
                            .on_bad_message = on_bad_message,
                            .notice = node_notice,
                            .on_notice = node_on_notice};
}
