/* SPDX-License-Identifier: Apache-2.0
 * Budgets in the core: scopes, windows, modes, parents, and what a refusal names.
 */
#include "core_rig.h"
#include "ledger/core/record.h"
#include "ledger/core/window.h"

enum { HARD = PROTO_MODE_hard_block, DOWN = PROTO_MODE_auto_downgrade };

static void money(struct rig *g)
{
    assert_int_equal(pay(g, PROTO_CMD_deposit, USD(1000), ""), PROTO_OK);
}

static void F12_the_tightest_budget_refuses_and_is_named(void **state)
{
    struct rig *g = *state;
    money(g);
    uint32_t org = budget(g, PROTO_SCOPE_org, 0, "", PROTO_WINDOW_monthly, USD(10), HARD);
    uint32_t team = budget(g, PROTO_SCOPE_team, 1, "", PROTO_WINDOW_monthly, USD(6), HARD);
    uint32_t key = budget(g, PROTO_SCOPE_key, 1, "", PROTO_WINDOW_monthly, USD(6), HARD);
    assert_int_equal(org + team + key, 6);
    struct proto_uuid hold = reserve(g, 100, USD(4), PROTO_OK);
    reserve(g, 100, USD(3), PROTO_BUDGET_IN_FLIGHT);
    const struct proto_refused *r = &g->r.body.refused;
    assert_int_equal(g->r.shape, PROTO_SHAPE_refused);
    assert_int_equal(r->budget, key); /* as tight as the team's, narrower */
    assert_int_equal(r->scope, PROTO_SCOPE_key);
    assert_int_equal(r->held, USD(4));
    assert_int_equal(r->spent, 0);
    assert_int_equal(r->limit, USD(6));
    assert_int_equal(r->needed, USD(3));
    assert_int_equal(r->status, 402);
    assert_int_equal(r->reset_us, START_US + 31 * DAY);
    assert_true(proto_str_eq(r->label, S("cap")));
    assert_int_equal(settle(g, hold, USD(2)), PROTO_OK);
    reserve(g, 100, USD(4), PROTO_OK);
    assert_int_equal(ACCOUNT(g, CORE_HELD), USD(4));
}

static void F52_a_refusal_says_what_to_do(void **state)
{
    struct rig *g = *state;
    money(g);
    budget(g, PROTO_SCOPE_key, 1, "", PROTO_WINDOW_daily, USD(5), HARD);
    reserve(g, 100, USD(5) + 1, PROTO_REQUEST_EXCEEDS_BUDGET);
    struct proto_uuid hold = reserve(g, 100, USD(3), PROTO_OK);
    reserve(g, 100, USD(3), PROTO_BUDGET_IN_FLIGHT);
    settle(g, hold, USD(3));
    reserve(g, 100, USD(3), PROTO_BUDGET_EXCEEDED);
    assert_int_equal(g->r.body.refused.spent, USD(3));
    reserve(g, 100, USD(2), PROTO_OK);
}

static void F13_counters_reset_and_a_hold_stays_in_its_window(void **state)
{
    struct rig *g = *state;
    money(g);
    budget(g, PROTO_SCOPE_org, 0, "", PROTO_WINDOW_hourly, USD(5), HARD);
    tick(g, HOUR - CORE_HOLD_GRACE_US - SECOND); /* a second before the hour */
    struct proto_uuid hold = reserve(g, 100, USD(5), PROTO_OK);
    reserve(g, 100, 1, PROTO_BUDGET_IN_FLIGHT);
    tick(g, SECOND);
    struct proto_uuid next = reserve(g, 100, USD(5), PROTO_OK);
    assert_int_equal(settle(g, hold, USD(4)), PROTO_OK);
    reserve(g, 100, 1, PROTO_BUDGET_IN_FLIGHT);
    assert_int_equal(g->r.body.refused.spent, 0); /* the 4 are the last hour's */
    assert_int_equal(extend(g, 100, next, 1, MINUTE), PROTO_BUDGET_IN_FLIGHT);
    assert_int_equal(release(g, next), PROTO_OK);
    reserve(g, 100, USD(5), PROTO_OK);
}

