/* SPDX-License-Identifier: Apache-2.0
 * What a simulated pump stands on: a disk that writes late and in order, a network that loses,
 * repeats, delays and reorders, or falls behind link by link.
 */
#include "tests/sim/pump_world.h"

#include "ledger/raft/pump_state.h"
#include "proto/base/check.h"
#include "tests/sim/engine.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- disk ---- */

static void truncate_disk(struct node *n, uint64_t from)
{
    if (from <= n->last)
        n->last = from - 1;
}

static void write_record(struct node *n, const struct log_entry *e)
{
    CHECK(e->index == n->last + 1 && e->index <= LOG_MAX);
    struct record *r = &n->log[e->index];
    *r = (struct record){.term = e->term, .kind = e->kind, .len = e->len};
    if (e->kind == ENTRY_CHANGE) {
        uint8_t *conf = world_alloc(n->w, e->len);
        memcpy(conf, e->data, e->len);
        r->conf = conf;
        r->conf_len = e->len;
    } else if (e->kind == ENTRY_COMMAND) {
        memcpy(&r->id, e->data, sizeof r->id);
        /* The payload is the id again and again: damage on the way would show. */
        for (uint32_t i = 8; i + 8 <= e->len; i += 8)
            if (memcmp(e->data + i, &r->id, 8) != 0)
                world_fail(n->w, "n%d: payload of entry %" PRIu64 " damaged", n->id, e->index);
    }
    n->last = e->index;
}

void write_to_disk(struct node *n, const struct sim_write *o, unsigned entries)
{
    truncate_disk(n, o->entries[0].index);
    for (unsigned i = 0; i < entries; i++)
        write_record(n, &o->entries[i]);
}

static int on_append(void *ctx, const struct log_entry *entries, unsigned count)
{
    struct node *n = ctx;
    struct world *w = n->w;
    struct sim_write *o = world_alloc(w, sizeof *o);
    *o = (struct sim_write){.entries = entries, .n = count};
    o->done_ms = w->now_ms + sim_below(&w->random, w->faults ? 25 : 3);
    if (w->faults && sim_permille(&w->random, w->stall_permille))
        o->done_ms += sim_below(&w->random, w->stall_ms); /* a disk that hangs */
    if (w->faults && w->hung == n->id)
        o->done_ms += 3000;
    writes_add(&n->writes, o);
    sim_put(&w->events, o->done_ms, EVENT_DISK, n->id, n->life, NULL);
    return 0;
}

static int on_save_term(void *ctx, uint64_t term, uint64_t voted_for)
{
    struct node *n = ctx;
    struct world *w = n->w;
    bool fails = w->faults && sim_permille(&w->random, 3);
    if (!fails || sim_permille(&w->random, 500)) { /* a failed write may have reached the disk */
        if (term < n->term)
            world_fail(w, "n%d saves term %" PRIu64 " after %" PRIu64, n->id, term, n->term);
        n->term = term;
        n->vote = voted_for;
    }
    n->dying |= fails;
    return fails ? -EIO : 0;
}

static int on_read(void *ctx, uint64_t first, unsigned count, size_t max_bytes,
                   const struct log_entry **out)
{
    struct node *n = ctx;
    if (n->page_cap < count) {
        n->page = world_alloc(n->w, count * sizeof *n->page);
        n->page_cap = count;
    }
    unsigned got = 0;
    size_t bytes = 0;
    for (uint64_t i = first; got < count && i <= n->last && bytes < max_bytes; i++) {
        const struct record *r = &n->log[i];
        struct log_entry *e = &n->page[got++];
        *e = (struct log_entry){.index = i, .term = r->term, .len = r->len, .kind = r->kind};
        if (r->kind == ENTRY_CHANGE) {
            e->data = r->conf;
        } else if (r->len > 0) {
            uint8_t *data = world_alloc(n->w, r->len);
            for (uint32_t at = 0; at + 8 <= r->len; at += 8)
                memcpy(data + at, &r->id, 8);
            e->data = data;
        }
        bytes += r->len;
    }
    *out = n->page;
    return (int)got;
}

/* ---- network ---- */

