/* SPDX-License-Identifier: Apache-2.0
 * A ledger node: one loop thread (the caller of node_run) owns consensus, the state machine and all
 * that decides; the log thread and the checkpoint thread do I/O and post to its
 * inbox. A failure of any part ends the process: nothing is decided on top of a disk that failed.
 */
#ifndef HOLDFAST_LEDGER_NODE_H
#define HOLDFAST_LEDGER_NODE_H

#include "ledger/config.h"

/* Exit codes of holdfast-ledger; its --help lists them. */
enum node_exit {
    NODE_EXIT_OK = 0,       /* stopped by SIGTERM or SIGINT */
    NODE_EXIT_FATAL = 1,    /* a disk failed, an address is not to be had, or an invariant broke:
                             * the last log line says which */
    NODE_EXIT_USAGE = 2,    /* command line or configuration */
    NODE_EXIT_DATA = 3,     /* the data directory was refused */
    NODE_EXIT_DIVERGED = 4, /* this node's state differs from the majority's */
};

/* Makes the data directory of a new cluster's node; join: of one that joins a running cluster. */
__attribute__((warn_unused_result)) enum node_exit node_create(const struct node_config *config,
                                                               bool join);
/* Whether the data directory is missing or empty, so that node_create may be called. */
bool node_dir_empty(const struct node_config *config);
/* Opens everything, prints the ready line on stdout, and runs until a signal or a failure. SIGTERM
 * and SIGINT must be blocked in the calling thread, and no other thread may run yet. */
__attribute__((warn_unused_result)) enum node_exit node_run(const struct node_config *config);

#endif
