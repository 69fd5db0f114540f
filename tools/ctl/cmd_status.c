/* SPDX-License-Identifier: Apache-2.0
 * holdfastctl status: each node as it sees itself, and the cluster as its leader does.
 */
#include "tools/ctl/nodes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static void node_out(struct ctl *c, yyjson_mut_val *to, const struct cluster_node *node,
                     const struct ctl_node *n, const struct ctl_node *leader,
                     const struct ctl_health *health)
{
    const struct proto_node_status *s = &n->s;
    out_uint(c, to, "id", node->id);
    out_text(c, to, "address", node->client);
    out_bool(c, to, "reachable", n->reachable);
    out_text(c, to, "state", health->word);
    if (health->text[0])
        out_text(c, to, "why", health->text);
    if (!n->reachable) {
        out_text(c, to, "role", "unreachable");
        out_text(c, to, "detail", n->detail);
        return;
    }
    out_text(c, to, "role", n->role);
    out_text(c, to, "build", n->build);
    out_uint(c, to, "level", (uint64_t)n->level);
    out_uint(c, to, "level_known", (uint64_t)n->level_known);
    if (n->disk_total > 0) {
        out_uint(c, to, "disk_free_bytes", (uint64_t)n->disk_free);
        out_uint(c, to, "disk_total_bytes", (uint64_t)n->disk_total);
    }
    out_bool(c, to, "disk_short", n->disk_short);
    out_bool(c, to, "refusing", n->refusing);
    if (n->note[0])
        out_text(c, to, "note", n->note);
    out_uint(c, to, "term", s->term);
    out_uint(c, to, "leader", s->leader);
    out_uint(c, to, "last_index", s->last_index);
    out_uint(c, to, "commit_index", s->commit_index);
    out_uint(c, to, "applied_index", s->applied_index);
    out_uint(c, to, "checkpoint_index", s->checkpoint_index);
    if (leader)
        out_uint(c, to, "lag",
                 leader->s.commit_index > s->applied_index
                     ? leader->s.commit_index - s->applied_index
                     : 0);
    out_hash(c, to, "chain", &s->chain);
    out_time(c, to, "clock", s->clock_us);
    if (leader)
        out_int(c, to, "clock_offset_us", s->clock_us - leader->s.clock_us);
    out_uint(c, to, "commands", s->commands);
    out_money(c, to, "drift", s->drift);
    out_uint(c, to, "open_holds", s->open_holds);
}

/* true and *agree: at least two nodes stand at one index and can be compared. */
static bool chains_compared(const struct ctl_node *nodes, unsigned n, bool *agree)
{
    bool compared = false;
    *agree = true;
    for (unsigned i = 0; i < n; i++)
        for (unsigned k = i + 1; k < n; k++)
            if (nodes[i].reachable && nodes[k].reachable &&
                nodes[i].s.applied_index == nodes[k].s.applied_index) {
                compared = true;
                *agree = *agree &&
                         memcmp(&nodes[i].s.chain, &nodes[k].s.chain, sizeof nodes[i].s.chain) == 0;
            }
    return compared;
}

/* Outside it may well be on purpose: it joins later, or has been removed. */
static bool is_well(const struct ctl_health *h)
{
    return strcmp(h->word, "ok") == 0 || strcmp(h->word, "outside") == 0;
}

/* "node 2: unreachable (...); node 3: stuck (...)". Returns whether all are well. */
static bool health_out(struct ctl *c, const struct ctl_node *nodes, const struct ctl_node *leader,
                       struct ctl_health health[LINK_NODES_MAX])
{
    const struct cluster_conf *cluster = &c->ledger.cluster;
    char text[LINK_NODES_MAX * (CTL_HEALTH_TEXT + 64)];
    struct proto_text t = proto_text_over(text, sizeof text);
    bool well = true;
    for (unsigned i = 0; i < cluster->n_nodes; i++) {
        ctl_node_health(nodes, cluster->n_nodes, i, cluster->nodes[i].id, leader, &health[i]);
        if (is_well(&health[i]))
            continue;
        proto_text_put(&t, well ? "node " : "; node ");
        proto_text_uint(&t, cluster->nodes[i].id);
        proto_text_put(&t, " is ");
        proto_text_put(&t, health[i].word);
        proto_text_put(&t, ": ");
        proto_text_put(&t, health[i].text);
        well = false;
    }
    out_bool(c, c->out, "all_well", well);
    if (!well)
        out_text(c, c->out, "unwell", text);
    return well;
}

