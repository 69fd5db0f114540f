/* SPDX-License-Identifier: Apache-2.0
 * Random commands against an independent shadow of accounts and counters (F2, F4, F5, F60), and the
 * log they leave run again in every way a node runs it: twice, over a store with a tiny cache,
 * through checkpoints, crashes and housekeeping. Same chain, same records, always.
 */
#include "core_rig.h"

enum { OPS = 12000, HOLDS = 400, FEE_PPM = 40000 };

static uint64_t random_state;
static uint64_t rnd(uint64_t below)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (random_state >> 33) % below;
}

/* ---- the shadow: as naive as it can be ---- */
struct shadow_hold {
    struct proto_uuid id;
    int state; /* 0 free, 1 open, 2 expired */
    int64_t promo, available, deadline_us;
    int64_t hour, day; /* windows of the reserve */
};
struct shadow {
    int64_t account[CORE_ACCOUNTS];
    struct shadow_hold hold[HOLDS];
    int64_t spent[2][100000], held[2][100000]; /* [hourly, daily] by window number */
    int64_t unconfirmed;
};
static struct shadow s;
static const int64_t limits[2] = {USD(40), USD(120)};

static int64_t window_no(struct rig *g, int64_t length)
{
    return (g->clock_us - START_US) / length;
}

static void counters(const struct shadow_hold *h, int64_t spent, int64_t held)
{
    s.spent[0][h->hour] += spent;
    s.held[0][h->hour] += held;
    s.spent[1][h->day] += spent;
    s.held[1][h->day] += held;
}

static void shadow_move(int from, int to, int64_t amount)
{
    s.account[from] -= amount;
    s.account[to] += amount;
}

static void shadow_expire(struct rig *g)
{
    for (int i = 0; i < HOLDS; i++) {
        struct shadow_hold *h = &s.hold[i];
        if (h->state != 1 || h->deadline_us > g->clock_us)
            continue;
        h->state = 2;
        counters(h, 0, -(h->promo + h->available));
        shadow_move(CORE_HELD, CORE_PROMO, h->promo);
        shadow_move(CORE_HELD, CORE_AVAILABLE, h->available);
        s.unconfirmed += h->promo + h->available;
    }
}

/* What is held for a cost: room for the fee on it. */
static int64_t with_fee(int64_t cost)
{
    return cost + (cost * FEE_PPM + 999999) / 1000000;
}

