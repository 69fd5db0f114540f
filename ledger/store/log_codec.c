/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/store/log_codec.h"

#include <errno.h>

static const char head_magic[8] = "HFLOG\r\n\x1a";
static const char trailer_magic[8] = "HFLOGEND";

void log_head_put(uint8_t out[LOG_HEAD_SIZE], const struct log_file_facts *f)
{
    memcpy(out, head_magic, 8);
    log_put_le(out + 8, LOG_FILE_FORMAT, 4);
    log_put_le(out + 12, f->group, 2);
    memcpy(out + 14, f->cluster.b, 16);
    log_put_le(out + 30, f->first, 8);
    memcpy(out + 38, f->previous.b, 32);
}

int log_head_get(const uint8_t in[LOG_HEAD_SIZE], struct log_file_facts *f)
{
    if (memcmp(in, head_magic, 8) != 0)
        return -EUCLEAN;
    if (log_get_le(in + 8, 4) != LOG_FILE_FORMAT)
        return -ENOTSUP;
    f->group = (uint16_t)log_get_le(in + 12, 2);
    memcpy(f->cluster.b, in + 14, 16);
    f->first = log_get_le(in + 30, 8);
    memcpy(f->previous.b, in + 38, 32);
    return f->first > 0 ? 0 : -EUCLEAN;
}

void log_block_put(uint8_t out[LOG_BLOCK_HEAD_SIZE], const struct log_block *b)
{
    log_put_le(out, b->raw, 4);
    log_put_le(out + 4, b->stored, 4);
    log_put_le(out + 8, b->n, 4);
    log_put_le(out + 12, b->first, 8);
    memcpy(out + 20, b->sum.b, 32);
}

void log_block_get(const uint8_t in[LOG_BLOCK_HEAD_SIZE], struct log_block *b)
{
    b->raw = (uint32_t)log_get_le(in, 4);
    b->stored = (uint32_t)log_get_le(in + 4, 4);
    b->n = (uint32_t)log_get_le(in + 8, 4);
    b->first = log_get_le(in + 12, 8);
    memcpy(b->sum.b, in + 20, 32);
}

void log_trailer_put(uint8_t out[LOG_TRAILER_SIZE], const struct log_file_facts *f)
{
    memcpy(out, trailer_magic, 8);
    log_put_le(out + 8, f->last, 8);
    log_put_le(out + 16, f->first_term, 8);
    log_put_le(out + 24, f->last_term, 8);
    log_put_le(out + 32, f->raw_bytes, 8);
    log_put_le(out + 40, f->check_index, 8);
    memcpy(out + 48, f->check_chain.b, 32);
    memcpy(out + 80, f->link.b, 32);
}

int log_trailer_get(const uint8_t in[LOG_TRAILER_SIZE], struct log_file_facts *f)
{
    if (memcmp(in, trailer_magic, 8) != 0)
        return -EUCLEAN;
    f->last = log_get_le(in + 8, 8);
    f->first_term = log_get_le(in + 16, 8);
    f->last_term = log_get_le(in + 24, 8);
    f->raw_bytes = log_get_le(in + 32, 8);
    f->check_index = log_get_le(in + 40, 8);
    memcpy(f->check_chain.b, in + 48, 32);
    memcpy(f->link.b, in + 80, 32);
    bool fits = f->last >= f->first && f->first_term > 0 && f->last_term >= f->first_term;
    return fits ? 0 : -EUCLEAN;
}
