/* SPDX-License-Identifier: Apache-2.0
 * Opening a node in the order in which its parts depend on each other, and closing it in reverse.
 */
#include "ledger/node_state.h"

#include "proto/base/log.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- posts from other threads ---- */

static void on_persisted(void *ctx, uint64_t first, uint64_t last)
{
    struct node *n = ctx;
    (void)inbox_post(n->inbox,
                     &(struct inbox_event){.kind = INBOX_PERSISTED, .a = first, .b = last});
}

static void on_checkpoint_done(void *ctx, uint64_t index, uint64_t nanos)
{
    struct node *n = ctx;
    (void)inbox_post(n->inbox,
                     &(struct inbox_event){.kind = INBOX_CHECKPOINT, .a = index, .b = nanos});
}

static void on_fatal(void *ctx, const char *why)
{
    struct node *n = ctx;
    inbox_fatal(n->inbox, why);
}

static bool on_request(void *ctx, struct serve_request *r)
{
    struct node *n = ctx;
    return inbox_post(n->inbox, &(struct inbox_event){.kind = INBOX_REQUEST, .p = r});
}

static bool on_peer_message(void *ctx, nng_msg *m)
{
    struct node *n = ctx;
    return inbox_post(n->inbox, &(struct inbox_event){.kind = INBOX_PEER, .p = m});
}

static void on_peer_gone(void *ctx, uint64_t id)
{
    struct node *n = ctx;
    (void)inbox_post(n->inbox, &(struct inbox_event){.kind = INBOX_GONE, .a = id});
}

/* ---- the data directory ---- */

static struct node_identity identity_of(const struct node_config *c)
{
    return (struct node_identity){
        .cluster = c->cluster.uuid, .group = c->cluster.group, .node = c->id};
}

bool node_dir_empty(const struct node_config *config)
{
    DIR *d = opendir(config->data);
    if (!d)
        return errno == ENOENT;
    const struct dirent *e;
    bool empty = true;
    while (empty && (e = readdir(d)) != NULL)
        empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
    (void)closedir(d);
    return empty;
}

enum node_exit node_create(const struct node_config *config)
{
    struct pump_server servers[LINK_NODES_MAX];
    uint8_t conf[ENTRY_CONF_MAX];
    struct store_why why = {0};
    for (unsigned i = 0; i < config->cluster.n_nodes; i++)
        servers[i] = (struct pump_server){.id = config->cluster.nodes[i].id,
                                          .address = config->cluster.nodes[i].peer};
    int len = pump_encode_servers(servers, config->cluster.n_nodes, conf);
    if (len < 0) {
        base_log(BASE_LOG_ERROR, "the nodes of the cluster cannot be encoded", NULL);
        return NODE_EXIT_USAGE;
    }
    const struct node_identity id = identity_of(config);
    if (data_dir_create(config->data, &id, conf, (size_t)len, &why) != 0) {
        base_log(BASE_LOG_ERROR, "data directory", BASE_S("directory", config->data),
                 BASE_S("cause", why.text), NULL);
        return NODE_EXIT_DATA;
    }
    base_log(BASE_LOG_INFO, "data directory created", BASE_S("directory", config->data), NULL);
    return NODE_EXIT_OK;
}

static int refuse_data(struct node *n, int rv, const char *cause)
{
    if (rv == -ENOENT)
        base_log(BASE_LOG_ERROR, "a new node's data directory is made by: holdfast-ledger init",
                 NULL);
    return node_fail(n, NODE_EXIT_DATA, n->config->data, cause);
}

static int open_dir(struct node *n, struct log_recovered *recovered)
{
    struct store_why why = {0};
    const struct node_identity id = identity_of(n->config);
    n->dir_config = (struct data_dir_config){.log = {.segment_bytes = n->config->segment_bytes}};
    int rv = data_dir_open(&n->dir, n->config->data, &id, &n->dir_config, &why);
    if (rv != 0)
        return refuse_data(n, rv, why.text);
    rv = data_dir_recover(&n->dir, &n->dir_config, recovered, &why);
    if (rv != 0)
        data_dir_close(&n->dir);
    return rv == 0 ? 0 : refuse_data(n, rv, why.text);
}

