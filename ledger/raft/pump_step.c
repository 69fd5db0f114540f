/* SPDX-License-Identifier: Apache-2.0
 * One raft_step and what follows from it, in the order that keeps promises: term and vote durable,
 * entries on their way to the disk, messages, commands applied, role told.
 */
#include "ledger/raft/pump_state.h"

#include "proto/base/check.h"

#include <string.h>

/* The reference to b moves into the ring, whatever happens next: pump_free finds it there. */
static int take_in_hand(struct pump *p, struct block *b, const struct log_entry *e, unsigned n)
{
    struct appends *a = &p->appends;
    if (a->n == PUMP_APPENDS_MAX) {
        block_unref(b);
        return pump_die(p, "more log writes in hand than %d", PUMP_APPENDS_MAX);
    }
    unsigned at = (a->head + a->n++) % PUMP_APPENDS_MAX;
    a->range[at] = (struct guard_append){e[0].index, e[n - 1].index};
    a->block[at] = b;
    a->payload[at] = 0;
    for (unsigned i = 0; i < n; i++)
        a->payload[at] += e[i].len;
    a->bytes += a->payload[at];
    return 0;
}

static int add_to_log(struct pump *p, struct block *b, const struct log_entry *e, unsigned n)
{
    uint64_t first = e[0].index;
    int rv = take_in_hand(p, b, e, n);
    if (rv)
        return rv;
    if (first <= p->applied || first > p->runs.last + 1)
        return pump_die(p, "the engine writes entry %llu; the log holds %llu, applied are %llu",
                        (unsigned long long)first, (unsigned long long)p->runs.last,
                        (unsigned long long)p->applied);
    if (first <= p->runs.last) {
        /* The engine does not roll a truncated configuration back correctly; a start from disk
         * does. So nothing more leaves this pump, the disk catches up, and the host starts anew. */
        if (first <= p->last_change)
            p->restarting = true;
        term_runs_truncate(&p->runs, first);
        tail_truncate(&p->tail, first);
    }
    for (unsigned i = 0; i < n; i++) {
        if (term_runs_append(&p->runs, e[i].index, e[i].term) != 0 ||
            tail_push(&p->tail, &e[i], b) != 0)
            return pump_die(p, "no memory for log entries");
        if (e[i].kind == ENTRY_CHANGE)
            p->last_change = e[i].index;
    }
    rv = p->io.append(p->io.ctx, e, n);
    return rv ? pump_die(p, "the log took no entries: %s", strerror(-rv)) : 0;
}

/* The engine kept the entries of the event (or a tail of them), or made a barrier of its own. */
static int take_entries(struct pump *p, const struct raft_update *u, struct block *b)
{
    unsigned n = u->entries.n;
    if (u->entries.batch == &p->raft.barrier) {
        raft_free(p->raft.barrier.batch);
        b = block_new(1, 0);
        if (!b)
            return pump_die(p, "no memory for log entries");
        b->entry[0] = (struct log_entry){
            .index = u->entries.index, .term = p->raft.barrier.term, .kind = ENTRY_BARRIER};
        return add_to_log(p, b, b->entry, 1);
    }
    CHECK(b);
    size_t skipped = (size_t)(u->entries.batch - p->engine_entries);
    if (skipped + n > b->n || b->entry[skipped].index != u->entries.index) {
        block_unref(b);
        return pump_die(p, "the engine writes entries that nobody sent, at %llu",
                        (unsigned long long)u->entries.index);
    }
    return add_to_log(p, b, b->entry + skipped, n);
}

/* They are ours once the engine has kept them, also when the step ends early. */
static void drop_entries(struct pump *p, const struct raft_update *u, struct block *b)
{
    if (!(u->flags & (RAFT_UPDATE_ENTRIES)))
        return;
    if (u->entries.batch == &p->raft.barrier)
        raft_free(p->raft.barrier.batch);
    else
        block_unref(b);
}

static enum pump_role role_of(const struct pump *p)
{
    switch (p->raft.state) {
    case RAFT_LEADER:
        return PUMP_LEADER;
    case RAFT_CANDIDATE:
        return PUMP_CANDIDATE;
    default:
        return PUMP_FOLLOWER;
    }
}

static void tell_role(struct pump *p)
{
    enum pump_role role = role_of(p);
    uint64_t term = raft_current_term(&p->raft), leader = pump_leader(p);
    if (p->told_any && role == p->told_role && term == p->told_term && leader == p->told_leader)
        return;
    p->told_any = true;
    p->told_role = role;
    p->told_term = term;
    p->told_leader = leader;
    p->io.on_role(p->io.ctx, role, term, leader);
}

