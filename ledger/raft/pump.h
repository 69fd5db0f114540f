/* SPDX-License-Identifier: Apache-2.0
 * The consensus pump: libraft's raft_step with the host around it, as a deterministic object.
 * Events in, effects out through pump_io; no thread, no clock, no I/O. The node's loop thread owns
 * it; the simulator links the same object.
 *
 * Order of effects per event: term and vote durable, then entries to the log, then messages, then
 * what is committed AND stored here is applied, then role changes are told.
 * Callbacks must not call back into the pump.
 * Every event returns 0 or a negative code. -EIO (reason: pump_error) is final: the process ends.
 * -ERESTART: free the pump and start again from disk (a configuration change was truncated).
 */
#ifndef HOLDFAST_LEDGER_PUMP_H
#define HOLDFAST_LEDGER_PUMP_H

#include "ledger/raft/notice.h"
#include "ledger/store/entry.h"

#include <errno.h>

#ifndef ERESTART
#define ERESTART 85
#endif

enum {
    PUMP_SERVERS_MAX = 9,
    PUMP_ADDRESS_MAX = 128,
    PUMP_MESSAGE_MAX = 1024 * 1024,  /* bytes of one peer message we send */
    PUMP_MESSAGE_TAKE_MAX = 4 << 20, /* bytes of one peer message we take */
    PUMP_APPENDS_MAX = 1024,         /* log writes in hand; past it AppendEntries are dropped */
};

enum pump_role { PUMP_FOLLOWER, PUMP_CANDIDATE, PUMP_LEADER };

struct pump_server {
    uint64_t id; /* > 0 */
    const char *address;
};
struct pump_member {
    uint64_t id;
    const char *address;
    bool joining; /* gets the log, has no vote */
};

/* Guards around the engine that the simulator's mutation test switches off to show that it would
 * notice. Never set in a node. */
enum pump_guard {
    PUMP_GUARD_STALE_REPLY = 1,
    PUMP_GUARD_ORDER = 2,
    PUMP_GUARD_PRE_VOTE = 4,
    PUMP_GUARD_COMMIT_MAX = 8,
    PUMP_GUARD_SPLIT = 16,
    PUMP_GUARD_PERSISTED = 32, /* report only writes that no later one in hand overwrites */
    PUMP_GUARD_INSTALL = 64,
    PUMP_GUARD_TRAIL = 128,
    PUMP_GUARD_OLD_REJECTION = 256,
    PUMP_GUARD_BEGIN = 512,
    PUMP_GUARD_JOINING = 1024,
};

struct pump_config {
    struct proto_uuid cluster;
    uint16_t group;
    uint64_t id;
    const char *address;
    unsigned election_timeout_ms; /* 0: 1000 */
    unsigned heartbeat_ms;        /* 0: 100 */
    unsigned max_inflight;     /* own entries submitted and not committed: -EBUSY past it; 0: 8 */
    unsigned max_peer_entries; /* entries sent to a follower and not acknowledged; 0: 256 */
    uint64_t tail_cache_bytes; /* recent entries kept for followers; 0: 64 MiB */
    unsigned seed;             /* of the election timeouts: differs per node and start */
    unsigned disable_guards;   /* enum pump_guard bits, simulator only */
};

/* The host's clocks at the event. mono_ms never goes back within a process. */
struct pump_now {
    uint64_t mono_ms;
    int64_t wall_us;
};

