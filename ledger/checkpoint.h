/* SPDX-License-Identifier: Apache-2.0
 * The loop's side of checkpoints: when one is due it copies the machine's changed records and hands
 * them to its host; when it is durable the machine, the reader and the pump learn of it. Records
 * that can no longer influence any result are swept out by the writer (checkpoint_sweep). Loop
 * thread only.
 *
 *   idle --due--> writing --on_done (inbox)--> idle
 *
 * One is due after every_ms, or with changed_records. What one writes is in the way of the log's
 * next flush, and a flush waits for all of it: so where much changes, it is written in smaller
 * pieces, every quarter of that time, and each node has its own phase, so that those that share a
 * machine, or a leader and its followers, do not write at the same moment.
 *
 * Records spread over many pages make a write long, and the next one as long again, while a pause
 * lets more changes fall on the same pages. So after a write of CHECKPOINT_LONG_MS or more there is
 * a rest: CHECKPOINT_REST times as long, at most CHECKPOINT_REST_MAX_MS, and not when
 * CHECKPOINT_CROWD times the changed records wait that otherwise bring one early. What rests is
 * replayed after a crash.
 */
#ifndef HOLDFAST_LEDGER_CHECKPOINT_H
#define HOLDFAST_LEDGER_CHECKPOINT_H

#include "ledger/core/core.h"
#include "ledger/node_io.h"
#include "ledger/store/sweep.h"

#include <stdbool.h>

enum {
    CHECKPOINT_PIECES = 4,   /* of every_ms */
    CHECKPOINT_WORTH = 2048, /* changed records that make a piece */
    CHECKPOINT_LONG_MS = 150,
    CHECKPOINT_REST = 3,
    CHECKPOINT_REST_MAX_MS = 6000,
    CHECKPOINT_CROWD = 8,
};

struct checkpoint_config {
    unsigned every_ms;
    uint64_t changed_records; /* bring one early */
    uint64_t phase;           /* any number, another one for each node */
};

struct checkpoint {
    struct checkpoint_config config;
    struct core_machine *machine;
    const struct node_io *io;
    struct state_changes changes;
    uint64_t index; /* of the last one that is durable */
    uint64_t writing_index;
    uint64_t last_ms;
    uint64_t rest_until_ms;
    bool writing;
};

/* What of the state's records is dead, for whoever writes checkpoints. */
extern const struct state_sweep_rules checkpoint_sweep;

/* index: where the store stands. io outlives it. */
void checkpoint_init(struct checkpoint *c, const struct checkpoint_config *config,
                     struct core_machine *machine, const struct node_io *io, uint64_t index);
void checkpoint_close(struct checkpoint *c);

/* When the next one is due by time; the loop need not wake up before. */
uint64_t checkpoint_due_ms(const struct checkpoint *c);
bool checkpoint_due(const struct checkpoint *c, uint64_t mono_ms);
/* Starts one if the machine has moved since the last and none is being written. conf: in force
 * where the machine stands. 0 or a final negative code. */
__attribute__((warn_unused_result)) int checkpoint_start(struct checkpoint *c, uint64_t mono_ms,
                                                         const struct log_conf *conf);
/* It is durable. The pump's marker is the caller's. 0 or a final negative code. */
__attribute__((warn_unused_result)) int checkpoint_done(struct checkpoint *c, uint64_t mono_ms,
                                                        uint64_t index);

#endif
