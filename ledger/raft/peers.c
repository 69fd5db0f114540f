/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/raft/peers.h"

#include "proto/base/log.h"

#include <errno.h>
#include <nng/protocol/pubsub0/pub.h>
#include <nng/protocol/pubsub0/sub.h>
#include <nng/supplemental/util/platform.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    RECONNECT_MIN_MS = 20,
    RECONNECT_MAX_MS = 200,
    TEND_MS = 1000, /* how often peers_tend looks */
    DEAF_MS = 1000, /* a dialer without a connection for so long is replaced */
};

struct peer {
    struct peers *peers;
    struct peers_peer config;
    nng_socket socket;
    nng_dialer dialer;
    bool socket_open, dialing;
    nng_time lone_ms; /* seen without a connection since; 0: it has one */
    atomic_int pipe;  /* id of the connection; 0: none */
};

struct peers {
    struct peers_config config;
    struct peer peer[PUMP_SERVERS_MAX];
    unsigned n;
    nng_socket sub;
    struct link_listener listener;
    bool sub_open;
    nng_time tend_ms; /* the last look */
    nng_aio *receive; /* one at a time: messages keep their order up to the inbox */
    atomic_bool closing;
};

/* ---- sending ---- */

static struct peer *find(const struct peers *p, uint64_t id)
{
    for (unsigned i = 0; i < p->n; i++)
        if (p->peer[i].config.id == id)
            return (struct peer *)(uintptr_t)&p->peer[i];
    return NULL;
}

static nng_msg *join(const void *head, size_t head_len, const void *body, size_t body_len)
{
    nng_msg *m;
    if (nng_msg_alloc(&m, head_len + body_len) != 0)
        return NULL;
    uint8_t *at = nng_msg_body(m);
    memcpy(at, head, head_len);
    if (body_len > 0)
        memcpy(at + head_len, body, body_len);
    return m;
}

void peers_send(struct peers *p, uint64_t id, const void *head, size_t head_len, const void *body,
                size_t body_len)
{
    struct peer *q = find(p, id);
    if (!q || atomic_load(&q->pipe) <= 0)
        return;
    nng_msg *m = join(head, head_len, body, body_len);
    if (!m)
        return;
    if (nng_sendmsg(q->socket, m, NNG_FLAG_NONBLOCK) != 0)
        nng_msg_free(m);
}

/* ---- receiving ---- */

static void on_received(void *arg)
{
    struct peers *p = arg;
    int rv = nng_aio_result(p->receive);
    if (rv == 0) {
        nng_msg *m = nng_aio_get_msg(p->receive);
        if (!p->config.on_message(p->config.ctx, m))
            nng_msg_free(m);
    }
    if (rv != NNG_ECLOSED && rv != NNG_ECANCELED && !atomic_load(&p->closing))
        nng_recv_aio(p->sub, p->receive);
}

/* ---- connections ---- */

static void on_pipe(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    struct peer *q = arg;
    int id = nng_pipe_id(pipe);
    if (event == NNG_PIPE_EV_ADD_POST) {
        atomic_store(&q->pipe, id);
        base_log(BASE_LOG_INFO, "peer connected", BASE_I("node", q->config.id), NULL);
    } else if (atomic_compare_exchange_strong(&q->pipe, &id, 0) &&
               !atomic_load(&q->peers->closing)) {
        base_log(BASE_LOG_WARN, "peer disconnected", BASE_I("node", q->config.id), NULL);
        if (q->peers->config.on_gone)
            q->peers->config.on_gone(q->peers->config.ctx, q->config.id);
    }
}

static int fail(char error[256], const char *address, const char *what, int rv)
{
    (void)snprintf(error, 256, "%s: %s: %s", address, what, nng_strerror(rv));
    return rv == NNG_ENOMEM ? -ENOMEM : rv == NNG_EADDRINUSE ? -EADDRINUSE : -EINVAL;
}

static int dial(struct peer *q, char error[256])
{
    char url[PUMP_ADDRESS_MAX + 16];
    (void)snprintf(url, sizeof url, "tls+tcp://%s", q->config.address);
    int rv = nng_dialer_create(&q->dialer, q->socket, url);
    if (rv != 0)
        return fail(error, q->config.address, "dialer", rv);
    q->dialing = true;
    rv = link_tls_dialer(q->dialer, &q->peers->config.tls, q->config.server_name, error);
    if (rv != 0)
        return rv;
    if ((rv = nng_dialer_set_ms(q->dialer, NNG_OPT_RECONNMINT, RECONNECT_MIN_MS)) != 0 ||
        (rv = nng_dialer_set_ms(q->dialer, NNG_OPT_RECONNMAXT, RECONNECT_MAX_MS)) != 0 ||
        (rv = nng_dialer_start(q->dialer, NNG_FLAG_NONBLOCK)) != 0)
        return fail(error, q->config.address, "dial", rv);
    return 0;
}

