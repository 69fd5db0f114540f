/* SPDX-License-Identifier: Apache-2.0
 * The command line of holdfast-replay. Parsed once by main, before anything is opened; read-only
 * after that.
 */
#ifndef HOLDFAST_REPLAY_OPTIONS_H
#define HOLDFAST_REPLAY_OPTIONS_H

#include "proto/types.h"

struct replay_options {
    const char *dir;
    const char *archive; /* NULL: the log is whole */
    uint64_t memory_mib; /* 0: the default */
    bool json, transactions, log, progress, allow_empty, copy;
    bool has_org;
    struct proto_uuid org;
    bool has_at;
    int64_t at_us;
    bool has_head; /* --expect-head: kept elsewhere by somebody else */
    uint64_t head_index;
    struct proto_hash head;
    bool has_receipt;
    uint64_t receipt_index;
    uint32_t receipt_ordinal;
    struct proto_hash receipt_chain;
};

enum replay_parse { REPLAY_PARSED, REPLAY_HELP, REPLAY_BAD };

/* BAD: the cause has been printed to stderr. HELP: the help has been printed to stdout. */
enum replay_parse replay_options_parse(struct replay_options *o, int argc, char **argv);

/* RFC 3339 ("2026-11-22T10:00:00Z", fraction up to microseconds, offsets). false: not such a text.
 */
bool replay_time_parse(const char *s, int64_t *us);

#endif
