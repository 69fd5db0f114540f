/* SPDX-License-Identifier: Apache-2.0
 * What a node counts while it applies entries, for its operator: results by code, and what became
 * of holds. From the start of the process on, on every node alike: a restart begins at zero and
 * counts what it applies again from its log. The loop thread's.
 */
#ifndef HOLDFAST_LEDGER_REPORT_COUNTERS_H
#define HOLDFAST_LEDGER_REPORT_COUNTERS_H

#include "ledger/core/core.h"

struct counters {
    uint64_t results[PROTO_CODE_COUNT];
    uint64_t undecodable; /* commands that are none */
    uint64_t reserved, settled, settled_late, settled_estimated, released, expired;
    uint64_t overruns;   /* settled for more than was held */
    uint64_t duplicates; /* answered with an earlier command's result */
    int64_t settled_nanos, written_off_nanos;
};

/* A command and its result, as of struct core_observer. */
void counters_result(struct counters *c, const struct proto_command *command,
                     const struct proto_result *result);

#endif
