/* SPDX-License-Identifier: Apache-2.0
 * GET /healthz (the process answers) and GET /readyz (calls can be served: there is a price
 * catalogue, and the ledger answered the last check).
 */
#ifndef HOLDFAST_EDGE_HEALTH_H
#define HOLDFAST_EDGE_HEALTH_H

#include "edge/exchange/context.h"

struct edge_http_request;

void edge_health_serve(struct edge_context *ctx, struct edge_http_request *req, bool ready);

#endif
