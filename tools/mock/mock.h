/* SPDX-License-Identifier: Apache-2.0
 * holdfast-mock: an OpenAI-compatible provider for demos, tests and benchmarks. Its answers are a
 * function of the request, so that a test can compute tokens and cost by itself:
 *
 *   prompt_tokens      ceil(bytes of all message content, JSON-decoded / 4); for /v1/completions
 * and /v1/embeddings, of the prompt or input completion_tokens  n * min(--tokens,
 * max_completion_tokens or max_tokens); each token is one word cost metadata.mock_cost, else
 * --cost-nanos, else prompt_tokens * --price-in-nanos + completion_tokens * --price-out-nanos; sent
 * where --cost-header names a field
 *
 * A request overrides what it meets by string (or number) fields of `metadata`:
 *   mock_latency_ms, mock_interval_ms   before the first byte; between tokens
 *   mock_tokens, mock_prompt_tokens, mock_cached_tokens
 *   mock_ignore_max=1    more tokens than max_tokens allows
 *   mock_status=500      an error of that status in OpenAI's shape
 *   mock_cut_after=N     the connection ends after N events, without [DONE] (0: before the head)
 *   mock_hang=1          no answer until the caller leaves; mock_hang_after=N: after N events
 *   mock_no_usage=1      usage is left out
 *   mock_cost=0.0012     dollars, for the cost header
 *   mock_script=NAME     a recorded stream, --script-dir/NAME, byte for byte (.jsonl: every line as
 *                        `data: line` and a final [DONE])
 *   mock_piece=7         the stream in pieces of 1 to 7 bytes, each a chunk of its own
 *   mock_stamp=1         each word of a chat stream is @N@, N: CLOCK_MONOTONIC in nanoseconds when
 *                        it was sent, so that a load generator on this machine sees its delay
 *
 * One worker is one thread with a loop and a server; only struct mock_stats and the options are
 * shared, the latter read-only.
 */
#ifndef HOLDFAST_TOOLS_MOCK_H
#define HOLDFAST_TOOLS_MOCK_H

#include "edge/http/server.h"
#include "proto/base/buf.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uv.h>

enum {
    MODEL_BYTES_MAX = 512, /* of a model's name, escaped for JSON */
    SCRIPT_NAME_MAX = 256,
    SCRIPT_BYTES_MAX = 16 << 20,
    CHOICES_MAX = 128,
    INPUTS_MAX = 2048, /* of one embeddings call */
    TOKENS_MAX = 1000000,
    WORKERS_MAX = 64,
    MODELS_MAX = 64,
    EMBEDDING_DIMENSIONS = 8,
};

enum mock_endpoint { MOCK_CHAT, MOCK_COMPLETIONS, MOCK_EMBEDDINGS, MOCK_ENDPOINTS };

struct mock_options {
    const char *host;
    uint16_t port;
    const char *port_file;
    const char *tls_cert;
    const char *tls_key;
    uint64_t latency_ms;
    uint64_t interval_ms;
    uint32_t tokens;
    const char *models[MODELS_MAX];
    size_t models_count;
    const char *cost_header;
    int64_t cost_nanos; /* flat; -1: by price */
    int64_t price_in_nanos;
    int64_t price_out_nanos;
    const char *api_key;
    const char *script_dir;
    unsigned workers;
    bool keep_last;
};

/* What one call asks for, after the defaults. */
struct mock_ask {
    enum mock_endpoint endpoint;
    char model[MODEL_BYTES_MAX]; /* escaped */
    bool stream;
    bool include_usage;
    bool no_usage;
    bool stamp;
    bool hang;
    bool base64;
    bool limited; /* by max_tokens: finish_reason "length" */
    uint32_t n;
    uint32_t tokens; /* of each choice */
    uint32_t prompt_tokens;
    uint32_t cached_tokens;
    uint32_t inputs;
    uint32_t piece;
    int status;
    int64_t cut_after; /* -1: never */
    int64_t hang_after;
    int64_t cost_nanos; /* -1: none */
    uint64_t latency_ms;
    uint64_t interval_ms;
    char script[SCRIPT_NAME_MAX];
};

/* Since the start, of all workers. A call is received when its request is complete. */
struct mock_stats {
    atomic_uint_fast64_t received[MOCK_ENDPOINTS];
    atomic_uint_fast64_t completed; /* answered with 200 to the end */
    atomic_uint_fast64_t failed;    /* answered with an error, or cut on purpose */
    atomic_uint_fast64_t aborted;   /* by the caller */
    atomic_uint_fast64_t in_flight;
    atomic_uint_fast64_t unauthorized;
    atomic_uint_fast64_t prompt_tokens; /* of completed calls */
    atomic_uint_fast64_t completion_tokens;
    atomic_uint_fast64_t cost_nanos; /* as told in the cost header */
};

struct mock_call;
TAILQ_HEAD(mock_calls, mock_call);

struct mock_worker {
    const struct mock_options *options;
    unsigned index;
    uv_loop_t loop;
    uv_thread_t thread;
    uv_async_t stop;
    uv_timer_t grace;
    bool stopping;
    struct edge_http_server *server;
    struct mock_calls calls; /* not answered in one go */
    uint64_t sequence;
};

extern struct mock_stats mock_stats;

/* ask.c: 0, or the status of an error with its message. */
int mock_ask_read(struct mock_ask *ask, const struct mock_options *options,
                  enum mock_endpoint endpoint, char *body, size_t len, const char **message);
size_t mock_escape(char *out, size_t cap, const char *text, size_t len);

/* shape.c: append JSON in OpenAI's shapes. Negative: no memory. */
struct mock_answer {
    const struct mock_ask *ask;
    char id[48];
    int64_t created;
};
int mock_shape_answer(struct base_buf *out, const struct mock_answer *answer);
uint64_t mock_shape_events(const struct mock_ask *ask); /* of a stream, [DONE] included */
int mock_shape_event(struct base_buf *out, const struct mock_answer *answer, uint64_t event);
int mock_shape_error(struct base_buf *out, int status, const char *message);
int mock_shape_models(struct base_buf *out, const struct mock_options *options);
int mock_shape_stats(struct base_buf *out);
int mock_printf(struct base_buf *out, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* script.c: a recorded stream as the bytes to send. 0 or negative errno. */
int mock_script_load(struct base_buf *out, const char *dir, const char *name);

/* call.c */
void mock_on_request(void *context, struct edge_http_request *req);
void mock_on_client_gone(void *context, struct edge_http_request *req);
void mock_on_writable(void *context, struct edge_http_request *req);
void mock_stop_hanging(struct mock_worker *worker);

/* last.c: the last call's head and body, for tests of what an edge forwards (--keep-last). */
void mock_last_keep(struct edge_http_request *req);
int mock_last_show(struct base_buf *out);

#endif
