/* SPDX-License-Identifier: Apache-2.0
 * A node's simulated disk: log writes that become durable late and in order, votes that are durable
 * at once or fail, checkpoints that are whole or not there. A power loss keeps some prefix of what
 * was under way, perhaps torn in the middle of a write.
 */
#include "tests/sim/world.h"

#include "proto/base/check.h"
#include "tests/sim/engine.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

/* ---- log ---- */

static void put_entries(struct sim_node *n, const struct sim_write *o, unsigned count)
{
    uint64_t first = o->entries[0].index;
    if (count == 0)
        return;
    if (first <= n->last && sim_mutation != SIM_lose_truncation)
        n->last = first - 1;
    for (unsigned i = 0; i < count; i++) {
        const struct log_entry *e = &o->entries[i];
        if (e->index > n->last + 1 || e->index > SIM_LOG) {
            sim_fail(n->w, "n%d writes entry %" PRIu64 " after %" PRIu64, n->id, e->index, n->last);
            return;
        }
        n->log[e->index] = (struct sim_entry){.term = e->term,
                                              .data = sim_copy(n->w, e->data, e->len),
                                              .len = e->len,
                                              .kind = e->kind};
        if (e->index > n->last)
            n->last = e->index;
    }
}

/* What a leader proposes is known by its term: a follower's entries came with a message. */
static void note_stamp(struct sim_node *n, const struct log_entry *e)
{
    struct proto_batch b;
    if (e->kind == ENTRY_COMMAND && n->node->role == PUMP_LEADER && e->term == n->node->term &&
        proto_batch_open(&b, e->data, e->len))
        n->stamp_us = b.header.stamp_us;
}

/* Who votes by its log from now on. */
static void note_voters(struct sim_node *n, const struct log_entry *e, unsigned count)
{
    if (n->writes.change == 0)
        n->voters = 0;
    for (unsigned i = 0; i < count; i++) {
        if (e[i].kind != ENTRY_CHANGE)
            continue;
        promises_change(n);
        n->voters = engine_voters(e[i].data, e[i].len);
    }
}

static uint64_t write_ms(struct sim_node *n)
{
    struct sim_world *w = n->w;
    uint64_t ms = sim_below(&w->random, n->disk_ms + 1);
    if (sim_rarely(w, w->rate.stall))
        ms += sim_below(&w->random, 4000);
    return ms;
}

static int append(void *ctx, const struct log_entry *entries, unsigned count)
{
    struct sim_node *n = ctx;
    struct sim_world *w = n->w;
    if (replica_dies(n))
        return 0;
    struct sim_write *o = sim_alloc(w, sizeof *o);
    *o = (struct sim_write){.entries = entries, .n = count, .done_ms = w->now_ms + write_ms(n)};
    writes_add(&n->writes, o);
    note_voters(n, entries, count);
    note_stamp(n, &entries[0]);
    sim_put(&w->events, sim_mutation == SIM_ack_before_fsync ? w->now_ms : o->done_ms, SIM_DISK,
            n->id, n->life, NULL);
    return 0;
}

/* Whether the write in front is done: then the node may be told. */
bool disk_write_done(struct sim_node *n, uint64_t *first, uint64_t *last)
{
    struct sim_write *o = n->writes.first;
    while (o && o->told) { /* of a mutant: now it really is on disk */
        if (o->done_ms > n->w->now_ms)
            break;
        o = o->next;
    }
    if (!o || (o->done_ms > n->w->now_ms && sim_mutation != SIM_ack_before_fsync))
        return false;
    *first = o->entries[0].index;
    *last = o->entries[o->n - 1].index;
    if (o->done_ms > n->w->now_ms) {
        /* Told, and still only in memory: a crash may lose it. The pump frees its entries. */
        struct log_entry *copy = sim_alloc(n->w, o->n * sizeof *copy);
        for (unsigned i = 0; i < o->n; i++) {
            copy[i] = o->entries[i];
            copy[i].data = sim_copy(n->w, copy[i].data, copy[i].len);
        }
        if (o->told)
            return false;
        o->entries = copy;
        o->told = true;
        sim_put(&n->w->events, o->done_ms, SIM_DISK, n->id, n->life, NULL);
        return true;
    }
    n->writes.first = o->next;
    if (!o->next)
        n->writes.last = NULL;
    put_entries(n, o, o->n);
    return !o->told;
}

