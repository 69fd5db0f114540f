/* SPDX-License-Identifier: Apache-2.0
 * The seeder's questions over the network: one blocking client for each other node, on its peer
 * port, with this node's own certificate. Main thread of a command.
 */
#ifndef HOLDFAST_LEDGER_SEED_LINK_H
#define HOLDFAST_LEDGER_SEED_LINK_H

#include "ledger/config.h"
#include "ledger/seed/seeder.h"

enum {
    SEED_HELLO_TIMEOUT_MS = 3000,
    SEED_TIMEOUT_MS =
        600000, /* of open and digest: a large state is copied, or hashed, meanwhile */
    SEED_PIECE_TIMEOUT_MS = 120000, /* of the others: somebody else may have to be answered first */
    SEED_PAUSE_MS = 200,
};

struct net_client;

struct seed_net {
    const struct node_config *config;
    uint64_t node[SEED_OTHERS_MAX];
    struct net_client *client[SEED_OTHERS_MAX];
    unsigned n;
    struct net_frame *reply; /* the last answer: its views point into it */
};

/* 0 or a negative code with its cause. Closed even after a failure. */
__attribute__((warn_unused_result)) int
seed_net_open(struct seed_net *s, const struct node_config *config, struct store_why *why);
void seed_net_close(struct seed_net *s);
struct seed_link seed_net_link(struct seed_net *s);

#endif
