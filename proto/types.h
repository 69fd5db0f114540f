/* SPDX-License-Identifier: Apache-2.0
 * The plain types that edges, ledger nodes and tools share. No behaviour beyond comparison.
 */
#ifndef HOLDFAST_PROTO_TYPES_H
#define HOLDFAST_PROTO_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* RFC 9562 UUID, bytes in network order. All zero: "none". */
struct proto_uuid {
    uint8_t b[16];
};

/* A SHA-256 digest. All zero: "none". */
struct proto_hash {
    uint8_t b[32];
};

/* A view of bytes somebody else owns; not NUL-terminated. */
struct proto_str {
    const char *p;
    uint32_t n;
};

/* Bounds of the text fields, in bytes. */
enum {
    PROTO_NAME_MAX = 128,
    PROTO_REASON_MAX = 256,
    PROTO_PUBLIC_MAX = 16, /* the public part of a key */
    PROTO_IP_MAX = 16,     /* an IPv4 (4 bytes) or IPv6 (16 bytes) address, binary */
};

static inline struct proto_str proto_str_of(const char *s)
{
    return (struct proto_str){s, (uint32_t)strlen(s)};
}
static inline bool proto_str_eq(struct proto_str a, struct proto_str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}
static inline bool proto_uuid_eq(const struct proto_uuid *a, const struct proto_uuid *b)
{
    return memcmp(a->b, b->b, sizeof a->b) == 0;
}
static inline bool proto_uuid_none(const struct proto_uuid *u)
{
    static const struct proto_uuid none;
    return proto_uuid_eq(u, &none);
}
static inline bool proto_hash_none(const struct proto_hash *h)
{
    static const struct proto_hash none;
    return memcmp(h->b, none.b, sizeof none.b) == 0;
}

/* Milliseconds since 1970 in the first 48 bits of a UUIDv7 (RFC 9562, section 5.7). */
static inline int64_t proto_uuid_time_ms(const struct proto_uuid *u)
{
    int64_t ms = 0;
    for (int i = 0; i < 6; i++)
        ms = ms << 8 | u->b[i];
    return ms;
}

#endif
