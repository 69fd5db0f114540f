/* SPDX-License-Identifier: Apache-2.0
 * Reading and editing a request's body: what all APIs share. See api.h.
 */
#include "edge/exchange/api.h"

#include <errno.h>
#include <stdio.h>

bool edge_call_refuse(struct edge_error *error, const char *param, const char *code,
                      const char *message)
{
    edge_error_set(error, 400, "invalid_request_error", code, "%s", message);
    error->param = param;
    return false;
}

bool edge_call_number(yyjson_val *root, const char *name, int64_t min, int64_t max, int64_t *out,
                      struct edge_error *error)
{
    yyjson_val *value = yyjson_obj_get(root, name);
    if (value == NULL || yyjson_is_null(value))
        return true;
    int64_t n;
    if (edge_json_count(value, &n) && n >= min && n <= max) {
        *out = n;
        return true;
    }
    edge_error_set(error, 400, "invalid_request_error", "invalid_value",
                   "'%s' must be a whole number from %lld to %lld.", name, (long long)min,
                   (long long)max);
    error->param = name;
    return false;
}

/* The members that decide what a call can cost, in any of the objects that are looked at. */
static const char *const deciding[] = {
    "model",      "messages", "prompt",     "input",         "stream",     "stream_options",
    "n",          "best_of",  "max_tokens", "include_usage", "content",    "max_completion_tokens",
    "type",       "audio",    "tools",      "functions",     "prediction", "service_tier",
    "modalities", "echo",     "image_url",  "input_audio",   "file",
};

/* Hosted tools, kept conversations and contexts, other models, templates that write text. */
static const char *const unbounded_members[] = {
    "web_search_options", "previous_response_id",
    "search_parameters",  "plugins",
    "conversation",       "models",
    "fallbacks",          "preset",
    "cached_content",     "extra_body",
    "data_sources",       "enable_search",
    "mcp_servers",        "chat_template",
};
enum {
    DECIDING = sizeof deciding / sizeof *deciding,
    UNBOUNDED = sizeof unbounded_members / sizeof *unbounded_members,
};

/* Lower-case ASCII needs no closer look. */
static bool is_plain(struct proto_str key)
{
    for (uint32_t i = 0; i < key.n; i++)
        if ((key.p[i] >= 'A' && key.p[i] <= 'Z') || (unsigned char)key.p[i] >= 0x80)
            return false;
    return true;
}

static bool looks_like_ours(struct proto_str key)
{
    for (size_t i = 0; i < DECIDING; i++)
        if (edge_key_looks_like(key, deciding[i]))
            return true;
    for (size_t i = 0; i < UNBOUNDED; i++)
        if (edge_key_looks_like(key, unbounded_members[i]))
            return true;
    return false;
}

bool edge_call_keys(yyjson_val *object, const char *param, size_t max, struct edge_error *error)
{
    size_t i, n;
    yyjson_val *name, *value;
    struct proto_str wrong = {NULL, 0};
    const char *how = "stands twice";
    if (!yyjson_is_obj(object))
        return true;
    if (yyjson_obj_size(object) > max)
        return edge_call_refuse(error, param, "invalid_type", "An object has too many members.");
    wrong = edge_member_double(object);
    yyjson_obj_foreach(object, i, n, name, value)
    {
        struct proto_str key = edge_json_str(name);
        if (wrong.p == NULL && !is_plain(key) && looks_like_ours(key)) {
            wrong = key;
            how = "is not in lower case";
        }
    }
    if (wrong.p == NULL)
        return true;
    edge_error_set(error, 400, "invalid_request_error", "duplicate_key",
                   "The member '%.*s' %s in %s.", (int)(wrong.n > 64 ? 64 : wrong.n), wrong.p, how,
                   param != NULL ? param : "the body");
    error->param = param;
    return false;
}

static bool is_given(yyjson_val *value)
{
    return value != NULL && !yyjson_is_null(value);
}

void edge_call_read_unbounded(struct edge_call *call)
{
    for (size_t i = 0; i < UNBOUNDED; i++)
        if (is_given(yyjson_obj_get(call->root, unbounded_members[i])))
            call->unbounded = unbounded_members[i];
}

