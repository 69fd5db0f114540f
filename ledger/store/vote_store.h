/* SPDX-License-Identifier: Apache-2.0
 * A node's identity and its consensus promise: term, vote, incarnation. A tiny LMDB environment of
 * its own, so that a vote never waits for the log's or the state's transaction.
 * Called by the loop thread; every save is one synchronous transaction, and a failed one is final:
 * a node that may have forgotten a vote must not go on.
 */
#ifndef HOLDFAST_LEDGER_VOTE_STORE_H
#define HOLDFAST_LEDGER_VOTE_STORE_H

#include "ledger/store/why.h"
#include "proto/types.h"

enum { VOTE_STORE_FORMAT = 1 }; /* of the whole data directory */

struct node_identity {
    struct proto_uuid cluster;
    uint16_t group;
    uint64_t node; /* > 0 */
};

struct node_vote {
    uint64_t term;
    uint64_t voted_for; /* 0: nobody */
    uint64_t incarnation;
};

struct vote_store;

/* DIR must not exist yet. */
__attribute__((warn_unused_result)) int vote_store_create(const char *dir,
                                                          const struct node_identity *id,
                                                          const struct node_vote *vote,
                                                          struct store_why *why);
/* Opens and bumps the incarnation durably. `want` may be NULL (tools); else another cluster, group
 * or node is -EXDEV, a newer format -ENOTSUP, damage -EUCLEAN, each with its reason. */
__attribute__((warn_unused_result)) int vote_store_open(struct vote_store **out, const char *dir,
                                                        const struct node_identity *want,
                                                        struct store_why *why);
void vote_store_close(struct vote_store *s);
/* Reads a directory that may be in use or a copy; changes nothing. */
__attribute__((warn_unused_result)) int vote_store_peek(const char *dir, struct node_identity *id,
                                                        struct node_vote *vote,
                                                        struct store_why *why);

const struct node_identity *vote_store_identity(const struct vote_store *s);
const struct node_vote *vote_store_vote(const struct vote_store *s);
__attribute__((warn_unused_result)) int vote_store_save(struct vote_store *s, uint64_t term,
                                                        uint64_t voted_for, struct store_why *why);

#endif
