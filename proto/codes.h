/* SPDX-License-Identifier: Apache-2.0
 * The one list of result codes: what the machine answers, the edge shows, the tools print and the
 * docs explain. Numbers stand in the log: never reuse one.
 *
 * X(number, name, HTTP status, error type shown to clients, text)
 */
#ifndef HOLDFAST_PROTO_CODES_H
#define HOLDFAST_PROTO_CODES_H

#include <stdint.h>

#define PROTO_CODES(X)                                                                             \
    X(0, OK, 200, "ok", "done")                                                                    \
    X(1, MALFORMED, 400, "invalid_request_error", "the command cannot be decoded or is not valid") \
    X(2, UNAUTHENTICATED, 401, "authentication_error", "the credential is not known")              \
    X(3, FORBIDDEN, 403, "permission_error", "this credential may not do that")                    \
    X(4, KEY_REVOKED, 401, "authentication_error", "the key was revoked")                          \
    X(5, KEY_EXPIRED, 401, "authentication_error", "the key has expired")                          \
    X(6, PAUSED, 429, "paused", "the organisation is paused")                                      \
    X(7, MODEL_NOT_ALLOWED, 403, "model_not_allowed", "the key may not use this model")            \
    X(8, MODEL_UNPRICED, 400, "model_unpriced", "the model has no price and cannot be budgeted")   \
    X(9, QUOTA_EXCEEDED, 429, "quota_exceeded", "a cap of the organisation's records is reached")  \
    X(10, INSUFFICIENT_CREDIT, 402, "insufficient_credit", "the balance does not cover the call")  \
    X(11, BUDGET_EXCEEDED, 402, "budget_exceeded", "a budget is spent")                            \
    X(12, BUDGET_IN_FLIGHT, 402, "budget_in_flight", "open holds fill the rest of a budget")       \
    X(13, REQUEST_EXCEEDS_BUDGET, 402, "request_exceeds_budget",                                   \
      "the call can never fit a budget")                                                           \
    X(14, HOLD_UNKNOWN, 404, "hold_unknown", "no such hold")                                       \
    X(15, HOLD_CLOSED, 409, "hold_closed", "the hold was resolved before")                         \
    X(16, COMMAND_ID_REUSED, 409, "command_id_reused", "the id belongs to another command")        \
    X(17, COMMAND_TOO_OLD, 409, "command_too_old", "the id is older than the horizon")             \
    X(18, AMOUNT_OVERFLOW, 400, "amount_overflow", "an amount does not fit")                       \
    X(19, AMOUNT_INVALID, 400, "amount_invalid", "the amount must be positive")                    \
    X(20, ORG_UNKNOWN, 404, "org_unknown", "no such organisation")                                 \
    X(21, ORG_EXISTS, 409, "org_exists", "the organisation exists already")                        \
    X(22, TEAM_UNKNOWN, 404, "team_unknown", "no such team")                                       \
    X(23, KEY_UNKNOWN, 404, "key_unknown", "no such key")                                          \
    X(24, KEY_EXISTS, 409, "key_exists", "the key's public part or secret is taken")               \
    X(25, BUDGET_UNKNOWN, 404, "budget_unknown", "no such budget")                                 \
    X(26, LIMIT_EXCEEDS_PARENT, 409, "limit_exceeds_parent", "the limit is above its parent's")    \
    X(27, REFERENCE_USED, 409, "reference_used", "the external reference was used before")         \
    X(28, STALE_CONFIG, 409, "stale_config", "prices or rules have a newer version")               \
    X(29, TEAM_NOT_EMPTY, 409, "team_not_empty", "the team still has keys")                        \
    X(30, REFUND_EXCEEDS_DEPOSITS, 409, "refund_exceeds_deposits", "only deposits are refunded")   \
    X(31, ALREADY_INITIALISED, 409, "already_initialised", "the ledger has its genesis")           \
    X(32, NOT_INITIALISED, 503, "not_initialised", "the ledger has no genesis yet")                \
    X(33, VERSION_CONFLICT, 409, "version_conflict", "the version is not the next one")            \
    X(34, ADJUST_EXCEEDS_CHARGE, 409, "adjust_exceeds_charge", "more than was charged")            \
    X(35, NOT_FOUND, 404, "not_found", "no such record")                                           \
    X(36, UNAUTHORISED_HOLD, 403, "permission_error", "the hold's token does not match")           \
    X(37, IDEMPOTENT_REPEAT, 409, "idempotent_repeat",                                             \
      "a call with this idempotency key was made before")                                          \
    X(38, UNBOUNDED_REQUEST, 400, "unbounded_request", "the cost of the call has no upper bound")  \
    X(39, NO_ROOM, 503, "ledger_disk_nearly_full",                                                 \
      "the ledger's disks are nearly full: nothing new is taken, what is open is settled")         \
    X(40, LEVEL_TOO_LOW, 409, "feature_level_too_low",                                             \
      "the command needs a higher feature level of the cluster")                                   \
    X(41, CLUSTER_NOT_READY, 409, "cluster_not_ready", "the cluster cannot do that now")

enum proto_code {
#define X(number, name, http, type, text) PROTO_##name = number,
    PROTO_CODES(X)
#undef X
        PROTO_CODE_COUNT = 42
};

/* Static text; "?" for a number that is no code. */
const char *proto_code_name(unsigned code);
const char *proto_code_type(unsigned code);
const char *proto_code_text(unsigned code);
unsigned proto_code_http(unsigned code); /* 500 for a number that is no code */

#endif
