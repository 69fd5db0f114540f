/* SPDX-License-Identifier: Apache-2.0
 * POST /v1/chat/completions.
 */
#include "edge/exchange/api.h"

static const char *part_without_bound(yyjson_val *part)
{
    yyjson_val *type = yyjson_obj_get(part, "type");
    if (yyjson_is_str(part) || yyjson_equals_str(type, "text") ||
        yyjson_equals_str(type, "refusal") || yyjson_equals_str(type, "thinking"))
        return NULL;
    if (yyjson_equals_str(type, "image_url"))
        return "image_url";
    if (yyjson_equals_str(type, "input_audio"))
        return "input_audio";
    if (yyjson_equals_str(type, "file"))
        return "file";
    return "a content part that is not text";
}

/* One part, or what stands in place of a list of them. */
static bool read_part(struct edge_call *call, yyjson_val *part, struct edge_error *error)
{
    const char *unbounded = part_without_bound(part);
    if (unbounded != NULL)
        call->unbounded = unbounded;
    return edge_call_keys(part, "messages", EDGE_PART_MEMBERS_MAX, error);
}

static bool read_content(struct edge_call *call, yyjson_val *content, struct edge_error *error)
{
    size_t i, max;
    yyjson_val *part;
    if (yyjson_is_obj(content))
        return read_part(call, content, error);
    yyjson_arr_foreach(content, i, max, part)
    {
        if (!read_part(call, part, error))
            return false;
    }
    return true;
}

static bool read_messages(struct edge_call *call, struct edge_error *error)
{
    yyjson_val *messages = yyjson_obj_get(call->root, "messages");
    if (!yyjson_is_arr(messages) || yyjson_arr_size(messages) == 0)
        return edge_call_refuse(error, "messages", "missing_required_parameter",
                                "'messages' must be an array that is not empty.");
    size_t i, max;
    yyjson_val *message;
    yyjson_arr_foreach(messages, i, max, message)
    {
        if (!yyjson_is_obj(message))
            return edge_call_refuse(error, "messages", "invalid_type",
                                    "Each of 'messages' must be an object.");
        if (yyjson_obj_get(message, "audio") != NULL)
            call->unbounded = "the audio of an earlier answer";
        if (!edge_call_keys(message, "messages", EDGE_PART_MEMBERS_MAX, error) ||
            !read_content(call, yyjson_obj_get(message, "content"), error))
            return false;
    }
    call->input_tokens += (int64_t)max * EDGE_MESSAGE_OVERHEAD_TOKENS;
    return true;
}

static bool is_given(yyjson_val *value)
{
    return value != NULL && !yyjson_is_null(value);
}

static bool read_tools(struct edge_call *call, struct edge_error *error)
{
    size_t i, max;
    yyjson_val *tool;
    yyjson_val *tools = yyjson_obj_get(call->root, "tools");
    yyjson_arr_foreach(tools, i, max, tool)
    {
        yyjson_val *type = yyjson_obj_get(tool, "type");
        if (!edge_call_keys(tool, "tools", EDGE_PART_MEMBERS_MAX, error))
            return false;
        if (!yyjson_equals_str(type, "function") && !yyjson_equals_str(type, "custom"))
            call->unbounded = "a tool that the provider runs itself";
    }
    if (is_given(tools) || is_given(yyjson_obj_get(call->root, "functions")))
        call->input_tokens += EDGE_TOOLS_OVERHEAD_TOKENS;
    return true;
}

static void read_output(struct edge_call *call)
{
    size_t i, max;
    yyjson_val *mode;
    yyjson_val *modalities = yyjson_obj_get(call->root, "modalities");
    yyjson_arr_foreach(modalities, i, max, mode)
    {
        if (!yyjson_equals_str(mode, "text") && !yyjson_equals_str(mode, "audio"))
            call->unbounded = "an output that is neither text nor audio";
    }
    if (is_given(yyjson_obj_get(call->root, "prediction")))
        call->extra_output = (int64_t)call->body_len; /* rejected tokens are billed as output */
}

static bool read_chat(struct edge_call *call, struct edge_error *error)
{
    call->bounds_output = true;
    int64_t older = 0;
    if (!read_messages(call, error) || !edge_call_read_stream(call, error) ||
        !edge_call_number(call->root, "n", 1, EDGE_CHOICES_MAX, &call->choices, error) ||
        !edge_call_number(call->root, "max_tokens", 1, EDGE_OUTPUT_MAX, &older, error) ||
        !edge_call_number(call->root, "max_completion_tokens", 1, EDGE_OUTPUT_MAX,
                          &call->max_output, error))
        return false;
    if (older > call->max_output)
        call->max_output = older;
    read_output(call);
    return read_tools(call, error);
}

static bool edit_chat(const struct edge_call *call, const struct edge_route *route,
                      int64_t max_output, struct edge_edits *edits, struct edge_error *error)
{
    struct edge_members members;
    if (!edge_members_find(call->body, call->body_len, 0, &members))
        return edge_call_refuse(error, NULL, "invalid_json", "The body has too many members.");
    /* A provider of max_tokens may not know the newer field. The other way round the older one
     * alone is honoured, and both together are refused. */
    const char *field = route->max_tokens_field ? "max_tokens" : "max_completion_tokens";
    bool unknown = route->max_tokens_field && !is_given(yyjson_obj_get(call->root, field));
    if (call->max_output == 0 || unknown)
        edge_call_edit_bound(call, &members, field, max_output, edits);
    edge_call_edit_stream(call, &members, edits);
    return true;
}

const struct edge_api edge_api_chat = {
    .path = "/v1/chat/completions",
    .upstream_path = "/chat/completions",
    .read = read_chat,
    .edit = edit_chat,
    .event = edge_openai_event,
    .answer = edge_openai_answer,
};
