/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/exchange/health.h"

#include "edge/http/response.h"
#include "proto/text.h"

void edge_health_serve(struct edge_context *ctx, struct edge_http_request *req, bool ready)
{
    static const struct edge_http_header json[] = {{"content-type", "application/json"},
                                                   {"cache-control", "no-store"}};
    if (!ready) {
        edge_metrics_answer(ctx->metrics, 200, NULL, NULL);
        edge_http_reply(req, 200, json, 2, "{\"status\":\"ok\"}\n", 16);
        return;
    }
    char body[256];
    bool ledger = edge_prices_ledger_answers(ctx->prices);
    uint32_t version = edge_prices_version(ctx->prices);
    struct proto_text t = proto_text_over(body, sizeof body);
    proto_text_put(&t, ledger && version > 0 ? "{\"status\":\"ready\",\"ledger\":"
                                             : "{\"status\":\"not ready\",\"ledger\":");
    proto_text_put(&t, ledger ? "true,\"price_version\":" : "false,\"price_version\":");
    proto_text_uint(&t, version);
    proto_text_put(&t, "}\n");
    edge_metrics_answer(ctx->metrics, ledger && version > 0 ? 200 : 503, NULL, NULL);
    edge_http_reply(req, ledger && version > 0 ? 200 : 503, json, 2, body, t.n);
}
