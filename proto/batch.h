/* SPDX-License-Identifier: Apache-2.0
 * The payload of a Raft entry: [header, [command, ...]], each command a bin, so that one which
 * cannot be decoded is still a result of its own. Built by the leader, read by everyone.
 *
 * The header's stamp is the leader's clock (the machine takes max(previous, stamp)). check_index and
 * check_chain: the leader's chain at an earlier index (0: none), which every replica compares.
 */
#ifndef HOLDFAST_PROTO_BATCH_H
#define HOLDFAST_PROTO_BATCH_H

#include "proto/fields.h"

enum {
    PROTO_LOG_FORMAT = 1,
    PROTO_MACHINE_VERSION = 1,
    PROTO_BATCH_COMMANDS = 1000,       /* commands in one entry */
    PROTO_BATCH_BYTES = 256 * 1024,    /* bytes of one entry, beyond one single command */
    PROTO_BATCH_HEADER_MAX = 128,
};

#define PROTO_FIELDS_batch_header(F)                                                               \
    F(U8, format, 0)                                                                               \
    F(U16, machine, 0)                                                                             \
    F(I64, stamp_us, 0)                                                                            \
    F(U64, check_index, 0)                                                                         \
    F(HASH, check_chain, 0)
PROTO_DECLARE(batch_header)

/* Writing: begin, then n times add, then check w->full. */
void proto_batch_begin(struct proto_writer *w, const struct proto_batch_header *h, uint32_t n);
void proto_batch_add(struct proto_writer *w, const void *command, size_t n);

/* Reading: open gives the header and the number of commands; next gives them one by one and checks
 * that nothing follows the last. false: *r.error says why (a damaged or foreign entry). */
struct proto_batch {
    struct proto_reader r;
    struct proto_batch_header header;
    uint32_t n, left;
};
bool proto_batch_open(struct proto_batch *b, const void *p, size_t n);
bool proto_batch_next(struct proto_batch *b, struct proto_str *command);

#endif
