/* SPDX-License-Identifier: Apache-2.0
 * Up to three pumps whose messages and writes the test carries itself.
 */
#ifndef HOLDFAST_TESTS_HOSTS_H
#define HOLDFAST_TESTS_HOSTS_H

#include "ledger/raft/guard.h"
#include "ledger/raft/message.h"
#include "ledger/raft/pump.h"

enum { HOSTS = 3, HOST_QUEUE = 4096 };

struct letter {
    uint64_t to;
    size_t n;
    uint8_t *bytes;
};

struct host {
    struct pump *pump;
    uint64_t id, applied, commands;
    unsigned nodes;
    struct guard_append writes[HOST_QUEUE];
    struct letter out[HOST_QUEUE];
    unsigned n_out, n_writes; /* n_writes: not told yet */
    uint64_t cut_off;         /* what it sends to this node is lost */
    bool vote_fails;
    uint64_t seed_needed; /* the node it was said of last */
};

extern struct host hosts[HOSTS + 1]; /* by id; the first one is none */
extern struct pump_now hosts_now;

/* disable_guards: of enum pump_guard. */
void hosts_start(unsigned nodes, unsigned disable_guards);
void hosts_stop(unsigned nodes);
/* Until nobody has anything to say. */
void hosts_settle(unsigned nodes);
void host_persist(struct host *h);
/* A few of its messages; false if it has none. */
bool host_deliver(struct host *h);
void host_elect(unsigned i, unsigned nodes);
/* Lets a heartbeat pass. */
void host_beat(struct host *h);
void host_submit(struct host *h, const void *p, size_t n);
/* The three members as `h` has them in its log; the last one joins, or votes. */
int host_change(struct host *h, bool joining, uint64_t *index);
bool host_third_joins(const struct host *h);
/* A message that node 2 might send to node 1. */
int host_receive_append(uint64_t term, uint64_t prev, uint64_t prev_term, const struct log_entry *e,
                        unsigned n);

#endif
