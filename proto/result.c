/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/result.h"

#define X(number, name) PROTO_DEFINE(name)
PROTO_SHAPES(X)
#undef X

bool proto_result_put(struct proto_writer *w, const struct proto_result *v)
{
    proto_put_array(w, 4);
    proto_put_uint(w, v->code);
    proto_put_uint(w, v->flags);
    proto_put_uint(w, v->shape);
    switch (v->shape) {
#define X(number, name)                                                                            \
    case number:                                                                                   \
        proto_##name##_put(w, &v->body.name);                                                      \
        break;
        PROTO_SHAPES(X)
#undef X
    default:
        return false;
    }
    return !w->full;
}

static bool get_body(struct proto_reader *r, struct proto_result *v)
{
    switch (v->shape) {
#define X(number, name)                                                                            \
    case number:                                                                                   \
        return proto_##name##_get(r, &v->body.name);
        PROTO_SHAPES(X)
#undef X
    default:
        r->error = "unknown result shape";
        return false;
    }
}

bool proto_result_get(const void *p, size_t n, struct proto_result *v, const char **error)
{
    struct proto_reader r = proto_reader_over(p, n);
    uint64_t code = 0, flags = 0, shape = 0;
    bool ok = proto_get_array_of(&r, 4) && proto_get_uint(&r, &code, PROTO_CODE_COUNT - 1) &&
              proto_get_uint(&r, &flags, UINT8_MAX) && proto_get_uint(&r, &shape, UINT8_MAX);
    v->code = (uint16_t)code;
    v->flags = (uint8_t)flags;
    v->shape = (uint8_t)shape;
    ok = ok && get_body(&r, v) && proto_get_end(&r);
    if (!ok && error)
        *error = r.error;
    return ok;
}

void proto_result_print(struct proto_text *t, const struct proto_result *v)
{
    proto_text_put(t, "{\"code\":\"");
    proto_text_put(t, proto_code_name(v->code));
    proto_text_put(t, "\",\"flags\":");
    proto_text_uint(t, v->flags);
    proto_text_put(t, ",\"body\":");
    switch (v->shape) {
#define X(number, name)                                                                            \
    case number:                                                                                   \
        proto_##name##_print(t, &v->body.name);                                                    \
        break;
        PROTO_SHAPES(X)
#undef X
    default:
        proto_text_put(t, "null");
    }
    proto_text_put(t, "}");
}
