/* SPDX-License-Identifier: Apache-2.0
 * From the copy on: committed entries of another node are logged and executed, up to where a
 * witness stands; there the position, the chain and the digest of all records must be the
 * witness's.
 */
#include "ledger/seed/seeding.h"

#include "ledger/core/core.h"
#include "ledger/seed/digest.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

enum { PATIENCE = 300, CHANGED_MAX = 65536, ENTRIES_MAX = 65536 };

/* The machine over the state, while entries are executed. */
struct engine {
    struct seeding *s;
    struct state_reader view;
    struct core_machine *machine;
    struct state_changes changes;
    struct log_entry *entries; /* of one answer */
};

static int get_record(void *ctx, const void *key, size_t klen, const void **value, size_t *vlen)
{
    return state_reader_get(ctx, key, klen, value, vlen);
}

static int restore_open(void *ctx, const void *key, size_t klen, const void *value, size_t vlen)
{
    return core_machine_restore_open(ctx, key, klen, value, vlen);
}

static int collect(void *ctx, const void *key, size_t klen, const void *value, size_t vlen)
{
    return state_changes_add(ctx, key, klen, value, vlen);
}

/* An entry of a leader that had diverged names its own chain. It counts all the same, as it did on
 * the nodes; whether our state is theirs, witnesses say. */
static void on_mismatch(void *ctx, uint64_t index, const struct proto_hash *ours,
                        const struct proto_hash *theirs)
{
    (void)ctx, (void)index, (void)ours, (void)theirs;
}

static int engine_failed(const struct engine *e, int rv, struct store_why *why)
{
    return store_why_set(why, rv == -ENOMEM || rv == -EIO ? rv : -EUCLEAN,
                         "the copied state cannot be carried on at entry %" PRIu64 ": %s",
                         e->s->meta.applied_index + 1,
                         e->machine ? core_machine_error(e->machine) : "it is no state of ours");
}

static int engine_open(struct engine *e, struct seeding *s, struct store_why *why)
{
    *e = (struct engine){.s = s};
    state_changes_init(&e->changes);
    e->entries = malloc(ENTRIES_MAX * sizeof *e->entries);
    if (!e->entries)
        return store_why_set(why, -ENOMEM, "out of memory");
    int rv = state_reader_open(&e->view, s->state, why);
    if (rv)
        return rv;
    const struct core_config config = {.backing = {.ctx = &e->view, .get = get_record},
                                       .observer = {.on_mismatch = on_mismatch}};
    const struct core_position at = {s->meta.applied_index, s->meta.applied_term, s->meta.clock_us,
                                     s->meta.chain};
    size_t plen;
    const void *prefix = core_open_prefix(&plen);
    rv = core_machine_new(&e->machine, &config, &at);
    if (rv == 0)
        rv = state_reader_scan(&e->view, prefix, plen, NULL, 0, restore_open, e->machine);
    return rv ? engine_failed(e, rv, why) : 0;
}

static void engine_close(struct engine *e)
{
    core_machine_free(e->machine);
    if (e->view.txn)
        state_reader_close(&e->view);
    state_changes_close(&e->changes);
    free(e->entries);
}

static int checkpoint(struct engine *e, struct store_why *why)
{
    struct core_position at;
    struct state_meta *meta = &e->s->meta;
    core_machine_position(e->machine, &at);
    state_changes_clear(&e->changes);
    int rv = core_machine_changes(e->machine, collect, &e->changes);
    if (rv)
        return engine_failed(e, rv, why);
    meta->applied_index = at.index;
    meta->applied_term = at.term;
    meta->clock_us = at.clock_us;
    meta->chain = at.chain;
    rv = state_store_write(e->s->state, &e->changes, meta, why);
    if (rv)
        return rv;
    core_machine_written(e->machine);
    rv = state_reader_refresh(&e->view);
    return rv ? store_why_set(why, rv, "the state cannot be read") : 0;
}

