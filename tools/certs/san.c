/* SPDX-License-Identifier: Apache-2.0
 * Encoder of subjectAltName: SEQUENCE OF GeneralName, of which we write dNSName [2] and
 * iPAddress [7]. Lengths are DER's shortest form; everything fits two length bytes.
 */
#include "tools/certs/san.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <string.h>

#define TAG_DNS_NAME 0x82
#define TAG_IP_ADDRESS 0x87
#define TAG_SEQUENCE 0x30

/* Labels of letters, digits and inner hyphens, 1..63 bytes; the first may be "*". */
static int is_dns_name(const char *host)
{
    size_t label = 0;
    size_t len = strlen(host);
    if (len == 0 || len > CERTS_HOST_MAX)
        return 0;
    for (size_t i = strncmp(host, "*.", 2) == 0 ? 2 : 0; i <= len; i++) {
        unsigned char c = (unsigned char)host[i];
        if (c == '.' || c == '\0') {
            if (label == 0 || label > 63 || host[i - 1] == '-')
                return 0;
            label = 0;
        } else if (isalnum(c) || (c == '-' && label > 0)) {
            label++;
        } else {
            return 0;
        }
    }
    return 1;
}

/* "1.2.3" or "300.1.1.1" is a mistyped address, not a name: top-level labels have letters. */
static int ends_in_number(const char *host)
{
    const char *last = strrchr(host, '.');
    last = last != NULL ? last + 1 : host;
    return last[strspn(last, "0123456789")] == '\0';
}

static size_t put_header(unsigned char *to, unsigned char tag, size_t len)
{
    size_t n = 0;
    to[n++] = tag;
    if (len >= 256) {
        to[n++] = 0x82;
        to[n++] = (unsigned char)(len >> 8);
    } else if (len >= 128) {
        to[n++] = 0x81;
    }
    to[n++] = (unsigned char)len;
    return n;
}

static int put_host(struct certs_san *san, const char *host, struct certs_error *error)
{
    unsigned char address[sizeof(struct in6_addr)];
    const void *value = address;
    unsigned char tag = TAG_IP_ADDRESS;
    size_t len;

    if (inet_pton(AF_INET, host, address) == 1) {
        len = sizeof(struct in_addr);
    } else if (inet_pton(AF_INET6, host, address) == 1) {
        len = sizeof(struct in6_addr);
    } else if (is_dns_name(host) && !ends_in_number(host)) {
        tag = TAG_DNS_NAME;
        value = host;
        len = strlen(host);
    } else {
        return certs_fail(error, -EINVAL, "'%.80s' is neither a DNS name nor an IP address", host);
    }
    if (san->len + 4 + len > sizeof san->bytes - 4)
        return certs_fail(error, -EINVAL, "the host names together are too long");
    san->len += put_header(san->bytes + san->len, tag, len);
    memcpy(san->bytes + san->len, value, len);
    san->len += len;
    return 0;
}

int certs_san_encode(const char *const *hosts, size_t n_hosts, struct certs_san *san,
                     struct certs_error *error)
{
    unsigned char header[4];
    size_t header_len;

    if (n_hosts == 0 || n_hosts > CERTS_HOSTS_MAX)
        return certs_fail(error, -EINVAL, "a certificate takes 1 to %d host names, not %zu",
                          CERTS_HOSTS_MAX, n_hosts);
    san->len = 0;
    for (size_t i = 0; i < n_hosts; i++) {
        int rc = put_host(san, hosts[i], error);
        if (rc != 0)
            return rc;
    }
    header_len = put_header(header, TAG_SEQUENCE, san->len);
    memmove(san->bytes + header_len, san->bytes, san->len);
    memcpy(san->bytes, header, header_len);
    san->len += header_len;
    return 0;
}
