/* SPDX-License-Identifier: Apache-2.0
 * holdfast-ledger: command line of a ledger node.
 */
#include "ledger/command.h"
#include "ledger/node.h"
#include "ledger/store/data_mark.h"
#include "proto/base/log.h"
#include "proto/net/tls.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char usage[] =
    "usage: holdfast-ledger --config FILE [--check] [--init-if-empty]\n"
    "       holdfast-ledger init [--join] --config FILE\n"
    "       holdfast-ledger rebuild --config FILE\n"
    "%s"
    "       holdfast-ledger --help | --version\n"
    "\n"
    "Runs one node of a Holdfast ledger. 'holdfast-ledger init --help', and so on, says more.\n"
    "  init             makes the data directory of a new cluster's node, and ends;\n"
    "                   with --join, of a node that joins a running cluster\n"
    "  backup           copies the node's ledger, running or not, to a new directory\n"
    "  restore          makes a new cluster's node out of such a copy\n"
    "  seed             fills this node's empty data directory from the other nodes\n"
    "  archive          reads an archive of the log whole, and says whether it is sound\n"
    "  rebuild          throws the state of a node away that has diverged (exit code 4), so that\n"
    "                   its next start makes it again from the log, and ends\n"
    "  --config FILE    the node's configuration (node-1.conf)\n"
    "  --check          reads configuration and certificates, says what is wrong, and ends\n"
    "  --init-if-empty  makes the data directory first if it is missing or empty\n"
    "\n"
    "exit codes: 0 stopped by a signal, 1 a disk failed, an address is not to be had, or an\n"
    "invariant broke, 2 command line or configuration, 3 the data directory was refused,\n"
    "4 this node's state differs from the majority's: it is not served until an operator acts\n";

static const char init_usage[] =
    "usage: holdfast-ledger init [--join] --config FILE\n"
    "\n"
    "Makes the data directory of a new cluster's node, which must be missing or empty, and ends.\n"
    "\n"
    "  --join  of a node that 'holdfastctl cluster add' will let in: its log is empty. Never for\n"
    "          a node that is in the cluster already: it has forgotten what it voted; 'seed' it\n"
    "\n"
    "exit codes: 0 done, 1 a disk failed, 2 command line or configuration, 3 the data directory\n"
    "was refused\n";

static const char rebuild_usage[] =
    "usage: holdfast-ledger rebuild --config FILE\n"
    "\n"
    "Throws the state of a node away that has diverged (exit code 4) and takes the mark off, so\n"
    "that its next start makes the state again from the log, which must begin with entry 1. The\n"
    "node must not run.\n"
    "\n"
    "exit codes: 0 done, 2 command line or configuration, 3 the data directory was refused\n";

struct options {
    const char *config;
    bool init, join, rebuild, check, init_if_empty, help, version;
};

static bool refuse(const struct options *o, const char *what, const char *word)
{
    const char *sub = o->init ? " init" : o->rebuild ? " rebuild" : "";
    (void)fprintf(stderr, "holdfast-ledger%s: %s: %s\nTry 'holdfast-ledger%s --help'.\n", sub, what,
                  word, sub);
    return false;
}

/* false: not a command line of ours; the cause is printed. */
static bool parse(int argc, char **argv, struct options *o)
{
    for (int i = 1; i < argc; i++) {
        if (i == 1 && strcmp(argv[i], "init") == 0)
            o->init = true;
        else if (i == 1 && strcmp(argv[i], "rebuild") == 0)
            o->rebuild = true;
        else if (o->init && strcmp(argv[i], "--join") == 0)
            o->join = true;
        else if (strcmp(argv[i], "--config") == 0 && i + 1 < argc)
            o->config = argv[++i];
        else if (!o->init && !o->rebuild && strcmp(argv[i], "--check") == 0)
            o->check = true;
        else if (!o->init && !o->rebuild && strcmp(argv[i], "--init-if-empty") == 0)
            o->init_if_empty = true;
        else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            o->help = true;
        else if (strcmp(argv[i], "--version") == 0)
            o->version = true;
        else
            return refuse(o,
                          strcmp(argv[i], "--config") == 0 ? "a value is missing after"
                          : argv[i][0] == '-'              ? "unknown option"
                                                           : "unexpected argument",
                          argv[i]);
    }
    return o->help || o->version || o->config || refuse(o, "missing", "--config FILE");
}

