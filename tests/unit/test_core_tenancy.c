/* SPDX-License-Identifier: Apache-2.0
 * Authority, isolation, keys, pause, audit and queries in the core; malformed and foreign input.
 */
#include "core_rig.h"

#include "proto/chain.h"

static uint8_t answer[PROTO_ANSWER_MAX];
static struct proto_answer ask_result;

static unsigned ask(struct rig *g, unsigned kind, struct proto_uuid org, struct proto_hash cred,
                    uint32_t after)
{
    uint8_t bytes[PROTO_QUERY_MAX];
    struct proto_query q = {
        .head = {.kind = (uint8_t)kind, .org = org, .cred = cred, .after = after}};
    struct proto_writer w = proto_writer_over(bytes, sizeof bytes);
    assert_true(proto_query_put(&w, &q));
    size_t n = w.n;
    assert_true(proto_query_seal(bytes, n, NULL));
    w = proto_writer_over(answer, sizeof answer);
    assert_int_equal(core_machine_query(g->m, bytes, n, &w), 0);
    assert_true(proto_answer_get(answer, w.n, &ask_result, NULL));
    return ask_result.code;
}

/* The next row of the last answer, opened for its message's decoder. */
static struct proto_reader row(void)
{
    struct proto_str s;
    assert_true(proto_answer_row(&ask_result, &s));
    return proto_reader_over(s.p, s.n);
}

static const struct proto_uuid none;

static void F36_before_the_genesis_nothing_works(void **state)
{
    struct rig *g = *state;
    core_machine_free(g->m);
    rig_begin(g);
    rig_open(g);
    assert_false(core_machine_initialised(g->m));
    assert_int_equal(org_create(g, g->org, 0), PROTO_NOT_INITIALISED);
    assert_int_equal(ask(g, PROTO_QUERY_orgs, none, secret(OPERATOR), 0), PROTO_NOT_INITIALISED);
    assert_int_equal(ask(g, PROTO_QUERY_totals, none, none.b[0] ? secret(0) : secret(9), 0),
                     PROTO_OK);
    assert_int_equal(genesis(g), PROTO_OK);
    assert_true(core_machine_initialised(g->m));
    struct proto_uuid cluster = uuid_of(0xcc);
    assert_true(proto_uuid_eq(core_machine_cluster(g->m), &cluster));
    assert_int_equal(genesis(g), PROTO_ALREADY_INITIALISED);
    assert_int_equal(again(g), PROTO_ALREADY_INITIALISED);
}

static void F36_a_key_acts_in_its_own_org_only(void **state)
{
    struct rig *g = *state;
    struct proto_uuid other = uuid_of(2);
    assert_int_equal(org_create(g, other, 0), PROTO_OK);
    assert_int_equal(org_create(g, other, 0), PROTO_ORG_EXISTS);
    struct proto_command c = reserve_command(g, 100, 0);
    c.head.org = other;
    assert_int_equal(apply(g, &c), PROTO_FORBIDDEN);
    c.head.org = g->org;
    assert_int_equal(apply(g, &c), PROTO_OK);
    assert_int_equal(ask(g, PROTO_QUERY_keys, other, secret(100), 0), PROTO_FORBIDDEN);
    assert_int_equal(ask_result.n, 0);
    assert_int_equal(ask(g, PROTO_QUERY_keys, g->org, secret(100), 0), PROTO_OK);
    assert_int_equal(ask_result.n, 1);
    g->cred = secret(100);
    assert_int_equal(pay(g, PROTO_CMD_grant, USD(1), ""), PROTO_FORBIDDEN);
    g->cred = secret(31337);
    assert_int_equal(pay(g, PROTO_CMD_grant, USD(1), ""), PROTO_UNAUTHENTICATED);
    g->cred = secret(OPERATOR);
    c = reserve_command(g, OPERATOR, 0);
    assert_int_equal(apply(g, &c), PROTO_FORBIDDEN);
    g->org = uuid_of(3);
    assert_int_equal(pay(g, PROTO_CMD_grant, USD(1), ""), PROTO_ORG_UNKNOWN);
}