/* A name that goes to the ledger: at most PROTO_NAME_MAX bytes, no control characters. */
static bool copy_name(char out[PROTO_NAME_MAX + 1], yyjson_val *value, const char *param,
                      struct edge_error *error)
{
    struct proto_str s = edge_json_str(value);
    if (s.n > PROTO_NAME_MAX || !proto_utf8_clean(s)) {
        edge_error_set(error, 400, "invalid_request_error", "invalid_value",
                       "'%s' must be at most %d bytes of text without control characters.", param,
                       PROTO_NAME_MAX);
        error->param = param;
        return false;
    }
    if (s.n > 0)
        memcpy(out, s.p, s.n);
    out[s.n] = '\0';
    return true;
}

/* metadata.customer_id, else user. */
static bool read_customer(struct edge_call *call, struct edge_error *error)
{
    yyjson_val *metadata = yyjson_obj_get(call->root, "metadata");
    if (metadata != NULL && edge_member_double(metadata).p != NULL)
        return edge_call_refuse(error, "metadata", "duplicate_key",
                                "A member stands twice in 'metadata'.");
    yyjson_val *id = yyjson_obj_get(metadata, "customer_id");
    if (yyjson_is_str(id))
        return copy_name(call->customer, id, "metadata.customer_id", error);
    yyjson_val *user = yyjson_obj_get(call->root, "user");
    if (yyjson_is_str(user))
        return copy_name(call->customer, user, "user", error);
    return true;
}

static bool parse(struct edge_call *call, struct edge_error *error)
{
    const char *why = "";
    size_t at = 0;
    call->doc = edge_json_read(call->body, call->body_len, &why, &at);
    if (call->doc == NULL) {
        edge_error_set(error, 400, "invalid_request_error", "invalid_json",
                       "The body is not valid JSON: %s at byte %zu.", why, at);
        return false;
    }
    call->root = yyjson_doc_get_root(call->doc);
    if (!yyjson_is_obj(call->root))
        return edge_call_refuse(error, NULL, "invalid_json", "The body must be a JSON object.");
    struct edge_members members;
    if (!edge_members_find(call->body, call->body_len, 0, &members))
        return edge_call_refuse(error, NULL, "invalid_json",
                                "The body has too many members or is nested too deep.");
    return edge_call_keys(call->root, NULL, EDGE_JSON_MEMBERS_MAX, error);
}

bool edge_call_read(struct edge_call *call, const struct edge_api *api, const char *body, size_t n,
                    struct edge_error *error)
{
    memset(call, 0, sizeof *call);
    call->body = body;
    call->body_len = n;
    call->choices = 1;
    if (n == 0)
        return edge_call_refuse(error, NULL, "invalid_json", "The body is empty.");
    if (!parse(call, error))
        return false;
    yyjson_val *model = yyjson_obj_get(call->root, "model");
    if (!yyjson_is_str(model) || yyjson_get_len(model) == 0)
        return edge_call_refuse(error, "model", "missing_required_parameter",
                                "You must provide a model: 'model' is a string.");
    call->class = edge_usage_class(yyjson_obj_get(call->root, "service_tier"));
    call->input_tokens = EDGE_OVERHEAD_TOKENS;
    edge_call_read_unbounded(call);
    return copy_name(call->model, model, "model", error) && read_customer(call, error) &&
           api->read(call, error);
}

bool edge_call_reopen(struct edge_call *call, struct edge_error *error)
{
    const char *why;
    size_t at;
    if (call->doc == NULL)
        call->doc = edge_json_read(call->body, call->body_len, &why, &at);
    call->root = yyjson_doc_get_root(call->doc);
    if (call->root == NULL) /* it was parsed before */
        edge_error_set(error, 503, "server_error", "overloaded", "Out of memory.");
    return call->root != NULL;
}

void edge_call_close(struct edge_call *call)
{
    yyjson_doc_free(call->doc);
    call->doc = NULL;
    call->root = NULL;
}

