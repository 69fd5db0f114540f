/* SPDX-License-Identifier: Apache-2.0
 * Raft's promises, held against what every engine believes and what every disk holds: after each
 * event and at each message, not only once harm is done. Both simulators call it; nothing here
 * changes anything.
 */
#ifndef HOLDFAST_TESTS_SIM_ENGINE_H
#define HOLDFAST_TESTS_SIM_ENGINE_H

#include "ledger/raft/notice.h"
#include "ledger/raft/pump.h"

/* One node from outside. */
struct engine_node {
    const struct pump *pump; /* NULL: down */
    uint64_t disk_term, disk_vote;
    uint64_t safe;   /* entries 1 .. safe are on disk and survive a power loss at any moment */
    uint64_t last;   /* entries on disk */
    uint64_t held;   /* the same; or before it was lost, as it gets them again */
    uint64_t forgot; /* what it acknowledged to here before it began with nothing may come late */
    bool idle;       /* no write is under way */
    uint64_t change; /* newest configuration in the log, as handed to the disk; 0: not known */
    unsigned voters; /* bits by id, by that configuration; 0: not known */
    const void *log;
    uint64_t (*term_at)(const void *log, uint64_t index); /* index <= safe */
};

struct engine_view {
    struct engine_node node[PUMP_SERVERS_MAX + 1]; /* 1 .. n */
    unsigned n;
    char why[300];
};

/* Notes it; false, for callers' use. */
__attribute__((format(printf, 2, 3))) bool engine_broken(struct engine_view *v, const char *format,
                                                         ...);
/* Whether all holds; else what does not is in why.
 * - term and vote in memory are the durable ones
 * - where no write is under way, the log on disk ends where the engine's does
 * - what an engine calls stored is, to stay; applied <= stored, applied <= committed <= last
 * - a follower that has not heard of a newer term holds, durably, what its leader counts
 * - one leader a term at a time; the configuration in force is the newest in the log */
bool engine_holds(struct engine_view *v);

/* What leaves a node is true: a vote is durable, an acknowledgement names durable entries; and it
 * is nothing that no node can serve. */
bool engine_may_send(struct engine_view *v, unsigned from, const void *head, size_t head_len,
                     const void *body, size_t body_len);
/* Those that vote by an encoded configuration: bits by id. */
unsigned engine_voters(const void *conf, size_t len);
/* A configuration was cut off its log: it stops, and wants to be started again. */
bool engine_restarts(const struct pump *p);
/* What a node tells about itself in it. */
bool engine_notice(const void *bytes, size_t len, struct notice *out);
/* Whether it says that entries to `last` are stored, in `term`. */
bool engine_success(const void *bytes, size_t len, uint64_t *term, uint64_t *last);
/* For traces: what the message says, in a few words. */
const char *engine_message_text(const void *head, size_t head_len, const void *body,
                                size_t body_len);

#endif
