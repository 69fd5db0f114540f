/* SPDX-License-Identifier: Apache-2.0
 * Lost disks, and the way back: the shipped seeder (ledger/seed) fills a directory from what the
 * shipped servers of the other nodes answer, over real stores in memory that follow the simulated
 * disks. Between question and answer the simulated cluster lives on: nodes crash, leaders change,
 * logs are trimmed. What comes out becomes the node's simulated disk.
 */
#include "tests/sim/world.h"

#include "ledger/raft/pump_state.h"
#include "ledger/seed/seeder.h"
#include "ledger/seed/server.h"
#include "ledger/store/data_dir.h"
#include "proto/base/check.h"

#include <errno.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ANSWER_MS = 12, PAUSE_MS = 150, RETRY_MS = 400, PATIENCE = 30, PATH = 200 };
#define MAP_BYTES (UINT64_C(64) << 20)

/* What a node that answers shows: real stores, brought up to its simulated disk. */
struct giver {
    char dir[PATH];
    struct log_store *log;
    struct state_store *state;
    const struct sim_state *shown; /* in the store */
    struct seed_server *server;
};

struct visit {
    struct sim_world *w;
    struct sim_node *node; /* that is seeded */
    char dir[PATH];
    struct giver giver[SIM_NODES + 1];
};

static struct store_why why;

/* ---- directories ---- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static void make_root(char root[PATH])
{
    const char *fast = "/dev/shm", *tmp = getenv("TMPDIR");
    const char *in = access(fast, W_OK) == 0 ? fast : tmp && strlen(tmp) < 100 ? tmp : "/tmp";
    (void)snprintf(root, PATH, "%s/holdfast-sim-XXXXXX", in);
    CHECK(mkdtemp(root));
}

/* ---- who gives ---- */

static void on_answer(void *ctx, void *request, const void *answer, size_t n)
{
    (void)ctx, (void)request, (void)answer, (void)n;
}

static void giver_open(struct visit *v, int id)
{
    struct giver *g = &v->giver[id];
    const struct state_store_config state = {.map_bytes = MAP_BYTES};
    char path[PATH + 8];
    (void)snprintf(g->dir, sizeof g->dir, "%.180s/%d", v->dir, id);
    CHECK(mkdir(g->dir, 0700) == 0);
    (void)snprintf(path, sizeof path, "%s/log", g->dir);
    CHECK(log_store_open(&g->log, path, LOG_STORE_WRITE, NULL, &why) == 0);
    (void)snprintf(path, sizeof path, "%s/state", g->dir);
    CHECK(state_store_open(&g->state, path, STATE_STORE_WRITE, &state, &why) == 0);
    CHECK(state_store_forgets(g->state) == 0);
    const struct seed_server_config config = {
        .data = g->dir,
        .log = g->log,
        .state = g->state,
        .id = {.cluster = v->w->cluster.uuid, .node = (uint32_t)id},
        .on_answer = on_answer};
    CHECK(seed_server_start(&g->server, &config) == 0);
}

static void giver_close(struct giver *g)
{
    seed_server_stop(g->server);
    log_store_close(g->log);
    state_store_close(g->state);
}

/* Entries that it holds. What was trimmed since stays in the store: it is not asked for. */
static void show_log(struct giver *g, const struct sim_node *n)
{
    static struct log_entry e[SIM_LOG];
    uint64_t same = log_store_last(g->log);
    if (same > n->last)
        same = n->last;
    while (same >= n->first && log_store_term(g->log, same) != n->log[same].term)
        same--;
    if (same < n->first)
        same = n->first - 1;
    if (same == n->last)
        return;
    unsigned k = 0;
    for (uint64_t i = same + 1; i <= n->last; i++)
        e[k++] = (struct log_entry){.index = i,
                                    .term = n->log[i].term,
                                    .data = n->log[i].data,
                                    .len = n->log[i].len,
                                    .kind = n->log[i].kind};
    const struct log_append append = {e, k};
    CHECK(log_store_append(g->log, &append, 1, &why) == 0);
}

static void show_state(struct giver *g, const struct sim_node *n)
{
    const struct sim_state *old = g->shown, *s = n->durable;
    struct state_changes c;
    if (s == old)
        return;
    state_changes_init(&c);
    for (size_t i = 0; old && i < old->n; i++)
        CHECK(state_changes_add(&c, old->record[i].key, old->record[i].klen, NULL, 0) == 0);
    for (size_t i = 0; s && i < s->n; i++)
        CHECK(state_changes_add(&c, s->record[i].key, s->record[i].klen, s->record[i].value,
                                s->record[i].vlen) == 0);
    const struct state_meta none = {0};
    CHECK(state_store_write(g->state, &c, s ? &s->meta : &none, &why) == 0);
    state_changes_close(&c);
    g->shown = s;
}

