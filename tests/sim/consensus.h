/* SPDX-License-Identifier: Apache-2.0
 * What was decided in a run, seen from outside: who led which term, which entry was committed at
 * which index. Both simulators hold every node to it.
 */
#ifndef HOLDFAST_TESTS_SIM_CONSENSUS_H
#define HOLDFAST_TESTS_SIM_CONSENSUS_H

#include "tests/sim/engine.h"

enum { CONSENSUS_LOG = 6000, CONSENSUS_TERMS = 4000 };

struct consensus {
    int leader_of[CONSENSUS_TERMS];
    uint64_t committed; /* 1 .. committed are known to be */
    uint64_t term[CONSENSUS_LOG + 1], in_term[CONSENSUS_LOG + 1]; /* of the entry; committed in */
    uint64_t leaders;
};

/* Before the run: everywhere. */
void consensus_begin(struct consensus *c, uint64_t index, uint64_t term);
/* Node `id` leads `term`, and has applied so much. False: it may not, v->why says why. One leader a
 * term; a leader has all that was committed in earlier terms. */
bool consensus_leads(struct consensus *c, struct engine_view *v, int id, const struct pump *p,
                     uint64_t term, uint64_t applied);
/* What node `id` calls committed beyond *checked: on the disks of a majority of those that vote by
 * its configuration, never less than before, and the same everywhere. */
bool consensus_commits(struct consensus *c, struct engine_view *v, int id, const struct pump *p,
                       uint64_t *checked);

#endif
