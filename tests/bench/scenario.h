/* SPDX-License-Identifier: Apache-2.0
 * The load of the measurements: orgs with a team and keys, a monthly budget on each of the three,
 * and entries in which half of the commands reserve under keys drawn uniformly and the other half
 * settles what the entry before reserved. Everything follows from a seed. Single thread.
 */
#ifndef HOLDFAST_BENCH_SCENARIO_H
#define HOLDFAST_BENCH_SCENARIO_H

#include "ledger/core/core.h"

enum {
    SCENARIO_PAIRS = 100, /* an entry reserves and settles so many */
    SCENARIO_ENTRY_MAX = 256 * 1024 + 4096,
    SCENARIO_RATE = 50000, /* s->rate, unless changed */
};

struct scenario {
    uint32_t orgs, keys; /* keys: in all orgs together */
    uint64_t random, index, pairs;
    int64_t clock_us;
    uint32_t rate; /* pairs a second, by replicated time */
    struct proto_uuid last[SCENARIO_PAIRS]; /* reserved by the entry before */
    uint32_t last_key[SCENARIO_PAIRS];
    bool any;   /* there is an entry before */
    bool mixed; /* of ten holds one is released, one extended before it is settled */
    uint64_t commands, command_bytes;
    size_t n; /* of payload */
    uint8_t payload[SCENARIO_ENTRY_MAX];
};

void scenario_init(struct scenario *s, uint32_t orgs, uint32_t keys);
/* The next entry of the set-up, in s->payload; false: it is complete. */
bool scenario_set_up(struct scenario *s);
/* The next entry of the load. */
void scenario_next(struct scenario *s);
/* Ends the program. */
_Noreturn void scenario_die(const char *what);
/* Every result of an entry must be OK. */
void scenario_check(const struct core_outcome *out);

#endif
