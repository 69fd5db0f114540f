/* SPDX-License-Identifier: Apache-2.0
 * Loads the certificate chain and key, owns the session cache, and makes engines for connections.
 * Loading: main thread at start. Sessions: any worker; only the cache is shared and written, under
 * its mutex. Key bytes are wiped on free and never logged.
 */
#include "edge/http/tls.h"

#include "edge/http/pem.h"
#include "edge/http/tls_session.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHAIN_MAX = 8,
    CACHE_BYTES = 1 << 20, /* about 10,000 sessions; the oldest give way */
    RSA_BITS_MIN = 2048,
    RSA_BYTES_MAX = 1024,
};

/* BearSSL calls the cache through this vtable from any worker's handshake. */
struct shared_cache {
    const br_ssl_session_cache_class *vtable; /* first: BearSSL's object layout */
    pthread_mutex_t mutex;
    br_ssl_session_cache_lru lru;
    unsigned char store[CACHE_BYTES];
};

struct edge_http_tls {
    br_x509_certificate chain[CHAIN_MAX];
    size_t chain_len;
    br_skey_decoder_context key;
    struct shared_cache cache;
};

static void cache_save(const br_ssl_session_cache_class **ctx, br_ssl_server_context *server,
                       const br_ssl_session_parameters *params)
{
    struct shared_cache *cache = (struct shared_cache *)(uintptr_t)ctx;
    pthread_mutex_lock(&cache->mutex);
    cache->lru.vtable->save(&cache->lru.vtable, server, params);
    pthread_mutex_unlock(&cache->mutex);
}

static int cache_load(const br_ssl_session_cache_class **ctx, br_ssl_server_context *server,
                      br_ssl_session_parameters *params)
{
    struct shared_cache *cache = (struct shared_cache *)(uintptr_t)ctx;
    pthread_mutex_lock(&cache->mutex);
    int found = cache->lru.vtable->load(&cache->lru.vtable, server, params);
    pthread_mutex_unlock(&cache->mutex);
    return found;
}

static const br_ssl_session_cache_class SHARED_CACHE = {
    sizeof(struct shared_cache),
    cache_save,
    cache_load,
};

