/* SPDX-License-Identifier: Apache-2.0
 * A node's directory: DIR/LOCK (flock: one process), DIR/vote, DIR/log, DIR/state.
 * Opening checks identity, format and readability of every part and refuses with a reason; the
 * readability check runs in a forked child, because LMDB may fault on damaged pages. Call it
 * before any thread is started.
 */
#ifndef HOLDFAST_LEDGER_DATA_DIR_H
#define HOLDFAST_LEDGER_DATA_DIR_H

#include "ledger/store/log_store.h"
#include "ledger/store/state_store.h"
#include "ledger/store/vote_store.h"

struct data_dir_config {
    struct log_store_config log;
    struct state_store_config state;
    uint64_t trail_entries; /* entries handed to consensus at a start; 0: 4 million. A follower
                               that is further behind has to be seeded */
};

struct data_dir {
    int lock_fd;
    struct vote_store *vote;
    struct log_store *log;
    struct state_store *state;
};

/* Makes a new node: DIR is created or must be empty. Every node of a new cluster is created with
 * the same configuration entry (pump_encode_servers), which becomes entry 1, term 1. conf_len 0: a
 * node that joins a running cluster and gets its whole log from there. */
__attribute__((warn_unused_result)) int data_dir_create(const char *dir,
                                                        const struct node_identity *id,
                                                        const void *conf, size_t conf_len,
                                                        struct store_why *why);
/* For those who fill a directory themselves (a restore, a seeding). begin: DIR is created or must
 * be empty; it is locked. end: with rv 0 the vote is made, and from then on it is a node's
 * directory; else what was begun is deleted. Returns rv, or why it could not end. */
__attribute__((warn_unused_result)) int data_dir_begin(const char *dir, int *lock_fd,
                                                       struct store_why *why);
__attribute__((warn_unused_result)) int data_dir_end(const char *dir, int lock_fd,
                                                     const struct node_identity *id,
                                                     const struct node_vote *vote, int rv,
                                                     struct store_why *why);
/* As end with rv 0, for those who can go on later: where it could not end, all stays. */
__attribute__((warn_unused_result)) int data_dir_end_or_keep(const char *dir, int lock_fd,
                                                             const struct node_identity *id,
                                                             const struct node_vote *vote,
                                                             struct store_why *why);
/* Takes up what was begun and not ended; -EEXIST: it is a node's directory already. */
__attribute__((warn_unused_result)) int data_dir_resume(const char *dir, int *lock_fd,
                                                        struct store_why *why);
void data_dir_release(int lock_fd);

/* -EBUSY: another process has it. -ENOENT: not a node's directory (create it first). -EXDEV:
 * another cluster or node. -ENOTSUP: written by a newer version. -EUCLEAN: damaged or incomplete.
 */
__attribute__((warn_unused_result)) int data_dir_open(struct data_dir *d, const char *dir,
                                                      const struct node_identity *want,
                                                      const struct data_dir_config *config,
                                                      struct store_why *why);
void data_dir_close(struct data_dir *d);

/* What pump_start needs; close it with log_recovered_close after that. */
__attribute__((warn_unused_result)) int data_dir_recover(struct data_dir *d,
                                                         const struct data_dir_config *config,
                                                         struct log_recovered *out,
                                                         struct store_why *why);

#endif
