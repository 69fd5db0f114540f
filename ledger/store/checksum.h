/* SPDX-License-Identifier: Apache-2.0
 * CRC-32C (Castagnoli) of a log entry: finds damage of what lies on the disk, at once and wherever
 * the entry is read, also in the tail that no checkpoint confirms yet. Against people there is the
 * hash chain. Any thread.
 */
#ifndef HOLDFAST_LEDGER_CHECKSUM_H
#define HOLDFAST_LEDGER_CHECKSUM_H

#include "ledger/store/entry.h"

/* Of index, term, kind and payload. */
uint32_t entry_checksum(const struct log_entry *e);

/* The same without the processor's own instruction: for processors that have none, and to compare.
 */
uint32_t entry_checksum_plain(const struct log_entry *e);

#endif
