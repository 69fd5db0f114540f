/* SPDX-License-Identifier: Apache-2.0
 * What edges and tools say to a node's client port, each request a frame
 * with a tag of its own, each reply a frame with that tag (proto/net/frame.h).
 *   request: [request_head, [command, ...]]  kind COMMANDS: bins, at most PROTO_FRAME_COMMANDS
 *            [request_head, [query]]         kind QUERY
 *            [request_head, []]              kind STATUS: the node's own state, no credential needed
 *   reply:   [reply_head, [item, ...]]       COMMANDS: one reply_item a command, in order
 *            [reply_head, [answer]]          QUERY: the answer as a bin
 *            [reply_head, [node_status]]     STATUS
 */
#ifndef HOLDFAST_PROTO_FRAME_H
#define HOLDFAST_PROTO_FRAME_H

#include "proto/fields.h"

enum {
    PROTO_FRAME_VERSION = 1,
    PROTO_FRAME_MAX = 1024 * 1024, /* bytes of a request or reply */
    PROTO_FRAME_COMMANDS = 1000,
    PROTO_FRAME_REPLY_MAX = 4 * 1024 * 1024,
};

enum proto_request_kind { PROTO_REQUEST_COMMANDS = 1, PROTO_REQUEST_QUERY = 2, PROTO_REQUEST_STATUS = 3 };

/* How a request as a whole fared. X(number, name, retry, text): retry = the same bytes may be sent
 * again (elsewhere, after retry_ms); the command ids make that safe. */
#define PROTO_REPLY_STATUSES(X)                                                                    \
    X(0, done, 0, "done")                                                                          \
    X(1, not_leader, 1, "this node does not lead")                                                 \
    X(2, busy, 1, "the node's queues are full")                                                    \
    X(3, unknown, 1, "leadership was lost while the commands were under way: outcome unknown")     \
    X(4, bad_frame, 0, "the request cannot be decoded")                                            \
    X(5, wrong_cluster, 0, "the request is for another cluster or group")                          \
    X(6, unavailable, 1, "no quorum, or the node is starting or stopping")                         \
    X(7, expired, 0, "the deadline passed before the commands were proposed")

#define X(number, name, retry, text) PROTO_REPLY_##name = number,
enum proto_reply_status { PROTO_REPLY_STATUSES(X) PROTO_REPLY_STATUS_COUNT = 8 };
#undef X
const char *proto_reply_text(unsigned status);
bool proto_reply_retry(unsigned status);

/* stale: a query may be answered by any node from what it has applied; else it is linearizable. */
#define PROTO_FIELDS_request_head(F)                                                               \
    F(U8, version, 0)                                                                              \
    F(UUID, cluster, 0)                                                                            \
    F(U16, group, 0)                                                                               \
    F(U8, kind, 0)                                                                                 \
    F(BOOL, stale, 0)
PROTO_DECLARE(request_head)

/* leader: node id (0: not known) and client address "host:port". detail: cause, for people.
 * applied: the index the answer stands at. */
#define PROTO_FIELDS_reply_head(F)                                                                 \
    F(U8, version, 0)                                                                              \
    F(U8, status, 0)                                                                               \
    F(U32, leader, 0)                                                                              \
    F(STR, leader_address, PROTO_NAME_MAX)                                                         \
    F(U32, retry_ms, 0)                                                                            \
    F(U64, term, 0)                                                                                \
    F(U64, applied, 0)                                                                             \
    F(STR, detail, PROTO_REASON_MAX)
PROTO_DECLARE(reply_head)

/* index, ordinal: where the command stands in the log; chain: after that entry. Together they are
 * the receipt. Index 0 with an empty result: the command's deadline passed before it was proposed. */
#define PROTO_FIELDS_reply_item(F)                                                                 \
    F(U64, index, 0)                                                                               \
    F(U32, ordinal, 0)                                                                             \
    F(HASH, chain, 0)                                                                              \
    F(BIN, result, 2048)
PROTO_DECLARE(reply_item)

enum { PROTO_MAX_peer_status = 8 };
/* As the answering node sees the others. match: known replicated index (leader only). */
#define PROTO_FIELDS_peer_status(F)                                                                \
    F(U32, id, 0)                                                                                  \
    F(STR, address, PROTO_NAME_MAX)                                                                \
    F(U64, match, 0)                                                                               \
    F(I64, last_seen_us, 0)                                                                        \
    F(I64, clock_offset_us, 0)
PROTO_DECLARE(peer_status)
/* What else a node says of itself, by name: newer nodes say more, and older tools pass over it. */
enum { PROTO_MAX_fact = 48 };
#define PROTO_FIELDS_fact(F)                                                                       \
    F(STR, name, PROTO_NAME_MAX)                                                                   \
    F(I64, number, 0)                                                                              \
    F(STR, text, PROTO_REASON_MAX)
PROTO_DECLARE(fact)
#define PROTO_FIELDS_node_status(F)                                                                \
    F(U32, id, 0)                                                                                  \
    F(STR, role, PROTO_NAME_MAX)                                                                   \
    F(STR, build, PROTO_NAME_MAX)                                                                  \
    F(U64, term, 0)                                                                                \
    F(U32, leader, 0)                                                                              \
    F(STR, leader_address, PROTO_NAME_MAX)                                                         \
    F(U64, last_index, 0)                                                                          \
    F(U64, commit_index, 0)                                                                        \
    F(U64, applied_index, 0)                                                                       \
    F(U64, checkpoint_index, 0)                                                                    \
    F(HASH, chain, 0)                                                                              \
    F(I64, clock_us, 0)                                                                            \
    F(U64, commands, 0)                                                                            \
    F(I64, drift, 0)                                                                               \
    F(U32, open_holds, 0)                                                                          \
    F(LIST, peers, peer_status)                                                                    \
    F(LIST, facts, fact)
PROTO_DECLARE(node_status)

/* Writing: head, then the items the caller appends with proto_put_bin / proto_reply_item_put. */
void proto_request_begin(struct proto_writer *w, const struct proto_request_head *h, uint32_t n);
void proto_reply_begin(struct proto_writer *w, const struct proto_reply_head *h, uint32_t n);
/* Reading: the head, and the number of items that follow in r. */
bool proto_request_open(struct proto_reader *r, struct proto_request_head *h, uint32_t *n);
bool proto_reply_open(struct proto_reader *r, struct proto_reply_head *h, uint32_t *n);

#endif