static int read_entries(void *ctx, uint64_t first, unsigned count, size_t max_bytes,
                        const struct log_entry **out, struct store_why *why)
{
    struct sim_node *n = ctx;
    unsigned got = 0;
    size_t bytes = 0;
    (void)why;
    if (first < n->first)
        sim_fail(n->w, "TRIMMED: n%d reads entry %" PRIu64 ", its log begins at %" PRIu64, n->id,
                 first, n->first);
    if (n->page_cap < count) {
        n->page = sim_alloc(n->w, count * sizeof *n->page);
        n->page_cap = count;
    }
    for (uint64_t i = first; got < count && i <= n->last && bytes < max_bytes; i++) {
        const struct sim_entry *e = &n->log[i];
        n->page[got++] = (struct log_entry){
            .index = i, .term = e->term, .data = e->data, .len = e->len, .kind = e->kind};
        bytes += e->len;
    }
    *out = n->page;
    return (int)got;
}

static int save_term(void *ctx, uint64_t term, uint64_t voted_for, struct store_why *why)
{
    struct sim_node *n = ctx;
    struct sim_world *w = n->w;
    bool full = n->full_until_ms > w->now_ms;
    bool dies = replica_dies(n) || full || sim_rarely(w, w->rate.fail);
    if (term < n->term && sim_mutation != SIM_forget_term)
        sim_fail(w, "n%d saves term %" PRIu64 " after %" PRIu64, n->id, term, n->term);
    /* A write that failed may have reached the disk. */
    if ((!dies || (!full && sim_permille(&w->random, 500))) && sim_mutation != SIM_forget_term) {
        n->vote = sim_mutation == SIM_forget_vote ? 0 : voted_for;
        n->term = term;
    }
    if (dies)
        (void)store_why_set(why, -EIO, "simulated");
    n->dying |= dies;
    return dies ? -EIO : 0;
}

/* What is before `first` is not read again, and is in the checkpoint. */
static void trim(void *ctx, uint64_t first)
{
    struct sim_node *n = ctx;
    if (!n->durable || first > n->durable->meta.applied_index + 1)
        sim_fail(n->w, "TRIMMED: n%d gives up entries to %" PRIu64 " that its state lacks", n->id,
                 first - 1);
    if (replica_dies(n) || first <= n->first)
        return;
    n->first = first;
    n->w->counters.trims++;
}

/* ---- checkpoints ---- */

static int order(const void *a, size_t an, const void *b, size_t bn)
{
    int c = memcmp(a, b, an < bn ? an : bn);
    return c != 0 ? c : an < bn ? -1 : an > bn;
}

