/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/link/channel.h"

#include "proto/base/check.h"
#include "proto/base/log.h"
#include "proto/link/tls.h"

#include <errno.h>
#include <nng/protocol/reqrep0/req.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct slot {
    struct link_channel *channel;
    struct slot *next; /* in the list of arrivals */
    nng_aio *aio;
    nng_ctx ctx[LINK_NODES_MAX];
    bool ctx_open[LINK_NODES_MAX];
    unsigned node;
    bool busy, sent; /* busy: the owner's; sent: of the callbacks while busy */
    enum link_fate fate;
    nng_msg *reply;
    const char *cause;
    bool timed_out;
};

struct node_link {
    nng_socket socket;
    nng_dialer dialer;
    bool open, dialing;
    atomic_bool gone; /* a connection was lost since the last link_channel_tend */
    const struct link_node *node;
    atomic_int pipe; /* id of the connection there is; 0: none */
    struct link_channel *channel;
};

struct link_channel {
    struct node_link node[LINK_NODES_MAX];
    unsigned n_nodes;
    struct link_config config; /* but for the files: */
    char *ca_file, *cert_file;
    struct slot slot[LINK_SLOTS_MAX];
    unsigned n_slots;
    void (*wake)(void *ctx);
    void *wake_ctx;
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    struct slot *first, **end; /* arrivals */
    bool woken;                /* wake was called and nothing was taken since */
    bool stopped;
};

void link_channel_wake(struct link_channel *c)
{
    pthread_mutex_lock(&c->mutex);
    bool call = !c->woken && !c->stopped;
    c->woken = true;
    if (call)
        pthread_cond_signal(&c->cond);
    pthread_mutex_unlock(&c->mutex);
    if (call && c->wake)
        c->wake(c->wake_ctx);
}

static void arrive(struct slot *s, enum link_fate fate, nng_msg *reply, int error)
{
    struct link_channel *c = s->channel;
    s->fate = fate;
    s->reply = reply;
    s->cause = error == 0 ? "" : nng_strerror(error);
    s->timed_out = error == NNG_ETIMEDOUT;
    s->next = NULL;
    pthread_mutex_lock(&c->mutex);
    *c->end = s;
    c->end = &s->next;
    pthread_mutex_unlock(&c->mutex);
    link_channel_wake(c);
}

/* Of the send, then of the receive. A send that fails never left: REQ completes it when a pipe took
 * the message, and with an infinite resend time a broken pipe ends the receive at once. */
static void on_aio(void *arg)
{
    struct slot *s = arg;
    int rv = nng_aio_result(s->aio);
    if (!s->sent) {
        if (rv != 0) {
            nng_msg_free(nng_aio_get_msg(s->aio));
            arrive(s, LINK_FATE_NOT_SENT, NULL, rv);
            return;
        }
        s->sent = true;
        nng_ctx_recv(s->ctx[s->node], s->aio);
        return;
    }
    if (rv != 0)
        arrive(s, LINK_FATE_LOST, NULL, rv);
    else
        arrive(s, LINK_FATE_REPLY, nng_aio_get_msg(s->aio), 0);
}

static void on_pipe(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    struct node_link *n = arg;
    int id = nng_pipe_id(pipe);
    if (event == NNG_PIPE_EV_ADD_POST)
        atomic_store(&n->pipe, id);
    else if (atomic_compare_exchange_strong(&n->pipe, &id, 0))
        atomic_store(&n->gone, true);
    link_channel_wake(n->channel);
}

static int fail(char error[256], const struct link_node *node, const char *what, int rv)
{
    (void)snprintf(error, 256, "node %u at %s: %s: %s", (unsigned)node->id, node->address, what,
                   nng_strerror(rv));
    return rv == NNG_ENOMEM ? -ENOMEM : -EINVAL;
}

