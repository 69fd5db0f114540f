/* SPDX-License-Identifier: Apache-2.0
 * Who is in the cluster: the log's configuration entries say so, not cluster.conf. Only a leader
 * changes that, one server at a time (guard 5):
 *
 *   cluster_add --> joining (gets the log, no vote) --(has caught up, same chain)--> voter
 *   cluster_remove ----------------------------------------------------------------> gone
 *
 * and only while it leads firmly, no other change is under way, and every other voter is healthy:
 * then a majority of the old and of the new configuration have one node in common that is there.
 * A joining node is promoted by whoever leads when it has caught up.
 */
#include "ledger/node_state.h"

#include "proto/base/log.h"

#include <errno.h>
#include <stdio.h>

static const struct pump_member *find(const struct pump_member *m, unsigned n, uint64_t id)
{
    for (unsigned i = 0; i < n; i++)
        if (m[i].id == id)
            return &m[i];
    return NULL;
}

/* The first voter, but for `but`, that is not heard, lacks the configuration in force (it would not
 * know of its own vote) or what comes before our log (it cannot follow); 0: all are well. */
static uint64_t unwell(const struct node *n, uint64_t but)
{
    struct pump_peer peers[PUMP_SERVERS_MAX];
    unsigned k = pump_peers(n->pump, peers);
    for (unsigned i = 0; i < k; i++)
        if (peers[i].voter && peers[i].id != but &&
            (peers[i].heard_ms == 0 || n->now.mono_ms - peers[i].heard_ms > NODE_SILENT_MS ||
             peers[i].match < pump_last_change(n->pump) ||
             peers[i].match + 1 < pump_first(n->pump)))
            return peers[i].id;
    return 0;
}

/* ---- before it is proposed ---- */

static enum proto_code refuse(struct node *n, const char *format, uint64_t node)
{
    (void)snprintf(n->reason, sizeof n->reason, format, (unsigned long long)node);
    return PROTO_CLUSTER_NOT_READY;
}

static enum proto_code admit_add(struct node *n, const struct proto_cluster_add *c,
                                 const struct pump_member *m, unsigned k)
{
    const struct cluster_node *node = cluster_conf_node(&n->config->cluster, c->node);
    if (find(m, k, c->node))
        return refuse(n, "node %llu is in the cluster already", c->node);
    if (k == PUMP_SERVERS_MAX)
        return refuse(n, "%llu nodes are as many as there may be", k);
    for (unsigned i = 0; i < k; i++)
        if (m[i].joining)
            return refuse(n, "node %llu is joining: one at a time", m[i].id);
        else if (proto_str_eq(proto_str_of(m[i].address), c->address))
            return refuse(n, "node %llu has that address", m[i].id);
    if (node && !proto_str_eq(proto_str_of(node->peer), c->address))
        return refuse(n, "the leader's cluster.conf has another address for node %llu", c->node);
    return PROTO_OK;
}

static enum proto_code admit_remove(struct node *n, uint64_t id, const struct pump_member *m,
                                    unsigned k)
{
    const struct pump_member *s = find(m, k, id);
    unsigned voters = 0;
    for (unsigned i = 0; i < k; i++)
        voters += !m[i].joining;
    if (!s)
        return refuse(n, "node %llu is not in the cluster", id);
    if (id == n->config->id)
        return refuse(n, "node %llu leads: hand leadership over first (cluster transfer)", id);
    if (!s->joining && voters == 1)
        return refuse(n, "node %llu is the only one with a vote", id);
    return PROTO_OK;
}

enum proto_code node_admit_change(struct node *n, const struct proto_command *c)
{
    struct pump_member m[PUMP_SERVERS_MAX];
    unsigned k = pump_members(n->pump, m);
    bool add = c->head.kind == PROTO_CMD_cluster_add;
    uint64_t id = add ? c->body.cluster_add.node : c->body.cluster_remove.node;
    if (!pump_leads_firmly(n->pump))
        return refuse(n, "nothing is committed yet under this leader", 0);
    if (pump_changing(n->pump) || n->change != NODE_NO_CHANGE)
        return refuse(n, "another change is under way", 0);
    enum proto_code code =
        add ? admit_add(n, &c->body.cluster_add, m, k) : admit_remove(n, id, m, k);
    uint64_t ill = code == PROTO_OK ? unwell(n, add ? 0 : id) : 0;
    return ill == 0
               ? code
               : refuse(n, "node %llu is not heard, or is behind: every other node must be well",
                        ill);
}

/* ---- once it is applied ---- */