static unsigned shadow_admits(int64_t amount, int64_t hour, int64_t day)
{
    if (amount > s.account[CORE_AVAILABLE] + s.account[CORE_PROMO])
        return PROTO_INSUFFICIENT_CREDIT;
    const int64_t used[2] = {s.spent[0][hour] + s.held[0][hour], s.spent[1][day] + s.held[1][day]};
    for (int i = 0; i < 2; i++)
        if (used[i] + amount > limits[i])
            return PROTO_BUDGET_EXCEEDED; /* or one of its siblings */
    return PROTO_OK;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void shadow_draw(struct shadow_hold *h, int64_t amount)
{
    int64_t promo = least(amount, s.account[CORE_PROMO]);
    shadow_move(CORE_PROMO, CORE_HELD, promo);
    shadow_move(CORE_AVAILABLE, CORE_HELD, amount - promo);
    h->promo += promo;
    h->available += amount - promo;
    counters(h, 0, amount);
}

static int64_t shadow_collect(int to, int64_t amount)
{
    int64_t promo = least(amount, s.account[CORE_PROMO]);
    shadow_move(CORE_PROMO, to, promo);
    int64_t rest = least(amount - promo, s.account[CORE_AVAILABLE]);
    shadow_move(CORE_AVAILABLE, to, rest);
    return promo + rest;
}

static void shadow_settle(struct shadow_hold *h, int64_t cost)
{
    int64_t fee = (cost * FEE_PPM + 999999) / 1000000, amount = h->promo + h->available;
    int64_t paid = 0;
    if (h->state == 1) {
        counters(h, 0, -amount);
        paid = least(cost, amount);
        fee = least(fee, amount - paid);
        shadow_move(CORE_HELD, CORE_USAGE, paid);
        shadow_move(CORE_HELD, CORE_FEES, fee);
        int64_t promo = h->promo > paid + fee ? h->promo - paid - fee : 0;
        shadow_move(CORE_HELD, CORE_PROMO, promo);
        shadow_move(CORE_HELD, CORE_AVAILABLE, amount - paid - fee - promo);
    } else {
        s.unconfirmed -= amount;
    }
    paid += shadow_collect(CORE_USAGE, cost - paid);
    shadow_move(CORE_WRITEOFF, CORE_USAGE, cost - paid);
    if (h->state == 2)
        fee = shadow_collect(CORE_FEES, fee);
    counters(h, cost + fee, 0);
    h->state = 0;
}

/* ---- one random step ---- */
static struct shadow_hold *pick(int state)
{
    int from = (int)rnd(HOLDS);
    for (int i = 0; i < HOLDS; i++)
        if (s.hold[(from + i) % HOLDS].state == state)
            return &s.hold[(from + i) % HOLDS];
    return NULL;
}

static bool is_budget_code(unsigned code)
{
    return code == PROTO_BUDGET_EXCEEDED || code == PROTO_BUDGET_IN_FLIGHT ||
           code == PROTO_REQUEST_EXCEEDS_BUDGET;
}

static void expect(unsigned code, unsigned wanted)
{
    if (wanted == PROTO_BUDGET_EXCEEDED && is_budget_code(code))
        return;
    if (code != wanted)
        fail_msg("%s, the shadow says %s", proto_code_name(code), proto_code_name(wanted));
}

static void step_reserve(struct rig *g)
{
    struct shadow_hold *h = pick(0);
    if (!h)
        return;
    int64_t amount = (int64_t)rnd(rnd(8) == 0 ? USD(60) : USD(4));
    *h = (struct shadow_hold){.hour = window_no(g, HOUR), .day = window_no(g, DAY)};
    unsigned wanted = shadow_admits(with_fee(amount), h->hour, h->day);
    struct proto_command c = reserve_command(g, 100, amount);
    c.body.reserve.ttl_us = SECOND + (int64_t)rnd(10 * MINUTE);
    expect(apply(g, &c), wanted);
    if (wanted != PROTO_OK)
        return;
    h->id = c.head.id;
    h->state = 1;
    h->deadline_us = g->clock_us + c.body.reserve.ttl_us;
    shadow_draw(h, with_fee(amount));
    assert_true(s.spent[0][h->hour] + s.held[0][h->hour] <= limits[0]);
    assert_true(s.spent[1][h->day] + s.held[1][h->day] <= limits[1]);
}

static void step_end(struct rig *g, struct shadow_hold *h)
{
    if (!h)
        return;
    if (rnd(4) == 0) {
        expect(release(g, h->id), PROTO_OK);
        if (h->state == 1) {
            counters(h, 0, -(h->promo + h->available));
            shadow_move(CORE_HELD, CORE_PROMO, h->promo);
            shadow_move(CORE_HELD, CORE_AVAILABLE, h->available);
        } else {
            s.unconfirmed -= h->promo + h->available;
        }
        h->state = 0;
    } else {
        int64_t cost = (int64_t)rnd(rnd(10) == 0 ? USD(9) : USD(2));
        expect(settle(g, h->id, cost), PROTO_OK);
        shadow_settle(h, cost);
    }
    if (rnd(5) == 0)
        expect(again(g), PROTO_OK); /* moves nothing */
}

static void step_extend(struct rig *g)
{
    struct shadow_hold *h = pick(1);
    if (!h)
        return;
    int64_t amount = (int64_t)rnd(USD(3)), ttl = SECOND + (int64_t)rnd(10 * MINUTE);
    unsigned wanted = amount ? shadow_admits(with_fee(amount), h->hour, h->day) : PROTO_OK;
    expect(extend(g, 100, h->id, amount, ttl), wanted);
    if (wanted != PROTO_OK)
        return;
    shadow_draw(h, with_fee(amount));
    h->deadline_us = g->clock_us + ttl;
}

static void step_money(struct rig *g)
{
    int64_t amount = 1 + (int64_t)rnd(USD(30));
    unsigned kind = rnd(3) == 0 ? PROTO_CMD_grant : PROTO_CMD_deposit;
    expect(pay(g, kind, amount, ""), PROTO_OK);
    shadow_move(CORE_FUNDING, kind == PROTO_CMD_grant ? CORE_PROMO : CORE_AVAILABLE, amount);
}

static void compare(struct rig *g)
{
    struct core_balances b = balances(g); /* their sum is checked there */
    int64_t held = 0;
    uint32_t open = 0;
    for (int i = 0; i < HOLDS; i++) {
        if (s.hold[i].state != 1)
            continue;
        held += s.hold[i].promo + s.hold[i].available;
        open++;
    }
    assert_int_equal(b.account[CORE_HELD], held);
    assert_int_equal(core_machine_open_holds(g->m), open);
    for (int a = 0; a < CORE_ACCOUNTS; a++) {
        assert_int_equal(b.account[a], s.account[a]);
        if (a < CORE_FUNDING)
            assert_true(b.account[a] >= 0);
    }
}

static void step(struct rig *g)
{
    g->clock_us += (int64_t)rnd(20 * SECOND);
    shadow_expire(g);
    switch (rnd(10)) {
    case 0:
    case 1:
    case 2:
    case 3:
        step_reserve(g);
        break;
    case 4:
    case 5:
    case 6:
        step_end(g, pick(1));
        break;
    case 7:
        step_end(g, pick(2));
        break;
    case 8:
        step_extend(g);
        break;
    default:
        step_money(g);
    }
    tick(g, 0); /* where a step did nothing, expiry still follows the clock */
    compare(g);
}

/* ---- the machine's own observer: transfers add up to the balances ---- */
static int64_t observed[CORE_ACCOUNTS];
static void on_transfer(void *ctx, const struct core_transfer *t)
{
    struct rig *g = ctx;
    if (!proto_uuid_eq(&t->org, &g->org))
        return;
    assert_true(t->amount > 0);
    observed[t->from] -= t->amount;
    observed[t->to] += t->amount;
}

static void random_log(struct rig *g, uint64_t seed)
{
    random_state = seed;
    memset(&s, 0, sizeof s);
    memset(observed, 0, sizeof observed);
    rig_begin(g);
    g->keep_log = true;
    g->config.observer = (struct core_observer){.ctx = g, .on_transfer = on_transfer};
    rig_open(g);
    assert_int_equal(genesis(g), PROTO_OK);
    assert_int_equal(org_create(g, g->org, FEE_PPM), PROTO_OK);
    assert_int_equal(team_create(g, "core"), 1);
    assert_int_equal(key_create(g, 1, "0000key1", 100), 1);
    tick(g, CORE_HOLD_GRACE_US);
    budget(g, PROTO_SCOPE_org, 0, "", PROTO_WINDOW_hourly, limits[0], PROTO_MODE_hard_block);
    budget(g, PROTO_SCOPE_team, 1, "", PROTO_WINDOW_daily, limits[1], PROTO_MODE_hard_block);
    for (int i = 0; i < OPS; i++)
        step(g);
    struct core_balances b = balances(g);
    for (int a = 0; a < CORE_ACCOUNTS; a++)
        assert_int_equal(b.account[a], observed[a]);
}

static void F2_F4_F5_F60_random_commands_match_the_shadow(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 2; seed++) {
        struct rig g;
        random_log(&g, seed);
        assert_int_equal(core_machine_drift(g.m), 0);
        core_machine_free(g.m);
        rig_drop_log(&g);
    }
}

