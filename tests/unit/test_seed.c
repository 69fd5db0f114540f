/* SPDX-License-Identifier: Apache-2.0
 * Seeding (F43) without a network: an empty directory is filled by what servers on other nodes'
 * directories answer. Interrupted it goes on; what is damaged, diverged or too few is refused.
 */
#include "ledger/seed/digest.h"
#include "ledger/seed/seeder.h"
#include "ledger/seed/server.h"
#include "tests/replay/fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/statvfs.h>

#include <cmocka.h>

#include "store_tmp.h"

static struct fixture behind, ahead; /* the same log; checkpoints at different places */
static struct store_why why;

/* One live node. */
struct giver {
    struct data_dir dir;
    struct seed_server *server;
    struct seed_standing standing;
    bool silent;
};

/* The others, and what goes wrong between us. */
struct net {
    struct giver node[4]; /* by id; we are 3 */
    unsigned chunks, fail_after, flip_chunk, flip_entries;
    unsigned opened, pauses;
    uint8_t bytes[SEED_BYTES_MAX];
};
static struct net net;

static void on_answer(void *ctx, void *request, const void *answer, size_t n)
{
    (void)ctx, (void)request, (void)answer, (void)n;
}

static uint64_t must_stay_free;

static uint64_t keep_free(void *ctx, uint64_t total_bytes)
{
    (void)ctx;
    assert_true(total_bytes > 0);
    return must_stay_free;
}

static void give(unsigned id, const char *name, uint64_t commit, bool leads)
{
    struct giver *g = &net.node[id];
    char dir[PATH_MAX];
    (void)snprintf(dir, sizeof dir, "%s/%s", store_tmp_root, name);
    assert_int_equal(data_dir_open(&g->dir, dir, NULL, NULL, &why), 0);
    const struct seed_server_config config = {.data = dir,
                                              .log = g->dir.log,
                                              .state = g->dir.state,
                                              .id = {{{7, 7, 7}}, 0, id},
                                              .keep_free = keep_free,
                                              .on_answer = on_answer};
    assert_int_equal(seed_server_start(&g->server, &config), 0);
    g->standing = (struct seed_standing){
        .term = 99, .leader = 1, .commit = commit, .last = commit, .firm = leads};
}

static void stop(void)
{
    for (unsigned i = 1; i <= 2; i++) {
        seed_server_stop(net.node[i].server);
        data_dir_close(&net.node[i].dir);
    }
    memset(&net, 0, sizeof net);
}

/* Node 1 leads and is ahead, node 2 is the source. */
static void start(const char *source, const char *leader)
{
    memset(&net, 0, sizeof net);
    give(1, leader, ahead.applied, true);
    give(2, source, ahead.applied, false);
}

static int ask(void *ctx, uint64_t node, const struct proto_seed_ask *q,
               struct proto_seed_answer *a, struct store_why *cause)
{
    struct net *n = ctx;
    struct giver *g = &n->node[node];
    assert_true(node == 1 || node == 2);
    if (g->silent || (n->fail_after > 0 && n->chunks >= n->fail_after))
        return store_why_set(cause, -EAGAIN, "no answer");
    seed_server_answer(g->server, q, &g->standing, a);
    n->chunks += q->kind == SEED_CHUNK;
    n->opened += q->kind == SEED_OPEN;
    bool flip = (q->kind == SEED_CHUNK && n->flip_chunk > 0 && n->chunks == n->flip_chunk) ||
                (q->kind == SEED_ENTRIES && n->flip_entries > 0);
    if (flip && a->bytes.n > 0) { /* not in the server's own buffer */
        memcpy(n->bytes, a->bytes.p, a->bytes.n);
        n->bytes[n->flip_entries > 0 ? n->flip_entries % a->bytes.n : a->bytes.n / 2] ^= 1;
        a->bytes.p = (const char *)n->bytes;
    }
    return 0;
}

static void pause_not(void *ctx)
{
    struct net *n = ctx;
    n->pauses++;
}

static struct seed_config taker(const char *data)
{
    return (struct seed_config){.data = data,
                                .id = {{{7, 7, 7}}, 0, 3},
                                .others = {1, 2},
                                .n_others = 2,
                                .incarnation = 77,
                                .patience = 3,
                                .chunk_bytes = 65536,
                                .link = {.ctx = &net, .ask = ask, .pause = pause_not}};
}

static int setup(void **state)
{
    struct fixture_options o = {.rounds = 250, .per_entry = 10, .tail = 100, .scale = 1000};
    if (store_tmp_setup(state) != 0)
        return -1;
    fixture_make(store_tmp_path("behind"), &o, &behind);
    o.tail = 40;
    fixture_make(store_tmp_path("ahead"), &o, &ahead);
    o.deposit_more = 1;
    fixture_make(store_tmp_path("other"), &o, &(struct fixture){0});
    return behind.applied < ahead.applied ? 0 : -1;
}

