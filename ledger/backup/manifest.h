/* SPDX-License-Identifier: Apache-2.0
 * A backup's MANIFEST: whose it is, where it stands, and what its files must be. Text that a human
 * can read, ended by a hash of itself. Written last, so a backup without one is not whole.
 *
 *   BACKUP/MANIFEST
 *   BACKUP/state/data.mdb              the records at `index`, one LMDB file
 *   BACKUP/log/<first index>.hflog     the log up to `index` (ledger/store/log_file.h)
 */
#ifndef HOLDFAST_LEDGER_MANIFEST_H
#define HOLDFAST_LEDGER_MANIFEST_H

#include "ledger/store/archive.h"
#include "ledger/store/vote_store.h"

enum { BACKUP_FORMAT = 1 };

struct backup_manifest {
    struct node_identity taken_from; /* cluster, group and node */
    int64_t taken_us;
    uint64_t index, term; /* state and log end here */
    int64_t clock_us;
    struct proto_hash chain;
    uint64_t records, state_bytes;
    struct proto_hash state_sum; /* SHA-256 of state/data.mdb */
    uint64_t log_first;          /* > 1: what is before has been archived and trimmed */
    unsigned log_files;
    uint64_t log_bytes;         /* of the files */
    struct proto_hash log_link; /* of the last file, so of all */
};

/* dir/MANIFEST, durable. */
__attribute__((warn_unused_result)) int
backup_manifest_write(const char *dir, const struct backup_manifest *m, struct store_why *why);
/* -ENOENT: no backup, or one that was interrupted. -EUCLEAN: damaged. -ENOTSUP: newer. */
__attribute__((warn_unused_result)) int
backup_manifest_read(const char *dir, struct backup_manifest *m, struct store_why *why);

#endif
