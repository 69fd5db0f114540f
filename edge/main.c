/* SPDX-License-Identifier: Apache-2.0
 * holdfast-edge: command line, workers, signals. The main thread reads the configuration, starts a
 * worker a core and then only waits for SIGTERM or SIGINT: the first drains, a second ends at once.
 */
#include "edge/http/server.h"
#include "edge/http/tls.h"
#include "edge/metrics.h"
#include "edge/worker.h"
#include "proto/base/log.h"
#include "proto/metrics/port.h"
#include "proto/net/tls.h"

#include <curl/curl.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <uv.h>

enum { EXIT_USAGE = 2 };

static const char USAGE[] =
    "usage: holdfast-edge --config FILE [--check]\n"
    "\n"
    "Serves the OpenAI API and holds money on the ledger for every call before it is forwarded.\n"
    "\n"
    "  --config FILE  the configuration (see docs)\n"
    "  --check        read configuration and certificates, say whether they are good, and exit\n"
    "  --help         this text\n"
    "  --version      the version\n"
    "\n"
    "Prints `ready address=URL` when it listens. SIGTERM: stops accepting, finishes and settles "
    "what\n"
    "is under way, exits. Exit status: 0 done; 1 cannot start; 2 usage or configuration; 3 ended\n"
    "with holds that could not be settled (they expire at the ledger).\n";

struct edge {
    struct edge_config *config;
    struct edge_http_tls *tls;
    struct edge_worker *workers[EDGE_WORKERS_MAX];
    struct edge_metrics *metrics[EDGE_WORKERS_MAX]; /* of each */
    struct metrics_port *port;                      /* NULL: no metrics are served */
    unsigned n_workers;
};

static unsigned worker_count(const struct edge_config *config)
{
    if (config->workers > 0)
        return (unsigned)config->workers;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores < 1 ? 1 : cores > EDGE_WORKERS_MAX ? EDGE_WORKERS_MAX : (unsigned)cores;
}

static int fail(const char *error)
{
    base_log(BASE_LOG_ERROR, "cannot_start", BASE_S("cause", error), NULL);
    return EXIT_FAILURE;
}

/* The workers' sockets share their port (SO_REUSEPORT), and would share it with another edge that
 * somebody forgot, too: refused, unless share_port says that it is meant (a change of versions). */
static int check_port(const struct edge_config *config, char error[BASE_CONF_ERROR])
{
    int rc = config->share_port ? 0 : edge_http_port_free(config->host, config->port);
    if (rc < 0)
        snprintf(error, BASE_CONF_ERROR, "cannot listen on %s port %u: %s", config->host,
                 config->port, strerror(-rc));
    return rc;
}

static int open_workers(struct edge *edge, char error[BASE_CONF_ERROR])
{
    const struct edge_config *config = edge->config;
    uint16_t port = config->port;
    if (check_port(config, error) < 0)
        return -EADDRINUSE;
    if (config->tls_cert != NULL && edge_http_tls_new(&edge->tls, config->tls_cert, config->tls_key,
                                                      error, BASE_CONF_ERROR) < 0)
        return -EINVAL;
    for (unsigned i = 0, n = worker_count(config); i < n; i++) {
        edge->metrics[i] = edge_metrics_new(config);
        if (edge->metrics[i] == NULL)
            return -ENOMEM;
        int rc =
            edge_worker_new(&edge->workers[i], config, edge->tls, edge->metrics[i], port, error);
        if (rc < 0)
            return rc;
        port = edge_worker_port(edge->workers[i]); /* the same for all */
        edge->n_workers++;
    }
    return 0;
}

static void write_metrics(void *arg, struct metrics_text *t)
{
    const struct edge *edge = arg;
    edge_metrics_print(t, edge->config, edge->metrics, edge->n_workers, HOLDFAST_VERSION);
}

static int open_metrics(struct edge *edge, char error[BASE_CONF_ERROR])
{
    const struct edge_config *config = edge->config;
    if (config->metrics_host[0] == '\0')
        return 0;
    edge->config->ledger_ends_s = net_certificate_ends_s(config->ledger.cert_file);
    if (config->tls_cert != NULL)
        edge->config->web_ends_s = net_certificate_ends_s(config->tls_cert);
    return metrics_port_new(&edge->port, config->metrics_host, config->metrics_port, write_metrics,
                            edge, error);
}

static void say_ready(const struct edge *edge)
{
    bool six = strchr(edge->config->host, ':') != NULL;
    printf("ready address=%s://%s%s%s:%u\n", edge->tls != NULL ? "https" : "http", six ? "[" : "",
           edge->config->host, six ? "]" : "", edge_worker_port(edge->workers[0]));
    fflush(stdout);
}

static void drain_all(struct edge *edge)
{
    for (unsigned i = 0; i < edge->n_workers; i++)
        edge_worker_drain(edge->workers[i]);
}