static void path_of(const char *name, char out[PATH_MAX])
{
    (void)snprintf(out, PATH_MAX, "%s/%s", store_tmp_root, name);
}

/* data is a node now, and equal to node 1 where that one stood. */
static void assert_seeded(const char *data, const struct seed_facts *f)
{
    struct data_dir d;
    struct log_recovered r;
    struct state_meta meta, want;
    struct proto_hash a, b;
    const struct node_identity id = {{{7, 7, 7}}, 0, 3};
    assert_int_equal(f->index, ahead.applied);
    assert_memory_equal(&f->chain, &ahead.applied_chain, sizeof f->chain);
    assert_int_equal(data_dir_open(&d, data, &id, NULL, &why), 0);
    assert_int_equal(data_dir_recover(&d, NULL, &r, &why), 0);
    assert_int_equal(r.term, 99);
    assert_int_equal(r.voted_for, 3); /* spent */
    assert_int_equal(r.incarnation, 78);
    assert_int_equal(r.applied_index, ahead.applied);
    assert_int_equal(log_store_last(d.log), ahead.applied);
    assert_int_equal(log_store_first(d.log), behind.applied + 1);
    assert_int_equal(seed_digest(d.state, &meta, &a, &why), 0);
    assert_int_equal(seed_digest(net.node[1].dir.state, &want, &b, &why), 0);
    assert_memory_equal(&a, &b, sizeof a);
    assert_int_equal(meta.conf.index, want.conf.index);
    log_recovered_close(&r);
    data_dir_close(&d);
}

static void F43_an_empty_node_is_seeded_and_equal(void **state)
{
    struct seed_facts f;
    char data[PATH_MAX];
    (void)state;
    path_of("new", data);
    start("behind", "ahead");
    const struct seed_config config = taker(data);
    assert_int_equal(seed_node(&config, &f, &why), 0);
    assert_int_equal(f.source, 2); /* not the leader: it has enough to do */
    assert_int_equal(f.leader, 1);
    assert_int_equal(f.copied, behind.applied);
    assert_int_equal(f.witnesses, 1);
    assert_false(f.resumed);
    assert_true(net.chunks > 3);
    assert_seeded(data, &f);
    assert_int_equal(seed_node(&config, &f, &why), -EEXIST); /* never over a node */
    stop();
}

/* Behind the copy stand entries that name the chain of a leader that had diverged. */
static void F50_F43_a_diverged_leader_s_entries_are_carried_on(void **state)
{
    const struct fixture one = behind, two = ahead;
    struct fixture_options o = {.rounds = 250,
                                .per_entry = 10,
                                .tail = 100,
                                .scale = 1000,
                                .liar_first = behind.applied + 5,
                                .liar_last = behind.applied + 25};
    struct seed_facts f;
    char data[PATH_MAX];
    (void)state;
    fixture_make(store_tmp_path("lied-behind"), &o, &behind);
    o.tail = 40;
    fixture_make(store_tmp_path("lied-ahead"), &o, &ahead);
    path_of("told", data);
    start("lied-behind", "lied-ahead");
    const struct seed_config config = taker(data);
    assert_int_equal(seed_node(&config, &f, &why), 0);
    assert_seeded(data, &f);
    stop();
    behind = one;
    ahead = two;
}

static void F43_an_interrupted_seeding_goes_on_where_it_was(void **state)
{
    struct seed_facts f;
    char data[PATH_MAX];
    struct data_dir d;
    (void)state;
    path_of("resumed", data);
    start("behind", "ahead");
    const struct seed_config config = taker(data);
    net.fail_after = 2;
    assert_int_equal(seed_node(&config, &f, &why), -EAGAIN);
    assert_true(data_dir_open(&d, data, NULL, NULL, &why) < 0); /* not a node yet */
    net.fail_after = 0;
    net.chunks = 0;
    assert_int_equal(seed_node(&config, &f, &why), 0);
    assert_true(f.resumed);
    assert_int_equal(net.opened, 1); /* the same copy */
    assert_seeded(data, &f);
    stop();
}

static void F43_a_copy_that_is_gone_or_damaged_on_its_way_is_fetched_anew(void **state)
{
    struct seed_facts f;
    char data[PATH_MAX];
    (void)state;
    path_of("anew", data);
    start("behind", "ahead");
    const struct seed_config config = taker(data);
    net.flip_chunk = 2;
    assert_int_equal(seed_node(&config, &f, &why), 0);
    assert_int_equal(net.opened, 2);
    assert_seeded(data, &f);
    stop();

    path_of("gone", data);
    start("behind", "ahead");
    net.fail_after = 2;
    const struct seed_config second = taker(data);
    assert_int_equal(seed_node(&second, &f, &why), -EAGAIN);
    stop(); /* the giver starts again: its copy is gone */
    start("behind", "ahead");
    assert_int_equal(seed_node(&second, &f, &why), 0);
    assert_int_equal(net.opened, 1);
    assert_seeded(data, &f);
    stop();
}

