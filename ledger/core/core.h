/* SPDX-License-Identifier: Apache-2.0
 * The ledger's state machine. Pure: it sees a log entry, its index, its term and the stamp inside
 * it; no clock, no randomness, no I/O, no floats, no iteration order that depends on an address.
 * The node, the simulator and the replay tool link this same object, and one log gives one state,
 * one list of results and one chain everywhere.
 *
 * State is a set of records (key bytes -> value bytes). Records live in an overlay in memory; what
 * is not there is fetched through `struct core_backing` (the node: the last checkpoint on disk;
 * replay: nothing). Changed records stay in the overlay until the host says that a checkpoint holds
 * them.
 *
 * Thread: one owner (the node's loop thread). Nothing here blocks except core_backing.get.
 * Errors: refusals are results. A negative return is final (-ENOMEM, -EIO of the backing, -EPROTO a
 * log entry that is not a batch of a known version, -EUCLEAN a leader's chain that differs from
 * ours); the machine must not be used afterwards, except for core_machine_error and _free.
 */
#ifndef HOLDFAST_LEDGER_CORE_H
#define HOLDFAST_LEDGER_CORE_H

#include "proto/batch.h"
#include "proto/command.h"
#include "proto/query.h"
#include "proto/result.h"

struct core_machine;

enum {
    CORE_KEY_MAX = 256,          /* bytes of a record's key */
    CORE_VALUE_MAX = 4096,       /* bytes of a record's value */
    CORE_EXPIRE_PER_ENTRY = 256, /* holds that one entry can expire */
};

/* Replicated-time constants, microseconds. Part of the machine version. */
#define CORE_HOT_HORIZON_US INT64_C(600000000)       /* 10 min: ids of reserve, settle, ... */
#define CORE_ADMIN_HORIZON_US INT64_C(2592000000000) /* 30 days: all other ids */
#define CORE_IDEMPOTENCY_US INT64_C(86400000000)     /* 24 h: an Idempotency-Key */
#define CORE_AHEAD_US INT64_C(300000000)             /* an id from further ahead: MALFORMED */
#define CORE_HOLD_GRACE_US INT64_C(30000000)         /* no expiry this long after a new term */
#define CORE_LATE_WINDOW_US INT64_C(604800000000)    /* 7 days: settle after expiry */
#define CORE_TTL_MAX_US INT64_C(86400000000)         /* of a hold */

/* Records below the overlay. get: 0 and a view that lives until the next call; -ENOENT; or a final
 * negative code. NULL get: nothing below. */
struct core_backing {
    void *ctx;
    int (*get)(void *ctx, const void *key, size_t klen, const void **value, size_t *vlen);
};

/* The double-entry accounts of an org. Sum over all seven is 0 at every index. */
enum core_account {
    CORE_AVAILABLE,
    CORE_PROMO,
    CORE_HELD,
    CORE_USAGE,
    CORE_FEES,
    CORE_FUNDING,
    CORE_WRITEOFF,
    CORE_ACCOUNTS
};
const char *core_account_name(enum core_account a);

enum core_transfer_kind {
    CORE_TRANSFER_DEPOSIT,
    CORE_TRANSFER_GRANT,
    CORE_TRANSFER_REFUND,
    CORE_TRANSFER_ADJUST,
    CORE_TRANSFER_CHARGEBACK,
    CORE_TRANSFER_HOLD,
    CORE_TRANSFER_COST,
    CORE_TRANSFER_FEE,
    CORE_TRANSFER_RETURN, /* of the unused rest, a release or an expiry */
    CORE_TRANSFER_WRITEOFF,
    CORE_TRANSFER_KINDS
};
const char *core_transfer_kind_name(enum core_transfer_kind k);

/* Moves amount > 0 from one account to another: from -= amount, to += amount. ref: the hold's id,
 * or the command's where there is no hold. ordinal: running number within the entry. */
struct core_transfer {
    struct proto_uuid org;
    struct proto_uuid ref;
    enum core_account from, to;
    enum core_transfer_kind kind;
    uint32_t ordinal;
    int64_t amount;
    uint64_t index;
    int64_t time_us;
};

/* Optional observer: the report side and the replay tool. Called while an entry is applied. */
struct core_observer {
    void *ctx;
    void (*on_transfer)(void *ctx, const struct core_transfer *t);
    /* Every command with its result, in order. `command` is NULL for one that cannot be decoded. */
    void (*on_result)(void *ctx, uint64_t index, uint32_t ordinal, int64_t time_us,
                      const struct proto_command *command, const struct proto_result *result);
    /* An entry's leader had another chain at `index` than we have. With this callback the entry is
     * applied all the same (the chain it names changes no result); without it, it is final. */
    void (*on_mismatch)(void *ctx, uint64_t index, const struct proto_hash *ours,
                        const struct proto_hash *theirs);
};

/* Where a machine stands: with the records, everything it needs. `extra` is the machine's own
 * (versions, open-hold count, grace ...), opaque to the host, kept as the record under
 * core_meta_key; the host stores index, term, clock and chain beside it too, for its own use. */
struct core_position {
    uint64_t index; /* last applied; 0: nothing */
    uint64_t term;
    int64_t clock_us; /* replicated time */
    struct proto_hash chain;
};

struct core_config {
    struct core_backing backing;
    struct core_observer observer; /* zero: none */
    size_t cache_records;          /* clean records kept in memory; 0: 8 million */
};

/* An empty machine at index 0, or, with `at` (not NULL, index > 0), one that stands where a
 * checkpoint stood: its group-wide record is read through the backing. For a restart the host then
 * calls core_machine_restore_open for every record whose key begins with core_open_prefix(). */
