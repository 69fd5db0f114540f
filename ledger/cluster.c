/* SPDX-License-Identifier: Apache-2.0
 * What a leader refuses to propose, with its reason, and what it carries out once a command about
 * the cluster is applied. The machine decides who may (core/cluster.c); here is decided whether it
 * can be done now, which differs between nodes and moments, so it never becomes a result in the
 * log.
 */
#include "ledger/node_state.h"

#include "proto/base/log.h"
#include "proto/level.h"

#include <stdio.h>

/* ---- before it is proposed ---- */

static enum proto_code not_ready(struct node *n, const char *format, unsigned long long node,
                                 unsigned long long other)
{
    (void)snprintf(n->reason, sizeof n->reason, format, node, other);
    return PROTO_CLUSTER_NOT_READY;
}

static bool is_healthy(const struct node *n, const struct pump_peer *p)
{
    return p->heard_ms > 0 && n->now.mono_ms - p->heard_ms <= NODE_SILENT_MS;
}

static enum proto_code admit_level(struct node *n, uint32_t level)
{
    struct pump_peer peers[PUMP_SERVERS_MAX];
    unsigned k = pump_peers(n->pump, peers);
    if (level > proto_level_known())
        return not_ready(n, "node %llu knows feature levels up to %llu", n->config->id,
                         proto_level_known());
    for (unsigned i = 0; i < k; i++) {
        if (!is_healthy(n, &peers[i]))
            return not_ready(n, "node %llu is not heard: what it knows is not known", peers[i].id,
                             0);
        if (peers[i].level < level)
            return not_ready(n, "node %llu knows feature levels up to %llu", peers[i].id,
                             peers[i].level);
    }
    return PROTO_OK;
}

static enum proto_code admit_transfer(struct node *n, uint32_t to)
{
    struct pump_peer peers[PUMP_SERVERS_MAX];
    unsigned k = pump_peers(n->pump, peers), voters = 0;
    for (unsigned i = 0; i < k; i++) {
        voters += peers[i].voter;
        if (peers[i].id != to)
            continue;
        if (!peers[i].voter)
            return not_ready(n, "node %llu has no vote", to, 0);
        if (!is_healthy(n, &peers[i]))
            return not_ready(n, "node %llu is not heard", to, 0);
        return PROTO_OK;
    }
    if (to == 0)
        return voters > 0 ? PROTO_OK : not_ready(n, "there is no other node", 0, 0);
    if (to == n->config->id)
        return PROTO_OK; /* it leads already */
    return not_ready(n, "node %llu is not in the cluster", to, 0);
}

static enum proto_code admit_cluster(struct node *n, const struct serve_command *c)
{
    struct proto_command command;
    if (!proto_command_get(c->p, c->n, &command, NULL))
        return PROTO_OK; /* the machine says MALFORMED */
    switch (command.head.kind) {
    case PROTO_CMD_feature_level:
        return admit_level(n, command.body.feature_level.level);
    case PROTO_CMD_cluster_transfer:
        return admit_transfer(n, command.body.cluster_transfer.node);
    default:
        return node_admit_change(n, &command);
    }
}

/* One of a crowd of strangers gets its answer without an entry. */
static enum proto_code admit_stranger(struct node *n, const struct serve_command *c)
{
    enum proto_code code;
    if (!strangers_crowd(&n->strangers, n->now.mono_ms))
        return PROTO_OK;
    if (core_machine_stranger(n->machine, c->p, c->n, &code) != 0) {
        (void)node_fail(n, NODE_EXIT_FATAL, "command", core_machine_error(n->machine));
        return PROTO_CLUSTER_NOT_READY;
    }
    if (code != PROTO_OK) {
        (void)strangers_note(&n->strangers, n->now.mono_ms);
        n->strangers.refused++;
    }
    return code;
}

enum proto_code node_admit(void *ctx, const struct serve_command *c, const char **reason)
{
    struct node *n = ctx;
    unsigned kind = proto_command_kind(c->p, c->n);
    n->reason[0] = '\0';
    *reason = n->reason;
    if (n->refusing && room_grows(kind))
        return PROTO_NO_ROOM;
    if (proto_level_of(kind) > core_machine_level(n->machine)) {
        (void)snprintf(n->reason, sizeof n->reason, "level %u is needed, %u is in force",
                       (unsigned)proto_level_of(kind), (unsigned)core_machine_level(n->machine));
        return PROTO_LEVEL_TOO_LOW;
    }
    enum proto_code code = admit_stranger(n, c);
    return code == PROTO_OK && proto_command_cluster(kind) ? admit_cluster(n, c) : code;
}

