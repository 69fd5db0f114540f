/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/pages.h"

#include <stdint.h>
#include <sys/mman.h>

void base_pages_large(void *p, size_t n)
{
#ifdef MADV_HUGEPAGE
    const uintptr_t size = (uintptr_t)2 << 20, from = ((uintptr_t)p + size - 1) & ~(size - 1),
                    to = ((uintptr_t)p + n) & ~(size - 1);
    if (from < to)
        (void)madvise((uint8_t *)p + (from - (uintptr_t)p), to - from, MADV_HUGEPAGE);
#else
    (void)p, (void)n;
#endif
}
