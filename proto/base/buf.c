/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/buf.h"

#include "proto/base/check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAP = 1024 };

void base_buf_init(struct base_buf *b, size_t limit)
{
    *b = (struct base_buf){.limit = limit};
}

void base_buf_close(struct base_buf *b)
{
    free(b->base);
    *b = (struct base_buf){.limit = b->limit};
}

int base_buf_reserve(struct base_buf *b, size_t n)
{
    size_t held = base_buf_len(b);
    if (n > (size_t)-1 / 4 - held || (b->limit && held + n > b->limit))
        return -ENOBUFS;
    if (b->end + n <= b->cap)
        return 0;
    if (b->off) { /* move to the front before growing */
        memmove(b->base, b->base + b->off, held);
        b->off = 0;
        b->end = held;
    }
    if (held + n <= b->cap)
        return 0;
    size_t cap = b->cap ? b->cap : FIRST_CAP;
    while (cap < held + n)
        cap *= 2;
    char *p = realloc(b->base, cap);
    if (!p)
        return -ENOMEM;
    b->base = p;
    b->cap = cap;
    return 0;
}

int base_buf_add(struct base_buf *b, const void *p, size_t n)
{
    if (n == 0)
        return 0;
    int rv = base_buf_reserve(b, n);
    if (rv)
        return rv;
    memcpy(b->base + b->end, p, n);
    b->end += n;
    return 0;
}

void base_buf_take(struct base_buf *b, size_t n)
{
    CHECK(n <= base_buf_len(b));
    b->off += n;
    if (b->off == b->end)
        b->off = b->end = 0;
}

void base_buf_clear(struct base_buf *b)
{
    b->off = b->end = 0;
}
