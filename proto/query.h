/* SPDX-License-Identifier: Apache-2.0
 * Queries: what callers may read, and the answers' rows. A query is opened for exactly one org
 * (head.org) or for none; the machine resolves head.cred itself: the operator reads any org, a key
 * only its own org. Prices need no credential. On the wire: [head, body]; an answer is
 * [code, next, [row, ...]] where each row is a bin holding the message named at the query.
 * Lists are paged: `after` is the last number seen (0 at first); `next` != 0 says there is more.
 */
#ifndef HOLDFAST_PROTO_QUERY_H
#define HOLDFAST_PROTO_QUERY_H

#include "proto/command.h"
#include "proto/price.h"

enum {
    PROTO_QUERY_MAX = 1024,              /* bytes of one encoded query */
    PROTO_ANSWER_MAX = 256 * 1024,       /* bytes of one encoded answer */
    PROTO_ANSWER_ROWS = 256,             /* rows of one page */
};

#define PROTO_FIELDS_query_head(F)                                                                 \
    F(U8, kind, 0)                                                                                 \
    F(UUID, org, 0)                                                                                \
    F(SECRET, cred, 0)                                                                             \
    F(U32, after, 0)
PROTO_DECLARE(query_head)

/* X(number, name, row message) */
#define PROTO_QUERIES(X)                                                                           \
    X(1, whoami, identity)   /* who is head.cred: no other rights needed */                       \
    X(2, orgs, org_row)      /* operator; after = number of orgs seen */                           \
    X(3, teams, team_row)    /* of head.org */                                                     \
    X(4, keys, key_row)      /* of head.org */                                                     \
    X(5, budgets, budget_row) /* of head.org, with the current counter */                          \
    X(6, prices, price)      /* active version; after = row number */                              \
    X(7, audit, audit_row)   /* of head.org (operator: none = group-wide) */                       \
    X(8, totals, totals_row) /* one row: versions and counts; no credential */

#define X(number, name, row) PROTO_QUERY_##name = number,
enum proto_query_kind { PROTO_QUERIES(X) PROTO_QUERY_LAST = 8 };
#undef X

/* operator: true for the operator (then org, team, key are none). models: allowed, empty = all. */
#define PROTO_FIELDS_identity(F)                                                                   \
    F(BOOL, operator, 0)                                                                           \
    F(UUID, org, 0)                                                                                \
    F(STR, org_name, PROTO_NAME_MAX)                                                               \
    F(U32, team, 0)                                                                                \
    F(U32, key, 0)                                                                                 \
    F(STR, label, PROTO_NAME_MAX)                                                                  \
    F(BOOL, paused, 0)                                                                             \
    F(LIST, models, allowed)
PROTO_DECLARE(identity)

/* spent_promo etc. are in the accounts; transfers_sum = sum of all transactions that entered or
 * left (available + promo + held must equal it: drift = their difference). */
#define PROTO_FIELDS_org_row(F)                                                                    \
    F(U32, number, 0)                                                                              \
    F(UUID, org, 0)                                                                                \
    F(STR, name, PROTO_NAME_MAX)                                                                   \
    F(BOOL, paused, 0)                                                                             \
    F(U8, billing_day, 0)                                                                          \
    F(U32, fee_ppm, 0)                                                                             \
    F(BOOL, allow_unpriced, 0)                                                                     \
    F(BOOL, allow_unbounded, 0)                                                                    \
    F(U32, rules_version, 0)                                                                       \
    F(U32, open_holds, 0)                                                                          \
    F(U64, settled, 0)                                                                             \
    F(U64, refused, 0)                                                                             \
    F(I64, available, 0)                                                                           \
    F(I64, promo, 0)                                                                               \
    F(I64, held, 0)                                                                                \
    F(I64, usage, 0)                                                                               \
    F(I64, fees, 0)                                                                                \
    F(I64, funding, 0)                                                                             \
    F(I64, writeoff, 0)                                                                            \
    F(I64, created_us, 0)
PROTO_DECLARE(org_row)

#define PROTO_FIELDS_team_row(F)                                                                   \
    F(U32, team, 0)                                                                                \
    F(STR, name, PROTO_NAME_MAX)                                                                   \
    F(BOOL, deleted, 0)                                                                            \
    F(U32, keys, 0)                                                                                \
    F(I64, created_us, 0)
