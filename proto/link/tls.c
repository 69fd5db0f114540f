/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/link/tls.h"

#include <errno.h>
#include <nng/supplemental/tls/tls.h>
#include <stdio.h>
#include <string.h>

static int fail(char error[256], const char *file, const char *what, int rv)
{
    (void)snprintf(error, 256, "%s: %s: %s", file, what,
                   rv == NNG_ENOENT    ? strerror(ENOENT)
                   : rv == NNG_ECRYPTO ? "not readable as PEM, or its parts do not belong together"
                                       : nng_strerror(rv));
    if (rv == NNG_ENOMEM)
        return -ENOMEM;
    return rv == NNG_ENOENT ? -ENOENT : rv == NNG_EPERM ? -EACCES : -EINVAL;
}

static int load(nng_tls_config **out, nng_tls_mode mode, const struct link_tls_files *files,
                char error[256])
{
    nng_tls_config *t;
    if (!files->ca_file || !files->cert_file) {
        (void)snprintf(error, 256, "a CA file and a certificate file are needed");
        return -EINVAL;
    }
    int rv = nng_tls_config_alloc(&t, mode);
    if (rv != 0)
        return fail(error, "TLS", "configuration", rv);
    const char *file = files->cert_file, *what = "certificate and key";
    rv = nng_tls_config_cert_key_file(t, files->cert_file, NULL);
    if (rv == 0) {
        file = files->ca_file;
        what = "CA certificate";
        rv = nng_tls_config_ca_file(t, files->ca_file);
    }
    if (rv == 0)
        rv = nng_tls_config_auth_mode(t, NNG_TLS_AUTH_MODE_REQUIRED);
    if (rv != 0) {
        nng_tls_config_free(t);
        return fail(error, file, what, rv);
    }
    *out = t;
    return 0;
}

int link_tls_dialer(nng_dialer d, const struct link_tls_files *files, const char *server_name,
                    char error[256])
{
    nng_tls_config *t;
    if (!server_name || !server_name[0]) {
        (void)snprintf(error, 256, "the server's name is needed: it is checked");
        return -EINVAL;
    }
    int rv = load(&t, NNG_TLS_MODE_CLIENT, files, error);
    if (rv != 0)
        return rv;
    rv = nng_tls_config_server_name(t, server_name);
    if (rv == 0)
        rv = nng_dialer_set_ptr(d, NNG_OPT_TLS_CONFIG, t); /* keeps its own reference */
    nng_tls_config_free(t);
    return rv == 0 ? 0 : fail(error, server_name, "TLS of a dialer", rv);
}

int link_tls_listener(nng_listener l, const struct link_tls_files *files, char error[256])
{
    nng_tls_config *t;
    int rv = load(&t, NNG_TLS_MODE_SERVER, files, error);
    if (rv != 0)
        return rv;
    rv = nng_listener_set_ptr(l, NNG_OPT_TLS_CONFIG, t);
    nng_tls_config_free(t);
    return rv == 0 ? 0 : fail(error, files->cert_file, "TLS of a listener", rv);
}

int link_tls_check(const struct link_tls_files *files, char error[256])
{
    nng_tls_config *t;
    int rv = load(&t, NNG_TLS_MODE_CLIENT, files, error);
    if (rv == 0)
        nng_tls_config_free(t);
    return rv;
}
