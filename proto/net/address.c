/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/net/address.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

static int parse_port(char out[NET_SERVICE_MAX], const char *text)
{
    unsigned port = 0;
    size_t n = strlen(text);
    if (n == 0 || n >= NET_SERVICE_MAX)
        return -EINVAL;
    for (size_t i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -EINVAL;
        port = port * 10 + (unsigned)(text[i] - '0');
    }
    memcpy(out, text, n + 1);
    return port >= 1 && port <= 65535 ? 0 : -EINVAL;
}

int net_address_parse(struct net_address *out, const char *text)
{
    const char *host = text, *colon = strrchr(text, ':');
    if (!colon)
        return -EINVAL;
    size_t n = (size_t)(colon - text);
    if (n >= 2 && text[0] == '[' && colon[-1] == ']') {
        host++;
        n -= 2;
    } else if (memchr(text, ':', n)) {
        return -EINVAL; /* an IPv6 address without its brackets */
    }
    if (n == 0 || n >= sizeof out->host)
        return -EINVAL;
    memcpy(out->host, host, n);
    out->host[n] = '\0';
    return parse_port(out->port, colon + 1);
}
