/* SPDX-License-Identifier: Apache-2.0
 * Configuration files: INI by inih. A file is read whole; getters mark keys as known, and whatever
 * is left unknown at the end is an error that names file and line, so that a misspelt key never
 * passes silently. Every error text reads "FILE:LINE: cause". Main thread, at start.
 *
 * A section is written `[kind]` or `[kind name]`; `;` and `#` start a comment line. Lines may be
 * indented. A value ends with its line, which is shorter than 200 bytes; comments are as long as
 * they like.
 */
#ifndef HOLDFAST_BASE_CONF_H
#define HOLDFAST_BASE_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BASE_CONF_ERROR = 512, BASE_CONF_FILE_MAX = 1024 * 1024 };

struct base_conf;

/* 0, -ENOENT / -EACCES ..., -EINVAL (not an INI file, a key twice in a section), -EFBIG, -ENOMEM.
 */
__attribute__((warn_unused_result)) int base_conf_load(struct base_conf **out, const char *path,
                                                       char error[BASE_CONF_ERROR]);
void base_conf_free(struct base_conf *c);
const char *base_conf_path(const struct base_conf *c);

/* The i-th section's text between the brackets ("provider openai"), in file order; NULL: no more.
 */
const char *base_conf_section(const struct base_conf *c, unsigned i);
/* The name of a section of that kind ("openai" of "provider openai"); NULL: of another kind. */
const char *base_conf_name(const char *section, const char *kind);

/* The value, NULL where the key does not stand there. */
const char *base_conf_get(struct base_conf *c, const char *section, const char *key);

/* Typed getters. Absent: *out keeps the default it was set to and 0 is returned, but for `need`,
 * where absence is an error. -EINVAL: error names file, line, key and what was expected. */
__attribute__((warn_unused_result)) int base_conf_need(struct base_conf *c, const char *section,
                                                       const char *key, const char **out,
                                                       char error[BASE_CONF_ERROR]);
__attribute__((warn_unused_result)) int base_conf_int(struct base_conf *c, const char *section,
                                                      const char *key, int64_t min, int64_t max,
                                                      int64_t *out, char error[BASE_CONF_ERROR]);
__attribute__((warn_unused_result)) int base_conf_bool(struct base_conf *c, const char *section,
                                                       const char *key, bool *out,
                                                       char error[BASE_CONF_ERROR]);
/* A path: relative ones are relative to the folder of the file. *out is malloc'ed (or NULL). */
__attribute__((warn_unused_result)) int base_conf_path_of(struct base_conf *c, const char *section,
                                                          const char *key, bool need, char **out,
                                                          char error[BASE_CONF_ERROR]);
/* "HOST:PORT" or "[v6]:PORT" into host (cap bytes, without brackets) and port. */
__attribute__((warn_unused_result)) int base_conf_address(struct base_conf *c, const char *section,
                                                          const char *key, char *host, size_t cap,
                                                          uint16_t *port,
                                                          char error[BASE_CONF_ERROR]);
/* An error at a key that the caller found wrong: "FILE:LINE: [section] key: cause". Returns
 * -EINVAL. */
__attribute__((format(printf, 5, 6))) int base_conf_fail(struct base_conf *c, const char *section,
                                                         const char *key,
                                                         char error[BASE_CONF_ERROR],
                                                         const char *format, ...);
/* -EINVAL and the first key that nobody asked for. Call it last. */
__attribute__((warn_unused_result)) int base_conf_done(const struct base_conf *c,
                                                       char error[BASE_CONF_ERROR]);

/* "HOST:PORT" split; false: not such a text. */
bool base_address_split(const char *text, char *host, size_t cap, uint16_t *port);

#endif