/* ---- the log again ---- */
static int keep_live(void *ctx, const void *key, size_t klen, const void *value, size_t vlen)
{
    struct {
        struct map *map;
        int64_t clock_us;
    } *c = ctx;
    if (value && core_record_dead(key, klen, value, vlen, c->clock_us))
        return 0;
    return map_set(c->map, key, klen, value, vlen);
}

static void same_records(struct map *a, struct map *b, int64_t clock_us)
{
    size_t n = 0;
    for (size_t i = 0; i < MAP_BUCKETS; i++) {
        for (struct map_entry *e = a->bucket[i]; e; e = e->next) {
            if (!e->value || core_record_dead(e->key, e->klen, e->value, e->vlen, clock_us))
                continue;
            struct map_entry *o = map_find(b, e->key, e->klen);
            if (!o || !o->value || o->vlen != e->vlen || memcmp(o->value, e->value, e->vlen) != 0) {
                char text[4096];
                struct proto_text t = proto_text_over(text, sizeof text);
                core_record_print(&t, e->key, e->klen, e->value, e->vlen);
                fail_msg("differs or is absent: %s", text);
            }
            n++;
        }
    }
    assert_true(n > 100);
}

struct checkpoint {
    struct map *below, pending;
    struct core_position at, durable;
    bool under_way;
};

