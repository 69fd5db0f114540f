/* SPDX-License-Identifier: Apache-2.0
 * Messages between nodes: for each peer an NNG PUB socket with one dialer, and one SUB listener for
 * all, both over mutual TLS with the peers' CA. A message may be lost, never blocks, and never
 * arrives in pieces; who sent it stands inside it, and the certificate of the CA lets it in. (Not
 * PUSH: in NNG 1.5 a PUSH pipe whose send completes while it closes stays in the list of those
 * ready, freed.)
 *
 * Threads: peers_send, peers_redial and peers_tend by the loop; on_message on NNG's threads.
 * Nothing is called any more after peers_close. Bounds, each peer: PEERS_QUEUE_MAX messages of at
 * most PUMP_MESSAGE_MAX bytes wait for the connection (past them the oldest is dropped); without a
 * connection nothing waits.
 */
#ifndef HOLDFAST_LEDGER_PEERS_H
#define HOLDFAST_LEDGER_PEERS_H

#include "ledger/raft/pump.h"
#include "proto/link/listener.h"

enum {
    PEERS_QUEUE_MAX = 256,
    PEERS_RECEIVE_MAX = 1024, /* taken off the connections and not yet handed over */
};

struct peers_peer {
    uint64_t id;
    const char *address;     /* "host:port" */
    const char *server_name; /* in its certificate; checked */
};

struct peers_config {
    const char *listen; /* "host:port" */
    struct link_tls_files tls;
    struct peers_peer peers[PUMP_SERVERS_MAX]; /* all but ourselves */
    unsigned n_peers;
    void *ctx;
    /* false: refused, and freed by the caller of this; true: nng_msg_free is the taker's. */
    bool (*on_message)(void *ctx, nng_msg *m);
    void (*on_gone)(void *ctx, uint64_t id); /* a connection was lost; may be NULL */
};

struct peers;

/* Dials in the background. 0 or a negative code with its cause. */
__attribute__((warn_unused_result)) int
peers_open(struct peers **out, const struct peers_config *config, char error[256]);
void peers_close(struct peers *p);

/* Two pieces, one message. Unknown peers and peers without a connection: dropped. */
void peers_send(struct peers *p, uint64_t id, const void *head, size_t head_len, const void *body,
                size_t body_len);
/* Gives up a connection that may be dead and dials anew: TCP alone would wait for minutes after a
 * partition has healed. */
void peers_redial(struct peers *p, uint64_t id);
/* To be called every now and then: replaces what has given up, dialers and our own port. */
void peers_tend(struct peers *p);

#endif
