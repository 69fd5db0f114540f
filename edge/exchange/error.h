/* SPDX-License-Identifier: Apache-2.0
 * What the edge says when it does not serve: one struct for every cause, and its text in the shape
 * of OpenAI's error object. Refusals of the ledger carry what decided them (F17, F52). Pure.
 */
#ifndef HOLDFAST_EDGE_ERROR_H
#define HOLDFAST_EDGE_ERROR_H

#include "proto/link/client.h"
#include "proto/result.h"

enum { EDGE_ERROR_MESSAGE = 640, EDGE_ERROR_BODY = 6144 };

struct edge_error {
    int status;
    const char *type, *code, *param; /* static; param NULL: null */
    bool no_retry;                   /* x-should-retry: false */
    unsigned retry_after_s;          /* 0: no retry-after */
    char message[EDGE_ERROR_MESSAGE];
    /* of the ledger's refusals */
    uint64_t ledger_index;
    bool has_budget, has_credit, has_repeat;
    struct proto_refused budget; /* its views point into the two below */
    struct proto_short_of credit;
    struct proto_repeated repeat; /* the call that was made before */
    char instance[PROTO_NAME_MAX + 1], label[PROTO_NAME_MAX + 1];
};

/* type and code must be static; the message is cut where it does not fit, and what is no UTF-8 or a
 * control character in it is shown as '?'. */
__attribute__((format(printf, 5, 6))) void edge_error_set(struct edge_error *e, int status,
                                                          const char *type, const char *code,
                                                          const char *format, ...);
/* What the machine answered to a reserve or a query: code is not PROTO_OK. */
void edge_error_of_result(struct edge_error *e, const struct proto_result *result, uint64_t index);
void edge_error_of_code(struct edge_error *e, unsigned code);
/* No decision from the ledger: unreachable, no quorum, outcome unknown. */
void edge_error_of_ledger(struct edge_error *e, enum link_outcome outcome);

/* {"error":{...}}; returns its length (< EDGE_ERROR_BODY). */
size_t edge_error_body(const struct edge_error *e, char out[EDGE_ERROR_BODY]);
/* For what the HTTP layer refuses by itself: status and reason in the same shape. */
size_t edge_error_plain(int status, const char *reason, char *out, size_t cap);

#endif