/* The first signal drains, a second one hurries. Ended by cancellation, in sigwait. */
static void *wait_for_signals(void *arg)
{
    struct edge *edge = arg;
    sigset_t set;
    int number;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    for (;;) {
        if (sigwait(&set, &number) != 0)
            continue;
        base_log(BASE_LOG_INFO, "draining", BASE_I("signal", number), NULL);
        drain_all(edge);
    }
    return NULL;
}

static int serve(struct edge *edge)
{
    char error[BASE_CONF_ERROR] = "";
    sigset_t set;
    pthread_t waiter;
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL); /* before any thread: only the waiter takes them */
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return fail("libcurl cannot be initialised");
    if (open_workers(edge, error) < 0 || open_metrics(edge, error) < 0)
        return fail(error);
    for (unsigned i = 0; i < edge->n_workers; i++)
        if (edge_worker_start(edge->workers[i]) < 0)
            return fail("a thread cannot be started");
    if (pthread_create(&waiter, NULL, wait_for_signals, edge) != 0)
        return fail("a thread cannot be started");
    say_ready(edge);
    unsigned abandoned = 0;
    for (unsigned i = 0; i < edge->n_workers; i++)
        abandoned += edge_worker_join(edge->workers[i]);
    pthread_cancel(waiter); /* a late signal must not find a freed worker */
    pthread_join(waiter, NULL);
    metrics_port_free(edge->port);
    for (unsigned i = 0; i < edge->n_workers; i++) {
        edge_worker_free(edge->workers[i]);
        edge_metrics_free(edge->metrics[i]);
    }
    edge_http_tls_free(edge->tls);
    curl_global_cleanup();
    base_log(BASE_LOG_INFO, "ended", BASE_I("abandoned_holds", abandoned), NULL);
    return abandoned > 0 ? EDGE_EXIT_ABANDONED : EXIT_SUCCESS;
}

/* --check: the configuration is good; the files that it names, too? */
static int check_files(const struct edge_config *config, const char *path)
{
    const struct net_tls_files ledger = {config->ledger.ca_file, config->ledger.cert_file};
    struct edge_http_tls *web = NULL;
    char error[BASE_CONF_ERROR], why[256];
    const char *cause = NULL;
    if (config->tls_cert != NULL &&
        edge_http_tls_new(&web, config->tls_cert, config->tls_key, error, sizeof error) < 0)
        cause = error;
    else if (net_tls_check(&ledger, NULL, why) < 0)
        cause = why;
    edge_http_tls_free(web);
    if (cause != NULL) {
        fprintf(stderr, "holdfast-edge: %s: %s\n", path, cause);
        return EXIT_USAGE;
    }
    printf("%s: good\n", path);
    return EXIT_SUCCESS;
}

enum parsed { PARSED_RUN, PARSED_CHECK, PARSED_DONE, PARSED_WRONG };

static enum parsed refuse(const char *what, const char *word)
{
    fprintf(stderr, "holdfast-edge: %s%s\nTry 'holdfast-edge --help'.\n", what, word);
    return PARSED_WRONG;
}

static enum parsed read_command_line(int argc, char **argv, const char **path)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"check", no_argument, NULL, 'k'},
                                            {"help", no_argument, NULL, 'h'},
                                            {"version", no_argument, NULL, 'v'},
                                            {NULL, 0, NULL, 0}};
    enum parsed parsed = PARSED_RUN;
    int option;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            *path = optarg;
            break;
        case 'k':
            parsed = PARSED_CHECK;
            break;
        case 'h':
            fputs(USAGE, stdout);
            return PARSED_DONE;
        case 'v':
            puts("holdfast-edge " HOLDFAST_VERSION);
            return PARSED_DONE;
        case ':':
            return refuse("a value is missing after ", argv[optind - 1]);
        default:
            return refuse("unknown option: ", argv[optind - 1]);
        }
    }
    if (optind < argc)
        return refuse("unexpected argument: ", argv[optind]);
    return *path != NULL ? parsed : refuse("--config FILE is missing", "");
}

int main(int argc, char **argv)
{
    static struct edge edge;
    char error[BASE_CONF_ERROR] = "";
    const char *path = NULL;
    (void)prctl(PR_SET_DUMPABLE, 0); /* provider keys are in memory: no core dump, no ptrace */
    enum parsed parsed = read_command_line(argc, argv, &path);
    if (parsed == PARSED_DONE || parsed == PARSED_WRONG)
        return parsed == PARSED_DONE ? EXIT_SUCCESS : EXIT_USAGE;
    base_log_open("holdfast-edge", BASE_LOG_INFO);
    if (edge_config_load(&edge.config, path, error) < 0) {
        fprintf(stderr, "holdfast-edge: %s\n", error);
        return EXIT_USAGE;
    }
    if (parsed == PARSED_CHECK) {
        int rc = check_files(edge.config, path);
        edge_config_free(edge.config);
        return rc;
    }
    base_log_open("holdfast-edge", edge.config->debug_log ? BASE_LOG_DEBUG : BASE_LOG_INFO);
    int status = serve(&edge);
    edge_config_free(edge.config);
    return status;
}
