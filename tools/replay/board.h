/* SPDX-License-Identifier: Apache-2.0
 * What the scanning child leaves behind for its parent, in memory they share: how far it was, and
 * its verdict. Reading damaged LMDB pages may fault, so all reading is done in the child; the
 * parent opens nothing and turns a child's death by signal into a verdict of its own.
 */
#ifndef HOLDFAST_REPLAY_BOARD_H
#define HOLDFAST_REPLAY_BOARD_H

#include "proto/types.h"

enum replay_phase { REPLAY_OPENING, REPLAY_EXECUTING, REPLAY_COMPARING, REPLAY_TAIL, REPLAY_DONE };

/* Exit codes of the program. */
enum replay_exit { REPLAY_PROVEN = 0, REPLAY_MISMATCH = 1, REPLAY_UNUSABLE = 2 };

struct replay_board {
    volatile int phase;      /* enum replay_phase */
    volatile uint64_t index; /* last entry executed */
};

struct replay_verdict {
    enum replay_exit exit;
    bool set;       /* the first failure stays */
    uint64_t index; /* first bad index, 0: no entry is to blame */
    uint64_t after; /* all entries up to here are known to be good */
    char text[640];
};

/* Keeps the first failure; returns its exit code. */
__attribute__((format(printf, 4, 5))) int replay_fail(struct replay_verdict *v,
                                                      enum replay_exit exit, uint64_t index,
                                                      const char *format, ...);

#endif