/* A leader that nobody has heard of, and nobody will. */
static bool falls_silent(struct node *n)
{
    struct world *w = n->w;
    uint64_t term = pump_term(n->pump);
    if (!w->old_leader || w->victim || n->id == w->old_leader ||
        pump_role(n->pump) != PUMP_LEADER || term >= CONSENSUS_TERMS ||
        w->consensus.leader_of[term])
        return false;
    if (++w->silent == 2) /* the terms are two apart now */
        w->victim = n->id;
    world_say(w, "n%d leads term %" PRIu64 " and is not heard of again", n->id, term);
    return true;
}

static void remember(struct world *w, int to, struct link_message *m)
{
    if (w->faults && w->profile == PROFILE_ECHO)
        w->echo[m->from][to][w->echoes[m->from][to]++ % ECHOES] = m;
}

void echo(struct node *n)
{
    struct world *w = n->w;
    if (!w->faults || w->profile != PROFILE_ECHO)
        return;
    for (int from = 1; from <= w->n; from++) {
        const struct node *l = &w->node[from];
        if (!l->pump || pump_role(l->pump) != PUMP_LEADER)
            continue;
        unsigned at = sim_below(&w->random, ECHOES);
        for (unsigned i = 0; i < ECHOES; i++) {
            struct link_message *m = w->echo[from][n->id][(at + i) % ECHOES];
            if (m && m->term < pump_term(l->pump)) {
                sim_put(&w->events, w->now_ms + 1, EVENT_MESSAGE, n->id, 0, m);
                break;
            }
        }
    }
}

static void on_send(void *ctx, uint64_t peer, const void *head, size_t head_len, const void *body,
                    size_t body_len)
{
    struct node *n = ctx;
    struct world *w = n->w;
    w->counters.messages++;
    check_send(n, head, head_len, body, body_len);
    if (w->verbose)
        world_say(w, "    n%d to n%" PRIu64 ": %s", n->id, peer,
                  engine_message_text(head, head_len, body, body_len));
    if (w->faults && (sim_below(&w->random, 4000) == 0 || falls_silent(n)))
        n->dying = true; /* after what is durable, before (the rest of) the messages */
    CHECK(peer >= 1 && peer <= (uint64_t)w->n && head_len + body_len <= PUMP_MESSAGE_TAKE_MAX);
    if (n->dying || w->links.cut[n->id][peer] ||
        (w->faults && sim_permille(&w->random, w->drop_permille)))
        return;
    /* A node that has nothing yet is kept so for a while: the rarest replies come from there. */
    if (w->faults && w->profile == PROFILE_MIXED && w->node[peer].last == 0 &&
        sim_permille(&w->random, 800))
        return;
    struct link_message *m = world_alloc(w, sizeof *m + head_len + body_len);
    m->from = n->id;
    m->term = pump_term(n->pump);
    links_fill(&w->links, m, head, head_len, body, body_len);
    remember(w, (int)peer, m);
    const struct links_weather weather = {.net_ms = w->faults ? 30 : 3,
                                          .late_permille = w->late_permille,
                                          .late_ms = 1500,
                                          .repeat_permille = w->repeat_permille,
                                          .faulty = w->faults};
    links_carry(&w->links, &w->random, &w->events, w->now_ms, &weather, EVENT_MESSAGE, (int)peer,
                m);
}

/* ---- the rest of pump_io ---- */

static int on_apply(void *ctx, const struct log_entry *e)
{
    check_apply(ctx, e);
    return 0;
}

static void on_role(void *ctx, enum pump_role role, uint64_t term, uint64_t leader)
{
    struct node *n = ctx;
    if (role == PUMP_LEADER && leader != (uint64_t)n->id)
        world_fail(n->w, "n%d leads, but names %" PRIu64, n->id, leader);
    if (role == PUMP_LEADER)
        check_leader(n, term);
}

static void on_seed_needed(void *ctx, uint64_t peer)
{
    struct node *n = ctx;
    world_say(n->w, "n%d: n%" PRIu64 " needs a copy of the state", n->id, peer);
    if (peer != (uint64_t)n->id)
        check_seed_needed(n, &n->w->node[peer]);
    if (!n->w->seed_never)
        sim_put(&n->w->events, n->w->now_ms + 20, EVENT_SEED, n->id, n->life, &n->w->node[peer]);
}

struct pump_io disk_and_network(struct node *n)
{
    return (struct pump_io){.ctx = n,
                            .save_term = on_save_term,
                            .append = on_append,
                            .read_entries = on_read,
                            .send = on_send,
                            .apply = on_apply,
                            .on_role = on_role,
                            .on_seed_needed = on_seed_needed};
}
