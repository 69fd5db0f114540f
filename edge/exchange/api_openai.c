/* SPDX-License-Identifier: Apache-2.0
 * What the APIs of the OpenAI shape share: `stream`, events, usage. See api.h.
 */
#include "edge/exchange/api.h"

bool edge_call_read_stream(struct edge_call *call, struct edge_error *error)
{
    yyjson_val *stream = yyjson_obj_get(call->root, "stream");
    if (stream != NULL && !yyjson_is_bool(stream) && !yyjson_is_null(stream))
        return edge_call_refuse(error, "stream", "invalid_type", "'stream' must be a boolean.");
    call->stream = yyjson_is_true(stream);
    yyjson_val *options = yyjson_obj_get(call->root, "stream_options");
    if (options == NULL || yyjson_is_null(options))
        return true;
    if (!yyjson_is_obj(options))
        return edge_call_refuse(error, "stream_options", "invalid_type",
                                "'stream_options' must be an object.");
    if (!edge_call_keys(options, "stream_options", EDGE_PART_MEMBERS_MAX, error))
        return false;
    call->wants_usage = yyjson_is_true(yyjson_obj_get(options, "include_usage"));
    return true;
}

/* usage, or x_groq.usage, of a chunk or an answer. */
static void meter_usage(struct edge_meter *meter, yyjson_val *root)
{
    yyjson_val *tier = yyjson_obj_get(root, "service_tier");
    if (yyjson_is_str(tier))
        meter->usage.class = edge_usage_class(tier);
    if (!edge_usage_read(&meter->usage, yyjson_obj_get(root, "usage")))
        edge_usage_read(&meter->usage, yyjson_obj_get(yyjson_obj_get(root, "x_groq"), "usage"));
}

/* {"error": ...} where an answer should be: some providers say it with status 200, or in a stream
 * (OpenRouter, Groq, Anthropic's event). What did come all the same is counted as ever. */
static void meter_error(struct edge_meter *meter, yyjson_val *root)
{
    yyjson_val *error = yyjson_obj_get(root, "error");
    bool told = yyjson_is_obj(error) || (yyjson_is_str(error) && yyjson_get_len(error) > 0);
    if (told && yyjson_arr_size(yyjson_obj_get(root, "data")) == 0)
        meter->failed = true;
}

static void meter_choices(struct edge_meter *meter, yyjson_val *choices)
{
    size_t i, max;
    yyjson_val *choice;
    yyjson_arr_foreach(choices, i, max, choice)
    {
        meter->text_bytes += edge_usage_text_bytes(yyjson_obj_get(choice, "delta"));
        meter->text_bytes += edge_usage_text_bytes(yyjson_obj_get(choice, "message"));
        meter->text_bytes += edge_usage_text_bytes(yyjson_obj_get(choice, "text"));
    }
}

bool edge_openai_event(const struct edge_call *call, struct edge_meter *meter, const char *data,
                       size_t n)
{
    if (n == 6 && memcmp(data, "[DONE]", 6) == 0) {
        meter->done = true;
        return false;
    }
    const char *why;
    size_t at;
    yyjson_doc *doc = edge_json_read(data, n, &why, &at);
    if (doc == NULL) {
        meter->text_bytes += (int64_t)n; /* unknown: counted as text */
        return false;
    }
    yyjson_val *root = yyjson_doc_get_root(doc);
    yyjson_val *choices = yyjson_obj_get(root, "choices");
    meter_usage(meter, root);
    meter_choices(meter, choices);
    meter_error(meter, root);
    bool only_usage = yyjson_is_arr(choices) && yyjson_arr_size(choices) == 0 &&
                      yyjson_is_obj(yyjson_obj_get(root, "usage"));
    yyjson_doc_free(doc);
    return only_usage && !call->wants_usage;
}

void edge_openai_answer(struct edge_meter *meter, const char *body, size_t n)
{
    const char *why;
    size_t at;
    yyjson_doc *doc = n > 0 ? edge_json_read(body, n, &why, &at) : NULL;
    if (doc == NULL) {
        meter->text_bytes += (int64_t)n;
        return;
    }
    yyjson_val *root = yyjson_doc_get_root(doc);
    meter_usage(meter, root);
    meter_choices(meter, yyjson_obj_get(root, "choices"));
    meter_error(meter, root);
    yyjson_doc_free(doc);
}