static void F12_name_scopes(void **state)
{
    struct rig *g = *state;
    money(g);
    budget(g, PROTO_SCOPE_customer, 0, "alice", PROTO_WINDOW_daily, USD(1), HARD);
    budget(g, PROTO_SCOPE_model, 0, "model-a", PROTO_WINDOW_daily, USD(3), HARD);
    budget(g, PROTO_SCOPE_env, 0, "prod", PROTO_WINDOW_daily, USD(2), HARD);
    struct proto_command c = reserve_command(g, 100, USD(2));
    c.body.reserve.customer = S("alice");
    assert_int_equal(apply(g, &c), PROTO_REQUEST_EXCEEDS_BUDGET);
    assert_int_equal(g->r.body.refused.scope, PROTO_SCOPE_customer);
    assert_true(proto_str_eq(g->r.body.refused.instance, S("alice")));
    c = reserve_command(g, 100, USD(2));
    c.body.reserve.customer = S("bob");
    c.body.reserve.env = S("prod");
    assert_int_equal(apply(g, &c), PROTO_OK);
    c = reserve_command(g, 100, USD(1));
    c.body.reserve.env = S("prod");
    assert_int_equal(apply(g, &c), PROTO_BUDGET_IN_FLIGHT);
    assert_int_equal(g->r.body.refused.scope, PROTO_SCOPE_env);
    reserve(g, 100, USD(1), PROTO_OK);
    reserve(g, 100, 1, PROTO_BUDGET_IN_FLIGHT);
    assert_int_equal(g->r.body.refused.scope, PROTO_SCOPE_model);
}

static unsigned reserve_for(struct rig *g, const char *customer, int64_t amount)
{
    struct proto_command c = reserve_command(g, 100, amount);
    c.body.reserve.customer = S(customer);
    return apply(g, &c);
}

static void F15_one_rule_one_counter_for_each(void **state)
{
    struct rig *g = *state;
    money(g);
    budget(g, PROTO_SCOPE_customer, 0, "*", PROTO_WINDOW_daily, USD(2), HARD);
    assert_int_equal(reserve_for(g, "alice", USD(2)), PROTO_OK);
    assert_int_equal(reserve_for(g, "alice", 1), PROTO_BUDGET_IN_FLIGHT);
    assert_true(proto_str_eq(g->r.body.refused.instance, S("alice")));
    assert_int_equal(reserve_for(g, "bob", USD(2)), PROTO_OK);
    assert_int_equal(reserve_for(g, "", USD(100)), PROTO_OK); /* nobody: not under the rule */
    tick(g, DAY);
    assert_int_equal(reserve_for(g, "alice", USD(2)), PROTO_OK);
}

static void F16_modes(void **state)
{
    struct rig *g = *state;
    money(g);
    budget(g, PROTO_SCOPE_org, 0, "", PROTO_WINDOW_daily, USD(1), PROTO_MODE_alert_only);
    budget(g, PROTO_SCOPE_org, 0, "", PROTO_WINDOW_daily, USD(1), PROTO_MODE_throttle);
    reserve(g, 100, USD(5), PROTO_OK);
    budget(g, PROTO_SCOPE_key, 1, "", PROTO_WINDOW_daily, USD(1), HARD);
    reserve(g, 100, USD(5), PROTO_REQUEST_EXCEEDS_BUDGET);
}

static struct proto_command two_candidates(struct rig *g, int64_t first, int64_t second)
{
    struct proto_command c = reserve_command(g, 100, first);
    c.body.reserve.candidates.n = 2;
    c.body.reserve.candidates.e[1] = (struct proto_candidate){S("model-b"), second};
    return c;
}

