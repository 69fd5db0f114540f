/* SPDX-License-Identifier: Apache-2.0
 * The one file that every node, edge and tool of a cluster shares, and the [ledger] section with
 * which edges and tools point to it. Read at start, main thread.
 *
 *   [cluster]
 *   uuid = 018f...            the cluster's identity, in every request and every peer message
 *   group = 0                 of orgs; 0 is the only one today
 *   seed = <64 hex>           chain seed of the genesis
 *   operator_hash = <64 hex>  SHA-256 of SHA-256 of the operator token
 *   [node 1]                  one section a node; the number is its id
 *   peer = HOST:PORT          where the other nodes reach it
 *   client = HOST:PORT        where edges and tools reach it
 *   peer_name = node-1.peer.holdfast      names in its certificates; these are the defaults
 *   client_name = node-1.ledger.holdfast
 */
#ifndef HOLDFAST_PROTO_CLUSTER_CONF_H
#define HOLDFAST_PROTO_CLUSTER_CONF_H

#include "proto/base/conf.h"
#include "proto/link/client.h"

struct cluster_node {
    uint32_t id;
    char peer[PROTO_NAME_MAX + 1];
    char client[PROTO_NAME_MAX + 1];
    char peer_name[PROTO_NAME_MAX + 1];
    char client_name[PROTO_NAME_MAX + 1];
};

struct cluster_conf {
    struct proto_uuid uuid;
    uint16_t group;
    struct proto_hash seed, operator_hash;
    struct cluster_node nodes[LINK_NODES_MAX]; /* ascending by id */
    unsigned n_nodes;
};

__attribute__((warn_unused_result)) int
cluster_conf_load(struct cluster_conf *out, const char *path, char error[BASE_CONF_ERROR]);
const struct cluster_node *cluster_conf_node(const struct cluster_conf *c, uint32_t id);

/* Section [ledger] of an edge's or a tool's own file: cluster = cluster.conf, ca = client-ca.crt,
 * cert = edge-1.pem; paths relative to that file. Closed even after a failure. */
struct ledger_conf {
    struct cluster_conf cluster;
    char *ca_file, *cert_file;
};
__attribute__((warn_unused_result)) int
ledger_conf_read(struct ledger_conf *out, struct base_conf *c, char error[BASE_CONF_ERROR]);
void ledger_conf_close(struct ledger_conf *c);
/* Fills identity, nodes and files of a client's configuration; they point into c. */
void ledger_conf_link(const struct ledger_conf *c, struct link_config *out);

#endif
