/* SPDX-License-Identifier: Apache-2.0
 * What the machine stores: tables, keys and the fixed structs of the values. Records are hashed,
 * compared and moved between machines byte by byte: little-endian, every padding byte named and
 * zero, sizes asserted. A changed struct is a new machine version.
 *
 * A key begins with its table's byte, then (but for the group's own tables, the indexes that lead
 * to an org, and holds) the org's 16-byte UUID; numbers in keys are big-endian, so that key order
 * is number order. What there is one of for every call (hold, refused, closed) has the id first,
 * which begins with its time, and the org behind it: such records are then written side by side
 * and die side by side, and the table of which most stay comes last, so that pages fill up.
 */
#ifndef HOLDFAST_CORE_RECORD_H
#define HOLDFAST_CORE_RECORD_H

#include "ledger/core/overlay.h"
#include "proto/budget.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "records are stored little-endian");

/* X(number, name): numbers stand in the store.
 *   group         -                              the machine as a whole
 *   org           org
 *   org_number    number                         -> org
 *   cred          sealed credential              -> org, key number
 *   public        public part                    -> org, key number
 *   team key budget  org, number
 *   rules         org, scope, exact or `*`, subject or name     -> budget numbers
 *   counter       org, budget, generation, instance, window start
 *   hold          hold id, org                   open and expired-but-unsettled holds
 *   refused       hold id, org                   refused, or forestalled: kept for minutes
 *   command       org, principal, command id     all other commands' outcomes
 *   reference     org, SHA-256 of the reference
 *   price         version, row
 *   price_model   version, model name            -> row
 *   audit         org (zero: group-wide), number
 *   peaks         org, team, level, block        what budgets reach (peaks.c)
 *   closed        hold id, org                   settled, released: kept for days */
#define CORE_TABLES(X)                                                                             \
    X(1, group)                                                                                    \
    X(2, org)                                                                                      \
    X(3, org_number)                                                                               \
    X(4, cred)                                                                                     \
    X(5, public)                                                                                   \
    X(6, team)                                                                                     \
    X(7, key)                                                                                      \
    X(8, budget)                                                                                   \
    X(9, rules)                                                                                    \
    X(10, counter)                                                                                 \
    X(11, hold)                                                                                    \
    X(12, refused)                                                                                 \
    X(13, command)                                                                                 \
    X(14, reference)                                                                               \
    X(15, price)                                                                                   \
    X(16, price_model)                                                                             \
    X(17, audit)                                                                                   \
    X(18, idempotency)                                                                             \
    X(19, peaks)                                                                                   \
    X(20, closed)
#define X(number, name) CORE_TABLE_##name = number,
enum core_table { CORE_TABLES(X) CORE_TABLE_LAST = 20 };
#undef X
const char *core_table_name(unsigned table);

/* Caps. Beyond: QUOTA_EXCEEDED, but for wildcard counters, which then share the instance `other`.
 */
enum {
    CORE_OPEN_HOLDS_MAX = 100000,  /* per org, expired ones not counted */
    CORE_FORESTALLED_MAX = 100000, /* per org in ten minutes; beyond, a release leaves no trace */
    CORE_KEYS_MAX = 100000,        /* per org, revoked ones not counted */
    CORE_TEAMS_MAX = 10000,        /* per org */
    CORE_BUDGETS_MAX = 10000,      /* per org */
    CORE_RULES_PER_SUBJECT = 8,    /* budgets of one scope and selector */
    CORE_HOLD_COUNTERS = 16,       /* budgets that one hold falls under */
    CORE_INSTANCES_MAX = 100000,   /* counters of one wildcard budget in one window */
    CORE_PRICE_ROWS_MAX = 20000,   /* of one version */
    CORE_FEE_PPM_MAX = 1000000,
    CORE_RANKS = 6, /* of a window's length */
    CORE_PEAKS_FAN = 16,
    CORE_ADDRESS_MAX = 127, /* bytes of a node's address */
};
/* A hold is extended at most to this long after its reserve. */
#define CORE_HOLD_LIFE_US INT64_C(604800000000)

/* ---- keys ---- */
void core_key_group(struct core_key *k);
void core_key_org(struct core_key *k, const struct proto_uuid *org);
void core_key_number(struct core_key *k, enum core_table table, uint32_t number);
void core_key_bytes(struct core_key *k, enum core_table table, const void *p, size_t n);
void core_key_org_number(struct core_key *k, enum core_table table, const struct proto_uuid *org,
                         uint32_t number);
void core_key_org_bytes(struct core_key *k, enum core_table table, const struct proto_uuid *org,
                        const void *p, size_t n);
/* Of tables hold, refused, closed. */
void core_key_hold(struct core_key *k, enum core_table table, const struct proto_uuid *org,
                   const struct proto_uuid *id);