static void F16_auto_downgrade_takes_the_next_candidate(void **state)
{
    struct rig *g = *state;
    money(g);
    struct proto_command b =
        budget_command(g, PROTO_SCOPE_org, 0, "", PROTO_WINDOW_daily, USD(10), DOWN);
    b.body.budget_put.soft_limit = USD(8);
    assert_int_equal(apply(g, &b), PROTO_OK);
    struct proto_command c = two_candidates(g, USD(7), USD(1));
    assert_int_equal(apply(g, &c), PROTO_OK);
    assert_int_equal(g->r.body.reserved.candidate, 0);
    c = two_candidates(g, USD(2), USD(1)); /* 7 + 2 is above the soft limit: the cheaper one */
    assert_int_equal(apply(g, &c), PROTO_OK);
    assert_int_equal(g->r.body.reserved.candidate, 1);
    assert_int_equal(g->r.body.reserved.amount, USD(1));
    reserve(g, 100, USD(2), PROTO_OK); /* nothing cheaper: up to the limit */
    c = two_candidates(g, USD(1), USD(1));
    assert_int_equal(apply(g, &c), PROTO_BUDGET_IN_FLIGHT);
    tick(g, DAY);
    uint32_t hard = budget(g, PROTO_SCOPE_key, 1, "", PROTO_WINDOW_daily, USD(1), HARD);
    c = two_candidates(g, USD(9), 0);
    assert_int_equal(apply(g, &c), PROTO_REQUEST_EXCEEDS_BUDGET); /* a hard block ends it */
    assert_int_equal(g->r.body.refused.budget, hard);
}

static void F14_a_child_never_exceeds_its_parent_unless_overridden(void **state)
{
    struct rig *g = *state;
    uint32_t org = budget(g, PROTO_SCOPE_org, 0, "", PROTO_WINDOW_monthly, USD(100), HARD);
    struct proto_command c =
        budget_command(g, PROTO_SCOPE_team, 1, "", PROTO_WINDOW_monthly, USD(101), HARD);
    assert_int_equal(apply(g, &c), PROTO_LIMIT_EXCEEDS_PARENT);
    assert_int_equal(g->r.body.parent.budget, org);
    assert_int_equal(g->r.body.parent.limit, USD(100));
    c = budget_command(g, PROTO_SCOPE_team, 1, "", PROTO_WINDOW_absolute, USD(101), HARD);
    assert_int_equal(apply(g, &c), PROTO_OK); /* a longer window than the parent's */
    c = budget_command(g, PROTO_SCOPE_team, 1, "", PROTO_WINDOW_daily, USD(101), HARD);
    assert_int_equal(apply(g, &c), PROTO_LIMIT_EXCEEDS_PARENT);
    c.head.id = uuid_at(g, g->clock_us);
    c.body.budget_put.override = true;
    assert_int_equal(apply(g, &c), PROTO_OK);
    assert_int_equal(g->r.flags, PROTO_FLAG_OVERRIDE);
    uint32_t team = budget(g, PROTO_SCOPE_team, 1, "", PROTO_WINDOW_weekly, USD(50), HARD);
    c = budget_command(g, PROTO_SCOPE_key, 1, "", PROTO_WINDOW_weekly, USD(51), HARD);
    assert_int_equal(apply(g, &c), PROTO_LIMIT_EXCEEDS_PARENT);
    assert_int_equal(g->r.body.parent.budget, team);
    budget(g, PROTO_SCOPE_key, 1, "", PROTO_WINDOW_weekly, USD(40), HARD);
    c = budget_command(g, PROTO_SCOPE_team, 1, "", PROTO_WINDOW_weekly, USD(30), HARD);
    c.body.budget_put.budget = team;
    assert_int_equal(apply(g, &c), PROTO_LIMIT_EXCEEDS_PARENT); /* lowered below its child */
    c.head.id = uuid_at(g, g->clock_us);
    c.body.budget_put.limit = USD(40);
    assert_int_equal(apply(g, &c), PROTO_OK);
}

/* ---- the index of limits, against a look at every budget ---- */
enum { MANY_PUTS = 3000, MANY_MAX = 2000, MANY_KEYS = 12, MANY_TEAMS = 4 };

struct known {
    bool live;
    unsigned scope, subject, window, mode;
    int64_t limit;
};

struct many {
    struct known b[MANY_MAX];
    uint32_t n;
    unsigned team_of[MANY_KEYS + 2]; /* by key's number */
};

static bool falls_under(const struct many *k, const struct known *parent, const struct known *child)
{
    if (parent->mode == PROTO_MODE_alert_only ||
        core_window_rank(parent->window) < core_window_rank(child->window))
        return false;
    if (parent->scope == PROTO_SCOPE_org)
        return child->scope != PROTO_SCOPE_org;
    return parent->scope == PROTO_SCOPE_team && child->scope == PROTO_SCOPE_key &&
           k->team_of[child->subject] == parent->subject;
}

