/* SPDX-License-Identifier: Apache-2.0
 * The shadow: the ledger's rules as docs say them, over plain arrays, without keys, caches or
 * heaps. It is told every entry that the machine is told and says what the machine must answer, to
 * the byte. Slow and simple on purpose; shares with the machine the wire format and nothing else.
 */
#ifndef HOLDFAST_TESTS_SHADOW_H
#define HOLDFAST_TESTS_SHADOW_H

#include "ledger/core/core.h"
#include "proto/budget.h"
#include "proto/price.h"

#define MINUTE INT64_C(60000000)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define HOT (10 * MINUTE)  /* ids on the request path */
#define COLD (30 * DAY)    /* all other ids */
#define AHEAD (5 * MINUTE) /* of an id */
#define LATE (7 * DAY)     /* settle after expiry */
#define GRACE (MINUTE / 2) /* of a new term */

enum {
    SHADOW_ORGS = 2,
    SHADOW_KEYS = 40,
    SHADOW_TEAMS = 3,
    SHADOW_BUDGETS = 60,
    SHADOW_COUNTERS = 20000,
    SHADOW_HOLDS = 8000,
    SHADOW_DONE = 8000,
    SHADOW_REFERENCES = 16,
    SHADOW_CREDS = 200,
    SHADOW_VERSIONS = 400,
    SHADOW_MODELS = 3, /* "model-a", "model-b", "model-c" */
    SHADOW_LINES = 16,
};

struct shadow_name {
    char s[PROTO_NAME_MAX + 1];
};

struct shadow_key {
    uint32_t team;
    bool revoked, only_a; /* only_a: allowed models are "model-a" alone */
    int64_t expires_us;
    struct shadow_name env;
};

struct shadow_budget {
    bool live;
    uint32_t generation, subject;
    struct shadow_name selector;
    int64_t limit, soft;
    unsigned scope, window, mode, status;
};

struct shadow_counter {
    unsigned org;
    uint32_t budget, generation, open;
    struct shadow_name instance;
    int64_t start_us, end_us;
    int64_t spent, held, overrun;
};

enum shadow_state { OPEN, EXPIRED, REFUSED, FORESTALLED, SETTLED, RELEASED };

struct shadow_hold {
    unsigned org;
    enum shadow_state state;
    struct proto_uuid id;
    struct proto_hash token, digest, idempotency;
    bool admitted;
    uint64_t index, settle_index;
    uint32_t settle_ordinal;
    uint32_t ordinal, team, key, version, model; /* model: 1.., 0 = unpriced */
    uint8_t candidate, flags;
    unsigned code;
    int64_t created_us, deadline_us, keep_us;
    int64_t promo, available, extended;
    int64_t cost, fee, released, written_off, adjusted_usage, adjusted_fees;
    int64_t paid_available; /* and not given back yet */
    uint32_t lines;
    struct shadow_counter *line[SHADOW_LINES];
};

struct shadow_done {
    unsigned org; /* SHADOW_ORGS: none */
    struct proto_hash cred, digest;
    struct proto_uuid id;
    unsigned code, shape;
    uint32_t number;
    uint64_t index;
    int64_t keep_us;
};

struct shadow_org {
    bool there, paused, allow_unpriced;
    int64_t account[CORE_ACCOUNTS], deposits;
    uint32_t fee_ppm, rules_version, open, teams, keys, budgets;
    unsigned billing_day;
    struct shadow_key key[SHADOW_KEYS];
    struct shadow_budget budget[SHADOW_BUDGETS];
    struct shadow_name reference[SHADOW_REFERENCES];
    unsigned references;
};

struct shadow_cred {
    struct proto_hash hash;
    unsigned org;
    uint32_t key;
    bool stale;
};

struct shadow {
    int64_t clock_us, grace_until_us;
    uint64_t index, term;
    uint32_t ordinal;
    struct proto_hash operator_hash;
    struct shadow_org org[SHADOW_ORGS];
    struct shadow_cred cred[SHADOW_CREDS];
    unsigned creds;
    struct shadow_counter counter[SHADOW_COUNTERS];
    unsigned counters;
    struct shadow_hold hold[SHADOW_HOLDS];
    unsigned holds;
    struct shadow_done done[SHADOW_DONE];
    unsigned dones;
    struct {
        bool there[SHADOW_MODELS];
        int64_t input[SHADOW_MODELS], output[SHADOW_MODELS];
    } prices[SHADOW_VERSIONS];
    uint32_t version, pending;
    struct shadow_name pending_source;
    uint64_t settled, refused;
    int64_t unconfirmed;
    uint32_t level; /* feature level in force; 0: the first */
};