/* inproc:// never leaves this process, so it goes without TLS; anything else is host:port. */
static int dial(struct node_link *n, char error[256])
{
    const struct link_node *node = n->node;
    char url[PROTO_NAME_MAX + 16];
    bool inproc = strncmp(node->address, "inproc://", 9) == 0;
    (void)snprintf(url, sizeof url, "%s%s", inproc ? "" : "tls+tcp://", node->address);
    int rv = nng_dialer_create(&n->dialer, n->socket, url);
    if (rv != 0)
        return fail(error, node, "dialer", rv);
    n->dialing = true;
    if (!inproc) {
        const struct link_tls_files files = {.ca_file = n->channel->ca_file,
                                             .cert_file = n->channel->cert_file};
        rv = link_tls_dialer(n->dialer, &files, node->server_name, error);
        if (rv != 0)
            return rv;
    }
    if ((rv = nng_dialer_set_ms(n->dialer, NNG_OPT_RECONNMINT, LINK_RECONNECT_MIN_MS)) != 0 ||
        (rv = nng_dialer_set_ms(n->dialer, NNG_OPT_RECONNMAXT, LINK_RECONNECT_MAX_MS)) != 0 ||
        (rv = nng_dialer_start(n->dialer, NNG_FLAG_NONBLOCK)) != 0)
        return fail(error, node, "dial", rv);
    return 0;
}

void link_channel_redial(struct link_channel *c, unsigned node)
{
    struct node_link *n = &c->node[node];
    char error[256];
    if (n->dialing)
        (void)nng_dialer_close(n->dialer);
    n->dialing = false;
    if (dial(n, error) != 0)
        base_log(BASE_LOG_ERROR, "ledger node cannot be dialled", BASE_S("cause", error), NULL);
}

void link_channel_cancel(struct link_channel *c, unsigned node)
{
    for (unsigned i = 0; i < c->n_slots; i++)
        if (c->slot[i].busy && c->slot[i].node == node)
            nng_aio_cancel(c->slot[i].aio);
}

void link_channel_tend(struct link_channel *c)
{
    for (unsigned i = 0; i < c->n_nodes; i++)
        if (atomic_exchange(&c->node[i].gone, false))
            link_channel_cancel(c, i);
}

static int node_open(struct link_channel *c, unsigned i, char error[256])
{
    struct node_link *n = &c->node[i];
    n->channel = c;
    n->node = &c->config.nodes[i];
    int rv = nng_req0_open(&n->socket);
    if (rv != 0)
        return fail(error, n->node, "socket", rv);
    n->open = true;
    if ((rv = nng_socket_set_ms(n->socket, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE)) != 0 ||
        (rv = nng_socket_set_size(n->socket, NNG_OPT_RECVMAXSZ, PROTO_FRAME_REPLY_MAX)) != 0 ||
        (rv = nng_pipe_notify(n->socket, NNG_PIPE_EV_ADD_POST, on_pipe, n)) != 0 ||
        (rv = nng_pipe_notify(n->socket, NNG_PIPE_EV_REM_POST, on_pipe, n)) != 0)
        return fail(error, n->node, "socket options", rv);
    return dial(n, error);
}

static int init_sync(struct link_channel *c)
{
    pthread_condattr_t attr;
    if (pthread_mutex_init(&c->mutex, NULL) != 0)
        return -ENOMEM;
    if (pthread_condattr_init(&attr) != 0) {
        pthread_mutex_destroy(&c->mutex);
        return -ENOMEM;
    }
    int rv = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    if (rv == 0)
        rv = pthread_cond_init(&c->cond, &attr);
    pthread_condattr_destroy(&attr);
    if (rv != 0)
        pthread_mutex_destroy(&c->mutex);
    return rv == 0 ? 0 : -ENOMEM;
}

