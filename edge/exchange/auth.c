/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/exchange/auth.h"

#include "edge/http/request.h"
#include "proto/key.h"

#include <strings.h>

static const char *find_key(const struct edge_http_request *req)
{
    const char *value = edge_http_request_header(req, "authorization");
    if (value != NULL) {
        if (strncasecmp(value, "bearer ", 7) != 0)
            return ""; /* another scheme: there is a credential, and it is no key */
        value += 7;
        return value + strspn(value, " ");
    }
    value = edge_http_request_header(req, "x-api-key");
    return value != NULL ? value : edge_http_request_header(req, "api-key");
}

bool edge_auth_key(const char *key, struct proto_hash *cred, char public_part[PROTO_PUBLIC_MAX + 1],
                   struct edge_error *error)
{
    struct proto_str found;
    if (key == NULL) {
        edge_error_set(error, 401, "authentication_error", "invalid_api_key",
                       "You didn't provide an API key: send it as 'Authorization: Bearer "
                       "sk-hf-...'.");
        return false;
    }
    if (!proto_key_public(proto_str_of(key), &found) || found.n > PROTO_PUBLIC_MAX) {
        edge_error_set(error, 401, "authentication_error", "invalid_api_key",
                       "Incorrect API key provided: keys look like sk-hf-....");
        return false;
    }
    memcpy(public_part, found.p, found.n);
    public_part[found.n] = '\0';
    proto_key_hash(proto_str_of(key), cred);
    return true;
}

bool edge_auth_read(const struct edge_http_request *req, struct proto_hash *cred,
                    char public_part[PROTO_PUBLIC_MAX + 1], struct edge_error *error)
{
    return edge_auth_key(find_key(req), cred, public_part, error);
}
