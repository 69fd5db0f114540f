/* SPDX-License-Identifier: Apache-2.0
 * Mutual TLS: who we are and whom we trust. Both sides show a certificate and both check the
 * other's against one CA. Who dials also checks the name in the server's certificate (without it
 * any certificate of the CA would pass); a listener's CA is the role of whoever connects.
 * TLS 1.2 (RFC 5246) by BearSSL, ECDHE with AEAD suites only (RFC 9325), no renegotiation.
 * Loaded at start; read-only after that, so that threads may share it.
 */
#ifndef HOLDFAST_PROTO_NET_TLS_H
#define HOLDFAST_PROTO_NET_TLS_H

#include <stdint.h>

/* Cipher suites we speak anywhere: forward secrecy and AEAD only, AES-GCM first. */
enum { NET_TLS_SUITES = 6 };
extern const uint16_t net_tls_suites[NET_TLS_SUITES];

struct net_tls_files {
    const char *ca_file;   /* PEM: who may stand on the other side */
    const char *cert_file; /* PEM: our certificate (with its chain) and its key, in one file */
};

struct net_tls;

/* 0 or a negative code; `error` gets file and cause, never a key's bytes. */
__attribute__((warn_unused_result)) int
net_tls_load(struct net_tls **out, const struct net_tls_files *files, char error[256]);
/* For --check: the files are there and belong together, the CA has signed the certificate, it is
 * valid now, and it is for `name`. name NULL: of a side that only dials, whose name nobody checks.
 */
__attribute__((warn_unused_result)) int net_tls_check(const struct net_tls_files *files,
                                                      const char *name, char error[256]);
/* When the first certificate of a PEM file ends, as Unix time; 0: it cannot be read. */
int64_t net_certificate_ends_s(const char *file);
/* After the last connection that uses it. Wipes the key. */
void net_tls_free(struct net_tls *tls);

#endif
