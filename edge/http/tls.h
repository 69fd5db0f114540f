/* SPDX-License-Identifier: Apache-2.0
 * TLS for clients: one certificate chain with its key, and the session cache. Built once at start,
 * then read-only but for the cache (mutex), and shared by the servers of all loops.
 * TLS 1.2, ECDHE with AES-GCM or ChaCha20-Poly1305 only, server preference, no renegotiation,
 * ALPN http/1.1. EC (P-256, P-384, P-521) and RSA (2048 bits or more) keys.
 */
#ifndef HOLDFAST_EDGE_HTTP_TLS_H
#define HOLDFAST_EDGE_HTTP_TLS_H

#include <stddef.h>

struct edge_http_tls;

/* Loads PEM files: the chain (leaf first) and the leaf's private key (PKCS#8, SEC1 or PKCS#1,
 * unencrypted). Negative errno, and a sentence naming file and cause in error. The key's bytes
 * never appear in it. *out is written on success only. */
__attribute__((warn_unused_result)) int edge_http_tls_new(struct edge_http_tls **out,
                                                          const char *chain_file,
                                                          const char *key_file, char *error,
                                                          size_t error_cap);
/* After the last server that uses it is closed. Wipes the key. */
void edge_http_tls_free(struct edge_http_tls *tls);

#endif
