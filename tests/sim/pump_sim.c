/* SPDX-License-Identifier: Apache-2.0
 * One run: a cluster of pumps is made, lives with faults, is healed and must make progress.
 */
#include "tests/sim/pump_world.h"

#include "proto/base/check.h"

#include <string.h>

enum {
    FIRST_ENTRIES = 8, /* of a run about configurations */
    FIRST_VOTERS = 3,  /* of a run about members */
};

/* ---- the beginning ---- */

static struct record conf_record(struct world *w, unsigned servers)
{
    static const char *const names[] = {"n1", "n2", "n3", "n4", "n5"};
    struct pump_server server[NODES_MAX];
    uint8_t *conf = world_alloc(w, ENTRY_CONF_MAX);
    for (unsigned i = 0; i < servers; i++)
        server[i] = (struct pump_server){i + 1, names[i]};
    int len = pump_encode_servers(server, servers, conf);
    CHECK(len > 0);
    return (struct record){.term = 1,
                           .kind = ENTRY_CHANGE,
                           .len = (uint32_t)len,
                           .conf = conf,
                           .conf_len = (uint32_t)len};
}

/* Entries that all but the last node hold, applied and in a checkpoint; configurations among them,
 * so that a node which is sent all of them at once gets several in one message. */
static void first_entries(struct world *w)
{
    const struct record before = conf_record(w, (unsigned)w->n - 1),
                        all = conf_record(w, (unsigned)w->n);
    struct checkpoint c = {.applied = FIRST_ENTRIES, .term = 1};
    for (uint64_t i = 1; i <= FIRST_ENTRIES; i++) {
        struct record r =
            i == 1 ? before
            : i == 4 || i == 7
                ? all
                : (struct record){.term = 1, .kind = ENTRY_COMMAND, .id = ++w->next_id, .len = 8};
        check_boot(w, i, &r);
        for (int n = 1; n < w->n; n++)
            w->node[n].log[i] = r;
    }
    c.hash = w->truth_hash[FIRST_ENTRIES];
    c.conf = (struct log_conf){.index = 7, .len = all.conf_len};
    memcpy(c.conf.data, all.conf, all.conf_len);
    for (int n = 1; n < w->n; n++) {
        w->node[n].last = FIRST_ENTRIES;
        w->node[n].durable = c;
    }
}

static void boot(struct world *w)
{
    bool grows = w->profile == PROFILE_MEMBERS;
    const struct record conf = conf_record(w, grows ? FIRST_VOTERS : (unsigned)w->n);
    for (int i = 1; i <= w->n; i++) {
        struct node *n = &w->node[i];
        n->w = w;
        n->id = i;
        n->term = 1;
        n->last = grows && i > FIRST_VOTERS ? 0 : 1;
        n->log[1] = conf;
    }
    bool joins = w->profile == PROFILE_MIXED
                     ? sim_permille(&w->random, 500)
                     : w->profile == PROFILE_JOINER || w->profile == PROFILE_CONFS ||
                           w->profile == PROFILE_TRAIL;
    if (joins) /* one with nothing */
        w->node[w->n].last = 0;
    if (w->profile == PROFILE_CONFS)
        first_entries(w);
    for (int i = 1; i <= w->n; i++)
        node_start(&w->node[i]);
}

/* ---- events ---- */

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
    faults_before_heal(w);
    for (int i = 1; i <= w->n; i++)
        if (i != w->victim)
            node_start(&w->node[i]);
    if (w->victim) {
        node_crash(&w->node[w->victim]);
        w->node[w->victim].life++;
    }
}

/* Somebody takes a copy for a node that asked for it; carrying it takes a while. */
static void copy_state(struct world *w, const struct node *from, const struct node *to)
{
    struct seed_copy *copy = world_alloc(w, sizeof *copy);
    *copy = (struct seed_copy){.state = from->durable, .from = from->id};
    sim_put(&w->events, w->now_ms + w->seed_ms, EVENT_SEEDED, to->id, 0, copy);
}

static void dispatch_own(struct world *w, struct node *n, const struct sim_event *e)
{
    switch (e->kind) {
    case EVENT_DISK:
        node_on_disk(n);
        break;
    case EVENT_TIMER:
        node_on_timer(n);
        break;
    case EVENT_CHECKPOINT:
        node_on_checkpoint(n);
        break;
    case EVENT_SEED:
        copy_state(w, n, e->data);
        break;
    default:
        CHECK(false);
    }
}

static void dispatch(struct world *w, const struct sim_event *e)
{
    struct node *n = &w->node[e->node];
    switch (e->kind) {
    case EVENT_MESSAGE:
        node_on_message(n, e->data);
        break;
    case EVENT_SEEDED:
        node_seed(n, e->data);
        break;
    case EVENT_RESTART:
        if (n->life == e->life)
            node_start(n);
        break;
    case EVENT_CLIENT:
        submit_everywhere(w);
        sim_put(&w->events, w->now_ms + 5 + sim_below(&w->random, w->client_ms), EVENT_CLIENT, 0, 0,
                NULL);
        break;
    case EVENT_FAULT:
        if (w->faults) {
            faults_strike(w);
            sim_put(&w->events, w->now_ms + 100 + sim_below(&w->random, 1500), EVENT_FAULT, 0, 0,
                    NULL);
        }
        break;
    default:
        if (n->pump && n->life == e->life)
            dispatch_own(w, n, e);
    }
}

void world_run(struct world *w, uint64_t seed)
{
    w->random.state = seed * UINT64_C(0x9E3779B97F4A7C15) + 12345;
    faults_draw(w);
    boot(w);
    sim_put(&w->events, 50, EVENT_CLIENT, 0, 0, NULL);
    sim_put(&w->events, 300, EVENT_FAULT, 0, 0, NULL);
    uint64_t next_check = 0, committed = 0;
    while (w->events.n > 0) {
        struct sim_event e = sim_take(&w->events);
        if (e.at_ms > w->end_ms)
            break;
        w->now_ms = e.at_ms;
        if (w->faults && w->now_ms >= w->heal_ms) {
            committed = w->consensus.committed;
            heal(w);
        }
        dispatch(w, &e);
        if (w->now_ms >= next_check) {
            check_logs(w);
            next_check = w->now_ms + 500;
        }
    }
    w->counters.ms += w->now_ms;
    check_logs(w);
    check_liveness(w, committed);
}
