/* SPDX-License-Identifier: Apache-2.0
 * The record cache and the heap of open holds, against naive models.
 */
#include "core_rig.h"
#include "ledger/core/open_heap.h"
#include "ledger/core/record.h"

enum { KEYS = 600, STEPS = 60000 };

static uint64_t random_state;
static uint64_t rnd(uint64_t below)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (random_state >> 33) % below;
}

static struct proto_uuid id_at_second(int64_t second, uint32_t number)
{
    struct proto_uuid id = {{0}};
    uint64_t ms = (uint64_t)second * 1000;
    for (int b = 5; b >= 0; b--, ms >>= 8)
        id.b[b] = (uint8_t)ms;
    memcpy(id.b + 8, &number, sizeof number);
    return id;
}

/* Of both shelves; every third one a hold's, of one of twenty seconds. */
static struct core_key key_at(uint32_t i)
{
    struct core_key k;
    uint8_t bytes[200] = {0};
    if (i % 3 == 0) {
        static const struct proto_uuid org = {{7}};
        struct proto_uuid id = id_at_second(1000000 + i % 20, i);
        core_key_hold(&k, i % 2 ? CORE_TABLE_hold : CORE_TABLE_closed, &org, &id);
        return k;
    }
    memcpy(bytes + i % 190, &i, sizeof i);
    core_key_bytes(&k, i % 3 == 1 ? CORE_TABLE_reference : CORE_TABLE_rules, bytes, 10 + i % 190);
    return k;
}

/* What the overlay should say: the newest value of each key. */
static uint8_t *model[KEYS];
static size_t model_n[KEYS];
static struct map below, pending;

static void check_key(struct core_overlay *o, uint32_t i)
{
    struct core_key k = key_at(i);
    size_t n = 0;
    const void *value = core_overlay_get(o, &k, &n);
    assert_int_equal(value != NULL, model[i] != NULL);
    if (!value)
        return;
    assert_int_equal(n, model_n[i]);
    assert_memory_equal(value, model[i], n);
}

static void set_key(struct core_overlay *o, uint32_t i)
{
    struct core_key k = key_at(i);
    size_t n = 1 + rnd(rnd(4) == 0 ? CORE_VALUE_MAX : 100);
    uint8_t *value = core_overlay_put(o, &k, n);
    for (size_t b = 0; b < n; b++)
        assert_int_equal(value[b], 0);
    memset(value, (int)rnd(255) + 1, n);
    free(model[i]);
    model[i] = malloc(n);
    assert_non_null(model[i]);
    memcpy(model[i], value, n);
    model_n[i] = n;
}

static void change_key(struct core_overlay *o, uint32_t i)
{
    struct core_key k = key_at(i);
    size_t n;
    uint8_t *value = core_overlay_get(o, &k, &n);
    if (!value)
        return;
    value[0] ^= 0x55;
    model[i][0] ^= 0x55;
    core_overlay_touch(o, value);
}

static void drop_key(struct core_overlay *o, uint32_t i)
{
    struct core_key k = key_at(i);
    size_t n;
    void *value = core_overlay_get(o, &k, &n);
    if (!value)
        return;
    core_overlay_drop(o, value);
    free(model[i]);
    model[i] = NULL;
}

static void take_down(struct core_overlay *o)
{
    for (size_t b = 0; b < MAP_BUCKETS; b++)
        for (struct map_entry *e = pending.bucket[b]; e; e = e->next)
            map_set(&below, e->key, e->klen, e->value, e->vlen);
    map_clear(&pending);
    core_overlay_written(o);
}

