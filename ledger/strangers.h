/* SPDX-License-Identifier: Apache-2.0
 * A crowd of strangers: commands that nobody has a right to send (they cannot be decoded, carry a
 * credential that is not known, or name an organisation that is not there). Each one in the log
 * costs room on every disk, and anybody who reaches an edge can send them. So a few are decided
 * like all commands; where they come in a crowd, the leader answers the same from what it has
 * applied, until they stay away. (A leader that was deposed and does not know yet may so refuse a
 * credential that is newer than its state; nothing is recorded of it.) Pure; the loop thread's.
 */
#ifndef HOLDFAST_LEDGER_STRANGERS_H
#define HOLDFAST_LEDGER_STRANGERS_H

#include "proto/codes.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    STRANGERS_FEW = 100,         /* within a window of ... */
    STRANGERS_WINDOW_MS = 10000, /* ... that long are no crowd yet */
};

struct strangers {
    uint64_t since_ms; /* when the window began */
    unsigned seen;     /* in it */
    uint64_t until_ms; /* it is a crowd until then; 0: it was none yet */
    uint64_t refused;  /* commands that were answered without an entry, since the start */
};

/* Whether a result tells of a stranger. */
bool strangers_code(unsigned code);
/* One was seen, in the log or before it. True if that makes a crowd of those that were none. */
bool strangers_note(struct strangers *s, uint64_t mono_ms);
bool strangers_crowd(const struct strangers *s, uint64_t mono_ms);

#endif
