/* SPDX-License-Identifier: Apache-2.0
 * The side of seeding that takes: makes a node's data directory out of what live nodes answer
 * (ask.h). For a node that lost its disk, is new, or is further behind than the leader's log.
 *
 *   hello all ──> copy of the state ──> installed ──> forward to a witness ──> vote: a node
 *                (resumable by bytes)     (entries executed, state compared)
 *
 * What makes it safe (F43):
 * - It begins once a leader is known that stands in the highest term anybody knows, and so many
 *   others have answered that any quorum we may have been part of is among them. We end with all
 *   that stood in this leader's log, once it is committed; so we hold again what we may ever have
 *   acknowledged, also if our last acknowledgement is still on its way.
 * - Our vote in that term is spent on ourselves: one that we may have given is not given twice.
 * - The copy comes from one node, the entries behind it from another; executed by the machine, they
 *   must lead to the position, the chain and the digest of all records that yet other nodes have,
 * so many that with the source they are a quorum. Until then no vote stands in the directory, and
 * no node starts on it.
 *
 * Interrupted, it goes on where it was; a copy that is gone is asked for anew. Main thread of a
 * command; blocks.
 */
#ifndef HOLDFAST_LEDGER_SEEDER_H
#define HOLDFAST_LEDGER_SEEDER_H

#include "ledger/backup/backup.h"
#include "ledger/seed/ask.h"

enum { SEED_OTHERS_MAX = 8 };

struct seed_link {
    void *ctx;
    /* 0 with the answer, whose views live until the next call; or a negative code with its cause.
     */
    int (*ask)(void *ctx, uint64_t node, const struct proto_seed_ask *ask,
               struct proto_seed_answer *answer, struct store_why *why);
    void (*pause)(void *ctx); /* a moment before something is asked again */
};

struct seed_config {
    const char *data;
    struct node_identity id;
    uint64_t others[SEED_OTHERS_MAX]; /* all nodes of the cluster but ourselves */
    unsigned n_others;
    uint64_t segment_bytes;
    uint64_t incarnation; /* higher than any this node has had: seconds since 1970 */
    uint32_t chunk_bytes; /* 0: SEED_CHUNK_MAX */
    unsigned patience;    /* times that something is asked again before it fails; 0: 300 */
    struct seed_link link;
    const struct backup_watch *watch;
    /* Something is not there yet and will be asked for again: why. false: not any more. May be
     * NULL. ctx: watch's. */
    bool (*on_waiting)(void *ctx, const char *why);
};

struct seed_facts {
    uint64_t source, leader;
    uint64_t copied; /* index of the copy */
    uint64_t index;  /* where the state stands now */
    struct proto_hash chain;
    unsigned witnesses; /* nodes whose state was compared with ours, besides the source */
    uint64_t bytes;     /* of the copy */
    bool resumed;
};

/* 0; -EEXIST: data is a node's directory, or holds something else; -EAGAIN: no leader, too few
 * nodes, or a node does not answer: run it again; -EUCLEAN: what the nodes say does not fit
 * together (everything is deleted); -ECANCELED; -EIO and others: our disk. */
__attribute__((warn_unused_result)) int seed_node(const struct seed_config *config,
                                                  struct seed_facts *out, struct store_why *why);

#endif
