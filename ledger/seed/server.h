/* SPDX-License-Identifier: Apache-2.0
 * The side of seeding that gives: answers what a node that is being seeded asks (ask.h). A thread
 * of its own does the work, one question at a time; the copy of the state lies in DATA/seed-out
 * until it is closed, replaced, or the node ends.
 *
 * Completion: each question that was taken is answered once by on_answer, on the seed thread (also
 * while it stops). Bound: SEED_ASKING_MAX wait; past it a question is refused.
 */
#ifndef HOLDFAST_LEDGER_SEED_SERVER_H
#define HOLDFAST_LEDGER_SEED_SERVER_H

#include "ledger/seed/ask.h"
#include "ledger/store/data_dir.h"

enum { SEED_ASKING_MAX = 8 };

/* What only the loop knows, at the moment of the question. */
struct seed_standing {
    uint64_t term, leader, commit, last;
    bool firm;
};

struct seed_server_config {
    const char *data; /* the node's directory */
    struct log_store *log;
    struct state_store *state;
    struct node_identity id;
    void *ctx;
    /* So much of a disk of that size stays free beside a copy, or none is made: a node whose disk
     * is full ends. NULL: nothing need stay. */
    uint64_t (*keep_free)(void *ctx, uint64_t total_bytes);
    /* answer: an encoded seed_answer, alive during the call. */
    void (*on_answer)(void *ctx, void *request, const void *answer, size_t n);
};

struct seed_server;

/* What config points to outlives it. Deletes what an earlier process left. */
__attribute__((warn_unused_result)) int seed_server_start(struct seed_server **out,
                                                          const struct seed_server_config *config);
/* bytes are copied. false: too many wait, or it is no question; nothing will be answered. */
bool seed_server_ask(struct seed_server *s, void *request, const void *bytes, size_t n,
                     const struct seed_standing *standing);
/* Who asks; 0: it is no question. digest: whether it asks for that. */
uint64_t seed_server_asker(const void *bytes, size_t n, bool *digest);
void seed_server_stop(struct seed_server *s); /* NULL: nothing */

/* For tests: one question, here and now. answer's views live until the next call. */
void seed_server_answer(struct seed_server *s, const struct proto_seed_ask *ask,
                        const struct seed_standing *standing, struct proto_seed_answer *answer);

#endif