static int execute(struct engine *e, const struct log_entry *x, struct store_why *why)
{
    struct core_outcome out;
    int rv = x->kind == ENTRY_COMMAND
                 ? core_machine_apply(e->machine, x->index, x->term, x->data, x->len, &out)
                 : core_machine_skip(e->machine, x->index, x->term, x->kind, x->data, x->len);
    if (rv)
        return engine_failed(e, rv, why);
    if (x->kind == ENTRY_CHANGE) {
        if (x->len > ENTRY_CONF_MAX)
            return store_why_set(why, -EUCLEAN, "a configuration of %" PRIu32 " bytes", x->len);
        e->s->meta.conf.index = x->index;
        e->s->meta.conf.len = x->len;
        memcpy(e->s->meta.conf.data, x->data, x->len);
    }
    return core_machine_changed(e->machine) >= CHANGED_MAX ? checkpoint(e, why) : 0;
}

/* ---- entries ---- */

/* What an answer holds, as entries from `first` on. */
static int decode(struct engine *e, const struct proto_seed_answer *a, uint64_t first,
                  struct store_why *why)
{
    const uint8_t *p = (const uint8_t *)a->bytes.p, *end = p + a->bytes.n;
    struct core_position at;
    core_machine_position(e->machine, &at);
    uint64_t term = at.term;
    if (a->count > ENTRIES_MAX)
        return store_why_set(why, -EUCLEAN, "more entries than were asked for");
    for (uint32_t i = 0; i < a->count; i++) {
        struct log_entry x = {.index = first + i};
        bool whole = end - p >= SEED_ENTRY_HEAD;
        for (int b = 0; whole && b < 8; b++)
            x.term |= (uint64_t)p[b] << (8 * b);
        for (int b = 0; whole && b < 4; b++)
            x.len |= (uint32_t)p[9 + b] << (8 * b);
        x.kind = whole ? p[8] : 0;
        p += whole ? SEED_ENTRY_HEAD : 0;
        if (!whole || x.len > ENTRY_LEN_MAX || x.len > (size_t)(end - p) || x.term < term ||
            x.kind < ENTRY_COMMAND || x.kind > ENTRY_CHANGE)
            return store_why_set(why, -EUCLEAN, "entry %" PRIu64 " makes no sense", x.index);
        x.data = x.len > 0 ? p : NULL;
        p += x.len;
        term = x.term;
        e->entries[i] = x;
    }
    return p == end ? 0 : store_why_set(why, -EUCLEAN, "bytes behind the last entry");
}

/* Logs and executes entries of `node` up to `to`. */
static int advance(struct engine *e, uint64_t node, uint64_t to, struct store_why *why)
{
    struct core_position at;
    core_machine_position(e->machine, &at);
    uint64_t from = at.index;
    while (at.index < to) {
        struct proto_seed_ask ask = {
            .kind = SEED_ENTRIES, .at = at.index + 1, .max = SEED_CHUNK_MAX};
        struct proto_seed_answer a;
        int rv = seeding_ask(e->s, node, &ask, &a, why);
        if (rv == 0 && a.count == 0)
            rv = store_why_set(why, -EAGAIN, "node %" PRIu64 " lacks entry %" PRIu64, node, ask.at);
        if (rv == 0)
            rv = decode(e, &a, ask.at, why);
        if (rv)
            return rv;
        uint64_t n = a.count < to - at.index ? a.count : to - at.index;
        const struct log_append append = {e->entries, (unsigned)n};
        rv = log_store_append(e->s->log, &append, 1, why);
        for (uint64_t i = 0; i < n && rv == 0; i++)
            rv = execute(e, &e->entries[i], why);
        if (rv)
            return rv;
        core_machine_position(e->machine, &at);
        if (!seeding_tell(e->s, "entries", at.index - from, to - from))
            return store_why_set(why, -ECANCELED, "interrupted: run it again to go on");
    }
    return 0;
}

/* ---- witnesses ---- */

