/* SPDX-License-Identifier: Apache-2.0
 * One replay: re-execute the log with the node's own state machine, compare with the node's state
 * where that stands, go on to the end of the log, check books, heads and receipts. Runs in the
 * child process, one thread; the report is made from what this leaves.
 */
#ifndef HOLDFAST_REPLAY_RUN_H
#define HOLDFAST_REPLAY_RUN_H

#include "ledger/store/data_mark.h"
#include "tools/replay/board.h"
#include "tools/replay/books.h"
#include "tools/replay/leaders.h"
#include "tools/replay/options.h"
#include "tools/replay/scratch.h"
#include "tools/replay/source.h"

/* The first and the last machine position that the report names, and the counts. */
struct replay_facts {
    uint64_t commands, refused, entries, holds_expired;
    struct core_position applied; /* of the state: what a checkpoint confirms */
    struct core_position last;    /* of the log */
    uint64_t confirmed;           /* chain proven up to here: checkpoint, leader's chain or head */
    uint64_t records, records_dead; /* of the state, equal; in memory only, as dead */
    uint32_t open_holds;            /* at applied */
    bool compared, at_kept, head_met, receipt_met;
    bool marked; /* the node stopped because its state differed from the majority's ... */
    char mark[DATA_MARK_MAX]; /* ... and wrote this down */
    bool tail_replaced;       /* a live node replaced entries of the tail while they were read */
    int64_t machine_drift;
    double seconds;
    char receipt[4096]; /* the command and its result as JSON */
};

struct replay {
    const struct replay_options *o;
    struct replay_board *board;
    struct replay_verdict verdict;
    struct replay_source source;
    struct core_machine *machine;
    struct replay_scratch scratch;
    struct core_position pos; /* of the machine */
    struct replay_books books;
    struct replay_leaders leaders; /* who had another chain */
    uint64_t entry, entry_term;    /* being executed */
    struct replay_facts facts;
    struct term_runs terms; /* of what was executed past the state, to see a replaced tail */
    struct log_conf conf;   /* newest configuration entry executed */
    bool tail;              /* executing past the state's index */
    uint64_t started_ns, progress_ns, progress_commands;
    bool progress; /* on stderr */
};

/* The exit code. The verdict and the facts are filled; the caller closes r. */
int replay_run(struct replay *r, const struct replay_options *o, struct replay_board *board);
void replay_close(struct replay *r);

/* Executes one entry; false: the verdict says why not. */
bool replay_execute(struct replay *r, const struct log_entry *e);

#endif
