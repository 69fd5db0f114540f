/* SPDX-License-Identifier: Apache-2.0
 * holdfast-mock: command line, workers, start and end. The main thread is worker 0; SIGTERM and
 * SIGINT drain all workers, a second one or GRACE_MS end them.
 */
#include "edge/http/tls.h"
#include "proto/base/log.h"
#include "tools/mock/mock.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { GRACE_MS = 5000 };

struct mock {
    struct mock_options options;
    struct edge_http_tls *tls;
    struct mock_worker workers[WORKERS_MAX];
    uv_signal_t term;
    uv_signal_t interrupt;
};

static struct mock mock;

static const char USAGE[] =
    "usage: holdfast-mock [options]\n"
    "  --host ADDRESS         default 127.0.0.1\n"
    "  --port N               default 0: chosen by the system and printed\n"
    "  --port-file FILE       the port is written there when the mock listens\n"
    "  --tls-cert FILE --tls-key FILE   PEM\n"
    "  --workers N            threads, default 1\n"
    "  --latency-ms N         before the first byte of an answer, default 0\n"
    "  --token-interval-ms N  between the tokens of a stream, default 0\n"
    "  --tokens N             completion tokens, default 16; never more than max_tokens\n"
    "  --models A,B           what /v1/models lists; any model is served\n"
    "  --cost-header NAME     answers tell their cost in dollars in this field\n"
    "  --cost-nanos N         that cost, the same for every call\n"
    "  --price-in-nanos N --price-out-nanos N   or by token, default 150 and 600\n"
    "  --api-key KEY          calls need `Authorization: Bearer KEY`\n"
    "  --script-dir DIR       recorded streams for metadata.mock_script\n"
    "  --keep-last            show the last call at /mock/last\n"
    "  --help, --version\n"
    "A request's metadata overrides, each a string: mock_status, mock_latency_ms,\n"
    "mock_interval_ms, mock_tokens, mock_prompt_tokens, mock_cached_tokens, mock_cost (dollars),\n"
    "mock_script (a name in --script-dir); of streams mock_piece (pieces of 1 to N bytes),\n"
    "mock_cut_after, mock_hang_after (N events); with \"1\" mock_hang, mock_no_usage, mock_stamp,\n"
    "mock_ignore_max (of tokens). GET /mock/stats counts the calls.\n"
    "exit: 0 ended by a signal; 1 cannot listen; 2 usage\n";

/* ---- a worker's end ---- */

static void end_worker(struct mock_worker *worker)
{
    edge_http_server_close(worker->server, NULL, NULL);
    uv_close((uv_handle_t *)&worker->stop, NULL);
    uv_close((uv_handle_t *)&worker->grace, NULL);
    if (worker->index == 0) {
        uv_close((uv_handle_t *)&mock.term, NULL);
        uv_close((uv_handle_t *)&mock.interrupt, NULL);
    }
}

static void on_drained(void *arg)
{
    end_worker(arg);
}

static void on_grace(uv_timer_t *timer)
{
    base_log(BASE_LOG_WARN, "calls_cut", BASE_S("cause", "not answered in time"), NULL);
    end_worker(timer->data);
}

static void on_stop(uv_async_t *async)
{
    struct mock_worker *worker = async->data;
    if (worker->stopping)
        return;
    worker->stopping = true;
    mock_stop_hanging(worker);
    uv_timer_start(&worker->grace, on_grace, GRACE_MS, 0);
    edge_http_server_drain(worker->server, on_drained, worker);
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)handle;
    (void)number;
    if (mock.workers[0].stopping)
        _exit(0);
    for (unsigned i = 0; i < mock.options.workers; i++)
        uv_async_send(&mock.workers[i].stop);
}

/* ---- start ---- */

static int worker_start(struct mock_worker *worker, unsigned index, uint16_t port)
{
    struct edge_http_config config;
    edge_http_config_init(&config);
    config.address = mock.options.host;
    config.port = port;
    config.tls = mock.tls;
    config.context = worker;
    config.limits.connections = 100000;
    config.limits.body_bytes = (size_t)64 << 20;
    config.handler = (struct edge_http_handler){
        .on_request = mock_on_request,
        .on_client_gone = mock_on_client_gone,
        .on_writable = mock_on_writable,
    };
    worker->options = &mock.options;
    worker->index = index;
    TAILQ_INIT(&worker->calls);
    int rv = uv_loop_init(&worker->loop);
    if (rv == 0)
        rv = uv_async_init(&worker->loop, &worker->stop, on_stop);
    if (rv == 0)
        rv = uv_timer_init(&worker->loop, &worker->grace);
    if (rv)
        return rv;
    worker->stop.data = worker;
    worker->grace.data = worker;
    return edge_http_server_new(&worker->server, &worker->loop, &config);
}

