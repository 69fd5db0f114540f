/* SPDX-License-Identifier: Apache-2.0
 * POST /v1/embeddings: input only, never a stream.
 */
#include "edge/exchange/api.h"

static bool read_embeddings(struct edge_call *call, struct edge_error *error)
{
    size_t i, max;
    yyjson_val *item;
    yyjson_val *input = yyjson_obj_get(call->root, "input");
    if (!yyjson_is_str(input) && (!yyjson_is_arr(input) || yyjson_arr_size(input) == 0))
        return edge_call_refuse(error, "input", "missing_required_parameter",
                                "'input' must be a string or an array that is not empty.");
    yyjson_arr_foreach(input, i, max, item)
    {
        if (yyjson_is_obj(item))
            call->unbounded = "an input that is not text";
    }
    return true;
}

static bool edit_nothing(const struct edge_call *call, const struct edge_route *route,
                         int64_t max_output, struct edge_edits *edits, struct edge_error *error)
{
    (void)call;
    (void)route;
    (void)max_output;
    (void)edits;
    (void)error;
    return true;
}

const struct edge_api edge_api_embeddings = {
    .path = "/v1/embeddings",
    .upstream_path = "/embeddings",
    .read = read_embeddings,
    .edit = edit_nothing,
    .event = edge_openai_event,
    .answer = edge_openai_answer,
};