static void restart(struct core_machine **m, const struct core_config *config,
                    const struct checkpoint *c)
{
    size_t n;
    const void *prefix = core_open_prefix(&n);
    core_machine_free(*m);
    assert_int_equal(core_machine_new(m, config, &c->durable), 0);
    for (size_t b = 0; b < MAP_BUCKETS; b++)
        for (struct map_entry *e = c->below->bucket[b]; e; e = e->next)
            if (e->value && e->klen >= n && memcmp(e->key, prefix, n) == 0)
                assert_int_equal(core_machine_restore_open(*m, e->key, e->klen, e->value, e->vlen),
                                 0);
}

static void finish(struct core_machine *m, struct checkpoint *c)
{
    for (size_t b = 0; b < MAP_BUCKETS; b++)
        for (struct map_entry *e = c->pending.bucket[b]; e; e = e->next)
            map_set(c->below, e->key, e->klen, e->value, e->vlen);
    map_clear(&c->pending);
    core_machine_written(m);
    c->durable = c->at;
    c->under_way = false;
}

static void housekeep(struct checkpoint *c)
{
    for (size_t b = 0; b < MAP_BUCKETS; b++)
        for (struct map_entry *e = c->below->bucket[b]; e; e = e->next)
            if (e->value &&
                core_record_dead(e->key, e->klen, e->value, e->vlen, c->durable.clock_us))
                map_set(c->below, e->key, e->klen, NULL, 0);
}

static void replay_over_store(struct rig *g, struct checkpoint *c, struct core_machine **out)
{
    struct core_config config = {.backing = {c->below, map_get}, .cache_records = 50};
    struct core_machine *m;
    struct core_outcome outcome;
    assert_int_equal(core_machine_new(&m, &config, NULL), 0);
    for (size_t i = 0; i < g->log_n;) {
        assert_int_equal(
            core_machine_apply(m, i + 1, g->log[i].term, g->log[i].payload, g->log[i].n, &outcome),
            0);
        i++;
        if (!c->under_way && rnd(20) == 0) {
            core_machine_position(m, &c->at);
            assert_int_equal(core_machine_changes(m, map_set, &c->pending), 0);
            c->under_way = true;
        } else if (c->under_way && rnd(10) == 0) {
            finish(m, c);
            housekeep(c);
        } else if (rnd(400) == 0) { /* a crash loses what was not durable */
            map_clear(&c->pending);
            c->under_way = false;
            restart(&m, &config, c);
            i = c->durable.index;
        }
        assert_true(core_machine_records(m) < 20000);
    }
    if (c->under_way)
        finish(m, c);
    core_machine_position(m, &c->at);
    assert_int_equal(core_machine_changes(m, map_set, &c->pending), 0);
    finish(m, c);
    assert_int_equal(core_machine_changed(m), 0);
    *out = m;
}

