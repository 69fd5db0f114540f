/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/exchange/models.h"

#include "edge/exchange/auth.h"
#include "edge/exchange/error.h"
#include "edge/http/response.h"
#include "edge/http/server.h"
#include "proto/query.h"

#include <stdlib.h>

enum { ENTRY_BYTES = 6 * PROTO_NAME_MAX + 6 * PROTO_NAME_MAX + 96 };

struct listing {
    struct edge_context *ctx;
    struct edge_http_request *req;
    bool one;
    char id[PROTO_NAME_MAX + 1];
};

static void refuse(struct edge_context *ctx, struct edge_http_request *req,
                   const struct edge_error *error)
{
    edge_metrics_answer(ctx->metrics, error->status, error->type, error->code);
    char body[EDGE_ERROR_BODY];
    const struct edge_http_header headers[] = {
        {"content-type", "application/json"},
        {"retry-after", error->retry_after_s > 0 ? "1" : NULL},
        {"www-authenticate", error->status == 401 ? "Bearer" : NULL}};
    size_t n = edge_error_body(error, body);
    edge_http_reply(req, error->status, headers, 3, body, n);
}

static int hex_of(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static bool decode(const char *text, char out[PROTO_NAME_MAX + 1])
{
    size_t n = 0;
    for (; *text != '\0'; text++) {
        if (n == PROTO_NAME_MAX)
            return false;
        if (*text != '%') {
            out[n++] = *text;
            continue;
        }
        int high = hex_of(text[1]);
        int low = high >= 0 ? hex_of(text[2]) : -1;
        if (low < 0)
            return false;
        out[n++] = (char)(high << 4 | low);
        text += 2;
    }
    out[n] = '\0';
    return proto_utf8_clean((struct proto_str){out, (uint32_t)n}) && strlen(out) == n;
}

static bool allows(const struct proto_identity *who, const char *model)
{
    for (uint32_t i = 0; i < who->models.n; i++)
        if (proto_str_eq(who->models.e[i].model, proto_str_of(model)))
            return true;
    return who->models.n == 0;
}

/* By the name that the call would have on the ledger: the catalogue's, where it has a price. */
static bool may_use(const struct listing *l, const struct proto_identity *who,
                    const struct edge_route *route, const char *model)
{
    const struct edge_price *price = edge_prices_of(l->ctx->prices, route, model);
    return allows(who, price != NULL ? price->model : model);
}

static void put_model(struct proto_text *t, const char *model, const struct edge_route *route)
{
    proto_text_put(t, "{\"id\":");
    proto_text_json(t, proto_str_of(model));
    proto_text_put(t, ",\"object\":\"model\",\"created\":0,\"owned_by\":");
    proto_text_json(t, proto_str_of(route->provider->name));
    proto_text_put(t, "}");
}

static void answer(struct edge_context *ctx, struct edge_http_request *req,
                   const struct proto_text *t)
{
    edge_metrics_answer(ctx->metrics, 200, NULL, NULL);
    const struct edge_http_header headers[] = {{"content-type", "application/json"}};
    edge_http_reply(req, 200, headers, 1, t->base, t->n);
}

static void answer_one(const struct listing *l, const struct proto_identity *who)
{
    const struct edge_route *route = edge_config_route(l->ctx->config, l->id);
    bool known = route != NULL && (route != l->ctx->config->any_route ||
                                   edge_prices_find(l->ctx->prices, l->id) != NULL);
    if (!known || !may_use(l, who, route, l->id)) {
        struct edge_error error;
        edge_error_set(&error, 404, "invalid_request_error", "model_not_found",
                       "The model '%s' does not exist here, or this key may not use it.", l->id);
        error.param = "model";
        refuse(l->ctx, l->req, &error);
        return;
    }
    char body[ENTRY_BYTES];
    struct proto_text t = proto_text_over(body, sizeof body);
    put_model(&t, l->id, route);
    answer(l->ctx, l->req, &t);
}

/* Adds an entry; one that finds no memory is left out. */
static void list_model(struct base_buf *out, const char *model, const struct edge_route *route)
{
    char entry[ENTRY_BYTES];
    struct proto_text t = proto_text_over(entry, sizeof entry);
    if (base_buf_len(out) > 0)
        proto_text_put(&t, ",");
    put_model(&t, model, route);
    (void)!base_buf_add(out, t.base, t.n);
}

static void answer_list(const struct listing *l, const struct proto_identity *who)
{
    static const struct edge_http_header json[] = {{"content-type", "application/json"}};
    const struct edge_config *config = l->ctx->config;
    const struct edge_route *any = config->any_route;
    const struct edge_price *price;
    struct base_buf models;
    base_buf_init(&models, 0); /* bounded by the routes and the catalogue */
    for (unsigned i = 0; i < config->n_routes; i++) {
        const struct edge_route *route = &config->routes[i];
        if (route != any && may_use(l, who, route, route->model))
            list_model(&models, route->model, route);
    }
    for (uint32_t i = 0; any != NULL && (price = edge_prices_at(l->ctx->prices, i)) != NULL; i++)
        if (edge_config_route(config, price->model) == any && may_use(l, who, any, price->model))
            list_model(&models, price->model, any);
    edge_metrics_answer(l->ctx->metrics, 200, NULL, NULL);
    edge_http_begin(l->req, 200, json, 1, EDGE_HTTP_LENGTH_UNKNOWN, NULL);
    edge_http_write(l->req, "{\"object\":\"list\",\"data\":[", 25);
    if (base_buf_len(&models) > 0)
        edge_http_write(l->req, base_buf_at(&models), base_buf_len(&models));
    edge_http_write(l->req, "]}", 2);
    edge_http_end(l->req, NULL, 0);
    base_buf_close(&models);
}

static void on_identity(void *arg, const struct link_answer *a)
{
    struct listing *l = arg;
    struct edge_error error;
    struct proto_str bytes;
    struct proto_identity who;
    bool known = false;
    if (a->outcome != LINK_ANSWERED || a->answer == NULL) {
        edge_error_of_ledger(&error, a->outcome);
    } else if (a->answer->code != PROTO_OK) {
        edge_error_of_code(&error, a->answer->code);
    } else if (!proto_answer_row(a->answer, &bytes)) {
        edge_error_of_code(&error, PROTO_UNAUTHENTICATED);
    } else {
        struct proto_reader r = proto_reader_over(bytes.p, bytes.n);
        known = proto_identity_get(&r, &who);
        if (!known)
            edge_error_of_ledger(&error, LINK_REFUSED);
    }
    if (!known)
        refuse(l->ctx, l->req, &error);
    else if (l->one)
        answer_one(l, &who);
    else
        answer_list(l, &who);
    free(l);
}

void edge_models_serve(struct edge_context *ctx, struct edge_http_request *req, const char *id)
{
    struct edge_error error;
    struct proto_hash cred;
    char public_part[PROTO_PUBLIC_MAX + 1];
    if (!edge_auth_read(req, &cred, public_part, &error)) {
        refuse(ctx, req, &error);
        return;
    }
    struct listing *l = calloc(1, sizeof *l);
    if (l == NULL) {
        edge_http_abort(req);
        return;
    }
    *l = (struct listing){.ctx = ctx, .req = req, .one = id != NULL};
    struct proto_query query = {.head = {.kind = PROTO_QUERY_whoami, .cred = cred}};
    if (id != NULL && !decode(id, l->id)) {
        edge_error_set(&error, 404, "invalid_request_error", "model_not_found",
                       "That is no model's name.");
        refuse(ctx, req, &error);
        free(l);
    } else if (link_client_query(ctx->link, &query, true, EDGE_MODELS_WAIT_MS, on_identity, l) <
               0) {
        edge_error_of_ledger(&error, LINK_UNAVAILABLE);
        refuse(ctx, req, &error);
        free(l);
    }
}