/* Whether every node is well. */
static bool cluster_out(struct ctl *c, const struct ctl_node *nodes, const struct ctl_node *leader)
{
    const struct cluster_conf *cluster = &c->ledger.cluster;
    struct ctl_health health[LINK_NODES_MAX];
    unsigned n = cluster->n_nodes;
    int64_t drift = 0;
    bool agree, known = false;
    out_uuid(c, c->out, "cluster", &cluster->uuid);
    out_bool(c, c->out, "quorum", leader != NULL);
    if (leader) {
        out_uint(c, c->out, "leader", leader->s.id);
        out_uint(c, c->out, "term", leader->s.term);
        out_uint(c, c->out, "open_holds", leader->s.open_holds);
    } else {
        out_null(c, c->out, "leader");
    }
    bool well = health_out(c, nodes, leader, health);
    if (leader)
        out_bool(c, c->out, "refusing", leader->refusing);
    else
        out_null(c, c->out, "refusing");
    for (unsigned i = 0; i < n; i++) {
        known = known || nodes[i].reachable;
        if (nodes[i].reachable && llabs(nodes[i].s.drift) > llabs(drift))
            drift = nodes[i].s.drift;
    }
    if (known) {
        out_money(c, c->out, "drift", drift);
    } else { /* 0.00 would be a claim */
        out_null(c, c->out, "drift");
        out_null(c, c->out, "drift_nanos");
    }
    if (chains_compared(nodes, n, &agree))
        out_bool(c, c->out, "chains_agree", agree);
    else
        out_null(c, c->out, "chains_agree");
    yyjson_mut_val *list = out_list(c, "nodes");
    for (unsigned i = 0; i < n; i++)
        node_out(c, out_row(c, list), &cluster->nodes[i], &nodes[i], leader, &health[i]);
    return well;
}

static bool all_well(struct ctl *c, const struct ctl_node *nodes, const struct ctl_node *leader)
{
    const struct cluster_conf *cluster = &c->ledger.cluster;
    struct ctl_health health;
    for (unsigned i = 0; i < cluster->n_nodes; i++) {
        ctl_node_health(nodes, cluster->n_nodes, i, cluster->nodes[i].id, leader, &health);
        if (!is_well(&health))
            return false;
    }
    return true;
}

static int status(struct ctl *c, const struct ctl_args *a)
{
    bool strict = ctl_given(a, "strict");
    struct ctl_node nodes[LINK_NODES_MAX];
    const struct ctl_node *leader;
    int64_t wait_s = 0;
    int rv = ctl_number(c, a, "wait", 1, 3600, &wait_s);
    if (rv == CTL_OK)
        rv = ctl_open(c, false);
    int64_t until_us = ctl_now_us() + wait_s * 1000000;
    unsigned each_ms = c->timeout_ms < 2000 ? c->timeout_ms : 2000;
    for (;;) {
        if (rv == CTL_OK)
            rv = ctl_nodes_ask(c, nodes, each_ms);
        if (rv != CTL_OK)
            return rv;
        leader = ctl_nodes_leader(nodes, c->ledger.cluster.n_nodes);
        if ((leader && (!strict || all_well(c, nodes, leader))) || ctl_now_us() >= until_us)
            break;
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    }
    bool well = cluster_out(c, nodes, leader);
    if (!leader)
        return CTL_UNAVAILABLE;
    return well || !strict ? CTL_OK : CTL_UNWELL;
}

static const struct ctl_option options[] = {
    {"wait", "SECONDS", false,
     "wait for a leader with a majority behind it; with --strict, until all is well"},
    {"strict", NULL, false, "exit status 4 where not every node is well"},
    {0}};
static const char *const columns[] = {
    "id",         "address",      "role",          "state", "term",
    "last_index", "commit_index", "applied_index", "lag",   "drift",
    "clock",      "build",        "note",          "why",   NULL};
static const struct ctl_action actions[] = {
    {NULL, "Shows every ledger node: role, state, term, indexes, lag behind the leader, drift.",
     NULL, options, "nodes", columns, status,
     "States: ok, behind, stuck (it lacks entries and stores none), cut_off (it answers here and\n"
     "does not follow the leader), unreachable, seeding, needs_seed, joining, disputed, diverged,\n"
     "leaderless, outside (in cluster.conf, not in the cluster).\n"
     "Needs no operator token. Exit status 3: no leader with a majority behind it; 4, with\n"
     "--strict: there is one, but a node is neither ok nor outside.\n"},
    {0}};
const struct ctl_noun ctl_noun_status = {"status", "leader, terms, lag, clocks and drift", actions};