PROTO_DECLARE(team_row)

#define PROTO_FIELDS_key_row(F)                                                                    \
    F(U32, key, 0)                                                                                 \
    F(U32, team, 0)                                                                                \
    F(STR, public, PROTO_PUBLIC_MAX)                                                               \
    F(STR, label, PROTO_NAME_MAX)                                                                  \
    F(STR, env, PROTO_NAME_MAX)                                                                    \
    F(BOOL, revoked, 0)                                                                            \
    F(I64, expires_us, 0)                                                                          \
    F(I64, created_us, 0)                                                                          \
    F(LIST, models, allowed)
PROTO_DECLARE(key_row)

/* The counter is the current window's; for a wildcard rule it is zero. */
#define PROTO_FIELDS_budget_row(F)                                                                 \
    F(U32, budget, 0)                                                                              \
    F(U32, generation, 0)                                                                          \
    F(BOOL, deleted, 0)                                                                            \
    F(U8, scope, 0)                                                                                \
    F(U32, subject, 0)                                                                             \
    F(STR, selector, PROTO_NAME_MAX)                                                               \
    F(U8, window, 0)                                                                               \
    F(I64, limit, 0)                                                                               \
    F(I64, soft_limit, 0)                                                                          \
    F(U8, mode, 0)                                                                                 \
    F(U16, status, 0)                                                                              \
    F(STR, label, PROTO_NAME_MAX)                                                                  \
    F(I64, window_start_us, 0)                                                                     \
    F(I64, reset_us, 0)                                                                            \
    F(I64, spent, 0)                                                                               \
    F(I64, held, 0)
PROTO_DECLARE(budget_row)

/* An administrative action. actor: the first 8 bytes of the sealed credential; before, after: text. */
#define PROTO_FIELDS_audit_row(F)                                                                  \
    F(U32, number, 0)                                                                              \
    F(U64, index, 0)                                                                               \
    F(I64, time_us, 0)                                                                             \
    F(U8, kind, 0)                                                                                 \
    F(U8, role, 0)                                                                                 \
    F(BIN, actor, 8)                                                                               \
    F(BIN, ip, PROTO_IP_MAX)                                                                       \
    F(STR, before, PROTO_REASON_MAX)                                                               \
    F(STR, after, PROTO_REASON_MAX)                                                                \
    F(STR, reason, PROTO_REASON_MAX)
PROTO_DECLARE(audit_row)

/* The machine as a whole. drift: sum over all orgs of |balance - sum of transactions|, always 0. */
#define PROTO_FIELDS_totals_row(F)                                                                 \
    F(UUID, cluster, 0)                                                                            \
    F(U32, price_version, 0)                                                                       \
    F(U32, price_rows, 0)                                                                          \
    F(U32, orgs, 0)                                                                                \
    F(U32, open_holds, 0)                                                                          \
    F(U64, settled, 0)                                                                             \
    F(U64, refused, 0)                                                                             \
    F(I64, expired_unconfirmed_nanos, 0)                                                           \
    F(I64, clock_us, 0)                                                                            \
    F(U64, applied_index, 0)                                                                       \
    F(HASH, chain, 0)
PROTO_DECLARE(totals_row)

struct proto_query {
    struct proto_query_head head;
};
bool proto_query_put(struct proto_writer *w, const struct proto_query *q);
bool proto_query_get(const void *p, size_t n, struct proto_query *q, const char **error);
bool proto_query_seal(uint8_t *p, size_t n, const char **error);

/* Writing an answer: rows are appended as bins after the head was reserved by the machine; reading: */
struct proto_answer {
    uint16_t code; /* enum proto_code */
    uint32_t next; /* pass as `after` for the next page; 0: done */
    uint32_t n;    /* rows */
    struct proto_reader r;
};
/* rows: n encoded rows, each already a bin, `rows_n` bytes in all. */
bool proto_answer_put(struct proto_writer *w, uint16_t code, uint32_t next, uint32_t n,
                      const void *rows, size_t rows_n);
bool proto_answer_get(const void *p, size_t n, struct proto_answer *a, const char **error);
bool proto_answer_row(struct proto_answer *a, struct proto_str *row);

#endif