static void F36_records_name_their_org(void **state)
{
    struct rig *g = *state;
    reserve(g, 100, 0, PROTO_OK);
    size_t n;
    const uint8_t *prefix = core_open_prefix(&n);
    assert_int_equal(n, 1);
    struct map map = {0};
    assert_int_equal(core_machine_visit(g->m, map_set, &map), 0);
    size_t holds = 0;
    for (size_t b = 0; b < MAP_BUCKETS; b++) {
        for (struct map_entry *e = map.bucket[b]; e; e = e->next) {
            char text[2048];
            struct proto_text t = proto_text_over(text, sizeof text);
            core_record_print(&t, e->key, e->klen, e->value, e->vlen);
            assert_true(t.n > 3);
            core_record_print(&t, e->key, e->klen, e->value, e->vlen - 1);
            core_record_print(&t, e->key, e->klen, NULL, 0);
            holds += e->key[0] == prefix[0];
            if (e->key[0] == prefix[0])
                assert_memory_equal(e->key + 17, g->org.b, 16); /* behind the id */
        }
    }
    assert_int_equal(holds, 1);
    map_clear(&map);
}

static void F38_keys_expire_rotate_and_are_revoked_at_once(void **state)
{
    struct rig *g = *state;
    struct proto_command c = key_command(g, 1, "0000key2", 200);
    c.body.key_create.expires_us = g->clock_us + HOUR;
    c.body.key_create.models.n = 1;
    c.body.key_create.models.e[0].model = S("model-b");
    assert_int_equal(apply(g, &c), PROTO_OK);
    reserve(g, 200, 0, PROTO_MODEL_NOT_ALLOWED);
    struct proto_command r = reserve_command(g, 200, 0);
    r.body.reserve.candidates.e[0].model = S("model-b");
    assert_int_equal(apply(g, &r), PROTO_OK);
    tick(g, HOUR);
    r.head.id = uuid_at(g, g->clock_us);
    assert_int_equal(apply(g, &r), PROTO_KEY_EXPIRED);

    c = key_command(g, 1, "0000key1", 201);
    assert_int_equal(apply(g, &c), PROTO_KEY_EXISTS);
    c = key_command(g, 1, "0000key3", 100);
    assert_int_equal(apply(g, &c), PROTO_KEY_EXISTS);
    c = key_command(g, 9, "0000key3", 201);
    assert_int_equal(apply(g, &c), PROTO_TEAM_UNKNOWN);
    c = key_command(g, 0, "0000KEY3", 201);
    assert_int_equal(apply(g, &c), PROTO_MALFORMED);

    c = command(g, PROTO_CMD_key_rotate);
    c.body.key_rotate = (struct proto_key_rotate){1, S("0000key9"), secret(900)};
    assert_int_equal(apply(g, &c), PROTO_OK);
    reserve(g, 100, 0, PROTO_KEY_REVOKED); /* the old secret stops at once */
    reserve(g, 900, 0, PROTO_OK);
    assert_int_equal(g->r.body.reserved.key, 1);
    c = command(g, PROTO_CMD_key_revoke);
    c.body.key_revoke = (struct proto_key_revoke){1, S("gone")};
    assert_int_equal(apply(g, &c), PROTO_OK);
    reserve(g, 900, 0, PROTO_KEY_REVOKED);
    struct proto_identity who = {0}; /* whose it was, and nothing else */
    assert_int_equal(ask(g, PROTO_QUERY_whoami, none, secret(900), 0), PROTO_KEY_REVOKED);
    struct proto_reader rows = row();
    assert_true(proto_identity_get(&rows, &who));
    assert_memory_equal(&who.org, &g->org, sizeof who.org);
    assert_true(who.key == 0 && who.label.n == 0 && who.org_name.n == 0 && !who.operator);
    c.head.id = uuid_at(g, g->clock_us);
    assert_int_equal(apply(g, &c), PROTO_KEY_REVOKED);
    c.head.id = uuid_at(g, g->clock_us);
    c.body.key_revoke.key = 77;
    assert_int_equal(apply(g, &c), PROTO_KEY_UNKNOWN);
}