static const char *no_room_for; /* the end of a path; NULL: there is room */
int __wrap_mkdir(const char *path, mode_t mode);
int __real_mkdir(const char *path, mode_t mode);
int __wrap_mkdir(const char *path, mode_t mode)
{
    size_t n = strlen(path), end = no_room_for ? strlen(no_room_for) : 0;
    if (no_room_for && n > end && strcmp(path + n - end, no_room_for) == 0) {
        errno = ENOSPC;
        return -1;
    }
    return __real_mkdir(path, mode);
}

static void F43_a_seeding_that_could_not_end_goes_on_where_it_was(void **state)
{
    struct seed_facts f;
    char data[PATH_MAX];
    (void)state;
    path_of("unended", data);
    start("behind", "ahead");
    const struct seed_config config = taker(data);
    no_room_for = "/vote.new";
    assert_int_equal(seed_node(&config, &f, &why), -ENOSPC);
    no_room_for = NULL;
    assert_int_equal(seed_node(&config, &f, &why), 0);
    assert_true(f.resumed);
    assert_int_equal(net.opened, 1);
    assert_seeded(data, &f);
    stop();
}

/* A copy that fills the disk ends the node that makes it, and the next one is asked. */
static void F43_a_copy_leaves_the_giver_room_on_its_disk(void **state)
{
    struct seed_facts f;
    char data[PATH_MAX];
    struct statvfs v;
    (void)state;
    path_of("room", data);
    assert_int_equal(statvfs(store_tmp_root, &v), 0);
    uint64_t free = (uint64_t)v.f_bavail * v.f_frsize;
    start("behind", "ahead");
    const struct seed_config config = taker(data);
    must_stay_free = free + (free >> 1);
    assert_int_equal(seed_node(&config, &f, &why), -EAGAIN);
    assert_non_null(strstr(why.text, "no room on its disk"));
    assert_int_equal(net.opened, 5);
    assert_int_not_equal(access(store_tmp_path("behind/seed-out/data.mdb"), F_OK), 0);
    must_stay_free = free / 2;
    assert_int_equal(seed_node(&config, &f, &why), 0);
    assert_in_range(f.bytes, state_store_copy_bytes(net.node[2].dir.state) * 9 / 10,
                    state_store_copy_bytes(net.node[2].dir.state) * 11 / 10);
    must_stay_free = 0;
    assert_seeded(data, &f);
    stop();
}

static void F43_a_seeding_that_could_not_begin_may_be_run_again(void **state)
{
    struct seed_facts f;
    char data[PATH_MAX];
    (void)state;
    path_of("again", data);
    start("behind", "ahead");
    const struct seed_config config = taker(data);
    no_room_for = "/seed";
    assert_int_equal(seed_node(&config, &f, &why), -ENOSPC);
    no_room_for = NULL;
    assert_int_equal(seed_node(&config, &f, &why), 0);
    assert_seeded(data, &f);
    stop();
}

static void assert_nothing_left(const char *data)
{
    struct data_dir d;
    assert_int_equal(data_dir_open(&d, data, NULL, NULL, &why), -ENOENT);
    assert_int_equal(rmdir(data), 0);
}

static void F43_a_witness_that_differs_stops_the_seeding(void **state)
{
    struct seed_facts f;
    char data[PATH_MAX];
    (void)state;
    path_of("differs", data);
    start("behind", "other"); /* another history */
    const struct seed_config config = taker(data);
    assert_int_equal(seed_node(&config, &f, &why), -EUCLEAN);
    assert_nothing_left(data);
    stop();
}

/* The position is right and one record is not: no chain would tell. */
static void F43_one_record_that_differs_is_found(void **state)
{
    struct seed_facts f;
    struct state_store *s;
    struct state_reader r;
    struct state_meta meta;
    struct state_changes c;
    char data[PATH_MAX];
    (void)state;
    store_tmp_copy(store_tmp_path("ahead"), store_tmp_path("forged"));
    assert_int_equal(
        state_store_open(&s, store_tmp_path("forged/state"), STATE_STORE_WRITE, NULL, &why), 0);
    assert_int_equal(state_reader_open(&r, s, &why), 0);
    assert_int_equal(state_reader_meta(&r, &meta), 0);
    state_reader_close(&r);
    state_changes_init(&c);
    assert_int_equal(state_changes_add(&c, "\xfezzz", 4, "x", 1), 0);
    assert_int_equal(state_store_write(s, &c, &meta, &why), 0);
    state_changes_close(&c);
    state_store_close(s);

    path_of("forgery", data);
    start("behind", "forged");
    const struct seed_config config = taker(data);
    assert_int_equal(seed_node(&config, &f, &why), -EUCLEAN);
    assert_non_null(strstr(why.text, "the records"));
    assert_nothing_left(data);
    stop();
}

