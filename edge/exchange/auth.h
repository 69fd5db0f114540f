/* SPDX-License-Identifier: Apache-2.0
 * The key that a request presents. What looks like no key at all is refused here; whose key it is,
 * and whether it still counts, only the ledger knows.
 */
#ifndef HOLDFAST_EDGE_AUTH_H
#define HOLDFAST_EDGE_AUTH_H

#include "edge/exchange/error.h"

struct edge_http_request;

/* From `Authorization: Bearer`, else x-api-key, else api-key. False: error is set (401). */
bool edge_auth_read(const struct edge_http_request *req, struct proto_hash *cred,
                    char public_part[PROTO_PUBLIC_MAX + 1], struct edge_error *error);
/* The same for a key's text; NULL: there is none. */
bool edge_auth_key(const char *key, struct proto_hash *cred, char public_part[PROTO_PUBLIC_MAX + 1],
                   struct edge_error *error);

#endif