static void dial_anew(struct peer *q)
{
    char error[256];
    atomic_store(&q->pipe, 0); /* that it goes is nobody's loss */
    if (q->dialing)
        (void)nng_dialer_close(q->dialer);
    q->dialing = false;
    if (dial(q, error) != 0)
        base_log(BASE_LOG_ERROR, "peer cannot be dialled", BASE_S("cause", error), NULL);
}

void peers_redial(struct peers *p, uint64_t id)
{
    struct peer *q = find(p, id);
    if (q)
        dial_anew(q);
}

/* In NNG 1.5 a dialer, too, gives up for good when the other side goes away in the handshake:
 * "closed" then looks to it as if it had been closed itself. */
void peers_tend(struct peers *p)
{
    nng_time now = nng_clock();
    link_listener_tend(&p->listener);
    if (now - p->tend_ms < TEND_MS)
        return;
    p->tend_ms = now;
    for (unsigned i = 0; i < p->n; i++) {
        struct peer *q = &p->peer[i];
        if (atomic_load(&q->pipe) > 0) {
            q->lone_ms = 0;
        } else if (q->lone_ms == 0) {
            q->lone_ms = now;
        } else if (now - q->lone_ms >= DEAF_MS) {
            q->lone_ms = now;
            dial_anew(q);
        }
    }
}

static int open_peer(struct peers *p, const struct peers_peer *config, char error[256])
{
    struct peer *q = &p->peer[p->n];
    q->peers = p;
    q->config = *config;
    p->n++;
    int rv = nng_pub0_open(&q->socket);
    if (rv != 0)
        return fail(error, config->address, "socket", rv);
    q->socket_open = true;
    if ((rv = nng_socket_set_int(q->socket, NNG_OPT_SENDBUF, PEERS_QUEUE_MAX)) != 0 ||
        (rv = nng_pipe_notify(q->socket, NNG_PIPE_EV_ADD_POST, on_pipe, q)) != 0 ||
        (rv = nng_pipe_notify(q->socket, NNG_PIPE_EV_REM_POST, on_pipe, q)) != 0)
        return fail(error, config->address, "socket options", rv);
    return dial(q, error);
}

static int open_listener(struct peers *p, char error[256])
{
    const char *address = p->config.listen;
    int rv = nng_sub0_open(&p->sub);
    if (rv != 0)
        return fail(error, address, "socket", rv);
    p->sub_open = true;
    if ((rv = nng_socket_set_size(p->sub, NNG_OPT_RECVMAXSZ, PUMP_MESSAGE_TAKE_MAX)) != 0 ||
        (rv = nng_socket_set_int(p->sub, NNG_OPT_RECVBUF, PEERS_RECEIVE_MAX)) != 0 ||
        (rv = nng_socket_set(p->sub, NNG_OPT_SUB_SUBSCRIBE, "", 0)) != 0)
        return fail(error, address, "socket options", rv);
    if ((rv = link_listener_open(&p->listener, p->sub, address, &p->config.tls, error)) != 0)
        return rv;
    if ((rv = nng_aio_alloc(&p->receive, on_received, p)) != 0)
        return fail(error, address, "receive", rv);
    nng_recv_aio(p->sub, p->receive);
    return 0;
}

int peers_open(struct peers **out, const struct peers_config *config, char error[256])
{
    struct peers *p = calloc(1, sizeof *p);
    if (!p)
        return fail(error, config->listen, "peers", NNG_ENOMEM);
    p->config = *config;
    p->listener.probe = -1;
    int rv = open_listener(p, error);
    for (unsigned i = 0; rv == 0 && i < config->n_peers; i++)
        rv = open_peer(p, &config->peers[i], error);
    if (rv != 0) {
        peers_close(p);
        return rv;
    }
    *out = p;
    return 0;
}

void peers_close(struct peers *p)
{
    if (!p)
        return;
    atomic_store(&p->closing, true);
    link_listener_close(&p->listener);
    if (p->sub_open)
        (void)nng_close(p->sub); /* ends the receive, so that no stop races with a delivery */
    if (p->receive) {
        nng_aio_stop(p->receive);
        nng_aio_free(p->receive);
    }
    for (unsigned i = 0; i < p->n; i++)
        if (p->peer[i].socket_open)
            (void)nng_close(p->peer[i].socket);
    free(p);
}
