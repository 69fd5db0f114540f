/* SPDX-License-Identifier: Apache-2.0
 * Opening a node in the order in which its parts depend on each other, and closing it in reverse.
 */
#include "ledger/node_host.h"

#include "ledger/store/data_mark.h"
#include "proto/base/log.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    NODE_FILES = 192, /* open beside clients: peers' connections, LMDB, the archive, metrics */
    NODE_FILES_MAX = 65536, /* as many as the node asks for */
    NODE_CONNS_LEAST = 16,
};

/* ---- what other threads post ---- */

static void wake(void *ctx)
{
    net_thread_wake(((struct node_host *)ctx)->net);
}

static void on_persisted(void *ctx, uint64_t first, uint64_t last)
{
    struct node_host *h = ctx;
    (void)inbox_post(h->inbox,
                     &(struct inbox_event){.kind = INBOX_PERSISTED, .a = first, .b = last});
}

static void on_checkpoint_done(void *ctx, uint64_t index, uint64_t nanos)
{
    struct node_host *h = ctx;
    (void)inbox_post(h->inbox,
                     &(struct inbox_event){.kind = INBOX_CHECKPOINT, .a = index, .b = nanos});
}

static void on_fatal(void *ctx, const char *why)
{
    struct node_host *h = ctx;
    inbox_fatal(h->inbox, why);
}

/* ---- what the sockets bring: in a turn of the loop ---- */

static bool on_request(void *ctx, struct serve_request *r)
{
    struct node_host *h = ctx;
    if (h->node.failed || h->ended)
        return false;
    node_on_request(&h->node, node_clock_now(), r);
    return true;
}

static void on_peer_message(void *ctx, const void *bytes, size_t n)
{
    struct node_host *h = ctx;
    if (!h->node.failed && !h->ended)
        node_on_message(&h->node, node_clock_now(), bytes, n);
}

static void on_peer_gone(void *ctx, uint64_t id)
{
    struct node_host *h = ctx;
    if (!h->node.failed && !h->ended)
        node_on_gone(&h->node, node_clock_now(), id);
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

enum node_exit node_create(const struct node_config *config, bool join)
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
    if (data_dir_create(config->data, &id, conf, join ? 0 : (size_t)len, &why) != 0) {
        base_log(BASE_LOG_ERROR, "data directory", BASE_S("directory", config->data),
                 BASE_S("cause", why.text), NULL);
        return NODE_EXIT_DATA;
    }
    base_log(BASE_LOG_INFO, "data directory created", BASE_S("directory", config->data), NULL);
    return NODE_EXIT_OK;
}

/* What can be otherwise in a while (a name, an address, descriptors, room on the disk) is worth
 * another start; what the configuration says, or the directory holds, is not. */
static enum node_exit exit_of(int rv, enum node_exit for_good)
{
    switch (rv) {
    case -EADDRINUSE:
    case -EADDRNOTAVAIL:
    case -EMFILE:
    case -ENFILE:
    case -ENOMEM:
    case -ENOBUFS:
    case -EAGAIN:
    case -ENOSPC:
    case -EDQUOT:
    case -EIO:
        return NODE_EXIT_FATAL;
    default:
        return for_good;
    }
}

static int refuse_data(struct node_host *h, int rv, const char *cause)
{
    return node_fail(&h->node, exit_of(rv, NODE_EXIT_DATA), h->node.config->data, cause);
}

/* Not before an operator has acted: the state would be served, wrong as it is. */
static int refuse_marked(struct node_host *h)
{
    char text[DATA_MARK_MAX];
    if (!data_mark_read(h->node.config->data, text))
        return 0;
    base_log(BASE_LOG_ERROR,
             "seed this node anew, or have its state made from its log: holdfast-ledger rebuild",
             NULL);
    return node_fail(&h->node, NODE_EXIT_DIVERGED, h->node.config->data, text);
}

static int open_dir(struct node_host *h, struct log_recovered *recovered)
{
    struct store_why why = {0};
    if (refuse_marked(h) != 0)
        return -EIO;
    const struct node_config *config = h->node.config;
    const struct node_identity id = identity_of(config);
    h->dir_config = (struct data_dir_config){.log = {.segment_bytes = config->segment_bytes}};
    int rv = data_dir_open(&h->dir, config->data, &id, &h->dir_config, &why);
    if (rv != 0)
        return refuse_data(h, rv, why.text);
    rv = data_dir_recover(&h->dir, &h->dir_config, recovered, &why);
    if (rv != 0)
        data_dir_close(&h->dir);
    return rv == 0 ? 0 : refuse_data(h, rv, why.text);
}