static inline bool core_key_of_hold(const uint8_t *key, size_t klen)
{
    return klen == 1 + 2 * sizeof(struct proto_uuid) &&
           (key[0] == CORE_TABLE_hold || key[0] == CORE_TABLE_refused ||
            key[0] == CORE_TABLE_closed);
}
static inline void core_key_hold_parts(const uint8_t *key, struct proto_uuid *org,
                                       struct proto_uuid *id)
{
    memcpy(id->b, key + 1, sizeof id->b);
    memcpy(org->b, key + 1 + sizeof id->b, sizeof org->b);
}
void core_key_command(struct core_key *k, const struct proto_uuid *org,
                      const struct proto_hash *principal, const struct proto_uuid *id);
/* name.n == 0: the subject is a number (0 for the org itself). */
void core_key_rules(struct core_key *k, const struct proto_uuid *org, uint8_t scope, bool wildcard,
                    uint32_t subject, struct proto_str name);
void core_key_peaks(struct core_key *k, const struct proto_uuid *org, uint32_t team, uint8_t level,
                    uint32_t block);
void core_key_price(struct core_key *k, uint32_t version, uint32_t row);
void core_key_price_model(struct core_key *k, uint32_t version, struct proto_str model);

/* ---- values ---- */
/* The first half of a SHA-256: enough to tell commands, tokens and names apart. */
struct core_half {
    uint8_t b[16];
};

struct core_group {
    struct proto_uuid cluster;
    struct proto_hash operator_hash;
    struct core_half pending_of; /* who imports the pending rows: principal and source */
    uint16_t number, machine;
    uint16_t initialised;
    uint16_t level;                     /* feature level; 0: the first */
    uint32_t price_version, price_rows; /* active */
    uint32_t pending_rows;              /* of version price_version + 1 */
    uint32_t orgs;
    uint32_t open_holds;
    uint32_t audits;
    uint64_t settled, refused;
    int64_t expired_unconfirmed;
    int64_t drift;
    uint64_t grace_term; /* the term that grace_until belongs to */
    int64_t grace_until_us;
};

struct core_org {
    int64_t account[CORE_ACCOUNTS];
    int64_t
        transactions; /* what entered available + promo + held minus what left, as it happened */
    int64_t deposits; /* less refunds and chargebacks */
    int64_t created_us;
    int64_t forestalled_until_us; /* when `forestalled` begins anew */
    uint64_t settled, refused;
    uint32_t forestalled; /* holds released before their reserve came */
    uint32_t number;
    uint32_t teams, keys, budgets, audits; /* numbers given out */
    uint32_t live_teams, live_keys, live_budgets;
    uint32_t open_holds;
    uint32_t rules_version;
    uint32_t fee_ppm;
    uint16_t rules[PROTO_SCOPE_LAST + 1]; /* live budgets by scope: an unused scope costs nothing */
    uint8_t billing_day, paused, allow_unpriced, allow_unbounded;
    uint8_t name_n;
    uint8_t pad[9];
    char name[PROTO_NAME_MAX];
};

struct core_cred {
    struct proto_uuid org;
    uint32_t key;
    uint32_t stale; /* rotated away: known, for a retry's sake, and refused */
};

struct core_team {
    int64_t created_us;
    uint32_t keys; /* live */
    uint8_t deleted, name_n;
    uint8_t pad[2];
    char name[PROTO_NAME_MAX];
};

/* Followed by the allowed models: `models` times a length byte and the name. */
struct core_apikey {
    struct proto_hash cred;
    int64_t expires_us, created_us;
    uint32_t team;
    uint8_t revoked, public_n, label_n, env_n;
    uint16_t models, models_bytes;
    uint8_t pad[4];
    char public[PROTO_PUBLIC_MAX];
    char label[PROTO_NAME_MAX];
    char env[PROTO_NAME_MAX];
    uint8_t allowed[];
};

struct core_budget {
    int64_t limit, soft_limit;
    int64_t instances_start_us; /* the window that `instances` counts */
    uint32_t number, generation, subject, instances;
    uint16_t status;
    uint8_t scope, window, mode, deleted, wildcard, selector_n, label_n, alerts_n;
    uint8_t pad[6];
    uint8_t alerts[PROTO_ALERTS_MAX];
    char selector[PROTO_NAME_MAX];
    char label[PROTO_NAME_MAX];
};

struct core_rules {
    uint32_t n;
    uint32_t budget[CORE_RULES_PER_SUBJECT];
};

/* A node of the index of budgets by their limits: the highest of each rank of window; -1: none. */
struct core_peaks {
    uint16_t children; /* one bit each */
    uint8_t pad[6];
    int64_t limit[CORE_RANKS];
};

struct core_counter {
    int64_t spent, held, overrun;
    int64_t end_us; /* of the window; INT64_MAX: never */
    uint32_t open;  /* holds that are counted in `held` */
    uint32_t fired; /* alert thresholds, one bit each */
};

struct core_counter_ref {
    uint32_t budget, generation;
    struct core_half instance;
    int64_t start_us;
};

enum core_hold_state { CORE_HOLD_OPEN = 1, CORE_HOLD_EXPIRED = 2 };