/* The lowest number that contradicts, or 0; number: of the one that is written. */
static uint32_t contradicts(const struct many *k, uint32_t number, const struct known *b)
{
    const struct known *old = number <= k->n ? &k->b[number] : NULL;
    bool same =
        old && old->scope == b->scope && old->subject == b->subject && old->window == b->window;
    bool narrowed = !same || b->limit < old->limit || old->mode == PROTO_MODE_alert_only;
    for (uint32_t i = 1; i <= k->n; i++) {
        const struct known *o = &k->b[i];
        if (!o->live || i == number)
            continue;
        if (o->limit < b->limit && falls_under(k, o, b))
            return i;
        if (narrowed && o->limit > b->limit && falls_under(k, b, o))
            return i;
    }
    return 0;
}

static unsigned alike(const struct many *k, const struct known *b)
{
    unsigned n = 0;
    for (uint32_t i = 1; i <= k->n; i++)
        n += k->b[i].live && k->b[i].scope == b->scope && k->b[i].subject == b->subject;
    return n;
}

static uint64_t many_random = 3;

static unsigned below_of(unsigned n)
{
    many_random = many_random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(many_random >> 33) % n;
}

/* A model's budget is known by its name, which is its subject here. */
static struct known any_budget(void)
{
    static const unsigned scopes[] = {PROTO_SCOPE_org,   PROTO_SCOPE_team,  PROTO_SCOPE_key,
                                      PROTO_SCOPE_model, PROTO_SCOPE_model, PROTO_SCOPE_model};
    struct known b = {.live = true,
                      .scope = scopes[below_of(6)],
                      .window = 1 + below_of(PROTO_WINDOW_LAST),
                      .mode = below_of(4) ? PROTO_MODE_hard_block : PROTO_MODE_alert_only};
    b.limit = USD(1 + below_of(50));
    if (b.scope == PROTO_SCOPE_team)
        b.subject = 1 + below_of(MANY_TEAMS);
    else if (b.scope == PROTO_SCOPE_key)
        b.subject = 1 + below_of(MANY_KEYS);
    else if (b.scope == PROTO_SCOPE_model)
        b.subject = 1 + below_of(400);
    return b;
}

static void put_and_compare(struct rig *g, struct many *k)
{
    struct known b = any_budget();
    uint32_t number = k->n > 0 && below_of(4) == 0 ? 1 + below_of(k->n) : k->n + 1;
    char name[16] = "";
    if (number <= k->n && !k->b[number].live)
        return;
    if (alike(k, &b) >= 8)
        return;
    if (b.scope == PROTO_SCOPE_model)
        (void)snprintf(name, sizeof name, "m%u", b.subject);
    struct proto_command c = budget_command(
        g, b.scope, b.scope == PROTO_SCOPE_model ? 0 : b.subject, name, b.window, b.limit, b.mode);
    c.body.budget_put.budget = number <= k->n ? number : 0;
    uint32_t way = contradicts(k, number, &b);
    c.body.budget_put.override = below_of(3) == 0;
    bool refused = way != 0 && !c.body.budget_put.override;
    assert_int_equal(apply(g, &c), refused ? PROTO_LIMIT_EXCEEDS_PARENT : PROTO_OK);
    if (refused) {
        assert_int_equal(g->r.body.parent.budget, way);
        assert_int_equal(g->r.body.parent.limit, k->b[way].limit);
        return;
    }
    assert_int_equal(g->r.flags, way ? PROTO_FLAG_OVERRIDE : 0);
    assert_int_equal(g->r.body.created.number, number);
    k->n = number > k->n ? number : k->n;
    k->b[number] = b;
}

