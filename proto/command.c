/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/command.h"

PROTO_DEFINE(command_head)
PROTO_DEFINE(candidate)
PROTO_DEFINE(usage)
PROTO_DEFINE(allowed)
#define X(number, name, hot) PROTO_DEFINE(name)
PROTO_COMMANDS(X)
#undef X

bool proto_command_put(struct proto_writer *w, const struct proto_command *c)
{
    proto_put_array(w, 2);
    proto_command_head_put(w, &c->head);
    switch (c->head.kind) {
#define X(number, name, hot)                                                                       \
    case number:                                                                                   \
        proto_##name##_put(w, &c->body.name);                                                      \
        break;
        PROTO_COMMANDS(X)
#undef X
    default:
        return false;
    }
    return !w->full;
}

static bool get_body(struct proto_reader *r, struct proto_command *c)
{
    switch (c->head.kind) {
#define X(number, name, hot)                                                                       \
    case number:                                                                                   \
        return proto_##name##_get(r, &c->body.name);
        PROTO_COMMANDS(X)
#undef X
    default:
        r->error = "unknown command kind";
        return false;
    }
}

bool proto_command_get(const void *p, size_t n, struct proto_command *c, const char **error)
{
    struct proto_reader r = proto_reader_over(p, n);
    bool ok = proto_get_array_of(&r, 2) && proto_command_head_get(&r, &c->head) &&
              get_body(&r, c) && proto_get_end(&r);
    if (!ok && error)
        *error = r.error;
    return ok;
}

unsigned proto_command_kind(const void *p, size_t n)
{
    struct proto_reader r = proto_reader_over(p, n);
    uint64_t kind = 0;
    uint32_t fields;
    if (!proto_get_array_of(&r, 2) || !proto_get_array(&r, &fields, UINT8_MAX) ||
        !proto_get_uint(&r, &kind, UINT8_MAX))
        return 0;
    return (unsigned)kind;
}

bool proto_command_seal(uint8_t *p, size_t n, const char **error)
{
    struct proto_command c;
    if (!proto_command_get(p, n, &c, error))
        return false;
    /* Only fixed-size fields change, so that everything stays where it is; views point into p, and
     * writing each field over itself moves nothing. The secrets are few: rewrite the whole. */
    proto_command_head_seal(&c.head);
    switch (c.head.kind) {
#define X(number, name, hot)                                                                       \
    case number:                                                                                   \
        proto_##name##_seal(&c.body.name);                                                         \
        break;
        PROTO_COMMANDS(X)
#undef X
    default:
        break;
    }
    struct proto_writer w = proto_writer_over(p, n);
    if (!proto_command_put(&w, &c) || w.n != n) {
        if (error)
            *error = "encoding is not canonical";
        return false;
    }
    return true;
}

void proto_command_print(struct proto_text *t, const struct proto_command *c)
{
    proto_text_put(t, "{\"command\":\"");
    proto_text_put(t, proto_command_name(c->head.kind));
    proto_text_put(t, "\",\"head\":");
    proto_command_head_print(t, &c->head);
    proto_text_put(t, ",\"body\":");
    switch (c->head.kind) {
#define X(number, name, hot)                                                                       \
    case number:                                                                                   \
        proto_##name##_print(t, &c->body.name);                                                    \
        break;
        PROTO_COMMANDS(X)
#undef X
    default:
        proto_text_put(t, "null");
    }
    proto_text_put(t, "}");
}

const char *proto_command_name(unsigned kind)
{
    switch (kind) {
#define X(number, name, hot)                                                                       \
    case number:                                                                                   \
        return #name;
        PROTO_COMMANDS(X)
#undef X
    default:
        return "?";
    }
}

bool proto_command_hot(unsigned kind)
{
    switch (kind) {
#define X(number, name, hot)                                                                       \
    case number:                                                                                   \
        return hot;
        PROTO_COMMANDS(X)
#undef X
    default:
        return false;
    }
}
