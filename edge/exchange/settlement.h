/* SPDX-License-Identifier: Apache-2.0
 * The end of a hold: a settle or a release that is tried until the ledger has decided it. It lives
 * on its own, so that neither a client's leaving nor an answer that could not wait any longer ends
 * it early; what is left at the process's exit is logged, and the hold expires at the ledger.
 *
 *      (org unknown) whoami --> submit --> decided
 *                         ^        |
 *                         '- wait -'  unknown, unavailable
 *
 * A try uses one command id with the link's own retries; the next one a new id: the machine gives a
 * hold's first outcome again whatever the id. One list a worker, on its loop's thread.
 *
 * Bound: EDGE_SETTLEMENTS_MAX; edge_settlements_full tells admission to refuse new calls before
 * that.
 */
#ifndef HOLDFAST_EDGE_SETTLEMENT_H
#define HOLDFAST_EDGE_SETTLEMENT_H

#include "proto/command.h"
#include "proto/link/client.h"
#include "proto/result.h"

#include <uv.h>

enum {
    EDGE_SETTLEMENTS_MAX = 20000, /* waiting for the ledger, per worker */
    EDGE_SETTLE_TRY_MS = 60000,
    EDGE_SETTLE_PAUSE_MS = 500, /* after a try that brought no decision */
};

struct edge_settlements;
struct edge_settlement;

/* How it ended. result is NULL if it never got a decision (exit). Called once, from the loop. */
struct edge_settled {
    const struct proto_result *result;
    uint64_t index;
    uint32_t ordinal;
    struct proto_hash chain;
};
typedef void edge_settlement_done(void *arg, const struct edge_settled *settled);

/* The command to be decided: head.kind settle or release, head.ip, body with hold and token; cred
 * for a hold whose org is not known (head.org none). Views in it (the IP) are copied. */
struct edge_settlement_request {
    struct proto_command command;
    struct proto_hash cred;
};

__attribute__((warn_unused_result)) int
edge_settlements_new(struct edge_settlements **out, uv_loop_t *loop, struct link_client *link);
/* What is left is logged. After link_client_free. */
void edge_settlements_close(struct edge_settlements *s, void (*on_closed)(void *arg), void *arg);
unsigned edge_settlements_count(const struct edge_settlements *s);
bool edge_settlements_full(const struct edge_settlements *s);
/* No tries any more after what is under way (before link_client_free). */
void edge_settlements_stop(struct edge_settlements *s);

/* NULL: no memory (logged: the hold is left to expire). done may be NULL. */
struct edge_settlement *edge_settlement_start(struct edge_settlements *s,
                                              const struct edge_settlement_request *request,
                                              edge_settlement_done *done, void *arg);
/* The caller no longer wants to hear of it. */
void edge_settlement_forget(struct edge_settlement *settlement);

#endif
