/* SPDX-License-Identifier: Apache-2.0
 * A certificate chain with its private key, and the CAs to trust, from PEM files. EC keys on P-256,
 * P-384 and P-521, RSA keys of 2048 bits or more. At start, any one thread; read-only after that.
 */
#ifndef HOLDFAST_PROTO_NET_IDENTITY_H
#define HOLDFAST_PROTO_NET_IDENTITY_H

#include <bearssl.h>
#include <stddef.h>

enum { NET_CHAIN_MAX = 8, NET_ANCHORS_MAX = 16 };

struct net_identity {
    br_x509_certificate chain[NET_CHAIN_MAX]; /* leaf first */
    size_t chain_len;
    br_skey_decoder_context key;
};

/* The chain and the leaf's key (PKCS#8, SEC1 or PKCS#1, unencrypted), which may stand in one file.
 * Negative errno, and a sentence naming file and cause. Closed even after a failure. */
__attribute__((warn_unused_result)) int net_identity_load(struct net_identity *id,
                                                          const char *chain_file,
                                                          const char *key_file, char *error,
                                                          size_t cap);
void net_identity_close(struct net_identity *id); /* wipes the key */

struct net_anchors {
    br_x509_trust_anchor anchor[NET_ANCHORS_MAX];
    size_t n;
};
__attribute__((warn_unused_result)) int net_anchors_load(struct net_anchors *a, const char *file,
                                                         char *error, size_t cap);
void net_anchors_close(struct net_anchors *a);

#endif
