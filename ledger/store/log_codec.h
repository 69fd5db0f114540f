/* SPDX-License-Identifier: Apache-2.0
 * The bytes of a log file's head, block heads and trailer, for log_file.c and log_file_read.c only.
 */
#ifndef HOLDFAST_LEDGER_LOG_CODEC_H
#define HOLDFAST_LEDGER_LOG_CODEC_H

#include "ledger/store/log_file.h"
#include "proto/hash.h"

enum {
    LOG_HEAD_SIZE = 8 + 4 + 2 + 16 + 8 + 32,
    LOG_BLOCK_HEAD_SIZE = 4 + 4 + 4 + 8 + 32,
    LOG_TRAILER_SIZE = 8 + 5 * 8 + 32 + 32,
    LOG_LINK_SIZE = 32,
    LOG_ENTRY_HEAD = 8 + 1 + 4, /* term, kind, length; then the payload */
};

struct log_block {
    uint64_t at; /* offset of the stored bytes in the file */
    uint64_t first;
    uint32_t raw, stored, n;
    struct proto_hash sum; /* of the stored bytes */
};

static inline void log_put_le(uint8_t *p, uint64_t v, int n)
{
    for (int i = 0; i < n; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static inline uint64_t log_get_le(const uint8_t *p, int n)
{
    uint64_t v = 0;
    for (int i = 0; i < n; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

void log_head_put(uint8_t out[LOG_HEAD_SIZE], const struct log_file_facts *f);
/* 0, -EUCLEAN (no such file of ours) or -ENOTSUP (a newer format). */
__attribute__((warn_unused_result)) int log_head_get(const uint8_t in[LOG_HEAD_SIZE],
                                                     struct log_file_facts *f);
void log_block_put(uint8_t out[LOG_BLOCK_HEAD_SIZE], const struct log_block *b);
void log_block_get(const uint8_t in[LOG_BLOCK_HEAD_SIZE], struct log_block *b);
/* All but the link, which follows the rest. */
void log_trailer_put(uint8_t out[LOG_TRAILER_SIZE], const struct log_file_facts *f);
__attribute__((warn_unused_result)) int log_trailer_get(const uint8_t in[LOG_TRAILER_SIZE],
                                                        struct log_file_facts *f);

#endif
