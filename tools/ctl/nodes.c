/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/ctl/nodes.h"

#include <errno.h>
#include <stdio.h>

static bool is_fact(const struct proto_fact *f, const char *name)
{
    return proto_str_eq(f->name, proto_str_of(name));
}

/* "peer_2_stuck_ms" and the like. */
static void read_other(struct ctl_node *n, const struct proto_fact *f)
{
    char name[PROTO_NAME_MAX + 1], what[32];
    unsigned id, at = 0;
    snprintf(name, sizeof name, "%.*s", (int)f->name.n, f->name.p);
    if (sscanf(name, "peer_%9u_%31s", &id, what) != 2)
        return;
    while (at < n->n_others && n->other[at].id != id)
        at++;
    if (at == LINK_NODES_MAX)
        return;
    if (at == n->n_others)
        n->other[n->n_others++].id = id;
    if (strcmp(what, "silent_ms") == 0)
        n->other[at].silent_ms = f->number;
    else if (strcmp(what, "stuck_ms") == 0)
        n->other[at].stuck_ms = f->number;
    else if (strcmp(what, "needs_seed") == 0)
        n->other[at].needs_seed = f->number != 0;
}

/* Those that are known here; a text of any other is shown as it is. */
static void read_fact(struct ctl_node *n, const struct proto_fact *f)
{
    size_t used = strlen(n->note);
    if (is_fact(f, "level"))
        n->level = f->number;
    else if (is_fact(f, "level_known"))
        n->level_known = f->number;
    else if (is_fact(f, "disk_free_bytes"))
        n->disk_free = f->number;
    else if (is_fact(f, "disk_total_bytes"))
        n->disk_total = f->number;
    else if (is_fact(f, "disk_short"))
        n->disk_short = f->number != 0;
    else if (is_fact(f, "refusing"))
        n->refusing = f->number != 0;
    else if (is_fact(f, "seeding"))
        n->seeding = f->number;
    else if (is_fact(f, "changing"))
        n->changing = f->number != 0;
    else
        read_other(n, f);
    if (is_fact(f, "member") && n->n_members < LINK_NODES_MAX) {
        n->member[n->n_members].id = (uint32_t)f->number;
        n->member[n->n_members++].voter = proto_str_eq(f->text, proto_str_of("voter"));
    } else if (f->text.n > 0) {
        (void)snprintf(n->note + used, sizeof n->note - used, "%s%.*s: %.*s", used ? "; " : "",
                       (int)f->name.n, f->name.p, (int)f->text.n, f->text.p);
    }
}

static void read_facts(struct ctl_node *n)
{
    for (uint32_t i = 0; i < n->s.facts.n; i++)
        read_fact(n, &n->s.facts.e[i]);
}

static void on_status(void *arg, const struct link_answer *a)
{
    struct ctl_node *n = arg;
    if (a->outcome == LINK_ANSWERED && a->status) {
        n->reachable = true;
        n->s = *a->status;
        read_facts(n);
        snprintf(n->role, sizeof n->role, "%.*s", (int)a->status->role.n, a->status->role.p);
        snprintf(n->build, sizeof n->build, "%.*s", (int)a->status->build.n, a->status->build.p);
    } else {
        snprintf(n->detail, sizeof n->detail, "%s",
                 a->detail && a->detail[0] ? a->detail : "no answer");
    }
    *n->all = --*n->left == 0;
}

/* Asks all nodes at once. */
int ctl_nodes_ask(struct ctl *c, struct ctl_node nodes[LINK_NODES_MAX], unsigned timeout_ms)
{
    const struct cluster_conf *cluster = &c->ledger.cluster;
    unsigned left = cluster->n_nodes;
    bool all = false;
    for (unsigned i = 0; i < cluster->n_nodes; i++) {
        nodes[i] = (struct ctl_node){.c = c, .left = &left, .all = &all};
        int rv =
            link_client_status(c->link, cluster->nodes[i].id, timeout_ms, on_status, &nodes[i]);
        if (rv) {
            snprintf(nodes[i].detail, sizeof nodes[i].detail, "%s", strerror(-rv));
            all = --left == 0;
        }
    }
    if (!link_client_wait(c->link, &all, timeout_ms + 1000)) {
        link_client_free(c->link); /* completes what is under way */
        c->link = NULL;
        return ctl_fail(c, CTL_UNAVAILABLE, "unavailable", "the ledger client gave no answer");
    }
    return CTL_OK;
}

/* One that does not say who is in the cluster counts everybody. */
static bool votes(const struct ctl_node *leader, uint32_t id)
{
    if (leader->n_members == 0)
        return true;
    for (unsigned i = 0; i < leader->n_members; i++)
        if (leader->member[i].id == id)
            return leader->member[i].voter;
    return false;
}

const struct ctl_node *ctl_nodes_leader(const struct ctl_node *nodes, unsigned n)
{
    const struct ctl_node *leader = NULL;
    unsigned follow = 0, voters = 0;
    for (unsigned i = 0; i < n; i++)
        if (nodes[i].reachable && nodes[i].s.leader == nodes[i].s.id &&
            (!leader || nodes[i].s.term > leader->s.term))
            leader = &nodes[i];
    for (unsigned i = 0; leader && i < leader->n_members; i++)
        voters += leader->member[i].voter;
    if (leader && leader->n_members == 0)
        voters = n;
    for (unsigned i = 0; leader && i < n; i++)
        follow += nodes[i].reachable && nodes[i].s.leader == leader->s.id &&
                  nodes[i].s.term == leader->s.term && votes(leader, nodes[i].s.id);
    return follow > voters / 2 ? leader : NULL;
}
