/* SPDX-License-Identifier: Apache-2.0
 * Looking ahead: brings the records that the next commands of an entry will touch into the
 * processor's cache. Memory answers in 100 to 200 ns, and a reserve touches some forty lines one
 * after the other; here the commands of a group go one step each in turn, so that their misses
 * overlap. Only reads, and nothing that is found here is used to decide: it may be wrong.
 *
 *   reserve: credential -> org, key, rules -> team's rules, budgets -> counters
 *   settle, release: org, hold -> counters
 */
#ifndef HOLDFAST_CORE_AHEAD_H
#define HOLDFAST_CORE_AHEAD_H

#include "ledger/core/overlay.h"
#include "proto/command.h"

struct core_machine;

enum {
    CORE_AHEAD_COMMANDS = 16, /* of a group; their records must fit the first-level cache */
    CORE_AHEAD_RECORDS = 64,  /* with fewer lasting ones in memory it does not pay */
    CORE_AHEAD_BUDGETS = 6,   /* of one command; what it has beyond is not looked at */
};

/* c[0..n), n <= CORE_AHEAD_COMMANDS. known[i]: it was decoded. */
void core_ahead(struct core_machine *m, const struct proto_command *c, const bool *known,
                uint32_t n);

#endif
