/* SPDX-License-Identifier: Apache-2.0
 * Canonical MessagePack over bounded memory. Writing is msgpack-c's; reading is ours, because it
 * must refuse every encoding but the shortest one (two byte strings never mean the same command),
 * allocate nothing and never look past the end.
 * https://github.com/msgpack/msgpack/blob/master/spec.md
 *
 * Writer: sticky `full` instead of a code per call; check it once, at the end.
 * Reader: every call returns false on bad input and leaves the cause in `error` (static text);
 * views (str, bin) point into the caller's bytes and live as long as those.
 * No thread rules: both are plain values.
 */
#ifndef HOLDFAST_PROTO_WIRE_H
#define HOLDFAST_PROTO_WIRE_H

#include "proto/types.h"

struct proto_writer {
    uint8_t *base;
    size_t n, cap;
    bool full; /* something did not fit: the bytes are useless */
};

static inline struct proto_writer proto_writer_over(void *base, size_t cap)
{
    return (struct proto_writer){.base = base, .cap = cap};
}
void proto_put_array(struct proto_writer *w, uint32_t n);
void proto_put_uint(struct proto_writer *w, uint64_t v);
void proto_put_int(struct proto_writer *w, int64_t v);
void proto_put_bool(struct proto_writer *w, bool v);
void proto_put_str(struct proto_writer *w, struct proto_str s);
void proto_put_bin(struct proto_writer *w, const void *p, size_t n);
/* Header of a bin of n bytes that the caller appends itself with proto_put_raw. */
void proto_put_bin_head(struct proto_writer *w, size_t n);
void proto_put_raw(struct proto_writer *w, const void *p, size_t n);

struct proto_reader {
    const uint8_t *p, *end;
    const char *error; /* NULL, or why the last call returned false */
};

static inline struct proto_reader proto_reader_over(const void *base, size_t n)
{
    return (struct proto_reader){.p = base, .end = (const uint8_t *)base + n};
}
bool proto_get_array(struct proto_reader *r, uint32_t *n, uint32_t max);
bool proto_get_array_of(struct proto_reader *r, uint32_t n); /* exactly n elements */
bool proto_get_uint(struct proto_reader *r, uint64_t *v, uint64_t max);
bool proto_get_int(struct proto_reader *r, int64_t *v);
bool proto_get_bool(struct proto_reader *r, bool *v);
/* UTF-8 without control characters. */
bool proto_get_str(struct proto_reader *r, struct proto_str *s, uint32_t max);
bool proto_get_bin(struct proto_reader *r, struct proto_str *s, uint32_t max);
/* Exactly `n` bytes; an empty bin gives zeros where `optional`, and n zero bytes are then refused
 * (one value, one encoding). */
bool proto_get_fixed_any(struct proto_reader *r, uint8_t *out, uint32_t n, bool optional);
static inline bool proto_zero(const uint8_t *p, uint32_t n)
{
    uint64_t any = 0, x;
    for (; n >= 8; p += 8, n -= 8) {
        memcpy(&x, p, 8);
        any |= x;
    }
    for (; n > 0; p++, n--)
        any |= *p;
    return any == 0;
}
static inline bool proto_get_fixed(struct proto_reader *r, uint8_t *out, uint32_t n, bool optional)
{
    const uint8_t *p = r->p;
    if ((size_t)(r->end - p) >= 2 + (size_t)n && p[0] == 0xc4 && p[1] == n &&
        !(optional && proto_zero(p + 2, n))) { /* nearly always; else it may be refused */
        memcpy(out, p + 2, n);
        r->p = p + 2 + n;
        return true;
    }
    return proto_get_fixed_any(r, out, n, optional);
}
bool proto_get_end(struct proto_reader *r); /* nothing may follow */
bool proto_utf8_clean(struct proto_str s);  /* valid UTF-8, no C0 control, no DEL */

#endif
