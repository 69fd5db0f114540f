/* SPDX-License-Identifier: Apache-2.0
 * bench-probe: what this machine gives at best to one command that waits for its answer: a bare
 * LMDB commit of one small record (to a file that grows, and to one whose blocks were written
 * before, as the log's are), a bare flush, and a round trip of one small frame over loopback with
 * mutual TLS and without. tests/bench judges a lone client's latency by them. One JSON object.
 *
 *   bench-probe SCRATCH_DIR CA_FILE SERVER_PEM SERVER_NAME CLIENT_PEM ROUNDS
 */
#include "proto/net/client.h"
#include "proto/net/listener.h"
#include "proto/net/thread.h"
#include "tests/unit/free_port.h"
#include "tools/bench/load.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <lmdb.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum {
    WARM_UP = 20,
    ROUNDS_MAX = 1000000,
    WRITTEN_BYTES = 1 << 17, /* a write ahead of LMDB; WRITTEN of them */
    WRITTEN = 1024,
    RECORD_BYTES = 400, /* a log entry of one reserve, about */
    FRAME_BYTES = 400,
    FRAME_MAX = 65536,
    TIMEOUT_MS = 5000,
};

static unsigned rounds;

static int fail(const char *what, const char *why)
{
    (void)fprintf(stderr, "bench-probe: %s: %s\n", what, why);
    return -1;
}

static void add(struct histogram *h, unsigned round, uint64_t from_ns)
{
    if (round >= WARM_UP)
        histogram_add(h, load_now_ns() - from_ns);
}

static void put(const char *name, const struct histogram *h, bool last)
{
    (void)printf("\"%s\":{\"n\":%" PRIu64 ",\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f}%s", name, h->n,
                 (double)histogram_at(h, 0.5) / 1e3, (double)histogram_at(h, 0.9) / 1e3,
                 (double)histogram_at(h, 0.99) / 1e3, last ? "" : ",");
}

/* ---- the disk ---- */

static int commit_one(MDB_env *env, MDB_dbi *table, uint64_t number)
{
    char record[RECORD_BYTES];
    MDB_txn *txn;
    MDB_val key = {sizeof number, &number}, value = {sizeof record, record};
    memset(record, (int)(number & 0xff), sizeof record);
    int rv = mdb_txn_begin(env, NULL, 0, &txn);
    if (rv)
        return rv;
    if (number == 0)
        rv = mdb_dbi_open(txn, "entries", MDB_CREATE | MDB_INTEGERKEY, table);
    if (rv == 0)
        rv = mdb_put(txn, *table, &key, &value, MDB_APPEND);
    if (rv == 0)
        return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return rv;
}

/* Zeros behind what LMDB uses of its file, flushed. */
static int write_blocks(const char *path)
{
    static const char zeros[WRITTEN_BYTES];
    char file[PATH_MAX];
    struct stat st;
    if ((size_t)snprintf(file, sizeof file, "%s/data.mdb", path) >= sizeof file)
        return -1;
    int fd = open(file, O_WRONLY | O_CLOEXEC), rv = fd < 0 || fstat(fd, &st) != 0;
    for (unsigned i = 0; rv == 0 && i < WRITTEN; i++)
        rv = pwrite(fd, zeros, sizeof zeros, st.st_size + (off_t)i * WRITTEN_BYTES) !=
             (ssize_t)sizeof zeros;
    rv = rv || fsync(fd) != 0;
    if (fd >= 0)
        (void)close(fd);
    return rv ? -1 : 0;
}

static int probe_commits(const char *dir, const char *name, bool written, struct histogram *h)
{
    char path[PATH_MAX];
    MDB_env *env;
    MDB_dbi table = 0;
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    if (mkdir(path, 0700) != 0)
        return fail(path, "cannot be made");
    int rv = mdb_env_create(&env);
    if (rv)
        return fail("LMDB", mdb_strerror(rv));
    if ((rv = mdb_env_set_mapsize(env, (size_t)1 << 30)) == 0 &&
        (rv = mdb_env_set_maxdbs(env, 4)) == 0)
        rv = mdb_env_open(env, path, 0, 0600); /* the default sync, as the log's */
    if (rv == 0 && written && write_blocks(path) != 0) {
        mdb_env_close(env);
        return fail(path, "cannot be written");
    }
    for (unsigned i = 0; rv == 0 && i < rounds + WARM_UP; i++) {
        uint64_t from = load_now_ns();
        rv = commit_one(env, &table, i);
        add(h, i, from);
    }
    mdb_env_close(env);
    return rv ? fail("LMDB", mdb_strerror(rv)) : 0;
}

static int probe_flushes(const char *dir, struct histogram *h)
{
    char path[PATH_MAX], page[4096];
    memset(page, 1, sizeof page);
    (void)snprintf(path, sizeof path, "%s/probe-flush", dir);
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600), rv = fd < 0;
    for (unsigned i = 0; rv == 0 && i < rounds + WARM_UP; i++) {
        uint64_t from = load_now_ns();
        rv = pwrite(fd, page, sizeof page, (off_t)i * (off_t)sizeof page) != sizeof page ||
             fdatasync(fd) != 0;
        add(h, i, from);
    }
    if (fd >= 0)
        (void)close(fd);
    return rv ? fail(path, "cannot be written") : 0;
}

/* ---- loopback, plain ---- */

