/* SPDX-License-Identifier: Apache-2.0
 * The inside of the machine, shared by the files of this folder only. One command is one core_call
 * on its way through the checks, in this order:
 *
 *   malformed -> (genesis) -> initialised -> values and id's time -> authority -> org -> dedup ->
 *   paused -> key -> model -> prices -> quota -> credit -> budgets -> effect
 *
 * A handler decides everything before it moves anything, so that a refusal leaves no trace but its
 * own record. All state changes go through core_put / core_touch / core_drop, all money through
 * core_transfer.
 */
#ifndef HOLDFAST_CORE_MACHINE_H
#define HOLDFAST_CORE_MACHINE_H

#include "ledger/core/ahead.h"
#include "ledger/core/open_heap.h"
#include "ledger/core/record.h"
#include "ledger/core/window.h"

enum core_role {
    CORE_ROLE_NONE,
    CORE_ROLE_OPERATOR,
    CORE_ROLE_KEY,
};

/* Who asks: resolved by the machine from the sealed credential, never claimed. */
struct core_authority {
    enum core_role role;
    struct proto_uuid org; /* of a key */
    uint32_t key;
    bool stale; /* a rotated secret */
};

enum { CORE_AUDIT_TEXT = PROTO_REASON_MAX + 1 };

struct core_call {
    const struct proto_command *c;
    struct proto_str bytes; /* as logged */
    uint32_t ordinal;
    struct core_authority who;
    struct proto_uuid org_id;
    struct core_org *org;    /* NULL where the command has none */
    struct core_half digest; /* of the bytes; not set for settle, release */
    struct proto_result *r;
    bool unrecorded;                 /* the answer decides nothing: no record under the id */
    struct proto_text before, after; /* for the audit trail */
    struct proto_str reason;
    char before_text[CORE_AUDIT_TEXT], after_text[CORE_AUDIT_TEXT];
};

struct core_machine {
    struct core_overlay overlay;
    struct core_open_heap heap;
    struct core_observer observer;
    struct core_group group; /* saved as a record after every entry */
    struct core_position at;
    struct proto_hash kept[CORE_CHAIN_KEPT];
    uint64_t kept_from;     /* the first index whose chain is kept */
    uint32_t transfers;     /* of this entry: the next ordinal */
    bool genesis_now;       /* this entry brought the genesis */
    struct proto_hash seed; /* its seed */
    struct core_window window_memo[PROTO_WINDOW_LAST + 1][29];
    int failed;
    char error[256];
    /* scratch, sized for the largest entry and answer */
    struct proto_str *commands;
    struct proto_command *command; /* CORE_AHEAD_COMMANDS of them */
    struct core_item *items;
    struct proto_hash *leaves;
    uint8_t *results;
    uint8_t *rows;
};

/* ---- state (machine.c) ---- */
/* Notes a final failure; the first one counts. */
void core_fail(struct core_machine *m, int code, const char *why);
/* The value of the key's table, of the right size, or NULL. Lives until the entry ends. */
void *core_get(struct core_machine *m, const struct core_key *k);
void *core_put(struct core_machine *m, const struct core_key *k, size_t vlen);
static inline void core_touch(struct core_machine *m, void *value)
{
    core_overlay_touch(&m->overlay, value);
}
static inline void core_drop(struct core_machine *m, void *value)
{
    core_overlay_drop(&m->overlay, value);
}
struct core_window core_window_now(struct core_machine *m, unsigned window, unsigned billing_day);

/* ---- command.c: one command through the checks ---- */
void core_execute(struct core_machine *m, struct core_call *x);
/* Refuses with the empty shape. */
static inline void core_refuse(struct core_call *x, enum proto_code code)
{
    *x->r = (struct proto_result){.code = (uint16_t)code};
}
/* Values that no state can make good: OK, MALFORMED, AMOUNT_INVALID. (check.c) */
enum proto_code core_check_values(const struct proto_command *c);

/* ---- cluster.c ---- */
/* Whether commands of the kind exist at the level in force. */
bool core_level_allows(const struct core_machine *m, unsigned kind);
/* 0, or final: this program does not know the level. */
int core_level_check(struct core_machine *m, uint32_t level);