static void F44_F50_one_log_one_chain_one_state(void **state)
{
    (void)state;
    struct rig g;
    struct core_position first, at;
    struct core_machine *twice, *stored;
    struct core_outcome out;
    struct core_config plain = {.cache_records = 1000};
    static struct map below, memory;
    struct checkpoint c = {.below = &below};
    random_log(&g, 7);
    core_machine_position(g.m, &first);

    assert_int_equal(core_machine_new(&twice, &plain, NULL), 0);
    for (size_t i = 0; i < g.log_n; i++)
        assert_int_equal(
            core_machine_apply(twice, i + 1, g.log[i].term, g.log[i].payload, g.log[i].n, &out), 0);
    core_machine_position(twice, &at);
    assert_memory_equal(&at, &first, sizeof at);

    replay_over_store(&g, &c, &stored);
    core_machine_position(stored, &at);
    assert_memory_equal(&at, &first, sizeof at);

    struct {
        struct map *map;
        int64_t clock_us;
    } keep = {&memory, first.clock_us};
    assert_int_equal(core_machine_visit(twice, keep_live, &keep), 0);
    same_records(&memory, &below, first.clock_us);
    same_records(&below, &memory, first.clock_us);
    map_clear(&memory);
    map_clear(&below);
    core_machine_free(g.m);
    core_machine_free(twice);
    core_machine_free(stored);
    rig_drop_log(&g);
}

/* ---- a store that fails ---- */
static int failing_get(void *ctx, const void *key, size_t klen, const void **value, size_t *vlen)
{
    (void)key, (void)klen, (void)value, (void)vlen;
    return --*(int *)ctx < 0 ? -EIO : -ENOENT;
}

static void F2_a_failing_store_is_final(void **state)
{
    (void)state;
    for (int good = 0; good < 40; good++) {
        struct rig g;
        struct core_outcome out;
        int left = good, rv = 0;
        rig_begin(&g);
        struct rig source = g;
        source.keep_log = true;
        rig_open(&source);
        rig_ready(&source);
        pay(&source, PROTO_CMD_deposit, USD(5), "x");
        settle(&source, reserve(&source, 100, USD(1), PROTO_OK), 5);
        g.config.backing = (struct core_backing){&left, failing_get};
        rig_open(&g);
        for (size_t i = 0; i < source.log_n && rv == 0; i++)
            rv = core_machine_apply(g.m, i + 1, 1, source.log[i].payload, source.log[i].n, &out);
        if (left < 0) {
            assert_int_equal(rv, -EIO);
            assert_true(core_machine_error(g.m)[0] != '\0');
        }
        core_machine_free(g.m);
        core_machine_free(source.m);
        rig_drop_log(&source);
    }
}

/* ---- bytes from outside ---- */
static void F50_flipped_bytes_are_results_not_crashes(void **state)
{
    (void)state;
    struct rig g, source;
    struct core_outcome out;
    static uint8_t answer[PROTO_ANSWER_MAX];
    random_log(&source, 3);
    rig_begin(&g);
    rig_open(&g);
    rig_ready(&g);
    pay(&g, PROTO_CMD_deposit, USD(100), "");
    for (size_t i = 0; i < 4000; i++) {
        const struct log_entry *e = &source.log[6 + rnd(2000)];
        struct proto_batch b;
        struct proto_str c;
        if (!proto_batch_open(&b, e->payload, e->n) || b.n == 0 || !proto_batch_next(&b, &c))
            continue;
        uint8_t bytes[2048];
        assert_true(c.n <= sizeof bytes);
        memcpy(bytes, c.p, c.n);
        for (uint64_t flips = rnd(4); flips > 0; flips--)
            bytes[rnd(c.n)] ^= (uint8_t)(1u << rnd(8));
        struct proto_str item = {(const char *)bytes, (uint32_t)(rnd(20) ? c.n : rnd(c.n))};
        g.clock_us += (int64_t)rnd(SECOND);
        rig_entry(&g, &item, 1, &out);
        assert_int_equal(core_machine_drift(g.m), 0);
        struct proto_writer w = proto_writer_over(answer, sizeof answer);
        assert_int_equal(core_machine_query(g.m, bytes, item.n, &w), 0);
    }
    balances(&g);
    core_machine_free(g.m);
    core_machine_free(source.m);
    rig_drop_log(&source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(F2_F4_F5_F60_random_commands_match_the_shadow),
        cmocka_unit_test(F44_F50_one_log_one_chain_one_state),
        cmocka_unit_test(F2_a_failing_store_is_final),
        cmocka_unit_test(F50_flipped_bytes_are_results_not_crashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
