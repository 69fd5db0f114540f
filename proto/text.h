/* SPDX-License-Identifier: Apache-2.0
 * Text into bounded memory: hex, numbers, money, JSON strings. Pure; what does not fit sets `full`.
 * Always NUL-terminated (cap >= 1).
 */
#ifndef HOLDFAST_PROTO_TEXT_H
#define HOLDFAST_PROTO_TEXT_H

#include "proto/types.h"

enum { PROTO_UUID_TEXT = 37, PROTO_HASH_TEXT = 65 }; /* with the NUL */

struct proto_text {
    char *base;
    size_t n, cap;
    bool full;
};

static inline struct proto_text proto_text_over(char *base, size_t cap)
{
    base[0] = '\0';
    return (struct proto_text){.base = base, .cap = cap};
}
void proto_text_raw(struct proto_text *t, const char *p, size_t n);
void proto_text_put(struct proto_text *t, const char *s);
void proto_text_int(struct proto_text *t, int64_t v);
void proto_text_uint(struct proto_text *t, uint64_t v);
void proto_text_hex(struct proto_text *t, const uint8_t *p, size_t n);
void proto_text_uuid(struct proto_text *t, const struct proto_uuid *u);
void proto_text_money(struct proto_text *t, int64_t nanos);
void proto_text_json(struct proto_text *t, struct proto_str s); /* quoted and escaped */
void proto_text_time(struct proto_text *t, int64_t us);         /* RFC 3339, UTC, microseconds */
void proto_text_ip(struct proto_text *t, struct proto_str ip);  /* 4 or 16 bytes; "-" otherwise */

/* "018f…-…" (36 characters) or 32 hex digits. false: not such a text. */
bool proto_uuid_parse(struct proto_str s, struct proto_uuid *u);
void proto_uuid_print(const struct proto_uuid *u, char out[PROTO_UUID_TEXT]);
bool proto_hex_parse(struct proto_str s, uint8_t *out, size_t n); /* exactly 2n digits */

#endif
