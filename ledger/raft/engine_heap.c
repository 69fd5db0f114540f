/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/raft/engine_heap.h"

#include "proto/base/log.h"

#include <raft.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_NO_MEMORY = 1 };

void *engine_heap_get(void *p, size_t n)
{
    void *got = realloc(p, n > 0 ? n : 1);
    if (!got) {
        base_log(BASE_LOG_ERROR, "the node ends", BASE_S("what", "consensus engine"),
                 BASE_S("cause", "out of memory"), NULL);
        _exit(EXIT_NO_MEMORY);
    }
    return got;
}

static void *heap_malloc(void *data, size_t n)
{
    (void)data;
    return engine_heap_get(NULL, n);
}

static void *heap_calloc(void *data, size_t n, size_t size)
{
    (void)data;
    if (size > 0 && n > SIZE_MAX / size)
        return NULL; /* no engine asks for so much */
    return memset(engine_heap_get(NULL, n * size), 0, n * size);
}

static void *heap_realloc(void *data, void *p, size_t n)
{
    (void)data;
    return engine_heap_get(p, n);
}

static void heap_free(void *data, void *p)
{
    (void)data;
    free(p);
}

static void *heap_aligned_alloc(void *data, size_t alignment, size_t n)
{
    (void)data;
    return aligned_alloc(alignment, n); /* of its disk code, which nobody runs */
}

static void heap_aligned_free(void *data, size_t alignment, void *p)
{
    (void)data;
    (void)alignment;
    free(p);
}

void engine_heap_use(void)
{
    static struct raft_heap heap = {.malloc = heap_malloc,
                                    .free = heap_free,
                                    .calloc = heap_calloc,
                                    .realloc = heap_realloc,
                                    .aligned_alloc = heap_aligned_alloc,
                                    .aligned_free = heap_aligned_free};
    raft_heap_set(&heap);
}