static int compare(struct engine *e, uint64_t witness, const struct proto_seed_answer *a,
                   struct store_why *why)
{
    struct state_meta meta;
    struct proto_hash own;
    int rv = seed_digest(e->s->state, &meta, &own, why);
    if (rv)
        return rv;
    const char *what = NULL;
    if (meta.applied_index != a->index || meta.applied_term != a->index_term)
        what = "the term";
    else if (meta.clock_us != a->clock_us)
        what = "the clock";
    else if (memcmp(&meta.chain, &a->chain, sizeof a->chain) != 0)
        what = "the chain";
    else if (memcmp(&own, &a->sum, sizeof own) != 0)
        what = "the records";
    if (!what)
        return 0;
    return store_why_set(why, -EUCLEAN,
                         "%s at entry %" PRIu64 " is not the same on node %" PRIu64
                         " and in the copy of node %" PRIu64 ": one of them has diverged; replay "
                         "both before anything else",
                         what, a->index, witness, e->s->facts.source);
}

/* Goes where the witness stands, and no less far than `least`. */
static int meet(struct engine *e, uint64_t witness, uint64_t from_node, uint64_t least,
                struct store_why *why)
{
    const struct seed_config *c = e->s->config;
    unsigned patience = c->patience ? c->patience : PATIENCE;
    struct proto_seed_ask ask = {.kind = SEED_DIGEST};
    struct proto_seed_answer a;
    struct core_position at;
    core_machine_position(e->machine, &at);
    if (least < at.index)
        least = at.index;
    for (unsigned i = 0; i < patience; i++) {
        int rv = seeding_ask(e->s, witness, &ask, &a, why);
        if (rv)
            return rv;
        if (a.index >= least) {
            const struct proto_seed_answer met = a; /* its views are not used */
            rv = advance(e, from_node, met.index, why);
            if (rv == 0)
                rv = checkpoint(e, why);
            return rv ? rv : compare(e, witness, &met, why);
        }
        (void)store_why_set(why, -EAGAIN,
                            "the checkpoint of node %" PRIu64 " stands at entry %" PRIu64
                            ", %" PRIu64 " is needed",
                            witness, a.index, least);
        rv = seeding_wait(e->s, why);
        if (rv)
            return rv;
    }
    return -EAGAIN;
}

static int meet_all(struct engine *e, struct store_why *why)
{
    struct seeding *s = e->s;
    unsigned nodes = s->config->n_others + 1;
    unsigned wanted = nodes / 2; /* with the source: a quorum */
    unsigned others = s->n_there;
    int rv = 0;
    for (unsigned i = 0; i < others && s->facts.witnesses < wanted; i++) {
        if (s->there[i] == s->facts.source)
            continue;
        rv = meet(e, s->there[i], s->there[i], s->least, why);
        if (rv &&
            rv != -EAGAIN) /* who does not answer, or is behind, is no witness; others may be */
            return rv;
        s->facts.witnesses += rv == 0;
    }
    if (s->facts.witnesses >= wanted)
        return 0;
    if (s->config->n_others > 1)
        return rv ? rv : store_why_set(why, -EAGAIN, "too few other nodes to compare with");
    /* A cluster of two: there is nobody but the source. Its chain is all that can be checked. */
    rv = advance(e, s->facts.source, s->least, why);
    return rv ? rv : checkpoint(e, why);
}

int seed_forward(struct seeding *s, struct store_why *why)
{
    char path[PATH_MAX];
    struct state_reader r;
    struct engine e;
    const struct log_store_config config = {.segment_bytes = s->config->segment_bytes};
    seeding_path(s, "state", path);
    int rv = state_store_open(&s->state, path, STATE_STORE_WRITE, NULL, why);
    seeding_path(s, "log", path);
    if (rv == 0)
        rv = log_store_open(&s->log, path, LOG_STORE_WRITE, &config, why);
    if (rv == 0)
        rv = state_reader_open(&r, s->state, why);
    if (rv)
        return rv;
    rv = state_reader_meta(&r, &s->meta);
    state_reader_close(&r);
    if (rv || s->meta.applied_index < s->copy)
        return store_why_set(why, -EUCLEAN, "the copy does not stand where its sender said");
    rv = engine_open(&e, s, why);
    if (rv == 0)
        rv = meet_all(&e, why);
    engine_close(&e);
    s->facts.copied = s->copy;
    s->facts.bytes = s->size;
    s->facts.index = s->meta.applied_index;
    s->facts.chain = s->meta.chain;
    return rv;
}
