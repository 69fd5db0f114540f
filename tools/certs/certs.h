/* SPDX-License-Identifier: Apache-2.0
 * P-256 certificate authorities and certificates, as PEM text in memory. Called by the layout of
 * `holdfastctl certs`, on the tool's one thread; nothing here touches a file.
 * Operational failures are negative errno codes with their cause in struct certs_error; outputs
 * are written on success only. Private keys are wiped by certs_pair_close.
 */
#ifndef HOLDFAST_CERTS_H
#define HOLDFAST_CERTS_H

#include <stddef.h>

#define CERTS_PEM_MAX 8192  /* bytes of one PEM text, its end included */
#define CERTS_NAME_MAX 63   /* bytes of a common name (X.509's ub-common-name is 64) */
#define CERTS_HOST_MAX 253  /* bytes of a DNS name */
#define CERTS_HOSTS_MAX 32  /* subject alternative names of a certificate */
#define CERTS_DAYS_MAX 3650 /* validity of a certificate; a CA has CERTS_CA_DAYS */
#define CERTS_CA_DAYS 3660  /* outlives every certificate made in its first days */
#define CERTS_ERROR_MAX 512

struct certs_error {
    char text[CERTS_ERROR_MAX]; /* a sentence for people, naming file and cause */
};

/* Writes the sentence and returns code, so that a caller can `return certs_fail(...)`. */
int certs_fail(struct certs_error *error, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

struct certs_pair {
    char cert_pem[CERTS_PEM_MAX];
    char key_pem[CERTS_PEM_MAX];
};

void certs_pair_close(struct certs_pair *pair);

enum certs_usage { CERTS_SERVER = 1, CERTS_CLIENT = 2 };

struct certs_request {
    const char *common_name;  /* letters, digits, '.', '-', at most CERTS_NAME_MAX */
    const char *const *hosts; /* DNS names (a leading "*." too) and IP addresses */
    size_t n_hosts;           /* 1..CERTS_HOSTS_MAX: TLS clients look at these only */
    unsigned usage;           /* of enum certs_usage */
    int days;                 /* 1..CERTS_DAYS_MAX, from now */
};

/* A self-signed CA that can sign certificates but no further CAs. */
int certs_ca_make(const char *common_name, struct certs_pair *ca, struct certs_error *error)
    __attribute__((warn_unused_result));

/* A new key and its certificate, signed by ca. -EINVAL: the request, or the CA's texts. */
int certs_issue(const struct certs_pair *ca, const struct certs_request *request,
                struct certs_pair *pair, struct certs_error *error)
    __attribute__((warn_unused_result));

/* Is name fit to be a common name and part of a file's name? */
int certs_name_check(const char *name, struct certs_error *error)
    __attribute__((warn_unused_result));

#endif
