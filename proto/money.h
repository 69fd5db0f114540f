/* SPDX-License-Identifier: Apache-2.0
 * Money is int64 nano-dollars (1 USD = 1,000,000,000). Every operation is checked: an overflow is
 * an answer (false / negative code), never a wrap. Text is exact decimals, never binary floats.
 */
#ifndef HOLDFAST_PROTO_MONEY_H
#define HOLDFAST_PROTO_MONEY_H

#include "proto/types.h"

#define PROTO_NANOS_PER_DOLLAR INT64_C(1000000000)

/* "-9223372036.854775808" and its NUL. */
enum { PROTO_MONEY_TEXT_MAX = 24 };

static inline bool proto_add(int64_t a, int64_t b, int64_t *sum)
{
    return !__builtin_add_overflow(a, b, sum);
}
static inline bool proto_sub(int64_t a, int64_t b, int64_t *difference)
{
    return !__builtin_sub_overflow(a, b, difference);
}

/* Dollars as a decimal ("12.5", "-0.000000001", "3"): at most nine decimals, no exponent, no sign
 * but '-', no blanks. 0, or -EINVAL (not such a text) or -ERANGE (does not fit). */
__attribute__((warn_unused_result)) int proto_money_parse(struct proto_str text, int64_t *nanos);

/* Exact dollars: no trailing zeros beyond two decimals ("12.50", "0.000000001"). Returns length. */
size_t proto_money_print(int64_t nanos, char out[PROTO_MONEY_TEXT_MAX]);

/* The decimal text `text` (an exponent is allowed: "1.5e-07") times 10^shift, rounded up to a whole
 * number. For prices: dollars per token times 10^18 is nano-dollars per 10^9 tokens.
 * 0, -EINVAL, or -ERANGE (negative or does not fit). */
__attribute__((warn_unused_result)) int proto_decimal_scale(struct proto_str text, int shift,
                                                            int64_t *out);

#endif