static void F44_the_overlay_is_a_map_over_a_map(void **state)
{
    (void)state;
    struct core_overlay o;
    bool writing = false;
    random_state = 11;
    assert_int_equal(core_overlay_init(&o, &(struct core_backing){&below, map_get}, 40), 0);
    for (int step = 0; step < STEPS; step++) {
        uint32_t i = (uint32_t)rnd(KEYS);
        switch (rnd(8)) {
        case 0:
        case 1:
            set_key(&o, i);
            break;
        case 2:
            change_key(&o, i);
            break;
        case 3:
            drop_key(&o, i);
            break;
        default:
            check_key(&o, i);
        }
        if (rnd(10) == 0)
            core_overlay_trim(&o);
        if (rnd(60) == 0 && !writing) {
            assert_int_equal(core_overlay_changes(&o, map_set, &pending), 0);
            writing = true;
        } else if (rnd(30) == 0 && writing) {
            take_down(&o);
            writing = false;
        }
    }
    if (writing)
        take_down(&o);
    assert_int_equal(core_overlay_changes(&o, map_set, &pending), 0);
    take_down(&o);
    for (uint32_t i = 0; i < KEYS; i++) {
        check_key(&o, i);
        free(model[i]);
        model[i] = NULL;
    }
    for (int i = 0; i < 1000; i++)
        core_overlay_trim(&o);
    for (unsigned i = 0; i < CORE_SHELVES; i++) { /* all clean: only the limit stays */
        assert_true(o.shelf[i].all.n <= o.shelf[i].limit);
        assert_int_equal(o.shelf[i].busy, 0);
    }
    assert_int_equal(o.failed, 0);
    core_overlay_close(&o);
    map_clear(&below);
}

static int count(void *ctx, const void *key, size_t klen, const void *value, size_t vlen)
{
    (void)key, (void)klen, (void)vlen;
    ((int *)ctx)[value ? 0 : 1]++;
    return 0;
}

static void F44_what_lived_between_two_checkpoints_leaves_no_trace(void **state)
{
    (void)state;
    struct core_overlay o;
    int seen[2] = {0};
    assert_int_equal(core_overlay_init(&o, &(struct core_backing){NULL, NULL}, 10), 0);
    for (uint32_t i = 0; i < 100; i++) {
        struct core_key k = key_at(i);
        core_overlay_put(&o, &k, 8);
    }
    for (uint32_t i = 0; i < 100; i += 2) {
        struct core_key k = key_at(i);
        size_t n;
        core_overlay_drop(&o, core_overlay_get(&o, &k, &n));
    }
    assert_int_equal(core_overlay_records(&o), 50);
    assert_int_equal(core_overlay_changes(&o, count, seen), 0);
    assert_int_equal(seen[0], 50);
    assert_int_equal(seen[1], 0);
    struct core_key k = key_at(1);
    size_t n;
    core_overlay_drop(&o, core_overlay_get(&o, &k, &n)); /* while it is being written */
    assert_null(core_overlay_get(&o, &k, &n));
    core_overlay_written(&o);
    assert_int_equal(core_overlay_changes(&o, count, seen), 0);
    assert_int_equal(seen[1], 1); /* its tombstone */
    core_overlay_written(&o);
    assert_int_equal(core_overlay_records(&o), 49);
    core_overlay_close(&o);
}

/* A table is left for a larger one a few places at a time. */
static void F44_a_table_that_moves_loses_nothing(void **state)
{
    enum { MANY = 150000, ROUNDS = 2 };
    (void)state;
    static uint16_t size[MANY]; /* 0: not there */
    struct core_overlay o;
    unsigned moving = 0;
    random_state = 5;
    assert_int_equal(core_overlay_init(&o, &(struct core_backing){NULL, NULL}, 2 * MANY), 0);
    for (uint32_t step = 0; step < ROUNDS * MANY; step++) {
        uint32_t i = step < MANY ? step : (uint32_t)rnd(MANY);
        uint32_t other = (uint32_t)rnd(step < MANY ? step + 1 : MANY);
        struct core_key k = key_at(i);
        size_t n;
        size[i] = (uint16_t)(8 + rnd(20) * 16);
        memcpy(core_overlay_put(&o, &k, size[i]), &i, sizeof i);
        k = key_at(other);
        void *value = core_overlay_get(&o, &k, &n);
        assert_int_equal(value != NULL, size[other] != 0);
        if (!value)
            continue;
        assert_int_equal(n, size[other]);
        assert_memory_equal(value, &other, sizeof other);
        if (rnd(3) == 0) {
            core_overlay_drop(&o, value);
            size[other] = 0;
            assert_null(core_overlay_get(&o, &k, &n));
        }
        for (unsigned s = 0; s < CORE_SHELVES; s++)
            moving += o.shelf[s].old.slots != NULL;
    }
    assert_true(moving > 1000);
    for (uint32_t i = 0; i < MANY; i++) {
        struct core_key k = key_at(i);
        size_t n;
        assert_int_equal(core_overlay_get(&o, &k, &n) != NULL, size[i] != 0);
    }
    core_overlay_close(&o);
}

