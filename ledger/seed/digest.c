/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/seed/digest.h"

#include "ledger/core/core.h"
#include "proto/hash.h"

struct digest {
    struct proto_sha256 hash;
    int64_t clock_us;
};

static int add(void *ctx, const void *key, size_t klen, const void *value, size_t vlen)
{
    struct digest *d = ctx;
    uint8_t head[8];
    if (core_record_dead(key, klen, value, vlen, d->clock_us))
        return 0;
    for (int i = 0; i < 4; i++) {
        head[i] = (uint8_t)(klen >> (8 * i));
        head[4 + i] = (uint8_t)(vlen >> (8 * i));
    }
    proto_sha256_add(&d->hash, head, sizeof head);
    proto_sha256_add(&d->hash, key, klen);
    if (vlen > 0)
        proto_sha256_add(&d->hash, value, vlen);
    return 0;
}

int seed_digest(struct state_store *s, struct state_meta *meta, struct proto_hash *out,
                struct store_why *why)
{
    struct state_reader r;
    struct digest d;
    int rv = state_reader_open(&r, s, why);
    if (rv)
        return rv;
    rv = state_reader_meta(&r, meta);
    d.clock_us = meta->clock_us;
    proto_sha256_init(&d.hash);
    if (rv == 0)
        rv = state_reader_scan(&r, NULL, 0, NULL, 0, add, &d);
    if (rv)
        (void)store_why_set(why, rv, "the state cannot be read");
    proto_sha256_out(&d.hash, out);
    state_reader_close(&r);
    return rv;
}
