/* SPDX-License-Identifier: Apache-2.0
 * The hash chain over the log, and the Merkle tree that lets one receipt be proved alone.
 *
 *   leaf  = SHA-256(0x00 | le32(length of command) | command | result)
 *   node  = SHA-256(0x01 | left | right); an odd last node goes up unchanged (RFC 6962, section 2.1)
 *   tail  = SHA-256(0x02 | ...) the entry's own effects (expired holds) and its header, the last leaf
 *   chain[i] = SHA-256(chain[i-1] | be64 index | be64 term | be64 clock_us | root)
 *
 * `command` is as logged (sealed). chain[0] is the genesis seed; before genesis, 32 zero bytes.
 */
#ifndef HOLDFAST_PROTO_CHAIN_H
#define HOLDFAST_PROTO_CHAIN_H

#include "proto/hash.h"

void proto_chain_leaf(const void *command, size_t command_n, const void *result, size_t result_n,
                      struct proto_hash *out);
/* Overwrites leaves[]. n >= 1. */
void proto_chain_root(struct proto_hash *leaves, uint32_t n, struct proto_hash *out);
/* chain: in the previous value, out the next. */
void proto_chain_next(struct proto_hash *chain, uint64_t index, uint64_t term, int64_t clock_us,
                      const struct proto_hash *root);

#endif