/* ---- what need not be looked for below ---- */
static unsigned asked;

static int count_get(void *ctx, const void *key, size_t klen, const void **value, size_t *vlen)
{
    asked++;
    return map_get(ctx, key, klen, value, vlen);
}

static struct core_key hold_key(int64_t second, uint32_t number)
{
    static const struct proto_uuid org = {{7}};
    struct proto_uuid id = id_at_second(second, number);
    struct core_key k;
    core_key_hold(&k, CORE_TABLE_hold, &org, &id);
    return k;
}

static unsigned asks(struct core_overlay *o, const struct core_key *k)
{
    unsigned before = asked;
    size_t n;
    (void)core_overlay_get(o, k, &n);
    return asked - before;
}

static void F44_fresh_ids_are_not_looked_for_below(void **state)
{
    (void)state;
    const int64_t now = 1790000000;
    struct core_overlay o;
    assert_int_equal(core_overlay_init(&o, &(struct core_backing){&below, count_get}, 8), 0);
    struct core_key k = hold_key(now, 1);
    assert_int_equal(asks(&o, &k), 0); /* nothing was ever below */
    /* A restart at `now`: ids may be up to five minutes ahead. */
    core_absent_start(&o.absent, now * 1000000);
    assert_int_equal(asks(&o, &k), 1);
    k = hold_key(now + 300, 1);
    assert_int_equal(asks(&o, &k), 1);
    k = hold_key(now + 301, 1);
    assert_int_equal(asks(&o, &k), 0);
    /* Dropped from memory: that second must be asked for, its neighbours not. */
    for (uint32_t i = 0; i < 40; i++) {
        k = hold_key(now + 400, i);
        core_overlay_put(&o, &k, 8);
    }
    assert_int_equal(core_overlay_changes(&o, map_set, &below), 0);
    core_overlay_written(&o);
    for (int i = 0; i < 100; i++)
        core_overlay_trim(&o);
    assert_true(core_overlay_records(&o) <= 8);
    unsigned found = 0;
    for (uint32_t i = 0; i < 40; i++) {
        size_t n;
        k = hold_key(now + 400, i);
        found += core_overlay_get(&o, &k, &n) != NULL;
    }
    assert_int_equal(found, 40);
    k = hold_key(now + 399, 1);
    assert_int_equal(asks(&o, &k), 0);
    k = hold_key(now + 400, 1000);
    assert_int_equal(asks(&o, &k), 1);
    /* Far ahead of the ring, and what falls out of it. */
    core_absent_note(&o.absent, hold_key(now + 400 + CORE_ABSENT_SECONDS, 1).b, k.n);
    assert_int_equal(asks(&o, &k), 1);
    k = hold_key(now + 401, 1000);
    assert_int_equal(asks(&o, &k), 0);
    k = hold_key(now + 400 + 2 * CORE_ABSENT_SECONDS, 1);
    assert_int_equal(asks(&o, &k), 0);
    core_absent_note(&o.absent, hold_key(now + 10 * CORE_ABSENT_SECONDS, 1).b, k.n);
    k = hold_key(now + 401, 1000);
    assert_int_equal(asks(&o, &k), 1);
    core_overlay_close(&o);
    map_clear(&below);
}

static void F44_an_absent_key_is_asked_for_once(void **state)
{
    (void)state;
    struct core_overlay o;
    int seen[2] = {0};
    assert_int_equal(core_overlay_init(&o, &(struct core_backing){&below, count_get}, 100), 0);
    struct core_key k;
    core_key_bytes(&k, CORE_TABLE_rules, "an org without a budget", 23);
    assert_int_equal(asks(&o, &k), 1);
    assert_int_equal(asks(&o, &k), 0);
    assert_int_equal(core_overlay_changes(&o, count, seen), 0); /* that is no change */
    core_overlay_written(&o);
    assert_int_equal(core_overlay_visit(&o, count, seen), 0);
    assert_int_equal(seen[0] + seen[1], 0);
    memset(core_overlay_put(&o, &k, 8), 1, 8);
    size_t n;
    void *value = core_overlay_get(&o, &k, &n);
    assert_int_equal(n, 8);
    core_overlay_drop(&o, value); /* never written: no trace */
    assert_int_equal(core_overlay_changes(&o, count, seen), 0);
    core_overlay_written(&o);
    assert_int_equal(seen[0] + seen[1], 0);
    core_overlay_close(&o);
}

