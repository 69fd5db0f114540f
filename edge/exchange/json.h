/* SPDX-License-Identifier: Apache-2.0
 * JSON of requests and answers. yyjson reads it (strict RFC 8259, numbers kept as text, so that
 * nothing passes through a float); the places of a member in the text are found by a second walk,
 * so that a body can be edited where it must be and stays what the client wrote everywhere else.
 * Pure; any thread.
 */
#ifndef HOLDFAST_EDGE_JSON_H
#define HOLDFAST_EDGE_JSON_H

#include "proto/base/buf.h"
#include "proto/types.h"

#include <yyjson.h>

enum {
    EDGE_JSON_DEPTH_MAX = 256,   /* nesting; deeper: refused */
    EDGE_JSON_MEMBERS_MAX = 256, /* members of an object whose keys are checked for doubles */
    EDGE_JSON_EDITS_MAX = 8,
};

/* NULL: not JSON; *why is static text, *at the byte it stands at. Free with yyjson_doc_free. */
yyjson_doc *edge_json_read(const char *text, size_t n, const char **why, size_t *at);

/* A whole number >= 0 as written by a program: digits only. */
bool edge_json_count(yyjson_val *value, int64_t *out);
/* A number >= 0 in any notation, rounded up to a whole number. */
bool edge_json_number_up(yyjson_val *value, int64_t *out);
/* A string's bytes; a zero view for anything else. */
struct proto_str edge_json_str(yyjson_val *value);

/* Bytes [at, end) of the text. */
struct edge_span {
    size_t at, end;
};

/* The values of an object's members in their order, and the place after its '{'. */
struct edge_members {
    size_t open;
    size_t n;
    struct edge_span value[EDGE_JSON_MEMBERS_MAX];
};
/* `text` must have passed edge_json_read, with an object at `object`. False: too many members, or
 * nested deeper than EDGE_JSON_DEPTH_MAX. */
bool edge_members_find(const char *text, size_t n, size_t object, struct edge_members *out);
/* The number of the member `key` (as yyjson iterates), or -1. */
int edge_member_of(yyjson_val *object, const char *key);
/* The key of a second member of the same name; a zero view: none. For at most
 * EDGE_JSON_MEMBERS_MAX members. */
struct proto_str edge_member_double(yyjson_val *object);

/* Whether a parser that ignores case (Go's, with its two letters outside ASCII) takes `key` for
 * `name`, though it is another text. `name` is lower-case. */
bool edge_key_looks_like(struct proto_str key, const char *name);

/* Replacements in a text. Added in any order; they must not overlap. */
struct edge_edit {
    struct edge_span span;
    char text[PROTO_NAME_MAX * 6 + 96]; /* a name with every byte escaped, and a member's key */
};
struct edge_edits {
    size_t n;
    struct edge_edit e[EDGE_JSON_EDITS_MAX];
};
void edge_edits_put(struct edge_edits *edits, struct edge_span span, const char *text);
/* -ENOMEM, -ENOBUFS, or 0 with the edited text added to out. */
__attribute__((warn_unused_result)) int edge_edits_apply(struct edge_edits *edits, const char *text,
                                                         size_t n, struct base_buf *out);

#endif
