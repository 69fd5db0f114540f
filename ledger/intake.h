/* SPDX-License-Identifier: Apache-2.0
 * Commands between their arrival and their answer: what waits is merged into entries, what is under
 * way is matched with the entry that is applied. Loop thread only.
 *
 *   offered -> waiting (urgent | normal) -> under way in an entry -> answered
 *                 |  ^ put back                     |
 *                 v  +------------------------------+ (the engine took nothing)
 *         expired, refused                          v leadership lost: the request's outcome is
 * unknown
 *
 * Settle and release go before everything else; beyond that orgs take turns (lanes.h). A request is
 * answered when each of its commands has an outcome.
 *
 * Bounds: INTAKE_WAITING_MAX commands wait (past it a request is refused as busy); INTAKE_FLIGHTS
 * entries are under way.
 */
#ifndef HOLDFAST_LEDGER_INTAKE_H
#define HOLDFAST_LEDGER_INTAKE_H

#include "ledger/core/core.h"
#include "ledger/lanes.h"
#include "ledger/serve/request.h"

enum {
    INTAKE_WAITING_MAX = 65536,
    INTAKE_FLIGHTS = 8,
    /* Of an entry: all flights together must leave the loop to its heartbeats in time. */
    INTAKE_HEAVY_MAX = 4,
    INTAKE_PAYLOAD_MAX =
        PROTO_BATCH_BYTES + PROTO_COMMAND_MAX + PROTO_BATCH_HEADER_MAX + 8 * PROTO_BATCH_COMMANDS,
};

/* An entry under way. n = 0: an empty batch or the genesis. */
struct intake_flight {
    uint64_t index, term;
    struct serve_command **commands;
    unsigned n;
};

struct intake_calls {
    void *ctx;
    /* The request has all its outcomes, or a status that ends it. Frees it. */
    void (*on_complete)(void *ctx, struct serve_request *r, enum proto_reply_status status);
    /* Asked of each command as an entry is filled: PROTO_OK, or the code (with a text that lives
     * until the next call) it is answered with, never proposed. NULL: all go. */
    enum proto_code (*admit)(void *ctx, const struct serve_command *c, const char **reason);
};

struct intake {
    struct intake_calls calls;
    struct lanes urgent, normal;
    struct serve_request *requests; /* all that are open */
    struct intake_flight flight[INTAKE_FLIGHTS];
    unsigned flight_first, flights;
    struct intake_flight filling; /* taken out of the queues, not yet under way */
    bool lost; /* another leader's entry stands where ours was: intake_drop_all is due */
    uint8_t *payload;
    uint64_t commands; /* answered since the start */
};

__attribute__((warn_unused_result)) int intake_init(struct intake *in,
                                                    const struct intake_calls *calls);
/* Requests must have been ended (intake_drop_all). */
void intake_close(struct intake *in);

/* false: full; the request stays the caller's. */
bool intake_offer(struct intake *in, struct serve_request *r);
static inline unsigned intake_waiting(const struct intake *in)
{
    return in->urgent.n + in->normal.n;
}
static inline bool intake_may_fly(const struct intake *in)
{
    return in->flights < INTAKE_FLIGHTS;
}

/* Takes what waits into one payload (in->payload), dropping commands whose deadline is before
 * now_us. Returns its length; an empty batch where nothing waits. Then exactly one of: */
size_t intake_fill(struct intake *in, const struct proto_batch_header *header, int64_t now_us);
void intake_fly(struct intake *in, uint64_t index, uint64_t term); /* it was submitted */
void intake_put_back(struct intake *in);                           /* it was not */

/* An entry that intake did not fill (the genesis). */
void intake_fly_bare(struct intake *in, uint64_t index, uint64_t term);

/* An entry was applied. 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int intake_applied(struct intake *in, uint64_t index,
                                                       uint64_t term,
                                                       const struct proto_hash *chain,
                                                       const struct core_outcome *outcome);
/* Leadership was lost or the node stops: requests under way end as unknown, all others with
 * `waiting`. */
void intake_drop_all(struct intake *in, enum proto_reply_status waiting);

#endif
