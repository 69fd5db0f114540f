/* SPDX-License-Identifier: Apache-2.0
 * DIR/ORIGIN of a node that was restored from a backup: the cluster whose ledger it carries on. Its
 * genesis names that one, its identity another. Written once, at the restore; read by tools.
 */
#ifndef HOLDFAST_LEDGER_ORIGIN_H
#define HOLDFAST_LEDGER_ORIGIN_H

#include "ledger/store/why.h"
#include "proto/types.h"

__attribute__((warn_unused_result)) int
origin_write(const char *dir, const struct proto_uuid *cluster, struct store_why *why);
/* 0; -ENOENT: the node carries on nobody's ledger; another negative code: unreadable. */
__attribute__((warn_unused_result)) int origin_read(const char *dir, struct proto_uuid *cluster);

#endif
