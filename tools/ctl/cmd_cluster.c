/* SPDX-License-Identifier: Apache-2.0
 * holdfastctl cluster: who is in it, who leads, which feature level is in force. A change is a
 * command in the log, so it is audited; what follows from it is then waited for.
 */
#include "tools/ctl/nodes.h"

#include "proto/level.h"

#include <stdio.h>
#include <time.h>

enum { ASK_MS = 2000, POLL_NS = 100000000 };

struct seen {
    struct ctl_node nodes[LINK_NODES_MAX];
    const struct ctl_node *leader;
};

static int look(struct ctl *c, struct seen *s)
{
    int rv = ctl_open(c, false);
    if (rv == CTL_OK)
        rv = ctl_nodes_ask(c, s->nodes, c->timeout_ms < ASK_MS ? c->timeout_ms : ASK_MS);
    s->leader = rv == CTL_OK ? ctl_nodes_leader(s->nodes, c->ledger.cluster.n_nodes) : NULL;
    return rv;
}

/* Until `done` says so, or the time is up. */
static int wait_for(struct ctl *c, struct seen *s, bool (*done)(const struct seen *, uint32_t),
                    uint32_t arg, const char *what)
{
    int64_t until_us = ctl_now_us() + (int64_t)c->timeout_ms * 1000;
    for (;;) {
        int rv = look(c, s);
        if (rv != CTL_OK)
            return rv;
        if (s->leader && done(s, arg))
            return CTL_OK;
        if (ctl_now_us() >= until_us)
            return ctl_fail(c, CTL_UNAVAILABLE, "not_yet",
                            "%s (--timeout); see 'holdfastctl cluster status'", what);
        nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
    }
}

static void members_out(struct ctl *c, const struct seen *s)
{
    const struct ctl_node *l = s->leader;
    yyjson_mut_val *list = out_list(c, "members");
    for (unsigned i = 0; l && i < l->n_members; i++) {
        const struct cluster_node *node = cluster_conf_node(&c->ledger.cluster, l->member[i].id);
        yyjson_mut_val *row = out_row(c, list);
        out_uint(c, row, "id", l->member[i].id);
        out_text(c, row, "role",
                 l->member[i].id == l->s.id ? "leader"
                 : l->member[i].voter       ? "voter"
                                            : "joining");
        if (node) {
            const struct ctl_node *n = &s->nodes[node - c->ledger.cluster.nodes];
            out_text(c, row, "address", node->client);
            out_bool(c, row, "reachable", n->reachable);
            out_uint(c, row, "applied_index", n->s.applied_index);
            out_uint(c, row, "level_known", (uint64_t)n->level_known);
            out_text(c, row, "build", n->build);
            out_text(c, row, "note", n->reachable ? n->note : n->detail);
        } else {
            out_text(c, row, "note", "not in cluster.conf");
        }
    }
}

static int cluster_out(struct ctl *c, const struct seen *s)
{
    out_uuid(c, c->out, "cluster", &c->ledger.cluster.uuid);
    out_bool(c, c->out, "quorum", s->leader != NULL);
    if (s->leader) {
        out_uint(c, c->out, "leader", s->leader->s.id);
        out_uint(c, c->out, "term", s->leader->s.term);
        out_uint(c, c->out, "level", (uint64_t)s->leader->level);
        out_bool(c, c->out, "refusing", s->leader->refusing);
    }
    members_out(c, s);
    return s->leader ? CTL_OK
                     : ctl_fail(c, CTL_UNAVAILABLE, "unavailable",
                                "no leader with a majority behind it: 'holdfastctl status' shows "
                                "each node");
}

static int status(struct ctl *c, const struct ctl_args *a)
{
    struct seen s;
    (void)a;
    int rv = look(c, &s);
    return rv == CTL_OK ? cluster_out(c, &s) : rv;
}

/* ---- transfer ---- */

static bool leads(const struct seen *s, uint32_t node)
{
    return s->leader->s.id == node;
}

static bool leads_not(const struct seen *s, uint32_t node)
{
    return s->leader->s.id != node;
}

