/* SPDX-License-Identifier: Apache-2.0
 * What `holdfastctl init` lays out: the plan of a new cluster, and the text of its files. Private
 * to cmd_init.c, init_plan.c and init_files.c.
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
    INIT_LIST_MAX = INIT_PORTS_MAX, /* items of a list on the command line */
    INIT_LIST_TEXT = 4096,
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

/* The plan of a command line, but for identity and token. hosts: room for what the plan points to.
 * CTL_OK, or CTL_USAGE with the error set. */
int init_plan_read(struct ctl *c, const struct ctl_args *a, struct init_plan *p,
                   char hosts[INIT_LIST_TEXT]);
/* "a,b,c" into items, which point into `text`; -1: too many. */
int init_split(char *text, const char *items[INIT_LIST_MAX]);

/* Each writes the whole text of a file; i counts from 1. */
void init_text_cluster(FILE *f, const struct init_plan *p);
void init_text_node(FILE *f, const struct init_plan *p, unsigned i);
void init_text_edge(FILE *f, const struct init_plan *p, unsigned i);
void init_text_ctl(FILE *f, const struct init_plan *p);
/* "HOST:PORT", "[v6]:PORT" */
void init_address(char *out, size_t cap, const char *host, uint16_t port);

#endif