static void F14_of_many_budgets_the_first_in_the_way_is_named(void **state)
{
    struct rig *g = *state;
    static struct many k;
    for (unsigned t = 2; t <= MANY_TEAMS; t++)
        assert_int_equal(team_create(g, "one more"), t);
    k.team_of[1] = 1; /* the rig's own */
    for (unsigned i = 2; i <= MANY_KEYS; i++) {
        char public[16];
        (void)snprintf(public, sizeof public, "0000many%u", i);
        k.team_of[i] = i % (MANY_TEAMS + 1);
        assert_int_equal(key_create(g, k.team_of[i], public, 1000 + i), i);
    }
    for (unsigned i = 0; i < MANY_PUTS; i++) {
        put_and_compare(g, &k);
        uint32_t gone = k.n > 0 ? 1 + below_of(k.n) : 0;
        if (i % 3 != 0 || !k.b[gone].live)
            continue;
        struct proto_command c = command(g, PROTO_CMD_budget_delete);
        c.body.budget_delete.budget = gone;
        c.body.budget_delete.reason = S("enough");
        assert_int_equal(apply(g, &c), PROTO_OK);
        k.b[gone].live = false;
    }
    assert_true(k.n > 16 * 16); /* three levels */
}

/* Nothing can fall under them any more; alive, they would forbid a smaller limit of the org. */
static void F38_a_teams_budgets_end_with_it(void **state)
{
    struct rig *g = *state;
    uint32_t team = team_create(g, "lab");
    uint32_t one = budget(g, PROTO_SCOPE_team, team, "", PROTO_WINDOW_monthly, USD(20), HARD);
    budget(g, PROTO_SCOPE_team, team, "", PROTO_WINDOW_daily, USD(2), HARD);
    uint32_t other = budget(g, PROTO_SCOPE_team, 1, "", PROTO_WINDOW_daily, USD(1), HARD);
    struct proto_command c =
        budget_command(g, PROTO_SCOPE_org, 0, "", PROTO_WINDOW_monthly, USD(10), HARD);
    assert_int_equal(apply(g, &c), PROTO_LIMIT_EXCEEDS_PARENT);
    assert_int_equal(g->r.body.parent.budget, one);
    struct proto_command d = command(g, PROTO_CMD_team_delete);
    d.body.team_delete.team = team;
    assert_int_equal(apply(g, &d), PROTO_OK);
    c.head.id = uuid_at(g, g->clock_us);
    assert_int_equal(apply(g, &c), PROTO_OK);
    struct proto_command e = command(g, PROTO_CMD_budget_delete);
    e.body.budget_delete.budget = one;
    assert_int_equal(apply(g, &e), PROTO_BUDGET_UNKNOWN);
    e.head.id = uuid_at(g, g->clock_us);
    e.body.budget_delete.budget = other;
    assert_int_equal(apply(g, &e), PROTO_OK);
}

static void F12_a_lowered_limit_refuses_until_it_fits(void **state)
{
    struct rig *g = *state;
    money(g);
    uint32_t number = budget(g, PROTO_SCOPE_org, 0, "", PROTO_WINDOW_daily, USD(10), HARD);
    struct proto_uuid hold = reserve(g, 100, USD(8), PROTO_OK);
    struct proto_command c =
        budget_command(g, PROTO_SCOPE_org, 0, "", PROTO_WINDOW_daily, USD(5), HARD);
    c.body.budget_put.budget = number;
    assert_int_equal(apply(g, &c), PROTO_OK);
    reserve(g, 100, USD(1), PROTO_BUDGET_IN_FLIGHT);
    assert_int_equal(extend(g, 100, hold, 1, MINUTE), PROTO_BUDGET_IN_FLIGHT);
    assert_int_equal(settle(g, hold, USD(2)), PROTO_OK);
    reserve(g, 100, USD(3), PROTO_OK); /* the counter was kept */
    reserve(g, 100, 1, PROTO_BUDGET_IN_FLIGHT);
}

static void F12_another_window_is_another_generation(void **state)
{
    struct rig *g = *state;
    money(g);
    uint32_t number = budget(g, PROTO_SCOPE_org, 0, "", PROTO_WINDOW_daily, USD(10), HARD);
    struct proto_uuid hold = reserve(g, 100, USD(8), PROTO_OK);
    struct proto_command c =
        budget_command(g, PROTO_SCOPE_org, 0, "", PROTO_WINDOW_weekly, USD(10), HARD);
    c.body.budget_put.budget = number;
    assert_int_equal(apply(g, &c), PROTO_OK);
    assert_int_equal(g->r.body.created.number, number);
    reserve(g, 100, USD(10), PROTO_OK);
    assert_int_equal(settle(g, hold, USD(8)), PROTO_OK); /* into the old generation */
    reserve(g, 100, 1, PROTO_BUDGET_IN_FLIGHT);
    assert_int_equal(g->r.body.refused.spent, 0);
    struct proto_command d = command(g, PROTO_CMD_budget_delete);
    d.body.budget_delete = (struct proto_budget_delete){number, S("")};
    assert_int_equal(apply(g, &d), PROTO_OK);
    reserve(g, 100, USD(100), PROTO_OK);
    d.head.id = uuid_at(g, g->clock_us);
    assert_int_equal(apply(g, &d), PROTO_BUDGET_UNKNOWN);
}

