/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/net/identity.h"

#include "proto/net/pem.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RSA_BITS_MIN = 2048, RSA_BYTES_MAX = 1024 };

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

static bool is_certificate(const char *name)
{
    return strcmp(name, "CERTIFICATE") == 0 || strcmp(name, "X509 CERTIFICATE") == 0;
}

/* Copies a certificate out of the PEM object, so that the chain owns its bytes. */
static int chain_add(struct net_identity *id, struct pem_object *object)
{
    if (id->chain_len == NET_CHAIN_MAX)
        return -E2BIG;
    id->chain[id->chain_len].data = object->data;
    id->chain[id->chain_len].data_len = object->len;
    id->chain_len++;
    object->data = NULL;
    object->len = 0;
    return 0;
}

static int load_chain(struct net_identity *id, const char *file, char *error, size_t cap)
{
    struct pem_file pem;
    int rv = pem_file_load(&pem, file, error, cap);
    if (rv)
        return rv;
    for (size_t i = 0; rv == 0 && i < pem.count; i++) {
        if (is_certificate(pem.objects[i].name))
            rv = chain_add(id, &pem.objects[i]);
    }
    pem_file_close(&pem);
    if (rv)
        return fail(error, cap, rv, "%s: more than %d certificates", file, NET_CHAIN_MAX);
    if (id->chain_len == 0)
        return fail(error, cap, -EINVAL, "%s: no certificate in it", file);
    return 0;
}

static bool is_private_key(const char *name)
{
    return strcmp(name, "PRIVATE KEY") == 0 || strcmp(name, "EC PRIVATE KEY") == 0 ||
           strcmp(name, "RSA PRIVATE KEY") == 0;
}

static int decode_key(struct net_identity *id, const struct pem_object *object, const char *file,
                      char *error, size_t cap)
{
    br_skey_decoder_init(&id->key);
    br_skey_decoder_push(&id->key, object->data, object->len);
    int code = br_skey_decoder_last_error(&id->key);
    if (code)
        return fail(error, cap, -EINVAL, "%s: cannot decode the private key (code %d)", file, code);
    int type = br_skey_decoder_key_type(&id->key);
    if (type == BR_KEYTYPE_RSA && br_skey_decoder_get_rsa(&id->key)->n_bitlen < RSA_BITS_MIN)
        return fail(error, cap, -EINVAL, "%s: RSA key shorter than %d bits", file, RSA_BITS_MIN);
    if (type == BR_KEYTYPE_EC) {
        int curve = br_skey_decoder_get_ec(&id->key)->curve;
        if (curve != BR_EC_secp256r1 && curve != BR_EC_secp384r1 && curve != BR_EC_secp521r1)
            return fail(error, cap, -EINVAL, "%s: EC key on an unsupported curve", file);
    }
    return 0;
}

static int take_key(struct net_identity *id, const struct pem_file *pem, const char *file,
                    char *error, size_t cap)
{
    for (size_t i = 0; i < pem->count; i++) {
        if (strcmp(pem->objects[i].name, "ENCRYPTED PRIVATE KEY") == 0)
            return fail(error, cap, -EINVAL, "%s: the private key is encrypted", file);
        if (is_private_key(pem->objects[i].name))
            return decode_key(id, &pem->objects[i], file, error, cap);
    }
    return fail(error, cap, -EINVAL, "%s: no private key in it", file);
}