/* ---- once it is applied ---- */

/* Inside the pump's event: only noted. Of an entry of our own term, or it is an old story. */
void node_on_result(void *ctx, uint64_t index, uint32_t ordinal, int64_t time_us,
                    const struct proto_command *command, const struct proto_result *result)
{
    struct node *n = ctx;
    (void)ordinal;
    (void)time_us;
    counters_result(&n->counters, command, result);
    if (strangers_code(result->code) && strangers_note(&n->strangers, n->now.mono_ms))
        base_log(BASE_LOG_WARN,
                 "many commands come from nobody we know: they are answered without an entry",
                 BASE_S("last", proto_code_name(result->code)), NULL);
    if (!command || result->code != PROTO_OK || (result->flags & PROTO_FLAG_DUPLICATE) != 0 ||
        !proto_command_cluster(command->head.kind) || n->role != PUMP_LEADER ||
        pump_term_of(n->pump, index) != n->term)
        return;
    if (command->head.kind == PROTO_CMD_cluster_transfer &&
        command->body.cluster_transfer.node != n->config->id)
        node_transfer(n, command->body.cluster_transfer.node);
    node_note_change(n, command);
}

void node_transfer(struct node *n, uint64_t to)
{
    n->transfer_to = to;
    n->transfer_until_ms = n->now.mono_ms + NODE_TRANSFER_MS;
    n->transfer_ms = n->now.mono_ms;
    n->transfer_calm_ms = n->now.mono_ms + NODE_TRANSFER_CALM_MS;
}

bool node_is_leaving(const struct node *n)
{
    return n->transfer_until_ms > 0 && n->now.mono_ms < n->transfer_calm_ms;
}

/* A node that has all of our log may begin at once. Without one, the engine would wait for it, and
 * often in vain. */
static bool heir_is_ready(const struct node *n)
{
    struct pump_peer peers[PUMP_SERVERS_MAX];
    unsigned k = pump_peers(n->pump, peers);
    for (unsigned i = 0; i < k; i++)
        if (peers[i].voter && (n->transfer_to == 0 || peers[i].id == n->transfer_to) &&
            peers[i].match == pump_last_index(n->pump))
            return true;
    return false;
}

static uint64_t denier(const struct node *n, const struct pump_peer *peers, unsigned k)
{
    for (unsigned i = 0; i < k; i++)
        if (peers[i].denies_ms > 0 && n->now.mono_ms - peers[i].denies_ms >= NODE_DENIAL_MS)
            return peers[i].id;
    return 0;
}

void node_mend_denial(struct node *n)
{
    struct pump_peer peers[PUMP_SERVERS_MAX];
    if (n->role != PUMP_LEADER || n->now.mono_ms < n->denial_ms || n->transfer_until_ms > 0)
        return;
    unsigned k = pump_peers(n->pump, peers), heir = k;
    uint64_t lost = denier(n, peers, k);
    if (lost == 0)
        return;
    n->denial_ms = n->now.mono_ms + NODE_DENIAL_EVERY_MS;
    for (unsigned i = 0; i < k; i++)
        if (peers[i].voter && peers[i].denies_ms == 0 && peers[i].match > 0 &&
            (heir == k || peers[i].match > peers[heir].match))
            heir = i;
    base_log(BASE_LOG_ERROR, "a node has lost what it had acknowledged", BASE_I("node", lost),
             BASE_I("leadership_goes_to", heir < k ? peers[heir].id : 0), NULL);
    if (heir < k)
        node_transfer(n, peers[heir].id);
}

/* The engine gives up after an election timeout, and says nothing. */
void node_carry_out(struct node *n)
{
    if (n->transfer_until_ms == 0 || n->now.mono_ms < n->transfer_ms)
        return;
    if (node_is_leaving(n) && n->role == PUMP_LEADER && !heir_is_ready(n))
        return; /* nothing is proposed meanwhile, so it soon will be */
    n->transfer_ms = n->now.mono_ms + NODE_TRANSFER_EVERY_MS;
    if (n->role != PUMP_LEADER || n->now.mono_ms >= n->transfer_until_ms) {
        n->transfer_until_ms = 0;
        return;
    }
    if (pump_transferee(n->pump) != 0)
        return;
    int rv = pump_transfer(n->pump, n->now, n->transfer_to);
    base_log(BASE_LOG_INFO, "leadership is handed over", BASE_I("to", n->transfer_to),
             BASE_I("result", rv), NULL);
}