static void F38_a_team_with_keys_is_not_deleted(void **state)
{
    struct rig *g = *state;
    struct proto_command c = command(g, PROTO_CMD_team_delete);
    c.body.team_delete.team = 1;
    assert_int_equal(apply(g, &c), PROTO_TEAM_NOT_EMPTY);
    struct proto_command v = command(g, PROTO_CMD_key_revoke);
    v.body.key_revoke = (struct proto_key_revoke){1, S("")};
    assert_int_equal(apply(g, &v), PROTO_OK);
    c.head.id = uuid_at(g, g->clock_us);
    assert_int_equal(apply(g, &c), PROTO_OK);
    c.head.id = uuid_at(g, g->clock_us);
    assert_int_equal(apply(g, &c), PROTO_TEAM_UNKNOWN);
    v = key_command(g, 1, "0000key4", 400);
    assert_int_equal(apply(g, &v), PROTO_TEAM_UNKNOWN);
}

static unsigned pause(struct rig *g, unsigned kind)
{
    struct proto_command c = command(g, kind);
    c.body.org_pause.reason = S("runaway agent");
    return apply(g, &c);
}

static void F21_pause_stops_new_holds_and_lets_open_ones_end(void **state)
{
    struct rig *g = *state;
    pay(g, PROTO_CMD_deposit, USD(5), "");
    struct proto_uuid one = reserve(g, 100, USD(1), PROTO_OK);
    struct proto_uuid two = reserve(g, 100, USD(1), PROTO_OK);
    assert_int_equal(pause(g, PROTO_CMD_org_pause), PROTO_OK);
    reserve(g, 100, 0, PROTO_PAUSED);
    assert_int_equal(extend(g, 100, one, 0, MINUTE), PROTO_PAUSED);
    assert_int_equal(settle(g, one, USD(1)), PROTO_OK);
    assert_int_equal(release(g, two), PROTO_OK);
    assert_int_equal(pause(g, PROTO_CMD_org_resume), PROTO_OK);
    reserve(g, 100, 0, PROTO_OK);
}

static void F37_every_administrative_command_leaves_an_audit_row(void **state)
{
    struct rig *g = *state;
    struct proto_command c = command(g, PROTO_CMD_org_set);
    c.head.ip = (struct proto_str){"\x7f\0\0\1", 4};
    c.body.org_set =
        (struct proto_org_set){.name = S("new name"), .billing_day = 15, .allow_unpriced = true};
    assert_int_equal(apply(g, &c), PROTO_OK);
    reserve(g, 100, 0, PROTO_OK);
    assert_int_equal(ask(g, PROTO_QUERY_audit, g->org, secret(OPERATOR), 0), PROTO_OK);
    assert_int_equal(ask_result.n, 4); /* org, team, key, org_set; not the reserve */
    struct proto_audit_row v = {0};
    for (int i = 0; i < 4; i++) {
        struct proto_reader r = row();
        assert_true(proto_audit_row_get(&r, &v));
        assert_int_equal(v.number, i + 1);
    }
    assert_int_equal(v.kind, PROTO_CMD_org_set);
    assert_int_equal(v.ip.n, 4);
    assert_int_equal(v.actor.n, 8);
    assert_int_equal(v.time_us, g->clock_us);
    assert_non_null(memmem(v.before.p, v.before.n, "acme", 4));
    assert_non_null(memmem(v.after.p, v.after.n, "new name", 8));
    assert_int_equal(ask(g, PROTO_QUERY_audit, none, secret(OPERATOR), 0), PROTO_OK);
    assert_int_equal(ask_result.n, 1); /* the genesis */
    assert_int_equal(ask(g, PROTO_QUERY_audit, g->org, secret(100), 0), PROTO_FORBIDDEN);
}

