/* SPDX-License-Identifier: Apache-2.0
 * Eight tables, so that eight bytes go in one step (Kounavis and Berry, "A Systematic Approach to
 * Building High Performance, Software-based, CRC Generators", 2005).
 */
#include "ledger/store/checksum.h"

#include <pthread.h>
#include <string.h>

#define POLYNOMIAL UINT32_C(0x82f63b78) /* reflected */

static uint32_t table[8][256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_tables(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int bit = 0; bit < 8; bit++)
            c = c >> 1 ^ (c & 1 ? POLYNOMIAL : 0);
        table[0][i] = c;
    }
    for (uint32_t i = 0; i < 256; i++)
        for (int k = 1; k < 8; k++)
            table[k][i] = table[k - 1][i] >> 8 ^ table[0][table[k - 1][i] & 0xff];
}

static uint32_t add(uint32_t c, const uint8_t *p, size_t n)
{
    for (; n >= 8; p += 8, n -= 8) {
        uint32_t a, b;
        memcpy(&a, p, 4); /* little-endian, as LMDB's integer keys are */
        memcpy(&b, p + 4, 4);
        a ^= c;
        c = table[7][a & 0xff] ^ table[6][a >> 8 & 0xff] ^ table[5][a >> 16 & 0xff] ^
            table[4][a >> 24] ^ table[3][b & 0xff] ^ table[2][b >> 8 & 0xff] ^
            table[1][b >> 16 & 0xff] ^ table[0][b >> 24];
    }
    for (; n > 0; p++, n--)
        c = c >> 8 ^ table[0][(c ^ *p) & 0xff];
    return c;
}

/* ---- by the processor, where it can: an eighth of the time ---- */
typedef uint32_t adder(uint32_t c, const uint8_t *p, size_t n);

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t add_quickly(uint32_t c, const uint8_t *p,
                                                              size_t n)
{
    uint64_t wide = c, x;
    for (; n >= 8; p += 8, n -= 8) {
        memcpy(&x, p, 8);
        wide = __builtin_ia32_crc32di(wide, x);
    }
    c = (uint32_t)wide;
    for (; n > 0; p++, n--)
        c = __builtin_ia32_crc32qi(c, *p);
    return c;
}

static adder *choose(void)
{
    return __builtin_cpu_supports("sse4.2") ? add_quickly : add;
}
#else
static adder *choose(void)
{
    return add;
}
#endif

static adder *best;

static void prepare(void)
{
    make_tables();
    best = choose();
}

static uint32_t checksum(adder *with, const struct log_entry *e)
{
    uint8_t head[17];
    memcpy(head, &e->index, 8);
    memcpy(head + 8, &e->term, 8);
    head[16] = e->kind;
    uint32_t c = with(UINT32_MAX, head, sizeof head);
    return ~(e->len > 0 ? with(c, e->data, e->len) : c);
}

uint32_t entry_checksum(const struct log_entry *e)
{
    (void)pthread_once(&once, prepare);
    return checksum(best, e);
}

uint32_t entry_checksum_plain(const struct log_entry *e)
{
    (void)pthread_once(&once, prepare);
    return checksum(add, e);
}