static void F12_overrun_is_counted_beyond_the_limit(void **state)
{
    struct rig *g = *state;
    money(g);
    budget(g, PROTO_SCOPE_org, 0, "", PROTO_WINDOW_daily, USD(10), HARD);
    struct proto_uuid hold = reserve(g, 100, USD(10), PROTO_OK);
    assert_int_equal(settle(g, hold, USD(12)), PROTO_OK);
    reserve(g, 100, 1, PROTO_BUDGET_EXCEEDED);
    assert_int_equal(g->r.body.refused.spent, USD(12));
    assert_int_equal(g->r.body.refused.held, 0);
}

static void F7_expiry_and_late_settle_move_the_counters(void **state)
{
    struct rig *g = *state;
    money(g);
    budget(g, PROTO_SCOPE_org, 0, "", PROTO_WINDOW_daily, USD(10), HARD);
    struct proto_uuid hold = reserve(g, 100, USD(10), PROTO_OK);
    tick(g, HOUR);
    reserve(g, 100, USD(10), PROTO_OK);
    assert_int_equal(settle(g, hold, USD(7)), PROTO_OK);
    reserve(g, 100, USD(1), PROTO_BUDGET_IN_FLIGHT);
    assert_int_equal(g->r.body.refused.spent, USD(7));
    assert_int_equal(g->r.body.refused.held, USD(10));
}

static void F12_malformed_rules_and_caps(void **state)
{
    struct rig *g = *state;
    struct proto_command c = budget_command(g, 99, 0, "", PROTO_WINDOW_daily, 1, HARD);
    assert_int_equal(apply(g, &c), PROTO_MALFORMED);
    c = budget_command(g, PROTO_SCOPE_org, 0, "x", PROTO_WINDOW_daily, 1, HARD);
    assert_int_equal(apply(g, &c), PROTO_MALFORMED);
    c = budget_command(g, PROTO_SCOPE_team, 0, "", PROTO_WINDOW_daily, 1, HARD);
    assert_int_equal(apply(g, &c), PROTO_MALFORMED);
    c = budget_command(g, PROTO_SCOPE_org, 0, "", 9, 1, HARD);
    assert_int_equal(apply(g, &c), PROTO_MALFORMED);
    c = budget_command(g, PROTO_SCOPE_org, 0, "", PROTO_WINDOW_daily, 1, 9);
    assert_int_equal(apply(g, &c), PROTO_MALFORMED);
    c = budget_command(g, PROTO_SCOPE_org, 0, "", PROTO_WINDOW_daily, -1, HARD);
    assert_int_equal(apply(g, &c), PROTO_AMOUNT_INVALID);
    c = budget_command(g, PROTO_SCOPE_team, 7, "", PROTO_WINDOW_daily, 1, HARD);
    assert_int_equal(apply(g, &c), PROTO_TEAM_UNKNOWN);
    c = budget_command(g, PROTO_SCOPE_key, 7, "", PROTO_WINDOW_daily, 1, HARD);
    assert_int_equal(apply(g, &c), PROTO_KEY_UNKNOWN);
    c.body.budget_put.budget = 5;
    c.head.id = uuid_at(g, g->clock_us);
    assert_int_equal(apply(g, &c), PROTO_BUDGET_UNKNOWN);
    for (int i = 0; i < 8; i++)
        budget(g, PROTO_SCOPE_org, 0, "", PROTO_WINDOW_daily, 100, HARD);
    c = budget_command(g, PROTO_SCOPE_org, 0, "", PROTO_WINDOW_daily, 100, HARD);
    assert_int_equal(apply(g, &c), PROTO_QUOTA_EXCEEDED);
    for (int i = 0; i < 8; i++)
        budget(g, PROTO_SCOPE_key, 1, "", PROTO_WINDOW_daily, 100, HARD);
    reserve(g, 100, 0, PROTO_OK); /* 16 counters: the most */
    budget(g, PROTO_SCOPE_team, 1, "", PROTO_WINDOW_daily, 100, HARD);
    reserve(g, 100, 0, PROTO_QUOTA_EXCEEDED);
}

