/* SPDX-License-Identifier: Apache-2.0
 * A growable byte queue: bytes are added at the end and taken from the front.
 * Not thread-safe. Growth is bounded by `limit` (bytes held at once; 0: none): an add that would
 * pass it, or that finds no memory, returns -ENOBUFS / -ENOMEM and changes nothing.
 */
#ifndef HOLDFAST_BASE_BUF_H
#define HOLDFAST_BASE_BUF_H

#include <stddef.h>

struct base_buf {
    char *base;
    size_t off;   /* first byte held */
    size_t end;   /* one past the last byte held */
    size_t cap;
    size_t limit;
};

void base_buf_init(struct base_buf *b, size_t limit);
void base_buf_close(struct base_buf *b);
__attribute__((warn_unused_result)) int base_buf_add(struct base_buf *b, const void *p, size_t n);
/* Room for n more bytes at b->base + b->end; the caller writes there and then raises b->end. */
__attribute__((warn_unused_result)) int base_buf_reserve(struct base_buf *b, size_t n);
void base_buf_take(struct base_buf *b, size_t n);  /* n <= held */
void base_buf_clear(struct base_buf *b);           /* forget the bytes, keep the memory */

static inline size_t base_buf_len(const struct base_buf *b)
{
    return b->end - b->off;
}
static inline char *base_buf_at(struct base_buf *b)
{
    return b->base ? b->base + b->off : NULL; /* adding to NULL is undefined, even 0 */
}

#endif
