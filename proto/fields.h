/* SPDX-License-Identifier: Apache-2.0
 * From a field list to a struct, an encoder, a decoder and a printer.
 *
 * A message `m` is a list PROTO_FIELDS_m(F) of F(TYPE, name, bound); on the wire it is an array with
 * exactly these fields in this order. Types:
 *   U8 U16 U32 U64 I64 BOOL  bound unused
 *   UUID HASH                16 / 32 bytes, all zero ("none") is an empty bin on the wire
 *   SECRET                   32 bytes like HASH; proto_*_seal replaces it by its own SHA-256 before it
 *                            is logged. The token of a hold and every credential are SECRETs.
 *   STR BIN                  a view of at most `bound` bytes
 *   LIST                     bound names the element message e: at most PROTO_MAX_e of them
 *
 * PROTO_DECLARE(m) in a header, PROTO_DEFINE(m) in one source file.
 */
#ifndef HOLDFAST_PROTO_FIELDS_H
#define HOLDFAST_PROTO_FIELDS_H

#include "proto/hash.h"
#include "proto/text.h"
#include "proto/wire.h"

/* ---- struct members ---- */
#define PROTO_DECL(type, name, bound) PROTO_DECL_##type(name, bound)
#define PROTO_DECL_U8(name, bound) uint8_t name;
#define PROTO_DECL_U16(name, bound) uint16_t name;
#define PROTO_DECL_U32(name, bound) uint32_t name;
#define PROTO_DECL_U64(name, bound) uint64_t name;
#define PROTO_DECL_I64(name, bound) int64_t name;
#define PROTO_DECL_BOOL(name, bound) bool name;
#define PROTO_DECL_UUID(name, bound) struct proto_uuid name;
#define PROTO_DECL_HASH(name, bound) struct proto_hash name;
#define PROTO_DECL_SECRET(name, bound) struct proto_hash name;
#define PROTO_DECL_STR(name, bound) struct proto_str name;
#define PROTO_DECL_BIN(name, bound) struct proto_str name;
#define PROTO_DECL_LIST(name, elem)                                                                \
    struct {                                                                                       \
        uint32_t n;                                                                                \
        struct proto_##elem e[PROTO_MAX_##elem];                                                   \
    } name;

#define PROTO_COUNT(type, name, bound) +1
#define PROTO_FIELD_COUNT(m) (0u PROTO_FIELDS_##m(PROTO_COUNT))

#define PROTO_DECLARE(m)                                                                           \
    struct proto_##m {                                                                             \
        PROTO_FIELDS_##m(PROTO_DECL)                                                               \
    };                                                                                             \
    void proto_##m##_put(struct proto_writer *w, const struct proto_##m *v);                       \
    bool proto_##m##_get(struct proto_reader *r, struct proto_##m *v);                             \
    void proto_##m##_print(struct proto_text *t, const struct proto_##m *v); /* a JSON object */   \
    void proto_##m##_seal(struct proto_##m *v);

/* ---- encode ---- */
#define PROTO_PUT(type, name, bound) PROTO_PUT_##type(name, bound)
#define PROTO_PUT_U8(name, bound) proto_put_uint(w, v->name);
#define PROTO_PUT_U16(name, bound) proto_put_uint(w, v->name);
#define PROTO_PUT_U32(name, bound) proto_put_uint(w, v->name);
#define PROTO_PUT_U64(name, bound) proto_put_uint(w, v->name);
#define PROTO_PUT_I64(name, bound) proto_put_int(w, v->name);
#define PROTO_PUT_BOOL(name, bound) proto_put_bool(w, v->name);
#define PROTO_PUT_UUID(name, bound)                                                                \
    proto_put_bin(w, v->name.b, proto_uuid_none(&v->name) ? 0 : sizeof v->name.b);
#define PROTO_PUT_HASH(name, bound)                                                                \
    proto_put_bin(w, v->name.b, proto_hash_none(&v->name) ? 0 : sizeof v->name.b);
#define PROTO_PUT_SECRET(name, bound) PROTO_PUT_HASH(name, bound)
#define PROTO_PUT_STR(name, bound) proto_put_str(w, v->name);
#define PROTO_PUT_BIN(name, bound) proto_put_bin(w, v->name.p, v->name.n);
#define PROTO_PUT_LIST(name, elem)                                                                 \
    proto_put_array(w, v->name.n);                                                                 \
    for (uint32_t i = 0; i < v->name.n; i++)                                                       \
        proto_##elem##_put(w, &v->name.e[i]);

/* ---- decode ---- */
#define PROTO_GET(type, name, bound) PROTO_GET_##type(name, bound)
#define PROTO_GET_UINT(name, max)                                                                  \
    {                                                                                              \
        uint64_t u;                                                                                \
        if (!proto_get_uint(r, &u, max))                                                           \
            return false;                                                                          \
        v->name = (__typeof__(v->name))u;                                                          \
    }
#define PROTO_GET_U8(name, bound) PROTO_GET_UINT(name, UINT8_MAX)
#define PROTO_GET_U16(name, bound) PROTO_GET_UINT(name, UINT16_MAX)
#define PROTO_GET_U32(name, bound) PROTO_GET_UINT(name, UINT32_MAX)
#define PROTO_GET_U64(name, bound) PROTO_GET_UINT(name, UINT64_MAX)
#define PROTO_GET_I64(name, bound)                                                                 \
    if (!proto_get_int(r, &v->name))                                                               \
        return false;
#define PROTO_GET_BOOL(name, bound)                                                                \
    if (!proto_get_bool(r, &v->name))                                                              \
        return false;
