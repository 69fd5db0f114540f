/* SPDX-License-Identifier: Apache-2.0
 * The active price catalogue as this worker knows it: a snapshot of one version, fetched page by
 * page from the ledger and replaced whole. One a worker, on its loop's thread. While a newer
 * version is being fetched the old one serves: the ledger refuses amounts of an old version
 * (STALE_CONFIG).
 *
 * It is also how a worker knows that the ledger answers: the check of `totals`, every
 * EDGE_PRICES_CHECK_MS, goes through a quorum.
 */
#ifndef HOLDFAST_EDGE_PRICES_H
#define HOLDFAST_EDGE_PRICES_H

#include "edge/config.h"
#include "proto/link/client.h"
#include "proto/price.h"

#include <sys/queue.h>
#include <uv.h>

enum {
    EDGE_PRICES_CHECK_MS = 5000, /* ask for the active version */
    EDGE_PRICES_RETRY_MS = 500,  /* ... after a failure, and while there is no catalogue */
    EDGE_PRICES_QUERY_MS = 3000,
    EDGE_PRICES_MAX = 100000, /* models of a catalogue; more: it cannot be loaded */
};

struct edge_price {
    const char *model;
    uint32_t max_input, max_output;
    uint32_t n_points;
    const struct proto_point *points;
};

/* Somebody who waits for a newer snapshot. called once: `ok` false: it could not be had. */
struct edge_prices_waiter {
    TAILQ_ENTRY(edge_prices_waiter) entry;
    void (*call)(void *arg, bool ok);
    void *arg;
    bool waiting;
};

struct edge_prices;

__attribute__((warn_unused_result)) int edge_prices_new(struct edge_prices **out, uv_loop_t *loop,
                                                        struct link_client *link);
/* After link_client_free: no answer may be under way. Waiters are not called. */
void edge_prices_close(struct edge_prices *prices, void (*on_closed)(void *arg), void *arg);

/* NULL: no price of that name. Lives until the loop turns. */
const struct edge_price *edge_prices_find(const struct edge_prices *prices, const char *model);
/* Of a model on its route: by the route's price_model, the model's own name, or PROVIDER/MODEL.
 * NULL: it is unpriced. */
const struct edge_price *edge_prices_of(const struct edge_prices *prices,
                                        const struct edge_route *route, const char *model);
/* The i-th price of the catalogue; NULL: no more. */
const struct edge_price *edge_prices_at(const struct edge_prices *prices, uint32_t i);
uint32_t edge_prices_version(const struct edge_prices *prices); /* 0: no catalogue */
bool edge_prices_loaded(const struct edge_prices *prices);
/* The last check was answered. */
bool edge_prices_ledger_answers(const struct edge_prices *prices);
/* Ask now whether there is a newer version. */
void edge_prices_refresh(struct edge_prices *prices);
void edge_prices_wait(struct edge_prices *prices, struct edge_prices_waiter *waiter);
void edge_prices_unwait(struct edge_prices *prices, struct edge_prices_waiter *waiter);

#endif
