/* SPDX-License-Identifier: Apache-2.0
 * Commands: what callers ask of the ledger and what the log holds. On the wire a command is the array
 * [head, body]; the body's field list is named by head.kind. Amounts are nano-dollars (int64), times
 * are microseconds UTC (int64). Kind numbers stand in the log: never reuse one, and a changed field
 * list is a new kind.
 *
 * What a caller sends and what the log holds differ in one way only: intake seals the SECRET fields
 * (see fields.h), so nothing in the log can be presented as a credential.
 */
#ifndef HOLDFAST_PROTO_COMMAND_H
#define HOLDFAST_PROTO_COMMAND_H

#include "proto/fields.h"
#include "proto/units.h"

enum {
    PROTO_COMMAND_MAX = 60 * 1024, /* bytes of one encoded command */
    PROTO_ROWS_MAX = 48 * 1024,    /* bytes of price rows in one price_import */
    PROTO_MAX_candidate = 4,
    PROTO_MAX_usage = PROTO_UNIT_COUNT,
    PROTO_MAX_allowed = 16,
    PROTO_ALERTS_MAX = 8,
};

/* id: UUIDv7 chosen by the caller, the same on every retry. org: none where the credential decides
 * (reserve) or for the operator's group-wide commands. cred: SHA-256 of the presented secret (none
 * for settle, release: the hold's token authorises). ip: of the human or program that asked.
 * deadline_us: not proposed after this (leader's clock); 0: none. */
#define PROTO_FIELDS_command_head(F)                                                               \
    F(U8, kind, 0)                                                                                 \
    F(UUID, id, 0)                                                                                 \
    F(UUID, org, 0)                                                                                \
    F(SECRET, cred, 0)                                                                             \
    F(BIN, ip, PROTO_IP_MAX)                                                                       \
    F(I64, deadline_us, 0)
PROTO_DECLARE(command_head)

/* ---- elements ---- */
#define PROTO_FIELDS_candidate(F)                                                                  \
    F(STR, model, PROTO_NAME_MAX)                                                                  \
    F(I64, amount, 0)
PROTO_DECLARE(candidate)
#define PROTO_FIELDS_usage(F)                                                                      \
    F(U8, unit, 0)                                                                                 \
    F(I64, n, 0)
PROTO_DECLARE(usage)
#define PROTO_FIELDS_allowed(F) F(STR, model, PROTO_NAME_MAX)
PROTO_DECLARE(allowed)

/* ---- bodies ---- */
/* The first command of a log. operator_hash: SHA-256 of SHA-256(operator token). */
#define PROTO_FIELDS_genesis(F)                                                                    \
    F(UUID, cluster, 0)                                                                            \
    F(U16, group, 0)                                                                               \
    F(U16, machine, 0)                                                                             \
    F(HASH, seed, 0)                                                                               \
    F(HASH, operator_hash, 0)
PROTO_DECLARE(genesis)
/* head.org: the new org's UUID, chosen by the caller. billing_day: 1..28. fee_ppm: platform fee. */
#define PROTO_FIELDS_org_create(F)                                                                 \
    F(STR, name, PROTO_NAME_MAX)                                                                   \
    F(U8, billing_day, 0)                                                                          \
    F(U32, fee_ppm, 0)                                                                             \
    F(BOOL, allow_unpriced, 0)                                                                     \
    F(BOOL, allow_unbounded, 0)
PROTO_DECLARE(org_create)
#define PROTO_FIELDS_org_set(F) PROTO_FIELDS_org_create(F)
PROTO_DECLARE(org_set)
#define PROTO_FIELDS_org_pause(F) F(STR, reason, PROTO_REASON_MAX)
PROTO_DECLARE(org_pause)
#define PROTO_FIELDS_org_resume(F) F(STR, reason, PROTO_REASON_MAX)
PROTO_DECLARE(org_resume)
#define PROTO_FIELDS_team_create(F) F(STR, name, PROTO_NAME_MAX)
PROTO_DECLARE(team_create)
#define PROTO_FIELDS_team_delete(F) F(U32, team, 0)
PROTO_DECLARE(team_delete)
/* public: the loggable part of `sk-hf-<public>-<secret>`; secret: SHA-256 of the whole key text.
 * expires_us: 0 = never. models: empty = all. */
#define PROTO_FIELDS_key_create(F)                                                                 \
    F(U32, team, 0)                                                                                \
    F(STR, public, PROTO_PUBLIC_MAX)                                                               \
    F(SECRET, secret, 0)                                                                           \
    F(STR, label, PROTO_NAME_MAX)                                                                  \
    F(STR, env, PROTO_NAME_MAX)                                                                    \
    F(I64, expires_us, 0)                                                                          \
    F(LIST, models, allowed)
PROTO_DECLARE(key_create)
#define PROTO_FIELDS_key_revoke(F)                                                                 \
    F(U32, key, 0)                                                                                 \
    F(STR, reason, PROTO_REASON_MAX)
