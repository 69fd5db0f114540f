/* SPDX-License-Identifier: Apache-2.0
 * Whether our state is that of the others. Nodes tell each other their chain with every message, at
 * an index that both have applied; chains that differ once differ for ever after, so the last
 * comparison with a node counts, and an agreement only where it reaches as far as every difference
 * that is known: an older one says nothing of who is right. Pure; the loop thread's.
 *
 *   SOUND --(a chain differs)--> DISPUTED --(a majority, ourselves among it, agrees)--> SOUND
 *                                   |
 *                                   '--(no majority can agree with us)--> MINORITY, for good
 *
 * While DISPUTED nobody decides or answers anything. That ends with the word of one node more;
 * where a majority cannot come about at all (two of two differ, or all three) every node is a
 * MINORITY. That is for good, so it takes fresh words: who differed may have been mended since. It
 * is asked once more when it is seen to have started again, and when another node begins to differ.
 */
#ifndef HOLDFAST_LEDGER_ACCORD_H
#define HOLDFAST_LEDGER_ACCORD_H

#include "ledger/raft/pump.h"

enum accord_verdict { ACCORD_SOUND, ACCORD_DISPUTED, ACCORD_MINORITY };
enum accord_with { ACCORD_UNKNOWN, ACCORD_AGREES, ACCORD_DIFFERS };

struct accord_peer {
    uint64_t id;       /* 0: free */
    uint64_t applied;  /* it said last that it stands here */
    uint64_t compared; /* index of the last comparison that says something */
    uint64_t parted;   /* lowest index at which it was seen to differ; 0: it agrees */
    bool again;        /* it differed; as it was or mended, its next word says */
    enum accord_with with;
    struct proto_hash ours, theirs; /* where it differs */
};

struct accord {
    struct accord_peer peers[PUMP_SERVERS_MAX];
    bool doubt;       /* an entry contradicted our chain ... */
    uint64_t doubted; /* ... at this index: only words from there on count */
    enum accord_verdict verdict;
};

/* What a peer said. ours: our chain at that index, NULL where it is not at hand. */
void accord_heard(struct accord *a, uint64_t peer, const struct notice *said,
                  const struct proto_hash *ours);
/* An entry carried a leader's chain of `index` that is not ours. */
void accord_doubt(struct accord *a, uint64_t index);
/* The index at which to tell the peer our chain: where it stands, if that is before `own`. */
uint64_t accord_index_for(const struct accord *a, uint64_t peer, uint64_t own);
/* By what was heard so far, among the voters. peers: all but ourselves. */
enum accord_verdict accord_judge(struct accord *a, const struct pump_peer *peers, unsigned n,
                                 bool we_vote);
/* One that differs, or NULL. */
const struct accord_peer *accord_other(const struct accord *a);

#endif
