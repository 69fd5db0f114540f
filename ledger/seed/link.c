/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/seed/link.h"

#include "proto/net/client.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

int seed_net_open(struct seed_net *s, const struct node_config *config, struct store_why *why)
{
    char error[256];
    *s = (struct seed_net){.config = config};
    for (unsigned i = 0; i < config->cluster.n_nodes; i++) {
        const struct cluster_node *node = &config->cluster.nodes[i];
        if (node->id == config->id)
            continue;
        if (s->n == SEED_OTHERS_MAX)
            return store_why_set(why, -EINVAL, "more than %d other nodes", SEED_OTHERS_MAX);
        const struct net_client_config client = {
            .address = node->peer,
            .server_name = node->peer_name,
            .tls = {.ca_file = config->peer_ca, .cert_file = config->peer_cert},
            .frame_max = SEED_FRAME_MAX};
        int rv = net_client_new(&s->client[s->n], &client, error);
        if (rv)
            return store_why_set(why, -EINVAL, "%s", error);
        s->node[s->n++] = node->id;
    }
    return 0;
}

void seed_net_close(struct seed_net *s)
{
    for (unsigned i = 0; i < s->n; i++)
        net_client_free(s->client[i]);
    net_frame_free(s->reply);
    *s = (struct seed_net){0};
}

static unsigned timeout_of(uint8_t kind)
{
    if (kind == SEED_HELLO)
        return SEED_HELLO_TIMEOUT_MS;
    return kind == SEED_OPEN || kind == SEED_DIGEST ? SEED_TIMEOUT_MS : SEED_PIECE_TIMEOUT_MS;
}

static int exchange(struct seed_net *s, unsigned i, const struct proto_seed_ask *ask,
                    struct store_why *why)
{
    uint8_t bytes[256];
    char error[256] = "";
    struct proto_writer w = proto_writer_over(bytes, sizeof bytes);
    proto_seed_ask_put(&w, ask);
    struct net_frame *request = w.full ? NULL : net_frame_of(bytes, w.n);
    if (!request)
        return store_why_set(why, -ENOMEM, "no memory for a question");
    net_frame_free(s->reply);
    s->reply = NULL;
    int rv = net_client_ask(s->client[i], request, timeout_of(ask->kind), &s->reply, error);
    if (rv)
        s->reply = NULL;
    return rv ? store_why_set(why, -EAGAIN, "node %" PRIu64 ": %s", s->node[i], error) : 0;
}

static int ask_node(void *ctx, uint64_t node, const struct proto_seed_ask *ask,
                    struct proto_seed_answer *answer, struct store_why *why)
{
    struct seed_net *s = ctx;
    unsigned i = 0;
    while (i < s->n && s->node[i] != node)
        i++;
    if (i == s->n)
        return store_why_set(why, -EAGAIN, "node %" PRIu64 " is not in cluster.conf", node);
    int rv = exchange(s, i, ask, why);
    if (rv)
        return rv;
    struct proto_reader r = proto_reader_over(s->reply->bytes, s->reply->len);
    if (!proto_seed_answer_get(&r, answer) || !proto_get_end(&r))
        return store_why_set(why, -EAGAIN, "node %" PRIu64 " answers what is no answer: %s", node,
                             r.error ? r.error : "bytes are left");
    return 0;
}

static void pause_a_moment(void *ctx)
{
    const struct timespec t = {.tv_nsec = (long)SEED_PAUSE_MS * 1000000};
    (void)ctx;
    (void)nanosleep(&t, NULL);
}

struct seed_link seed_net_link(struct seed_net *s)
{
    return (struct seed_link){.ctx = s, .ask = ask_node, .pause = pause_a_moment};
}
