/* SPDX-License-Identifier: Apache-2.0
 * Backup of a node, running or not, and restore to the nodes of a new cluster (F45).
 *
 * A backup is taken on the node's machine, by a process of its own that reads the node's LMDB
 * environments. It holds the state at one index and the log up to there, and nothing later, so all
 * of it is committed. The state is copied in one read transaction (a consistent copy needs one:
 * while it lasts, pages that the node frees are not reused, so the target should be as fast as the
 * disk); the log is read in short ones. Both are held against each other before it counts.
 *
 * A restore makes the data directory of one node of a cluster with a UUID of its own, so that nodes
 * of the old one, should they come back, are strangers. Every record, hold and command id is as it
 * was; one entry is added, the same on every node: the configuration of the new cluster. All nodes
 * of a new cluster are restored from the same backup.
 */
#ifndef HOLDFAST_LEDGER_BACKUP_H
#define HOLDFAST_LEDGER_BACKUP_H

#include "ledger/backup/manifest.h"

/* What a long work tells; `total` 0: unknown. false: stop (-ECANCELED). NULL: nobody watches. */
struct backup_watch {
    void *ctx;
    bool (*on_progress)(void *ctx, const char *what, uint64_t done, uint64_t total);
};

/* data: a node's directory. to: must not exist; it appears when all is durable. want: whose it must
 * be (NULL: anybody's). -EEXIST: of `to` alone, -EINVAL: there is no folder for it, -ENODATA:
 * nothing to back up yet, -EXDEV, -EUCLEAN: damaged, or the
 * node is marked as diverged. */
__attribute__((warn_unused_result)) int
backup_take(const char *data, const char *to, const struct node_identity *want,
            const struct backup_watch *watch, struct backup_manifest *out, struct store_why *why);

struct restore_config {
    const char *data;        /* must be missing or empty */
    struct node_identity id; /* of the new node */
    const void *conf;        /* its cluster's servers (pump_encode_servers) */
    size_t conf_len;
    uint64_t segment_bytes;
};
/* -EEXIST: data is not empty. -EINVAL: the new cluster has the old one's UUID. -EUCLEAN: the backup
 * is damaged or its parts do not belong together. A restore that failed leaves
 * nothing behind. */
__attribute__((warn_unused_result)) int
restore_make(const char *from, const struct restore_config *config,
             const struct backup_watch *watch, struct backup_manifest *out, struct store_why *why);

/* SHA-256 and length of a file. */
__attribute__((warn_unused_result)) int backup_sum_file(const char *path, struct proto_hash *sum,
                                                        uint64_t *bytes, struct store_why *why);

#endif
