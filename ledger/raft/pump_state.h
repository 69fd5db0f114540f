/* SPDX-License-Identifier: Apache-2.0
 * The pump's inside, shared by pump.c (life, events, getters), pump_step.c (one raft_step and its
 * effects), pump_send.c (outgoing messages) and pump_receive.c (incoming ones).
 */
#ifndef HOLDFAST_LEDGER_PUMP_STATE_H
#define HOLDFAST_LEDGER_PUMP_STATE_H

#include "ledger/raft/guard.h"
#include "ledger/raft/message.h"
#include "ledger/raft/pump.h"
#include "ledger/raft/tail.h"

enum {
    PEERS_MAX = 32,              /* senders remembered; messages of further ones are dropped */
    HAND_BYTES_MAX = 128 << 20,  /* payload waiting for the disk; past it AppendEntries are
                                    dropped and come again */
    READ_MAX = PUMP_MESSAGE_MAX, /* bytes asked of the log at once */
    BAD_MESSAGE_EVERY_MS = 1000,
    /* Entries the engine's trail keeps behind a marker. It counts in 32 bits, so it must not grow
     * for ever; followers further behind are seeded anyway. */
    MARKER_TRAILING = 1 << 30,
};

struct peer {
    uint64_t id; /* 0: free */
    uint64_t sequence_out;
    uint64_t incarnation_in, sequence_in;
    uint64_t heard_ms;
    uint64_t led_ms; /* its last entries or heartbeat */
    uint64_t denies_ms; /* since when it turns down what it had acknowledged; 0: it does not */
    int64_t clock_us, clock_here_us;
    uint32_t level, flags;        /* of its last notice */
    uint64_t seed_told_ms;        /* 0: never */
    uint64_t stand_in_ms;         /* last heartbeat in place of an InstallSnapshot; 0: never */
    uint64_t probed, probed_term; /* where it was asked for the trail last, and as whose leader */
};

/* Appends in hand, oldest first: a ring, with the block each holds on to. */
struct appends {
    struct guard_append range[PUMP_APPENDS_MAX];
    struct block *block[PUMP_APPENDS_MAX];
    uint64_t payload[PUMP_APPENDS_MAX]; /* bytes */
    unsigned head, n;
    uint64_t bytes; /* payload of all */
};

struct pump {
    struct raft raft;
    struct pump_config config;
    struct pump_io io;
    char address[PUMP_ADDRESS_MAX];
    char from[PUMP_ADDRESS_MAX]; /* of the sender of the message in hand */
    uint64_t incarnation;
    struct pump_now now;
    uint64_t ticked_ms;

    struct term_runs runs; /* the log as the engine sees it, stored or not */
    struct tail tail;
    struct appends appends;
    uint64_t first; /* the engine's trail begins here; all before is applied */
    uint64_t keep;  /* where it may begin from the next marker on; 0: nothing was said */
    uint64_t commit, applied, applied_term, marker;
    struct log_conf applied_conf;
    uint64_t last_change; /* index of the newest configuration in the log */

    struct peer peers[PEERS_MAX];
    enum pump_role told_role;
    uint64_t told_term, told_leader;
    bool told_any;
    uint64_t bad_told_ms;

    bool engine; /* raft_init was called */
    bool busy;   /* inside an event: callbacks must not come back */
    bool applying;
    bool restarting; /* a configuration was truncated: drain the disk, then start anew */
    bool failed;
    char error[256];
    struct pump_stats stats;

    /* The body encoded last, kept while a step sends: both followers mostly get the same one. */
    bool body_valid;
    struct raft_append_entries body_of;
    uint64_t body_last;
    size_t body_len;
    uint8_t body[PUMP_MESSAGE_MAX + MESSAGE_BODY_OVERHEAD];

    struct log_entry outgoing[MESSAGE_ENTRIES_MAX];

    struct message message; /* the one being taken, its entries and the engine's view of them */
    struct log_entry decoded[MESSAGE_ENTRIES_MAX];
    struct raft_entry engine_entries[MESSAGE_ENTRIES_MAX];
};

/* Final: remembers the reason, returns -EIO. */
__attribute__((format(printf, 2, 3))) int pump_die(struct pump *p, const char *format, ...);

/* One raft_step with all its effects. `block` holds the entries of the event, if it has any, and is
 * the engine's batch; `request` is the message being answered. *code is libraft's own refusal (0:
 * none), for the events that may be refused; without `code` a refusal is final. */
__attribute__((warn_unused_result)) int pump_step(struct pump *p, struct raft_event *event,
                                                  struct block *block,
                                                  const struct raft_message *request, int *code);
/* Applies what is committed and stored. */
__attribute__((warn_unused_result)) int pump_apply(struct pump *p);
/* Entry `index` and what follows, at least one: from the tail or the log. */
__attribute__((warn_unused_result)) int pump_entries(struct pump *p, uint64_t index, unsigned n,
                                                     const struct log_entry **out);
__attribute__((warn_unused_result)) int pump_send_messages(struct pump *p,
                                                           const struct raft_update *update,
                                                           const struct raft_message *request);
struct peer *pump_peer_of(struct pump *p, uint64_t id); /* NULL: table full */
/* Tells the host, now and then, that `id` cannot be served from the log. */
void pump_seed_needed(struct pump *p, uint64_t id);
__attribute__((warn_unused_result)) int pump_decode_conf(struct pump *p, const void *data, size_t n,
                                                         struct raft_configuration *out);
__attribute__((warn_unused_result)) int pump_enter(struct pump *p, struct pump_now now);
__attribute__((warn_unused_result)) int pump_leave(struct pump *p, int rv);

#endif