static void F43_without_a_leader_or_enough_nodes_nothing_begins(void **state)
{
    struct seed_facts f;
    char data[PATH_MAX];
    (void)state;
    path_of("alone", data);
    start("behind", "ahead");
    const struct seed_config config = taker(data);
    net.node[2].silent = true; /* it may know of a later term, in which we voted */
    assert_int_equal(seed_node(&config, &f, &why), -EAGAIN);
    assert_non_null(strstr(why.text, "1 of 2"));
    net.node[2].silent = false;
    net.node[2].standing.term = 100; /* it knows a later term: node 1 leads no more */
    assert_int_equal(seed_node(&config, &f, &why), -EAGAIN);
    assert_non_null(strstr(why.text, "no node leads"));
    net.node[2].standing.term = 99;
    net.node[1].standing.last = ahead.last; /* nobody's checkpoint is there yet */
    assert_int_equal(seed_node(&config, &f, &why), -EAGAIN);
    assert_true(net.pauses > 3);
    net.node[1].standing.last = ahead.applied;
    assert_int_equal(seed_node(&config, &f, &why), 0);
    assert_seeded(data, &f);
    stop();
}

static void F43_damaged_entries_are_refused(void **state)
{
    struct seed_facts f;
    char data[PATH_MAX];
    (void)state;
    path_of("entries", data);
    for (unsigned at = 1; at < 4000; at += 311) {
        start("behind", "ahead");
        const struct seed_config config = taker(data);
        net.flip_entries = at;
        assert_int_equal(seed_node(&config, &f, &why), -EUCLEAN);
        assert_nothing_left(data);
        stop();
    }
}

static void F43_strangers_are_refused(void **state)
{
    (void)state;
    start("behind", "ahead");
    struct proto_seed_answer a;
    struct proto_seed_ask q = {
        .format = SEED_FORMAT, .cluster = {{1}}, .node = 3, .kind = SEED_OPEN};
    seed_server_answer(net.node[2].server, &q, &net.node[2].standing, &a);
    assert_int_equal(a.code, SEED_REFUSED);
    q.cluster = (struct proto_uuid){{7, 7, 7}};
    q.node = 2;
    seed_server_answer(net.node[2].server, &q, &net.node[2].standing, &a);
    assert_int_equal(a.code, SEED_REFUSED);
    q.node = 3;
    q.kind = 77;
    seed_server_answer(net.node[2].server, &q, &net.node[2].standing, &a);
    assert_int_equal(a.code, SEED_REFUSED);
    q.kind = SEED_CHUNK;
    q.copy = 5;
    seed_server_answer(net.node[2].server, &q, &net.node[2].standing, &a);
    assert_int_equal(a.code, SEED_GONE);
    q.kind = SEED_ENTRIES; /* nothing that is not committed is given away */
    q.at = net.node[2].standing.commit + 1;
    q.max = 1 << 20;
    seed_server_answer(net.node[2].server, &q, &net.node[2].standing, &a);
    assert_int_equal(a.code, SEED_OK);
    assert_int_equal(a.count, 0);
    const struct seed_standing standing = {0};
    assert_false(seed_server_ask(net.node[2].server, NULL, "no question", 11, &standing));
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(F43_an_empty_node_is_seeded_and_equal),
        cmocka_unit_test(F50_F43_a_diverged_leader_s_entries_are_carried_on),
        cmocka_unit_test(F43_an_interrupted_seeding_goes_on_where_it_was),
        cmocka_unit_test(F43_a_copy_that_is_gone_or_damaged_on_its_way_is_fetched_anew),
        cmocka_unit_test(F43_a_seeding_that_could_not_begin_may_be_run_again),
        cmocka_unit_test(F43_a_seeding_that_could_not_end_goes_on_where_it_was),
        cmocka_unit_test(F43_a_copy_leaves_the_giver_room_on_its_disk),
        cmocka_unit_test(F43_a_witness_that_differs_stops_the_seeding),
        cmocka_unit_test(F43_one_record_that_differs_is_found),
        cmocka_unit_test(F43_without_a_leader_or_enough_nodes_nothing_begins),
        cmocka_unit_test(F43_damaged_entries_are_refused),
        cmocka_unit_test(F43_strangers_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, store_tmp_teardown);
}
