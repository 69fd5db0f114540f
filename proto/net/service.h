/* SPDX-License-Identifier: Apache-2.0
 * A port that answers requests: frames with a tag, of many connections, at most `in_flight` of them
 * with their taker at a time. When so many are, the next one of each connection waits and the
 * connection is not read; who waits longest goes first, so no connection starves another. Frames
 * without a tag ask for no answer and go to on_message.
 *
 * Completion: each request that on_request took is answered exactly once, with net_service_answer
 * on the service's thread, or with net_service_post from another. If its connection has gone, so
 * has the answer.
 */
#ifndef HOLDFAST_PROTO_NET_SERVICE_H
#define HOLDFAST_PROTO_NET_SERVICE_H

#include "proto/net/frame.h"
#include "proto/net/tls.h"

struct net_service;

struct net_service_config {
    const char *address; /* "host:port" to listen on */
    struct net_tls_files tls;
    size_t frame_max, queue_max; /* bytes: of a frame; of answers that a client does not read */
    unsigned conns_max, in_flight;
    void *ctx;
    /* Both on the service's thread. */
    void (*on_request)(void *ctx, struct net_frame *request);
    void (*on_message)(void *ctx, struct net_frame *message); /* NULL: such frames are dropped */
};

/* 0, or a negative code with its cause. */
__attribute__((warn_unused_result)) int net_service_open(struct net_service **out,
                                                         struct net_thread *thread,
                                                         const struct net_service_config *config,
                                                         char error[256]);
/* After the thread has stopped and every request has been answered. */
void net_service_free(struct net_service *s);

/* Take both, and never call back. reply NULL: none can be made, the caller learns by its timeout.
 */
void net_service_answer(struct net_frame *request, struct net_frame *reply);
void net_service_post(struct net_frame *request, struct net_frame *reply);
/* "address:port" of who sent it; the service's thread, before it is answered. */
const char *net_service_peer(const struct net_frame *request);

#endif