/* As on_peer_request of the process. */
static struct seed_standing standing_of(const struct sim_node *n)
{
    const struct pump *p = n->node->pump;
    uint64_t commit = pump_commit_index(p);
    return (struct seed_standing){.term = pump_term(p),
                                  .leader = pump_leader(p),
                                  .commit = commit,
                                  .last = pump_last_index(p),
                                  .firm = pump_leads_firmly(p) || (pump_role(p) == PUMP_LEADER &&
                                                                   commit == pump_last_index(p))};
}

static bool reaches(const struct sim_world *w, const struct sim_node *a, const struct sim_node *b)
{
    return !w->failed && b->up && !b->node->quarantined && b->paused_until_ms <= w->now_ms &&
           !w->links.cut[a->id][b->id] && !w->links.cut[b->id][a->id];
}

static int ask(void *ctx, uint64_t id, const struct proto_seed_ask *q, struct proto_seed_answer *a,
               struct store_why *cause)
{
    struct visit *v = ctx;
    struct sim_world *w = v->w;
    struct sim_node *n = &w->node[id];
    struct giver *g = &v->giver[id];
    sim_advance(w, 1 + sim_below(&w->random, ANSWER_MS));
    if (!reaches(w, v->node, n) || sim_often(w, w->rate.lose))
        return store_why_set(cause, -EAGAIN, "no answer");
    if (!g->server)
        giver_open(v, (int)id);
    show_log(g, n);
    show_state(g, n);
    const struct seed_standing standing = standing_of(n);
    seed_server_answer(g->server, q, &standing, a);
    if (q->kind == SEED_ENTRIES && q->at < n->first)
        *a = (struct proto_seed_answer){
            .format = a->format, .code = SEED_GONE, .node = a->node, .first = n->first};
    if (sim_mutation == SIM_seed_any_end && q->kind == SEED_HELLO)
        a->last = 0;
    sim_advance(w, 1 + sim_below(&w->random, ANSWER_MS));
    return 0;
}

static void pause_a_while(void *ctx)
{
    struct visit *v = ctx;
    sim_advance(v->w, PAUSE_MS);
}

static bool on_progress(void *ctx, const char *what, uint64_t done, uint64_t total)
{
    const struct visit *v = ctx;
    (void)what, (void)done, (void)total;
    return !v->w->failed && v->w->now_ms < v->w->end_ms;
}

/* ---- what comes out becomes the disk ---- */

static int take_record(void *ctx, const void *key, size_t klen, const void *value, size_t vlen)
{
    struct sim_node *n = ctx;
    struct sim_state *s = n->seeded;
    if (s->n < s->cap)
        s->record[s->n] = (struct sim_record){.key = sim_copy(n->w, key, klen),
                                              .klen = klen,
                                              .value = sim_copy(n->w, value, vlen),
                                              .vlen = vlen};
    s->n++;
    return 0;
}

static void take_state(struct sim_node *n, struct data_dir *d)
{
    struct sim_state *s = n->seeded = sim_alloc(n->w, sizeof *s);
    struct state_reader r;
    s->cap = state_store_records(d->state) + 1;
    s->record = sim_alloc(n->w, s->cap * sizeof *s->record);
    CHECK(state_reader_open(&r, d->state, &why) == 0);
    CHECK(state_reader_meta(&r, &s->meta) == 0);
    CHECK(state_reader_scan(&r, NULL, 0, NULL, 0, take_record, n) == 0 && s->n < s->cap);
    state_reader_close(&r);
    n->durable = n->seen = s;
}

static void take_log(struct sim_node *n, struct data_dir *d)
{
    struct sim_world *w = n->w;
    struct log_page page;
    uint64_t applied = n->durable->meta.applied_index, last = log_store_last(d->log);
    n->first = log_store_first(d->log);
    n->last = last > 0 ? last : applied;
    if (n->first == 0)
        n->first = applied + 1;
    for (uint64_t i = 1; i < n->first; i++) /* for those who look from outside */
        n->log[i] = w->truth[i];
    log_page_init(&page);
    for (uint64_t i = n->first; i <= last; i++) {
        CHECK(log_store_read(d->log, i, 1, SIZE_MAX, &page, &why) == 1);
        const struct log_entry *e = &page.entries[0];
        n->log[i] = (struct sim_entry){
            .term = e->term, .data = sim_copy(w, e->data, e->len), .len = e->len, .kind = e->kind};
    }
    log_page_close(&page);
}

static void take_directory(struct visit *v, const char *dir)
{
    struct sim_node *n = v->node;
    const struct node_identity id = {.cluster = v->w->cluster.uuid, .node = (uint32_t)n->id};
    struct data_dir d;
    struct log_recovered r;
    CHECK(data_dir_open(&d, dir, &id, NULL, &why) == 0);
    take_state(n, &d);
    take_log(n, &d);
    CHECK(data_dir_recover(&d, NULL, &r, &why) == 0);
    n->term = r.term;
    n->vote = r.voted_for;
    n->incarnation = r.incarnation;
    log_recovered_close(&r);
    data_dir_close(&d);
}

/* ---- the whole ---- */

