/* SPDX-License-Identifier: Apache-2.0
 * F43: when a checkpoint begins: by time, by number, and how long it rests after a long one.
 */
/* The rig has an entry of its own. */
#define log_entry rig_log_entry
#include "core_rig.h"
#undef log_entry
#include "ledger/checkpoint.h"

static unsigned written;

static int write_checkpoint(void *ctx, const struct state_changes *changes,
                            const struct state_meta *meta)
{
    (void)ctx, (void)changes, (void)meta;
    written++;
    return 0;
}

static int scan(void *ctx, const void *prefix, size_t plen, const void *from, size_t flen,
                state_visit *visit, void *arg)
{
    (void)ctx, (void)prefix, (void)plen, (void)from, (void)flen, (void)visit, (void)arg;
    return 0;
}

static int refresh(void *ctx)
{
    (void)ctx;
    return 0;
}

static const struct node_io io = {
    .write_checkpoint = write_checkpoint, .scan = scan, .refresh = refresh};

/* Something happens in the machine, and a checkpoint is made of it. */
static void make_one(struct checkpoint *c, struct rig *g, uint64_t from_ms, uint64_t to_ms)
{
    struct core_position at;
    unsigned before = written;
    pay(g, PROTO_CMD_deposit, USD(1), "");
    core_machine_position(g->m, &at);
    assert_true(checkpoint_due(c, from_ms));
    assert_int_equal(checkpoint_start(c, from_ms, NULL), 0);
    assert_int_equal(written, before + 1);
    assert_false(checkpoint_due(c, to_ms + 1000000)); /* one at a time */
    assert_int_equal(checkpoint_due_ms(c), UINT64_MAX);
    assert_int_equal(checkpoint_done(c, to_ms, at.index), 0);
    assert_int_equal(c->index, at.index);
}

static void F43_a_checkpoint_is_due_by_time_or_number(void **state)
{
    (void)state;
    const struct checkpoint_config config = {.every_ms = 1000, .changed_records = 30};
    struct checkpoint c;
    struct rig g;
    rig_begin(&g);
    rig_open(&g);
    checkpoint_init(&c, &config, g.m, &io, 0);
    assert_int_equal(core_machine_changed(g.m), 0);
    assert_false(checkpoint_due(&c, 999));
    assert_true(checkpoint_due(&c, 1000));
    rig_ready(&g);
    make_one(&c, &g, 5000, 5100); /* short: no rest */
    assert_int_equal(checkpoint_due_ms(&c), 6000);
    while (core_machine_changed(g.m) < 30) {
        assert_false(checkpoint_due(&c, 5200));
        pay(&g, PROTO_CMD_deposit, USD(1), "");
    }
    assert_true(checkpoint_due(&c, 5200));
    checkpoint_close(&c);
    core_machine_free(g.m);
}

/* When one is due for the first time after `from_ms`, if enough has changed. */
static uint64_t first_due_ms(const struct checkpoint *c, uint64_t from_ms)
{
    while (!checkpoint_due(c, from_ms))
        from_ms++;
    return from_ms;
}

static void F43_much_is_written_in_pieces_and_each_node_has_its_phase(void **state)
{
    (void)state;
    struct rig g;
    uint64_t due[4];
    rig_begin(&g);
    rig_open(&g);
    rig_ready(&g);
    struct checkpoint_config config = {.every_ms = 1000, .changed_records = 100000};
    for (uint64_t node = 1; node <= 3; node++) {
        struct checkpoint c;
        config.phase = node;
        checkpoint_init(&c, &config, g.m, &io, 0);
        c.last_ms = 10000;
        if (node == 1) {
            assert_int_equal(first_due_ms(&c, 10001), 11000); /* little has changed */
            while (core_machine_changed(g.m) < CHECKPOINT_WORTH)
                pay(&g, PROTO_CMD_deposit, USD(1), "");
        }
        due[node] = first_due_ms(&c, 10001);
        assert_true(due[node] <= 10000 + 1000 / CHECKPOINT_PIECES + 1);
        c.last_ms = due[node];
        assert_int_equal(first_due_ms(&c, due[node]), due[node] + 1000 / CHECKPOINT_PIECES + 1);
        for (uint64_t other = 1; other < node; other++) /* at least a sixth of a piece apart */
            assert_true((due[node] > due[other] ? due[node] - due[other] : due[other] - due[node]) >
                        40);
        checkpoint_close(&c);
    }
    core_machine_free(g.m);
}

static void F43_a_long_checkpoint_is_followed_by_a_rest(void **state)
{
    (void)state;
    const struct checkpoint_config config = {.every_ms = 1000, .changed_records = 30};
    struct checkpoint c;
    struct rig g;
    rig_begin(&g);
    rig_open(&g);
    rig_ready(&g);
    checkpoint_init(&c, &config, g.m, &io, 0);
    make_one(&c, &g, 5000, 5400);
    assert_int_equal(checkpoint_due_ms(&c), 5400 + 400 * CHECKPOINT_REST);
    assert_false(checkpoint_due(&c, 6500));
    assert_true(checkpoint_due(&c, 6600));
    make_one(&c, &g, 6600, 26600);
    assert_int_equal(checkpoint_due_ms(&c), 26600 + CHECKPOINT_REST_MAX_MS);
    /* Many changes end the rest. */
    while (core_machine_changed(g.m) < 30 * CHECKPOINT_CROWD) {
        assert_false(checkpoint_due(&c, 26700));
        pay(&g, PROTO_CMD_deposit, USD(1), "");
    }
    assert_true(checkpoint_due(&c, 26700));
    checkpoint_close(&c);
    core_machine_free(g.m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(F43_a_checkpoint_is_due_by_time_or_number),
        cmocka_unit_test(F43_much_is_written_in_pieces_and_each_node_has_its_phase),
        cmocka_unit_test(F43_a_long_checkpoint_is_followed_by_a_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
