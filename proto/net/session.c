/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/net/session.h"

#include "proto/net/identity.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct net_tls {
    struct net_identity identity;
    struct net_anchors anchors;
};

int net_tls_load(struct net_tls **out, const struct net_tls_files *files, char error[256])
{
    if (!files->ca_file || !files->cert_file) {
        (void)snprintf(error, 256, "a CA file and a certificate file are needed");
        return -EINVAL;
    }
    struct net_tls *tls = calloc(1, sizeof *tls);
    if (!tls) {
        (void)snprintf(error, 256, "out of memory");
        return -ENOMEM;
    }
    int rv = net_identity_load(&tls->identity, files->cert_file, files->cert_file, error, 256);
    if (rv == 0)
        rv = net_anchors_load(&tls->anchors, files->ca_file, error, 256);
    if (rv != 0) {
        net_tls_free(tls);
        return rv;
    }
    *out = tls;
    return 0;
}

void net_tls_free(struct net_tls *tls)
{
    if (!tls)
        return;
    net_identity_close(&tls->identity);
    net_anchors_close(&tls->anchors);
    free(tls);
}

const uint16_t net_tls_suites[NET_TLS_SUITES] = {
    BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    BR_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    BR_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    BR_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
};

static void init_client(struct net_session *s, const struct net_tls *tls)
{
    const struct net_identity *id = &tls->identity;
    br_ssl_client_context *c = &s->side.client;
    br_ssl_client_init_full(c, &s->x509, tls->anchors.anchor, tls->anchors.n);
    if (br_skey_decoder_key_type(&id->key) == BR_KEYTYPE_RSA)
        br_ssl_client_set_single_rsa(c, id->chain, id->chain_len, br_skey_decoder_get_rsa(&id->key),
                                     br_rsa_pkcs1_sign_get_default());
    else /* the issuer's key type matters to static ECDH only, which is not offered */
        br_ssl_client_set_single_ec(c, id->chain, id->chain_len, br_skey_decoder_get_ec(&id->key),
                                    BR_KEYTYPE_SIGN, BR_KEYTYPE_EC, br_ec_get_default(),
                                    br_ecdsa_sign_asn1_get_default());
    s->engine = &c->eng;
}

/* A client without a certificate is refused: BR_OPT_TOLERATE_NO_CLIENT_AUTH is not set. */
static void init_server(struct net_session *s, const struct net_tls *tls)
{
    const struct net_identity *id = &tls->identity;
    br_ssl_server_context *c = &s->side.server;
    if (br_skey_decoder_key_type(&id->key) == BR_KEYTYPE_RSA)
        br_ssl_server_init_full_rsa(c, id->chain, id->chain_len, br_skey_decoder_get_rsa(&id->key));
    else
        br_ssl_server_init_full_ec(c, id->chain, id->chain_len, BR_KEYTYPE_EC,
                                   br_skey_decoder_get_ec(&id->key));
    s->engine = &c->eng;
    br_x509_minimal_init_full(&s->x509, tls->anchors.anchor, tls->anchors.n);
    br_ssl_engine_set_x509(s->engine, &s->x509.vtable);
    br_ssl_engine_set_default_ecdsa(s->engine);
    br_ssl_engine_set_default_rsavrfy(s->engine);
    br_ssl_server_set_trust_anchor_names_alt(c, tls->anchors.anchor, tls->anchors.n);
}

struct net_session *net_session_new(const struct net_tls *tls, const char *server_name)
{
    struct net_session *s = malloc(sizeof *s);
    if (!s)
        return NULL;
    if (server_name)
        init_client(s, tls);
    else
        init_server(s, tls);
    br_ssl_engine_set_versions(s->engine, BR_TLS12, BR_TLS12);
    br_ssl_engine_set_suites(s->engine, net_tls_suites, NET_TLS_SUITES);
    br_ssl_engine_add_flags(s->engine, BR_OPT_NO_RENEGOTIATION |
                                           (server_name ? 0U : BR_OPT_ENFORCE_SERVER_PREFERENCES));
    br_ssl_engine_set_buffers_bidi(s->engine, s->in, sizeof s->in, s->out, sizeof s->out);
    int ok = server_name ? br_ssl_client_reset(&s->side.client, server_name, 0)
                         : br_ssl_server_reset(&s->side.server);
    if (!ok) {
        net_session_free(s);
        return NULL;
    }
    return s;
}

void net_session_free(struct net_session *s)
{
    if (!s)
        return;
    explicit_bzero(s, sizeof *s); /* traffic keys, clear text */
    free(s);
}

const char *net_session_cause(const struct net_session *s)
{
    int e = br_ssl_engine_last_error(s->engine);
    if (e >= BR_ERR_SEND_FATAL_ALERT)
        e -= BR_ERR_SEND_FATAL_ALERT;
    else if (e >= BR_ERR_RECV_FATAL_ALERT)
        return "TLS: the other side refused us: our certificate is not of its CA, or not valid";
    switch (e) {
    case BR_ERR_OK:
        return "closed by the other side";
    case BR_ERR_NO_CLIENT_AUTH:
        return "TLS: the other side shows no certificate";
    case BR_ERR_X509_EXPIRED:
    case BR_ERR_X509_TIME_UNKNOWN:
        return "TLS: the other side's certificate has expired or is not valid yet (or our clock is "
               "wrong)";
    case BR_ERR_X509_NOT_TRUSTED:
    case BR_ERR_X509_BAD_SIGNATURE:
    case BR_ERR_X509_DN_MISMATCH:
    case BR_ERR_X509_NOT_CA:
        return "TLS: the other side's certificate is not of our CA";
    case BR_ERR_X509_BAD_SERVER_NAME:
        return "TLS: the server's certificate is for another name";
    case BR_ERR_BAD_MAC:
        return "TLS: damaged record";
    case BR_ERR_UNSUPPORTED_VERSION:
    case BR_ERR_BAD_VERSION:
    case BR_ERR_BAD_CIPHER_SUITE:
        return "TLS: no version or cipher suite in common";
    default:
        return e >= BR_ERR_X509_OK ? "TLS: the other side's certificate cannot be accepted"
                                   : "TLS: what came is no TLS that we speak";
    }
}
