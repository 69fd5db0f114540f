/* SPDX-License-Identifier: Apache-2.0
 * Reads a call's JSON: what a provider would look at, and the overrides in `metadata`. Any thread;
 * pure but for the allocation inside the JSON parser.
 */
#include "tools/mock/mock.h"

#include "proto/money.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yyjson.h>

enum { BYTES_PER_TOKEN = 4 };

size_t mock_escape(char *out, size_t cap, const char *text, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len && n + 7 < cap; i++) {
        unsigned char ch = (unsigned char)text[i];
        if (ch == '"' || ch == '\\') {
            out[n++] = '\\';
            out[n++] = (char)ch;
        } else if (ch < 0x20) {
            n += (size_t)snprintf(out + n, cap - n, "\\u%04x", ch);
        } else {
            out[n++] = (char)ch;
        }
    }
    out[n] = '\0';
    return n;
}

/* Bytes of a text, or of the texts in an array of strings, parts or messages. */
static uint64_t text_bytes(yyjson_val *v)
{
    size_t i, max;
    yyjson_val *item;
    uint64_t sum = 0;
    if (yyjson_is_str(v))
        return yyjson_get_len(v);
    if (yyjson_is_obj(v)) {
        yyjson_val *content = yyjson_obj_get(v, "content");
        return content ? text_bytes(content) : text_bytes(yyjson_obj_get(v, "text"));
    }
    if (yyjson_is_arr(v)) {
        yyjson_arr_foreach(v, i, max, item)
        {
            sum += text_bytes(item);
        }
    }
    return sum;
}

static bool number(yyjson_val *v, uint64_t max, uint64_t *out)
{
    uint64_t n;
    if (yyjson_is_str(v)) {
        const char *text = yyjson_get_str(v);
        char *end;
        if (*text < '0' || *text > '9')
            return false;
        errno = 0;
        n = strtoull(text, &end, 10);
        if (*end || errno)
            return false;
    } else if (yyjson_is_uint(v)) {
        n = yyjson_get_uint(v);
    } else {
        return false;
    }
    if (n > max)
        return false;
    *out = n;
    return true;
}

static uint64_t field(yyjson_val *object, const char *name, uint64_t max, uint64_t otherwise)
{
    uint64_t n;
    return number(yyjson_obj_get(object, name), max, &n) ? n : otherwise;
}

static void read_overrides(struct mock_ask *ask, yyjson_val *metadata, uint64_t *tokens,
                           uint64_t *max_tokens)
{
    ask->latency_ms = field(metadata, "mock_latency_ms", UINT32_MAX, ask->latency_ms);
    ask->interval_ms = field(metadata, "mock_interval_ms", UINT32_MAX, ask->interval_ms);
    ask->prompt_tokens =
        (uint32_t)field(metadata, "mock_prompt_tokens", UINT32_MAX / 2, ask->prompt_tokens);
    ask->cached_tokens = (uint32_t)field(metadata, "mock_cached_tokens", UINT32_MAX / 2, 0);
    ask->status = (int)field(metadata, "mock_status", 599, 0);
    ask->piece = (uint32_t)field(metadata, "mock_piece", 65536, 0);
    ask->hang = field(metadata, "mock_hang", 1, 0) == 1;
    ask->no_usage = field(metadata, "mock_no_usage", 1, 0) == 1;
    ask->stamp = field(metadata, "mock_stamp", 1, 0) == 1;
    ask->cut_after = (int64_t)field(metadata, "mock_cut_after", INT32_MAX, UINT64_MAX);
    ask->hang_after = (int64_t)field(metadata, "mock_hang_after", INT32_MAX, UINT64_MAX);
    *tokens = field(metadata, "mock_tokens", TOKENS_MAX, *tokens);
    if (field(metadata, "mock_ignore_max", 1, 0))
        *max_tokens = TOKENS_MAX;
    yyjson_val *script = yyjson_obj_get(metadata, "mock_script");
    if (yyjson_is_str(script))
        (void)snprintf(ask->script, sizeof ask->script, "%s", yyjson_get_str(script));
    yyjson_val *cost = yyjson_obj_get(metadata, "mock_cost");
    int64_t nanos;
    if (yyjson_is_str(cost) && proto_money_parse(proto_str_of(yyjson_get_str(cost)), &nanos) == 0)
        ask->cost_nanos = nanos;
}

