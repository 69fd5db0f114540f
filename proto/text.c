/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/text.h"

#include "proto/money.h"

static const char hex_digits[] = "0123456789abcdef";

void proto_text_raw(struct proto_text *t, const char *p, size_t n)
{
    if (t->full || n >= t->cap - t->n) {
        t->full = true;
        return;
    }
    if (n > 0)
        memcpy(t->base + t->n, p, n);
    t->n += n;
    t->base[t->n] = '\0';
}

void proto_text_put(struct proto_text *t, const char *s)
{
    proto_text_raw(t, s, strlen(s));
}

void proto_text_uint(struct proto_text *t, uint64_t v)
{
    char b[20];
    size_t i = sizeof b;
    do {
        b[--i] = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    proto_text_raw(t, b + i, sizeof b - i);
}

void proto_text_int(struct proto_text *t, int64_t v)
{
    if (v < 0)
        proto_text_raw(t, "-", 1);
    proto_text_uint(t, v < 0 ? (uint64_t)0 - (uint64_t)v : (uint64_t)v);
}

void proto_text_hex(struct proto_text *t, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        proto_text_raw(t, (char[]){hex_digits[p[i] >> 4], hex_digits[p[i] & 15]}, 2);
}

void proto_uuid_print(const struct proto_uuid *u, char out[PROTO_UUID_TEXT])
{
    char *o = out;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *o++ = '-';
        *o++ = hex_digits[u->b[i] >> 4];
        *o++ = hex_digits[u->b[i] & 15];
    }
    *o = '\0';
}

void proto_text_uuid(struct proto_text *t, const struct proto_uuid *u)
{
    char b[PROTO_UUID_TEXT];
    proto_uuid_print(u, b);
    proto_text_raw(t, b, sizeof b - 1);
}

void proto_text_money(struct proto_text *t, int64_t nanos)
{
    char b[PROTO_MONEY_TEXT_MAX];
    proto_text_raw(t, b, proto_money_print(nanos, b));
}

void proto_text_json(struct proto_text *t, struct proto_str s)
{
    proto_text_raw(t, "\"", 1);
    for (uint32_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '"' || c == '\\')
            proto_text_raw(t, (char[]){'\\', (char)c}, 2);
        else if (c < 0x20 || c == 0x7f)
            proto_text_raw(t, (char[]){'\\', 'u', '0', '0', hex_digits[c >> 4], hex_digits[c & 15]},
                           6);
        else
            proto_text_raw(t, s.p + i, 1);
    }
    proto_text_raw(t, "\"", 1);
}

static void put_padded(struct proto_text *t, int64_t v, unsigned width)
{
    char b[20];
    for (unsigned i = width; i-- > 0; v /= 10)
        b[i] = (char)('0' + v % 10);
    proto_text_raw(t, b, width);
}

/* Days since 1970 to a civil date: H. Hinnant, "chrono-compatible low-level date algorithms". */
static void civil(int64_t days, int64_t *y, int64_t *m, int64_t *d)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t doe = days - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    *d = doy - (153 * mp + 2) / 5 + 1;
    *m = mp < 10 ? mp + 3 : mp - 9;
    *y = yoe + era * 400 + (*m <= 2);
}

void proto_text_time(struct proto_text *t, int64_t us)
{
    const int64_t day_us = INT64_C(86400000000);
    int64_t days = us / day_us - (us % day_us < 0);
    int64_t rest = us - days * day_us;
    int64_t y, m, d;
    civil(days, &y, &m, &d);
    put_padded(t, y, 4);
    proto_text_put(t, "-");
    put_padded(t, m, 2);
    proto_text_put(t, "-");
    put_padded(t, d, 2);
    proto_text_put(t, "T");
    put_padded(t, rest / INT64_C(3600000000), 2);
    proto_text_put(t, ":");
    put_padded(t, rest / 60000000 % 60, 2);
    proto_text_put(t, ":");
    put_padded(t, rest / 1000000 % 60, 2);
    proto_text_put(t, ".");
    put_padded(t, rest % 1000000, 6);
    proto_text_put(t, "Z");
}

void proto_text_ip(struct proto_text *t, struct proto_str ip)
{
    const uint8_t *b = (const uint8_t *)ip.p;
    if (ip.n == 4) {
        for (int i = 0; i < 4; i++) {
            proto_text_put(t, i ? "." : "");
            proto_text_uint(t, b[i]);
        }
    } else if (ip.n == 16) {
        for (int i = 0; i < 16; i += 2) {
            proto_text_put(t, i ? ":" : "");
            proto_text_hex(t, b + i, 2);
        }
    } else {
        proto_text_put(t, "-");
    }
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool proto_hex_parse(struct proto_str s, uint8_t *out, size_t n)
{
    if (s.n != 2 * n)
        return false;
    for (size_t i = 0; i < n; i++) {
        int a = hex_value(s.p[2 * i]), b = hex_value(s.p[2 * i + 1]);
        if (a < 0 || b < 0)
            return false;
        out[i] = (uint8_t)(a << 4 | b);
    }
    return true;
}

bool proto_uuid_parse(struct proto_str s, struct proto_uuid *u)
{
    char digits[32];
    if (s.n == 32)
        return proto_hex_parse(s, u->b, 16);
    if (s.n != 36)
        return false;
    unsigned k = 0;
    for (uint32_t i = 0; i < 36; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash != (s.p[i] == '-'))
            return false;
        if (!dash)
            digits[k++] = s.p[i];
    }
    return proto_hex_parse((struct proto_str){digits, 32}, u->b, 16);
}