PROTO_DECLARE(key_revoke)
/* Same key number, new public part and secret; the old secret stops at once. */
#define PROTO_FIELDS_key_rotate(F)                                                                 \
    F(U32, key, 0)                                                                                 \
    F(STR, public, PROTO_PUBLIC_MAX)                                                               \
    F(SECRET, secret, 0)
PROTO_DECLARE(key_rotate)
/* reference: an external id (a payment event's), unique for ever; empty: none. */
#define PROTO_FIELDS_deposit(F)                                                                    \
    F(I64, amount, 0)                                                                              \
    F(STR, reference, PROTO_NAME_MAX)                                                              \
    F(STR, reason, PROTO_REASON_MAX)
PROTO_DECLARE(deposit)
#define PROTO_FIELDS_grant(F) PROTO_FIELDS_deposit(F)
PROTO_DECLARE(grant)
#define PROTO_FIELDS_refund(F) PROTO_FIELDS_deposit(F)
PROTO_DECLARE(refund)
#define PROTO_FIELDS_chargeback(F) PROTO_FIELDS_deposit(F)
PROTO_DECLARE(chargeback)
/* Gives back part of what the settled hold `hold` was charged; from_fees: out of fees, not usage. */
#define PROTO_FIELDS_adjust(F)                                                                     \
    F(UUID, hold, 0)                                                                               \
    F(I64, amount, 0)                                                                              \
    F(BOOL, from_fees, 0)                                                                          \
    F(STR, reason, PROTO_REASON_MAX)
PROTO_DECLARE(adjust)
/* budget: 0 = new. scope, window, mode: enums of budget.h. subject: team or key number for those
 * scopes, else 0. selector: the name for name scopes (customer, user, agent, model, env), `*` = one
 * counter for each. status: HTTP status of a refusal, 402 or 429. alerts: percents, one byte each. */
#define PROTO_FIELDS_budget_put(F)                                                                 \
    F(U32, budget, 0)                                                                              \
    F(U8, scope, 0)                                                                                \
    F(U32, subject, 0)                                                                             \
    F(STR, selector, PROTO_NAME_MAX)                                                               \
    F(U8, window, 0)                                                                               \
    F(I64, limit, 0)                                                                               \
    F(I64, soft_limit, 0)                                                                          \
    F(U8, mode, 0)                                                                                 \
    F(U16, status, 0)                                                                              \
    F(BOOL, override, 0)                                                                           \
    F(STR, label, PROTO_NAME_MAX)                                                                  \
    F(BIN, alerts, PROTO_ALERTS_MAX)
PROTO_DECLARE(budget_put)
#define PROTO_FIELDS_budget_delete(F)                                                              \
    F(U32, budget, 0)                                                                              \
    F(STR, reason, PROTO_REASON_MAX)
PROTO_DECLARE(budget_delete)
/* version: the active one + 1. rows: encoded proto_price messages, `count` of them, the first one
 * being row number `first` (1-based, without gaps). `last` activates the version. */
#define PROTO_FIELDS_price_import(F)                                                               \
    F(U32, version, 0)                                                                             \
    F(STR, source, PROTO_NAME_MAX)                                                                 \
    F(U32, first, 0)                                                                               \
    F(U32, count, 0)                                                                               \
    F(BOOL, last, 0)                                                                               \
    F(BIN, rows, PROTO_ROWS_MAX)
PROTO_DECLARE(price_import)

enum proto_reserve_flag {
    PROTO_RESERVE_UNPRICED = 1,  /* the model has no price: amount is the caller's guess */
    PROTO_RESERVE_UNBOUNDED = 2, /* the call has parts without a bound in the catalogue */
};
/* Holds money for one call. The hold's id is this command's id. token: authorises settle, release,
 * extend; random, the caller's secret. candidates: best first. price_version: of the amounts.
 * rules_version: of the caller's snapshot of the budget rules (0: it has none).
 * ttl_us: the hold expires this long after its stamp. Attribution: empty = none. An amount bounds the
 * provider's cost; the machine adds the org's platform fee. idempotency: SHA-256 of the client's
 * Idempotency-Key (none: it sent none); of the calls of one key with one such value, one is made. */
#define PROTO_FIELDS_reserve(F)                                                                    \
    F(SECRET, token, 0)                                                                            \
    F(U32, price_version, 0)                                                                       \
    F(U32, rules_version, 0)                                                                       \
    F(I64, ttl_us, 0)                                                                              \
    F(U32, flags, 0)                                                                               \
    F(STR, customer, PROTO_NAME_MAX)                                                               \
    F(STR, user, PROTO_NAME_MAX)                                                                   \
    F(STR, agent, PROTO_NAME_MAX)                                                                  \
    F(STR, env, PROTO_NAME_MAX)                                                                    \
    F(HASH, idempotency, 0)                                                                        \
    F(LIST, candidates, candidate)
PROTO_DECLARE(reserve)

