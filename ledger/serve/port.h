/* SPDX-License-Identifier: Apache-2.0
 * The client port: requests of edges and tools (proto/net/service.h has the bounds). A frame that
 * is not for us or cannot be read is answered here; the rest goes to on_request.
 *
 * Completion: each request given to on_request is answered exactly once with serve_port_answer,
 * on the port's thread; that frees the request.
 */
#ifndef HOLDFAST_LEDGER_SERVE_PORT_H
#define HOLDFAST_LEDGER_SERVE_PORT_H

#include "ledger/serve/request.h"
#include "proto/net/service.h"

enum {
    SERVE_CONNS_MAX = 1024,
    SERVE_QUEUE_BYTES = 32 * 1024 * 1024, /* of replies that a client does not read */
};

struct serve_port;

struct serve_config {
    struct proto_uuid cluster;
    uint16_t group;
    const char *address; /* "host:port" to listen on */
    struct net_tls_files tls;
    unsigned in_flight;
    unsigned conns_max; /* 0: SERVE_CONNS_MAX */
    void *ctx;
    /* The port's thread. false: refused (the node is stopping); the request stays the port's. */
    bool (*on_request)(void *ctx, struct serve_request *r);
};

/* thread: where it lives; must outlive it. */
__attribute__((warn_unused_result)) int serve_port_open(struct serve_port **out,
                                                        struct net_thread *thread,
                                                        const struct serve_config *config,
                                                        char error[256]);
/* After the thread has stopped and every request has been answered. */
void serve_port_free(struct serve_port *p);

/* reply.h makes it; NULL: none can be made, the caller learns by its timeout. Frees both. */
void serve_port_answer(struct serve_request *r, struct net_frame *reply);

#endif
