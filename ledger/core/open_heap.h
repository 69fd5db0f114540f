/* SPDX-License-Identifier: Apache-2.0
 * Open holds by (deadline, log index, ordinal): which one expires next. In memory only; a restart
 * rebuilds it from the hold table. A hold is named by (index, ordinal), which is unique; a small
 * hash map finds its node. 68 bytes a hold. Used by the machine alone.
 */
#ifndef HOLDFAST_CORE_OPEN_HEAP_H
#define HOLDFAST_CORE_OPEN_HEAP_H

#include "proto/types.h"

struct core_open {
    int64_t deadline_us;
    uint64_t index;
    uint32_t ordinal;
    uint32_t place; /* in the heap; of a free node: the next free one */
    struct proto_uuid org, id;
};

struct core_open_heap {
    struct core_open *nodes;
    uint32_t *heap;  /* node numbers */
    uint32_t *slots; /* node number + 1; open addressing; 2 * cap of them */
    uint32_t n, cap;
    uint32_t free_node; /* + 1; 0: none */
    uint32_t used;      /* nodes ever taken */
};

void core_open_heap_close(struct core_open_heap *h);
/* Room for one more. 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int core_open_heap_room(struct core_open_heap *h);
/* After room. o->place is ignored. */
void core_open_heap_add(struct core_open_heap *h, const struct core_open *o);
void core_open_heap_remove(struct core_open_heap *h, uint64_t index, uint32_t ordinal);
/* A new deadline. */
void core_open_heap_move(struct core_open_heap *h, uint64_t index, uint32_t ordinal,
                         int64_t deadline_us);
/* It will be removed or moved soon: its place is fetched. Speed only. */
void core_open_heap_hint(const struct core_open_heap *h, uint64_t index, uint32_t ordinal);
/* The next to expire, or NULL. */
const struct core_open *core_open_heap_first(const struct core_open_heap *h);

#endif