static int read_node(struct ctl *c, const struct ctl_args *a, const char *name, uint32_t *node)
{
    int64_t v = 0;
    int rv = ctl_number(c, a, name, 1, 999999999, &v);
    *node = (uint32_t)v;
    return rv;
}

static int transfer(struct ctl *c, const struct ctl_args *a)
{
    struct proto_command cmd = {.head.kind = PROTO_CMD_cluster_transfer};
    struct ctl_reply reply;
    struct seen s;
    uint32_t to;
    int rv = read_node(c, a, "to", &to);
    if (rv == CTL_OK)
        rv = ctl_open(c, true);
    if (rv == CTL_OK)
        rv = look(c, &s);
    if (rv != CTL_OK)
        return rv;
    uint32_t from = s.leader ? s.leader->s.id : 0;
    cmd.body.cluster_transfer.node = to;
    rv = ctl_command(c, &cmd, &reply);
    if (rv == CTL_OK)
        rv = wait_for(c, &s, to ? leads : leads_not, to ? to : from,
                      "accepted, but nobody else leads yet");
    if (rv != CTL_OK)
        return rv;
    out_uint(c, c->out, "from", from);
    out_uint(c, c->out, "leader", s.leader->s.id);
    out_uint(c, c->out, "term", s.leader->s.term);
    out_receipt(c, &reply);
    return CTL_OK;
}

/* ---- upgrade ---- */

static bool level_reached(const struct seen *s, uint32_t level)
{
    return s->leader->level >= level;
}

/* The highest level that every node knows. */
static int common_level(struct ctl *c, const struct seen *s, int64_t *level)
{
    *level = PROTO_LEVEL_MAX;
    for (unsigned i = 0; i < c->ledger.cluster.n_nodes; i++) {
        if (!s->nodes[i].reachable)
            return ctl_fail(c, CTL_UNAVAILABLE, "unavailable",
                            "node %u cannot be asked what it knows: %s",
                            (unsigned)c->ledger.cluster.nodes[i].id, s->nodes[i].detail);
        if (s->nodes[i].level_known < *level)
            *level = s->nodes[i].level_known;
    }
    return CTL_OK;
}

static int upgrade(struct ctl *c, const struct ctl_args *a)
{
    struct proto_command cmd = {.head.kind = PROTO_CMD_feature_level};
    struct ctl_reply reply;
    struct seen s;
    int64_t level = 0;
    int rv = ctl_number(c, a, "level", PROTO_LEVEL_FIRST, PROTO_LEVEL_MAX, &level);
    if (rv == CTL_OK)
        rv = ctl_open(c, true);
    if (rv == CTL_OK)
        rv = look(c, &s);
    if (rv == CTL_OK && level == 0)
        rv = common_level(c, &s, &level);
    if (rv != CTL_OK)
        return rv;
    out_uint(c, c->out, "level", (uint64_t)level);
    if (s.leader && s.leader->level >= level) {
        out_bool(c, c->out, "changed", false);
        return CTL_OK;
    }
    cmd.body.feature_level.level = (uint32_t)level;
    rv = ctl_command(c, &cmd, &reply);
    if (rv == CTL_OK)
        rv = wait_for(c, &s, level_reached, (uint32_t)level,
                      "accepted, but the level is not in force yet");
    if (rv != CTL_OK)
        return rv;
    out_bool(c, c->out, "changed", true);
    out_receipt(c, &reply);
    return CTL_OK;
}

/* ---- members ---- */

static bool has_vote(const struct seen *s, uint32_t node)
{
    for (unsigned i = 0; i < s->leader->n_members; i++)
        if (s->leader->member[i].id == node)
            return s->leader->member[i].voter;
    return false;
}

static bool is_gone(const struct seen *s, uint32_t node)
{
    for (unsigned i = 0; i < s->leader->n_members; i++)
        if (s->leader->member[i].id == node)
            return false;
    return true;
}

/* Not before it is committed: what another leader takes back, nobody may have acted upon. */
static bool votes_for_good(const struct seen *s, uint32_t node)
{
    return !s->leader->changing && has_vote(s, node);
}

static bool is_gone_for_good(const struct seen *s, uint32_t node)
{
    return !s->leader->changing && is_gone(s, node);
}

