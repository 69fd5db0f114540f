/* SPDX-License-Identifier: Apache-2.0
 * SHA-256 (FIPS 180-4), by BearSSL. One place, so that another implementation can take over.
 */
#ifndef HOLDFAST_PROTO_HASH_H
#define HOLDFAST_PROTO_HASH_H

#include "proto/types.h"

#include <bearssl.h>

struct proto_sha256 {
    br_sha256_context br;
};

static inline void proto_sha256_init(struct proto_sha256 *h)
{
    br_sha256_init(&h->br);
}
static inline void proto_sha256_add(struct proto_sha256 *h, const void *p, size_t n)
{
    br_sha256_update(&h->br, p, n);
}
static inline void proto_sha256_out(const struct proto_sha256 *h, struct proto_hash *out)
{
    br_sha256_out(&h->br, out->b);
}
static inline void proto_sha256_of(const void *p, size_t n, struct proto_hash *out)
{
    struct proto_sha256 h;
    proto_sha256_init(&h);
    proto_sha256_add(&h, p, n);
    proto_sha256_out(&h, out);
}

#endif
