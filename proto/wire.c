/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/wire.h"

#include <msgpack/pack.h>

void proto_put_raw(struct proto_writer *w, const void *p, size_t n)
{
    if (w->full || n > w->cap - w->n) {
        w->full = true;
        return;
    }
    if (n > 0)
        memcpy(w->base + w->n, p, n);
    w->n += n;
}

static int on_pack(void *data, const char *p, size_t n)
{
    proto_put_raw(data, p, n);
    return 0;
}

static msgpack_packer packer(struct proto_writer *w)
{
    return (msgpack_packer){.data = w, .callback = on_pack};
}

void proto_put_array(struct proto_writer *w, uint32_t n)
{
    msgpack_packer pk = packer(w);
    msgpack_pack_array(&pk, n);
}

void proto_put_uint(struct proto_writer *w, uint64_t v)
{
    msgpack_packer pk = packer(w);
    msgpack_pack_uint64(&pk, v);
}

void proto_put_int(struct proto_writer *w, int64_t v)
{
    msgpack_packer pk = packer(w);
    msgpack_pack_int64(&pk, v);
}

void proto_put_bool(struct proto_writer *w, bool v)
{
    msgpack_packer pk = packer(w);
    if (v)
        msgpack_pack_true(&pk);
    else
        msgpack_pack_false(&pk);
}

void proto_put_str(struct proto_writer *w, struct proto_str s)
{
    msgpack_packer pk = packer(w);
    msgpack_pack_str(&pk, s.n);
    proto_put_raw(w, s.p, s.n);
}

void proto_put_bin_head(struct proto_writer *w, size_t n)
{
    msgpack_packer pk = packer(w);
    if (n > UINT32_MAX) {
        w->full = true;
        return;
    }
    msgpack_pack_bin(&pk, n);
}

void proto_put_bin(struct proto_writer *w, const void *p, size_t n)
{
    proto_put_bin_head(w, n);
    proto_put_raw(w, p, n);
}

static bool bad(struct proto_reader *r, const char *why)
{
    r->error = why;
    return false;
}

/* Takes n bytes, 1, 2, 4 or 8, as a big-endian number. */
static inline bool take_be(struct proto_reader *r, unsigned n, uint64_t *v)
{
    if ((size_t)(r->end - r->p) < n)
        return bad(r, "truncated");
    if (n == 8) {
        memcpy(v, r->p, 8);
        *v = __builtin_bswap64(*v);
        r->p += 8;
        return true;
    }
    *v = 0;
    while (n-- > 0)
        *v = *v << 8 | *r->p++;
    return true;
}

static inline bool take_tag(struct proto_reader *r, uint8_t *tag)
{
    if (r->p == r->end)
        return bad(r, "truncated");
    *tag = *r->p++;
    return true;
}

/* A length with its shortest form: fix (mask), then 8, 16 and 32 bits under the given tags. */
static bool take_length(struct proto_reader *r, uint8_t tag, const uint8_t tags[3],
                        uint32_t fix_max, uint64_t *n)
{
    static const uint64_t floors[3] = {0, 0x100, 0x10000};
    for (unsigned i = 0; i < 3; i++) {
        if (tags[i] == 0 || tag != tags[i])
            continue;
        if (!take_be(r, 1u << i, n))
            return false;
        uint64_t floor = floors[i];
        if (i == 0 || (i == 1 && tags[0] == 0))
            floor = fix_max;
        if (*n < floor)
            return bad(r, "length is not in its shortest form");
        return true;
    }
    return bad(r, "not of the expected type");
}

bool proto_get_array(struct proto_reader *r, uint32_t *n, uint32_t max)
{
    static const uint8_t tags[3] = {0, 0xdc, 0xdd};
    uint8_t tag;
    uint64_t v;
    if (!take_tag(r, &tag))
        return false;
    if ((tag & 0xf0) == 0x90)
        v = tag & 0x0f;
    else if (!take_length(r, tag, tags, 16, &v))
        return false;
    if (v > max)
        return bad(r, "array has too many elements");
    *n = (uint32_t)v;
    return true;
}

bool proto_get_array_of(struct proto_reader *r, uint32_t n)
{
    uint32_t got;
    if (!proto_get_array(r, &got, n))
        return false;
    return got == n || bad(r, "array has too few elements");
}

bool proto_get_uint(struct proto_reader *r, uint64_t *v, uint64_t max)
{
    uint8_t tag;
    if (!take_tag(r, &tag))
        return false;
    if (tag < 0x80) {
        *v = tag;
    } else if (tag >= 0xcc && tag <= 0xcf) {
        static const uint64_t floors[4] = {0x80, 0x100, 0x10000, 0x100000000};
        if (!take_be(r, 1u << (tag - 0xcc), v))
            return false;
        if (*v < floors[tag - 0xcc])
            return bad(r, "number is not in its shortest form");
    } else {
        return bad(r, "not an unsigned number");
    }
    return *v <= max || bad(r, "number is too large");
}

