/* SPDX-License-Identifier: Apache-2.0
 * Changes single bytes of a data directory, through LMDB (so that the database stays sound and only
 * the content lies) or in the file itself. Each change can be undone by doing it again.
 */
#ifndef HOLDFAST_TESTS_REPLAY_DAMAGE_H
#define HOLDFAST_TESTS_REPLAY_DAMAGE_H

#include <stddef.h>
#include <stdint.h>

/* Tables: "log/<first>" with entries, runs, confs; "state" with records, meta. */
struct damage_table {
    char path[512]; /* of the environment */
    const char *table;
};

/* Number of records; lengths of number n's key and value. Any failure ends the program. */
size_t damage_count(const struct damage_table *t);
void damage_lengths(const struct damage_table *t, size_t n, size_t *klen, size_t *vlen);
/* value[offset] ^= mask of record number n. */
void damage_value(const struct damage_table *t, size_t n, size_t offset, uint8_t mask);
/* Makes the checksum of a log entry right again: a forger would. */
void damage_mend_entry(const struct damage_table *t, size_t n);
/* key[offset] ^= mask: the record moves. Returns its new number. */
size_t damage_key(const struct damage_table *t, size_t n, size_t offset, uint8_t mask);
void damage_delete(const struct damage_table *t, size_t n);

long damage_file_size(const char *path);
void damage_file(const char *path, long offset, uint8_t mask);
void damage_cut(const char *path, long size);
/* Copies the files of a directory tree; `to` must not exist. */
void damage_copy(const char *from, const char *to);
void damage_remove(const char *dir);

#endif