static void F36_queries_answer_rows_and_codes(void **state)
{
    struct rig *g = *state;
    struct proto_identity who;
    struct proto_org_row org;
    struct proto_team_row team;
    struct proto_budget_row b;
    assert_int_equal(ask(g, PROTO_QUERY_whoami, none, secret(100), 0), PROTO_OK);
    struct proto_reader r = row();
    assert_true(proto_identity_get(&r, &who));
    assert_false(who.operator);
    assert_int_equal(who.key, 1);
    assert_true(proto_str_eq(who.org_name, S("acme")));
    assert_int_equal(ask(g, PROTO_QUERY_whoami, none, secret(OPERATOR), 0), PROTO_OK);
    r = row();
    assert_true(proto_identity_get(&r, &who) && who.operator);
    assert_int_equal(ask(g, PROTO_QUERY_whoami, none, secret(55), 0), PROTO_UNAUTHENTICATED);
    pay(g, PROTO_CMD_deposit, USD(5), "");
    budget(g, PROTO_SCOPE_org, 0, "", PROTO_WINDOW_daily, USD(3), PROTO_MODE_hard_block);
    reserve(g, 100, USD(2), PROTO_OK);
    assert_int_equal(ask(g, PROTO_QUERY_orgs, none, secret(OPERATOR), 0), PROTO_OK);
    r = row();
    assert_true(proto_org_row_get(&r, &org));
    assert_int_equal(org.held, USD(2));
    assert_int_equal(org.open_holds, 1);
    assert_int_equal(ask(g, PROTO_QUERY_orgs, none, secret(100), 0), PROTO_FORBIDDEN);
    assert_int_equal(ask(g, PROTO_QUERY_orgs, g->org, secret(100), 0), PROTO_OK);
    assert_int_equal(ask(g, PROTO_QUERY_teams, g->org, secret(OPERATOR), 0), PROTO_OK);
    r = row();
    assert_true(proto_team_row_get(&r, &team));
    assert_int_equal(team.keys, 1);
    assert_int_equal(ask(g, PROTO_QUERY_budgets, g->org, secret(OPERATOR), 0), PROTO_OK);
    r = row();
    assert_true(proto_budget_row_get(&r, &b));
    assert_int_equal(b.held, USD(2));
    assert_int_equal(b.reset_us, START_US + DAY);
    assert_int_equal(ask(g, PROTO_QUERY_budgets, none, secret(OPERATOR), 0), PROTO_ORG_UNKNOWN);
    assert_int_equal(ask(g, 99, none, secret(OPERATOR), 0), PROTO_MALFORMED);
}

static void F36_lists_are_paged(void **state)
{
    struct rig *g = *state;
    for (int i = 0; i < PROTO_ANSWER_ROWS + 10; i++)
        team_create(g, "another");
    assert_int_equal(ask(g, PROTO_QUERY_teams, g->org, secret(OPERATOR), 0), PROTO_OK);
    assert_int_equal(ask_result.n, PROTO_ANSWER_ROWS);
    assert_int_equal(ask_result.next, PROTO_ANSWER_ROWS);
    assert_int_equal(ask(g, PROTO_QUERY_teams, g->org, secret(OPERATOR), ask_result.next), 0);
    assert_int_equal(ask_result.n, 11);
    assert_int_equal(ask_result.next, 0);
}

static void F50_an_undecodable_command_is_a_result(void **state)
{
    struct rig *g = *state;
    static const char *const junk[] = {"", "\xc1", "\x92\x90\x90", "not msgpack at all"};
    for (size_t i = 0; i < sizeof junk / sizeof junk[0]; i++) {
        g->sealed_n = strlen(junk[i]);
        memcpy(g->sealed, junk[i], g->sealed_n);
        assert_int_equal(again(g), PROTO_MALFORMED);
    }
    struct proto_command c = command(g, PROTO_CMD_deposit);
    c.body.deposit = (struct proto_deposit){1, S(""), S("")};
    memset(&c.head.id, 0, sizeof c.head.id);
    assert_int_equal(apply(g, &c), PROTO_MALFORMED);
}