static void count_cost(struct mock_ask *ask, const struct mock_options *options)
{
    if (ask->cost_nanos >= 0 || !options->cost_header)
        return;
    if (options->cost_nanos >= 0) {
        ask->cost_nanos = options->cost_nanos;
        return;
    }
    uint64_t completion = ask->endpoint == MOCK_EMBEDDINGS ? 0 : (uint64_t)ask->n * ask->tokens;
    ask->cost_nanos = (int64_t)ask->prompt_tokens * options->price_in_nanos +
                      (int64_t)completion * options->price_out_nanos;
}

static const char *const INPUTS[MOCK_ENDPOINTS] = {"messages", "prompt", "input"};

static int read_root(struct mock_ask *ask, const struct mock_options *options, yyjson_val *root,
                     const char **message)
{
    yyjson_val *model = yyjson_obj_get(root, "model");
    yyjson_val *input = yyjson_obj_get(root, INPUTS[ask->endpoint]);
    if (!yyjson_is_str(model) || !yyjson_get_len(model)) {
        *message = "you must provide a model parameter";
        return 400;
    }
    if (!input || (ask->endpoint == MOCK_CHAT && !yyjson_is_arr(input))) {
        *message = "the input of the call (messages, prompt or input) is missing or malformed";
        return 400;
    }
    mock_escape(ask->model, sizeof ask->model, yyjson_get_str(model), yyjson_get_len(model));
    ask->stream = yyjson_get_bool(yyjson_obj_get(root, "stream"));
    yyjson_val *stream_options = yyjson_obj_get(root, "stream_options");
    ask->include_usage = yyjson_get_bool(yyjson_obj_get(stream_options, "include_usage"));
    ask->base64 = yyjson_equals_str(yyjson_obj_get(root, "encoding_format"), "base64");
    ask->inputs = yyjson_is_arr(input) ? (uint32_t)yyjson_arr_size(input) : 1;
    ask->n = (uint32_t)field(root, "n", CHOICES_MAX, 1);
    ask->n = ask->n ? ask->n : 1;
    if (ask->endpoint == MOCK_EMBEDDINGS && ask->inputs > INPUTS_MAX) {
        *message = "too many inputs";
        return 400;
    }
    uint64_t bytes = text_bytes(input);
    ask->prompt_tokens = (uint32_t)((bytes + BYTES_PER_TOKEN - 1) / BYTES_PER_TOKEN);
    uint64_t tokens = options->tokens;
    uint64_t max_tokens = field(root, "max_tokens", TOKENS_MAX, TOKENS_MAX);
    max_tokens = field(root, "max_completion_tokens", TOKENS_MAX, max_tokens);
    read_overrides(ask, yyjson_obj_get(root, "metadata"), &tokens, &max_tokens);
    ask->limited = tokens >= max_tokens;
    ask->tokens = (uint32_t)(tokens < max_tokens ? tokens : max_tokens);
    count_cost(ask, options);
    return 0;
}

int mock_ask_read(struct mock_ask *ask, const struct mock_options *options,
                  enum mock_endpoint endpoint, char *body, size_t len, const char **message)
{
    memset(ask, 0, offsetof(struct mock_ask, script) + 1);
    ask->endpoint = endpoint;
    ask->cost_nanos = -1;
    ask->latency_ms = options->latency_ms;
    ask->interval_ms = options->interval_ms;
    yyjson_doc *doc = yyjson_read(body, len, 0);
    if (!doc) {
        *message = "we could not parse the JSON body of your request";
        return 400;
    }
    int status = 400;
    *message = "the body is not a JSON object";
    if (yyjson_is_obj(yyjson_doc_get_root(doc)))
        status = read_root(ask, options, yyjson_doc_get_root(doc), message);
    yyjson_doc_free(doc);
    return status;
}