static int fail(char *error, size_t cap, int rv, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static int fail(char *error, size_t cap, int rv, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    (void)vsnprintf(error, cap, format, ap);
    va_end(ap);
    return rv;
}

/* Copies a certificate out of the PEM object, so that the chain owns its bytes. */
static int chain_add(struct edge_http_tls *tls, struct pem_object *object)
{
    if (tls->chain_len == CHAIN_MAX)
        return -E2BIG;
    tls->chain[tls->chain_len].data = object->data;
    tls->chain[tls->chain_len].data_len = object->len;
    tls->chain_len++;
    object->data = NULL;
    object->len = 0;
    return 0;
}

static int load_chain(struct edge_http_tls *tls, const char *file, char *error, size_t cap)
{
    struct pem_file pem;
    int rv = pem_file_load(&pem, file, error, cap);
    if (rv)
        return rv;
    for (size_t i = 0; rv == 0 && i < pem.count; i++) {
        if (strcmp(pem.objects[i].name, "CERTIFICATE") == 0 ||
            strcmp(pem.objects[i].name, "X509 CERTIFICATE") == 0)
            rv = chain_add(tls, &pem.objects[i]);
    }
    pem_file_close(&pem);
    if (rv)
        return fail(error, cap, rv, "%s: more than %d certificates", file, CHAIN_MAX);
    if (tls->chain_len == 0)
        return fail(error, cap, -EINVAL, "%s: no certificate in it", file);
    return 0;
}

static bool is_private_key(const char *name)
{
    return strcmp(name, "PRIVATE KEY") == 0 || strcmp(name, "EC PRIVATE KEY") == 0 ||
           strcmp(name, "RSA PRIVATE KEY") == 0;
}

static int decode_key(struct edge_http_tls *tls, const struct pem_object *object, const char *file,
                      char *error, size_t cap)
{
    br_skey_decoder_init(&tls->key);
    br_skey_decoder_push(&tls->key, object->data, object->len);
    int code = br_skey_decoder_last_error(&tls->key);
    if (code)
        return fail(error, cap, -EINVAL, "%s: cannot decode the private key (code %d)", file, code);
    int type = br_skey_decoder_key_type(&tls->key);
    if (type == BR_KEYTYPE_RSA && br_skey_decoder_get_rsa(&tls->key)->n_bitlen < RSA_BITS_MIN)
        return fail(error, cap, -EINVAL, "%s: RSA key shorter than %d bits", file, RSA_BITS_MIN);
    if (type == BR_KEYTYPE_EC) {
        int curve = br_skey_decoder_get_ec(&tls->key)->curve;
        if (curve != BR_EC_secp256r1 && curve != BR_EC_secp384r1 && curve != BR_EC_secp521r1)
            return fail(error, cap, -EINVAL, "%s: EC key on an unsupported curve", file);
    }
    return 0;
}

static int load_key(struct edge_http_tls *tls, const char *file, char *error, size_t cap)
{
    struct pem_file pem;
    int rv = pem_file_load(&pem, file, error, cap);
    if (rv)
        return rv;
    rv = fail(error, cap, -EINVAL, "%s: no private key in it", file);
    for (size_t i = 0; i < pem.count; i++) {
        if (strcmp(pem.objects[i].name, "ENCRYPTED PRIVATE KEY") == 0) {
            rv = fail(error, cap, -EINVAL, "%s: the private key is encrypted", file);
            break;
        }
        if (is_private_key(pem.objects[i].name)) {
            rv = decode_key(tls, &pem.objects[i], file, error, cap);
            break;
        }
    }
    pem_file_close(&pem);
    return rv;
}

static bool rsa_matches(const br_rsa_private_key *sk, const br_rsa_public_key *pk)
{
    unsigned char n[RSA_BYTES_MAX];
    br_rsa_compute_modulus compute = br_rsa_compute_modulus_get_default();
    size_t len = compute(NULL, sk);
    if (len == 0 || len > sizeof n || compute(n, sk) != len)
        return false;
    const unsigned char *p = pk->n;
    size_t p_len = pk->nlen;
    while (p_len && *p == 0) {
        p++;
        p_len--;
    }
    return p_len == len && memcmp(p, n, len) == 0;
}

static bool ec_matches(const br_ec_private_key *sk, const br_ec_public_key *pk)
{
    unsigned char q[BR_EC_KBUF_PUB_MAX_SIZE];
    size_t len = br_ec_compute_pub(br_ec_get_default(), NULL, q, sk);
    return sk->curve == pk->curve && len == pk->qlen && memcmp(q, pk->q, len) == 0;
}

/* A key that is not the certificate's fails every handshake: better said at start. */
static int check_pair(struct edge_http_tls *tls, const char *chain_file, const char *key_file,
                      char *error, size_t cap)
{
    br_x509_decoder_context decoder;
    br_x509_decoder_init(&decoder, NULL, NULL);
    br_x509_decoder_push(&decoder, tls->chain[0].data, tls->chain[0].data_len);
    const br_x509_pkey *pk = br_x509_decoder_get_pkey(&decoder);
    if (!pk)
        return fail(error, cap, -EINVAL, "%s: cannot decode the first certificate (code %d)",
                    chain_file, br_x509_decoder_last_error(&decoder));
    int type = br_skey_decoder_key_type(&tls->key);
    bool same = pk->key_type == (unsigned char)type;
    if (same && type == BR_KEYTYPE_RSA)
        same = rsa_matches(br_skey_decoder_get_rsa(&tls->key), &pk->key.rsa);
    else if (same)
        same = ec_matches(br_skey_decoder_get_ec(&tls->key), &pk->key.ec);
    if (!same)
        return fail(error, cap, -EINVAL, "%s is not the key of the first certificate in %s",
                    key_file, chain_file);
    return 0;
}

static void cache_init(struct shared_cache *cache)
{
    cache->vtable = &SHARED_CACHE;
    pthread_mutex_init(&cache->mutex, NULL);
    br_ssl_session_cache_lru_init(&cache->lru, cache->store, sizeof cache->store);
}

int edge_http_tls_new(struct edge_http_tls **out, const char *chain_file, const char *key_file,
                      char *error, size_t error_cap)
{
    struct edge_http_tls *tls = calloc(1, sizeof *tls);
    if (!tls)
        return fail(error, error_cap, -ENOMEM, "no memory for the TLS context");
    cache_init(&tls->cache);
    int rv = load_chain(tls, chain_file, error, error_cap);
    if (rv == 0)
        rv = load_key(tls, key_file, error, error_cap);
    if (rv == 0)
        rv = check_pair(tls, chain_file, key_file, error, error_cap);
    if (rv) {
        edge_http_tls_free(tls);
        return rv;
    }
    *out = tls;
    return 0;
}

void edge_http_tls_free(struct edge_http_tls *tls)
{
    if (!tls)
        return;
    for (size_t i = 0; i < tls->chain_len; i++)
        free(tls->chain[i].data);
    pthread_mutex_destroy(&tls->cache.mutex);
    explicit_bzero(tls, sizeof *tls);
    free(tls);
}

/* AEAD suites with forward secrecy only, AES-GCM first: every TLS 1.2 client in use has one. */
static const uint16_t SUITES[] = {
    BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    BR_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    BR_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    BR_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
};
static const char *const PROTOCOLS[] = {"http/1.1"};

struct http_tls_session *http_tls_session_new(struct edge_http_tls *tls)
{
    struct http_tls_session *s = malloc(sizeof *s);
    if (!s)
        return NULL;
    s->sending = 0;
    /* The issuer's key type matters to static ECDH only, which is not offered. */
    if (br_skey_decoder_key_type(&tls->key) == BR_KEYTYPE_RSA)
        br_ssl_server_init_full_rsa(&s->server, tls->chain, tls->chain_len,
                                    br_skey_decoder_get_rsa(&tls->key));
    else
        br_ssl_server_init_full_ec(&s->server, tls->chain, tls->chain_len, BR_KEYTYPE_EC,
                                   br_skey_decoder_get_ec(&tls->key));
    br_ssl_engine_context *engine = &s->server.eng;
    br_ssl_engine_set_versions(engine, BR_TLS12, BR_TLS12);
    br_ssl_engine_set_suites(engine, SUITES, sizeof SUITES / sizeof SUITES[0]);
    br_ssl_engine_set_protocol_names(engine, (const char **)(uintptr_t)PROTOCOLS, 1);
    br_ssl_engine_add_flags(engine, BR_OPT_ENFORCE_SERVER_PREFERENCES | BR_OPT_NO_RENEGOTIATION |
                                        BR_OPT_FAIL_ON_ALPN_MISMATCH);
    br_ssl_engine_set_buffers_bidi(engine, s->in, sizeof s->in, s->out, sizeof s->out);
    br_ssl_server_set_cache(&s->server, &tls->cache.vtable);
    if (!br_ssl_server_reset(&s->server)) {
        http_tls_session_free(s);
        return NULL;
    }
    return s;
}

void http_tls_session_free(struct http_tls_session *session)
{
    if (!session)
        return;
    explicit_bzero(session, sizeof *session); /* traffic keys, clear text */
    free(session);
}