static void F50_foreign_entries_and_other_chains_stop_the_machine(void **state)
{
    struct rig *g = *state;
    uint8_t payload[256];
    struct core_outcome out;
    struct proto_hash ours;
    assert_true(core_machine_chain_at(g->m, g->index, &ours));
    assert_false(core_machine_chain_at(g->m, g->index + 1, &ours));
    assert_true(core_machine_chain_at(g->m, g->index - 1, &ours));
    struct proto_batch_header h = {.format = PROTO_LOG_FORMAT,
                                   .machine = PROTO_MACHINE_VERSION,
                                   .stamp_us = g->clock_us,
                                   .check_index = g->index - 1,
                                   .check_chain = ours};
    struct proto_writer w = proto_writer_over(payload, sizeof payload);
    proto_batch_begin(&w, &h, 0);
    assert_int_equal(core_machine_apply(g->m, ++g->index, g->term, payload, w.n, &out), 0);
    h.check_chain = secret(5);
    w = proto_writer_over(payload, sizeof payload);
    proto_batch_begin(&w, &h, 0);
    assert_int_equal(core_machine_apply(g->m, ++g->index, g->term, payload, w.n, &out), -EUCLEAN);
    assert_non_null(strstr(core_machine_error(g->m), "ours"));
    assert_int_equal(core_machine_apply(g->m, g->index, g->term, payload, w.n, &out), -EUCLEAN);

    for (int i = 0; i < 3; i++) {
        core_machine_free(g->m);
        rig_begin(g);
        rig_open(g);
        h = (struct proto_batch_header){.format = i == 0 ? 9 : PROTO_LOG_FORMAT,
                                        .machine = i == 1 ? 9 : PROTO_MACHINE_VERSION};
        w = proto_writer_over(payload, sizeof payload);
        proto_batch_begin(&w, &h, 0);
        payload[i == 2 ? 0 : 255] = 0xc1;
        assert_int_equal(core_machine_apply(g->m, 1, 1, payload, w.n, &out), -EPROTO);
    }
}

static void F59_the_chain_is_the_documented_one(void **state)
{
    struct rig *g = *state;
    struct core_position before, after;
    core_machine_position(g->m, &before);
    pay(g, PROTO_CMD_deposit, USD(1), "");
    core_machine_position(g->m, &after);
    uint8_t result[PROTO_RESULT_MAX];
    struct proto_writer w = proto_writer_over(result, sizeof result);
    assert_true(proto_result_put(&w, &g->r));
    struct proto_hash leaves[2], root, chain = before.chain;
    proto_chain_leaf(g->sealed, g->sealed_n, result, w.n, &leaves[0]);
    uint8_t tail[13 + PROTO_BATCH_HEADER_MAX] = {2}; /* clock, no expired holds, header */
    for (int i = 0; i < 8; i++)
        tail[1 + i] = (uint8_t)((uint64_t)g->clock_us >> (56 - 8 * i));
    struct proto_batch_header h = {
        .format = PROTO_LOG_FORMAT, .machine = PROTO_MACHINE_VERSION, .stamp_us = g->clock_us};
    w = proto_writer_over(tail + 13, PROTO_BATCH_HEADER_MAX);
    proto_batch_header_put(&w, &h);
    proto_sha256_of(tail, 13 + w.n, &leaves[1]);
    proto_chain_root(leaves, 2, &root);
    proto_chain_next(&chain, g->index, g->term, g->clock_us, &root);
    assert_memory_equal(chain.b, after.chain.b, sizeof chain.b);
    assert_int_equal(core_machine_skip(g->m, ++g->index, ++g->term, 2, "x", 1), 0);
    proto_sha256_of("\3\2x", 3, &root);
    proto_chain_next(&chain, g->index, g->term, g->clock_us, &root);
    core_machine_position(g->m, &after);
    assert_memory_equal(chain.b, after.chain.b, sizeof chain.b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(F36_before_the_genesis_nothing_works),
        RIG_TEST(F36_a_key_acts_in_its_own_org_only),
        RIG_TEST(F36_records_name_their_org),
        RIG_TEST(F38_keys_expire_rotate_and_are_revoked_at_once),
        RIG_TEST(F38_a_team_with_keys_is_not_deleted),
        RIG_TEST(F21_pause_stops_new_holds_and_lets_open_ones_end),
        RIG_TEST(F37_every_administrative_command_leaves_an_audit_row),
        RIG_TEST(F36_queries_answer_rows_and_codes),
        RIG_TEST(F36_lists_are_paged),
        RIG_TEST(F50_an_undecodable_command_is_a_result),
        RIG_TEST(F50_foreign_entries_and_other_chains_stop_the_machine),
        RIG_TEST(F59_the_chain_is_the_documented_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
