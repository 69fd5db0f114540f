/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/certs/show.h"

#include <dirent.h>
#include <errno.h>
#include <mbedtls/x509_crt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static bool is_certificate(const char *name)
{
    size_t n = strlen(name);
    return n > 4 && (strcmp(name + n - 4, ".pem") == 0 || strcmp(name + n - 4, ".crt") == 0);
}

static int64_t unix_time(const mbedtls_x509_time *t)
{
    struct tm tm = {.tm_year = t->year - 1900,
                    .tm_mon = t->mon - 1,
                    .tm_mday = t->day,
                    .tm_hour = t->hour,
                    .tm_min = t->min,
                    .tm_sec = t->sec};
    return (int64_t)timegm(&tm);
}

static int show_one(const char *dir, const char *file, struct certs_shown *out,
                    struct certs_error *error)
{
    char path[CERTS_PATH_MAX];
    mbedtls_x509_crt crt;
    if (snprintf(path, sizeof path, "%s/%s", dir, file) >= (int)sizeof path ||
        snprintf(out->file, sizeof out->file, "%s", file) >= (int)sizeof out->file)
        return certs_fail(error, -ENAMETOOLONG, "%s/%s: the path is too long", dir, file);
    mbedtls_x509_crt_init(&crt);
    int rc = mbedtls_x509_crt_parse_file(&crt, path);
    if (rc != 0) {
        mbedtls_x509_crt_free(&crt);
        return certs_fail(error, -EINVAL, "%s: no certificate can be read from it", path);
    }
    if (mbedtls_x509_dn_gets(out->subject, sizeof out->subject, &crt.subject) < 0)
        out->subject[0] = '\0';
    if (mbedtls_x509_dn_gets(out->issuer, sizeof out->issuer, &crt.issuer) < 0)
        out->issuer[0] = '\0';
    out->ends_s = unix_time(&crt.valid_to);
    mbedtls_x509_crt_free(&crt);
    return 0;
}

static int by_end(const void *a, const void *b)
{
    const struct certs_shown *x = a, *y = b;
    if (x->ends_s != y->ends_s)
        return x->ends_s < y->ends_s ? -1 : 1;
    return strcmp(x->file, y->file);
}

int certs_show(const char *dir, struct certs_list *list, struct certs_error *error)
{
    DIR *folder = opendir(dir);
    struct dirent *e;
    int rc = 0;
    list->n = 0;
    if (folder == NULL)
        return certs_fail(error, -errno, "%s: %s", dir, strerror(errno));
    while (rc == 0 && (e = readdir(folder)) != NULL) {
        if (!is_certificate(e->d_name))
            continue;
        if (list->n == CERTS_SHOWN_MAX)
            rc = certs_fail(error, -E2BIG, "%s: more than %d certificates", dir, CERTS_SHOWN_MAX);
        else
            rc = show_one(dir, e->d_name, &list->one[list->n++], error);
    }
    closedir(folder);
    if (rc == 0 && list->n == 0)
        rc = certs_fail(error, -ENOENT, "%s: no .pem and no .crt file in it", dir);
    if (rc == 0)
        qsort(list->one, list->n, sizeof list->one[0], by_end);
    return rc;
}
