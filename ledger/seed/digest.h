/* SPDX-License-Identifier: Apache-2.0
 * One hash for a whole state: SHA-256 over every live record in the order of keys (u32 key length,
 * u32 value length, both LE, key, value). Records that can influence nothing any more are left out,
 * because each node sweeps them in its own time: so equal states have equal digests.
 */
#ifndef HOLDFAST_LEDGER_SEED_DIGEST_H
#define HOLDFAST_LEDGER_SEED_DIGEST_H

#include "ledger/store/state_store.h"

/* Of the newest checkpoint, with where it stands; any thread, one read transaction. */
__attribute__((warn_unused_result)) int seed_digest(struct state_store *s, struct state_meta *meta,
                                                    struct proto_hash *out, struct store_why *why);

#endif