__attribute__((warn_unused_result)) int core_machine_new(struct core_machine **out,
                                                         const struct core_config *config,
                                                         const struct core_position *at);
void core_machine_free(struct core_machine *m);
/* The table of open holds: its records are all that a restart must scan. */
const void *core_open_prefix(size_t *n);
__attribute__((warn_unused_result)) int core_machine_restore_open(struct core_machine *m,
                                                                  const void *key, size_t klen,
                                                                  const void *value, size_t vlen);

/* ---- applying ---- */
struct core_item {
    uint32_t offset, length; /* of the encoded result in core_outcome.results */
};
/* Of one entry; lives until the next apply. */
struct core_outcome {
    uint32_t n; /* commands, in their order */
    const struct core_item *items;
    const uint8_t *results;
    uint32_t expired; /* holds that this entry expired */
};

/* Entry `index` must be the next one (position.index + 1). kind COMMAND: */
__attribute__((warn_unused_result)) int core_machine_apply(struct core_machine *m, uint64_t index,
                                                           uint64_t term, const void *payload,
                                                           size_t n, struct core_outcome *out);
/* Any other kind of entry (barrier, configuration): only the chain moves. */
__attribute__((warn_unused_result)) int core_machine_skip(struct core_machine *m, uint64_t index,
                                                          uint64_t term, uint8_t kind,
                                                          const void *payload, size_t n);

void core_machine_position(const struct core_machine *m, struct core_position *out);
const char *core_machine_error(const struct core_machine *m); /* cause of a negative return */
bool core_machine_initialised(const struct core_machine *m);  /* it has its genesis */
/* The feature level in force (proto/level.h). */
uint32_t core_machine_level(const struct core_machine *m);
/* Cluster UUID of the genesis; all zero before. */
const struct proto_uuid *core_machine_cluster(const struct core_machine *m);
/* The chain at `index`, for the last CORE_CHAIN_KEPT indexes; false: not kept. */
enum { CORE_CHAIN_KEPT = 4096 };
bool core_machine_chain_at(const struct core_machine *m, uint64_t index, struct proto_hash *out);
uint32_t core_machine_open_holds(const struct core_machine *m);
/* Deadline of the hold that expires first (not before grace is over); INT64_MAX: none. The leader
 * proposes an empty batch when its clock has passed it. */
int64_t core_machine_next_expiry(const struct core_machine *m);
/* Sum over all orgs of |balance - sum of transactions|, kept as it goes (F4). Always 0. */
int64_t core_machine_drift(const struct core_machine *m);

/* ---- reading ---- */
/* Whether a command would be refused whoever sends it: MALFORMED, UNAUTHENTICATED or ORG_UNKNOWN by
 * what is applied; OK if only the log can tell. For a host that will not write all of those down.
 * 0, or a final negative code. */
__attribute__((warn_unused_result)) int
core_machine_stranger(struct core_machine *m, const void *command, size_t n, enum proto_code *code);
/* A sealed query (proto_query_seal); the answer is written to w (PROTO_ANSWER_MAX is enough). 0, or
 * a final negative code. Refusals are codes in the answer. */
__attribute__((warn_unused_result)) int
core_machine_query(struct core_machine *m, const void *query, size_t n, struct proto_writer *w);

/* ---- checkpoints ----
 * changes: every record changed since the last call, value NULL where deleted (and never written
 * below: skipped). They are then "being written": they stay in memory and are not reported again
 * unless they change once more. When the checkpoint is durable the host calls written(), which
 * makes them clean (so that they can be dropped to keep cache_records). One at a time. */
typedef int core_change_visit(void *ctx, const void *key, size_t klen, const void *value,
                              size_t vlen);
__attribute__((warn_unused_result)) int core_machine_changes(struct core_machine *m,
                                                             core_change_visit *visit, void *ctx);
void core_machine_written(struct core_machine *m);
size_t core_machine_changed(const struct core_machine *m); /* records waiting for a checkpoint */
size_t core_machine_records(const struct core_machine *m); /* in memory */

/* Housekeeping that never changes behaviour: whether the record can no longer influence any result
 * at replicated time clock_us (a closed hold or a command id past its horizon) and may be deleted
 * from the store below. Pure. */
bool core_record_dead(const void *key, size_t klen, const void *value, size_t vlen,
                      int64_t clock_us);
/* Where dead records can stand, and no others need be looked at: in CORE_MORTAL ranges of keys,
 * each from `from` (with it) to `to` (without), within one table (a key's first byte). */
enum { CORE_MORTAL = 6, CORE_MORTAL_KEY = 7 };
void core_mortal(unsigned i, int64_t clock_us, uint8_t from[CORE_MORTAL_KEY], size_t *from_n,
                 uint8_t to[CORE_MORTAL_KEY], size_t *to_n);
/* Every record in memory, any order (replay: all there are). */
__attribute__((warn_unused_result)) int core_machine_visit(struct core_machine *m,
                                                           core_change_visit *visit, void *ctx);
/* A record as text, for messages and replay's report: "hold org=... id=... amount=...". */
void core_record_print(struct proto_text *t, const void *key, size_t klen, const void *value,
                       size_t vlen);

/* ---- for tools: the accounts of one org (F4, F44) ---- */
struct core_balances {
    int64_t account[CORE_ACCOUNTS];
};
/* 0, -ENOENT, or final. */
__attribute__((warn_unused_result)) int core_machine_balances(struct core_machine *m,
                                                              const struct proto_uuid *org,
                                                              struct core_balances *out);
/* Looks at every org in memory: its accounts sum to 0 (F5), and available + promo + held is its sum
 * of transactions (F4). False: *org is one that fails. */
bool core_machine_balanced(struct core_machine *m, struct proto_uuid *org);

#endif