static int load_key(struct net_identity *id, const char *file, char *error, size_t cap)
{
    struct pem_file pem;
    int rv = pem_file_load(&pem, file, error, cap);
    if (rv)
        return rv;
    rv = take_key(id, &pem, file, error, cap);
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
static int check_pair(struct net_identity *id, const char *chain_file, const char *key_file,
                      char *error, size_t cap)
{
    br_x509_decoder_context decoder;
    br_x509_decoder_init(&decoder, NULL, NULL);
    br_x509_decoder_push(&decoder, id->chain[0].data, id->chain[0].data_len);
    const br_x509_pkey *pk = br_x509_decoder_get_pkey(&decoder);
    if (!pk)
        return fail(error, cap, -EINVAL, "%s: cannot decode the first certificate (code %d)",
                    chain_file, br_x509_decoder_last_error(&decoder));
    int type = br_skey_decoder_key_type(&id->key);
    bool same = pk->key_type == (unsigned char)type;
    if (same && type == BR_KEYTYPE_RSA)
        same = rsa_matches(br_skey_decoder_get_rsa(&id->key), &pk->key.rsa);
    else if (same)
        same = ec_matches(br_skey_decoder_get_ec(&id->key), &pk->key.ec);
    if (!same)
        return fail(error, cap, -EINVAL, "%s is not the key of the first certificate in %s",
                    key_file, chain_file);
    return 0;
}

int net_identity_load(struct net_identity *id, const char *chain_file, const char *key_file,
                      char *error, size_t cap)
{
    *id = (struct net_identity){.chain_len = 0};
    int rv = load_chain(id, chain_file, error, cap);
    if (rv == 0)
        rv = load_key(id, key_file, error, cap);
    return rv == 0 ? check_pair(id, chain_file, key_file, error, cap) : rv;
}

void net_identity_close(struct net_identity *id)
{
    for (size_t i = 0; i < id->chain_len; i++)
        free(id->chain[i].data);
    explicit_bzero(id, sizeof *id);
}

/* ---- the CAs ---- */

struct name {
    unsigned char bytes[1024];
    size_t n;
    bool full;
};

static void on_name(void *ctx, const void *p, size_t n)
{
    struct name *name = ctx;
    if (n > sizeof name->bytes - name->n) {
        name->full = true;
        return;
    }
    memcpy(name->bytes + name->n, p, n);
    name->n += n;
}

static unsigned char *copy(const void *p, size_t n)
{
    unsigned char *out = malloc(n ? n : 1);
    if (out && n)
        memcpy(out, p, n);
    return out;
}

/* The decoder's key and name live in the decoder: the anchor gets its own. */
static int copy_key(br_x509_pkey *out, const br_x509_pkey *in)
{
    *out = *in;
    if (in->key_type == BR_KEYTYPE_EC) {
        out->key.ec.q = copy(in->key.ec.q, in->key.ec.qlen);
        return out->key.ec.q ? 0 : -ENOMEM;
    }
    out->key.rsa.n = copy(in->key.rsa.n, in->key.rsa.nlen);
    out->key.rsa.e = copy(in->key.rsa.e, in->key.rsa.elen);
    return out->key.rsa.n && out->key.rsa.e ? 0 : -ENOMEM;
}

static int anchor_add(struct net_anchors *a, const struct pem_object *object)
{
    struct name name = {.n = 0};
    br_x509_decoder_context decoder;
    if (a->n == NET_ANCHORS_MAX)
        return -E2BIG;
    br_x509_decoder_init(&decoder, on_name, &name);
    br_x509_decoder_push(&decoder, object->data, object->len);
    const br_x509_pkey *key = br_x509_decoder_get_pkey(&decoder);
    if (!key || name.full)
        return -EBADMSG;
    br_x509_trust_anchor *anchor = &a->anchor[a->n++];
    *anchor = (br_x509_trust_anchor){.flags = br_x509_decoder_isCA(&decoder) ? BR_X509_TA_CA : 0U};
    anchor->dn.data = copy(name.bytes, name.n);
    anchor->dn.len = name.n;
    int rv = copy_key(&anchor->pkey, key);
    return anchor->dn.data ? rv : -ENOMEM;
}

int net_anchors_load(struct net_anchors *a, const char *file, char *error, size_t cap)
{
    struct pem_file pem;
    *a = (struct net_anchors){.n = 0};
    int rv = pem_file_load(&pem, file, error, cap);
    if (rv)
        return rv;
    for (size_t i = 0; rv == 0 && i < pem.count; i++)
        if (is_certificate(pem.objects[i].name))
            rv = anchor_add(a, &pem.objects[i]);
    pem_file_close(&pem);
    if (rv == -EBADMSG)
        return fail(error, cap, -EINVAL, "%s: a CA certificate in it cannot be decoded", file);
    if (rv)
        return fail(error, cap, rv, "%s: more than %d CA certificates, or no memory", file,
                    NET_ANCHORS_MAX);
    if (a->n == 0)
        return fail(error, cap, -EINVAL, "%s: no CA certificate in it", file);
    return 0;
}

void net_anchors_close(struct net_anchors *a)
{
    for (size_t i = 0; i < a->n; i++) {
        br_x509_pkey *key = &a->anchor[i].pkey;
        free(a->anchor[i].dn.data);
        if (key->key_type == BR_KEYTYPE_EC) {
            free(key->key.ec.q);
        } else {
            free(key->key.rsa.n);
            free(key->key.rsa.e);
        }
    }
    a->n = 0;
}
