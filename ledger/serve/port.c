/* SPDX-License-Identifier: Apache-2.0
 * Each slot goes round:  receive -> (refuse | hand over -> answered) -> send -> receive
 */
#include "ledger/serve/port.h"

#include "ledger/serve/reply.h"
#include "proto/base/log.h"

#include <errno.h>
#include <nng/protocol/reqrep0/rep.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    SEND_TIMEOUT_MS = 1000, /* then the reply is dropped */
};

struct slot {
    struct serve_port *port;
    nng_aio *aio;
    nng_ctx ctx;
    atomic_bool sending; /* the operation under way is the reply */
};

struct serve_port {
    struct serve_config config;
    nng_socket socket;
    struct link_listener listener;
    bool socket_open;
    atomic_bool stopped;
    unsigned n;
    struct slot *slots;
};

static void receive(struct slot *s)
{
    atomic_store(&s->sending, false);
    nng_aio_set_timeout(s->aio, NNG_DURATION_INFINITE);
    nng_ctx_recv(s->ctx, s->aio);
}

static void send_reply(struct slot *s, nng_msg *m)
{
    atomic_store(&s->sending, true);
    nng_aio_set_timeout(s->aio, SEND_TIMEOUT_MS);
    nng_aio_set_msg(s->aio, m);
    nng_ctx_send(s->ctx, s->aio);
}

/* m NULL: no memory. The context goes on and the caller of the request learns by its timeout. */
static void send_or_go_on(struct slot *s, nng_msg *m)
{
    if (m)
        send_reply(s, m);
    else
        receive(s);
}

static void refuse(struct slot *s, const struct serve_refusal *refusal)
{
    const struct proto_reply_head head = {.status = (uint8_t)refusal->status,
                                          .detail = proto_str_of(refusal->detail)};
    send_or_go_on(s, serve_reply(&head));
}

static void on_received(struct slot *s)
{
    nng_msg *m = nng_aio_get_msg(s->aio);
    struct serve_refusal refusal;
    struct serve_request *r =
        serve_request_open(m, &s->port->config.cluster, s->port->config.group, &refusal);
    if (!r) {
        nng_msg_free(m);
        base_log(BASE_LOG_WARN, "request refused", BASE_S("cause", refusal.detail), NULL);
        refuse(s, &refusal);
        return;
    }
    r->port = s->port;
    r->slot = (unsigned)(s - s->port->slots);
    if (!s->port->config.on_request(s->port->config.ctx, r)) {
        serve_request_free(r);
        refusal = (struct serve_refusal){.status = PROTO_REPLY_unavailable,
                                         .detail = "the node is stopping"};
        refuse(s, &refusal);
    }
}

static void on_aio(void *arg)
{
    struct slot *s = arg;
    int rv = nng_aio_result(s->aio);
    if (atomic_load(&s->sending)) {
        if (rv != 0)
            nng_msg_free(nng_aio_get_msg(s->aio));
        if (rv != NNG_ECLOSED && rv != NNG_ECANCELED && !atomic_load(&s->port->stopped))
            receive(s);
        return;
    }
    if (rv == 0)
        on_received(s);
    else if (rv != NNG_ECLOSED && rv != NNG_ECANCELED && !atomic_load(&s->port->stopped))
        receive(s);
}

void serve_port_answer(struct serve_request *r, nng_msg *m)
{
    struct slot *s = &r->port->slots[r->slot];
    serve_request_free(r);
    send_or_go_on(s, m);
}

/* ---- life ---- */

static int fail(const struct serve_port *p, char error[256], const char *what, int rv)
{
    (void)snprintf(error, 256, "client port %s: %s: %s", p->config.address, what, nng_strerror(rv));
    return rv == NNG_ENOMEM ? -ENOMEM : rv == NNG_EADDRINUSE ? -EADDRINUSE : -EINVAL;
}

static int open_slots(struct serve_port *p, char error[256])
{
    p->slots = calloc(p->config.contexts, sizeof *p->slots);
    if (!p->slots)
        return fail(p, error, "contexts", NNG_ENOMEM);
    for (; p->n < p->config.contexts; p->n++) {
        struct slot *s = &p->slots[p->n];
        s->port = p;
        int rv = nng_ctx_open(&s->ctx, p->socket);
        if (rv == 0 && (rv = nng_aio_alloc(&s->aio, on_aio, s)) != 0)
            (void)nng_ctx_close(s->ctx);
        if (rv != 0)
            return fail(p, error, "contexts", rv);
    }
    return 0;
}

int serve_port_open(struct serve_port **out, const struct serve_config *config, char error[256])
{
    struct serve_port *p = calloc(1, sizeof *p);
    if (!p) {
        (void)snprintf(error, 256, "out of memory");
        return -ENOMEM;
    }
    p->config = *config;
    p->listener.probe = -1;
    int rv = nng_rep0_open(&p->socket);
    p->socket_open = rv == 0;
    if (rv == 0)
        rv = nng_socket_set_size(p->socket, NNG_OPT_RECVMAXSZ, PROTO_FRAME_MAX);
    if (rv != 0)
        rv = fail(p, error, "socket", rv);
    if (rv == 0)
        rv = open_slots(p, error);
    if (rv == 0)
        rv = link_listener_open(&p->listener, p->socket, config->address, &config->tls, error);
    if (rv != 0) {
        serve_port_close(p);
        return rv;
    }
    for (unsigned i = 0; i < p->n; i++)
        receive(&p->slots[i]);
    *out = p;
    return 0;
}

void serve_port_tend(struct serve_port *p)
{
    link_listener_tend(&p->listener);
}

void serve_port_stop(struct serve_port *p)
{
    atomic_store(&p->stopped, true);
}

void serve_port_close(struct serve_port *p)
{
    if (!p)
        return;
    atomic_store(&p->stopped, true);
    for (unsigned i = 0; i < p->n; i++) {
        if (atomic_load(&p->slots[i].sending))
            nng_aio_wait(p->slots[i].aio);
        nng_aio_stop(p->slots[i].aio);
    }
    link_listener_close(&p->listener);
    if (p->socket_open)
        (void)nng_close(p->socket); /* its contexts close with it */
    for (unsigned i = 0; i < p->n; i++)
        nng_aio_free(p->slots[i].aio);
    free(p->slots);
    free(p);
}