static void *echo_bytes(void *arg)
{
    char frame[FRAME_BYTES];
    int one = 1, fd = accept(*(int *)arg, NULL, NULL);
    if (fd < 0)
        return NULL;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    while (recv(fd, frame, sizeof frame, MSG_WAITALL) == FRAME_BYTES &&
           send(fd, frame, sizeof frame, MSG_NOSIGNAL) == FRAME_BYTES)
        ;
    (void)close(fd);
    return NULL;
}

static int probe_tcp(struct histogram *h)
{
    char frame[FRAME_BYTES] = {0};
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    pthread_t echo;
    int one = 1, port = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);
    if (port < 0 || fd < 0 || bind(port, (struct sockaddr *)&a, n) != 0 || listen(port, 1) != 0 ||
        getsockname(port, (struct sockaddr *)&a, &n) != 0 ||
        pthread_create(&echo, NULL, echo_bytes, &port) != 0)
        return fail("TCP", "no sockets or no thread");
    int rv = connect(fd, (struct sockaddr *)&a, n);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    for (unsigned i = 0; rv == 0 && i < rounds + WARM_UP; i++) {
        uint64_t from = load_now_ns();
        rv = send(fd, frame, sizeof frame, MSG_NOSIGNAL) != FRAME_BYTES ||
             recv(fd, frame, sizeof frame, MSG_WAITALL) != FRAME_BYTES;
        add(h, i, from);
    }
    (void)close(fd);
    (void)close(port);
    (void)pthread_join(echo, NULL);
    return rv ? fail("TCP", "the connection broke") : 0;
}

/* ---- loopback, mutual TLS ---- */

static void on_open(void *ctx, struct net_conn *c)
{
    (void)ctx, (void)c;
}

static void on_frame(void *ctx, struct net_conn *c, struct net_frame *f)
{
    (void)ctx;
    if (net_conn_send(c, f) != 0)
        net_frame_free(f);
}

static void on_closed(void *ctx, struct net_conn *c, const char *cause)
{
    (void)ctx, (void)c, (void)cause;
}

struct port {
    struct net_thread *thread;
    struct net_listener_config config;
    int rv;
    char error[256];
};

static void open_port(void *arg)
{
    struct port *p = arg;
    p->rv = net_listener_open(net_thread_loop(p->thread), &p->config, p->error);
}

static int ask_over_tls(const struct net_client_config *config, struct histogram *h)
{
    char error[256] = "";
    struct net_client *c;
    int rv = net_client_new(&c, config, error);
    if (rv)
        return fail("TLS", error);
    for (unsigned i = 0; rv == 0 && i < rounds + WARM_UP; i++) {
        struct net_frame *request = net_frame_new(FRAME_BYTES), *reply = NULL;
        if (!request)
            return fail("TLS", "no memory");
        memset(request->bytes, 0, FRAME_BYTES);
        uint64_t from = load_now_ns();
        rv = net_client_ask(c, request, TIMEOUT_MS, &reply, error);
        add(h, i, from);
        net_frame_free(rv == 0 ? reply : NULL);
    }
    net_client_free(c);
    return rv ? fail("TLS", error) : 0;
}

static int probe_tls(char **files, struct histogram *h)
{
    char error[256] = "", address[32];
    struct net_tls *tls;
    const struct net_tls_files server = {files[0], files[1]};
    if (net_tls_load(&tls, &server, error) != 0)
        return fail("TLS", error);
    (void)snprintf(address, sizeof address, "127.0.0.1:%u", free_port());
    struct port port = {.thread = net_thread_start("echo"),
                        .config = {.conn = {.tls = tls,
                                            .frame_max = FRAME_MAX,
                                            .queue_max = FRAME_MAX,
                                            .calls = {NULL, on_open, on_frame, on_closed}},
                                   .address = address,
                                   .conns_max = 4}};
    if (!port.thread)
        return fail("TLS", "no thread");
    net_thread_call(port.thread, open_port, &port);
    const struct net_client_config client = {.address = address,
                                             .server_name = files[2],
                                             .tls = {files[0], files[3]},
                                             .frame_max = FRAME_MAX};
    int rv = port.rv ? fail("TLS", port.error) : ask_over_tls(&client, h);
    net_thread_stop(port.thread);
    net_tls_free(tls);
    return rv;
}

int main(int argc, char **argv)
{
    static struct histogram growing, commit, flush, tcp, tls;
    struct histogram *all[] = {&growing, &commit, &flush, &tcp, &tls};
    rounds = argc == 7 ? (unsigned)strtoul(argv[6], NULL, 10) : 0;
    if (rounds == 0 || rounds > ROUNDS_MAX) {
        (void)fputs("usage: bench-probe DIR CA_FILE SERVER_PEM SERVER_NAME CLIENT_PEM ROUNDS\n",
                    stderr);
        return 2;
    }
    for (unsigned i = 0; i < sizeof all / sizeof all[0]; i++)
        histogram_init(all[i]);
    if (probe_commits(argv[1], "growing", false, &growing) != 0 ||
        probe_commits(argv[1], "written", true, &commit) != 0 ||
        probe_flushes(argv[1], &flush) != 0 || probe_tcp(&tcp) != 0 ||
        probe_tls(argv + 2, &tls) != 0)
        return 1;
    (void)putchar('{');
    put("lmdb_growing_us", &growing, false);
    put("lmdb_commit_us", &commit, false);
    put("flush_us", &flush, false);
    put("tcp_round_trip_us", &tcp, false);
    put("tls_round_trip_us", &tls, true);
    (void)puts("}");
    return 0;
}