/* ---- the machine ---- */

static int get_record(void *ctx, const void *key, size_t klen, const void **value, size_t *vlen)
{
    return state_reader_get(ctx, key, klen, value, vlen);
}

static int restore_open(void *ctx, const void *key, size_t klen, const void *value, size_t vlen)
{
    return core_machine_restore_open(ctx, key, klen, value, vlen);
}

static int open_machine(struct node *n, uint64_t *index)
{
    struct store_why why = {0};
    struct state_meta meta = {0};
    if (state_reader_open(&n->reader, n->dir.state, &why) != 0)
        return node_fail(n, NODE_EXIT_DATA, "state", why.text);
    if (state_reader_meta(&n->reader, &meta) != 0)
        return node_fail(n, NODE_EXIT_DATA, "state", "where it stands cannot be read");
    const struct core_position at = {.index = meta.applied_index,
                                     .term = meta.applied_term,
                                     .clock_us = meta.clock_us,
                                     .chain = meta.chain};
    const struct core_config config = {
        .backing = {.ctx = &n->reader, .get = get_record},
        .observer = {.ctx = &n->drift, .on_transfer = drift_on_transfer},
        .cache_records = n->config->cache_records};
    size_t plen;
    const void *prefix = core_open_prefix(&plen);
    int rv = core_machine_new(&n->machine, &config, at.index ? &at : NULL);
    if (rv == 0 && at.index > 0)
        rv = state_reader_scan(&n->reader, prefix, plen, NULL, 0, restore_open, n->machine);
    if (rv != 0)
        return node_fail(n, NODE_EXIT_DATA, "state",
                         n->machine ? core_machine_error(n->machine) : "out of memory");
    *index = at.index;
    return 0;
}

/* ---- threads, consensus, ports ---- */

static int open_threads(struct node *n)
{
    const struct log_thread_calls log = {
        .ctx = n, .on_persisted = on_persisted, .on_fatal = on_fatal};
    const struct checkpoint_thread_calls checkpoints = {
        .ctx = n, .on_done = on_checkpoint_done, .on_fatal = on_fatal};
    if (log_thread_start(&n->log, n->dir.log, &log) != 0 ||
        checkpoint_thread_start(&n->checkpointer, n->dir.state, &checkpoints) != 0)
        return node_fail(n, NODE_EXIT_FATAL, "threads", "cannot be started");
    return 0;
}

static int open_pump(struct node *n)
{
    struct pump_config config = {.cluster = n->config->cluster.uuid,
                                 .group = n->config->cluster.group,
                                 .id = n->config->id,
                                 .address = n->config->self->peer,
                                 .election_timeout_ms = n->config->election_timeout_ms,
                                 .heartbeat_ms = n->config->heartbeat_ms,
                                 .max_inflight = INTAKE_FLIGHTS};
    const struct pump_io io = node_pump_io(n);
    link_random(&config.seed, sizeof config.seed);
    n->pump = pump_new(&config, &io);
    return n->pump ? 0 : node_fail(n, NODE_EXIT_FATAL, "consensus", "cannot be started");
}

static int open_peers(struct node *n)
{
    char error[256];
    struct peers_config config = {
        .listen = n->config->peer_listen,
        .tls = {.ca_file = n->config->peer_ca, .cert_file = n->config->peer_cert},
        .ctx = n,
        .on_message = on_peer_message,
        .on_gone = on_peer_gone};
    for (unsigned i = 0; i < n->config->cluster.n_nodes; i++) {
        const struct cluster_node *node = &n->config->cluster.nodes[i];
        if (node->id != n->config->id)
            config.peers[config.n_peers++] = (struct peers_peer){
                .id = node->id, .address = node->peer, .server_name = node->peer_name};
    }
    if (peers_open(&n->peers, &config, error) != 0)
        return node_fail(n, NODE_EXIT_USAGE, "peers", error);
    return 0;
}

