/* SPDX-License-Identifier: Apache-2.0
 * The client port: an NNG REP socket over mutual TLS, with a fixed number of contexts as the bound
 * of requests in flight (more wait in their connections). A frame that is not for us or cannot be
 * read is answered here, on NNG's threads; the rest goes to on_request.
 *
 * Completion: each request given to on_request is answered exactly once with serve_port_answer,
 * from any one thread; that frees the request and lets its context take the next one.
 */
#ifndef HOLDFAST_LEDGER_SERVE_PORT_H
#define HOLDFAST_LEDGER_SERVE_PORT_H

#include "ledger/serve/request.h"
#include "proto/link/listener.h"

struct serve_config {
    struct proto_uuid cluster;
    uint16_t group;
    const char *address; /* "host:port" to listen on */
    struct link_tls_files tls;
    unsigned contexts;
    void *ctx;
    /* NNG's threads. false: refused (the node is stopping); the request stays the port's. */
    bool (*on_request)(void *ctx, struct serve_request *r);
};

__attribute__((warn_unused_result)) int
serve_port_open(struct serve_port **out, const struct serve_config *config, char error[256]);
/* To be called every now and then by one thread: a port that takes nobody is opened anew. */
void serve_port_tend(struct serve_port *p);
/* An answered context takes no further request. Those that still receive may call on_request until
 * serve_port_close. */
void serve_port_stop(struct serve_port *p);
/* Waits for the answers being sent (a second at most). Every request must have been answered. */
void serve_port_close(struct serve_port *p);

/* reply.h makes it; NULL: none can be made, the caller learns by its timeout. Frees both. */
void serve_port_answer(struct serve_request *r, nng_msg *reply);

#endif
