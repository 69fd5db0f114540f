/* SPDX-License-Identifier: Apache-2.0
 * The ledger client: what edges and tools use to talk to the nodes' client ports over mutual TLS
 * (proto/net; one connection per node, many requests in flight on it). It batches commands that
 * wait, finds and follows the leader, retries with the same command ids until each command's
 * deadline, and never reports a lost leader as a refusal: a command ends as answered or as "outcome
 * unknown".
 *
 * Threads: everything on one thread, the one that runs the libuv loop it was given (an edge
 * worker's); a tool without a loop gives none and runs the client's own with link_client_wait.
 *
 * Completion: each submitted command or query completes exactly once, from the loop (or from
 * link_client_free with LINK_UNKNOWN), never from inside the call that submitted it. Bytes handed
 * in are copied; bytes handed out live during the callback.
 *
 * Bounds: LINK_QUEUED_MAX commands wait (past it: -EBUSY); LINK_IN_FLIGHT_MAX requests under way.
 * No timer delays a lone command: what waits when a request slot is free goes out in the same round
 * of the loop, merged up to PROTO_FRAME_COMMANDS commands and PROTO_BATCH_BYTES.
 */
#ifndef HOLDFAST_PROTO_LINK_CLIENT_H
#define HOLDFAST_PROTO_LINK_CLIENT_H

#include "proto/command.h"
#include "proto/frame.h"
#include "proto/query.h"
#include "proto/result.h"

#include <uv.h>

enum {
    LINK_NODES_MAX = 9,
    LINK_QUEUED_MAX = 65536,
    LINK_IN_FLIGHT_MAX = 64,
    LINK_DETAIL_MAX = 640
};

struct link_node {
    uint32_t id;
    char address[PROTO_NAME_MAX + 1];     /* "host:port" of the client port */
    char server_name[PROTO_NAME_MAX + 1]; /* name in its certificate; checked */
};

struct link_config {
    struct proto_uuid cluster;
    uint16_t group;
    struct link_node nodes[LINK_NODES_MAX];
    unsigned n_nodes;
    const char *ca_file;         /* of the client port's certificates */
    const char *cert_file;       /* ours: certificate and key in one PEM */
    unsigned in_flight;          /* requests under way at once; 0: 8; at most LINK_IN_FLIGHT_MAX */
    unsigned request_timeout_ms; /* of one attempt; 0: 2000 */
    uv_loop_t *loop;             /* NULL: one of its own, run by link_client_wait */
};

enum link_outcome {
    LINK_ANSWERED,    /* the machine decided: result is set */
    LINK_UNKNOWN,     /* deadline or shutdown while an attempt's outcome was unknown */
    LINK_UNAVAILABLE, /* deadline, and no attempt can have reached the log */
    LINK_REFUSED      /* the node refused the request itself (bad frame, wrong cluster); detail */
};

struct link_answer {
    enum link_outcome outcome;
    const char *detail; /* text for people, < LINK_DETAIL_MAX; "" where there is none */
    uint64_t index;     /* receipt: log index, ordinal in it, chain after it */
    uint32_t ordinal;
    struct proto_hash chain;
    const struct proto_result *result; /* LINK_ANSWERED of a command */
    struct proto_answer *answer;       /* LINK_ANSWERED of a query: walk with proto_answer_row */
    const struct proto_node_status *status; /* LINK_ANSWERED of a status request */
    uint32_t node;                          /* id of the node that answered */
};
typedef void link_done(void *arg, const struct link_answer *a);

struct link_client;

/* 0 or a negative code; `error` (>= 256 bytes) gets the cause: which file, which address. Dials in
 * the background; nodes may come up later. */
__attribute__((warn_unused_result)) int
link_client_new(struct link_client **out, const struct link_config *config, char error[256]);
/* With a loop that was given: its handles close as that runs on, until none is left of it. */
void link_client_free(struct link_client *c);

/* head.deadline_us of the command is not used here; timeout_ms counts from now (CLOCK_MONOTONIC).
 * urgent: goes before commands that are not (settle and release before reserve).
 * 0, -EBUSY (queue full), -EMSGSIZE, -EINVAL (cannot be encoded), -ENOMEM. */
__attribute__((warn_unused_result)) int link_client_submit(struct link_client *c,
                                                           const struct proto_command *command,
                                                           unsigned timeout_ms, bool urgent,
                                                           link_done *done, void *arg);
/* stale: any node may answer from what it has applied. */
__attribute__((warn_unused_result)) int link_client_query(struct link_client *c,
                                                          const struct proto_query *query,
                                                          bool stale, unsigned timeout_ms,
                                                          link_done *done, void *arg);
/* The state of node `id` itself; no retries elsewhere. */
__attribute__((warn_unused_result)) int link_client_status(struct link_client *c, uint32_t id,
                                                           unsigned timeout_ms, link_done *done,
                                                           void *arg);

/* For tools without a loop: runs until *flag is true or timeout_ms has passed; true: the flag. */
bool link_client_wait(struct link_client *c, const bool *flag, unsigned timeout_ms);

uint32_t link_client_leader(const struct link_client *c); /* as last heard; 0: unknown */
unsigned link_client_queued(const struct link_client *c);

/* A UUIDv7 of now, from getrandom(2). */
void link_uuid7(struct proto_uuid *out);
/* Random bytes for tokens and keys, from getrandom(2). */
void link_random(void *p, size_t n);

#endif
