/* SPDX-License-Identifier: Apache-2.0
 * The text of a virtual key: `sk-hf-<public>-<secret>`. public: 12 characters [0-9a-z], the first
 * four are the routing tag of the org's group ("0000" for group 0); it may be logged. secret: 43
 * characters of base64url (32 random bytes); never logged. An operator token is
 * `op-hf-<43 characters>`. What is presented to the ledger is SHA-256 of the whole text.
 */
#ifndef HOLDFAST_PROTO_KEY_H
#define HOLDFAST_PROTO_KEY_H

#include "proto/types.h"

enum {
    PROTO_KEY_PUBLIC_LEN = 12,
    PROTO_KEY_TEXT_LEN = 6 + PROTO_KEY_PUBLIC_LEN + 1 + 43,
    PROTO_OPERATOR_TEXT_LEN = 6 + 43,
};

/* Makes the text out of caller's randomness: 8 bytes for the public part, 32 for the secret. */
void proto_key_make(const uint8_t random_public[8], const uint8_t random_secret[32],
                    char out[PROTO_KEY_TEXT_LEN + 1]);
void proto_operator_make(const uint8_t random_secret[32], char out[PROTO_OPERATOR_TEXT_LEN + 1]);
/* The loggable part of a well-formed key; false: not such a text. */
bool proto_key_public(struct proto_str key, struct proto_str *public_part);
/* SHA-256 of the text: what callers present as `cred`. */
void proto_key_hash(struct proto_str text, struct proto_hash *out);

#endif
