/* SPDX-License-Identifier: Apache-2.0
 * Every node of cluster.conf, asked for its status at once. Used by `status` and `cluster`.
 */
#ifndef HOLDFAST_CTL_NODES_H
#define HOLDFAST_CTL_NODES_H

#include "tools/ctl/ctl.h"

struct ctl_other {
    uint32_t id;
    int64_t silent_ms; /* not heard for so long; 0: it is heard */
    int64_t stuck_ms;  /* leader: it lacks entries and has got none for so long */
    bool needs_seed;   /* leader: it is further behind than the log reaches */
};

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
    bool changing;                          /* that is not committed yet */
    struct ctl_other other[LINK_NODES_MAX]; /* of the others, as it sees them */
    unsigned n_others;
    int64_t seeding; /* the node that is being seeded from it; 0: none */
};

enum {
    CTL_HEALTH_TEXT = 200,
    CTL_STUCK_MS = 3000,
    CTL_BEHIND = 256, /* entries; under load everybody is some behind */
};

/* How a node is: a word for machines ("ok" and others), and a sentence for people ("" where ok). */
struct ctl_health {
    const char *word;
    char text[CTL_HEALTH_TEXT];
};

/* In the order of cluster.conf. */
int ctl_nodes_ask(struct ctl *c, struct ctl_node nodes[LINK_NODES_MAX], unsigned timeout_ms);
/* The node that leads the highest term with a majority behind it; NULL: none. */
const struct ctl_node *ctl_nodes_leader(const struct ctl_node *nodes, unsigned n);
/* Of node `id`, the i-th; leader: as ctl_nodes_leader said. */
void ctl_node_health(const struct ctl_node *nodes, unsigned n, unsigned i, uint32_t id,
                     const struct ctl_node *leader, struct ctl_health *out);

#endif