/* ---- caps, reached by writing them into the store below ---- */
static struct map below;

static void restart_over_map(struct rig *g)
{
    struct core_position at;
    core_machine_position(g->m, &at);
    assert_int_equal(core_machine_changes(g->m, map_set, &below), 0);
    core_machine_free(g->m);
    g->config.backing = (struct core_backing){&below, map_get};
    assert_int_equal(core_machine_new(&g->m, &g->config, &at), 0);
}

static void *stored(enum core_table table, size_t n)
{
    for (size_t b = 0; b < MAP_BUCKETS; b++)
        for (struct map_entry *e = below.bucket[b]; e; e = e->next)
            if (e->key[0] == table && e->vlen == n)
                return e->value;
    fail_msg("no record of table %d", (int)table);
    return NULL;
}

static void F15_beyond_the_cap_names_share_one_counter(void **state)
{
    struct rig *g = *state;
    money(g);
    budget(g, PROTO_SCOPE_customer, 0, "*", PROTO_WINDOW_daily, USD(2), HARD);
    assert_int_equal(reserve_for(g, "alice", USD(1)), PROTO_OK);
    restart_over_map(g);
    struct core_budget *b = stored(CORE_TABLE_budget, sizeof *b);
    assert_int_equal(b->instances, 1);
    b->instances = CORE_INSTANCES_MAX;
    assert_int_equal(reserve_for(g, "alice", USD(1)), PROTO_OK); /* has her own */
    assert_int_equal(reserve_for(g, "bob", USD(1)), PROTO_OK);
    assert_int_equal(reserve_for(g, "carol", USD(1)), PROTO_OK);
    assert_int_equal(reserve_for(g, "dave", 1), PROTO_BUDGET_IN_FLIGHT);
    tick(g, DAY); /* a new window counts anew */
    assert_int_equal(reserve_for(g, "dave", USD(2)), PROTO_OK);
    assert_int_equal(reserve_for(g, "bob", USD(2)), PROTO_OK);
    map_clear(&below);
}

static void F12_open_holds_are_capped(void **state)
{
    struct rig *g = *state;
    restart_over_map(g);
    struct core_org *o = stored(CORE_TABLE_org, sizeof *o);
    o->open_holds = CORE_OPEN_HOLDS_MAX - 1;
    reserve(g, 100, 0, PROTO_OK);
    reserve(g, 100, 0, PROTO_QUOTA_EXCEEDED);
    map_clear(&below);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(F12_the_tightest_budget_refuses_and_is_named),
        RIG_TEST(F52_a_refusal_says_what_to_do),
        RIG_TEST(F13_counters_reset_and_a_hold_stays_in_its_window),
        RIG_TEST(F12_name_scopes),
        RIG_TEST(F15_one_rule_one_counter_for_each),
        RIG_TEST(F16_modes),
        RIG_TEST(F16_auto_downgrade_takes_the_next_candidate),
        RIG_TEST(F14_a_child_never_exceeds_its_parent_unless_overridden),
        RIG_TEST(F14_of_many_budgets_the_first_in_the_way_is_named),
        RIG_TEST(F38_a_teams_budgets_end_with_it),
        RIG_TEST(F12_a_lowered_limit_refuses_until_it_fits),
        RIG_TEST(F12_another_window_is_another_generation),
        RIG_TEST(F12_overrun_is_counted_beyond_the_limit),
        RIG_TEST(F7_expiry_and_late_settle_move_the_counters),
        RIG_TEST(F12_malformed_rules_and_caps),
        RIG_TEST(F15_beyond_the_cap_names_share_one_counter),
        RIG_TEST(F12_open_holds_are_capped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
