/* SPDX-License-Identifier: Apache-2.0
 * Lines on stdout while the log is executed: --log (entries, commands, results as JSON lines) and
 * --transactions (transfers). Only called for what was asked for.
 */
#ifndef HOLDFAST_REPLAY_DUMP_H
#define HOLDFAST_REPLAY_DUMP_H

#include "ledger/core/core.h"
#include "ledger/store/entry.h"

void dump_entry(const struct log_entry *e, const struct core_position *after, uint32_t n,
                uint32_t expired, bool confirmed);
void dump_result(uint64_t index, uint32_t ordinal, int64_t time_us,
                 const struct proto_command *command, const struct proto_result *result,
                 bool confirmed);
void dump_transfer_head(bool with_org);
void dump_transfer(const struct core_transfer *t, bool json, bool with_org, bool confirmed);
/* {"command":…,"result":…} of one command, cut to the room there is. */
void dump_receipt(const struct proto_command *command, const struct proto_result *result,
                  struct proto_text *t);

#endif
