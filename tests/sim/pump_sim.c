/* SPDX-License-Identifier: Apache-2.0
 * pump-sim [--seeds N] [--first-seed S] [--faults MS] [--disable GUARDS] [--expect-failure]
 *          [--verbose]
 * Runs N seeds; each failing one is named with what broke. --disable switches guards off (bits of
 * enum pump_guard), to show that the simulator would notice; --expect-failure turns the verdict
 * around. Exit: 0 as expected, 1 not, 2 usage.
 */
#include "tests/sim/pump_world.h"

#include "proto/base/check.h"

#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { QUIET_MS = 15000 }; /* after the heal */

static struct world world;
static uint64_t faults_ms = 15000;

void *world_alloc(struct world *w, size_t n)
{
    if (w->arena_n == w->arena_cap) {
        w->arena_cap = w->arena_cap ? w->arena_cap * 2 : 4096;
        w->arena = realloc(w->arena, w->arena_cap * sizeof *w->arena);
        CHECK(w->arena);
    }
    void *p = calloc(1, n);
    CHECK(p);
    w->arena[w->arena_n++] = p;
    return p;
}

void world_fail(struct world *w, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    (void)vsnprintf(w->failure, sizeof w->failure, format, ap);
    va_end(ap);
    longjmp(w->failed, 1);
}

void world_say(struct world *w, const char *format, ...)
{
    if (!w->verbose)
        return;
    va_list ap;
    va_start(ap, format);
    (void)printf("%7" PRIu64 " ", w->now_ms);
    (void)vprintf(format, ap);
    (void)putchar('\n');
    va_end(ap);
}

/* ---- faults ---- */

static struct node *any(struct world *w)
{
    return &w->node[1 + (int)sim_below(&w->random, (unsigned)w->n)];
}

static void crash_for_a_while(struct world *w, struct node *n, unsigned ms)
{
    if (!n->pump)
        return;
    node_crash(n);
    sim_put(&w->events, w->now_ms + sim_below(&w->random, ms), EVENT_RESTART, n->id, n->life, NULL);
}

static void fault(struct world *w)
{
    unsigned what = sim_below(&w->random, 100);
    if (what < 30) { /* one node alone */
        int a = any(w)->id;
        memset(w->cut, 0, sizeof w->cut);
        for (int b = 1; b <= w->n; b++)
            w->cut[a][b] = w->cut[b][a] = b != a;
    } else if (what < 42) { /* one way between two */
        w->cut[any(w)->id][any(w)->id] = true;
    } else if (what < 65) {
        memset(w->cut, 0, sizeof w->cut);
    } else if (what < 88) {
        crash_for_a_while(w, any(w), 3000);
    } else if (what < 93) {
        for (int i = 1; i <= w->n; i++)
            crash_for_a_while(w, &w->node[i], 800);
    } else {
        node_transfer(any(w));
    }
    w->drop_permille = sim_below(&w->random, sim_below(&w->random, 4) ? 60 : 400);
    w->repeat_permille = sim_below(&w->random, 100);
}

/* ---- a run ---- */

static void submit_everywhere(struct world *w)
{
    for (int i = 1; i <= w->n; i++) {
        unsigned k = 1 + sim_below(&w->random, 5);
        while (k-- > 0 && w->node[i].pump && pump_role(w->node[i].pump) == PUMP_LEADER)
            node_submit(&w->node[i], sim_permille(&w->random, 2));
    }
}

static void heal(struct world *w)
{
    w->faults = false;
    memset(w->cut, 0, sizeof w->cut);
    /* A minority may stay away; but one that never had a configuration cannot vote either. */
    int down = sim_permille(&w->random, 300) && w->node[w->n].last > 0 ? any(w)->id : 0;
    world_say(w, "heal, n%d stays down", down);
    for (int i = 1; i <= w->n; i++)
        if (i != down)
            node_start(&w->node[i]);
    if (down) {
        node_crash(&w->node[down]);
        w->node[down].life++;
    }
}

static void boot(struct world *w)
{
    struct pump_server servers[NODES_MAX];
    static const char *const names[] = {"n1", "n2", "n3", "n4", "n5"};
    uint8_t conf[ENTRY_CONF_MAX];
    for (int i = 0; i < w->n; i++)
        servers[i] = (struct pump_server){(uint64_t)i + 1, names[i]};
    int len = pump_encode_servers(servers, (unsigned)w->n, conf);
    CHECK(len > 0 && len <= 256);
    for (int i = 1; i <= w->n; i++) {
        struct node *n = &w->node[i];
        n->w = w;
        n->id = i;
        n->term = 1;
        n->last = 1;
        n->log[1] = (struct record){
            .term = 1, .kind = ENTRY_CHANGE, .len = (uint32_t)len, .conf_len = (uint32_t)len};
        memcpy(n->log[1].conf, conf, (size_t)len);
    }
    if (sim_permille(&w->random, 500)) /* one that joins with nothing */
        w->node[w->n].last = 0;
    for (int i = 1; i <= w->n; i++)
        node_start(&w->node[i]);
}

