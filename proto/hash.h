/* SPDX-License-Identifier: Apache-2.0
 * SHA-256 (FIPS 180-4), by Nettle: the same small calls as BearSSL's, but with the processor's SHA
 * instructions, a quarter of the time per command (docs/performance.md). The one place that knows.
 */
#ifndef HOLDFAST_PROTO_HASH_H
#define HOLDFAST_PROTO_HASH_H

#include "proto/types.h"

#include <nettle/sha2.h>

struct proto_sha256 {
    struct sha256_ctx ctx;
};

static inline void proto_sha256_init(struct proto_sha256 *h)
{
    sha256_init(&h->ctx);
}
static inline void proto_sha256_add(struct proto_sha256 *h, const void *p, size_t n)
{
    sha256_update(&h->ctx, n, p);
}
/* Ends the hash; h is as after init. */
static inline void proto_sha256_out(struct proto_sha256 *h, struct proto_hash *out)
{
    sha256_digest(&h->ctx, sizeof out->b, out->b);
}
static inline void proto_sha256_of(const void *p, size_t n, struct proto_hash *out)
{
    struct proto_sha256 h;
    proto_sha256_init(&h);
    proto_sha256_add(&h, p, n);
    proto_sha256_out(&h, out);
}

#endif
