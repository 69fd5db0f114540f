/* SPDX-License-Identifier: Apache-2.0
 * One request's life, from a complete HTTP request to its answer and the end of its hold. An
 * exchange frees itself; its request is completed exactly once. On the worker's loop thread.
 */
#ifndef HOLDFAST_EDGE_EXCHANGE_H
#define HOLDFAST_EDGE_EXCHANGE_H

#include "edge/exchange/api.h"
#include "edge/exchange/context.h"

struct edge_http_request;

enum { EDGE_SWEEP_MS = 50 }; /* how late the end of a wait can be noticed */

/* Takes the request over; its user pointer becomes the exchange. */
void edge_exchange_start(struct edge_context *ctx, struct edge_http_request *req,
                         const struct edge_api *api);
/* The HTTP server's on_client_gone and on_writable, for a request with an exchange. */
void edge_exchange_client_gone(struct edge_exchange *x);
void edge_exchange_writable(struct edge_exchange *x);

/* Every EDGE_SWEEP_MS: waits that are over. */
void edge_exchange_sweep(struct edge_context *ctx);
/* The edge ends: calls to providers are stopped and settled by what is known. */
void edge_exchange_cut_all(struct edge_context *ctx);

#endif
