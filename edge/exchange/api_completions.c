/* SPDX-License-Identifier: Apache-2.0
 * POST /v1/completions: the older API, one prompt or several.
 */
#include "edge/exchange/api.h"

static bool read_completions(struct edge_call *call, struct edge_error *error)
{
    call->bounds_output = true;
    int64_t best_of = 0;
    yyjson_val *prompt = yyjson_obj_get(call->root, "prompt");
    if (!edge_call_read_stream(call, error) ||
        !edge_call_number(call->root, "n", 1, EDGE_CHOICES_MAX, &call->choices, error) ||
        !edge_call_number(call->root, "best_of", 1, EDGE_CHOICES_MAX, &best_of, error) ||
        !edge_call_number(call->root, "max_tokens", 1, EDGE_OUTPUT_MAX, &call->max_output, error))
        return false;
    if (best_of > call->choices)
        call->choices = best_of; /* all of them are billed */
    /* An array of strings, or of arrays of tokens, is so many prompts, each with its own answers.
     */
    yyjson_val *first = yyjson_arr_get_first(prompt);
    if (yyjson_is_str(first) || yyjson_is_arr(first))
        call->choices *= (int64_t)yyjson_arr_size(prompt);
    if (yyjson_is_true(yyjson_obj_get(call->root, "echo")))
        call->extra_output = (int64_t)call->body_len;
    return true;
}

static bool edit_completions(const struct edge_call *call, const struct edge_route *route,
                             int64_t max_output, struct edge_edits *edits, struct edge_error *error)
{
    struct edge_members members;
    (void)route;
    if (!edge_members_find(call->body, call->body_len, 0, &members))
        return edge_call_refuse(error, NULL, "invalid_json", "The body has too many members.");
    if (call->max_output == 0)
        edge_call_edit_bound(call, &members, "max_tokens", max_output, edits);
    edge_call_edit_stream(call, &members, edits);
    return true;
}

const struct edge_api edge_api_completions = {
    .path = "/v1/completions",
    .upstream_path = "/completions",
    .read = read_completions,
    .edit = edit_completions,
    .event = edge_openai_event,
    .answer = edge_openai_answer,
};