enum proto_cost_source {
    PROTO_COST_USAGE = 0,    /* units × the hold's price version */
    PROTO_COST_PROVIDER = 1, /* `cost`, the provider's own number */
    PROTO_COST_ESTIMATE = 2, /* units, but estimated by the edge */
};
/* head.org: the hold's org. class: enum proto_class. */
#define PROTO_FIELDS_settle(F)                                                                     \
    F(UUID, hold, 0)                                                                               \
    F(SECRET, token, 0)                                                                            \
    F(U8, source, 0)                                                                               \
    F(I64, cost, 0)                                                                                \
    F(U8, class, 0)                                                                                \
    F(LIST, units, usage)
PROTO_DECLARE(settle)
#define PROTO_FIELDS_release(F)                                                                    \
    F(UUID, hold, 0)                                                                               \
    F(SECRET, token, 0)                                                                            \
    F(U8, reason, 0)
PROTO_DECLARE(release)
/* amount: added to the hold (0: only the deadline moves). ttl_us: new deadline after the stamp. */
#define PROTO_FIELDS_extend(F)                                                                     \
    F(UUID, hold, 0)                                                                               \
    F(SECRET, token, 0)                                                                            \
    F(I64, amount, 0)                                                                              \
    F(I64, ttl_us, 0)
PROTO_DECLARE(extend)

/* ---- the cluster itself: group-wide, the operator's ---- */
/* Raises the feature level (proto/level.h) for good. */
#define PROTO_FIELDS_feature_level(F) F(U32, level, 0)
PROTO_DECLARE(feature_level)
/* Leadership goes to the node; 0: to whichever is most up to date. */
#define PROTO_FIELDS_cluster_transfer(F) F(U32, node, 0)
PROTO_DECLARE(cluster_transfer)
/* A new node joins: it gets the log first, then a vote. address: its peer port, "host:port". */
#define PROTO_FIELDS_cluster_add(F)                                                                \
    F(U32, node, 0)                                                                                \
    F(STR, address, PROTO_NAME_MAX)
PROTO_DECLARE(cluster_add)
#define PROTO_FIELDS_cluster_remove(F)                                                             \
    F(U32, node, 0)                                                                                \
    F(STR, reason, PROTO_REASON_MAX)
PROTO_DECLARE(cluster_remove)

/* X(kind, name, hot): hot = on the request path (short horizon, no audit record). */
#define PROTO_COMMANDS(X)                                                                          \
    X(1, genesis, 0)                                                                               \
    X(2, org_create, 0)                                                                            \
    X(3, org_set, 0)                                                                               \
    X(4, org_pause, 0)                                                                             \
    X(5, org_resume, 0)                                                                            \
    X(10, team_create, 0)                                                                          \
    X(11, team_delete, 0)                                                                          \
    X(20, key_create, 0)                                                                           \
    X(21, key_revoke, 0)                                                                           \
    X(22, key_rotate, 0)                                                                           \
    X(30, deposit, 0)                                                                              \
    X(31, grant, 0)                                                                                \
    X(32, refund, 0)                                                                               \
    X(33, adjust, 0)                                                                               \
    X(34, chargeback, 0)                                                                           \
    X(40, budget_put, 0)                                                                           \
    X(41, budget_delete, 0)                                                                        \
    X(50, price_import, 0)                                                                         \
    X(60, reserve, 1)                                                                              \
    X(61, settle, 1)                                                                               \
    X(62, release, 1)                                                                              \
    X(63, extend, 1)                                                                               \
    X(70, feature_level, 0)                                                                        \
    X(71, cluster_transfer, 0)                                                                     \
    X(72, cluster_add, 0)                                                                          \
    X(73, cluster_remove, 0)

enum proto_command_kind {
#define X(number, name, hot) PROTO_CMD_##name = number,
    PROTO_COMMANDS(X)
#undef X
        PROTO_CMD_MAX = 80
};

struct proto_command {
    struct proto_command_head head;
    union {
#define X(number, name, hot) struct proto_##name name;
        PROTO_COMMANDS(X)
#undef X
    } body;
};

/* Encodes; false: unknown kind or no room. */
bool proto_command_put(struct proto_writer *w, const struct proto_command *c);
/* Decodes exactly n bytes; views point into them. On false *error names the cause (static text). */
bool proto_command_get(const void *p, size_t n, struct proto_command *c, const char **error);
/* Hashes every SECRET of the encoded command in place (same length). false: cannot be decoded;
 * such bytes must not be logged (they could hold a secret in clear). */
bool proto_command_seal(uint8_t *p, size_t n, const char **error);
void proto_command_print(struct proto_text *t, const struct proto_command *c);
/* Of an encoded command that was decoded before. */
unsigned proto_command_kind(const void *p, size_t n);
/* About the cluster, not about an org. */
static inline bool proto_command_cluster(unsigned kind)
{
    return kind >= PROTO_CMD_feature_level && kind <= PROTO_CMD_cluster_remove;
}
const char *proto_command_name(unsigned kind); /* "?" for none */
bool proto_command_hot(unsigned kind);

#endif
