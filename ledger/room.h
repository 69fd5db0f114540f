/* SPDX-License-Identifier: Apache-2.0
 * Room on the disks. A node whose data file system has less than its bound free is short, until a
 * quarter more than the bound is free again. The leader takes nothing new (holds, and whatever else
 * makes the ledger grow) while a node is short and fewer than a majority are known to have room;
 * what is open goes on to be settled and released. A leader that is short itself hands over to a
 * node with room. Pure functions; the loop thread's.
 */
#ifndef HOLDFAST_LEDGER_ROOM_H
#define HOLDFAST_LEDGER_ROOM_H

#include "ledger/config.h"
#include "ledger/raft/pump.h"

enum {
    ROOM_EVERY_MS = 1000,    /* the disk is asked this often */
    ROOM_FRESH_MS = 5000,    /* a peer heard longer ago is not known to have room */
    ROOM_HEARD_MS = 500,     /* a new leader decides once those that are there have been heard */
    ROOM_HANDOVER_MS = 5000, /* between two attempts to hand over */
    ROOM_RETRY_MS = 5000,    /* told to callers */
};

struct room {
    uint64_t free_bytes, total_bytes; /* as asked last */
    bool known, is_short;
};

/* The bound of a disk of that size. */
uint64_t room_bound(const struct node_config *config, uint64_t total_bytes);
void room_look(struct room *r, const struct node_config *config, uint64_t free_bytes,
               uint64_t total_bytes);

/* Whether new work is to be refused. peers: all servers but ourselves. */
bool room_refuses(bool we_are_short, const struct pump_peer *peers, unsigned n, uint64_t mono_ms);
/* A voter with room that has all that is committed; 0: none. */
uint64_t room_heir(const struct pump_peer *peers, unsigned n, uint64_t mono_ms, uint64_t commit);
/* Whether a command of the kind may be refused for want of room. */
bool room_grows(unsigned kind);

#endif