static void retry(struct sim_node *n)
{
    sim_put(&n->w->events, n->w->now_ms + RETRY_MS, SIM_SEED, n->id, 0, NULL);
}

static void wait_for_seed(struct sim_node *n)
{
    struct sim_world *w = n->w;
    unsigned ms = sim_permille(&w->random, 600) ? 50 : 1500;
    n->lost = true;
    n->lost_ms = w->now_ms;
    sim_put(&w->events, w->now_ms + 1 + sim_below(&w->random, ms), SIM_SEED, n->id, 0, NULL);
}

void seeding_lose_disk(struct sim_node *n, const char *what)
{
    struct sim_world *w = n->w;
    sim_say(w, "n%d: %s", n->id, what);
    if (n->up)
        replica_crash(n, "its disk is gone");
    n->life++; /* nobody starts it meanwhile */
    n->lies = n->marked = false;
    n->judged = n->parted = 0;
    n->durable = n->seen = NULL;
    n->lost_last = n->last;
    n->term = n->vote = n->last = 0;
    n->first = 1;
    w->moved = true;
    w->counters.disks_lost++;
    wait_for_seed(n);
}

void seeding_begin(struct sim_node *n)
{
    n->life++;
    n->lost_last = 0;
    wait_for_seed(n);
}

/* What the nodes say does not fit together, and no chain shows it yet: replay tells whose state is
 * not its log's. */
static bool replay_all(struct sim_world *w)
{
    unsigned found = 0;
    for (int i = 1; i <= w->n; i++) {
        struct sim_node *n = &w->node[i];
        found += n->lies || n->marked;
        if (n->lies)
            lies_rebuild(n, true);
    }
    return found > 0;
}

void seeding_run(struct sim_node *n)
{
    struct sim_world *w = n->w;
    static struct visit v;
    char dir[PATH + 8];
    struct seed_facts facts;
    if (!n->lost)
        return;
    if (w->seeding) { /* one at a time */
        retry(n);
        return;
    }
    v = (struct visit){.w = w, .node = n};
    make_root(v.dir);
    (void)snprintf(dir, sizeof dir, "%s/new", v.dir);
    const struct backup_watch watch = {.ctx = &v, .on_progress = on_progress};
    struct seed_config config = {.data = dir,
                                 .id = {.cluster = w->cluster.uuid, .node = (uint32_t)n->id},
                                 .incarnation = n->incarnation + 1,
                                 .patience = PATIENCE,
                                 .chunk_bytes = 1 << 16,
                                 .link = {.ctx = &v, .ask = ask, .pause = pause_a_while},
                                 .watch = &watch};
    for (int i = 1; i <= w->n; i++)
        if (i != n->id && members_counted(w, i))
            config.others[config.n_others++] = (uint64_t)i;
    w->seeding = true;
    int rv = seed_node(&config, &facts, &why);
    w->seeding = false;
    sim_say(w, "n%d: seeding from n%d: %s", n->id, (int)facts.source, rv == 0 ? "done" : why.text);
    if (rv == 0) {
        take_directory(&v, dir);
        n->lost = false;
        w->seeded_ms = w->now_ms;
        w->counters.seedings++;
        w->counters.seedings_resumed += facts.resumed;
        replica_start(n);
    } else if (!w->failed) {
        w->counters.seedings_in_vain++;
        if (rv == -EUCLEAN && !replay_all(w) && !w->lied)
            sim_fail(w, "SEEDING: refused, and all states are right: %s", why.text);
        retry(n);
    }
    for (int i = 1; i <= w->n; i++)
        if (v.giver[i].server)
            giver_close(&v.giver[i]);
    (void)nftw(v.dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Where the logs agree to. */
static uint64_t common(const struct sim_node *a, const struct sim_node *b)
{
    uint64_t i = a->last < b->last ? a->last : b->last;
    while (i > 0 && a->log[i].term != b->log[i].term)
        i--;
    return i;
}

/* The leader's log does not reach it (any more). */
bool seeding_needed(const struct sim_node *n, const struct sim_node *leader)
{
    return n->up && n != leader && n->node->leader == (uint64_t)leader->id &&
           common(n, leader) < pump_first(leader->node->pump);
}

/* A node that the leader's log does not reach any more: its operator empties it and has it seeded,
 * if enough others are well. So all are replayed before. */
void seeding_look(struct sim_world *w)
{
    const struct sim_node *leader = NULL;
    for (int i = 1; i <= w->n; i++) {
        const struct sim_node *n = &w->node[i];
        if (n->up && n->node->role == PUMP_LEADER &&
            (!leader || n->node->term > leader->node->term))
            leader = n;
    }
    for (int i = 1; leader && i <= w->n; i++) {
        struct sim_node *n = &w->node[i];
        if (!seeding_needed(n, leader))
            continue;
        if (lies_minority(w) <= (unsigned)(w->n - 1) / 2) /* it is one of them */
            seeding_lose_disk(n, "too far behind the leader's log");
        else
            (void)replay_all(w);
        return;
    }
}