/* First record that is not below the key. */
static size_t find(const struct sim_state *s, const void *key, size_t klen, bool *there)
{
    size_t low = 0, high = s ? s->n : 0;
    *there = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int c = order(s->record[middle].key, s->record[middle].klen, key, klen);
        if (c == 0) {
            *there = true;
            return middle;
        }
        if (c < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct change {
    struct sim_record r;
    size_t at;
};

static int by_key(const void *a, const void *b)
{
    const struct change *x = a, *y = b;
    int c = order(x->r.key, x->r.klen, y->r.key, y->r.klen);
    return c != 0 ? c : x->at < y->at ? -1 : 1;
}

static uint64_t little(const uint8_t *p, unsigned n)
{
    uint64_t v = 0;
    while (n-- > 0)
        v = v << 8 | p[n];
    return v;
}

/* state_changes' layout is its contract (state_store.h). */
static struct change *read_changes(struct sim_world *w, const struct state_changes *c, size_t *n)
{
    size_t k = 0;
    for (size_t at = 0; at < c->n; k++) {
        uint64_t vlen = little(c->base + at + 2, 4);
        at += 6 + little(c->base + at, 2) + (vlen == UINT32_MAX ? 0 : vlen);
    }
    struct change *out = sim_alloc(w, (k + 1) * sizeof *out);
    const uint8_t *p = sim_copy(w, c->base, c->n);
    for (size_t i = 0; i < k; i++) {
        size_t klen = little(p, 2);
        uint64_t vlen = little(p + 2, 4);
        bool gone = vlen == UINT32_MAX;
        out[i] = (struct change){{.key = p + 6,
                                  .klen = klen,
                                  .value = gone ? NULL : p + 6 + klen,
                                  .vlen = gone ? 0 : vlen},
                                 i};
        p += 6 + klen + out[i].r.vlen;
    }
    qsort(out, k, sizeof *out, by_key);
    *n = k;
    return out;
}

static struct sim_state *merge(struct sim_node *n, const struct sim_state *old,
                               const struct state_changes *changes, const struct state_meta *meta)
{
    size_t k, at = 0, old_n = old ? old->n : 0;
    struct change *c = read_changes(n->w, changes, &k);
    struct sim_state *s = sim_alloc(n->w, sizeof *s);
    s->meta = *meta;
    s->record = sim_alloc(n->w, (old_n + k + 1) * sizeof *s->record);
    size_t lose = sim_mutation == SIM_checkpoint_loses_record && k > 3 && meta->applied_index > 0
                      ? sim_below(&n->w->random, (unsigned)k)
                      : SIZE_MAX;
    for (size_t i = 0; i < k; i++) {
        if (i + 1 < k && order(c[i].r.key, c[i].r.klen, c[i + 1].r.key, c[i + 1].r.klen) == 0)
            continue; /* a later change wins */
        int o = -1;
        while (at < old_n &&
               (o = order(old->record[at].key, old->record[at].klen, c[i].r.key, c[i].r.klen)) < 0)
            s->record[s->n++] = old->record[at++];
        if (at < old_n && o == 0) {
            if (i == lose)
                s->record[s->n++] = old->record[at];
            at++;
        }
        if (c[i].r.value && i != lose)
            s->record[s->n++] = c[i].r;
    }
    while (at < old_n)
        s->record[s->n++] = old->record[at++];
    return s;
}

/* Whether the sweep looks there (core_mortal). */
static bool in_span(const struct sim_record *r, int64_t clock_us)
{
    for (unsigned i = 0; i < CORE_MORTAL; i++) {
        uint8_t from[CORE_MORTAL_KEY], to[CORE_MORTAL_KEY];
        size_t from_n, to_n;
        core_mortal(i, clock_us, from, &from_n, to, &to_n);
        if (order(r->key, r->klen, from, from_n) >= 0 && order(r->key, r->klen, to, to_n) < 0)
            return true;
    }
    return false;
}

/* A node sweeps the dead in its own time; here at the first occasion, or never. */
static void sweep(struct sim_node *n, struct sim_state *s)
{
    size_t kept = 0;
    if (n->id % 3 == 0)
        return;
    for (size_t i = 0; i < s->n; i++) {
        const struct sim_record *r = &s->record[i];
        bool dead = core_record_dead(r->key, r->klen, r->value, r->vlen, s->meta.clock_us);
        if (dead && !in_span(r, s->meta.clock_us))
            sim_fail(n->w, "n%d: a dead record stands where the sweep does not look", n->id);
        if (!dead)
            s->record[kept++] = *r;
    }
    s->n = kept;
}

const struct sim_state *disk_with(struct sim_node *n, const struct state_changes *changes)
{
    const struct state_meta none = {0};
    return merge(n, n->writing ? n->writing : n->durable, changes, &none);
}

static int write_checkpoint(void *ctx, const struct state_changes *changes,
                            const struct state_meta *meta)
{
    struct sim_node *n = ctx;
    struct sim_world *w = n->w;
    struct state_meta m = *meta;
    if (n->writing && sim_mutation == SIM_checkpoint_early)
        n->durable = n->writing;
    else if (n->writing)
        sim_fail(w, "n%d begins a checkpoint while one is being written", n->id);
    if (replica_dies(n))
        return 0;
    if (sim_mutation == SIM_checkpoint_ahead && m.applied_index < n->last) {
        m.applied_index++;
        m.applied_term = n->log[m.applied_index].term;
        if (m.applied_index <= w->applied)
            m.chain = w->chain[m.applied_index];
    }
    if (sim_mutation == SIM_checkpoint_behind && m.applied_index > 2) {
        m.applied_index--;
        m.applied_term = n->log[m.applied_index].term;
        m.chain = w->chain[m.applied_index];
    }
    struct sim_state *s = merge(n, n->durable, changes, &m);
    sweep(n, s);
    n->writing = s;
    n->state_told = false;
    n->writing_index = meta->applied_index;
    uint64_t ms = 1 + sim_below(&w->random, 10 * n->disk_ms + 1);
    if (sim_rarely(w, w->rate.stall * 4))
        ms += sim_below(&w->random, 4000);
    if (sim_mutation == SIM_checkpoint_early)
        sim_put(&w->events, w->now_ms, SIM_STATE, n->id, n->life, NULL);
    sim_put(&w->events, w->now_ms + ms, SIM_STATE, n->id, n->life, (void *)(uintptr_t)1);
    return 0;
}

/* Whether the node is to be told. */
bool disk_state_done(struct sim_node *n)
{
    n->durable = n->writing;
    n->writing = NULL;
    n->w->counters.checkpoints++;
    return !n->state_told;
}

static int get(void *ctx, const void *key, size_t klen, const void **value, size_t *vlen)
{
    struct sim_node *n = ctx;
    bool there;
    size_t at = find(n->seen, key, klen, &there);
    if (!there)
        return -ENOENT;
    *value = n->seen->record[at].value;
    *vlen = n->seen->record[at].vlen;
    return 0;
}

int disk_scan(const struct sim_state *s, const void *prefix, size_t plen, const void *from,
              size_t flen, state_visit *visit, void *arg)
{
    bool there;
    size_t at = 0;
    if (from && order(from, flen, prefix, plen) > 0)
        at = find(s, from, flen, &there);
    else if (plen > 0)
        at = find(s, prefix, plen, &there);
    for (; s && at < s->n; at++) {
        const struct sim_record *r = &s->record[at];
        if (r->klen < plen || (plen > 0 && memcmp(r->key, prefix, plen) != 0))
            break;
        int rv = visit(arg, r->key, r->klen, r->value, r->vlen);
        if (rv != 0)
            return rv;
    }
    return 0;
}

static int scan(void *ctx, const void *prefix, size_t plen, const void *from, size_t flen,
                state_visit *visit, void *arg)
{
    const struct sim_node *n = ctx;
    if (sim_mutation == SIM_restart_forgets_open && plen > 0)
        return 0;
    return disk_scan(n->seen, prefix, plen, from, flen, visit, arg);
}

static int refresh(void *ctx)
{
    struct sim_node *n = ctx;
    n->seen = n->durable;
    return 0;
}

void disk_io(struct node_io *io)
{
    io->save_term = save_term;
    io->append = append;
    io->read_entries = read_entries;
    io->trim = trim;
    io->write_checkpoint = write_checkpoint;
    io->get = get;
    io->scan = scan;
    io->refresh = refresh;
}

/* ---- the ends of a life ---- */

void disk_crash(struct sim_node *n)
{
    struct sim_world *w = n->w;
    unsigned keep =
        n->full_until_ms > w->now_ms ? 0 : sim_below(&w->random, writes_count(&n->writes) + 1);
    struct sim_write *o = n->writes.first;
    for (; o && keep > 0; o = o->next, keep--)
        put_entries(n, o, o->n);
    if (o && sim_permille(&w->random, 300))
        put_entries(n, o, sim_below(&w->random, o->n));
    n->writes.first = n->writes.last = NULL;
    if (n->writing && sim_mutation == SIM_checkpoint_torn) {
        struct sim_state *torn = sim_alloc(w, sizeof *torn);
        *torn = (struct sim_state){.meta = n->writing->meta};
        if (n->durable) {
            torn->record = n->durable->record;
            torn->n = n->durable->n;
        }
        n->durable = torn;
    } else if (n->writing && sim_permille(&w->random, 500)) {
        n->durable = n->writing;
    }
    n->writing = NULL;
    n->seen = n->durable;
}

void disk_flush(struct sim_node *n)
{
    for (struct sim_write *o = n->writes.first; o; o = o->next)
        put_entries(n, o, o->n);
    n->writes.first = n->writes.last = NULL;
    if (n->writing)
        n->durable = n->writing;
    n->writing = NULL;
}

static unsigned confs_of(const struct sim_node *n)
{
    unsigned confs = 1;
    for (uint64_t i = n->first; i <= n->last; i++)
        confs += n->log[i].kind == ENTRY_CHANGE;
    return confs;
}

void disk_recover(struct sim_node *n, struct log_recovered *r)
{
    const struct sim_state *s = n->durable;
    *r = (struct log_recovered){
        .term = n->term, .voted_for = n->vote, .incarnation = ++n->incarnation};
    if (s) {
        r->applied_index = s->meta.applied_index;
        r->applied_term = s->meta.applied_term;
        r->applied_conf = s->meta.conf;
    }
    r->confs = calloc(confs_of(n), sizeof *r->confs);
    n->writes.change = s ? s->meta.conf.index : 0;
    CHECK(r->confs);
    for (uint64_t i = n->first; i <= n->last; i++) {
        CHECK(term_runs_append(&r->runs, i, n->log[i].term) == 0);
        if (n->log[i].kind != ENTRY_CHANGE)
            continue;
        CHECK(r->n_confs < ENTRY_CONFS_MAX);
        struct log_conf *c = &r->confs[r->n_confs++];
        n->writes.change = i;
        c->index = i;
        c->len = n->log[i].len;
        memcpy(c->data, n->log[i].data, c->len);
    }
    if (r->runs.n == 0)
        r->runs.last = n->last;
    const struct log_conf *newest = r->n_confs > 0 ? &r->confs[r->n_confs - 1] : &r->applied_conf;
    n->voters = newest->len > 0 ? engine_voters(newest->data, newest->len) : 0;
}
