/* SPDX-License-Identifier: Apache-2.0
 * What a node that is being seeded asks of the others, on the peer port, and what they answer.
 *
 *   hello     who are you, who leads, how far is everything
 *   open      make a copy of your state, and say what it is
 *   chunk     bytes of that copy, from `at` on
 *   close     the copy is not needed any more
 *   entries   committed entries of your log, from `at` on
 *   digest    the hash of your state as it stands: position, and SEED_DIGEST over the records
 *
 * Decoded by whoever holds a certificate of the peers' CA only; still nothing in it is believed.
 */
#ifndef HOLDFAST_LEDGER_SEED_ASK_H
#define HOLDFAST_LEDGER_SEED_ASK_H

#include "proto/fields.h"

enum {
    SEED_FORMAT = 1,
    SEED_CHUNK_MAX = 1 << 20,                 /* bytes of a chunk, or of entries asked for */
    SEED_BYTES_MAX = 2 * SEED_CHUNK_MAX + 64, /* of an answer: one entry more may be large */
    SEED_FRAME_MAX = SEED_BYTES_MAX + 1024,
    SEED_TEXT_MAX = 300,
};

enum seed_kind {
    SEED_HELLO = 1,
    SEED_OPEN,
    SEED_CHUNK,
    SEED_CLOSE,
    SEED_ENTRIES,
    SEED_DIGEST,
};

enum seed_code {
    SEED_OK = 0,
    SEED_REFUSED = 1, /* text says why: another cluster, a bad question */
    SEED_GONE = 2,    /* that copy is not there any more, or those entries have been trimmed */
    SEED_FAILED = 3,  /* this node could not: text says why */
};

/* Messages of proto/fields.h; the names begin with proto_ for its sake. */
#define PROTO_FIELDS_seed_ask(F)                                                                   \
    F(U8, format, 0)                                                                               \
    F(UUID, cluster, 0)                                                                            \
    F(U16, group, 0)                                                                               \
    F(U64, node, 0) /* who asks */                                                                 \
    F(U8, kind, 0)                                                                                 \
    F(U64, copy, 0) /* chunk, close: index of the state that open answered */                      \
    F(U64, at, 0)                                                                                  \
    F(U32, max, 0)

#define PROTO_FIELDS_seed_answer(F)                                                                \
    F(U8, format, 0)                                                                               \
    F(U8, code, 0)                                                                                 \
    F(STR, text, SEED_TEXT_MAX)                                                                    \
    F(U64, node, 0)   /* who answers */                                                            \
    F(U64, term, 0)   /* its current term ... */                                                   \
    F(U64, leader, 0) /* ... and whom it takes for the leader; 0: nobody */                        \
    F(BOOL, firm, 0)  /* it leads, and knows all that was committed */                             \
    F(U64, commit, 0)                                                                              \
    F(U64, last, 0)  /* of its log, committed or not */                                            \
    F(U64, first, 0) /* of its log */                                                              \
    F(U64, index, 0) /* open, digest: where the state stands */                                    \
    F(U64, index_term, 0)                                                                          \
    F(I64, clock_us, 0)                                                                            \
    F(HASH, chain, 0)                                                                              \
    F(U64, size, 0)  /* open: of the copy, bytes */                                                \
    F(HASH, sum, 0)  /* open: SHA-256 of the copy; digest: SEED_DIGEST */                          \
    F(U32, count, 0) /* entries: how many */                                                       \
    F(BIN, bytes, SEED_BYTES_MAX)

PROTO_DECLARE(seed_ask)
PROTO_DECLARE(seed_answer)

/* Entries as bytes: term u64, kind u8, length u32 (LE), payload, one behind the other. */
enum { SEED_ENTRY_HEAD = 8 + 1 + 4 };

#endif