static int change(struct ctl *c, struct proto_command *cmd, uint32_t node, bool add)
{
    struct ctl_reply reply;
    struct seen s;
    bool joining = false; /* it was added before: what is left is to wait */
    int rv = ctl_open(c, true);
    if (rv == CTL_OK && add) {
        rv = look(c, &s);
        joining = rv == CTL_OK && s.leader && !is_gone(&s, node) && !has_vote(&s, node);
    }
    if (rv == CTL_OK && !joining)
        rv = ctl_command(c, cmd, &reply);
    if (rv == CTL_OK)
        rv = wait_for(c, &s, add ? votes_for_good : is_gone_for_good, node,
                      add ? "accepted, but the node, which must run and be reached by the others, "
                            "has no vote yet"
                          : "accepted, but the node is still there");
    if (rv != CTL_OK)
        return rv;
    out_uint(c, c->out, "node", node);
    if (!joining)
        out_receipt(c, &reply);
    members_out(c, &s);
    return CTL_OK;
}

static int add(struct ctl *c, const struct ctl_args *a)
{
    struct proto_command cmd = {.head.kind = PROTO_CMD_cluster_add};
    struct proto_cluster_add *body = &cmd.body.cluster_add;
    int rv = read_node(c, a, "node", &body->node);
    if (rv == CTL_OK)
        rv = ctl_open(c, true);
    if (rv != CTL_OK)
        return rv;
    const struct cluster_node *node = cluster_conf_node(&c->ledger.cluster, body->node);
    if (!node)
        return ctl_fail(c, CTL_USAGE, "config", "cluster.conf has no [node %u]: add it first",
                        (unsigned)body->node);
    body->address = proto_str_of(node->peer);
    return change(c, &cmd, body->node, true);
}

static int remove_node(struct ctl *c, const struct ctl_args *a)
{
    struct proto_command cmd = {.head.kind = PROTO_CMD_cluster_remove};
    int rv = read_node(c, a, "node", &cmd.body.cluster_remove.node);
    if (rv == CTL_OK)
        rv = ctl_string(c, a, "reason", PROTO_REASON_MAX, &cmd.body.cluster_remove.reason);
    return rv == CTL_OK ? change(c, &cmd, cmd.body.cluster_remove.node, false) : rv;
}

static const struct ctl_option none[] = {{0}};
static const struct ctl_option transfer_options[] = {
    {"to", "ID", false, "the node that is to lead (default: whichever is most up to date)"}, {0}};
static const struct ctl_option upgrade_options[] = {
    {"level", "N", false, "the level (default: the highest that every node knows)"}, {0}};
static const struct ctl_option add_options[] = {
    {"node", "ID", true, "a [node ID] of cluster.conf; its peer address is taken from there"}, {0}};
static const struct ctl_option remove_options[] = {
    {"node", "ID", true, "the node that leaves"},
    {"reason", "TEXT", false, "goes into the audit trail"},
    {0}};
static const char *const columns[] = {
    "id", "role", "address", "reachable", "applied_index", "level_known", "build", "note", NULL};
static const struct ctl_action actions[] = {
    {"status", "Shows who is in the cluster, who leads, and the feature level in force.", NULL,
     none, "members", columns, status, NULL},
    {"transfer", "Hands leadership over, without refusing service.", NULL, transfer_options, NULL,
     NULL, transfer, NULL},
    {"upgrade", "Raises the feature level, once every node runs a program that knows it.", NULL,
     upgrade_options, NULL, NULL, upgrade,
     "A level is never lowered: afterwards no older program can serve this cluster's data.\n"},
    {"add", "Adds a node: it gets the log first, then a vote.", NULL, add_options, "members",
     columns, add,
     "Every edge and tool must know it by the new cluster.conf, and it must run; see "
     "docs/operations.md.\n"
     "Said again while the node joins, it waits on for its vote.\n"},
    {"remove", "Removes a node.", NULL, remove_options, "members", columns, remove_node, NULL},
    {0}};
const struct ctl_noun ctl_noun_cluster = {"cluster", "members, leadership, feature level", actions};
