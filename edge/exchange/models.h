/* SPDX-License-Identifier: Apache-2.0
 * GET /v1/models and GET /v1/models/{id}: the configured routes that the key may use, and with a
 * route for any model those of the price catalogue (without a route for it, a name nobody priced
 * may still be asked for). The ledger says whose key it is (a stale read, from any node); no money
 * is asked about, so that it works when everything is spent (F55).
 */
#ifndef HOLDFAST_EDGE_MODELS_H
#define HOLDFAST_EDGE_MODELS_H

#include "edge/exchange/context.h"

struct edge_http_request;

enum { EDGE_MODELS_WAIT_MS = 5000 };

/* id: percent-encoded, of the request's path; NULL: the list. */
void edge_models_serve(struct edge_context *ctx, struct edge_http_request *req, const char *id);

#endif
