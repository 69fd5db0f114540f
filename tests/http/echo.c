/* SPDX-License-Identifier: Apache-2.0
 * http-echo: the test double that drives edge/http from outside. One loop, one server; it prints
 * `port N` when it listens, and ends on SIGTERM after a drain.
 *
 *   http-echo [--tls CHAIN KEY] [--LIMIT N ...]     LIMIT: head-ms body-ms idle-ms write-ms
 *                                                   body-bytes body-total-bytes connections
 *                                                   fail-every
 *   any path           JSON of what arrived: method, path, query, host, body in hex, fields
 *   /body              the body back
 *   /wait              holds the request until the client goes or /release comes
 *   /release           answers one held request with 200
 *   /stats             counters of the server and of client-gone calls
 *   /stream?n=N&size=S N chunks of S bytes with back-pressure; &length=1 with Content-Length,
 *                      &trailer=1 with trailers, &abort=K stops after K chunks without an end
 *   /early             refused in on_head with 403
 *   /short             body limit of 10 bytes, set in on_head
 */
#include "edge/http/request.h"
#include "edge/http/response.h"
#include "edge/http/server.h"
#include "edge/http/tls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum { HELD_MAX = 4096, REPORT_BYTES = 65536, SHOWN_BODY_BYTES = 4096 };

struct echo {
    uv_loop_t loop;
    uv_signal_t term;
    struct edge_http_server *server;
    struct edge_http_tls *tls;
    struct edge_http_request *held[HELD_MAX];
    size_t held_count;
    uint64_t gone;
    uint64_t queued_max;
};

struct stream {
    uint64_t left;
    uint64_t until_abort; /* 0: never */
    size_t size;
    bool trailer;
    char *chunk;
};

/* --fail-every N: every N-th allocation of the HTTP layer finds no memory (linked with --wrap). */
static unsigned long fail_every, allocations;
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

static bool fails(void)
{
    return fail_every && ++allocations % fail_every == 0;
}
void *__wrap_malloc(size_t n)
{
    return fails() ? NULL : __real_malloc(n);
}
void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}
void *__wrap_realloc(void *p, size_t n)
{
    return fails() ? NULL : __real_realloc(p, n);
}

static uint64_t query_number(const struct edge_http_request *req, const char *name)
{
    const char *p = edge_http_request_query(req);
    size_t n = strlen(name);
    while (*p) {
        if (strncmp(p, name, n) == 0 && p[n] == '=')
            return strtoull(p + n + 1, NULL, 10);
        p += strcspn(p, "&");
        p += *p == '&';
    }
    return 0;
}

static void reply_text(struct edge_http_request *req, int status, const char *text)
{
    const struct edge_http_header type = {"Content-Type", "text/plain"};
    edge_http_reply(req, status, &type, 1, text, strlen(text));
}

static void stream_free(struct edge_http_request *req, struct stream *s)
{
    edge_http_request_set_user(req, NULL);
    free(s->chunk);
    free(s);
}

static void stream_pump(struct echo *echo, struct edge_http_request *req)
{
    struct stream *s = edge_http_request_user(req);
    while (s->left) {
        if (s->until_abort && --s->until_abort == 0) {
            stream_free(req, s);
            edge_http_abort(req);
            return;
        }
        s->left--;
        size_t queued = edge_http_write(req, s->chunk, s->size);
        echo->queued_max = queued > echo->queued_max ? queued : echo->queued_max;
        if (queued >= EDGE_HTTP_HIGH_WATER)
            return;
    }
    const struct edge_http_header trailers[] = {{"X-Cost", "0.0012"}, {"X-Receipt", "r1"}};
    bool trailer = s->trailer;
    stream_free(req, s);
    edge_http_end(req, trailers, trailer ? 2 : 0);
}