struct pump_io {
    void *ctx;
    /* Durable when it returns 0. Any failure is final. */
    int (*save_term)(void *ctx, uint64_t term, uint64_t voted_for);
    /* Hand entries to the log: what it holds from entries[0].index on is dropped first. Completes
     * by one pump_persisted per call, in order; the entries and payloads live until then. */
    int (*append)(void *ctx, const struct log_entry *entries, unsigned n);
    /* Stored entries first.. : at most n, no further one past max_bytes; *out lives until the next
     * call. Returns their number (> 0) or a negative code. */
    int (*read_entries)(void *ctx, uint64_t first, unsigned n, size_t max_bytes,
                        const struct log_entry **out);
    /* Two pieces, one message. May be lost, must not block. */
    void (*send)(void *ctx, uint64_t peer, const void *head, size_t head_len, const void *body,
                 size_t body_len);
    /* Every committed entry that is stored here, in order, all kinds (only ENTRY_COMMAND has
     * meaning for the state machine). Non-zero is final. */
    int (*apply)(void *ctx, const struct log_entry *entry);
    /* leader is 0 while unknown. */
    void (*on_role)(void *ctx, enum pump_role role, uint64_t term, uint64_t leader);
    /* `peer` is behind our log and needs a copy of the state (peer == own id: we do). At most once
     * every PUMP_SEED_EVERY_MS. */
    void (*on_seed_needed)(void *ctx, uint64_t peer);
    /* A peer's message was dropped: why, for the log. At most one a second; counted in any case. */
    void (*on_bad_message)(void *ctx, uint64_t peer, const char *cause);
    /* What the next message tells `peer` about us, and what one of its told us. May be NULL. */
    void (*notice)(void *ctx, uint64_t peer, struct notice *out);
    void (*on_notice)(void *ctx, uint64_t peer, const struct notice *in);
};

struct pump;

/* Copies config and io. NULL: no memory or bad configuration (ids 0, address too long). */
struct pump *pump_new(const struct pump_config *config, const struct pump_io *io);
void pump_free(struct pump *p);

/* From disk; an empty log is a node that joins. May already apply (a cluster of one). */
__attribute__((warn_unused_result)) int pump_start(struct pump *p, struct pump_now now,
                                                   const struct log_recovered *r);
/* Bytes of one message as a peer sent them; a bad one is dropped and counted (returns 0). */
__attribute__((warn_unused_result)) int pump_receive(struct pump *p, struct pump_now now,
                                                     const void *bytes, size_t n);
/* The oldest append in hand is durable; first and last are checked against it. */
__attribute__((warn_unused_result)) int pump_persisted(struct pump *p, struct pump_now now,
                                                       uint64_t first, uint64_t last);
/* Call when pump_next_timeout has come; harmless before. */
__attribute__((warn_unused_result)) int pump_tick(struct pump *p, struct pump_now now);
uint64_t pump_next_timeout(const struct pump *p); /* in mono_ms */
/* The connection to `peer` is gone. If it leads, we ask for votes after delay_ms instead of a whole
 * election timeout, unless it is heard before. Any moment is safe for that; followers should
 * differ. */
void pump_suspect(struct pump *p, struct pump_now now, uint64_t peer, unsigned delay_ms);

/* Propose one command entry; the payload is copied. 0 with its index and term, which say later
 * whether exactly this entry was applied; PUMP_NOT_LEADER; -EBUSY (max_inflight); -EMSGSIZE. */
#define PUMP_NOT_LEADER (-EPERM)
__attribute__((warn_unused_result)) int pump_submit(struct pump *p, struct pump_now now,
                                                    const void *payload, size_t len,
                                                    uint64_t *index, uint64_t *term);
/* Guard 5. Another configuration: at most one server more, or less, or with another role than in
 * the one in force. Only a leader that leads firmly, and no other change under way: else -EBUSY.
 * -EINVAL: too many servers, or an address too long. Once applied it is in pump_members. Should it
 * be cut off again by another leader, the next event returns -ERESTART. */
__attribute__((warn_unused_result)) int pump_change(struct pump *p, struct pump_now now,
                                                    const struct pump_member *members, unsigned n,
                                                    uint64_t *index);
/* Index of the newest configuration in the log. */
uint64_t pump_last_change(const struct pump *p);
/* A configuration is in the log that is not applied yet. */
bool pump_changing(const struct pump *p);
/* Hand leadership over (0: to whom is most up to date). 0, PUMP_NOT_LEADER, -ENOENT. Submits are
 * refused as PUMP_NOT_LEADER until it happened or timed out. */
__attribute__((warn_unused_result)) int pump_transfer(struct pump *p, struct pump_now now,
                                                      uint64_t peer);
/* To whom leadership is being handed over; 0: to nobody. */
uint64_t pump_transferee(const struct pump *p);
/* A message to `peer` with nothing but our notice. */
__attribute__((warn_unused_result)) int pump_note(struct pump *p, struct pump_now now,
                                                  uint64_t peer);
