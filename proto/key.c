/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/key.h"

#include "proto/hash.h"

static void base64url(const uint8_t *p, size_t n, char *out)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint32_t bits = 0;
    unsigned have = 0;
    for (size_t i = 0; i < n; i++) {
        bits = bits << 8 | p[i];
        for (have += 8; have >= 6; have -= 6)
            *out++ = alphabet[bits >> (have - 6) & 63];
    }
    if (have > 0)
        *out++ = alphabet[bits << (6 - have) & 63];
    *out = '\0';
}

void proto_key_make(const uint8_t random_public[8], const uint8_t random_secret[32],
                    char out[PROTO_KEY_TEXT_LEN + 1])
{
    static const char alphabet[] = "0123456789abcdefghijkmnpqrstvwxz"; /* 32, none look alike */
    memcpy(out, "sk-hf-0000", 10);
    for (int i = 0; i < 8; i++)
        out[10 + i] = alphabet[random_public[i] & 31];
    out[18] = '-';
    base64url(random_secret, 32, out + 19);
}

void proto_operator_make(const uint8_t random_secret[32], char out[PROTO_OPERATOR_TEXT_LEN + 1])
{
    memcpy(out, "op-hf-", 6);
    base64url(random_secret, 32, out + 6);
}

bool proto_key_public(struct proto_str key, struct proto_str *public_part)
{
    if (key.n != PROTO_KEY_TEXT_LEN || memcmp(key.p, "sk-hf-", 6) != 0 || key.p[18] != '-')
        return false;
    for (int i = 6; i < 18; i++)
        if (!((key.p[i] >= '0' && key.p[i] <= '9') || (key.p[i] >= 'a' && key.p[i] <= 'z')))
            return false;
    *public_part = (struct proto_str){key.p + 6, PROTO_KEY_PUBLIC_LEN};
    return true;
}

void proto_key_hash(struct proto_str text, struct proto_hash *out)
{
    proto_sha256_of(text.p, text.n, out);
}
