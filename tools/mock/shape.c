/* SPDX-License-Identifier: Apache-2.0
 * OpenAI's JSON shapes, written as text: cheaper than building documents, and every byte is known.
 * Pure but for mock_stamp's clock; the only strings from outside are escaped before (ask.c).
 */
#include "tools/mock/mock.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { PRINT_BYTES_MAX = 4096 };

static const char *const WORDS[] = {"hold",  "fast", "to",  "the",   "ledger", "and",
                                    "every", "cent", "is",  "where", "it",     "was",
                                    "put",   "by",   "you", "before"};
enum { WORDS_COUNT = sizeof WORDS / sizeof WORDS[0] };

int mock_printf(struct base_buf *out, const char *format, ...)
{
    int rv = base_buf_reserve(out, PRINT_BYTES_MAX);
    if (rv)
        return rv;
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(out->base + out->end, PRINT_BYTES_MAX, format, ap);
    va_end(ap);
    if (n < 0 || n >= PRINT_BYTES_MAX)
        return -ENOBUFS;
    out->end += (size_t)n;
    return 0;
}

static const char *word(uint64_t i)
{
    return WORDS[i % WORDS_COUNT];
}

static const char *finish_reason(const struct mock_ask *ask)
{
    return ask->limited ? "length" : "stop";
}

static int add_usage(struct base_buf *out, const struct mock_ask *ask)
{
    uint64_t completion = (uint64_t)ask->n * ask->tokens;
    if (ask->endpoint == MOCK_EMBEDDINGS)
        return mock_printf(out, "\"usage\":{\"prompt_tokens\":%u,\"total_tokens\":%u}",
                           ask->prompt_tokens, ask->prompt_tokens);
    return mock_printf(out,
                       "\"usage\":{\"prompt_tokens\":%u,\"completion_tokens\":%llu,"
                       "\"total_tokens\":%llu,\"prompt_tokens_details\":{\"cached_tokens\":%u,"
                       "\"audio_tokens\":0},\"completion_tokens_details\":{\"reasoning_tokens\":0,"
                       "\"audio_tokens\":0,\"accepted_prediction_tokens\":0,"
                       "\"rejected_prediction_tokens\":0}}",
                       ask->prompt_tokens, (unsigned long long)completion,
                       (unsigned long long)(ask->prompt_tokens + completion), ask->cached_tokens);
}

static int add_text(struct base_buf *out, uint32_t tokens)
{
    int rv = 0;
    for (uint32_t i = 0; rv == 0 && i < tokens; i++) {
        const char *w = word(i);
        if (i)
            rv = base_buf_add(out, " ", 1);
        if (rv == 0)
            rv = base_buf_add(out, w, strlen(w));
    }
    return rv;
}

static int add_choice(struct base_buf *out, const struct mock_ask *ask, uint32_t index)
{
    bool chat = ask->endpoint == MOCK_CHAT;
    int rv = mock_printf(out,
                         chat ? "%s{\"index\":%u,\"message\":{\"role\":\"assistant\",\"content\":\""
                              : "%s{\"index\":%u,\"text\":\"",
                         index ? "," : "", index);
    if (rv == 0)
        rv = add_text(out, ask->tokens);
    if (rv == 0)
        rv = mock_printf(out,
                         chat ? "\",\"refusal\":null,\"annotations\":[]},\"logprobs\":null,"
                                "\"finish_reason\":\"%s\"}"
                              : "\",\"logprobs\":null,\"finish_reason\":\"%s\"}",
                         finish_reason(ask));
    return rv;
}

static int shape_choices(struct base_buf *out, const struct mock_answer *answer)
{
    const struct mock_ask *ask = answer->ask;
    int rv =
        mock_printf(out,
                    "{\"id\":\"%s\",\"object\":\"%s\",\"created\":%lld,\"model\":\"%s\","
                    "\"choices\":[",
                    answer->id, ask->endpoint == MOCK_CHAT ? "chat.completion" : "text_completion",
                    (long long)answer->created, ask->model);
    for (uint32_t i = 0; rv == 0 && i < ask->n; i++)
        rv = add_choice(out, ask, i);
    if (rv == 0)
        rv = mock_printf(out, ask->no_usage ? "]" : "],");
    if (rv == 0 && !ask->no_usage)
        rv = add_usage(out, ask);
    if (rv == 0)
        rv = mock_printf(out, ",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_mock\"}");
    return rv;
}

