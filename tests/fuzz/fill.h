/* SPDX-License-Identifier: Apache-2.0
 * From a field list (proto/fields.h) to a message made of fuzz bytes, so that the targets behind
 * the decoders meet messages that decode. Ids, secrets and names come from small pools: a random
 * one would never be of anything that exists.
 */
#ifndef HOLDFAST_TESTS_FUZZ_FILL_H
#define HOLDFAST_TESTS_FUZZ_FILL_H

#include "proto/command.h"
#include "proto/query.h"
#include "proto/result.h"
#include "tests/fuzz/fuzz.h"

enum { FILL_POOL = 8 };

static inline struct proto_hash fill_secret(unsigned n)
{
    return (struct proto_hash){.b = {0xee, (uint8_t)n}};
}

/* UUIDv7 of that millisecond. */
static inline struct proto_uuid fill_uuid(int64_t ms, unsigned n)
{
    struct proto_uuid u = {
        .b = {[6] = 0x70, [8] = 0x80, [14] = (uint8_t)(n >> 8), [15] = (uint8_t)n}};
    for (int i = 5; i >= 0; i--, ms >>= 8)
        u.b[i] = (uint8_t)ms;
    return u;
}

/* Often small, sometimes anything. */
static inline uint64_t fill_uint(struct fuzz_source *s)
{
    const uint8_t how = fuzz_byte(s);
    return how < 0xc0 ? how % 16 : fuzz_number(s, how < 0xe0 ? 2 : how < 0xf4 ? 4 : 8);
}

static inline int64_t fill_int(struct fuzz_source *s)
{
    const uint8_t how = fuzz_byte(s);
    if (how < 0x40)
        return how;
    const uint64_t v = fuzz_number(s, how < 0x80 ? 2 : how < 0xd0 ? 4 : 8);
    return (int64_t)(how & 1 ? v : v >> 1);
}

static inline struct proto_str fill_text(struct fuzz_source *s)
{
    static const char *const pool[FILL_POOL] = {"",  "a",        "model-a",  "model-b",
                                                "*", "0000key1", "0000key2", "alice"};
    return proto_str_of(pool[fuzz_byte(s) % FILL_POOL]);
}

/* Base of the pool's ids; a target sets it to its own clock. */
static int64_t fill_ms __attribute__((unused));

#define FILL(type, name, bound) FILL_##type(name, bound)
#define FILL_U8(name, bound) v->name = (uint8_t)fill_uint(s);
#define FILL_U16(name, bound) v->name = (uint16_t)fill_uint(s);
#define FILL_U32(name, bound) v->name = (uint32_t)fill_uint(s);
#define FILL_U64(name, bound) v->name = fill_uint(s);
#define FILL_I64(name, bound) v->name = fill_int(s);
#define FILL_BOOL(name, bound) v->name = fuzz_byte(s) & 1;
#define FILL_UUID(name, bound)                                                                     \
    {                                                                                              \
        const uint8_t which = fuzz_byte(s);                                                        \
        v->name = which ? fill_uuid(fill_ms, which % 32) : (struct proto_uuid){.b = {0}};          \
    }
#define FILL_HASH(name, bound)                                                                     \
    {                                                                                              \
        const uint8_t which = fuzz_byte(s);                                                        \
        v->name = which ? (struct proto_hash){.b = {0xdd, which}} : (struct proto_hash){.b = {0}}; \
    }
#define FILL_SECRET(name, bound)                                                                   \
    {                                                                                              \
        const uint8_t which = fuzz_byte(s);                                                        \
        v->name = which ? fill_secret(which % FILL_POOL) : (struct proto_hash){.b = {0}};          \
    }
#define FILL_STR(name, bound)                                                                      \
    v->name = fill_text(s);                                                                        \
    v->name.n = v->name.n < (bound) ? v->name.n : (bound);
#define FILL_BIN(name, bound)                                                                      \
    {                                                                                              \
        size_t n;                                                                                  \
        const uint8_t len = fuzz_byte(s);                                                          \
        n = len % 32 < s->n ? len % 32 : s->n;                                                     \
        n = n < (bound) ? n : (bound);                                                             \
        v->name = (struct proto_str){(const char *)s->p, (uint32_t)n};                             \
        s->p += n, s->n -= n;                                                                      \
    }
#define FILL_LIST(name, elem)                                                                      \
    v->name.n = fuzz_byte(s) % (PROTO_MAX_##elem + 1);                                             \
    for (uint32_t i = 0; i < v->name.n; i++)                                                       \
        fill_##elem(s, &v->name.e[i]);

#define FILL_DEFINE(m)                                                                             \
    static inline void fill_##m(struct fuzz_source *s, struct proto_##m *v)                        \
    {                                                                                              \
        (void)s, (void)v;                                                                          \
        PROTO_FIELDS_##m(FILL)                                                                     \
    }
FILL_DEFINE(candidate)
FILL_DEFINE(usage)
FILL_DEFINE(allowed)
FILL_DEFINE(command_head)
#define X(number, name, hot) FILL_DEFINE(name)
PROTO_COMMANDS(X)
#undef X
#define X(number, name) FILL_DEFINE(name)
PROTO_SHAPES(X)
#undef X
FILL_DEFINE(query_head)

static inline void fill_command(struct fuzz_source *s, struct proto_command *c)
{
    static const uint8_t kinds[] = {
#define X(number, name, hot) number,
        PROTO_COMMANDS(X)
#undef X
    };
    memset(c, 0, sizeof *c);
    fill_command_head(s, &c->head);
    c->head.kind = kinds[fuzz_byte(s) % sizeof kinds];
    switch (c->head.kind) {
#define X(number, name, hot)                                                                       \
    case number:                                                                                   \
        fill_##name(s, &c->body.name);                                                             \
        break;
        PROTO_COMMANDS(X)
#undef X
    }
}

static inline void fill_result(struct fuzz_source *s, struct proto_result *r)
{
    memset(r, 0, sizeof *r);
    r->code = (uint16_t)fill_uint(s);
    r->flags = (uint8_t)fill_uint(s);
    r->shape = fuzz_byte(s) % 10;
    switch (r->shape) {
#define X(number, name)                                                                            \
    case number:                                                                                   \
        fill_##name(s, &r->body.name);                                                             \
        break;
        PROTO_SHAPES(X)
#undef X
    }
}

#endif
