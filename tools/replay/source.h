/* SPDX-License-Identifier: Apache-2.0
 * A node's data directory, read only: its log, its state, whose it is. Beside a running node every
 * read is one short LMDB transaction, except the state's during the comparison. Used by the child
 * process only, because damaged pages may fault.
 */
#ifndef HOLDFAST_REPLAY_SOURCE_H
#define HOLDFAST_REPLAY_SOURCE_H

#include "ledger/store/archive.h"
#include "ledger/store/state_store.h"
#include "ledger/store/vote_store.h"
#include "tools/replay/board.h"
#include "tools/replay/options.h"

enum {
    SOURCE_PAGE_ENTRIES = 4096,          /* entries read at once */
    SOURCE_PAGE_BYTES = 4 * 1024 * 1024, /* and their bytes */
};

struct replay_source {
    struct log_store *log;
    struct archive *archive; /* what is before the log; NULL: nothing */
    int hold;                /* of the log: nothing is trimmed while it is read */
    struct state_store *state;
    bool live;         /* somebody may be writing */
    bool has_identity; /* a copy may lack the vote */
    struct node_identity identity;
    struct node_vote vote;
    struct log_page page;
};

/* 0, or the exit code; the verdict has the cause. */
__attribute__((warn_unused_result)) int
source_open(struct replay_source *s, const struct replay_options *o, struct replay_verdict *v);
void source_close(struct replay_source *s);

/* Of archive and log as one; 0: empty. */
uint64_t source_first(const struct replay_source *s);
uint64_t source_last(const struct replay_source *s);

/* The next entries from `first`, at most up to `last`, into s->page. Number read (0: none is
 * there), or -1 with the verdict. */
__attribute__((warn_unused_result)) int source_read(struct replay_source *s, uint64_t first,
                                                    uint64_t last, struct replay_verdict *v);
/* Looks for what was written since. 0 or the exit code. */
__attribute__((warn_unused_result)) int source_refresh(struct replay_source *s,
                                                       struct replay_verdict *v);
/* A fresh view of the state and where it stands. 0 or the exit code. */
__attribute__((warn_unused_result)) int source_view(struct replay_source *s,
                                                    struct state_reader *view,
                                                    struct state_meta *meta,
                                                    struct replay_verdict *v);

#endif
