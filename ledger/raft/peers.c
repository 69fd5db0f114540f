/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/raft/peers.h"

#include "proto/base/log.h"

#include <errno.h>
#include <nng/protocol/pipeline0/pull.h>
#include <nng/protocol/pipeline0/push.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RECONNECT_MIN_MS = 20, RECONNECT_MAX_MS = 200 };

/* A peer's outgoing queue: the message in aio, and a ring of those behind it. */
struct peer {
    struct peers *peers;
    struct peers_peer config;
    nng_socket socket;
    nng_dialer dialer;
    nng_aio *aio;
    bool socket_open, dialing;
    atomic_int pipe; /* id of the connection; 0: none */
    pthread_mutex_t mutex;
    nng_msg *queue[PEERS_QUEUE_MAX]; /* guarded by mutex, like all below */
    unsigned first, n;
    size_t bytes;
    bool sending;
};

struct peers {
    struct peers_config config;
    struct peer peer[PUMP_SERVERS_MAX];
    unsigned n;
    nng_socket pull;
    bool pull_open;
    nng_aio *receive; /* one at a time: messages keep their order up to the inbox */
    atomic_bool closing;
};

/* ---- sending ---- */

static nng_msg *pop(struct peer *q)
{
    if (q->n == 0)
        return NULL;
    nng_msg *m = q->queue[q->first];
    q->first = (q->first + 1) % PEERS_QUEUE_MAX;
    q->n--;
    q->bytes -= nng_msg_len(m);
    return m;
}

static void drop_queue(struct peer *q)
{
    nng_msg *m;
    pthread_mutex_lock(&q->mutex);
    while ((m = pop(q)) != NULL)
        nng_msg_free(m);
    pthread_mutex_unlock(&q->mutex);
}

static void start(struct peer *q, nng_msg *m)
{
    nng_aio_set_timeout(q->aio, PEERS_SEND_TIMEOUT_MS);
    nng_aio_set_msg(q->aio, m);
    nng_send_aio(q->socket, q->aio);
}

static void hang_up(struct peer *q)
{
    int id = atomic_load(&q->pipe);
    if (id > 0)
        (void)nng_pipe_close((nng_pipe){.id = (uint32_t)id});
}

/* The connection took the message, or it timed out or broke. */
static void on_sent(void *arg)
{
    struct peer *q = arg;
    int rv = nng_aio_result(q->aio);
    if (rv != 0)
        nng_msg_free(nng_aio_get_msg(q->aio));
    if (rv == NNG_ETIMEDOUT)
        hang_up(q);
    if (rv != 0)
        drop_queue(q);
    pthread_mutex_lock(&q->mutex);
    nng_msg *next = atomic_load(&q->peers->closing) ? NULL : pop(q);
    q->sending = next != NULL;
    pthread_mutex_unlock(&q->mutex);
    if (next)
        start(q, next);
}

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
    pthread_mutex_lock(&q->mutex);
    bool first = !q->sending;
    bool full = q->n == PEERS_QUEUE_MAX || q->bytes + nng_msg_len(m) > PEERS_QUEUE_BYTES;
    if (first) {
        q->sending = true;
    } else if (!full) {
        q->queue[(q->first + q->n++) % PEERS_QUEUE_MAX] = m;
        q->bytes += nng_msg_len(m);
    }
    pthread_mutex_unlock(&q->mutex);
    if (first)
        start(q, m);
    else if (full)
        nng_msg_free(m);
}

bool peers_connected(const struct peers *p, uint64_t id)
{
    const struct peer *q = find(p, id);
    return q && atomic_load(&q->pipe) > 0;
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
        nng_recv_aio(p->pull, p->receive);
}

/* ---- connections ---- */

static void on_pipe(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    struct peer *q = arg;
    int id = nng_pipe_id(pipe);
    if (event == NNG_PIPE_EV_ADD_POST) {
        atomic_store(&q->pipe, id);
        base_log(BASE_LOG_INFO, "peer connected", BASE_I("node", q->config.id), NULL);
    } else if (atomic_compare_exchange_strong(&q->pipe, &id, 0)) {
        if (!atomic_load(&q->peers->closing))
            base_log(BASE_LOG_WARN, "peer disconnected", BASE_I("node", q->config.id), NULL);
        drop_queue(q);
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

void peers_redial(struct peers *p, uint64_t id)
{
    struct peer *q = find(p, id);
    char error[256];
    if (!q)
        return;
    if (q->dialing)
        (void)nng_dialer_close(q->dialer);
    q->dialing = false;
    if (dial(q, error) != 0)
        base_log(BASE_LOG_ERROR, "peer cannot be dialled", BASE_S("cause", error), NULL);
}

static int open_peer(struct peers *p, const struct peers_peer *config, char error[256])
{
    struct peer *q = &p->peer[p->n];
    q->peers = p;
    q->config = *config;
    if (pthread_mutex_init(&q->mutex, NULL) != 0)
        return fail(error, config->address, "mutex", NNG_ENOMEM);
    p->n++;
    int rv = nng_aio_alloc(&q->aio, on_sent, q);
    if (rv == 0)
        rv = nng_push0_open(&q->socket);
    if (rv != 0)
        return fail(error, config->address, "socket", rv);
    q->socket_open = true;
    if ((rv = nng_pipe_notify(q->socket, NNG_PIPE_EV_ADD_POST, on_pipe, q)) != 0 ||
        (rv = nng_pipe_notify(q->socket, NNG_PIPE_EV_REM_POST, on_pipe, q)) != 0)
        return fail(error, config->address, "socket options", rv);
    return dial(q, error);
}

static int open_listener(struct peers *p, char error[256])
{
    const char *address = p->config.listen;
    char url[PUMP_ADDRESS_MAX + 16];
    nng_listener l;
    (void)snprintf(url, sizeof url, "tls+tcp://%s", address);
    int rv = nng_pull0_open(&p->pull);
    if (rv != 0)
        return fail(error, address, "socket", rv);
    p->pull_open = true;
    if ((rv = nng_socket_set_size(p->pull, NNG_OPT_RECVMAXSZ, PUMP_MESSAGE_TAKE_MAX)) != 0 ||
        (rv = nng_listener_create(&l, p->pull, url)) != 0)
        return fail(error, address, "listener", rv);
    if ((rv = link_tls_listener(l, &p->config.tls, error)) != 0)
        return rv;
    if ((rv = nng_listener_start(l, 0)) != 0)
        return fail(error, address, "listen", rv);
    if ((rv = nng_aio_alloc(&p->receive, on_received, p)) != 0)
        return fail(error, address, "receive", rv);
    nng_recv_aio(p->pull, p->receive);
    return 0;
}

int peers_open(struct peers **out, const struct peers_config *config, char error[256])
{
    struct peers *p = calloc(1, sizeof *p);
    if (!p)
        return fail(error, config->listen, "peers", NNG_ENOMEM);
    p->config = *config;
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
    if (p->receive)
        nng_aio_stop(p->receive);
    for (unsigned i = 0; i < p->n; i++)
        if (p->peer[i].aio)
            nng_aio_stop(p->peer[i].aio);
    if (p->pull_open)
        (void)nng_close(p->pull);
    if (p->receive)
        nng_aio_free(p->receive);
    for (unsigned i = 0; i < p->n; i++) {
        struct peer *q = &p->peer[i];
        if (q->socket_open)
            (void)nng_close(q->socket);
        if (q->aio)
            nng_aio_free(q->aio);
        drop_queue(q);
        pthread_mutex_destroy(&q->mutex);
    }
    free(p);
}