static int open_port(struct node *n)
{
    char error[256];
    const struct serve_config config = {
        .cluster = n->config->cluster.uuid,
        .group = n->config->cluster.group,
        .address = n->config->client_listen,
        .tls = {.ca_file = n->config->client_ca, .cert_file = n->config->client_cert},
        .contexts = n->config->in_flight,
        .ctx = n,
        .on_request = on_request};
    if (serve_port_open(&n->port, &config, error) != 0)
        return node_fail(n, NODE_EXIT_USAGE, "client port", error);
    return 0;
}

/* ---- signals ---- */

static void *wait_for_signal(void *arg)
{
    struct node *n = arg;
    sigset_t set;
    int signal;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    for (;;)
        if (sigwait(&set, &signal) == 0)
            (void)inbox_post(n->inbox, &(struct inbox_event){.kind = INBOX_STOP});
    return NULL;
}

static int open_signals(struct node *n)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, wait_for_signal, n) != 0)
        return node_fail(n, NODE_EXIT_FATAL, "threads", "cannot be started");
    (void)pthread_detach(thread); /* lives as long as the process */
    return 0;
}

/* ---- life ---- */

static int open_memory(struct node *n)
{
    const struct intake_calls calls = {.ctx = n, .on_complete = node_on_complete};
    n->answer = malloc(PROTO_ANSWER_MAX);
    drift_init(&n->drift);
    log_page_init(&n->page);
    if (!n->answer || inbox_new(&n->inbox) != 0 || intake_init(&n->intake, &calls) != 0)
        return node_fail(n, NODE_EXIT_FATAL, "start", "out of memory");
    return 0;
}

static int open_node(struct node *n)
{
    struct log_recovered recovered;
    uint64_t index = 0;
    if (open_memory(n) != 0 || open_dir(n, &recovered) != 0)
        return -EIO;
    int rv = open_machine(n, &index);
    if (rv == 0)
        rv = open_threads(n);
    if (rv == 0) {
        const struct checkpoint_config config = {.every_ms = n->config->checkpoint_ms,
                                                 .changed_records = n->config->checkpoint_records};
        checkpoint_init(&n->checkpoint, &config, n->machine, &n->reader, n->checkpointer, index);
        rv = open_pump(n);
    }
    if (rv == 0)
        rv = open_peers(n);
    if (rv == 0) {
        n->now = node_clock_now();
        node_pump_result(n, pump_start(n->pump, n->now, &recovered));
        rv = n->failed ? -EIO : open_port(n);
    }
    if (rv == 0)
        rv = open_signals(n);
    log_recovered_close(&recovered);
    return rv;
}

static void say_ready(const struct node *n)
{
    (void)printf("ready node=%u peer=%s client=%s\n", (unsigned)n->config->id,
                 n->config->peer_listen, n->config->client_listen);
    (void)fflush(stdout);
    base_log(BASE_LOG_INFO, "ready", BASE_I("node", n->config->id),
             BASE_S("peer", n->config->peer_listen), BASE_S("client", n->config->client_listen),
             NULL);
}

/* The log thread first: what it writes belongs to the pump. The inbox outlives every poster but the
 * signal thread, so it is never freed: the process ends right after. */
static void close_node(struct node *n)
{
    if (n->port)
        serve_port_stop(n->port);
    if (n->inbox && n->machine)
        node_finish(n);
    serve_port_close(n->port);
    peers_close(n->peers);
    if (n->log)
        log_thread_stop(n->log);
    if (n->checkpointer)
        checkpoint_thread_stop(n->checkpointer);
    pump_free(n->pump);
    checkpoint_close(&n->checkpoint);
    core_machine_free(n->machine);
    drift_close(&n->drift);
    if (n->reader.txn)
        state_reader_close(&n->reader);
    log_page_close(&n->page);
    if (n->dir.log)
        data_dir_close(&n->dir);
    intake_close(&n->intake);
    free(n->answer);
}

enum node_exit node_run(const struct node_config *config)
{
    static struct node node; /* one a process; the signal thread may look at its inbox to the end */
    struct node *n = &node;
    *n = (struct node){.config = config, .exit = NODE_EXIT_OK};
    if (open_node(n) == 0) {
        say_ready(n);
        node_loop(n);
    }
    close_node(n);
    base_log(BASE_LOG_INFO, "stopped", BASE_I("exit", n->exit), NULL);
    return n->exit;
}
