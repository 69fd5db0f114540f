/* SPDX-License-Identifier: Apache-2.0
 * F44: the sweep keeps the state as large as rate x lifetime, whatever the rate, with a bounded
 * piece of work in each checkpoint.
 */
#include "ledger/store/sweep.h"
#include "tests/unit/store_tmp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs these before it
#include <cmocka.h>

enum {
    RATE = 5000, /* records a second and table; one checkpoint a second */
    LIFE = 20,   /* seconds */
    LONG = 200,  /* seconds of load */
};

/* A record is its second of birth. Table 1: keys in the order of birth; table 2: in any order;
 * table 3: lives for ever. */
static bool is_dead(const void *key, size_t klen, const void *value, size_t vlen, int64_t clock_us)
{
    int64_t born;
    assert_int_equal(vlen, sizeof born);
    assert_true(klen > 1);
    memcpy(&born, value, sizeof born);
    return *(const uint8_t *)key < 3 && (born + LIFE) * 1000000 < clock_us;
}

static void put_be(uint8_t *p, uint64_t v)
{
    for (int i = 7; i >= 0; i--, v >>= 8)
        p[i] = (uint8_t)v;
}

static void span(unsigned i, int64_t clock_us, uint8_t *from, size_t *from_n, uint8_t *to,
                 size_t *to_n)
{
    int64_t second = clock_us / 1000000 - LIFE;
    from[0] = to[0] = (uint8_t)(i + 1);
    *from_n = *to_n = 1;
    if (i == 1) {
        to[0]++;
    } else if (second > 0) {
        put_be(to + 1, (uint64_t)second);
        *to_n = 9;
    }
}

static const struct state_sweep_rules rules = {.spans = 2, .span = span, .dead = is_dead};

struct run {
    struct state_store *s;
    struct state_sweep sweep;
    struct state_changes changes;
    uint64_t random, number, most, most_looked;
    int64_t second;
};

static struct store_why why;

static void begin(struct run *r)
{
    const struct state_store_config config = {.map_bytes = UINT64_C(1) << 30};
    *r = (struct run){.random = 1};
    assert_int_equal(
        state_store_open(&r->s, store_tmp_path("state"), STATE_STORE_WRITE, &config, &why), 0);
    assert_int_equal(state_store_forgets(r->s), 0);
    state_sweep_init(&r->sweep, &rules);
    state_changes_init(&r->changes);
}

static void end(struct run *r)
{
    state_sweep_close(&r->sweep);
    state_changes_close(&r->changes);
    state_store_close(r->s);
}

static void add(struct run *r, uint8_t table, uint64_t rest)
{
    uint8_t key[17] = {table};
    put_be(key + 1, table == 1 ? (uint64_t)r->second : rest);
    put_be(key + 9, table == 1 ? rest : 0);
    assert_int_equal(state_changes_add(&r->changes, key, sizeof key, &r->second, sizeof r->second),
                     0);
}

/* A second with so many new records of each mortal table. */
static void second(struct run *r, unsigned rate)
{
    state_changes_clear(&r->changes);
    for (unsigned i = 0; i < rate; i++) {
        r->random = r->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        add(r, 1, r->random);
        add(r, 2, r->random);
    }
    if (r->second == 0)
        for (unsigned i = 0; i < 100; i++)
            add(r, 3, i);
    r->second++;
    const struct state_meta meta = {.applied_index = (uint64_t)r->second,
                                    .clock_us = r->second * 1000000};
    uint64_t looked = r->sweep.looked;
    assert_int_equal(state_store_checkpoint(r->s, &r->changes, &meta, &r->sweep, &why), 0);
    looked = r->sweep.looked - looked;
    uint64_t n = state_store_records(r->s);
    r->most = n > r->most ? n : r->most;
    r->most_looked = looked > r->most_looked ? looked : r->most_looked;
}

static void F44_the_state_is_bounded_by_rate_and_lifetime(void **state)
{
    (void)state;
    struct run r;
    begin(&r);
    for (unsigned i = 0; i < LONG; i++)
        second(&r, RATE);
    /* Two tables; a seventh more where the keys do not tell, and a second's worth under way. */
    const uint64_t living = (uint64_t)RATE * LIFE;
    assert_true(r.most >= 2 * living);
    assert_true(r.most <= living + living * 8 / 7 + 3 * RATE + 100);
    assert_true(r.most_looked <= 2 * (SWEEP_LOOKS + SWEEP_BY_GROWTH * RATE +
                                      SWEEP_BY_FOUND * (uint64_t)SWEEP_FOUND_MAX));
    /* The load ends. What it has left dies and goes, as fast as it came. */
    for (unsigned i = 0; i < LIFE + 40; i++)
        second(&r, 0);
    assert_int_equal(state_store_records(r.s), 100);
    assert_int_equal(r.sweep.swept, (uint64_t)2 * RATE * LONG);
    uint64_t looked = r.sweep.looked;
    second(&r, 0);
    assert_int_equal(r.sweep.looked, looked); /* nothing there: nothing to look at */
    end(&r);
}

static void F44_a_burst_is_swept_in_bounded_pieces(void **state)
{
    (void)state;
    struct run r;
    unsigned seconds = 0;
    begin(&r);
    second(&r, 30 * RATE);
    r.second += 10 * LIFE;
    r.most_looked = 0;
    while (state_store_records(r.s) > 100) {
        second(&r, 0);
        assert_true(++seconds < 60);
    }
    assert_true(r.most_looked <= 2 * (SWEEP_LOOKS + SWEEP_BY_FOUND * (uint64_t)SWEEP_FOUND_MAX));
    end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(F44_the_state_is_bounded_by_rate_and_lifetime,
                                        store_tmp_setup, store_tmp_teardown),
        cmocka_unit_test_setup_teardown(F44_a_burst_is_swept_in_bounded_pieces, store_tmp_setup,
                                        store_tmp_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