/* ---- authority.c ---- */
struct core_authority core_authority_of(struct core_machine *m, const struct proto_hash *cred);
bool core_authority_may(enum core_role role, unsigned command_kind);
bool core_authority_may_read(enum core_role role, unsigned query_kind);
/* The key's own record, or NULL with the refusal in *code. */
struct core_apikey *core_authority_key(struct core_machine *m, const struct core_authority *who,
                                       enum proto_code *code);

/* ---- dedup.c: commands other than reserve, settle, release ---- */
/* true: answered from the record. */
bool core_dedup_find(struct core_machine *m, struct core_call *x);
void core_dedup_record(struct core_machine *m, struct core_call *x);
/* Whether the reference was used; marks it used. Empty ones are never used. */
bool core_reference_used(struct core_machine *m, const struct core_call *x, struct proto_str ref);
void core_reference_use(struct core_machine *m, const struct core_call *x, struct proto_str ref);

/* ---- idempotency.c: a client's Idempotency-Key, of a reserve ---- */
/* true: the call was made before, and this is the answer. */
bool core_idempotency_repeat(struct core_machine *m, struct core_call *x);
void core_idempotency_note(struct core_machine *m, const struct core_call *x);

/* ---- account.c ---- */
struct core_org *core_org_get(struct core_machine *m, const struct proto_uuid *org);
/* The one place where money moves. amount 0: nothing. A move that the accounts do not allow is a
 * broken record, not a refusal: it fails the machine. */
void core_transfer(struct core_machine *m, const struct proto_uuid *org_id, struct core_org *org,
                   enum core_account from, enum core_account to, int64_t amount,
                   enum core_transfer_kind kind, const struct proto_uuid *ref);
/* What is held for a provider's cost of at most `cost`: room for the org's fee on it. false: does
 * not fit. */
bool core_with_fee(const struct core_org *org, int64_t cost, int64_t *amount);
int64_t core_org_drift(const struct core_org *org);
/* Whether `amount` more fits into available + promo + held. */
bool core_balance_room(const struct core_org *org, int64_t amount);
void core_result_balances(struct core_call *x);

/* ---- hold.c: what reserve, settle, release, extend and expiry share ---- */
static inline int64_t core_hold_amount(const struct core_hold *h)
{
    return h->from_promo + h->from_available;
}
/* NULL: none, or past its horizon. */
struct core_hold *core_hold_get(struct core_machine *m, const struct proto_uuid *org,
                                const struct proto_uuid *id);
struct core_closed *core_closed_get(struct core_machine *m, const struct proto_uuid *org,
                                    const struct proto_uuid *id);
struct core_closed *core_closed_put(struct core_machine *m, const struct proto_uuid *org,
                                    const struct proto_uuid *id, enum core_closed_state state);
/* Moves `amount` into the hold: promo first. The caller has checked that it is there. */
void core_hold_draw(struct core_machine *m, const struct proto_uuid *org_id, struct core_org *org,
                    struct core_hold *h, const struct proto_uuid *id, int64_t amount);
/* Gives back what `used` leaves of the hold, to where it came from. */
int64_t core_hold_return(struct core_machine *m, const struct proto_uuid *org_id,
                         struct core_org *org, struct core_hold *h, const struct proto_uuid *id,
                         int64_t used);
/* An open hold ends: off the heap, out of the counts. */
void core_hold_ends(struct core_machine *m, struct core_org *org, const struct core_hold *h);
/* The hold's counters: amount leaves `held`, `spent` is added; overrun: part of it. */
void core_hold_counters(struct core_machine *m, const struct proto_uuid *org_id,
                        const struct core_hold *h, int64_t spent, int64_t overrun);
/* Replaces the hold by its decided record. */
struct core_closed *core_hold_close(struct core_machine *m, const struct proto_uuid *org_id,
                                    struct core_hold *h, const struct proto_uuid *id,
                                    enum core_closed_state state);
void core_result_reserved(struct core_call *x, const struct core_org *org,
                          const struct core_closed *first);
void core_result_settled(struct core_call *x, const struct core_org *org,
                         const struct core_closed *closed);
/* An expired hold of this amount is confirmed after all: out of the published sum. */
void core_hold_confirm(struct core_machine *m, int64_t amount);
/* Expires what is due. Returns how many; adds each to the entry's tail. */
uint32_t core_expire(struct core_machine *m, struct proto_sha256 *tail);