#define PROTO_GET_UUID(name, bound)                                                                \
    if (!proto_get_fixed(r, v->name.b, sizeof v->name.b, true))                                    \
        return false;
#define PROTO_GET_HASH(name, bound) PROTO_GET_UUID(name, bound)
#define PROTO_GET_SECRET(name, bound) PROTO_GET_UUID(name, bound)
#define PROTO_GET_STR(name, bound)                                                                 \
    if (!proto_get_str(r, &v->name, bound))                                                        \
        return false;
#define PROTO_GET_BIN(name, bound)                                                                 \
    if (!proto_get_bin(r, &v->name, bound))                                                        \
        return false;
#define PROTO_GET_LIST(name, elem)                                                                 \
    if (!proto_get_array(r, &v->name.n, PROTO_MAX_##elem))                                         \
        return false;                                                                              \
    for (uint32_t i = 0; i < v->name.n; i++)                                                       \
        if (!proto_##elem##_get(r, &v->name.e[i]))                                                 \
            return false;

/* ---- print ---- */
#define PROTO_PRINT(type, name, bound)                                                             \
    proto_text_put(t, first ? "\"" #name "\":" : ",\"" #name "\":");                               \
    first = false;                                                                                 \
    PROTO_PRINT_##type(name, bound)
#define PROTO_PRINT_U8(name, bound) proto_text_uint(t, v->name);
#define PROTO_PRINT_U16(name, bound) proto_text_uint(t, v->name);
#define PROTO_PRINT_U32(name, bound) proto_text_uint(t, v->name);
#define PROTO_PRINT_U64(name, bound) proto_text_uint(t, v->name);
#define PROTO_PRINT_I64(name, bound) proto_text_int(t, v->name);
#define PROTO_PRINT_BOOL(name, bound) proto_text_put(t, v->name ? "true" : "false");
#define PROTO_PRINT_UUID(name, bound)                                                              \
    proto_text_put(t, "\"");                                                                       \
    if (!proto_uuid_none(&v->name))                                                                \
        proto_text_uuid(t, &v->name);                                                              \
    proto_text_put(t, "\"");
#define PROTO_PRINT_HASH(name, bound)                                                              \
    proto_text_put(t, "\"");                                                                       \
    if (!proto_hash_none(&v->name))                                                                \
        proto_text_hex(t, v->name.b, sizeof v->name.b);                                            \
    proto_text_put(t, "\"");
#define PROTO_PRINT_SECRET(name, bound)                                                            \
    proto_text_put(t, proto_hash_none(&v->name) ? "\"\"" : "\"(sealed)\"");
#define PROTO_PRINT_STR(name, bound) proto_text_json(t, v->name);
#define PROTO_PRINT_BIN(name, bound)                                                               \
    proto_text_put(t, "\"");                                                                       \
    proto_text_hex(t, (const uint8_t *)v->name.p, v->name.n > 64 ? 64 : v->name.n);                \
    proto_text_put(t, v->name.n > 64 ? "...\"" : "\"");
#define PROTO_PRINT_LIST(name, elem)                                                               \
    proto_text_put(t, "[");                                                                        \
    for (uint32_t i = 0; i < v->name.n; i++) {                                                     \
        proto_text_put(t, i ? "," : "");                                                           \
        proto_##elem##_print(t, &v->name.e[i]);                                                    \
    }                                                                                              \
    proto_text_put(t, "]");

/* ---- seal ---- */
#define PROTO_SEAL(type, name, bound) PROTO_SEAL_##type(name, bound)
#define PROTO_SEAL_U8(name, bound)
#define PROTO_SEAL_U16(name, bound)
#define PROTO_SEAL_U32(name, bound)
#define PROTO_SEAL_U64(name, bound)
#define PROTO_SEAL_I64(name, bound)
#define PROTO_SEAL_BOOL(name, bound)
#define PROTO_SEAL_UUID(name, bound)
#define PROTO_SEAL_HASH(name, bound)
#define PROTO_SEAL_SECRET(name, bound)                                                             \
    if (!proto_hash_none(&v->name))                                                                \
        proto_sha256_of(v->name.b, sizeof v->name.b, &v->name);
#define PROTO_SEAL_STR(name, bound)
#define PROTO_SEAL_BIN(name, bound)
#define PROTO_SEAL_LIST(name, elem)

#define PROTO_DEFINE(m)                                                                            \
    void proto_##m##_put(struct proto_writer *w, const struct proto_##m *v)                        \
    {                                                                                              \
        (void)v;                                                                                   \
        proto_put_array(w, PROTO_FIELD_COUNT(m));                                                  \
        PROTO_FIELDS_##m(PROTO_PUT)                                                                \
    }                                                                                              \
    bool proto_##m##_get(struct proto_reader *r, struct proto_##m *v)                              \
    {                                                                                              \
        (void)v;                                                                                   \
        if (!proto_get_array_of(r, PROTO_FIELD_COUNT(m)))                                          \
            return false;                                                                          \
        PROTO_FIELDS_##m(PROTO_GET)                                                                \
        return true;                                                                               \
    }                                                                                              \
    void proto_##m##_print(struct proto_text *t, const struct proto_##m *v)                        \
    {                                                                                              \
        bool first = true;                                                                         \
        (void)v;                                                                                   \
        (void)first;                                                                               \
        proto_text_put(t, "{");                                                                    \
        PROTO_FIELDS_##m(PROTO_PRINT)                                                              \
        proto_text_put(t, "}");                                                                    \
    }                                                                                              \
    void proto_##m##_seal(struct proto_##m *v)                                                     \
    {                                                                                              \
        (void)v;                                                                                   \
        PROTO_FIELDS_##m(PROTO_SEAL)                                                               \
    }

#endif
