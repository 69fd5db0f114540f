/* SPDX-License-Identifier: Apache-2.0
 * Certificate files: a file appears whole or not at all, keys are readable by their owner only,
 * and nothing that exists is replaced unless the caller says so. Errors name the file.
 */
#ifndef HOLDFAST_CERTS_STORE_H
#define HOLDFAST_CERTS_STORE_H

#include "tools/certs/certs.h"

#include <stdbool.h>
#include <sys/types.h>

#define CERTS_PATH_MAX 1024 /* bytes of a file's path, its end included */

/* Makes the folder, 0700, if it is not there; its parent must be. */
int certs_store_folder(const char *dir, struct certs_error *error)
    __attribute__((warn_unused_result));

/* Writes DIR/NAME with mode. -EEXIST if it is there and force is false. */
int certs_store_write(const char *dir, const char *name, const char *text, mode_t mode, bool force,
                      struct certs_error *error) __attribute__((warn_unused_result));

/* Reads DIR/NAME into text as a string. -EFBIG if it does not fit. */
int certs_store_read(const char *dir, const char *name, char *text, size_t size,
                     struct certs_error *error) __attribute__((warn_unused_result));

/* -EEXIST if DIR/NAME is there. */
int certs_store_absent(const char *dir, const char *name, struct certs_error *error)
    __attribute__((warn_unused_result));

/* Takes back a file written in this run; a failure to do so is left for the next run to report. */
void certs_store_remove(const char *dir, const char *name);

#endif