static void note_commit(struct pump *p)
{
    uint64_t reported = raft_commit_index(&p->raft);
    if (reported < p->commit)
        p->stats.commit_back++;
    if (p->config.disable_guards & PUMP_GUARD_COMMIT_MAX)
        p->commit = reported;
    else
        p->commit = guard_commit(p->commit, reported);
}

int pump_step(struct pump *p, struct raft_event *event, struct block *block,
              const struct raft_message *request, int *code)
{
    struct raft_update u = {0};
    event->time = p->now.mono_ms;
    event->capacity = UINT16_MAX; /* no threshold is set: unused */
    p->stats.steps++;
    int rv = raft_step(&p->raft, event, &u);
    if (code)
        *code = rv;
    if (rv)
        return code ? 0 : pump_die(p, "consensus engine: %s", raft_strerror(rv));

    if (u.flags & (RAFT_UPDATE_CURRENT_TERM | RAFT_UPDATE_VOTED_FOR)) {
        rv = p->io.save_term(p->io.ctx, raft_current_term(&p->raft), raft_voted_for(&p->raft));
        if (rv) {
            drop_entries(p, &u, block);
            return pump_die(p, "term and vote could not be saved: %s", strerror(-rv));
        }
    }
    if (u.flags & (RAFT_UPDATE_SNAPSHOT)) /* never with entries */
        return pump_die(p, "the engine installs a snapshot that nobody sent");
    if (u.flags & (RAFT_UPDATE_ENTRIES)) {
        rv = take_entries(p, &u, block);
        if (rv)
            return rv;
    }
    if ((u.flags & (RAFT_UPDATE_MESSAGES)) && !p->restarting) {
        rv = pump_send_messages(p, &u, request);
        if (rv)
            return rv;
    }
    note_commit(p);
    rv = pump_apply(p);
    if (rv == 0)
        tell_role(p);
    return rv;
}

/* ---- apply ---- */

int pump_entries(struct pump *p, uint64_t index, unsigned n, const struct log_entry **out)
{
    const struct log_entry *e = tail_get(&p->tail, index);
    if (e) {
        *out = e;
        return 1;
    }
    int got = p->io.read_entries(p->io.ctx, index, n, READ_MAX, out);
    p->stats.log_reads++;
    if (got < 0)
        return pump_die(p, "entry %llu cannot be read from the log: %s", (unsigned long long)index,
                        strerror(-got));
    for (int i = 0; i < got; i++)
        if ((*out)[i].index != index + (uint64_t)i ||
            (*out)[i].term != term_runs_of(&p->runs, index + (uint64_t)i))
            got = 0;
    if (got == 0 || (unsigned)got > n)
        return pump_die(p, "the log does not hold entry %llu of term %llu",
                        (unsigned long long)index,
                        (unsigned long long)term_runs_of(&p->runs, index));
    return got;
}

/* A committed configuration: the engine is told, and it becomes what checkpoints name. */
static int apply_conf(struct pump *p, const struct log_entry *e)
{
    struct raft_event event = {.type = RAFT_CONFIGURATION};
    event.configuration.index = e->index;
    CHECK(e->len <= ENTRY_CONF_MAX);
    p->applied_conf.index = e->index;
    p->applied_conf.len = e->len;
    memcpy(p->applied_conf.data, e->data, e->len);
    int rv = pump_decode_conf(p, e->data, e->len, &event.configuration.conf);
    return rv ? rv : pump_step(p, &event, NULL, NULL, NULL); /* the engine owns it now */
}

static int apply_one(struct pump *p, const struct log_entry *from)
{
    struct log_entry e = *from;
    int rv = p->io.apply(p->io.ctx, &e);
    if (rv)
        return pump_die(p, "entry %llu could not be applied: %s", (unsigned long long)e.index,
                        strerror(-rv));
    p->applied = e.index;
    p->applied_term = e.term;
    return e.kind == ENTRY_CHANGE ? apply_conf(p, &e) : 0;
}

static uint64_t may_apply(const struct pump *p)
{
    return p->commit < p->raft.last_stored ? p->commit : p->raft.last_stored;
}

int pump_apply(struct pump *p)
{
    if (p->applying || p->restarting)
        return 0;
    int rv = 0;
    p->applying = true;
    while (rv == 0 && p->applied < may_apply(p)) {
        const struct log_entry *e;
        uint64_t left = may_apply(p) - p->applied;
        int n = pump_entries(p, p->applied + 1,
                             left < MESSAGE_ENTRIES_MAX ? (unsigned)left : MESSAGE_ENTRIES_MAX, &e);
        if (n < 0)
            rv = n;
        for (int i = 0; i < n && rv == 0; i++)
            rv = apply_one(p, &e[i]);
    }
    p->applying = false;
    tail_evict(&p->tail, p->applied, p->config.tail_cache_bytes);
    return rv;
}
