/* SPDX-License-Identifier: Apache-2.0
 * Opening one LMDB environment, for the stores of this folder only: looks at the file's head
 * before LMDB maps it (a cut or foreign file would fault inside LMDB), and turns LMDB's codes into
 * negative errno codes with words.
 */
#ifndef HOLDFAST_LEDGER_ENV_H
#define HOLDFAST_LEDGER_ENV_H

#include "ledger/store/why.h"

#include <lmdb.h>
#include <stdint.h>

enum env_mode {
    ENV_WRITE,
    ENV_LIVE, /* read-only, registered in the reader table */
    ENV_COPY, /* read-only, no lock file: nobody may be writing */
};

__attribute__((warn_unused_result)) int env_open(MDB_env **out, const char *dir, enum env_mode mode,
                                                 uint64_t map_bytes, unsigned tables,
                                                 struct store_why *why);
/* Frees the slots of readers that died (a killed tool): pages they saw would never be reused. Cheap:
 * before every write transaction. */
void env_sweep_readers(MDB_env *env);
/* Size of the used part of the file. */
uint64_t env_used_bytes(MDB_env *env);
/* "what: LMDB's words", and the negative errno that fits. */
__attribute__((warn_unused_result)) int env_fail(struct store_why *why, int mdb_code,
                                                 const char *what, const char *dir);
__attribute__((warn_unused_result)) int env_errno(int mdb_code);
/* A directory and, by fsync of its parent, its name in it. mode 0700. */
__attribute__((warn_unused_result)) int env_make_dir(const char *dir, struct store_why *why);
__attribute__((warn_unused_result)) int env_sync_dir(const char *dir, struct store_why *why);

#endif
