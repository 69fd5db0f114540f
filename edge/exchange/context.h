/* SPDX-License-Identifier: Apache-2.0
 * What the exchanges of one worker share. Owned by the worker; everything on its loop's thread, but
 * for the configuration, which all workers read.
 */
#ifndef HOLDFAST_EDGE_CONTEXT_H
#define HOLDFAST_EDGE_CONTEXT_H

#include "edge/config.h"
#include "edge/exchange/prices.h"
#include "edge/exchange/settlement.h"
#include "edge/metrics.h"
#include "edge/upstream/upstream.h"

#include <sys/queue.h>

struct edge_exchange;

struct edge_context {
    const struct edge_config *config;
    uv_loop_t *loop;
    struct link_client *link;
    struct upstream *upstream;
    struct edge_prices *prices;
    struct edge_settlements *settlements;
    TAILQ_HEAD(edge_exchange_list, edge_exchange) exchanges;
    unsigned n_exchanges;
    struct edge_metrics *metrics;
};

#endif
