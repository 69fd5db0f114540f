/* SPDX-License-Identifier: Apache-2.0
 * Mutual TLS for NNG dialers and listeners: both sides show a certificate and both check the
 * other's against one CA. A dialer also checks the name in the server's certificate (without it any
 * certificate of the CA would pass); a listener's CA is the role of whoever connects.
 * Called before the dialer or listener is started, from any thread.
 */
#ifndef HOLDFAST_PROTO_LINK_TLS_H
#define HOLDFAST_PROTO_LINK_TLS_H

#include <nng/nng.h>

struct link_tls_files {
    const char *ca_file;   /* PEM: who may stand on the other side */
    const char *cert_file; /* PEM: our certificate and its key, in one file */
};

/* 0 or a negative code; `error` gets file and cause, never a key's bytes. */
__attribute__((warn_unused_result)) int link_tls_dialer(nng_dialer d,
                                                        const struct link_tls_files *files,
                                                        const char *server_name, char error[256]);
__attribute__((warn_unused_result)) int
link_tls_listener(nng_listener l, const struct link_tls_files *files, char error[256]);
/* Whether the files are there and hold what they should, for --check. */
__attribute__((warn_unused_result)) int link_tls_check(const struct link_tls_files *files,
                                                       char error[256]);

#endif
