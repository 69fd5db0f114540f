/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/budget.h"

#define X(number, name) [number] = #name,
static const char *const scopes[] = {PROTO_SCOPES(X)};
static const char *const windows[] = {PROTO_WINDOWS(X)};
static const char *const modes[] = {PROTO_MODES(X)};
#undef X

static const char *word(const char *const *words, unsigned last, unsigned i)
{
    return i >= 1 && i <= last ? words[i] : "?";
}

static unsigned number(const char *const *words, unsigned last, struct proto_str s)
{
    for (unsigned i = 1; i <= last; i++)
        if (proto_str_eq(s, proto_str_of(words[i])))
            return i;
    return 0;
}

const char *proto_scope_name(unsigned scope)
{
    return word(scopes, PROTO_SCOPE_LAST, scope);
}
const char *proto_window_name(unsigned window)
{
    return word(windows, PROTO_WINDOW_LAST, window);
}
const char *proto_mode_name(unsigned mode)
{
    return word(modes, PROTO_MODE_LAST, mode);
}
unsigned proto_scope_parse(struct proto_str s)
{
    return number(scopes, PROTO_SCOPE_LAST, s);
}
unsigned proto_window_parse(struct proto_str s)
{
    return number(windows, PROTO_WINDOW_LAST, s);
}
unsigned proto_mode_parse(struct proto_str s)
{
    return number(modes, PROTO_MODE_LAST, s);
}