static void stream_start(struct echo *echo, struct edge_http_request *req)
{
    struct stream *s = __real_calloc(1, sizeof *s);
    if (!s)
        abort();
    s->left = query_number(req, "n");
    s->size = (size_t)query_number(req, "size");
    s->trailer = query_number(req, "trailer") != 0;
    s->until_abort = query_number(req, "abort");
    s->chunk = __real_malloc(s->size + 1);
    if (!s->chunk)
        abort();
    memset(s->chunk, 'x', s->size);
    edge_http_request_set_user(req, s);
    int64_t length = EDGE_HTTP_LENGTH_UNKNOWN;
    if (query_number(req, "length"))
        length = (int64_t)(s->left * s->size);
    const struct edge_http_header type = {"Content-Type", "application/octet-stream"};
    edge_http_begin(req, 200, &type, 1, length, s->trailer ? "X-Cost, X-Receipt" : NULL);
    stream_pump(echo, req);
}

static size_t report_fields(const struct edge_http_request *req, char *out, size_t cap)
{
    size_t n = 0;
    for (size_t i = 0; i < edge_http_request_header_count(req); i++) {
        const char *name, *value;
        edge_http_request_header_at(req, i, &name, &value);
        n += (size_t)snprintf(out + n, cap - n, "%s: %s\n", name, value);
        if (n >= cap)
            return cap - 1;
    }
    return n;
}

static void report(struct edge_http_request *req)
{
    static char text[REPORT_BYTES];
    size_t len;
    const char *body = edge_http_request_body(req, &len);
    char hex[2 * SHOWN_BODY_BYTES + 1] = "";
    for (size_t i = 0; i < len && i < SHOWN_BODY_BYTES; i++)
        snprintf(hex + 2 * i, 3, "%02x", (unsigned char)body[i]);
    int n = snprintf(text, sizeof text,
                     "method=%s\npath=%s\nquery=%s\nhost=%s\npeer=%s\ntls=%d\nlen=%zu\nbody=%s\n\n",
                     edge_http_request_method_name(req), edge_http_request_path(req),
                     edge_http_request_query(req), edge_http_request_host(req),
                     edge_http_request_peer(req), edge_http_request_is_tls(req), len, hex);
    report_fields(req, text + n, sizeof text - (size_t)n);
    reply_text(req, 200, text);
}

static void reply_stats(struct echo *echo, struct edge_http_request *req)
{
    struct edge_http_stats stats;
    char text[512];
    edge_http_server_stats(echo->server, &stats);
    snprintf(text, sizeof text,
             "{\"accepted\":%llu,\"overloaded\":%llu,\"requests\":%llu,\"refused\":%llu,"
             "\"gone\":%llu,\"gone_calls\":%llu,\"held\":%zu,\"connections\":%zu,"
             "\"body_bytes\":%zu,\"queued_max\":%llu}",
             (unsigned long long)stats.accepted, (unsigned long long)stats.overloaded,
             (unsigned long long)stats.requests, (unsigned long long)stats.refused,
             (unsigned long long)stats.gone, (unsigned long long)echo->gone, echo->held_count,
             stats.connections, stats.body_bytes, (unsigned long long)echo->queued_max);
    reply_text(req, 200, text);
}

static void on_head(void *context, struct edge_http_request *req)
{
    (void)context;
    const char *path = edge_http_request_path(req);
    if (strcmp(path, "/early") == 0)
        reply_text(req, 403, "early\n");
    else if (strcmp(path, "/short") == 0)
        edge_http_request_limit_body(req, 10);
}

static void on_request(void *context, struct edge_http_request *req)
{
    struct echo *echo = context;
    const char *path = edge_http_request_path(req);
    if (strcmp(path, "/body") == 0) {
        size_t len;
        const char *body = edge_http_request_body(req, &len);
        edge_http_reply(req, 200, NULL, 0, body, len);
    } else if (strcmp(path, "/wait") == 0 && echo->held_count < HELD_MAX) {
        echo->held[echo->held_count++] = req;
    } else if (strcmp(path, "/release") == 0) {
        if (echo->held_count)
            reply_text(echo->held[--echo->held_count], 200, "released\n");
        reply_text(req, 200, "ok\n");
    } else if (strcmp(path, "/stats") == 0) {
        reply_stats(echo, req);
    } else if (strcmp(path, "/stream") == 0) {
        stream_start(echo, req);
    } else {
        report(req);
    }
}