/* ---- limit.c: budgets at admission ---- */
/* What a reserve falls under. */
struct core_subject {
    struct proto_uuid org_id;
    struct core_org *org;
    uint32_t team, key;
    struct proto_str env, agent, customer, user;
};
struct core_line {
    struct core_counter_ref ref;
    struct core_budget *budget;
    struct core_counter *counter; /* NULL: not there yet */
    struct core_window window;
    struct proto_str instance;
};
struct core_lines {
    uint32_t n;
    bool overflow; /* more than CORE_HOLD_COUNTERS */
    struct core_line e[CORE_HOLD_COUNTERS];
};
void core_limit_collect(struct core_machine *m, const struct core_subject *s,
                        struct proto_str model, struct core_lines *lines);
/* OK, or the refusal: filled in *r, with *downgrade set if all refusing budgets let the next
 * candidate try. last: there is no next one. */
enum proto_code core_limit_check(const struct core_lines *lines, const struct proto_uuid *org,
                                 int64_t amount, bool last, struct proto_result *r,
                                 bool *downgrade);
/* Adds the hold's amount to the counters and lists them in the hold. */
void core_limit_take(struct core_machine *m, const struct core_subject *s, struct core_lines *lines,
                     int64_t amount, struct core_hold *h);
/* The lines of an open hold, for an extend: budgets that are gone or have a new generation count
 * but do not refuse. */
void core_limit_of_hold(struct core_machine *m, const struct proto_uuid *org_id,
                        const struct core_hold *h, struct core_lines *lines);
struct core_counter *core_counter_get(struct core_machine *m, const struct proto_uuid *org,
                                      const struct core_counter_ref *ref);

/* ---- peaks.c: budgets by their limits ----
 * team 0: all budgets of the org but its own; else those of the team's keys. */
/* The budget's record is as it will be, or deleted; member: it belongs there. */
void core_peaks_set(struct core_machine *m, const struct proto_uuid *org, uint32_t team,
                    uint32_t number, bool member);
/* The lowest-numbered one after `after` with a limit above `limit` and a window of at most this
 * rank, or 0. */
uint32_t core_peaks_find(struct core_machine *m, const struct proto_uuid *org, uint32_t team,
                         unsigned rank, int64_t limit, uint32_t after);

/* ---- audit.c ---- */
void core_audit_write(struct core_machine *m, struct core_call *x);

/* ---- price.c ---- */
/* 0: the model has no price in this version. */
uint32_t core_price_row(struct core_machine *m, uint32_t version, struct proto_str model);
const struct core_price *core_price_get(struct core_machine *m, uint32_t version, uint32_t row);

/* ---- handlers; settle and release come here before any authority ---- */
void core_genesis(struct core_machine *m, struct core_call *x);
void core_feature_level(struct core_machine *m, struct core_call *x);
void core_cluster_transfer(struct core_machine *m, struct core_call *x);
void core_cluster_add(struct core_machine *m, struct core_call *x);
void core_cluster_remove(struct core_machine *m, struct core_call *x);
void core_org_create(struct core_machine *m, struct core_call *x);
void core_org_set(struct core_machine *m, struct core_call *x);
void core_org_pause(struct core_machine *m, struct core_call *x);
void core_org_resume(struct core_machine *m, struct core_call *x);
void core_team_create(struct core_machine *m, struct core_call *x);
void core_team_delete(struct core_machine *m, struct core_call *x);
void core_key_create(struct core_machine *m, struct core_call *x);
void core_key_revoke(struct core_machine *m, struct core_call *x);
void core_key_rotate(struct core_machine *m, struct core_call *x);
void core_deposit(struct core_machine *m, struct core_call *x);
void core_grant(struct core_machine *m, struct core_call *x);
void core_refund(struct core_machine *m, struct core_call *x);
void core_adjust(struct core_machine *m, struct core_call *x);
void core_chargeback(struct core_machine *m, struct core_call *x);
void core_budget_put(struct core_machine *m, struct core_call *x);
void core_budget_delete(struct core_machine *m, struct core_call *x);
/* Ends the budgets of a team that is deleted; says how many there were. */
uint32_t core_budget_end_team(struct core_machine *m, struct core_call *x, uint32_t team);
void core_price_import(struct core_machine *m, struct core_call *x);
void core_reserve(struct core_machine *m, struct core_call *x);
void core_settle(struct core_machine *m, struct core_call *x);
void core_release(struct core_machine *m, struct core_call *x);
void core_extend(struct core_machine *m, struct core_call *x);

#endif
