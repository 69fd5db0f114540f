/* SPDX-License-Identifier: Apache-2.0
 * Which path is served by what, and the refusals of everything else. On the worker's loop thread.
 */
#ifndef HOLDFAST_EDGE_ROUTER_H
#define HOLDFAST_EDGE_ROUTER_H

#include "edge/exchange/context.h"

struct edge_http_request;

/* on_request of the HTTP server. */
void edge_router_serve(struct edge_context *ctx, struct edge_http_request *req);
/* refusal_body of the HTTP server. */
size_t edge_router_refusal(void *context, int status, const char *reason, char *out, size_t cap,
                           const char **content_type);

#endif
