/* SPDX-License-Identifier: Apache-2.0
 * libraft's memory. Where it gets none, libraft 0.22.1 frees configurations twice or goes on with a
 * NULL; so it gets some, or the process ends there and then, with exit code 1 and a line in the
 * log: for everybody else, and for its disk, that is a power loss. Memory is malloc's: what is ours
 * may become libraft's, and the other way round.
 */
#ifndef HOLDFAST_LEDGER_ENGINE_HEAP_H
#define HOLDFAST_LEDGER_ENGINE_HEAP_H

#include <stddef.h>

/* For the whole process; any number of times. */
void engine_heap_use(void);

/* All that libraft allocates comes from here: p NULL or its own, n bytes more than 0. Never NULL.
 */
void *engine_heap_get(void *p, size_t n);

#endif