bool proto_get_int(struct proto_reader *r, int64_t *v)
{
    if (r->p == r->end)
        return bad(r, "truncated");
    uint8_t tag = *r->p;
    uint64_t u;
    if (tag >= 0xe0) { /* -32..-1 */
        r->p++;
        *v = (int8_t)tag;
        return true;
    }
    if (tag < 0xd0 || tag > 0xd3) {
        if (!proto_get_uint(r, &u, INT64_MAX))
            return false;
        *v = (int64_t)u;
        return true;
    }
    r->p++;
    unsigned bytes = 1u << (tag - 0xd0);
    if (!take_be(r, bytes, &u))
        return false;
    if (bytes < 8 && u >> (bytes * 8 - 1))
        u |= ~UINT64_C(0) << (bytes * 8);
    *v = (int64_t)u;
    static const int64_t ceilings[4] = {-33, -129, -32769, INT64_C(-2147483649)};
    return *v <= ceilings[tag - 0xd0] || bad(r, "number is not in its shortest form");
}

bool proto_get_bool(struct proto_reader *r, bool *v)
{
    uint8_t tag;
    if (!take_tag(r, &tag))
        return false;
    *v = tag == 0xc3;
    return tag == 0xc2 || tag == 0xc3 || bad(r, "not a boolean");
}

static inline bool take_view(struct proto_reader *r, uint64_t n, uint32_t max, struct proto_str *s)
{
    if (n > max)
        return bad(r, "text or bytes too long");
    if (n > (uint64_t)(r->end - r->p))
        return bad(r, "truncated");
    *s = (struct proto_str){(const char *)r->p, (uint32_t)n};
    r->p += n;
    return true;
}

/* One character; returns its length in bytes, 0 where it is not well-formed (RFC 3629). */
static unsigned utf8_char(const unsigned char *p, size_t n)
{
    if (p[0] < 0x80)
        return p[0] >= 0x20 && p[0] != 0x7f;
    unsigned len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || n < len)
        return 0;
    for (unsigned i = 1; i < len; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return len;
}

/* Eight bytes of plain ASCII: none above 0x7e, none below 0x20. (Bit tricks: Anderson, "Bit
 * Twiddling Hacks", 1997-2005, hasless and haszero.) */
static inline bool plain_ascii(uint64_t x)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones * 0x80;
    uint64_t below = (x - ones * 0x20) & ~x, del = x ^ ones * 0x7f;
    return ((x | below | ((del - ones) & ~del)) & tops) == 0;
}

bool proto_utf8_clean(struct proto_str s)
{
    uint32_t plain = 0;
    for (; s.n - plain >= 8; plain += 8) {
        uint64_t x;
        memcpy(&x, s.p + plain, 8);
        if (!plain_ascii(x))
            break;
    }
    for (uint32_t i = plain; i < s.n;) {
        unsigned k = utf8_char((const unsigned char *)s.p + i, s.n - i);
        if (k == 0)
            return false;
        i += k;
    }
    return true;
}

bool proto_get_str(struct proto_reader *r, struct proto_str *s, uint32_t max)
{
    static const uint8_t tags[3] = {0xd9, 0xda, 0xdb};
    uint8_t tag;
    uint64_t n;
    if (!take_tag(r, &tag))
        return false;
    if ((tag & 0xe0) == 0xa0)
        n = tag & 0x1f;
    else if (!take_length(r, tag, tags, 32, &n))
        return false;
    if (!take_view(r, n, max, s))
        return false;
    return proto_utf8_clean(*s) || bad(r, "text is not clean UTF-8");
}

bool proto_get_bin(struct proto_reader *r, struct proto_str *s, uint32_t max)
{
    static const uint8_t tags[3] = {0xc4, 0xc5, 0xc6};
    uint8_t tag;
    uint64_t n;
    return take_tag(r, &tag) && take_length(r, tag, tags, 0, &n) && take_view(r, n, max, s);
}

bool proto_get_fixed_any(struct proto_reader *r, uint8_t *out, uint32_t n, bool optional)
{
    struct proto_str s;
    if (!proto_get_bin(r, &s, n))
        return false;
    if (optional && s.n == 0) {
        memset(out, 0, n);
        return true;
    }
    if (s.n != n)
        return bad(r, "bytes of the wrong length");
    memcpy(out, s.p, n);
    return !optional || !proto_zero(out, n) || bad(r, "zeros where nothing should stand");
}

bool proto_get_end(struct proto_reader *r)
{
    return r->p == r->end || bad(r, "bytes after the end");
}
