/* SPDX-License-Identifier: Apache-2.0
 * Where the machine's records go when they are more than memory is meant to hold: a store of our
 * own in $TMPDIR (else /tmp), unlinked as soon as it is open, so that nothing is left behind
 * whatever becomes of us. As long as all fits, nothing is made. Used by the child process only.
 *
 * Bounds: REPLAY_MEMORY_MIB unless --memory says otherwise; half of it are clean records, the rest
 * those that changed since the last spill and their copy on its way to the disk.
 */
#ifndef HOLDFAST_REPLAY_SCRATCH_H
#define HOLDFAST_REPLAY_SCRATCH_H

#include "ledger/core/core.h"
#include "ledger/store/state_store.h"
#include "tools/replay/board.h"

enum {
    REPLAY_MEMORY_MIB = 1024,
    SCRATCH_RECORD = 384, /* bytes that a record in memory is taken to need, its table included */
};

struct replay_scratch {
    struct state_store *store; /* NULL: nothing has been spilled */
    struct state_reader reader;
    struct state_changes changes;
    size_t clean_records, changed_records; /* in memory */
};

void scratch_init(struct replay_scratch *s, uint64_t memory_mib);
void scratch_close(struct replay_scratch *s);
/* What the machine reads through; ctx: the scratch. */
struct core_backing scratch_backing(struct replay_scratch *s);
static inline bool scratch_used(const struct replay_scratch *s)
{
    return s->store != NULL;
}
/* It holds enough changed records for a spill. */
bool scratch_due(const struct replay_scratch *s, const struct core_machine *m);
/* Everything that has changed goes down. 0 or the exit code. */
__attribute__((warn_unused_result)) int
scratch_spill(struct replay_scratch *s, struct core_machine *m, struct replay_verdict *v);

#endif
