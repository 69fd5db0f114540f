/* SPDX-License-Identifier: Apache-2.0
 * What `holdfastctl init` lays out: the plan of a new cluster, and the text of its files. Private
 * to cmd_init.c and init_files.c.
 */
#ifndef HOLDFAST_CTL_INIT_H
#define HOLDFAST_CTL_INIT_H

#include "proto/key.h"
#include "tools/certs/layout.h"
#include "tools/ctl/ctl.h"

#include <stdio.h>

enum {
    INIT_EDGES_MAX = CERTS_EDGES_MAX,
    INIT_PORTS_MAX = 2 * LINK_NODES_MAX + INIT_EDGES_MAX,
    INIT_TEXT_MAX = 16 * 1024, /* bytes of one file */
};

struct init_plan {
    const char *out;
    unsigned nodes, edges;
    const char *node_host[LINK_NODES_MAX];
    const char *edge_host;
    uint16_t peer_port[LINK_NODES_MAX], client_port[LINK_NODES_MAX], edge_port[INIT_EDGES_MAX];
    const char *data;
    const char *provider, *provider_url, *provider_key_env;
    bool trust_cost, plain_http;
    struct proto_uuid cluster;
    struct proto_hash seed, operator_hash;
};

/* Each writes the whole text of a file; i counts from 1. */
void init_text_cluster(FILE *f, const struct init_plan *p);
void init_text_node(FILE *f, const struct init_plan *p, unsigned i);
void init_text_edge(FILE *f, const struct init_plan *p, unsigned i);
void init_text_ctl(FILE *f, const struct init_plan *p);
/* "HOST:PORT", "[v6]:PORT" */
void init_address(char *out, size_t cap, const char *host, uint16_t port);

#endif