static void on_client_gone(void *context, struct edge_http_request *req)
{
    struct echo *echo = context;
    echo->gone++;
    for (size_t i = 0; i < echo->held_count; i++) {
        if (echo->held[i] == req)
            echo->held[i] = echo->held[--echo->held_count];
    }
    struct stream *s = edge_http_request_user(req);
    if (s)
        stream_free(req, s);
    edge_http_abort(req);
}

static void on_writable(void *context, struct edge_http_request *req)
{
    stream_pump(context, req);
}

static void on_drained(void *arg)
{
    struct echo *echo = arg;
    edge_http_server_close(echo->server, NULL, NULL);
    uv_close((uv_handle_t *)&echo->term, NULL);
}

static void on_term(uv_signal_t *handle, int number)
{
    (void)number;
    struct echo *echo = handle->data;
    printf("draining\n");
    fflush(stdout);
    edge_http_server_drain(echo->server, on_drained, echo);
}

static bool set_limit(struct edge_http_limits *limits, const char *name, const char *value)
{
    unsigned long long n = strtoull(value, NULL, 10);
    if (strcmp(name, "--head-ms") == 0)
        limits->head_ms = n;
    else if (strcmp(name, "--body-ms") == 0)
        limits->body_ms = n;
    else if (strcmp(name, "--idle-ms") == 0)
        limits->idle_ms = n;
    else if (strcmp(name, "--write-ms") == 0)
        limits->write_ms = n;
    else if (strcmp(name, "--body-bytes") == 0)
        limits->body_bytes = n;
    else if (strcmp(name, "--body-total-bytes") == 0)
        limits->body_total_bytes = n;
    else if (strcmp(name, "--connections") == 0)
        limits->connections = n;
    else if (strcmp(name, "--fail-every") == 0)
        fail_every = n;
    else
        return false;
    return true;
}

static int configure(struct echo *echo, struct edge_http_config *config, int argc, char **argv)
{
    char error[256];
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--tls") == 0 && i + 2 < argc) {
            if (edge_http_tls_new(&echo->tls, argv[i + 1], argv[i + 2], error, sizeof error)) {
                fprintf(stderr, "http-echo: %s\n", error);
                return 2;
            }
            i += 2;
        } else if (i + 1 < argc && set_limit(&config->limits, argv[i], argv[i + 1])) {
            i++;
        } else {
            fprintf(stderr, "http-echo: unknown argument %s\n", argv[i]);
            return 2;
        }
    }
    config->tls = echo->tls;
    return 0;
}

int main(int argc, char **argv)
{
    static struct echo echo;
    struct edge_http_config config;
    edge_http_config_init(&config);
    config.context = &echo;
    config.handler = (struct edge_http_handler){
        .on_head = on_head,
        .on_request = on_request,
        .on_client_gone = on_client_gone,
        .on_writable = on_writable,
    };
    int rv = configure(&echo, &config, argc, argv);
    if (rv)
        return rv;
    uv_loop_init(&echo.loop);
    uv_signal_init(&echo.loop, &echo.term);
    echo.term.data = &echo;
    uv_signal_start(&echo.term, on_term, SIGTERM);
    rv = edge_http_server_new(&echo.server, &echo.loop, &config);
    if (rv) {
        fprintf(stderr, "http-echo: %s\n", uv_strerror(rv));
        return 1;
    }
    printf("port %u\n", edge_http_server_port(echo.server));
    fflush(stdout);
    uv_run(&echo.loop, UV_RUN_DEFAULT);
    rv = uv_loop_close(&echo.loop);
    edge_http_tls_free(echo.tls);
    printf("ended %d\n", rv);
    return rv ? 1 : 0;
}
