/* SPDX-License-Identifier: Apache-2.0
 * Reserve + settle cycles: one thread's load, with a ledger client of its own.
 *
 *   free --due--> reserving --OK--> settling --answer--> free
 *                     '--- refused, unknown ---------------^
 */
#ifndef HOLDFAST_BENCH_CYCLE_H
#define HOLDFAST_BENCH_CYCLE_H

#include "tools/bench/crew.h"
#include "tools/bench/population.h"

#include <stdio.h>

enum cycle_latency { CYCLE_RESERVE, CYCLE_SETTLE, CYCLE_WHOLE, CYCLE_LATENCIES };

struct cycle_load {
    const struct bench_options *o;
    const struct population *population;
    struct link_config link;
    uint32_t price_version;
    uint64_t start_ns;
    FILE *record; /* NULL: none; stdio's lock serves all threads */
};

/* What one thread found; merged by the main thread. */
struct cycle_figures {
    struct crew_figures common;
    uint64_t reserve[PROTO_CODE_COUNT], settle[PROTO_CODE_COUNT];
    uint64_t unknown, unavailable, refused, duplicates, unfinished;
};

/* Runs one thread's share to its end. */
void cycle_run(const struct cycle_load *load, unsigned thread, struct cycle_figures *f);

#endif
