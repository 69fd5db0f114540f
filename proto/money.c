/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/money.h"

#include <errno.h>

enum { DECIMALS = 9 };

int proto_money_parse(struct proto_str text, int64_t *nanos)
{
    uint32_t i = 0;
    bool negative = text.n > 0 && text.p[0] == '-';
    if (negative)
        i++;
    __int128 v = 0;
    int digits = 0, decimals = -1;
    for (; i < text.n; i++) {
        char c = text.p[i];
        if (c == '.' && decimals < 0 && digits > 0) {
            decimals = 0;
            continue;
        }
        if (c < '0' || c > '9' || decimals == DECIMALS)
            return -EINVAL;
        v = v * 10 + (c - '0');
        digits++;
        if (decimals >= 0)
            decimals++;
        if (v > (__int128)INT64_MAX + 1)
            return -ERANGE;
    }
    if (digits == 0 || decimals == 0)
        return -EINVAL;
    for (int d = decimals < 0 ? 0 : decimals; d < DECIMALS; d++)
        v *= 10;
    if (negative)
        v = -v;
    if (v > INT64_MAX || v < INT64_MIN)
        return -ERANGE;
    *nanos = (int64_t)v;
    return 0;
}

size_t proto_money_print(int64_t nanos, char out[PROTO_MONEY_TEXT_MAX])
{
    char rev[PROTO_MONEY_TEXT_MAX];
    uint64_t v = nanos < 0 ? (uint64_t)0 - (uint64_t)nanos : (uint64_t)nanos;
    size_t n = 0;
    int decimals = DECIMALS;
    while (decimals > 2 && v % 10 == 0) {
        v /= 10;
        decimals--;
    }
    for (int i = 0; i < decimals || v > 0 || i == decimals; i++) {
        if (i == decimals)
            rev[n++] = '.';
        rev[n++] = (char)('0' + v % 10);
        v /= 10;
    }
    size_t k = 0;
    if (nanos < 0)
        out[k++] = '-';
    while (n > 0)
        out[k++] = rev[--n];
    out[k] = '\0';
    return k;
}

/* Reads the exponent after 'e'; bounded so that nothing can overflow. */
static int parse_exponent(struct proto_str text, uint32_t i, int *exponent)
{
    bool negative = false;
    if (i < text.n && (text.p[i] == '+' || text.p[i] == '-'))
        negative = text.p[i++] == '-';
    if (i == text.n)
        return -EINVAL;
    int e = 0;
    for (; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9')
            return -EINVAL;
        if (e < 10000)
            e = e * 10 + (text.p[i] - '0');
    }
    *exponent = negative ? -e : e;
    return 0;
}

int proto_decimal_scale(struct proto_str text, int shift, int64_t *out)
{
    /* mantissa × 10^power, kept to 30 digits; what is beyond only matters for rounding up */
    unsigned __int128 m = 0;
    int power = 0, digits = 0, kept = 0;
    bool dot = false, rest = false;
    uint32_t i = 0;
    if (text.n > 0 && text.p[0] == '-')
        return -ERANGE;
    for (; i < text.n && text.p[i] != 'e' && text.p[i] != 'E'; i++) {
        char c = text.p[i];
        if (c == '.' && !dot && digits > 0) {
            dot = true;
            continue;
        }
        if (c < '0' || c > '9')
            return -EINVAL;
        digits++;
        if (kept < 30) {
            m = m * 10 + (unsigned)(c - '0');
            kept += m > 0;
            power -= dot;
        } else {
            rest = rest || c != '0';
            power += !dot;
        }
    }
    if (digits == 0 || text.p[i - 1] == '.')
        return -EINVAL;
    if (i < text.n) {
        int e;
        int rv = parse_exponent(text, i + 1, &e);
        if (rv)
            return rv;
        power += e;
    }
    power += shift;
    for (; power < 0 && (m > 0 || rest); power++) {
        rest = rest || m % 10 != 0;
        m /= 10;
        if (m == 0)
            break;
    }
    for (; power > 0 && m > 0; power--) {
        if (m > (unsigned __int128)INT64_MAX)
            return -ERANGE;
        m *= 10;
    }
    if (m > (unsigned __int128)INT64_MAX - (rest ? 1 : 0))
        return -ERANGE;
    *out = (int64_t)m + (rest ? 1 : 0);
    return 0;
}