int link_channel_new(struct link_channel **out, const struct link_config *config, unsigned slots,
                     char error[256])
{
    CHECK(slots > 0 && slots <= LINK_SLOTS_MAX);
    struct link_channel *c = calloc(1, sizeof *c);
    if (!c || init_sync(c) != 0) {
        free(c);
        (void)snprintf(error, 256, "out of memory");
        return -ENOMEM;
    }
    c->config = *config;
    c->ca_file = config->ca_file ? strdup(config->ca_file) : NULL;
    c->cert_file = config->cert_file ? strdup(config->cert_file) : NULL;
    c->config.ca_file = c->config.cert_file = NULL; /* the caller's; ours are the copies */
    c->wake = config->wake;
    c->wake_ctx = config->wake_ctx;
    c->end = &c->first;
    c->n_nodes = config->n_nodes;
    c->n_slots = slots;
    for (unsigned i = 0; i < slots; i++) {
        c->slot[i].channel = c;
        if (nng_aio_alloc(&c->slot[i].aio, on_aio, &c->slot[i]) != 0) {
            link_channel_free(c);
            (void)snprintf(error, 256, "out of memory");
            return -ENOMEM;
        }
    }
    for (unsigned i = 0; i < c->n_nodes; i++) {
        int rv = node_open(c, i, error);
        if (rv != 0) {
            link_channel_free(c);
            return rv;
        }
    }
    *out = c;
    return 0;
}

void link_channel_stop(struct link_channel *c)
{
    pthread_mutex_lock(&c->mutex);
    c->stopped = true;
    pthread_mutex_unlock(&c->mutex);
    for (unsigned i = 0; i < c->n_slots; i++)
        if (c->slot[i].aio)
            nng_aio_stop(c->slot[i].aio);
    for (unsigned i = 0; i < c->n_nodes; i++) {
        if (c->node[i].open)
            (void)nng_close(c->node[i].socket); /* its contexts close with it */
        c->node[i].open = false;
    }
}

void link_channel_free(struct link_channel *c)
{
    if (!c)
        return;
    link_channel_stop(c);
    for (struct slot *s = c->first; s; s = s->next)
        if (s->reply)
            nng_msg_free(s->reply);
    for (unsigned i = 0; i < c->n_slots; i++)
        if (c->slot[i].aio)
            nng_aio_free(c->slot[i].aio);
    pthread_cond_destroy(&c->cond);
    pthread_mutex_destroy(&c->mutex);
    free(c->ca_file);
    free(c->cert_file);
    free(c);
}

bool link_channel_connected(const struct link_channel *c, unsigned node)
{
    return atomic_load(&c->node[node].pipe) > 0;
}

int link_channel_send(struct link_channel *c, unsigned slot, unsigned node, nng_msg *m,
                      unsigned timeout_ms)
{
    struct slot *s = &c->slot[slot];
    CHECK(!s->busy && node < c->n_nodes);
    if (!s->ctx_open[node]) {
        if (nng_ctx_open(&s->ctx[node], c->node[node].socket) != 0)
            return -ENOMEM;
        s->ctx_open[node] = true;
    }
    s->busy = true;
    s->sent = false;
    s->node = node;
    nng_aio_set_timeout(s->aio, (nng_duration)timeout_ms);
    nng_aio_set_msg(s->aio, m);
    nng_ctx_send(s->ctx[node], s->aio);
    return 0;
}

bool link_channel_take(struct link_channel *c, struct link_arrival *out)
{
    pthread_mutex_lock(&c->mutex);
    struct slot *s = c->first;
    c->woken = false;
    if (s) {
        c->first = s->next;
        if (!c->first)
            c->end = &c->first;
    }
    pthread_mutex_unlock(&c->mutex);
    if (!s)
        return false;
    *out = (struct link_arrival){.slot = (unsigned)(s - c->slot),
                                 .node = s->node,
                                 .fate = s->fate,
                                 .reply = s->reply,
                                 .cause = s->cause,
                                 .timed_out = s->timed_out};
    s->reply = NULL;
    s->busy = false;
    return true;
}

void link_channel_wait(struct link_channel *c, int timeout_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    if (timeout_ms > 0) {
        until.tv_sec += timeout_ms / 1000;
        until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
    }
    pthread_mutex_lock(&c->mutex);
    int rv = 0;
    while (!c->woken && !c->first && rv == 0)
        rv = timeout_ms < 0 ? pthread_cond_wait(&c->cond, &c->mutex)
                            : pthread_cond_timedwait(&c->cond, &c->mutex, &until);
    pthread_mutex_unlock(&c->mutex);
}
