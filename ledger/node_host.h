/* SPDX-License-Identifier: Apache-2.0
 * The process around the deciding part: node.c (open, close), loop.c (the loop thread), node_io.c
 * (effects by threads, LMDB and sockets).
 */
#ifndef HOLDFAST_LEDGER_NODE_HOST_H
#define HOLDFAST_LEDGER_NODE_HOST_H

#include "ledger/inbox.h"
#include "ledger/metrics.h"
#include "ledger/node_state.h"
#include "ledger/raft/peers.h"
#include "ledger/seed/server.h"
#include "ledger/serve/port.h"
#include "ledger/store/archive_thread.h"
#include "ledger/store/checkpoint_thread.h"
#include "ledger/store/data_dir.h"
#include "ledger/store/log_thread.h"

struct node_host {
    struct node node;
    struct inbox *inbox;
    struct data_dir_config dir_config;
    struct data_dir dir;
    struct state_reader reader;
    struct log_page page; /* of read_entries */
    struct log_thread *log;
    struct checkpoint_thread *checkpointer;
    struct seed_server *seeds;
    struct archive_thread *archiver; /* NULL: nothing to archive or trim */
    struct net_thread *net;          /* the loop's sockets */
    bool ended;                      /* the loop: whoever still asks is told so */
    struct peers *peers;
    struct serve_port *port;
    struct node_metrics *metrics; /* NULL: not asked for */
};

struct node_io node_host_io(struct node_host *h);

void node_host_loop(struct node_host *h);
/* Last checkpoint after the loop. */
void node_host_finish(struct node_host *h);

#endif
