/* SPDX-License-Identifier: Apache-2.0
 * The terms of a contiguous range of log entries, as runs: terms never fall along a log, so a few
 * runs describe millions of entries. Used by the log store (persisted), by the pump (in memory).
 * Not thread-safe; growth is one run per term.
 */
#ifndef HOLDFAST_LEDGER_TERM_RUNS_H
#define HOLDFAST_LEDGER_TERM_RUNS_H

#include <stddef.h>
#include <stdint.h>

struct term_run {
    uint64_t first; /* first index of the run */
    uint64_t term;
};

struct term_runs {
    struct term_run *run;
    size_t n, cap;
    uint64_t last; /* last index covered; run[0].first - 1 (or 0) when empty */
};

void term_runs_init(struct term_runs *r);
void term_runs_close(struct term_runs *r);
/* index must be last + 1 unless empty, term not below the last one. 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int term_runs_append(struct term_runs *r, uint64_t index,
                                                         uint64_t term);
void term_runs_truncate(struct term_runs *r, uint64_t from); /* forget from..last */
void term_runs_trim(struct term_runs *r, uint64_t first);    /* forget what is before first */
__attribute__((warn_unused_result)) int term_runs_copy(const struct term_runs *from,
                                                       struct term_runs *to);
uint64_t term_runs_of(const struct term_runs *r, uint64_t index); /* 0: not covered */
uint64_t term_runs_first(const struct term_runs *r);              /* 0: empty */

#endif
