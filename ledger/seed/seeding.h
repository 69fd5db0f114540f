/* SPDX-License-Identifier: Apache-2.0
 * One seeding on its way: shared by seeder.c (whom to ask, the whole), seed_copy.c (the copy) and
 * seed_forward.c (entries and witnesses).
 */
#ifndef HOLDFAST_LEDGER_SEEDING_H
#define HOLDFAST_LEDGER_SEEDING_H

#include "ledger/seed/seeder.h"
#include "ledger/store/data_dir.h"

#include <limits.h>

struct seeding {
    const struct seed_config *config;
    struct seed_facts facts;
    uint64_t there[SEED_OTHERS_MAX]; /* who answered, who is furthest first ... */
    uint64_t known[SEED_OTHERS_MAX]; /* ... and their commit indexes */
    unsigned n_there;
    unsigned attempt;
    uint64_t term;  /* the highest that anybody knows */
    uint64_t least; /* the end of the leader's log when it was asked: no less is enough */
    /* the copy */
    uint64_t copy, size; /* its index (0: none yet) and bytes */
    struct proto_hash sum;
    bool installed; /* it is DIR/state now, and entries may have been added */
    /* forward */
    struct log_store *log;
    struct state_store *state;
    struct state_meta meta; /* where the state stands */
};

/* Fills in who asks; -EAGAIN where nobody answers, or the answer is not OK (SEED_GONE: -ESTALE). */
__attribute__((warn_unused_result)) int seeding_ask(struct seeding *s, uint64_t node,
                                                    struct proto_seed_ask *ask,
                                                    struct proto_seed_answer *answer,
                                                    struct store_why *why);
bool seeding_tell(const struct seeding *s, const char *what, uint64_t done, uint64_t total);
/* A moment until something is asked again: 0, or -ECANCELED with what was waited for in `why`,
 * where it stands already. */
__attribute__((warn_unused_result)) int seeding_wait(const struct seeding *s,
                                                     struct store_why *why);
void seeding_path(const struct seeding *s, const char *part, char out[PATH_MAX]);

/* seed_copy.c: DIR/seed/progress, and DIR/seed/data.mdb as far as it is there. */
__attribute__((warn_unused_result)) int seed_progress_load(struct seeding *s,
                                                           struct store_why *why);
/* Fetches what is missing, verifies it, and makes it DIR/state. */
__attribute__((warn_unused_result)) int seed_copy_fetch(struct seeding *s, struct store_why *why);
/* seed_forward.c: to the leader's commit and enough witnesses. */
__attribute__((warn_unused_result)) int seed_forward(struct seeding *s, struct store_why *why);

#endif
