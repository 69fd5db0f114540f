/* SPDX-License-Identifier: Apache-2.0
 * Every node of cluster.conf, asked for its status at once. Used by `status` and `cluster`.
 */
#ifndef HOLDFAST_CTL_NODES_H
#define HOLDFAST_CTL_NODES_H

#include "tools/ctl/ctl.h"

struct ctl_node {
    struct ctl *c;
    unsigned *left;
    bool *all;
    bool reachable;
    char detail[128], role[32], build[64];
    struct proto_node_status s; /* its views are not kept */
    /* of its facts */
    int64_t level, level_known, disk_free, disk_total;
    bool disk_short, refusing;
    char note[512]; /* what it says in words */
    struct {
        uint32_t id;
        bool voter;
    } member[LINK_NODES_MAX]; /* of the cluster, as it knows it */
    unsigned n_members;
};

/* In the order of cluster.conf. */
int ctl_nodes_ask(struct ctl *c, struct ctl_node nodes[LINK_NODES_MAX], unsigned timeout_ms);
/* The node that leads the highest term with a majority behind it; NULL: none. */
const struct ctl_node *ctl_nodes_leader(const struct ctl_node *nodes, unsigned n);

#endif