struct core_hold {
    struct core_half digest; /* of the reserve's bytes */
    struct core_half token;
    uint64_t index; /* of the reserve */
    int64_t created_us, deadline_us;
    int64_t from_promo, from_available, extended; /* amount = the first two; extended is in them */
    uint32_t ordinal, team, key, price_version, price_row;
    uint8_t state, candidate, counters;
    uint8_t pad[1];
    struct core_counter_ref counter[];
};

enum core_closed_state {
    CORE_CLOSED_REFUSED = 1,     /* the reserve was refused */
    CORE_CLOSED_FORESTALLED = 2, /* a release came before its reserve */
    CORE_CLOSED_SETTLED = 3,
    CORE_CLOSED_RELEASED = 4,
};

/* What is left of a decided hold, to answer retries with. Amounts as in the settled shape. */
struct core_closed {
    struct core_half digest; /* zero if forestalled */
    struct core_half token;
    uint64_t index; /* of the reserve; if forestalled, of the release */
    int64_t keep_until_us, deadline_us;
    int64_t amount; /* of the reserve's answer */
    int64_t cost, fee, released, written_off;
    int64_t adjusted_usage, adjusted_fees;
    int64_t paid_promo; /* of what was paid: it came from promo, so that is where it goes back to */
    uint64_t settle_index; /* of the settlement; 0: there was none */
    uint32_t settle_ordinal;
    uint32_t ordinal, team, key, price_version;
    uint16_t code; /* of the reserve */
    uint8_t state, candidate, flags;
    uint8_t pad[7];
};

struct core_done {
    struct core_half digest;
    uint64_t index;
    int64_t keep_until_us;
    uint32_t number; /* of the created shape */
    uint16_t code;
    uint8_t shape;
    uint8_t pad[1];
};

/* What call was made for a client's Idempotency-Key. */
struct core_idempotency {
    struct proto_uuid hold;
    int64_t keep_until_us;
};

struct core_reference {
    uint64_t index;
};

/* Followed by the price points. */
struct core_price {
    uint32_t max_input, max_output, points;
    uint8_t model_n;
    uint8_t pad[3];
    char model[PROTO_NAME_MAX];
    struct proto_point point[];
};

/* Followed by the texts before, after, reason. */
struct core_audit {
    uint64_t index;
    int64_t time_us;
    uint16_t before_n, after_n, reason_n;
    uint8_t kind, role, ip_n;
    uint8_t pad[7];
    uint8_t actor[8];
    uint8_t ip[PROTO_IP_MAX];
    char text[];
};

_Static_assert(sizeof(struct core_group) == 144, "group record");
_Static_assert(sizeof(struct core_org) == 312, "org record");
_Static_assert(sizeof(struct core_cred) == 24, "cred record");
_Static_assert(sizeof(struct core_team) == 144, "team record");
_Static_assert(sizeof(struct core_apikey) == 336, "key record");
_Static_assert(sizeof(struct core_budget) == 320, "budget record");
_Static_assert(sizeof(struct core_rules) == 36, "rules record");
_Static_assert(sizeof(struct core_peaks) == 56, "peaks record");
_Static_assert(sizeof(struct core_counter) == 40, "counter record");
_Static_assert(sizeof(struct core_counter_ref) == 32, "a hold's counter");
_Static_assert(sizeof(struct core_hold) == 104, "hold record");
_Static_assert(sizeof(struct core_closed) == 160, "closed record");
_Static_assert(sizeof(struct core_done) == 40, "command record");
_Static_assert(sizeof(struct core_idempotency) == 24, "idempotency record");
_Static_assert(sizeof(struct core_price) == 144, "price record");
_Static_assert(sizeof(struct core_audit) == 56, "audit record");
_Static_assert(sizeof(struct proto_point) == 16, "price points are stored as they are");
_Static_assert(sizeof(struct core_hold) + CORE_HOLD_COUNTERS * sizeof(struct core_counter_ref) <=
                   CORE_VALUE_MAX,
               "the largest hold");
_Static_assert(sizeof(struct core_apikey) + PROTO_MAX_allowed * (1 + PROTO_NAME_MAX) <=
                   CORE_VALUE_MAX,
               "the largest key");
_Static_assert(sizeof(struct core_price) + PROTO_MAX_point * sizeof(struct proto_point) <=
                   CORE_VALUE_MAX,
               "the largest price");

static inline struct core_half core_half_of(const struct proto_hash *h)
{
    struct core_half half;
    memcpy(half.b, h->b, sizeof half.b);
    return half;
}
static inline bool core_half_eq(const struct core_half *a, const struct core_half *b)
{
    return memcmp(a->b, b->b, sizeof a->b) == 0;
}
static inline struct proto_str core_str(const char *p, size_t n)
{
    return (struct proto_str){p, (uint32_t)n};
}
/* a + b, b >= 0, stopping at INT64_MAX. */
static inline int64_t core_add_capped(int64_t a, int64_t b)
{
    int64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}
/* Whether a value of this length can stand in this table. */
bool core_record_fits(unsigned table, const void *value, size_t vlen);

#endif