static void worker_run(void *arg)
{
    struct mock_worker *worker = arg;
    uv_run(&worker->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&worker->loop);
}

/* Written under another name and moved: a reader never sees half of it. */
static int write_port_file(const char *file, uint16_t port)
{
    char temporary[4096];
    if ((size_t)snprintf(temporary, sizeof temporary, "%s.new", file) >= sizeof temporary)
        return -ENAMETOOLONG;
    FILE *out = fopen(temporary, "we");
    if (!out)
        return -errno;
    int rv = fprintf(out, "%u\n", port) < 0 ? -EIO : 0;
    if (fclose(out) != 0 && rv == 0)
        rv = -errno;
    if (rv == 0 && rename(temporary, file) != 0)
        rv = -errno;
    return rv;
}

static void catch_signals(void)
{
    uv_loop_t *loop = &mock.workers[0].loop;
    signal(SIGPIPE, SIG_IGN);
    uv_signal_init(loop, &mock.term);
    uv_signal_init(loop, &mock.interrupt);
    uv_signal_start(&mock.term, on_signal, SIGTERM);
    uv_signal_start(&mock.interrupt, on_signal, SIGINT);
}

static int run(void)
{
    struct mock_options *options = &mock.options;
    uint16_t port = options->port;
    int free_port = edge_http_port_free(options->host, port);
    for (unsigned i = 0; i < options->workers; i++) {
        int rv = free_port ? free_port : worker_start(&mock.workers[i], i, port);
        if (rv) {
            fprintf(stderr, "holdfast-mock: cannot listen on %s port %u: %s\n", options->host, port,
                    uv_strerror(rv));
            return 1;
        }
        port = edge_http_server_port(mock.workers[i].server);
    }
    catch_signals();
    for (unsigned i = 1; i < options->workers; i++)
        uv_thread_create(&mock.workers[i].thread, worker_run, &mock.workers[i]);
    int rv = options->port_file ? write_port_file(options->port_file, port) : 0;
    if (rv) {
        fprintf(stderr, "holdfast-mock: %s: %s\n", options->port_file, strerror(-rv));
        return 1;
    }
    printf("holdfast-mock listening on %s://%s:%u\n", mock.tls ? "https" : "http", options->host,
           port);
    fflush(stdout);
    worker_run(&mock.workers[0]);
    for (unsigned i = 1; i < options->workers; i++)
        uv_thread_join(&mock.workers[i].thread);
    return 0;
}

/* ---- command line ---- */

static void split_models(struct mock_options *options, char *list)
{
    char *rest = NULL;
    options->models_count = 0;
    for (char *name = strtok_r(list, ",", &rest); name && options->models_count < MODELS_MAX;
         name = strtok_r(NULL, ",", &rest))
        options->models[options->models_count++] = name;
}

static bool parse_number(const char *name, const char *text, uint64_t max, uint64_t *out)
{
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || n > max) {
        fprintf(stderr, "holdfast-mock: --%s: not a number up to %llu: %s\n", name,
                (unsigned long long)max, text);
        return false;
    }
    *out = n;
    return true;
}

enum option_kind {
    O_HELP,
    O_VERSION,
    O_KEEP_LAST /* these without a value */,
    O_MODELS,
    O_TEXT,
    O_NUMBER
};

struct option_row {
    const char *name;
    enum option_kind kind;
    const char **text;
    uint64_t *number;
    uint64_t max;
};

static int apply_option(const struct option_row *row, char *value)
{
    if (row->kind == O_HELP) {
        fputs(USAGE, stdout);
        exit(0);
    }
    if (row->kind == O_VERSION) {
        puts("holdfast-mock " HOLDFAST_VERSION);
        exit(0);
    }
    if (row->kind == O_KEEP_LAST)
        mock.options.keep_last = true;
    else if (row->kind == O_MODELS)
        split_models(&mock.options, value);
    else if (row->kind == O_TEXT)
        *row->text = value;
    else if (!parse_number(row->name, value, row->max, row->number))
        return 2;
    return 0;
}

