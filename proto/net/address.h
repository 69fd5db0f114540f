/* SPDX-License-Identifier: Apache-2.0
 * "host:port", "a.b.c.d:port", "[::1]:port" in its two parts.
 */
#ifndef HOLDFAST_PROTO_NET_ADDRESS_H
#define HOLDFAST_PROTO_NET_ADDRESS_H

enum { NET_HOST_MAX = 256, NET_SERVICE_MAX = 6 };

struct net_address {
    char host[NET_HOST_MAX], port[NET_SERVICE_MAX];
};

/* 0 or -EINVAL. Port 1 to 65535. */
__attribute__((warn_unused_result)) int net_address_parse(struct net_address *out,
                                                          const char *text);

#endif