/* The vector is a function of its index; in base64 as little-endian floats, as the SDKs ask. */
static int add_embedding(struct base_buf *out, const struct mock_ask *ask, uint32_t index)
{
    static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    float vector[EMBEDDING_DIMENSIONS];
    unsigned char bytes[sizeof vector + 3] = {0};
    int rv = mock_printf(out, "%s{\"object\":\"embedding\",\"index\":%u,\"embedding\":%s",
                         index ? "," : "", index, ask->base64 ? "\"" : "[");
    for (unsigned i = 0; i < EMBEDDING_DIMENSIONS; i++)
        vector[i] = (float)((index * 7 + i * 3) % 16) / 16.0F - 0.5F;
    for (unsigned i = 0; rv == 0 && !ask->base64 && i < EMBEDDING_DIMENSIONS; i++)
        rv = mock_printf(out, "%s%.4f", i ? "," : "", (double)vector[i]);
    memcpy(bytes, vector, sizeof vector);
    for (size_t i = 0; rv == 0 && ask->base64 && i < sizeof vector; i += 3) {
        unsigned v = (unsigned)bytes[i] << 16 | (unsigned)bytes[i + 1] << 8 | bytes[i + 2];
        char four[4] = {DIGITS[v >> 18], DIGITS[v >> 12 & 63], DIGITS[v >> 6 & 63], DIGITS[v & 63]};
        size_t left = sizeof vector - i;
        if (left < 3)
            four[3] = '=';
        if (left < 2)
            four[2] = '=';
        rv = base_buf_add(out, four, sizeof four);
    }
    return rv ? rv : mock_printf(out, ask->base64 ? "\"}" : "]}");
}

static int shape_embeddings(struct base_buf *out, const struct mock_answer *answer)
{
    const struct mock_ask *ask = answer->ask;
    int rv = mock_printf(out, "{\"object\":\"list\",\"data\":[");
    for (uint32_t i = 0; rv == 0 && i < ask->inputs; i++)
        rv = add_embedding(out, ask, i);
    if (rv == 0)
        rv = mock_printf(out, "],\"model\":\"%s\"%s", ask->model, ask->no_usage ? "" : ",");
    if (rv == 0 && !ask->no_usage)
        rv = add_usage(out, ask);
    return rv ? rv : mock_printf(out, "}");
}

int mock_shape_answer(struct base_buf *out, const struct mock_answer *answer)
{
    return answer->ask->endpoint == MOCK_EMBEDDINGS ? shape_embeddings(out, answer)
                                                    : shape_choices(out, answer);
}

/* A stream's events: n roles, n * tokens words, n ends, usage if asked for, [DONE]. */
uint64_t mock_shape_events(const struct mock_ask *ask)
{
    bool usage = ask->include_usage && !ask->no_usage;
    return (uint64_t)ask->n * (ask->tokens + 2U) + (usage ? 1 : 0) + 1;
}

static int add_stamp(struct base_buf *out, uint32_t index)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return mock_printf(
        out,
        "{\"index\":%u,\"delta\":{\"content\":\"@%llu@\"},\"logprobs\":null,"
        "\"finish_reason\":null}",
        index, (unsigned long long)t.tv_sec * 1000000000ULL + (unsigned long long)t.tv_nsec);
}

static int add_delta(struct base_buf *out, const struct mock_ask *ask, uint64_t event)
{
    uint32_t index = (uint32_t)(event % ask->n);
    uint64_t position = event / ask->n; /* 0: role, 1..tokens: words, then the end */
    bool chat = ask->endpoint == MOCK_CHAT;
    if (position == 0)
        return mock_printf(out,
                           chat
                               ? "{\"index\":%u,\"delta\":{\"role\":\"assistant\",\"content\":\"\","
                                 "\"refusal\":null},\"logprobs\":null,\"finish_reason\":null}"
                               : "{\"index\":%u,\"text\":\"\",\"logprobs\":null,"
                                 "\"finish_reason\":null}",
                           index);
    if (position > ask->tokens)
        return mock_printf(out,
                           chat ? "{\"index\":%u,\"delta\":{},\"logprobs\":null,"
                                  "\"finish_reason\":\"%s\"}"
                                : "{\"index\":%u,\"text\":\"\",\"logprobs\":null,"
                                  "\"finish_reason\":\"%s\"}",
                           index, finish_reason(ask));
    if (chat && ask->stamp)
        return add_stamp(out, index);
    return mock_printf(out,
                       chat ? "{\"index\":%u,\"delta\":{\"content\":\"%s%s\"},\"logprobs\":null,"
                              "\"finish_reason\":null}"
                            : "{\"index\":%u,\"text\":\"%s%s\",\"logprobs\":null,"
                              "\"finish_reason\":null}",
                       index, position == 1 ? "" : " ", word(position - 1));
}

