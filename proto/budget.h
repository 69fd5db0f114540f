/* SPDX-License-Identifier: Apache-2.0
 * The words of budgets: scopes, windows, modes. Numbers stand in the log.
 */
#ifndef HOLDFAST_PROTO_BUDGET_H
#define HOLDFAST_PROTO_BUDGET_H

#include "proto/types.h"

/* Widest first: the refusal that is named is the one with the least headroom, then the narrowest
 * scope (the highest number), then the lowest id. X(number, name) */
#define PROTO_SCOPES(X)                                                                            \
    X(1, org)                                                                                      \
    X(2, team)                                                                                     \
    X(3, env)                                                                                      \
    X(4, model)                                                                                    \
    X(5, agent)                                                                                    \
    X(6, customer)                                                                                 \
    X(7, user)                                                                                     \
    X(8, key)

/* Shortest first after absolute. */
#define PROTO_WINDOWS(X)                                                                           \
    X(1, absolute)                                                                                 \
    X(2, hourly)                                                                                   \
    X(3, daily)                                                                                    \
    X(4, weekly)                                                                                   \
    X(5, monthly)

#define PROTO_MODES(X)                                                                             \
    X(1, hard_block)                                                                               \
    X(2, auto_downgrade)                                                                           \
    X(3, throttle)                                                                                 \
    X(4, alert_only)

#define X(number, name) PROTO_SCOPE_##name = number,
enum proto_scope { PROTO_SCOPES(X) PROTO_SCOPE_LAST = 8 };
#undef X
#define X(number, name) PROTO_WINDOW_##name = number,
enum proto_window { PROTO_WINDOWS(X) PROTO_WINDOW_LAST = 5 };
#undef X
#define X(number, name) PROTO_MODE_##name = number,
enum proto_mode { PROTO_MODES(X) PROTO_MODE_LAST = 4 };
#undef X

/* Static text, "?" for none; parse gives 0 for an unknown word. */
const char *proto_scope_name(unsigned scope);
const char *proto_window_name(unsigned window);
const char *proto_mode_name(unsigned mode);
unsigned proto_scope_parse(struct proto_str s);
unsigned proto_window_parse(struct proto_str s);
unsigned proto_mode_parse(struct proto_str s);

#endif
