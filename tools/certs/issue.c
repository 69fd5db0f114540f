/* SPDX-License-Identifier: Apache-2.0
 * Makes keys and certificates with mbedTLS, 2.28 (Debian 12) and 3.6 (Debian 13). One struct
 * `work` holds everything a certificate's making allocates, so that one close undoes it.
 * The generator is seeded from the kernel for each certificate; the tool makes a dozen, once.
 */
#include "tools/certs/certs.h"
#include "tools/certs/san.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/ecp.h>
#include <mbedtls/entropy.h>
#include <mbedtls/error.h>
#include <mbedtls/oid.h>
#include <mbedtls/pk.h>
#include <mbedtls/platform_util.h>
#include <mbedtls/version.h>
#include <mbedtls/x509_crt.h>

#define SERIAL_LEN 16
#define SUBJECT_MAX (CERTS_NAME_MAX + 32)
#define CLOCK_SKEW_S 86400 /* certificates hold from a day ago: machines' clocks differ */

struct work {
    mbedtls_entropy_context entropy;
    mbedtls_ctr_drbg_context random;
    mbedtls_pk_context key;        /* of the new certificate */
    mbedtls_pk_context issuer_key; /* of the CA, when it is another */
    mbedtls_x509_crt issuer;
    mbedtls_x509write_cert cert;
};

int certs_fail(struct certs_error *error, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(error->text, sizeof error->text, format, args);
    va_end(args);
    return code;
}

static int fail_tls(struct certs_error *error, const char *what, int code)
{
    char cause[128];
    mbedtls_strerror(code, cause, sizeof cause);
    return certs_fail(error, -EINVAL, "%s: %s", what, cause);
}

void certs_pair_close(struct certs_pair *pair)
{
    mbedtls_platform_zeroize(pair->key_pem, sizeof pair->key_pem);
    pair->cert_pem[0] = '\0';
}

int certs_name_check(const char *name, struct certs_error *error)
{
    static const char fit[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-";
    size_t len = strlen(name);
    if (len == 0 || len > CERTS_NAME_MAX || strspn(name, fit) != len || name[0] == '.' ||
        name[0] == '-')
        return certs_fail(error, -EINVAL,
                          "'%.80s' is no name: 1 to %d letters, digits, '.' or '-', the first a "
                          "letter or digit",
                          name, CERTS_NAME_MAX);
    return 0;
}

static int work_init(struct work *work, struct certs_error *error)
{
    static const unsigned char label[] = "holdfast certs";
    int rc;
    mbedtls_entropy_init(&work->entropy);
    mbedtls_ctr_drbg_init(&work->random);
    mbedtls_pk_init(&work->key);
    mbedtls_pk_init(&work->issuer_key);
    mbedtls_x509_crt_init(&work->issuer);
    mbedtls_x509write_crt_init(&work->cert);
    rc = mbedtls_ctr_drbg_seed(&work->random, mbedtls_entropy_func, &work->entropy, label,
                               sizeof label);
    return rc == 0 ? 0 : fail_tls(error, "no randomness", rc);
}

static void work_close(struct work *work)
{
    mbedtls_x509write_crt_free(&work->cert);
    mbedtls_x509_crt_free(&work->issuer);
    mbedtls_pk_free(&work->issuer_key);
    mbedtls_pk_free(&work->key);
    mbedtls_ctr_drbg_free(&work->random);
    mbedtls_entropy_free(&work->entropy);
}

static int make_key(struct work *work)
{
    int rc = mbedtls_pk_setup(&work->key, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY));
    if (rc != 0)
        return rc;
    return mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(work->key),
                               mbedtls_ctr_drbg_random, &work->random);
}

static int set_serial(struct work *work)
{
    unsigned char serial[SERIAL_LEN];
    int rc = mbedtls_ctr_drbg_random(&work->random, serial, sizeof serial);
    if (rc != 0)
        return rc;
    serial[0] = (unsigned char)((serial[0] & 0x7f) | 0x40); /* positive, and never shorter */
#if MBEDTLS_VERSION_NUMBER >= 0x03040000
    return mbedtls_x509write_crt_set_serial_raw(&work->cert, serial, sizeof serial);
#else
    mbedtls_mpi number;
    mbedtls_mpi_init(&number);
    rc = mbedtls_mpi_read_binary(&number, serial, sizeof serial);
    if (rc == 0)
        rc = mbedtls_x509write_crt_set_serial(&work->cert, &number);
    mbedtls_mpi_free(&number);
    return rc;
#endif
}