int64_t edge_call_max_output(const struct edge_call *call, const struct edge_route *route,
                             const struct edge_config *config, uint32_t model_max)
{
    if (!call->bounds_output)
        return 0;
    if (call->max_output > 0)
        return call->max_output;
    int64_t bound = route->max_output > 0 ? route->max_output : config->default_max_output;
    return model_max > 0 && bound > (int64_t)model_max ? (int64_t)model_max : bound;
}

int edge_call_bound(const struct edge_call *call, size_t forwarded_bytes, int64_t max_output,
                    const struct proto_point *points, uint32_t n_points, int64_t *nanos)
{
    int64_t output;
    if (__builtin_mul_overflow(call->choices, max_output, &output) ||
        __builtin_add_overflow(output, call->extra_output, &output))
        return -ERANGE;
    return proto_price_bound(points, n_points, (int64_t)forwarded_bytes + call->input_tokens,
                             output, nanos);
}

/* ---- editing ---- */

static void edit_model(const struct edge_call *call, const struct edge_route *route,
                       const struct edge_members *members, struct edge_edits *edits)
{
    if (route->upstream_model[0] == '\0' || strcmp(route->upstream_model, call->model) == 0)
        return;
    char text[sizeof edits->e[0].text];
    struct proto_text t = proto_text_over(text, sizeof text);
    proto_text_json(&t, proto_str_of(route->upstream_model));
    edge_edits_put(edits, members->value[edge_member_of(call->root, "model")], text);
}

void edge_call_edit_bound(const struct edge_call *call, const struct edge_members *members,
                          const char *field, int64_t max_output, struct edge_edits *edits)
{
    char text[96];
    int member = edge_member_of(call->root, field);
    if (member >= 0) { /* it was null */
        snprintf(text, sizeof text, "%lld", (long long)max_output);
        edge_edits_put(edits, members->value[member], text);
        return;
    }
    snprintf(text, sizeof text, "\"%s\":%lld,", field, (long long)max_output);
    edge_edits_put(edits, (struct edge_span){members->open, members->open}, text);
}

void edge_call_edit_stream(const struct edge_call *call, const struct edge_members *members,
                           struct edge_edits *edits)
{
    if (!call->stream || call->wants_usage)
        return;
    int member = edge_member_of(call->root, "stream_options");
    if (member < 0) {
        edge_edits_put(edits, (struct edge_span){members->open, members->open},
                       "\"stream_options\":{\"include_usage\":true},");
        return;
    }
    yyjson_val *options = yyjson_obj_get(call->root, "stream_options");
    struct edge_span span = members->value[member];
    if (!yyjson_is_obj(options)) { /* null */
        edge_edits_put(edits, span, "{\"include_usage\":true}");
        return;
    }
    struct edge_members inner;
    /* The outer walk has seen this object, and read_stream that its members are few. */
    bool found = edge_members_find(call->body, call->body_len, span.at, &inner);
    int include = edge_member_of(options, "include_usage");
    if (found && include >= 0)
        edge_edits_put(edits, inner.value[include], "true");
    else if (found)
        edge_edits_put(edits, (struct edge_span){inner.open, inner.open},
                       inner.n > 0 ? "\"include_usage\":true," : "\"include_usage\":true");
}

bool edge_call_edit(const struct edge_call *call, const struct edge_api *api,
                    const struct edge_route *route, int64_t max_output, struct base_buf *out,
                    struct edge_error *error)
{
    struct edge_members members;
    struct edge_edits edits = {.n = 0};
    if (!edge_members_find(call->body, call->body_len, 0, &members))
        return edge_call_refuse(error, NULL, "invalid_json", "The body has too many members.");
    edit_model(call, route, &members, &edits);
    if (!api->edit(call, route, max_output, &edits, error))
        return false;
    if (edits.n > 0 && edge_edits_apply(&edits, call->body, call->body_len, out) < 0) {
        edge_error_set(error, 503, "server_error", "overloaded", "Out of memory.");
        return false;
    }
    return true;
}
