/* SPDX-License-Identifier: Apache-2.0
 * A node's data directory, written as a node writes it, from a fixed script of commands: several
 * orgs with budgets, holds in every end (settled, released, extended, expired, overrun, refused),
 * retries, commands that cannot be decoded, two checkpoints, and a tail after the last one. The
 * same options give the same bytes of log and state.
 */
#ifndef HOLDFAST_TESTS_REPLAY_FIXTURE_H
#define HOLDFAST_TESTS_REPLAY_FIXTURE_H

#include "proto/types.h"

struct fixture_options {
    unsigned rounds;      /* of traffic, each one entry */
    unsigned per_entry;   /* cycles in each */
    unsigned tail;        /* entries after the last checkpoint */
    int64_t deposit_more; /* nano-dollars that the first deposit has more: another history */
    int64_t scale;        /* of deposits and budgets; 0: 1, so that both run out */
    bool no_checkpoint;
    uint64_t liar_first, liar_last; /* entries whose leader's chain is another one; 0: none */
    uint64_t segment_bytes;         /* of the log; 0: default */
};

/* What came out, to compare with what replay says. */
struct fixture {
    uint64_t applied, last; /* index of the last checkpoint, of the log */
    struct proto_hash applied_chain, last_chain;
    int64_t middle_us; /* clock in the middle of the history */
    uint64_t commands;
    struct proto_uuid org;  /* the first one */
    uint64_t settled_index; /* where some hold was settled */
    uint32_t settled_ordinal;
    struct proto_hash settled_chain;
};

/* dir must not exist. Ends the program with a message when something fails. */
void fixture_make(const char *dir, const struct fixture_options *o, struct fixture *out);

#endif
