/* SPDX-License-Identifier: Apache-2.0
 * Two machines on one log: `plain` keeps all in memory; `stored` has a tiny cache over a map,
 * and goes through checkpoints, housekeeping, crashes and restarts. Their chains must agree after
 * every entry, their records at the end.
 */
#ifndef HOLDFAST_TESTS_SHADOW_RIG_H
#define HOLDFAST_TESTS_SHADOW_RIG_H

#include "ledger/core/core.h"

enum { RIG_BUCKETS = 8192 };

struct rig_item {
    struct rig_item *next;
    size_t klen, vlen;
    uint8_t *value; /* NULL: deleted */
    uint8_t key[];
};
struct rig_map {
    struct rig_item *bucket[RIG_BUCKETS];
};

struct rig_entry {
    uint8_t *payload; /* NULL: no command entry, skipped */
    size_t n;
    uint64_t term;
};

struct rig {
    struct core_machine *plain, *stored;
    struct rig_map below, pending;
    struct core_position at, durable; /* of the checkpoint under way, of the last one */
    bool under_way;
    size_t cache_records;
    struct rig_entry *log;
    size_t entries, cap;
    uint64_t checkpoints, restarts;
    uint64_t random;
};

void rig_open(struct rig *g, uint64_t seed);
void rig_close(struct rig *g);
uint64_t rig_random(struct rig *g, uint64_t below);
/* Applies to both; returns plain's outcome. Ends the program where they disagree. */
void rig_apply(struct rig *g, uint64_t term, const void *payload, size_t n,
               struct core_outcome *out);
void rig_skip(struct rig *g, uint64_t term);
/* Final checkpoint; then every record that is not dead is the same in both. */
void rig_compare_records(struct rig *g);
/* Prints how to come here again, and ends the program. */
__attribute__((noreturn, format(printf, 1, 2))) void shadow_fail(const char *format, ...);

#endif