static void F7_the_heap_gives_holds_in_order(void **state)
{
    (void)state;
    enum { HOLDS = 3000 };
    static struct core_open live[HOLDS];
    static bool in[HOLDS];
    struct core_open_heap h = {0};
    random_state = 5;
    for (int step = 0; step < 30000; step++) {
        uint32_t i = (uint32_t)rnd(HOLDS);
        if (!in[i]) {
            live[i] = (struct core_open){
                .deadline_us = (int64_t)rnd(50), .index = i / 7, .ordinal = i % 7};
            assert_int_equal(core_open_heap_room(&h), 0);
            core_open_heap_add(&h, &live[i]);
            in[i] = true;
        } else if (rnd(3) == 0) {
            live[i].deadline_us = (int64_t)rnd(50);
            core_open_heap_move(&h, live[i].index, live[i].ordinal, live[i].deadline_us);
        } else {
            core_open_heap_remove(&h, live[i].index, live[i].ordinal);
            core_open_heap_remove(&h, live[i].index, live[i].ordinal);
            in[i] = false;
        }
    }
    const struct core_open *o;
    struct core_open last = {.deadline_us = -1};
    while ((o = core_open_heap_first(&h)) != NULL) {
        assert_true(
            o->deadline_us > last.deadline_us ||
            (o->deadline_us == last.deadline_us &&
             (o->index > last.index || (o->index == last.index && o->ordinal > last.ordinal))));
        last = *o;
        uint32_t i = (uint32_t)(o->index * 7 + o->ordinal);
        assert_true(in[i] && live[i].deadline_us == o->deadline_us);
        in[i] = false;
        core_open_heap_remove(&h, last.index, last.ordinal);
    }
    for (int i = 0; i < HOLDS; i++)
        assert_false(in[i]);
    core_open_heap_close(&h);
}

static void F44_dead_records_are_told_by_time(void **state)
{
    (void)state;
    const uint8_t hold_key[33] = {CORE_TABLE_hold}, closed_key[33] = {CORE_TABLE_closed};
    const uint8_t counter_key[1] = {CORE_TABLE_counter}, org_key[17] = {CORE_TABLE_org};
    struct core_hold h = {.state = CORE_HOLD_OPEN, .deadline_us = 5};
    const int64_t late = 5 + CORE_LATE_WINDOW_US;
    assert_false(core_record_dead(hold_key, 33, &h, sizeof h, INT64_MAX - 1));
    h.state = CORE_HOLD_EXPIRED;
    assert_false(core_record_dead(hold_key, 33, &h, sizeof h, late));
    assert_true(core_record_dead(hold_key, 33, &h, sizeof h, late + 1));
    struct core_closed c = {.keep_until_us = 100};
    assert_false(core_record_dead(closed_key, 33, &c, sizeof c, 100));
    assert_true(core_record_dead(closed_key, 33, &c, sizeof c, 101));
    struct core_counter n = {.end_us = 100, .open = 1};
    assert_false(core_record_dead(counter_key, 1, &n, sizeof n, INT64_MAX));
    n.open = 0;
    assert_true(core_record_dead(counter_key, 1, &n, sizeof n, INT64_MAX));
    n.end_us = INT64_MAX;
    assert_false(core_record_dead(counter_key, 1, &n, sizeof n, INT64_MAX));
    struct core_org o = {0};
    assert_false(core_record_dead(org_key, 17, &o, sizeof o, INT64_MAX));
    assert_false(core_record_dead(org_key, 0, &o, sizeof o, INT64_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(F44_the_overlay_is_a_map_over_a_map),
        cmocka_unit_test(F44_a_table_that_moves_loses_nothing),
        cmocka_unit_test(F44_what_lived_between_two_checkpoints_leaves_no_trace),
        cmocka_unit_test(F44_fresh_ids_are_not_looked_for_below),
        cmocka_unit_test(F44_an_absent_key_is_asked_for_once),
        cmocka_unit_test(F7_the_heap_gives_holds_in_order),
        cmocka_unit_test(F44_dead_records_are_told_by_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
