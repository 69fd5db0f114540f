/* SPDX-License-Identifier: Apache-2.0
 * Compares the re-executed machine with the node's state, both at the state's index: position,
 * configuration, every record in both directions, the accounts of every org on disk, in memory and
 * in the books. Child process, one thread.
 */
#ifndef HOLDFAST_REPLAY_COMPARE_H
#define HOLDFAST_REPLAY_COMPARE_H

#include "tools/replay/run.h"

/* true: all equal. Else the verdict names the first difference. */
bool replay_compare(struct replay *r, struct state_reader *view, const struct state_meta *meta);
/* The books against the machine as it stands now. */
bool replay_compare_books(struct replay *r, struct core_machine *m, const char *where);

#endif
