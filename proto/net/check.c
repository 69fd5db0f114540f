/* SPDX-License-Identifier: Apache-2.0
 * What would make every handshake of ours fail, said before there is one (--check): our own
 * certificate judged as the other side will judge it, by the same engine. Main thread, at start.
 */
#include "proto/net/identity.h"
#include "proto/net/pem.h"
#include "proto/net/tls.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { EPOCH_DAYS = 719528 /* BearSSL counts days from the year 0 */ };

int64_t net_certificate_ends_s(const char *file)
{
    struct pem_file pem;
    char error[256];
    int64_t ends_s = 0;
    if (pem_file_load(&pem, file, error, sizeof error) != 0)
        return 0;
    for (size_t i = 0; ends_s == 0 && i < pem.count; i++) {
        br_x509_decoder_context x509;
        if (strstr(pem.objects[i].name, "CERTIFICATE") == NULL)
            continue;
        br_x509_decoder_init(&x509, NULL, NULL);
        br_x509_decoder_push(&x509, pem.objects[i].data, pem.objects[i].len);
        if (br_x509_decoder_get_pkey(&x509) != NULL)
            ends_s = ((int64_t)x509.notafter_days - EPOCH_DAYS) * 86400 + x509.notafter_seconds;
    }
    pem_file_close(&pem);
    return ends_s;
}

static int judge(const struct net_identity *id, const struct net_anchors *anchors, const char *name)
{
    br_x509_minimal_context x509;
    const br_x509_class **engine = &x509.vtable;
    br_x509_minimal_init_full(&x509, anchors->anchor, anchors->n);
    (*engine)->start_chain(engine, name);
    for (size_t i = 0; i < id->chain_len; i++) {
        (*engine)->start_cert(engine, (uint32_t)id->chain[i].data_len);
        (*engine)->append(engine, id->chain[i].data, id->chain[i].data_len);
        (*engine)->end_cert(engine);
    }
    return (int)(*engine)->end_chain(engine);
}

static int explain(const struct net_tls_files *files, const char *name, int code, char error[256])
{
    switch (code) {
    case 0:
        return 0;
    case BR_ERR_X509_BAD_SERVER_NAME:
        (void)snprintf(error, 256, "%s is not for the name %s: another's certificate?",
                       files->cert_file, name);
        break;
    case BR_ERR_X509_EXPIRED:
        (void)snprintf(error, 256, "%s has expired, or is not valid yet", files->cert_file);
        break;
    case BR_ERR_X509_NOT_TRUSTED:
    case BR_ERR_X509_BAD_SIGNATURE:
    case BR_ERR_X509_DN_MISMATCH:
    case BR_ERR_X509_NOT_CA:
        (void)snprintf(error, 256, "%s is not signed by the CA in %s", files->cert_file,
                       files->ca_file);
        break;
    default:
        (void)snprintf(error, 256, "%s would be refused by the other side (code %d)",
                       files->cert_file, code);
    }
    return -EINVAL;
}

int net_tls_check(const struct net_tls_files *files, const char *name, char error[256])
{
    struct net_identity id = {.chain_len = 0};
    struct net_anchors anchors = {.n = 0};
    if (!files->ca_file || !files->cert_file) {
        (void)snprintf(error, 256, "a CA file and a certificate file are needed");
        return -EINVAL;
    }
    int rv = net_identity_load(&id, files->cert_file, files->cert_file, error, 256);
    if (rv == 0)
        rv = net_anchors_load(&anchors, files->ca_file, error, 256);
    if (rv == 0) /* without the name first: who signed it is the graver question */
        rv = explain(files, name, judge(&id, &anchors, NULL), error);
    if (rv == 0 && name)
        rv = explain(files, name, judge(&id, &anchors, name), error);
    net_identity_close(&id);
    net_anchors_close(&anchors);
    return rv;
}
