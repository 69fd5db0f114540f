/* SPDX-License-Identifier: Apache-2.0
 * Loads the certificate chain and key, owns the session cache, and makes engines for connections.
 * Loading: main thread at start. Sessions: any worker; only the cache is shared and written, under
 * its mutex. Key bytes are wiped on free and never logged.
 */
#include "edge/http/tls.h"

#include "edge/http/tls_session.h"
#include "proto/net/identity.h"
#include "proto/net/tls.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CACHE_BYTES = 1 << 20, /* about 10,000 sessions; the oldest give way */
};

/* BearSSL calls the cache through this vtable from any worker's handshake. */
struct shared_cache {
    const br_ssl_session_cache_class *vtable; /* first: BearSSL's object layout */
    pthread_mutex_t mutex;
    br_ssl_session_cache_lru lru;
    unsigned char store[CACHE_BYTES];
};

struct edge_http_tls {
    struct net_identity identity;
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
    if (!tls) {
        (void)snprintf(error, error_cap, "no memory for the TLS context");
        return -ENOMEM;
    }
    cache_init(&tls->cache);
    int rv = net_identity_load(&tls->identity, chain_file, key_file, error, error_cap);
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
    net_identity_close(&tls->identity);
    pthread_mutex_destroy(&tls->cache.mutex);
    explicit_bzero(tls, sizeof *tls);
    free(tls);
}

static const char *const PROTOCOLS[] = {"http/1.1"};

struct http_tls_session *http_tls_session_new(struct edge_http_tls *tls)
{
    const struct net_identity *id = &tls->identity;
    struct http_tls_session *s = malloc(sizeof *s);
    if (!s)
        return NULL;
    s->sending = 0;
    /* The issuer's key type matters to static ECDH only, which is not offered. */
    if (br_skey_decoder_key_type(&id->key) == BR_KEYTYPE_RSA)
        br_ssl_server_init_full_rsa(&s->server, id->chain, id->chain_len,
                                    br_skey_decoder_get_rsa(&id->key));
    else
        br_ssl_server_init_full_ec(&s->server, id->chain, id->chain_len, BR_KEYTYPE_EC,
                                   br_skey_decoder_get_ec(&id->key));
    br_ssl_engine_context *engine = &s->server.eng;
    br_ssl_engine_set_versions(engine, BR_TLS12, BR_TLS12);
    br_ssl_engine_set_suites(engine, net_tls_suites, NET_TLS_SUITES);
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
