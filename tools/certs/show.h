/* SPDX-License-Identifier: Apache-2.0
 * When the certificates of a folder end. Reads certificates only, no key.
 */
#ifndef HOLDFAST_CERTS_SHOW_H
#define HOLDFAST_CERTS_SHOW_H

#include "tools/certs/store.h"

#include <stdint.h>

#define CERTS_SHOWN_MAX 256 /* files of a folder; more are refused */

struct certs_shown {
    char file[256];
    char subject[256], issuer[256];
    int64_t ends_s; /* Unix time */
};

struct certs_list {
    struct certs_shown one[CERTS_SHOWN_MAX];
    size_t n;
};

/* The first certificate of each .pem and .crt file of the folder, those that end first in front.
 * -ENOENT: there is none; -EINVAL: a file that is no certificate. */
int certs_show(const char *dir, struct certs_list *list, struct certs_error *error)
    __attribute__((warn_unused_result));

#endif
