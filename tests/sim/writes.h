/* SPDX-License-Identifier: Apache-2.0
 * Log writes on their way to a simulated disk, in order: what a power loss may take, and what it
 * may not. Both simulators' disks have such a queue.
 */
#ifndef HOLDFAST_TESTS_SIM_WRITES_H
#define HOLDFAST_TESTS_SIM_WRITES_H

#include "ledger/store/entry.h"

#include <stdbool.h>

struct sim_write {
    const struct log_entry *entries; /* the pump's: live until it is told */
    unsigned n;
    uint64_t done_ms;
    bool told; /* the node was told before it was on disk (a mutant) */
    struct sim_write *next;
};

struct writes {
    struct sim_write *first, *last;
    uint64_t change; /* newest configuration in the log, as handed to the disk; 0: not known */
};

/* Behind the others, and not done before them. */
void writes_add(struct writes *q, struct sim_write *o);
struct sim_write *writes_take(struct writes *q); /* the one in front */
unsigned writes_count(const struct writes *q);
/* Of entries 1 .. last on disk, those that survive a power loss at any moment. */
uint64_t writes_safe(const struct writes *q, uint64_t last);

#endif