/* One of a request's ceilings. */
struct shadow_line {
    uint32_t number;
    const struct shadow_budget *budget; /* NULL: no longer refuses */
    struct shadow_counter *counter;     /* NULL: not there yet */
    struct shadow_name instance;        /* of the counter */
    const char *named;                  /* in a refusal */
    int64_t start_us, end_us;
};

/* ---- shadow.c ---- */
struct proto_uuid shadow_org_id(unsigned org);
unsigned shadow_org_of(const struct proto_uuid *id); /* SHADOW_ORGS: none */
/* A new entry: time, term, expiry. Returns how many holds expired. */
uint32_t shadow_entry(struct shadow *s, uint64_t term, int64_t stamp_us);
/* One command, sealed and decoded; `digest` of its bytes. */
void shadow_command(struct shadow *s, const struct proto_command *c,
                    const struct proto_hash *digest, struct proto_result *r);
void shadow_code(struct proto_result *r, unsigned code);
uint32_t shadow_level(const struct shadow *s);

/* ---- shadow_hold.c ---- */
int64_t shadow_id_us(const struct proto_uuid *id);
uint32_t shadow_model(struct proto_str name); /* 1..; 0: none of ours */
struct shadow_hold *shadow_hold_find(struct shadow *s, unsigned org, const struct proto_uuid *id);
void shadow_reserve(struct shadow *s, unsigned org, const struct shadow_cred *who,
                    const struct proto_command *c, const struct proto_hash *digest,
                    struct proto_result *r);
void shadow_settle(struct shadow *s, const struct proto_command *c, struct proto_result *r);
void shadow_release(struct shadow *s, const struct proto_command *c, struct proto_result *r);
void shadow_extend(struct shadow *s, unsigned org, const struct shadow_cred *who,
                   const struct proto_command *c, struct proto_result *r);
void shadow_reserved(struct shadow *s, const struct shadow_hold *h, int64_t amount, uint8_t flags,
                     struct proto_result *r);
void shadow_short_of(struct shadow *s, unsigned org, int64_t needed, struct proto_result *r);
void shadow_balances(const struct shadow_org *o, struct proto_result *r);
void shadow_created(struct proto_result *r, uint32_t number);

static inline bool shadow_hash_eq(const struct proto_hash *a, const struct proto_hash *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}
static inline int64_t shadow_least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}
static inline int64_t shadow_amount(const struct shadow_hold *h)
{
    return h->promo + h->available;
}
static inline void shadow_move(struct shadow_org *o, int from, int to, int64_t amount)
{
    o->account[from] -= amount;
    o->account[to] += amount;
}

/* ---- shadow_rules.c ---- */
void shadow_window(unsigned window, unsigned billing_day, int64_t time_us, int64_t *start_us,
                   int64_t *end_us);
bool shadow_name_is(const struct shadow_name *n, struct proto_str s);
struct shadow_name shadow_name_of(struct proto_str s);
struct shadow_counter *shadow_counter_find(struct shadow *s, unsigned org, uint32_t budget,
                                           uint32_t generation, const struct shadow_name *instance,
                                           int64_t start_us);
/* false: more than SHADOW_LINES. */
bool shadow_collect(struct shadow *s, unsigned org, uint32_t key, const struct proto_reserve *c,
                    struct proto_str model, struct shadow_line *line, unsigned *n);
unsigned shadow_check(const struct shadow_line *line, unsigned n, unsigned org, int64_t amount,
                      bool last, struct proto_result *r, bool *downgrade);
void shadow_budget_put(struct shadow *s, unsigned org, const struct proto_budget_put *c,
                       struct proto_result *r);
void shadow_budget_delete(struct shadow *s, unsigned org, uint32_t number, struct proto_result *r);

#endif