/* A checkpoint stands at `applied_index`: an O(1) marker for the engine. Nothing is trimmed. */
__attribute__((warn_unused_result)) int pump_marker(struct pump *p, struct pump_now now,
                                                    uint64_t applied_index);

/* What is before `first` will not be needed from the log any more: from the next marker on the
 * engine's trail begins there at the earliest, and followers further behind have to be seeded.
 * Never goes back. The log may be trimmed up to pump_first. */
void pump_keep(struct pump *p, uint64_t first);
uint64_t pump_first(const struct pump *p); /* the engine never asks for what is before it */

enum pump_role pump_role(const struct pump *p);
uint64_t pump_term(const struct pump *p);
uint64_t pump_leader(const struct pump *p); /* 0: unknown */
uint64_t pump_commit_index(const struct pump *p);
uint64_t pump_last_index(const struct pump *p);
uint64_t pump_last_stored(const struct pump *p);
uint64_t pump_applied_index(const struct pump *p);
uint64_t pump_term_of(const struct pump *p, uint64_t index); /* 0: not held */
/* Leader of a term of which an entry is committed: it knows everything that was committed before
 * it. Only then may it answer from its state (together with a quorum's confirmation). */
bool pump_leads_firmly(const struct pump *p);
/* The configuration entry applied last: goes into the checkpoint's meta. */
const struct log_conf *pump_applied_conf(const struct pump *p);
const char *pump_error(const struct pump *p); /* "" while all is well */

struct pump_peer {
    uint64_t id;
    char address[PUMP_ADDRESS_MAX];
    bool voter;
    uint64_t match;       /* as leader: highest entry known stored there; else 0 */
    uint64_t heard_ms;    /* mono_ms of the last message taken from it; 0: never */
    uint64_t incarnation; /* of its process; 0: never heard */
    uint64_t
        denies_ms;    /* as leader: since when it denies what it had acknowledged; 0: it does not */
    int64_t clock_us; /* its wall clock in that message ... */
    int64_t clock_here_us; /* ... and ours when it came */
    uint64_t seed_ms;      /* as leader: when it was last found to be behind our log; 0: never */
    uint32_t level, flags; /* of its last notice; level 0: never heard */
};
/* The configuration as the log has it, ourselves included. The addresses live until the next event.
 */
unsigned pump_members(const struct pump *p, struct pump_member out[PUMP_SERVERS_MAX]);
/* Whether the configuration gives us a vote. */
bool pump_votes(const struct pump *p);
/* Every server of the configuration but ourselves; returns their number. */
unsigned pump_peers(const struct pump *p, struct pump_peer out[PUMP_SERVERS_MAX]);

struct pump_stats {
    uint64_t steps, sent, received;
    uint64_t bad_messages; /* could not be decoded */
    uint64_t
        foreign_messages;   /* another cluster, group, version, or not for us / from a stranger */
    uint64_t old_messages;  /* duplicates and overtaken ones (guard 2) */
    uint64_t stale_replies; /* rewritten (guard 1) */
    uint64_t commit_back;   /* commit index reported below an earlier one (guard 4) */
    uint64_t overwritten;   /* durable writes not reported because a later one replaces them */
    uint64_t full;          /* AppendEntries dropped: PUMP_APPENDS_MAX */
    uint64_t log_reads;     /* entries that had left the tail cache */
    uint64_t tail_bytes;
    unsigned appends_in_hand;
};
void pump_stats(const struct pump *p, struct pump_stats *out);

/* Entry 1 of a new cluster: all servers voters. Returns its length, or -EINVAL / -ENOMEM. */
__attribute__((warn_unused_result)) int
pump_encode_servers(const struct pump_server *servers, unsigned n, uint8_t out[ENTRY_CONF_MAX]);
__attribute__((warn_unused_result)) int
pump_encode_members(const struct pump_member *members, unsigned n, uint8_t out[ENTRY_CONF_MAX]);

enum { PUMP_SEED_EVERY_MS = 10000 };

#endif