static int set_validity(struct work *work, int days)
{
    char from_text[16];
    char to_text[16];
    struct tm from_tm;
    struct tm to_tm;
    time_t now = time(NULL);
    time_t from = now - CLOCK_SKEW_S;
    time_t to = now + (time_t)days * 86400;
    if (gmtime_r(&from, &from_tm) == NULL || gmtime_r(&to, &to_tm) == NULL)
        return MBEDTLS_ERR_X509_INVALID_DATE;
    if (strftime(from_text, sizeof from_text, "%Y%m%d%H%M%S", &from_tm) != 14 ||
        strftime(to_text, sizeof to_text, "%Y%m%d%H%M%S", &to_tm) != 14)
        return MBEDTLS_ERR_X509_INVALID_DATE;
    return mbedtls_x509write_crt_set_validity(&work->cert, from_text, to_text);
}

/* extKeyUsage (RFC 5280, 4.2.1.12): id-kp-serverAuth is 1.3.6.1.5.5.7.3.1, id-kp-clientAuth ...2 */
static int set_extended_usage(struct work *work, unsigned usage)
{
    static const unsigned char server[] = {0x06, 0x08, 0x2b, 0x06, 0x01,
                                           0x05, 0x05, 0x07, 0x03, 0x01};
    static const unsigned char client[] = {0x06, 0x08, 0x2b, 0x06, 0x01,
                                           0x05, 0x05, 0x07, 0x03, 0x02};
    unsigned char value[2 + sizeof server + sizeof client] = {0x30, 0};
    size_t len = 2;
    if (usage & CERTS_SERVER) {
        memcpy(value + len, server, sizeof server);
        len += sizeof server;
    }
    if (usage & CERTS_CLIENT) {
        memcpy(value + len, client, sizeof client);
        len += sizeof client;
    }
    value[1] = (unsigned char)(len - 2);
    return mbedtls_x509write_crt_set_extension(&work->cert, MBEDTLS_OID_EXTENDED_KEY_USAGE,
                                               MBEDTLS_OID_SIZE(MBEDTLS_OID_EXTENDED_KEY_USAGE), 0,
                                               value, len);
}

/* What a CA and a certificate have in common. The issuer's key is set, its name is not. */
static int describe(struct work *work, const char *common_name, int days,
                    mbedtls_pk_context *issuer_key)
{
    char subject[SUBJECT_MAX];
    int rc;
    snprintf(subject, sizeof subject, "CN=%s,O=Holdfast", common_name);
    mbedtls_x509write_crt_set_version(&work->cert, MBEDTLS_X509_CRT_VERSION_3);
    mbedtls_x509write_crt_set_md_alg(&work->cert, MBEDTLS_MD_SHA256);
    mbedtls_x509write_crt_set_subject_key(&work->cert, &work->key);
    mbedtls_x509write_crt_set_issuer_key(&work->cert, issuer_key);
    if ((rc = mbedtls_x509write_crt_set_subject_name(&work->cert, subject)) != 0)
        return rc;
    if ((rc = set_serial(work)) != 0)
        return rc;
    if ((rc = set_validity(work, days)) != 0)
        return rc;
    if ((rc = mbedtls_x509write_crt_set_subject_key_identifier(&work->cert)) != 0)
        return rc;
    return mbedtls_x509write_crt_set_authority_key_identifier(&work->cert);
}

static int describe_ca(struct work *work, const char *common_name)
{
    char issuer[SUBJECT_MAX];
    int rc = make_key(work);
    if (rc != 0)
        return rc;
    if ((rc = describe(work, common_name, CERTS_CA_DAYS, &work->key)) != 0)
        return rc;
    snprintf(issuer, sizeof issuer, "CN=%s,O=Holdfast", common_name);
    if ((rc = mbedtls_x509write_crt_set_issuer_name(&work->cert, issuer)) != 0)
        return rc;
    if ((rc = mbedtls_x509write_crt_set_basic_constraints(&work->cert, 1, 0)) != 0)
        return rc;
    return mbedtls_x509write_crt_set_key_usage(&work->cert, MBEDTLS_X509_KU_KEY_CERT_SIGN |
                                                                MBEDTLS_X509_KU_CRL_SIGN);
}

static int describe_leaf(struct work *work, const struct certs_request *request,
                         const struct certs_san *san)
{
    char issuer[1024];
    int rc = make_key(work);
    if (rc != 0)
        return rc;
    if ((rc = describe(work, request->common_name, request->days, &work->issuer_key)) != 0)
        return rc;
    if ((rc = mbedtls_x509_dn_gets(issuer, sizeof issuer, &work->issuer.subject)) < 0)
        return rc;
    if ((rc = mbedtls_x509write_crt_set_issuer_name(&work->cert, issuer)) != 0)
        return rc;
    if ((rc = mbedtls_x509write_crt_set_basic_constraints(&work->cert, 0, -1)) != 0)
        return rc;
    if ((rc = mbedtls_x509write_crt_set_key_usage(&work->cert, MBEDTLS_X509_KU_DIGITAL_SIGNATURE)))
        return rc;
    if ((rc = set_extended_usage(work, request->usage)) != 0)
        return rc;
    return mbedtls_x509write_crt_set_extension(&work->cert, MBEDTLS_OID_SUBJECT_ALT_NAME,
                                               MBEDTLS_OID_SIZE(MBEDTLS_OID_SUBJECT_ALT_NAME), 0,
                                               san->bytes, san->len);
}