static int open_state(struct node_host *h, struct state_meta *meta)
{
    struct store_why why = {0};
    if (state_reader_open(&h->reader, h->dir.state, &why) != 0)
        return node_fail(&h->node, NODE_EXIT_DATA, "state", why.text);
    if (state_reader_meta(&h->reader, meta) != 0)
        return node_fail(&h->node, NODE_EXIT_DATA, "state", "where it stands cannot be read");
    return 0;
}

/* ---- archive and retention ---- */

static void on_trimmed(void *ctx, uint64_t first, const char *why)
{
    (void)ctx;
    if (why)
        base_log(BASE_LOG_WARN, "the log could not be trimmed", BASE_S("cause", why), NULL);
    else
        base_log(BASE_LOG_INFO, "log trimmed", BASE_I("first", first), NULL);
}

static void on_wanted(void *ctx, uint64_t first)
{
    struct node_host *h = ctx;
    (void)inbox_post(h->inbox, &(struct inbox_event){.kind = INBOX_WANTED, .a = first});
}

static void on_archived(void *ctx, uint64_t first, uint64_t last)
{
    (void)ctx;
    base_log(BASE_LOG_INFO, "log archived", BASE_I("first", first), BASE_I("last", last), NULL);
}

static void on_archive_failed(void *ctx, const char *why)
{
    (void)ctx;
    base_log(BASE_LOG_ERROR, "the log cannot be archived", BASE_S("cause", why), NULL);
}

static int open_archiver(struct node_host *h)
{
    const struct node_config *c = h->node.config;
    const struct archive_thread_config config = {
        .archive = c->archive,
        .owner = {c->cluster.uuid, c->cluster.group},
        .keep_bytes = c->keep_bytes,
        .keep_s = c->keep_s,
        .trim_unarchived = c->trim_unarchived,
        .ctx = h,
        .on_wanted = on_wanted,
        .on_archived = on_archived,
        .on_failed = on_archive_failed,
    };
    if (!c->archive && !c->trim_unarchived)
        return 0;
    if (archive_thread_start(&h->archiver, h->dir.log, &config) != 0)
        return node_fail(&h->node, NODE_EXIT_FATAL, "threads", "cannot be started");
    archive_thread_applied(h->archiver, h->node.checkpoint.index);
    return 0;
}

/* ---- threads, consensus, ports ---- */

static int open_threads(struct node_host *h)
{
    const struct log_thread_calls log = {
        .ctx = h, .on_persisted = on_persisted, .on_fatal = on_fatal, .on_trimmed = on_trimmed};
    const struct checkpoint_thread_calls checkpoints = {
        .ctx = h, .on_done = on_checkpoint_done, .on_fatal = on_fatal, .sweep = &checkpoint_sweep};
    if (log_thread_start(&h->log, h->dir.log, &log) != 0 ||
        checkpoint_thread_start(&h->checkpointer, h->dir.state, &checkpoints) != 0)
        return node_fail(&h->node, NODE_EXIT_FATAL, "threads", "cannot be started");
    return 0;
}

/* ---- seeding of other nodes ---- */

static void refuse_seed(struct node_host *h, struct net_frame *request, const char *text)
{
    uint8_t bytes[256];
    struct proto_writer w = proto_writer_over(bytes, sizeof bytes);
    const struct proto_seed_answer a = {.format = SEED_FORMAT,
                                        .code = SEED_FAILED,
                                        .text = proto_str_of(text),
                                        .node = h->node.config->id};
    proto_seed_answer_put(&w, &a);
    net_service_answer(request, w.full ? NULL : net_frame_of(bytes, w.n));
}