int mock_shape_event(struct base_buf *out, const struct mock_answer *answer, uint64_t event)
{
    const struct mock_ask *ask = answer->ask;
    uint64_t deltas = (uint64_t)ask->n * (ask->tokens + 2U);
    if (event + 1 == mock_shape_events(ask))
        return mock_printf(out, "data: [DONE]\n\n");
    int rv = mock_printf(out,
                         "data: {\"id\":\"%s\",\"object\":\"%s\",\"created\":%lld,\"model\":\"%s\","
                         "\"service_tier\":\"default\",\"system_fingerprint\":\"fp_mock\","
                         "\"choices\":[",
                         answer->id,
                         ask->endpoint == MOCK_CHAT ? "chat.completion.chunk" : "text_completion",
                         (long long)answer->created, ask->model);
    if (rv == 0 && event < deltas)
        rv = add_delta(out, ask, event);
    if (rv == 0)
        rv = mock_printf(out, "]");
    if (rv == 0 && ask->include_usage && !ask->no_usage) {
        rv = mock_printf(out, event < deltas ? ",\"usage\":null" : ",");
        if (rv == 0 && event >= deltas)
            rv = add_usage(out, ask);
    }
    return rv ? rv : mock_printf(out, "}\n\n");
}

static const char *error_type(int status)
{
    switch (status) {
    case 401:
        return "authentication_error";
    case 403:
        return "permission_error";
    case 429:
        return "rate_limit_error";
    default:
        return status >= 500 ? "server_error" : "invalid_request_error";
    }
}

int mock_shape_error(struct base_buf *out, int status, const char *message)
{
    return mock_printf(out,
                       "{\"error\":{\"message\":\"%s\",\"type\":\"%s\",\"param\":null,"
                       "\"code\":%s}}",
                       message, error_type(status), status == 401 ? "\"invalid_api_key\"" : "null");
}

int mock_shape_models(struct base_buf *out, const struct mock_options *options)
{
    int rv = mock_printf(out, "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; rv == 0 && i < options->models_count; i++) {
        char name[MODEL_BYTES_MAX];
        mock_escape(name, sizeof name, options->models[i], strlen(options->models[i]));
        rv = mock_printf(out,
                         "%s{\"id\":\"%s\",\"object\":\"model\",\"created\":1700000000,"
                         "\"owned_by\":\"holdfast-mock\"}",
                         i ? "," : "", name);
    }
    return rv ? rv : mock_printf(out, "]}");
}

static unsigned long long count(atomic_uint_fast64_t *counter)
{
    return (unsigned long long)atomic_load_explicit(counter, memory_order_relaxed);
}

int mock_shape_stats(struct base_buf *out)
{
    struct mock_stats *s = &mock_stats;
    unsigned long long chat = count(&s->received[MOCK_CHAT]);
    unsigned long long completions = count(&s->received[MOCK_COMPLETIONS]);
    unsigned long long embeddings = count(&s->received[MOCK_EMBEDDINGS]);
    return mock_printf(out,
                       "{\"received\":%llu,\"completed\":%llu,\"failed\":%llu,\"aborted\":%llu,"
                       "\"in_flight\":%llu,\"unauthorized\":%llu,\"prompt_tokens\":%llu,"
                       "\"completion_tokens\":%llu,\"cost_nanos\":%llu,\"endpoints\":{"
                       "\"/v1/chat/completions\":%llu,\"/v1/completions\":%llu,"
                       "\"/v1/embeddings\":%llu}}\n",
                       chat + completions + embeddings, count(&s->completed), count(&s->failed),
                       count(&s->aborted), count(&s->in_flight), count(&s->unauthorized),
                       count(&s->prompt_tokens), count(&s->completion_tokens),
                       count(&s->cost_nanos), chat, completions, embeddings);
}
