/* SPDX-License-Identifier: Apache-2.0
 * Results: what the machine answers a command. A code, flags, and the fields of one shape. Results
 * are hashed into the chain together with their command, and carry the balances after, so that a
 * divergence of state shows at once. Amounts in nano-dollars, times in microseconds UTC.
 * On the wire: [code, flags, shape, body].
 */
#ifndef HOLDFAST_PROTO_RESULT_H
#define HOLDFAST_PROTO_RESULT_H

#include "proto/codes.h"
#include "proto/fields.h"

enum { PROTO_RESULT_MAX = 1024 }; /* bytes of one encoded result */

enum proto_result_flag {
    PROTO_FLAG_DUPLICATE = 1, /* a retry: the first outcome again */
    PROTO_FLAG_OVERRUN = 2,   /* the cost was above the hold */
    PROTO_FLAG_LATE = 4,      /* settled after the hold had expired */
    PROTO_FLAG_ESTIMATED = 8, /* the edge estimated the usage */
    PROTO_FLAG_OVERRIDE = 16, /* a limit above its parent's was accepted */
};

#define PROTO_FIELDS_empty(F)
PROTO_DECLARE(empty)
/* A retry of an administrative or refused command: where the first one stands in the log. */
#define PROTO_FIELDS_earlier(F) F(U64, index, 0)
PROTO_DECLARE(earlier)
/* The number (team, key, budget) or version that was made. */
#define PROTO_FIELDS_created(F) F(U32, number, 0)
PROTO_DECLARE(created)
/* candidate: index of the accepted one. key, team: numbers in the org. */
#define PROTO_FIELDS_reserved(F)                                                                   \
    F(UUID, org, 0)                                                                                \
    F(U32, team, 0)                                                                                \
    F(U32, key, 0)                                                                                 \
    F(U8, candidate, 0)                                                                            \
    F(I64, amount, 0)                                                                              \
    F(I64, deadline_us, 0)                                                                         \
    F(U32, price_version, 0)                                                                       \
    F(I64, available, 0)                                                                           \
    F(I64, promo, 0)                                                                               \
    F(I64, held, 0)
PROTO_DECLARE(reserved)
/* The tightest refusing budget. status: 402 or 429 as its rule says. reset_us: end of the window
 * (0: never). needed: the amount that did not fit. label: the budget's. subject: team or key number
 * or 0; instance: the name a name-scoped counter belongs to. */
#define PROTO_FIELDS_refused(F)                                                                    \
    F(UUID, org, 0)                                                                                \
    F(U32, budget, 0)                                                                              \
    F(U8, scope, 0)                                                                                \
    F(U32, subject, 0)                                                                             \
    F(STR, instance, PROTO_NAME_MAX)                                                               \
    F(STR, label, PROTO_NAME_MAX)                                                                  \
    F(U8, window, 0)                                                                               \
    F(I64, spent, 0)                                                                               \
    F(I64, held, 0)                                                                                \
    F(I64, limit, 0)                                                                               \
    F(I64, needed, 0)                                                                              \
    F(I64, reset_us, 0)                                                                            \
    F(U16, status, 0)
PROTO_DECLARE(refused)
/* INSUFFICIENT_CREDIT: what was asked for and what there is. */
#define PROTO_FIELDS_short_of(F)                                                                   \
    F(UUID, org, 0)                                                                                \
    F(I64, needed, 0)                                                                              \
    F(I64, available, 0)                                                                           \
    F(I64, promo, 0)                                                                               \
    F(I64, held, 0)
PROTO_DECLARE(short_of)
/* A settled or released hold. cost + fee were charged, released was given back, written_off is
 * cost that could not be collected. */
#define PROTO_FIELDS_settled(F)                                                                    \
    F(I64, cost, 0)                                                                                \
    F(I64, fee, 0)                                                                                 \
    F(I64, released, 0)                                                                            \
    F(I64, written_off, 0)                                                                         \
    F(I64, available, 0)                                                                           \
    F(I64, promo, 0)                                                                               \
    F(I64, held, 0)
PROTO_DECLARE(settled)
#define PROTO_FIELDS_balances(F)                                                                   \
    F(I64, available, 0)                                                                           \
    F(I64, promo, 0)                                                                               \
    F(I64, held, 0)                                                                                \
    F(I64, usage, 0)                                                                               \
    F(I64, fees, 0)                                                                                \
    F(I64, funding, 0)                                                                             \
    F(I64, writeoff, 0)
PROTO_DECLARE(balances)
/* STALE_CONFIG, VERSION_CONFLICT: the versions that are active. */
#define PROTO_FIELDS_versions(F)                                                                   \
    F(U32, prices, 0)                                                                              \
    F(U32, rules, 0)
PROTO_DECLARE(versions)
/* LIMIT_EXCEEDS_PARENT: the budget in the way. */
#define PROTO_FIELDS_parent(F)                                                                     \
    F(U32, budget, 0)                                                                              \
    F(I64, limit, 0)
PROTO_DECLARE(parent)

/* IDEMPOTENT_REPEAT: the earlier call. index, ordinal: of its settlement, or while it is under way
 * (settled false) of its reserve. cost: charged, fee included. */
#define PROTO_FIELDS_repeated(F)                                                                   \
    F(UUID, org, 0)                                                                                \
    F(UUID, hold, 0)                                                                               \
    F(BOOL, settled, 0)                                                                            \
    F(U64, index, 0)                                                                               \
    F(U32, ordinal, 0)                                                                             \
    F(I64, cost, 0)
PROTO_DECLARE(repeated)

/* Why a node did not propose the command: text for people. Never in the log. */
#define PROTO_FIELDS_because(F) F(STR, reason, PROTO_REASON_MAX)
PROTO_DECLARE(because)

#define PROTO_SHAPES(X)                                                                            \
    X(0, empty)                                                                                    \
    X(1, earlier)                                                                                  \
    X(2, created)                                                                                  \
    X(3, reserved)                                                                                 \
    X(4, refused)                                                                                  \
    X(5, short_of)                                                                                 \
    X(6, settled)                                                                                  \
    X(7, balances)                                                                                 \
    X(8, versions)                                                                                 \
    X(9, parent)                                                                                   \
    X(10, repeated)                                                                                \
    X(11, because)

enum proto_shape {
#define X(number, name) PROTO_SHAPE_##name = number,
    PROTO_SHAPES(X)
#undef X
};

struct proto_result {
    uint16_t code; /* enum proto_code */
    uint8_t flags; /* enum proto_result_flag */
    uint8_t shape; /* enum proto_shape */
    union {
#define X(number, name) struct proto_##name name;
        PROTO_SHAPES(X)
#undef X
    } body;
};

bool proto_result_put(struct proto_writer *w, const struct proto_result *v);
bool proto_result_get(const void *p, size_t n, struct proto_result *v, const char **error);
void proto_result_print(struct proto_text *t, const struct proto_result *v);

#endif
