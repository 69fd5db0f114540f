/* SPDX-License-Identifier: Apache-2.0
 * The loop's side of checkpoints: when one is due it copies the machine's changed records and hands
 * them to its host; when it is durable the machine, the reader and the pump learn of it. After each
 * one a bounded piece of the store is searched for records that can no longer influence any result;
 * their deletion goes with the next checkpoint. Loop thread only.
 *
 *   idle --due--> writing --on_done (inbox)--> idle
 */
#ifndef HOLDFAST_LEDGER_CHECKPOINT_H
#define HOLDFAST_LEDGER_CHECKPOINT_H

#include "ledger/core/core.h"
#include "ledger/node_io.h"

#include <stdbool.h>

enum { CHECKPOINT_SWEEP_RECORDS = 2000 }; /* looked at after each checkpoint */

struct checkpoint_config {
    unsigned every_ms;
    uint64_t changed_records; /* bring one early */
};

struct checkpoint {
    struct checkpoint_config config;
    struct core_machine *machine;
    const struct node_io *io;
    struct state_changes changes, dead;
    uint64_t index; /* of the last one that is durable */
    uint64_t writing_index;
    uint64_t last_ms;
    bool writing;
    uint8_t sweep_from[STATE_KEY_MAX + 1]; /* the sweep goes on here */
    size_t sweep_n;
    uint64_t swept; /* records deleted since the start */
};

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
__attribute__((warn_unused_result)) int checkpoint_done(struct checkpoint *c, uint64_t index);

#endif