static void dispatch(struct world *w, const struct sim_event *e)
{
    struct node *n = &w->node[e->node];
    bool now_living = n->pump && n->life == e->life;
    switch (e->kind) {
    case EVENT_MESSAGE:
        node_on_message(n, e->data);
        break;
    case EVENT_DISK:
        if (now_living)
            node_on_disk(n);
        break;
    case EVENT_TIMER:
        if (now_living)
            node_on_timer(n);
        break;
    case EVENT_CHECKPOINT:
        if (now_living)
            node_on_checkpoint(n);
        break;
    case EVENT_SEED:
        if (now_living)
            node_seed(e->data, n);
        break;
    case EVENT_RESTART:
        if (n->life == e->life)
            node_start(n);
        break;
    case EVENT_CLIENT:
        submit_everywhere(w);
        sim_put(&w->events, w->now_ms + 5 + sim_below(&w->random, 60), EVENT_CLIENT, 0, 0, NULL);
        break;
    case EVENT_FAULT:
        if (w->faults) {
            fault(w);
            sim_put(&w->events, w->now_ms + 100 + sim_below(&w->random, 1500), EVENT_FAULT, 0, 0,
                    NULL);
        }
        break;
    default:
        CHECK(false);
    }
}

static void run(struct world *w, uint64_t seed)
{
    w->random.state = seed * UINT64_C(0x9E3779B97F4A7C15) + 12345;
    w->n = sim_permille(&w->random, 400) ? 5 : 3;
    w->drop_permille = w->repeat_permille = 20;
    w->faults = true;
    boot(w);
    sim_put(&w->events, 50, EVENT_CLIENT, 0, 0, NULL);
    sim_put(&w->events, 300, EVENT_FAULT, 0, 0, NULL);
    uint64_t next_check = 0, committed = 0;
    while (w->events.n > 0) {
        struct sim_event e = sim_take(&w->events);
        if (e.at_ms > faults_ms + QUIET_MS)
            break;
        w->now_ms = e.at_ms;
        if (w->faults && w->now_ms >= faults_ms) {
            committed = w->committed;
            heal(w);
        }
        dispatch(w, &e);
        if (w->now_ms >= next_check) {
            check_logs(w);
            next_check = w->now_ms + 500;
        }
    }
    check_logs(w);
    check_liveness(w, committed);
}

/* What a seed leaves: memory, and the counters, which go on. */
static void clear(struct world *w)
{
    for (int i = 1; i <= w->n; i++)
        node_close(&w->node[i]);
    sim_events_close(&w->events);
    for (size_t i = 0; i < w->arena_n; i++)
        free(w->arena[i]);
    free(w->arena);
    struct counters kept = w->counters;
    unsigned guards = w->disable_guards;
    bool verbose = w->verbose;
    memset(w, 0, sizeof *w);
    w->counters = kept;
    w->disable_guards = guards;
    w->verbose = verbose;
}

static bool run_seed(struct world *w, uint64_t seed)
{
    bool failed = setjmp(w->failed) != 0;
    if (!failed)
        run(w, seed);
    else
        (void)printf("seed %" PRIu64 " at %" PRIu64 " ms: %s\n", seed, w->now_ms, w->failure);
    (void)fflush(stdout);
    clear(w);
    return failed;
}

static void report(const struct counters *c, uint64_t seeds, uint64_t bad)
{
    (void)printf("%" PRIu64 " seeds, %" PRIu64 " failed | steps %" PRIu64 " messages %" PRIu64
                 " commits %" PRIu64 " elections %" PRIu64 " crashes %" PRIu64
                 " (in callbacks %" PRIu64 ") checkpoints %" PRIu64 " seedings %" PRIu64
                 " restarts %" PRIu64 "\n",
                 seeds, bad, c->pump.steps, c->messages, c->commits, c->elections, c->crashes,
                 c->fatal, c->checkpoints, c->seeds, c->restarts);
    (void)printf("guards: stale replies %" PRIu64 ", overtaken %" PRIu64 ", commit back %" PRIu64
                 ", overwritten writes %" PRIu64 "; log reads %" PRIu64 ", bad %" PRIu64
                 ", foreign %" PRIu64 ", full %" PRIu64 ", big entries %" PRIu64 "\n",
                 c->pump.stale_replies, c->pump.old_messages, c->pump.commit_back,
                 c->pump.overwritten, c->pump.log_reads, c->pump.bad_messages,
                 c->pump.foreign_messages, c->pump.full, c->big);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"seeds", required_argument, NULL, 'n'},
        {"first-seed", required_argument, NULL, 's'},
        {"faults", required_argument, NULL, 'f'},
        {"disable", required_argument, NULL, 'd'},
        {"expect-failure", no_argument, NULL, 'x'},
        {"verbose", no_argument, NULL, 'v'},
        {NULL, 0, NULL, 0},
    };
    uint64_t seeds = 100, first = 1, bad = 0;
    bool expect_failure = false;
    int c;
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c == 'n')
            seeds = strtoull(optarg, NULL, 10);
        else if (c == 's')
            first = strtoull(optarg, NULL, 10);
        else if (c == 'f')
            faults_ms = strtoull(optarg, NULL, 10);
        else if (c == 'd')
            world.disable_guards = (unsigned)strtoul(optarg, NULL, 10);
        else if (c == 'x')
            expect_failure = true;
        else if (c == 'v')
            world.verbose = true;
        else
            return 2;
    }
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        bad += run_seed(&world, seed);
        if (expect_failure && bad > 0)
            break;
    }
    report(&world.counters, seeds, bad);
    return (bad > 0) != expect_failure;
}
