/* SPDX-License-Identifier: Apache-2.0
 * The vote store: what it keeps, and the directories it refuses.
 */
#include "ledger/store/env.h"
#include "ledger/store/vote_store.h"
#include "tests/unit/store_tmp.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs these before it
#include <cmocka.h>

static struct store_why why;
static const struct node_identity self = {.cluster = {{1, 2, 3}}, .group = 0, .node = 2};

static void create(void)
{
    struct node_vote vote = {.term = 1};
    assert_int_equal(vote_store_create(store_tmp_path("vote"), &self, &vote, &why), 0);
}

static void F43_vote_and_term_survive_and_incarnations_rise(void **state)
{
    (void)state;
    struct vote_store *s;
    create();
    assert_int_equal(vote_store_create(store_tmp_path("vote"), &self, &(struct node_vote){0}, &why),
                     -EEXIST);
    for (uint64_t i = 1; i <= 5; i++) {
        assert_int_equal(vote_store_open(&s, store_tmp_path("vote"), &self, &why), 0);
        assert_int_equal(vote_store_vote(s)->incarnation, i);
        assert_int_equal(vote_store_vote(s)->term, i);
        assert_int_equal(vote_store_vote(s)->voted_for, i == 1 ? 0 : i + 6);
        assert_int_equal(vote_store_save(s, i + 1, i + 7, &why), 0);
        vote_store_close(s);
    }
    struct node_identity id;
    struct node_vote vote;
    assert_int_equal(vote_store_peek(store_tmp_path("vote"), &id, &vote, &why), 0);
    assert_int_equal(id.node, 2);
    assert_int_equal(vote.incarnation, 5); /* a peek is no start */
    assert_int_equal(vote.term, 6);
}

static void F43_foreign_directories_are_refused(void **state)
{
    (void)state;
    struct vote_store *s;
    create();
    struct node_identity other = self;
    other.cluster.b[15] = 9;
    assert_int_equal(vote_store_open(&s, store_tmp_path("vote"), &other, &why), -EXDEV);
    assert_non_null(strstr(why.text, "belongs to cluster 010203"));
    other = self;
    other.group = 7;
    assert_int_equal(vote_store_open(&s, store_tmp_path("vote"), &other, &why), -EXDEV);
    assert_non_null(strstr(why.text, "group 0, not to 7"));
    other = self;
    other.node = 3;
    assert_int_equal(vote_store_open(&s, store_tmp_path("vote"), &other, &why), -EXDEV);
    assert_non_null(strstr(why.text, "node 2, not to 3"));
    assert_int_equal(vote_store_open(&s, store_tmp_path("none"), &self, &why), -ENOENT);
}

/* Rewrites the identity record as another version of the program would have left it. */
static void write_identity(const void *p, size_t n)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_val key = {8, "identity"}, value = {n, (void *)(uintptr_t)p};
    assert_int_equal(env_open(&env, store_tmp_path("vote"), ENV_WRITE, 1 << 20, 0, &why), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, NULL, 0, &dbi), 0);
    assert_int_equal(mdb_put(txn, dbi, &key, &value, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

static void F43_newer_and_damaged_directories_are_refused(void **state)
{
    (void)state;
    struct vote_store *s;
    uint8_t newer[30] = {2};
    create();
    write_identity(newer, sizeof newer);
    assert_int_equal(vote_store_open(&s, store_tmp_path("vote"), &self, &why), -ENOTSUP);
    assert_non_null(strstr(why.text, "format 2; this version reads format 1"));
    write_identity(newer, 7);
    assert_int_equal(vote_store_open(&s, store_tmp_path("vote"), &self, &why), -EUCLEAN);
    store_tmp_damage(store_tmp_path("vote/data.mdb"), 16, 64);
    assert_int_equal(vote_store_open(&s, store_tmp_path("vote"), &self, &why), -EUCLEAN);
    store_tmp_damage(store_tmp_path("vote/data.mdb"), 100, 0);
    assert_int_equal(vote_store_open(&s, store_tmp_path("vote"), &self, &why), -EUCLEAN);
    assert_non_null(strstr(why.text, "cut short"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(F43_vote_and_term_survive_and_incarnations_rise,
                                        store_tmp_setup, store_tmp_teardown),
        cmocka_unit_test_setup_teardown(F43_foreign_directories_are_refused, store_tmp_setup,
                                        store_tmp_teardown),
        cmocka_unit_test_setup_teardown(F43_newer_and_damaged_directories_are_refused,
                                        store_tmp_setup, store_tmp_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
