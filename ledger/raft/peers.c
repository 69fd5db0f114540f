/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/raft/peers.h"

#include "proto/base/log.h"
#include "proto/net/dialer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct peer {
    struct peers *peers;
    uint64_t id;
    struct net_dialer *dialer;
    char learned[PUMP_ADDRESS_MAX]; /* where, by the log; "": from our configuration */
    uint64_t told;                  /* the log named it last in this turn */
};

struct peers {
    struct peers_config config;
    struct net_thread *thread;
    struct net_tls *tls; /* of the dialers */
    struct net_service *port;
    struct peer peer[PUMP_SERVERS_MAX];
    unsigned n;
    uint64_t turn; /* of what the log says */
    int open_result;
    char *error;
};

/* ---- sending ---- */

static struct peer *find(struct peers *p, uint64_t id)
{
    for (unsigned i = 0; i < p->n; i++)
        if (p->peer[i].id == id)
            return &p->peer[i];
    return NULL;
}

void peers_send(struct peers *p, uint64_t id, const void *head, size_t head_len, const void *body,
                size_t body_len)
{
    const struct peer *q = find(p, id);
    struct net_conn *c = q ? net_dialer_conn(q->dialer) : NULL;
    if (c && net_conn_send_parts(c, head, head_len, body, body_len) != 0)
        base_log_seldom(BASE_LOG_WARN, "message to a peer dropped", "it does not read",
                        BASE_I("node", id), NULL);
}

void peers_redial(struct peers *p, uint64_t id)
{
    const struct peer *q = find(p, id);
    if (q)
        net_dialer_redial(q->dialer);
}

/* ---- connections ---- */

static void on_open(void *ctx, struct net_conn *c)
{
    struct peer *q = ctx;
    (void)c;
    base_log(BASE_LOG_INFO, "peer connected", BASE_I("node", q->id), NULL);
}

static void on_closed(void *ctx, struct net_conn *c, const char *cause)
{
    struct peer *q = ctx;
    (void)c;
    if (net_dialer_conn(q->dialer))
        return; /* a later one stands already */
    base_log(BASE_LOG_WARN, "peer disconnected", BASE_I("node", q->id), BASE_S("cause", cause),
             NULL);
    if (q->peers->config.on_gone)
        q->peers->config.on_gone(q->peers->config.ctx, q->id);
}

/* A peer says nothing on the connection that we made. */
static void on_answer(void *ctx, struct net_conn *c, struct net_frame *f)
{
    (void)ctx;
    (void)c;
    net_frame_free(f);
}

static void on_message(void *ctx, struct net_frame *f)
{
    const struct peers *p = ctx;
    p->config.on_message(p->config.ctx, f->bytes, f->len);
    net_frame_free(f);
}

static void on_request(void *ctx, struct net_frame *f)
{
    struct peers *p = ctx;
    if (p->config.on_request)
        p->config.on_request(p->config.ctx, f);
    else
        net_service_answer(f, NULL);
}

/* ---- life ---- */

static int open_peer(struct peers *p, const struct peers_peer *config, char error[256])
{
    struct peer *q = &p->peer[p->n];
    const struct net_dialer_config dialer = {.address = config->address,
                                             .server_name = config->server_name,
                                             .conn = {.tls = p->tls,
                                                      .frame_max = PUMP_MESSAGE_TAKE_MAX,
                                                      .queue_max = PEERS_QUEUE_BYTES,
                                                      .calls = {q, on_open, on_answer, on_closed}}};
    q->peers = p;
    q->id = config->id;
    int rv = net_dialer_new(&q->dialer, net_thread_loop(p->thread), &dialer, error);
    if (rv == 0)
        p->n++;
    return rv;
}

static void open_dialers(void *arg)
{
    struct peers *p = arg;
    for (unsigned i = 0; p->open_result == 0 && i < p->config.n_peers; i++)
        p->open_result = open_peer(p, &p->config.peers[i], p->error);
}

/* A place for one more: a free one, or that of who was named longest ago. More than there are
 * places are never in the cluster at once, so it is in it no more. */
static struct peer *place_of(struct peers *p)
{
    struct peer *oldest = &p->peer[0];
    for (unsigned i = 1; i < p->n; i++)
        if (p->peer[i].told < oldest->told)
            oldest = &p->peer[i];
    return p->n < PUMP_SERVERS_MAX ? NULL : oldest;
}

static int open_learned(struct peers *p, struct peer *q, const struct peers_peer *config,
                        char error[256])
{
    if (!q)
        q = place_of(p);
    int rv = q ? net_dialer_move(q->dialer, config->address, config->server_name, error)
               : open_peer(p, config, error);
    if (rv)
        return rv;
    q = q ? q : &p->peer[p->n - 1];
    q->id = config->id;
    q->told = p->turn;
    (void)snprintf(q->learned, sizeof q->learned, "%s", config->address);
    return 0;
}

void peers_learn(struct peers *p, uint64_t id, const char *address)
{
    char name[64], error[256];
    const struct peers_peer config = {.id = id, .address = address, .server_name = name};
    struct peer *q = find(p, id);
    p->turn++;
    if (q)
        q->told = p->turn;
    if (q && (!q->learned[0] || strcmp(q->learned, address) == 0))
        return;
    (void)snprintf(name, sizeof name, "node-%llu.peer.holdfast", (unsigned long long)id);
    if (open_learned(p, q, &config, error) != 0)
        base_log_seldom(BASE_LOG_WARN, "a peer cannot be dialled", error, BASE_I("node", id),
                        BASE_S("address", address), NULL);
    else
        base_log(BASE_LOG_INFO, "a peer is known by the log", BASE_I("node", id),
                 BASE_S("address", address), NULL);
}

static int open_port(struct peers *p)
{
    const struct net_service_config config = {.address = p->config.listen,
                                              .tls = p->config.tls,
                                              .frame_max = PUMP_MESSAGE_TAKE_MAX,
                                              .queue_max = PEERS_QUEUE_BYTES,
                                              .conns_max = PEERS_CONNS_MAX,
                                              .in_flight = PEERS_ASKING_MAX,
                                              .ctx = p,
                                              .on_request = on_request,
                                              .on_message = on_message};
    return net_service_open(&p->port, p->thread, &config, p->error);
}

int peers_open(struct peers **out, struct net_thread *thread, const struct peers_config *config,
               char error[256])
{
    struct peers *p = calloc(1, sizeof *p);
    if (!p) {
        (void)snprintf(error, 256, "out of memory");
        return -ENOMEM;
    }
    p->config = *config;
    p->thread = thread;
    p->error = error;
    int rv = net_tls_load(&p->tls, &config->tls, error);
    if (rv == 0)
        rv = open_port(p);
    if (rv == 0) {
        net_thread_call(thread, open_dialers, p);
        rv = p->open_result;
    }
    *out = p; /* what was opened before a failure is still the thread's */
    return rv;
}

void peers_free(struct peers *p)
{
    if (!p)
        return;
    net_service_free(p->port);
    net_tls_free(p->tls);
    free(p);
}