static void on_peer_request(void *ctx, struct net_frame *request)
{
    struct node_host *h = ctx;
    const struct pump *p = h->node.pump;
    const uint64_t commit = pump_commit_index(p);
    /* A leader's log has all that was committed; it knows of all once an entry of its own term is,
     * or nothing stands behind. (After an election nobody has proposed anything on an idle night.)
     */
    const struct seed_standing standing = {
        .term = pump_term(p),
        .leader = pump_leader(p),
        .commit = commit,
        .last = pump_last_index(p),
        .firm =
            pump_leads_firmly(p) || (pump_role(p) == PUMP_LEADER && commit == pump_last_index(p))};
    bool gives = h->seeds && !h->node.quarantined; /* who has diverged gives nothing away */
    bool digest;
    uint64_t asker = seed_server_asker(request->bytes, request->len, &digest);
    if (asker > 0 && gives && !h->node.failed && !h->ended)
        node_on_seeding(&h->node, node_clock_now(), asker, digest);
    if (!gives || !seed_server_ask(h->seeds, request, request->bytes, request->len, &standing))
        refuse_seed(h, request, gives ? "it is busy" : "it takes part in nothing");
}

static void on_seed_answer(void *ctx, void *request, const void *answer, size_t n)
{
    (void)ctx;
    net_service_post(request, n > 0 ? net_frame_of(answer, n) : NULL);
}

static uint64_t keep_free(void *ctx, uint64_t total_bytes)
{
    struct node_host *h = ctx;
    return room_bound(h->node.config, total_bytes);
}

static int open_seeds(struct node_host *h)
{
    const struct seed_server_config config = {.data = h->node.config->data,
                                              .log = h->dir.log,
                                              .state = h->dir.state,
                                              .id = identity_of(h->node.config),
                                              .ctx = h,
                                              .keep_free = keep_free,
                                              .on_answer = on_seed_answer};
    if (seed_server_start(&h->seeds, &config) != 0)
        return node_fail(&h->node, NODE_EXIT_FATAL, "threads", "cannot be started");
    return 0;
}

static int open_peers(struct node_host *h)
{
    char error[256];
    struct peers_config config = {
        .listen = h->node.config->peer_listen,
        .tls = {.ca_file = h->node.config->peer_ca, .cert_file = h->node.config->peer_cert},
        .ctx = h,
        .on_message = on_peer_message,
        .on_request = on_peer_request,
        .on_gone = on_peer_gone};
    for (unsigned i = 0; i < h->node.config->cluster.n_nodes; i++) {
        const struct cluster_node *node = &h->node.config->cluster.nodes[i];
        if (node->id != h->node.config->id)
            config.peers[config.n_peers++] = (struct peers_peer){
                .id = node->id, .address = node->peer, .server_name = node->peer_name};
    }
    int rv = peers_open(&h->peers, h->net, &config, error);
    if (rv != 0)
        return node_fail(&h->node, exit_of(rv, NODE_EXIT_USAGE), "peers", error);
    return 0;
}

/* How many clients may be connected at once, so that the log always finds a descriptor for its next
 * file: without one the node ends, and anybody can open a connection. */
static unsigned conns_max(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) != 0)
        return SERVE_CONNS_MAX;
    rlim_t most = r.rlim_max < NODE_FILES_MAX ? r.rlim_max : NODE_FILES_MAX;
    if (r.rlim_cur < most) {
        const struct rlimit more = {.rlim_cur = most, .rlim_max = r.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &more) == 0)
            r = more;
    }
    if (r.rlim_cur >= NODE_FILES + SERVE_CONNS_MAX)
        return SERVE_CONNS_MAX;
    unsigned n = NODE_CONNS_LEAST;
    if (r.rlim_cur > NODE_FILES + NODE_CONNS_LEAST)
        n = (unsigned)(r.rlim_cur - NODE_FILES);
    base_log(BASE_LOG_WARN, "few files may be open at once: fewer clients are let in",
             BASE_I("files", (int64_t)r.rlim_cur), BASE_I("connections", n), NULL);
    return n;
}

static int open_port(struct node_host *h)
{
    char error[256];
    const struct serve_config config = {
        .cluster = h->node.config->cluster.uuid,
        .group = h->node.config->cluster.group,
        .address = h->node.config->client_listen,
        .tls = {.ca_file = h->node.config->client_ca, .cert_file = h->node.config->client_cert},
        .in_flight = h->node.config->in_flight,
        .conns_max = conns_max(),
        .ctx = h,
        .on_request = on_request};
    int rv = serve_port_open(&h->port, h->net, &config, error);
    if (rv != 0)
        return node_fail(&h->node, exit_of(rv, NODE_EXIT_USAGE), "client port", error);
    return 0;
}

