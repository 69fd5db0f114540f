/* SPDX-License-Identifier: Apache-2.0
 * The objects of a PEM file, decoded. At start, any one thread.
 */
#ifndef HOLDFAST_PROTO_NET_PEM_H
#define HOLDFAST_PROTO_NET_PEM_H

#include <stddef.h>

enum { PEM_OBJECTS_MAX = 16, PEM_NAME_MAX = 64, PEM_FILE_BYTES_MAX = 1 << 20 };

struct pem_object {
    char name[PEM_NAME_MAX]; /* "CERTIFICATE" ... */
    unsigned char *data;
    size_t len;
};

struct pem_file {
    struct pem_object objects[PEM_OBJECTS_MAX];
    size_t count;
};

/* Negative errno with a sentence in error; *pem needs closing on success only. */
__attribute__((warn_unused_result)) int pem_file_load(struct pem_file *pem, const char *file,
                                                      char *error, size_t cap);
/* Wipes and frees what is left in it. */
void pem_file_close(struct pem_file *pem);

#endif