void node_note_change(struct node *n, const struct proto_command *c)
{
    struct proto_str address = c->body.cluster_add.address;
    if (c->head.kind == PROTO_CMD_cluster_add && address.n < sizeof n->change_address) {
        n->change = NODE_ADD;
        n->change_node = c->body.cluster_add.node;
        memcpy(n->change_address, address.p, address.n);
        n->change_address[address.n] = '\0';
    } else if (c->head.kind == PROTO_CMD_cluster_remove) {
        n->change = NODE_REMOVE;
        n->change_node = c->body.cluster_remove.node;
    }
    n->change_term = n->term;
}

/* true: `m` is to be the next configuration. */
static bool apply_wish(struct node *n, struct pump_member m[PUMP_SERVERS_MAX], unsigned *k)
{
    const struct pump_member *s = find(m, *k, n->change_node);
    bool add = n->change == NODE_ADD;
    if (n->change == NODE_NO_CHANGE)
        return false;
    n->change = NODE_NO_CHANGE;
    if (n->change_term != n->term || add == (s != NULL) || (add && *k == PUMP_SERVERS_MAX))
        return false; /* by another leader, or done meanwhile */
    if (add) {
        m[(*k)++] = (struct pump_member){
            .id = n->change_node, .address = n->change_address, .joining = true};
        return true;
    }
    unsigned at = (unsigned)(s - m);
    for (--*k; at < *k; at++)
        m[at] = m[at + 1];
    return true;
}

/* It stands close behind us, and its chain is ours. */
static bool has_caught_up(const struct node *n, const struct pump_peer *p)
{
    bool agrees = false;
    for (unsigned i = 0; i < PUMP_SERVERS_MAX; i++)
        agrees =
            agrees || (n->accord.peers[i].id == p->id && n->accord.peers[i].with == ACCORD_AGREES &&
                       n->accord.peers[i].compared + NODE_JOIN_LAG >= pump_applied_index(n->pump));
    return agrees && p->heard_ms > 0 && n->now.mono_ms - p->heard_ms <= NODE_SILENT_MS &&
           p->level >= core_machine_level(n->machine) && p->match >= pump_last_change(n->pump) &&
           p->match + NODE_JOIN_LAG >= pump_last_index(n->pump);
}

static bool promote(struct node *n, struct pump_member *m, unsigned k)
{
    struct pump_peer peers[PUMP_SERVERS_MAX];
    unsigned np = pump_peers(n->pump, peers);
    for (unsigned i = 0; i < np; i++)
        for (unsigned j = 0; j < k; j++)
            if (m[j].id == peers[i].id && m[j].joining && has_caught_up(n, &peers[i])) {
                m[j].joining = false;
                return true;
            }
    return false;
}

/* ---- whether followers get on ---- */

void node_on_seeding(struct node *n, struct pump_now now, uint64_t node, bool digest)
{
    n->now = now;
    n->seeding_node = node;
    n->seeding_ms = now.mono_ms;
    /* It waits for a checkpoint: no time for a rest. */
    if (digest && now.mono_ms >= n->checkpoint.last_ms + n->config->checkpoint_ms)
        node_start_checkpoint(n);
}

void node_progress_timer(struct node *n)
{
    struct pump_peer peers[PUMP_SERVERS_MAX];
    n->progress_ms = n->now.mono_ms + PROGRESS_EVERY_MS;
    unsigned k = n->role == PUMP_LEADER ? pump_peers(n->pump, peers) : 0;
    progress_look(&n->progress, n->term, peers, k, pump_commit_index(n->pump), n->now.mono_ms);
}

/* ---- what is to be done ---- */

void node_members_timer(struct node *n)
{
    struct pump_member m[PUMP_SERVERS_MAX];
    uint64_t index;
    if (n->role != PUMP_LEADER || !node_may_decide(n)) {
        n->change = NODE_NO_CHANGE;
        return;
    }
    if (pump_changing(n->pump) || !pump_leads_firmly(n->pump) || node_is_leaving(n))
        return;
    unsigned k = pump_members(n->pump, m);
    bool asked = n->change != NODE_NO_CHANGE;
    if (unwell(n, n->change == NODE_REMOVE ? n->change_node : 0) != 0 ||
        (!apply_wish(n, m, &k) && !promote(n, m, k)))
        return;
    int rv = pump_change(n->pump, n->now, m, k, &index);
    base_log(BASE_LOG_WARN, "the cluster changes", BASE_S("change", asked ? "as asked" : "a vote"),
             BASE_I("members", k), BASE_I("result", rv), NULL);
    if (rv != -EBUSY && rv != PUMP_NOT_LEADER)
        node_pump_result(n, rv);
}
