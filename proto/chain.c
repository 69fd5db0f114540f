/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/chain.h"

#include "proto/base/check.h"

static void put_be64(uint8_t *p, uint64_t v)
{
    for (int i = 7; i >= 0; i--, v >>= 8)
        p[i] = (uint8_t)v;
}

void proto_chain_leaf(const void *command, size_t command_n, const void *result, size_t result_n,
                      struct proto_hash *out)
{
    struct proto_sha256 h;
    uint8_t head[5] = {0x00, (uint8_t)command_n, (uint8_t)(command_n >> 8),
                       (uint8_t)(command_n >> 16), (uint8_t)(command_n >> 24)};
    proto_sha256_init(&h);
    proto_sha256_add(&h, head, sizeof head);
    proto_sha256_add(&h, command, command_n);
    proto_sha256_add(&h, result, result_n);
    proto_sha256_out(&h, out);
}

void proto_chain_root(struct proto_hash *leaves, uint32_t n, struct proto_hash *out)
{
    static const uint8_t prefix = 0x01;
    CHECK(n >= 1);
    /* Level by level, pairing neighbours: the same tree as RFC 6962's split at a power of two. */
    while (n > 1) {
        uint32_t k = 0;
        for (uint32_t i = 0; i + 1 < n; i += 2) {
            struct proto_sha256 h;
            proto_sha256_init(&h);
            proto_sha256_add(&h, &prefix, 1);
            proto_sha256_add(&h, leaves[i].b, 64);
            proto_sha256_out(&h, &leaves[k++]);
        }
        if (n & 1)
            leaves[k++] = leaves[n - 1];
        n = k;
    }
    *out = leaves[0];
}

void proto_chain_next(struct proto_hash *chain, uint64_t index, uint64_t term, int64_t clock_us,
                      const struct proto_hash *root)
{
    uint8_t head[24];
    struct proto_sha256 h;
    put_be64(head, index);
    put_be64(head + 8, term);
    put_be64(head + 16, (uint64_t)clock_us);
    proto_sha256_init(&h);
    proto_sha256_add(&h, chain->b, sizeof chain->b);
    proto_sha256_add(&h, head, sizeof head);
    proto_sha256_add(&h, root->b, sizeof root->b);
    proto_sha256_out(&h, chain);
}