static int parse_options(int argc, char **argv, const struct option_row *rows, size_t count)
{
    struct option longs[32] = {{0}};
    for (size_t i = 0; i < count; i++) {
        longs[i].name = rows[i].name;
        longs[i].has_arg = rows[i].kind <= O_KEEP_LAST ? no_argument : required_argument;
    }
    int index = 0, code;
    opterr = 0;
    while ((code = getopt_long(argc, argv, ":h", longs, &index)) == 0 || code == 'h') {
        int rv = apply_option(&rows[code == 'h' ? 0 : index], optarg); /* help is the first */
        if (rv)
            return rv;
    }
    if (code == -1 && optind == argc)
        return 0;
    fprintf(stderr, "holdfast-mock: %s: %s\nTry 'holdfast-mock --help'.\n",
            code == -1    ? "unexpected argument"
            : code == ':' ? "a value is missing after"
                          : "unknown option",
            code == -1 ? argv[optind] : argv[optind - 1]);
    return 2;
}

static int read_command_line(int argc, char **argv)
{
    struct mock_options *o = &mock.options;
    uint64_t port = 0, workers = 1, tokens = 16, price_in = 150, price_out = 600;
    uint64_t cost = UINT64_MAX;
    *o = (struct mock_options){.host = "127.0.0.1", .models = {"mock-small", "mock-large"}};
    o->models_count = 2;
    const struct option_row rows[] = {
        {"help", O_HELP, NULL, NULL, 0},
        {"version", O_VERSION, NULL, NULL, 0},
        {"host", O_TEXT, &o->host, NULL, 0},
        {"port", O_NUMBER, NULL, &port, UINT16_MAX},
        {"port-file", O_TEXT, &o->port_file, NULL, 0},
        {"tls-cert", O_TEXT, &o->tls_cert, NULL, 0},
        {"tls-key", O_TEXT, &o->tls_key, NULL, 0},
        {"workers", O_NUMBER, NULL, &workers, WORKERS_MAX},
        {"latency-ms", O_NUMBER, NULL, &o->latency_ms, UINT32_MAX},
        {"token-interval-ms", O_NUMBER, NULL, &o->interval_ms, UINT32_MAX},
        {"tokens", O_NUMBER, NULL, &tokens, TOKENS_MAX},
        {"models", O_MODELS, NULL, NULL, 0},
        {"cost-header", O_TEXT, &o->cost_header, NULL, 0},
        {"cost-nanos", O_NUMBER, NULL, &cost, INT32_MAX},
        {"price-in-nanos", O_NUMBER, NULL, &price_in, INT32_MAX},
        {"price-out-nanos", O_NUMBER, NULL, &price_out, INT32_MAX},
        {"api-key", O_TEXT, &o->api_key, NULL, 0},
        {"script-dir", O_TEXT, &o->script_dir, NULL, 0},
        {"keep-last", O_KEEP_LAST, NULL, NULL, 0},
    };
    int rv = parse_options(argc, argv, rows, sizeof rows / sizeof rows[0]);
    if (rv)
        return rv;
    if (!o->tls_cert != !o->tls_key || workers == 0) {
        fputs("holdfast-mock: --tls-cert and --tls-key go together; --workers is at least 1\n",
              stderr);
        return 2;
    }
    o->port = (uint16_t)port;
    o->workers = (unsigned)workers;
    o->tokens = (uint32_t)tokens;
    o->price_in_nanos = (int64_t)price_in;
    o->price_out_nanos = (int64_t)price_out;
    o->cost_nanos = cost == UINT64_MAX ? -1 : (int64_t)cost;
    return 0;
}

int main(int argc, char **argv)
{
    char error[256];
    base_log_open("holdfast-mock", BASE_LOG_INFO);
    int rv = read_command_line(argc, argv);
    if (rv)
        return rv;
    if (mock.options.tls_cert && edge_http_tls_new(&mock.tls, mock.options.tls_cert,
                                                   mock.options.tls_key, error, sizeof error)) {
        fprintf(stderr, "holdfast-mock: %s\n", error);
        return 1;
    }
    rv = run();
    edge_http_tls_free(mock.tls);
    return rv;
}
