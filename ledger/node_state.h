/* SPDX-License-Identifier: Apache-2.0
 * The insides of a node, for the files that make up its loop: node.c (open, close), loop.c (events
 * and timers), host.c (what the pump calls), propose.c (what becomes an entry), answer.c
 * (requests). Everything here is the loop thread's.
 */
#ifndef HOLDFAST_LEDGER_NODE_STATE_H
#define HOLDFAST_LEDGER_NODE_STATE_H

#include "ledger/checkpoint.h"
#include "ledger/clock.h"
#include "ledger/inbox.h"
#include "ledger/intake.h"
#include "ledger/node.h"
#include "ledger/raft/peers.h"
#include "ledger/reads.h"
#include "ledger/report/drift.h"
#include "ledger/serve/port.h"
#include "ledger/store/data_dir.h"
#include "ledger/store/log_thread.h"

enum {
    NODE_REDIAL_MS = 2000,      /* silent peers are dialled anew this often */
    NODE_SILENT_MS = 2000,      /* nothing taken from it for so long */
    NODE_CLOCK_EVERY_MS = 1000, /* the clock guard looks */
    NODE_STOP_MS = 1000,        /* for handing leadership over at a stop */
    NODE_BUSY_RETRY_MS = 20,    /* told to callers when the intake is full */
    NODE_WAIT_MAX_MS = 1000,    /* the loop wakes up at least this often */
};

struct node {
    const struct node_config *config;
    struct inbox *inbox;
    /* disk */
    struct data_dir_config dir_config;
    struct data_dir dir;
    struct state_reader reader;
    struct log_page page; /* of read_entries */
    struct log_thread *log;
    struct checkpoint_thread *checkpointer;
    struct checkpoint checkpoint;
    /* deciding */
    struct core_machine *machine;
    struct drift drift;
    struct pump *pump;
    struct pump_now now; /* of the event being handled */
    enum pump_role role; /* as the pump told last */
    uint64_t term, leader;
    uint64_t leader_ms;    /* since when we lead */
    bool role_changed;     /* open requests have not been told yet */
    uint64_t genesis_term; /* we proposed the genesis in this term */
    bool clock_out;        /* our clock is outside the bound: propose nothing */
    uint64_t clock_ms;     /* the guard looks next */
    uint64_t clock_term;   /* of our leadership in which a majority has been heard */
    /* talking */
    struct peers *peers;
    uint64_t redial_ms; /* the next look for silent peers */
    struct serve_port *port;
    struct intake intake;
    struct reads reads;
    uint8_t *answer; /* PROTO_ANSWER_MAX bytes */
    /* ending */
    bool stopping;
    uint64_t stop_by_ms;
    bool failed;
    enum node_exit exit;
};

/* Logs the reason and ends the loop; the first one counts. Returns -EIO, for callers' use. */
int node_fail(struct node *n, enum node_exit code, const char *what, const char *why);
/* rv of a pump event. */
void node_pump_result(struct node *n, int rv);

/* host.c */
struct pump_io node_pump_io(struct node *n);

/* propose.c: everything that may become an entry now. */
void node_propose(struct node *n);
/* When the leader wants to propose an empty batch (mono_ms; UINT64_MAX: not). */
uint64_t node_tick_ms(const struct node *n);
void node_clock_guard(struct node *n);

/* answer.c */
void node_on_request(struct node *n, struct serve_request *r);
void node_on_complete(void *ctx, struct serve_request *r, enum proto_reply_status status);
void node_reply(struct node *n, struct serve_request *r, enum proto_reply_status status,
                const char *detail);
void node_answer_query(struct node *n, struct serve_request *r);
/* Tells open requests that leadership is gone (or, stopping, that the node is). */
void node_drop_requests(struct node *n, enum proto_reply_status waiting);

/* loop.c */
void node_loop(struct node *n);
void node_finish(struct node *n); /* last checkpoint after the loop */

#endif