static int open_metrics(struct node_host *h)
{
    char error[256];
    int rv = node_metrics_open(&h->metrics, h->node.config, h->dir.log, error);
    if (rv != 0)
        return node_fail(&h->node, exit_of(rv, NODE_EXIT_USAGE), "metrics", error);
    return 0;
}

/* ---- signals ---- */

static void *wait_for_signal(void *arg)
{
    struct node_host *h = arg;
    sigset_t set;
    int signal;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    for (;;)
        if (sigwait(&set, &signal) == 0)
            (void)inbox_post(h->inbox, &(struct inbox_event){.kind = INBOX_STOP});
    return NULL;
}

static int open_signals(struct node_host *h)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, wait_for_signal, h) != 0)
        return node_fail(&h->node, NODE_EXIT_FATAL, "threads", "cannot be started");
    (void)pthread_detach(thread); /* lives as long as the process */
    return 0;
}

/* ---- life ---- */

static int start_node(struct node_host *h, const struct log_recovered *recovered)
{
    struct state_meta meta = {0};
    const struct node_io io = node_host_io(h);
    const struct node_start start = {.state = &meta, .log = recovered};
    int rv = open_state(h, &meta);
    if (rv == 0)
        rv = node_open(&h->node, h->node.config, &io, &start);
    if (rv == 0)
        rv = open_threads(h);
    if (rv == 0)
        rv = open_archiver(h);
    if (rv == 0)
        rv = open_seeds(h);
    if (rv == 0)
        rv = open_peers(h);
    if (rv == 0)
        rv = node_start(&h->node, node_clock_now(), &start);
    if (rv == 0)
        rv = open_port(h);
    if (rv == 0)
        rv = open_metrics(h);
    return rv == 0 ? open_signals(h) : rv;
}

static int open_node(struct node_host *h)
{
    struct log_recovered recovered;
    h->net = net_thread_new();
    if (!h->net || inbox_new(&h->inbox, wake, h) != 0)
        return node_fail(&h->node, NODE_EXIT_FATAL, "start", "out of memory");
    log_page_init(&h->page);
    if (open_dir(h, &recovered) != 0)
        return -EIO;
    int rv = start_node(h, &recovered);
    log_recovered_close(&recovered);
    return rv;
}

static void say_ready(const struct node_config *config)
{
    (void)printf("ready node=%u peer=%s client=%s\n", (unsigned)config->id, config->peer_listen,
                 config->client_listen);
    (void)fflush(stdout);
    base_log(BASE_LOG_INFO, "ready", BASE_I("node", config->id),
             BASE_S("peer", config->peer_listen), BASE_S("client", config->client_listen), NULL);
}

/* The threads that post first, the log thread before the rest: what it writes belongs to the pump.
 * The inbox outlives every poster but the signal thread, so it is never freed: the process ends
 * right after. */
static void close_node(struct node_host *h)
{
    if (h->inbox && h->node.machine)
        node_host_finish(h);
    node_metrics_close(h->metrics);
    archive_thread_stop(h->archiver);
    if (h->log)
        log_thread_stop(h->log);
    if (h->checkpointer)
        checkpoint_thread_stop(h->checkpointer);
    seed_server_stop(h->seeds);
    h->seeds = NULL;
    net_thread_stop(h->net);
    serve_port_free(h->port);
    peers_free(h->peers);
    node_close(&h->node);
    if (h->reader.txn)
        state_reader_close(&h->reader);
    log_page_close(&h->page);
    if (h->dir.log)
        data_dir_close(&h->dir);
}

enum node_exit node_run(const struct node_config *config)
{
    static struct node_host host; /* one a process; the signal thread may look at it to the end */
    struct node_host *h = &host;
    *h = (struct node_host){.node = {.config = config, .exit = NODE_EXIT_OK}};
    if (open_node(h) == 0) {
        say_ready(config);
        node_host_loop(h);
    }
    close_node(h);
    base_log(BASE_LOG_INFO, "stopped", BASE_I("exit", h->node.exit), NULL);
    return h->node.exit;
}