/* Signs, and writes both texts. On failure neither is left behind. */
static int write_pair(struct work *work, struct certs_pair *pair)
{
    int rc =
        mbedtls_x509write_crt_pem(&work->cert, (unsigned char *)pair->cert_pem,
                                  sizeof pair->cert_pem, mbedtls_ctr_drbg_random, &work->random);
    if (rc == 0)
        rc = mbedtls_pk_write_key_pem(&work->key, (unsigned char *)pair->key_pem,
                                      sizeof pair->key_pem);
    if (rc != 0)
        certs_pair_close(pair);
    return rc;
}

static int load_issuer(struct work *work, const struct certs_pair *ca, struct certs_error *error)
{
    const unsigned char *cert = (const unsigned char *)ca->cert_pem;
    const unsigned char *key = (const unsigned char *)ca->key_pem;
    int rc = mbedtls_x509_crt_parse(&work->issuer, cert, strlen(ca->cert_pem) + 1);
    if (rc != 0)
        return fail_tls(error, "the CA's certificate cannot be read", rc);
#if MBEDTLS_VERSION_NUMBER >= 0x03000000
    rc = mbedtls_pk_parse_key(&work->issuer_key, key, strlen(ca->key_pem) + 1, NULL, 0,
                              mbedtls_ctr_drbg_random, &work->random);
    if (rc == 0)
        rc = mbedtls_pk_check_pair(&work->issuer.pk, &work->issuer_key, mbedtls_ctr_drbg_random,
                                   &work->random);
#else
    rc = mbedtls_pk_parse_key(&work->issuer_key, key, strlen(ca->key_pem) + 1, NULL, 0);
    if (rc == 0)
        rc = mbedtls_pk_check_pair(&work->issuer.pk, &work->issuer_key);
#endif
    if (rc != 0)
        return fail_tls(error, "the CA's key cannot be read, or is of another certificate", rc);
    return 0;
}

/* A certificate that outlives its CA would fail one day with nobody expecting it. */
static int check_outlives(const struct work *work, int days, struct certs_error *error)
{
    const mbedtls_x509_time *end = &work->issuer.valid_to;
    struct tm tm = {.tm_year = end->year - 1900, .tm_mon = end->mon - 1, .tm_mday = end->day};
    double left_s = difftime(timegm(&tm), time(NULL));
    if (left_s < (double)days * 86400.0)
        return certs_fail(
            error, -EINVAL,
            "the CA ends on %04d-%02d-%02d: a certificate of %d days would outlive it", end->year,
            end->mon, end->day, days);
    return 0;
}

int certs_ca_make(const char *common_name, struct certs_pair *ca, struct certs_error *error)
{
    struct work work;
    int rc = certs_name_check(common_name, error);
    if (rc != 0)
        return rc;
    rc = work_init(&work, error);
    if (rc == 0) {
        int tls = describe_ca(&work, common_name);
        if (tls == 0)
            tls = write_pair(&work, ca);
        if (tls != 0)
            rc = fail_tls(error, "cannot make a CA", tls);
    }
    work_close(&work);
    return rc;
}

int certs_issue(const struct certs_pair *ca, const struct certs_request *request,
                struct certs_pair *pair, struct certs_error *error)
{
    struct work work;
    struct certs_san san;
    int rc = certs_name_check(request->common_name, error);
    if (rc != 0)
        return rc;
    if (request->days < 1 || request->days > CERTS_DAYS_MAX)
        return certs_fail(error, -EINVAL, "a certificate holds for 1 to %d days, not %d",
                          CERTS_DAYS_MAX, request->days);
    rc = certs_san_encode(request->hosts, request->n_hosts, &san, error);
    if (rc != 0)
        return rc;
    rc = work_init(&work, error);
    if (rc == 0)
        rc = load_issuer(&work, ca, error);
    if (rc == 0)
        rc = check_outlives(&work, request->days, error);
    if (rc == 0) {
        int tls = describe_leaf(&work, request, &san);
        if (tls == 0)
            tls = write_pair(&work, pair);
        if (tls != 0)
            rc = fail_tls(error, "cannot make a certificate", tls);
    }
    work_close(&work);
    return rc;
}