/* Threads of libraries inherit the mask, so that only the node's own thread takes the signals. */
static void mask_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
}

/* A folder that is there and can be written, or that can be made: the node makes the last part of
 * its path itself. */
static bool check_folder(const char *dir, const char *path, const char *key)
{
    char parent[PATH_MAX];
    struct stat st;
    const char *at = dir;
    int rv = stat(dir, &st) == 0 ? 0 : errno;
    if (rv == ENOENT && snprintf(parent, sizeof parent, "%s", dir) < (int)sizeof parent) {
        at = dirname(parent);
        rv = stat(at, &st) == 0 ? 0 : errno;
    }
    if (rv == 0 && !S_ISDIR(st.st_mode))
        rv = ENOTDIR;
    if (rv == 0 && access(at, W_OK | X_OK) != 0)
        rv = errno;
    if (rv)
        (void)fprintf(stderr, "holdfast-ledger: %s: %s: %s: %s\n", path, key, at, strerror(rv));
    return rv == 0;
}

static enum node_exit check(const struct node_config *config, const char *path)
{
    const struct net_tls_files peer = {config->peer_ca, config->peer_cert};
    const struct net_tls_files client = {config->client_ca, config->client_cert};
    char error[256];
    if (net_tls_check(&peer, config->self->peer_name, error) != 0 ||
        net_tls_check(&client, config->self->client_name, error) != 0) {
        (void)fprintf(stderr, "holdfast-ledger: %s: [tls] %s\n", path, error);
        return NODE_EXIT_USAGE;
    }
    if (!check_folder(config->data, path, "[node] data") ||
        (config->archive && !check_folder(config->archive, path, "[log] archive")))
        return NODE_EXIT_USAGE;
    (void)printf("%s: valid\n", path);
    return NODE_EXIT_OK;
}

static enum node_exit rebuild(const struct node_config *config)
{
    struct store_why why = {0};
    if (data_dir_rebuild(config->data, &why) != 0) {
        (void)fprintf(stderr, "holdfast-ledger: %s\n", why.text);
        return NODE_EXIT_DATA;
    }
    (void)printf("%s: the next start makes the state from the log\n", config->data);
    return NODE_EXIT_OK;
}

static enum node_exit run(const struct options *o)
{
    struct node_config config;
    char error[BASE_CONF_ERROR];
    enum node_exit rv = NODE_EXIT_OK;
    if (node_config_load(&config, o->config, error) != 0) {
        (void)fprintf(stderr, "holdfast-ledger: %s\n", error);
        node_config_close(&config);
        return NODE_EXIT_USAGE;
    }
    if (o->check)
        rv = check(&config, o->config);
    else if (o->init)
        rv = node_create(&config, o->join);
    else if (o->init_if_empty && node_dir_empty(&config))
        rv = node_create(&config, false);
    else if (o->rebuild)
        rv = rebuild(&config);
    if (rv == NODE_EXIT_OK && !o->check && !o->init && !o->rebuild)
        rv = node_run(&config);
    node_config_close(&config);
    return rv;
}

int main(int argc, char **argv)
{
    struct options o = {0};
    (void)signal(SIGPIPE, SIG_IGN); /* connections that end are errors of the calls that use them */
    if (argc > 1 && command_known(argv[1]))
        return (int)command_run(argc, argv);
    if (!parse(argc, argv, &o))
        return NODE_EXIT_USAGE;
    if (o.help) {
        if (o.init || o.rebuild)
            (void)fputs(o.init ? init_usage : rebuild_usage, stdout);
        else
            (void)printf(usage, command_usage);
        return NODE_EXIT_OK;
    }
    if (o.version) {
        (void)puts("holdfast-ledger " HOLDFAST_VERSION);
        return NODE_EXIT_OK;
    }
    base_log_open("holdfast-ledger", BASE_LOG_INFO);
    mask_signals();
    return (int)run(&o);
}
