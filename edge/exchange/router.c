/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/exchange/router.h"

#include "edge/exchange/exchange.h"
#include "edge/exchange/health.h"
#include "edge/exchange/models.h"
#include "edge/http/request.h"
#include "edge/http/response.h"

static const struct edge_api *const apis[] = {&edge_api_chat, &edge_api_completions,
                                              &edge_api_embeddings};

static void refuse(struct edge_context *ctx, struct edge_http_request *req,
                   const struct edge_error *error, const char *allow)
{
    edge_metrics_answer(ctx->metrics, error->status, error->type, error->code);
    char body[EDGE_ERROR_BODY];
    const struct edge_http_header headers[] = {{"content-type", "application/json"},
                                               {"allow", allow}};
    size_t n = edge_error_body(error, body);
    edge_http_reply(req, error->status, headers, 2, body, n);
}

/* True: the method fits. Else the request is answered with 405. */
static bool method_is(struct edge_context *ctx, struct edge_http_request *req, bool post)
{
    enum edge_http_method method = edge_http_request_method(req);
    if (post ? method == EDGE_HTTP_POST : method == EDGE_HTTP_GET || method == EDGE_HTTP_HEAD)
        return true;
    struct edge_error error;
    edge_error_set(&error, 405, "invalid_request_error", "method_not_allowed",
                   "Not allowed method %s for this path.", edge_http_request_method_name(req));
    refuse(ctx, req, &error, post ? "POST" : "GET, HEAD");
    return false;
}

void edge_router_serve(struct edge_context *ctx, struct edge_http_request *req)
{
    const char *path = edge_http_request_path(req);
    for (size_t i = 0; i < sizeof apis / sizeof *apis; i++) {
        if (strcmp(path, apis[i]->path) == 0) {
            if (method_is(ctx, req, true))
                edge_exchange_start(ctx, req, apis[i]);
            return;
        }
    }
    bool one_model = strncmp(path, "/v1/models/", 11) == 0 && path[11] != '\0';
    if (one_model || strcmp(path, "/v1/models") == 0) {
        if (method_is(ctx, req, false))
            edge_models_serve(ctx, req, one_model ? path + 11 : NULL);
    } else if (strcmp(path, "/healthz") == 0 || strcmp(path, "/readyz") == 0) {
        if (method_is(ctx, req, false))
            edge_health_serve(ctx, req, path[1] == 'r');
    } else {
        struct edge_error error;
        edge_error_set(&error, 404, "invalid_request_error", "unknown_url",
                       "Unknown request URL: %s %.256s. Served are POST /v1/chat/completions, "
                       "/v1/completions and /v1/embeddings, and GET /v1/models.",
                       edge_http_request_method_name(req), path);
        refuse(ctx, req, &error, NULL);
    }
}

size_t edge_router_refusal(void *context, int status, const char *reason, char *out, size_t cap,
                           const char **content_type)
{
    (void)context;
    *content_type = "application/json";
    return edge_error_plain(status, reason, out, cap);
}
