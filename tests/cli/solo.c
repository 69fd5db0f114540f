/* SPDX-License-Identifier: Apache-2.0
 * usage: holdfast-solo DIR
 * The real state machine behind the real client port, without Raft and without a disk: what the
 * tests of holdfastctl talk to. DIR is what `holdfastctl init --nodes 1` made. Applies on the net
 * thread; says "ready" on stdout; ends when its standard input does.
 */
#include "ledger/core/core.h"
#include "ledger/serve/port.h"
#include "ledger/serve/reply.h"
#include "proto/base/check.h"
#include "proto/link/cluster_conf.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

struct solo {
    pthread_mutex_t lock;
    struct core_machine *machine;
    struct cluster_conf cluster;
    uint64_t index;
    uint8_t entry[PROTO_FRAME_MAX], answer[PROTO_ANSWER_MAX];
};

static int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static struct proto_writer entry_begin(struct solo *s, uint32_t n)
{
    struct proto_writer w = proto_writer_over(s->entry, sizeof s->entry);
    const struct proto_batch_header h = {
        .format = PROTO_LOG_FORMAT, .machine = PROTO_MACHINE_VERSION, .stamp_us = now_us()};
    proto_batch_begin(&w, &h, n);
    return w;
}

static void entry_apply(struct solo *s, const struct proto_writer *w, struct core_outcome *out)
{
    CHECK(!w->full);
    CHECK(core_machine_apply(s->machine, ++s->index, 1, w->base, w->n, out) == 0);
}

static void genesis(struct solo *s)
{
    uint8_t bytes[512];
    const char *error;
    struct core_outcome out;
    struct proto_writer w = proto_writer_over(bytes, sizeof bytes);
    struct proto_command c = {.head.kind = PROTO_CMD_genesis};
    c.body.genesis = (struct proto_genesis){.cluster = s->cluster.uuid,
                                            .group = s->cluster.group,
                                            .machine = PROTO_MACHINE_VERSION,
                                            .seed = s->cluster.seed,
                                            .operator_hash = s->cluster.operator_hash};
    link_uuid7(&c.head.id);
    CHECK(proto_command_put(&w, &c) && proto_command_seal(bytes, w.n, &error));
    struct proto_writer entry = entry_begin(s, 1);
    proto_batch_add(&entry, bytes, w.n);
    entry_apply(s, &entry, &out);
    CHECK(core_machine_initialised(s->machine));
}

static void commands(struct solo *s, struct serve_request *r, const struct proto_reply_head *head)
{
    struct core_outcome out;
    struct core_position at;
    struct proto_writer entry = entry_begin(s, r->n);
    for (unsigned i = 0; i < r->n; i++) {
        proto_batch_add(&entry, r->commands[i].p, r->commands[i].n);
        r->commands[i].state = SERVE_PROPOSED;
    }
    entry_apply(s, &entry, &out);
    core_machine_position(s->machine, &at);
    for (unsigned i = 0; i < r->n; i++)
        CHECK(serve_command_answer(&r->commands[i], at.index, i, &at.chain,
                                   out.results + out.items[i].offset, out.items[i].length) == 0);
    serve_port_answer(r, serve_reply_commands(r, head));
}

static void status(struct solo *s, struct serve_request *r, const struct proto_reply_head *head)
{
    struct core_position at;
    core_machine_position(s->machine, &at);
    const struct proto_node_status out = {
        .id = s->cluster.nodes[0].id,
        .role = proto_str_of("leader"),
        .build = proto_str_of("solo"),
        .term = 1,
        .leader = s->cluster.nodes[0].id,
        .last_index = at.index,
        .commit_index = at.index,
        .applied_index = at.index,
        .chain = at.chain,
        .clock_us = at.clock_us,
        .drift = core_machine_drift(s->machine),
        .open_holds = core_machine_open_holds(s->machine),
        .facts = {.n = 1,
                  .e = {{.name = proto_str_of("member"),
                         .number = s->cluster.nodes[0].id,
                         .text = proto_str_of("voter")}}},
    };
    serve_port_answer(r, serve_reply_status(head, &out));
}

static bool on_request(void *ctx, struct serve_request *r)
{
    struct solo *s = ctx;
    pthread_mutex_lock(&s->lock);
    const struct proto_reply_head head = {
        .status = PROTO_REPLY_done, .leader = s->cluster.nodes[0].id, .applied = s->index};
    if (r->kind == PROTO_REQUEST_COMMANDS) {
        commands(s, r, &head);
    } else if (r->kind == PROTO_REQUEST_QUERY) {
        struct proto_writer w = proto_writer_over(s->answer, sizeof s->answer);
        CHECK(core_machine_query(s->machine, r->query.p, r->query.n, &w) == 0 && !w.full);
        serve_port_answer(r, serve_reply_query(&head, s->answer, w.n));
    } else {
        status(s, r, &head);
    }
    pthread_mutex_unlock(&s->lock);
    return true;
}

static void path_of(char out[512], const char *dir, const char *name)
{
    snprintf(out, 512, "%s/%s", dir, name);
}

int main(int argc, char **argv)
{
    static struct solo s = {.lock = PTHREAD_MUTEX_INITIALIZER};
    char conf[512], ca[512], cert[512], why[BASE_CONF_ERROR];
    struct serve_port *port;
    struct net_thread *thread = net_thread_start("net");
    CHECK(thread != NULL);
    if (argc != 2)
        return 2;
    path_of(conf, argv[1], "cluster.conf");
    path_of(ca, argv[1], "certs/client-ca.crt");
    path_of(cert, argv[1], "certs/node-1-client.pem");
    if (cluster_conf_load(&s.cluster, conf, why)) {
        fprintf(stderr, "%s\n", why);
        return 2;
    }
    CHECK(core_machine_new(&s.machine, &(struct core_config){0}, NULL) == 0);
    genesis(&s);
    const struct serve_config config = {.cluster = s.cluster.uuid,
                                        .group = s.cluster.group,
                                        .address = s.cluster.nodes[0].client,
                                        .tls = {.ca_file = ca, .cert_file = cert},
                                        .in_flight = 8,
                                        .ctx = &s,
                                        .on_request = on_request};
    if (serve_port_open(&port, thread, &config, why)) {
        fprintf(stderr, "%s\n", why);
        return 2;
    }
    puts("ready");
    fflush(stdout);
    for (char c; read(STDIN_FILENO, &c, 1) > 0;)
        continue;
    net_thread_stop(thread);
    serve_port_free(port);
    core_machine_free(s.machine);
    return 0;
}
