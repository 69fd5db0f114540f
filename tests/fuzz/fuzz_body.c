/* SPDX-License-Identifier: Apache-2.0
 * Bodies of the APIs: a client's request is refused with a cause, or read, bounded and edited; the
 * edited body is JSON that reads as the same call with its output bounded. And a provider's answer
 * or event: whatever it says, the units are not negative. The first byte says which.
 */
#include "edge/exchange/api.h"
#include "tests/fuzz/fuzz.h"

enum { OUTPUT = 4096 };
static const struct edge_api *const apis[] = {&edge_api_chat, &edge_api_completions,
                                              &edge_api_embeddings};

static void forwarded(const struct edge_api *api, const struct edge_call *call,
                      const struct edge_route *route, int64_t max_output, struct base_buf *out)
{
    struct edge_call again;
    struct edge_error error = {0};
    char *exact = (char *)fuzz_copy(base_buf_at(out), base_buf_len(out));
    FUZZ_HOLDS(edge_call_read(&again, api, exact, base_buf_len(out), &error));
    FUZZ_HOLDS(
        strcmp(again.model, route->upstream_model[0] ? route->upstream_model : call->model) == 0);
    FUZZ_HOLDS(again.choices == call->choices && again.stream == call->stream);
    FUZZ_HOLDS(!call->bounds_output || again.max_output == max_output);
    edge_call_close(&again);
    free(exact);
}

static void request(const struct edge_api *api, const uint8_t *p, size_t n, bool renamed)
{
    static const struct proto_point points[] = {{.unit = PROTO_UNIT_input, .price = 2000000000000},
                                                {.unit = PROTO_UNIT_output, .price = 1}};
    const struct edge_config config = {.default_max_output = OUTPUT};
    struct edge_route route = {.max_tokens_field = renamed};
    struct edge_error error = {0};
    struct edge_call call;
    struct base_buf out;
    if (renamed)
        (void)snprintf(route.upstream_model, sizeof route.upstream_model, "real \"one\"");
    base_buf_init(&out, 0);
    if (!edge_call_read(&call, api, (const char *)p, n, &error)) {
        FUZZ_HOLDS(error.status >= 400 && error.status < 500);
    } else {
        const int64_t max_output = edge_call_max_output(&call, &route, &config, 0);
        int64_t nanos = -1;
        FUZZ_HOLDS(max_output >= 0);
        if (!edge_call_edit(&call, api, &route, max_output, &out, &error))
            FUZZ_HOLDS(error.status >= 400);
        else if (base_buf_len(&out) > 0)
            forwarded(api, &call, &route, max_output, &out);
        if (edge_call_bound(&call, n, max_output, points, 2, &nanos) == 0)
            FUZZ_HOLDS(nanos >= 0);
    }
    edge_call_close(&call);
    base_buf_close(&out);
}

static void answer(const struct edge_api *api, const uint8_t *p, size_t n, bool event)
{
    const struct edge_call call = {.stream = event};
    struct edge_meter meter = {0};
    struct proto_units units;
    if (event && api->event)
        (void)api->event(&call, &meter, (const char *)p, n);
    else
        api->answer(&meter, (const char *)p, n);
    FUZZ_HOLDS(meter.text_bytes >= 0);
    FUZZ_HOLDS(!meter.usage.has_cost || meter.usage.cost_nanos >= 0);
    edge_usage_units(&meter.usage, &units);
    for (unsigned i = 0; i < PROTO_UNIT_COUNT; i++)
        FUZZ_HOLDS(units.n[i] >= 0 && units.n[i] <= 2 * (int64_t)EDGE_TOKENS_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0)
        return 0;
    const struct edge_api *api = apis[data[0] % 3];
    uint8_t *exact = fuzz_copy(data + 1, n - 1);
    if (data[0] & 0x40)
        answer(api, exact, n - 1, data[0] & 0x20);
    else
        request(api, exact, n - 1, data[0] & 0x20);
    free(exact);
    return 0;
}
