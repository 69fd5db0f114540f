/* SPDX-License-Identifier: Apache-2.0
 * The subjectAltName extension (RFC 5280, 4.2.1.6) from a list of DNS names and IP addresses.
 * Its own encoder, because mbedTLS 2.28 writes none and 3.6 another way.
 */
#ifndef HOLDFAST_CERTS_SAN_H
#define HOLDFAST_CERTS_SAN_H

#include "tools/certs/certs.h"

#define CERTS_SAN_MAX 4096 /* bytes of the encoded extension; more is refused */

struct certs_san {
    unsigned char bytes[CERTS_SAN_MAX];
    size_t len;
};

/* -EINVAL: a host is neither an address nor a DNS name, or there are none or too many. */
int certs_san_encode(const char *const *hosts, size_t n_hosts, struct certs_san *san,
                     struct certs_error *error) __attribute__((warn_unused_result));

#endif
