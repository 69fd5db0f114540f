/* SPDX-License-Identifier: Apache-2.0
 * Messages between nodes: one connection to each peer for what we say, and one port for what they
 * say, both over mutual TLS with the peers' CA (proto/net). A message may be lost, never blocks,
 * and never arrives in pieces; who sent it stands inside it, and the certificate of the CA lets it
 * in.
 *
 * A peer may also ask (a node that is being seeded does): frames with a tag, answered on the same
 * connection (proto/net/service.h).
 *
 * Everything on the thread of the loop it was given (net_thread_call where that is another).
 * Bounds: PEERS_QUEUE_BYTES wait for a peer that does not read, what comes on top is dropped;
 * without a connection nothing waits.
 */
#ifndef HOLDFAST_LEDGER_PEERS_H
#define HOLDFAST_LEDGER_PEERS_H

#include "ledger/raft/pump.h"
#include "proto/net/service.h"

enum {
    PEERS_QUEUE_BYTES = 64 * 1024 * 1024,
    PEERS_CONNS_MAX = 64, /* to our port */
    PEERS_ASKING_MAX = 8, /* requests being answered */
};

struct peers_peer {
    uint64_t id;
    const char *address;     /* "host:port" */
    const char *server_name; /* in its certificate; checked */
};

struct peers_config {
    const char *listen; /* "host:port" */
    struct net_tls_files tls;
    struct peers_peer peers[PUMP_SERVERS_MAX]; /* all but ourselves */
    unsigned n_peers;
    void *ctx;
    void (*on_message)(void *ctx, const void *bytes, size_t n);
    /* To be answered as proto/net/service.h says. NULL: nobody may ask. */
    void (*on_request)(void *ctx, struct net_frame *request);
    void (*on_gone)(void *ctx, uint64_t id); /* our connection to it was lost; may be NULL */
};

struct peers;

/* thread: where they live; must outlive them. Dials in the background. 0 or a negative code with
 * its cause; freed even after a failure. */
__attribute__((warn_unused_result)) int peers_open(struct peers **out, struct net_thread *thread,
                                                   const struct peers_config *config,
                                                   char error[256]);
/* After the thread has stopped. */
void peers_free(struct peers *p);

/* Two pieces, one message. Unknown peers and peers without a connection: dropped. */
void peers_send(struct peers *p, uint64_t id, const void *head, size_t head_len, const void *body,
                size_t body_len);
/* Where a peer is reached that joined after our start: under the name that certificates have by
 * default. One of our configuration stays as it is. To be told of every other node of the cluster
 * now and then: who is not, gives its place to the next. */
void peers_learn(struct peers *p, uint64_t id, const char *address);
/* Gives up a connection that may be dead and dials anew: TCP alone would wait for minutes after a
 * partition has healed. */
void peers_redial(struct peers *p, uint64_t id);

#endif
