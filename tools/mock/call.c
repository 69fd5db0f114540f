/* SPDX-License-Identifier: Apache-2.0
 * One call: reads what is asked, waits if told to, answers whole or as a stream. Worker's thread.
 * Calls that can be answered at once never leave on_request; the others are a struct mock_call
 * until they are completed or the caller is gone.
 */
#include "edge/http/request.h"
#include "edge/http/response.h"
#include "proto/money.h"
#include "tools/mock/mock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

struct mock_call {
    TAILQ_ENTRY(mock_call) link;
    struct mock_worker *worker;
    struct edge_http_request *req; /* NULL: completed, only the timer is left to close */
    uv_timer_t timer;
    struct mock_ask ask;
    struct mock_answer answer;
    bool begun;
    bool paused; /* the caller reads slowly: on_writable goes on */
    uint64_t event;
    struct base_buf bytes; /* to be sent: an event, or a script */
    uint32_t random;
};

struct mock_stats mock_stats;

static void up(atomic_uint_fast64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static void down(atomic_uint_fast64_t *counter)
{
    atomic_fetch_sub_explicit(counter, 1, memory_order_relaxed);
}

static void count_completed(const struct mock_ask *ask)
{
    up(&mock_stats.completed, 1);
    up(&mock_stats.prompt_tokens, ask->prompt_tokens);
    if (ask->endpoint != MOCK_EMBEDDINGS)
        up(&mock_stats.completion_tokens, (uint64_t)ask->n * ask->tokens);
    if (ask->cost_nanos > 0)
        up(&mock_stats.cost_nanos, (uint64_t)ask->cost_nanos);
}

/* ---- answers in one piece ---- */

static void reply_json(struct edge_http_request *req, int status, struct base_buf *json, int rv)
{
    const struct edge_http_header type = {"Content-Type", "application/json"};
    if (rv)
        edge_http_reply(req, 500, NULL, 0, NULL, 0);
    else
        edge_http_reply(req, status, &type, 1, base_buf_at(json), base_buf_len(json));
    base_buf_close(json);
}

static void reply_error(struct edge_http_request *req, int status, const char *message)
{
    struct base_buf json;
    base_buf_init(&json, 0);
    reply_json(req, status, &json, mock_shape_error(&json, status, message));
}

/* x-request-id and, where told, the cost. */
static size_t answer_headers(const struct mock_worker *worker, const struct mock_ask *ask,
                             const struct mock_answer *answer, struct edge_http_header headers[4],
                             char money[PROTO_MONEY_TEXT_MAX])
{
    size_t n = 0;
    headers[n++] = (struct edge_http_header){"x-request-id", answer->id};
    if (ask->cost_nanos >= 0 && worker->options->cost_header) {
        proto_money_print(ask->cost_nanos, money);
        headers[n++] = (struct edge_http_header){worker->options->cost_header, money};
    }
    return n;
}

static void answer_init(struct mock_worker *worker, const struct mock_ask *ask,
                        struct mock_answer *answer)
{
    answer->ask = ask;
    answer->created = (int64_t)time(NULL);
    (void)snprintf(answer->id, sizeof answer->id, "%s-mock%02x%010llx",
                   ask->endpoint == MOCK_CHAT ? "chatcmpl" : "cmpl", worker->index,
                   (unsigned long long)++worker->sequence);
}

static void answer_whole(struct mock_worker *worker, struct edge_http_request *req,
                         const struct mock_ask *ask)
{
    struct edge_http_header headers[4];
    char money[PROTO_MONEY_TEXT_MAX];
    struct mock_answer answer;
    struct base_buf json;
    if (ask->status && ask->status != 200) {
        up(&mock_stats.failed, 1);
        reply_error(req, ask->status < 400 ? 500 : ask->status, "the mock was told to fail");
        return;
    }
    base_buf_init(&json, 0);
    answer_init(worker, ask, &answer);
    if (mock_shape_answer(&json, &answer) != 0) {
        up(&mock_stats.failed, 1);
        reply_error(req, 500, "no memory");
    } else {
        size_t n = answer_headers(worker, ask, &answer, headers, money);
        headers[n++] = (struct edge_http_header){"Content-Type", "application/json"};
        count_completed(ask);
        edge_http_reply(req, 200, headers, n, base_buf_at(&json), base_buf_len(&json));
    }
    base_buf_close(&json);
}

/* ---- calls that take time ---- */

static void on_call_closed(uv_handle_t *handle)
{
    free(handle->data);
}

/* The request is completed: nothing but the timer's end is left. */
static void call_close(struct mock_call *call)
{
    TAILQ_REMOVE(&call->worker->calls, call, link);
    down(&mock_stats.in_flight);
    base_buf_close(&call->bytes);
    uv_close((uv_handle_t *)&call->timer, on_call_closed);
}

static void call_cut(struct mock_call *call)
{
    up(&mock_stats.failed, 1);
    edge_http_abort(call->req);
    call_close(call);
}

static void call_end(struct mock_call *call)
{
    count_completed(&call->ask);
    edge_http_end(call->req, NULL, 0);
    call_close(call);
}

static void stream_begin(struct mock_call *call)
{
    struct edge_http_header headers[4];
    char money[PROTO_MONEY_TEXT_MAX];
    size_t n = answer_headers(call->worker, &call->ask, &call->answer, headers, money);
    headers[n++] = (struct edge_http_header){"Content-Type", "text/event-stream; charset=utf-8"};
    headers[n++] = (struct edge_http_header){"Cache-Control", "no-cache"};
    edge_http_begin(call->req, 200, headers, n, EDGE_HTTP_LENGTH_UNKNOWN, NULL);
    call->begun = true;
}

static bool is_script(const struct mock_call *call)
{
    return call->ask.script[0] != '\0';
}

/* A recording that is to end early keeps its first `events` events. */
static void cut_script(struct base_buf *bytes, int64_t events)
{
    const char *p = base_buf_at(bytes);
    size_t len = base_buf_len(bytes), kept = 0;
    while (events-- > 0) {
        const char *end = memmem(p + kept, len - kept, "\n\n", 2);
        if (!end)
            return;
        kept = (size_t)(end - p) + 2;
    }
    bytes->end = bytes->off + kept;
}

static size_t piece_size(struct mock_call *call)
{
    size_t left = base_buf_len(&call->bytes);
    if (!call->ask.piece)
        return left;
    call->random = call->random * 1664525U + 1013904223U;
    size_t n = 1 + (call->random >> 8) % call->ask.piece;
    return n < left ? n : left;
}

/* Fills bytes with the next event. False: the call is closed, or hangs from now on. */
static bool next_event(struct mock_call *call)
{
    int64_t event = is_script(call) ? INT64_MAX : (int64_t)call->event;
    uint64_t events = is_script(call) ? 0 : mock_shape_events(&call->ask);
    if (call->ask.hang_after >= 0 && call->ask.hang_after <= event)
        return false;
    if (call->ask.cut_after >= 0 && call->ask.cut_after <= event)
        call_cut(call);
    else if (call->event >= events)
        call_end(call);
    else if (mock_shape_event(&call->bytes, &call->answer, call->event++) != 0)
        call_cut(call);
    else
        return true;
    return false;
}

/* One step of a stream. False: nothing more is to be sent now. */
static bool stream_step(struct mock_call *call)
{
    if (!base_buf_len(&call->bytes) && !next_event(call))
        return false;
    size_t n = piece_size(call);
    size_t queued = edge_http_write(call->req, base_buf_at(&call->bytes), n);
    base_buf_take(&call->bytes, n);
    call->paused = queued >= EDGE_HTTP_HIGH_WATER;
    return !call->paused;
}

static void on_timer(uv_timer_t *timer);

static void stream_run(struct mock_call *call)
{
    bool paced = call->ask.interval_ms || call->ask.piece;
    while (stream_step(call)) {
        if (paced) { /* with 0 ms: the loop's next turn, so that each piece is a write of its own */
            uv_timer_start(&call->timer, on_timer, call->ask.interval_ms, 0);
            return;
        }
    }
}

static void call_start(struct mock_call *call)
{
    struct mock_worker *worker = call->worker;
    struct edge_http_request *req = call->req;
    if (call->ask.hang)
        return;
    bool fails = call->ask.status && call->ask.status != 200;
    if (!fails && call->ask.cut_after == 0) {
        call_cut(call);
    } else if (fails || !(call->ask.stream || is_script(call))) {
        answer_whole(worker, req, &call->ask);
        call_close(call);
    } else {
        stream_begin(call);
        stream_run(call);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct mock_call *call = timer->data;
    if (call->begun)
        stream_run(call);
    else
        call_start(call);
}

static void call_new(struct mock_worker *worker, struct edge_http_request *req,
                     const struct mock_ask *ask)
{
    struct mock_call *call = calloc(1, sizeof *call);
    if (!call) {
        reply_error(req, 500, "no memory");
        return;
    }
    call->worker = worker;
    call->req = req;
    call->ask = *ask;
    call->random = (uint32_t)worker->sequence;
    base_buf_init(&call->bytes, 0);
    answer_init(worker, &call->ask, &call->answer);
    if (is_script(call)) {
        int rv = mock_script_load(&call->bytes, worker->options->script_dir, ask->script);
        if (rv) {
            base_buf_close(&call->bytes);
            free(call);
            up(&mock_stats.failed, 1);
            reply_error(req, 404, "no such script");
            return;
        }
        if (call->ask.cut_after > 0 || call->ask.hang_after > 0)
            cut_script(&call->bytes,
                       call->ask.cut_after > 0 ? call->ask.cut_after : call->ask.hang_after);
    }
    uv_timer_init(&worker->loop, &call->timer);
    call->timer.data = call;
    TAILQ_INSERT_TAIL(&worker->calls, call, link);
    up(&mock_stats.in_flight, 1);
    edge_http_request_set_user(req, call);
    if (call->ask.latency_ms)
        uv_timer_start(&call->timer, on_timer, call->ask.latency_ms, 0);
    else
        call_start(call);
}

void mock_stop_hanging(struct mock_worker *worker)
{
    struct mock_call *call = TAILQ_FIRST(&worker->calls);
    while (call) {
        struct mock_call *next = TAILQ_NEXT(call, link);
        if (call->ask.hang || call->ask.hang_after >= 0)
            call_cut(call);
        call = next;
    }
}

/* ---- what the server calls ---- */

static bool is_authorized(const struct mock_worker *worker, const struct edge_http_request *req)
{
    const char *key = worker->options->api_key;
    const char *value = edge_http_request_header(req, "authorization");
    if (!key)
        return true;
    return value && strncasecmp(value, "Bearer ", 7) == 0 && strcmp(value + 7, key) == 0;
}

static void serve_call(struct mock_worker *worker, struct edge_http_request *req,
                       enum mock_endpoint endpoint)
{
    struct mock_ask ask;
    const char *message = NULL;
    size_t len;
    up(&mock_stats.received[endpoint], 1);
    if (worker->options->keep_last)
        mock_last_keep(req);
    if (!is_authorized(worker, req)) {
        up(&mock_stats.unauthorized, 1);
        up(&mock_stats.failed, 1);
        reply_error(req, 401, "Incorrect API key provided");
        return;
    }
    char *body = edge_http_request_body(req, &len);
    int status = mock_ask_read(&ask, worker->options, endpoint, body, len, &message);
    if (status) {
        up(&mock_stats.failed, 1);
        reply_error(req, status, message);
    } else if (ask.stream || ask.script[0] || ask.latency_ms || ask.hang || ask.cut_after == 0) {
        call_new(worker, req, &ask);
    } else {
        answer_whole(worker, req, &ask);
    }
}

static void serve_info(struct mock_worker *worker, struct edge_http_request *req, const char *path)
{
    struct base_buf json;
    base_buf_init(&json, 0);
    if (strcmp(path, "/mock/stats") == 0)
        reply_json(req, 200, &json, mock_shape_stats(&json));
    else if (strcmp(path, "/mock/last") == 0)
        reply_json(req, 200, &json, mock_last_show(&json));
    else if (strcmp(path, "/healthz") == 0)
        reply_json(req, 200, &json, mock_printf(&json, "{\"status\":\"ok\"}\n"));
    else if (strcmp(path, "/v1/models") == 0 && !is_authorized(worker, req))
        reply_error(req, 401, "Incorrect API key provided");
    else if (strcmp(path, "/v1/models") == 0)
        reply_json(req, 200, &json, mock_shape_models(&json, worker->options));
    else
        reply_error(req, 404, "unknown path");
}

void mock_on_request(void *context, struct edge_http_request *req)
{
    static const char *const PATHS[MOCK_ENDPOINTS] = {"/v1/chat/completions", "/v1/completions",
                                                      "/v1/embeddings"};
    struct mock_worker *worker = context;
    const char *path = edge_http_request_path(req);
    for (int i = 0; i < MOCK_ENDPOINTS; i++) {
        if (strcmp(path, PATHS[i]) != 0)
            continue;
        if (edge_http_request_method(req) == EDGE_HTTP_POST)
            serve_call(worker, req, (enum mock_endpoint)i);
        else
            reply_error(req, 405, "use POST");
        return;
    }
    if (edge_http_request_method(req) == EDGE_HTTP_GET)
        serve_info(worker, req, path);
    else
        reply_error(req, 404, "unknown path");
}

void mock_on_client_gone(void *context, struct edge_http_request *req)
{
    (void)context;
    struct mock_call *call = edge_http_request_user(req);
    up(&mock_stats.aborted, 1);
    edge_http_abort(req);
    if (call)
        call_close(call);
}

void mock_on_writable(void *context, struct edge_http_request *req)
{
    (void)context;
    struct mock_call *call = edge_http_request_user(req);
    if (!call->paused)
        return;
    call->paused = false;
    stream_run(call);
}
