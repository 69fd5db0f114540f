/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/raft/engine_heap.h"
#include "ledger/raft/pump_state.h"

#include "proto/base/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Values of raft_entry_type are on disk and on the wire. */
_Static_assert((int)ENTRY_COMMAND == (int)RAFT_COMMAND && (int)ENTRY_BARRIER == (int)RAFT_BARRIER &&
                   (int)ENTRY_CHANGE == (int)RAFT_CHANGE,
               "entry kinds are libraft's");
_Static_assert(RAFT_VERSION_NUMBER == 2201, "the guards were found for libraft 0.22.1");

enum {
    ELECTION_TIMEOUT_MS = 1000,
    HEARTBEAT_MS = 100,
    MAX_INFLIGHT = 8,
    MAX_PEER_ENTRIES = 256,
    TAIL_CACHE_BYTES = 64 << 20,
};

int pump_die(struct pump *p, const char *format, ...)
{
    if (!p->failed) {
        va_list ap;
        va_start(ap, format);
        (void)vsnprintf(p->error, sizeof p->error, format, ap);
        va_end(ap);
        p->failed = true;
    }
    return -EIO;
}

int pump_enter(struct pump *p, struct pump_now now)
{
    CHECK(!p->busy);
    if (p->failed)
        return -EIO;
    p->busy = true;
    if (now.mono_ms < p->now.mono_ms) /* the engine's arithmetic must never see time go back */
        now.mono_ms = p->now.mono_ms;
    p->now = now;
    return 0;
}

int pump_leave(struct pump *p, int rv)
{
    p->busy = false;
    if (rv == 0 && p->restarting && p->appends.n == 0)
        return -ERESTART;
    return rv;
}

/* ---- life ---- */

static void set_defaults(struct pump_config *c)
{
    if (c->election_timeout_ms == 0)
        c->election_timeout_ms = ELECTION_TIMEOUT_MS;
    if (c->heartbeat_ms == 0)
        c->heartbeat_ms = HEARTBEAT_MS;
    if (c->max_inflight == 0)
        c->max_inflight = MAX_INFLIGHT;
    if (c->max_peer_entries == 0)
        c->max_peer_entries = MAX_PEER_ENTRIES;
    if (c->tail_cache_bytes == 0)
        c->tail_cache_bytes = TAIL_CACHE_BYTES;
}

struct pump *pump_new(const struct pump_config *config, const struct pump_io *io)
{
    if (config->id == 0 || config->id > MESSAGE_NUMBER_MAX ||
        strlen(config->address) >= PUMP_ADDRESS_MAX)
        return NULL;
    struct pump *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->config = *config;
    p->io = *io;
    (void)snprintf(p->address, sizeof p->address, "%s", config->address);
    p->config.address = p->address;
    set_defaults(&p->config);
    engine_heap_use();
    if (raft_init(&p->raft, NULL, NULL, config->id, p->address) != 0) {
        free(p);
        return NULL;
    }
    p->engine = true;
    p->raft.tracer = NULL;
    raft_seed(&p->raft, config->seed);
    raft_set_election_timeout(&p->raft, p->config.election_timeout_ms);
    raft_set_heartbeat_timeout(&p->raft, p->config.heartbeat_ms);
    raft_set_install_snapshot_timeout(&p->raft, p->config.election_timeout_ms);
    raft_set_pre_vote(&p->raft, true);
    raft_set_max_inflight_entries(&p->raft, p->config.max_peer_entries);
    return p;
}

void pump_free(struct pump *p)
{
    if (!p)
        return;
    if (p->engine)
        raft_close(&p->raft, NULL);
    for (; p->appends.n > 0; p->appends.n--) {
        block_unref(p->appends.block[p->appends.head]);
        p->appends.head = (p->appends.head + 1) % PUMP_APPENDS_MAX;
    }
    tail_close(&p->tail);
    term_runs_close(&p->runs);
    free(p);
}

int pump_decode_conf(struct pump *p, const void *data, size_t n, struct raft_configuration *out)
{
    const char *bad = message_check_conf(data, n);
    if (bad)
        return pump_die(p, "%s", bad);
    struct raft_buffer buf = {(void *)(uintptr_t)data, n};
    if (raft_configuration_decode(&buf, out) != 0)
        return pump_die(p, "no memory for a configuration");
    return 0;
}

/* The log as the engine wants it at a start: terms of all entries, payload of configurations. */
static struct raft_entry *entries_for_start(const struct log_recovered *r, uint64_t first,
                                            unsigned n)
{
    struct raft_entry *e = calloc(n, sizeof *e);
    if (!e)
        return NULL;
    for (size_t i = 0; i < r->runs.n; i++) {
        uint64_t end = i + 1 < r->runs.n ? r->runs.run[i + 1].first : r->runs.last + 1;
        for (uint64_t at = r->runs.run[i].first; at < end; at++)
            e[at - first] = (struct raft_entry){.term = r->runs.run[i].term, .type = RAFT_COMMAND};
    }
    for (unsigned i = 0; i < r->n_confs; i++) {
        const struct log_conf *c = &r->confs[i];
        if (c->index < first || c->index > r->runs.last)
            continue;
        e[c->index - first].type = RAFT_CHANGE;
        e[c->index - first].buf = (struct raft_buffer){(void *)(uintptr_t)c->data, c->len};
    }
    return e;
}

static int check_recovered(struct pump *p, const struct log_recovered *r)
{
    uint64_t first = term_runs_first(&r->runs);
    if (r->runs.n == 0 && r->applied_index == 0)
        return 0; /* joins: knows nothing, stays follower until a leader sends it the log */
    if (r->term == 0)
        return pump_die(p, "a log, but no term");
    if (r->runs.n > 0 && (first > r->applied_index + 1 || r->runs.last < r->applied_index))
        return pump_die(p, "the log does not reach the state");
    if (r->runs.n > 0 && r->runs.last - first >= UINT32_MAX)
        return pump_die(p, "more log entries than the engine can count");
    if (r->applied_index > 0 && (r->applied_conf.index == 0 || r->applied_term == 0))
        return pump_die(p, "the state names no configuration");
    for (unsigned i = 0; i < r->n_confs; i++) {
        const char *bad = message_check_conf(r->confs[i].data, r->confs[i].len);
        if (bad)
            return pump_die(p, "%s, at entry %llu of the log", bad,
                            (unsigned long long)r->confs[i].index);
    }
    bool begins = r->applied_index > 0 || (r->n_confs > 0 && r->confs[0].index == 1);
    return begins ? 0 : pump_die(p, "the log does not begin with a configuration");
}

static int start(struct pump *p, const struct log_recovered *r)
{
    int rv = check_recovered(p, r);
    if (rv)
        return rv;
    struct raft_event event = {.type = RAFT_START};
    struct raft_snapshot_metadata marker = {.index = r->applied_index, .term = r->applied_term};
    uint64_t first = r->runs.n > 0 ? term_runs_first(&r->runs) : r->applied_index + 1;
    uint64_t last = r->runs.n > 0 ? r->runs.last : r->applied_index;
    event.start.term = r->term;
    event.start.voted_for = r->voted_for;
    event.start.start_index = first;
    event.start.n_entries = (unsigned)(last + 1 - first);
    if (term_runs_copy(&r->runs, &p->runs) != 0)
        return pump_die(p, "no memory for the log's terms");
    p->runs.last = last;
    p->incarnation = r->incarnation;
    p->first = first;
    p->applied = p->marker = r->applied_index;
    p->applied_term = r->applied_term;
    p->applied_conf = r->applied_conf;
    p->last_change = r->applied_conf.index;
    if (r->n_confs > 0 && r->confs[r->n_confs - 1].index > p->last_change)
        p->last_change = r->confs[r->n_confs - 1].index;
    if (event.start.n_entries > 0) {
        event.start.entries = entries_for_start(r, first, event.start.n_entries);
        if (!event.start.entries)
            return pump_die(p, "no memory for %u log entries", event.start.n_entries);
    }
    if (r->applied_index > 0) {
        marker.configuration_index = r->applied_conf.index;
        rv = pump_decode_conf(p, r->applied_conf.data, r->applied_conf.len, &marker.configuration);
        event.start.metadata = &marker; /* its configuration becomes the engine's */
    }
    int code = 0;
    if (rv == 0)
        rv = pump_step(p, &event, NULL, NULL, &code);
    if (code) /* the engine has freed the entries */
        return pump_die(p, "consensus engine: %s", raft_strerror(code));
    free(event.start.entries);
    return rv;
}

int pump_start(struct pump *p, struct pump_now now, const struct log_recovered *r)
{
    int rv = pump_enter(p, now);
    if (rv)
        return rv;
    return pump_leave(p, start(p, r));
}

/* ---- events ---- */

static int persisted(struct pump *p, uint64_t first, uint64_t last)
{
    struct appends *a = &p->appends;
    CHECK(a->n > 0 && a->range[a->head].first == first && a->range[a->head].last == last);
    struct guard_append done = a->range[a->head];
    block_unref(a->block[a->head]);
    a->bytes -= a->payload[a->head];
    a->head = (a->head + 1) % PUMP_APPENDS_MAX;
    a->n--;
    uint64_t safe = guard_persisted(done, a->range, PUMP_APPENDS_MAX, a->head, a->n);
    if (p->config.disable_guards & PUMP_GUARD_PERSISTED)
        safe = done.last < p->runs.last ? done.last : p->runs.last;
    if (safe < done.last)
        p->stats.overwritten++;
    if (p->restarting || safe < done.first || safe <= p->raft.last_stored)
        return 0;
    struct raft_event event = {.type = RAFT_PERSISTED_ENTRIES};
    event.persisted_entries.index = safe;
    return pump_step(p, &event, NULL, NULL, NULL);
}

int pump_persisted(struct pump *p, struct pump_now now, uint64_t first, uint64_t last)
{
    int rv = pump_enter(p, now);
    if (rv)
        return rv;
    return pump_leave(p, persisted(p, first, last));
}

uint64_t pump_next_timeout(const struct pump *p)
{
    /* The engine may name a time that has passed; once per millisecond is often enough. */
    uint64_t t = raft_timeout(&p->raft);
    return t > p->ticked_ms ? t : p->ticked_ms + 1;
}

int pump_tick(struct pump *p, struct pump_now now)
{
    int rv = pump_enter(p, now);
    if (rv)
        return rv;
    if (p->restarting || p->now.mono_ms < pump_next_timeout(p))
        return pump_leave(p, 0);
    p->ticked_ms = p->now.mono_ms;
    struct raft_event event = {.type = RAFT_TIMEOUT};
    return pump_leave(p, pump_step(p, &event, NULL, NULL, NULL));
}

void pump_suspect(struct pump *p, struct pump_now now, uint64_t peer, unsigned delay_ms)
{
    struct raft *r = &p->raft;
    if (!p->engine || p->restarting || p->failed || r->state != RAFT_FOLLOWER ||
        r->follower_state.current_leader.id != peer)
        return;
    uint64_t at = now.mono_ms + delay_ms, timeout = r->follower_state.randomized_election_timeout;
    if (at > timeout && at - timeout < r->election_timer_start)
        r->election_timer_start = at - timeout;
}

static int submit(struct pump *p, enum entry_kind kind, const void *payload, size_t len,
                  uint64_t *index, uint64_t *term)
{
    if (p->restarting || p->raft.state != RAFT_LEADER || raft_transferee(&p->raft) != 0)
        return PUMP_NOT_LEADER;
    if (p->runs.last - p->commit >= p->config.max_inflight || p->appends.n == PUMP_APPENDS_MAX)
        return -EBUSY;
    struct block *b = block_new(1, len);
    if (!b)
        return pump_die(p, "no memory for log entries");
    struct log_entry *e = &b->entry[0];
    *e = (struct log_entry){.index = p->runs.last + 1,
                            .term = raft_current_term(&p->raft),
                            .data = len > 0 ? block_payload(b) : NULL,
                            .len = (uint32_t)len,
                            .kind = (uint8_t)kind};
    if (len > 0)
        memcpy(block_payload(b), payload, len);
    p->engine_entries[0] = (struct raft_entry){.term = e->term,
                                               .type = (enum raft_entry_type)kind,
                                               .buf = {block_payload(b), len},
                                               .batch = b};
    struct raft_event event = {.type = RAFT_SUBMIT};
    event.submit.entries = p->engine_entries;
    event.submit.n = 1;
    uint64_t at = e->index, in = e->term;
    int code, rv = pump_step(p, &event, b, NULL, &code);
    if (rv)
        return rv;
    if (code) {
        block_unref(b); /* refused: still ours */
        return code == RAFT_NOTLEADER    ? PUMP_NOT_LEADER
               : code == RAFT_CANTCHANGE ? -EBUSY
                                         : pump_die(p, "consensus engine: %s", raft_strerror(code));
    }
    *index = at;
    *term = in;
    return 0;
}

int pump_submit(struct pump *p, struct pump_now now, const void *payload, size_t len,
                uint64_t *index, uint64_t *term)
{
    if (len > ENTRY_LEN_MAX)
        return -EMSGSIZE;
    int rv = pump_enter(p, now);
    if (rv)
        return rv;
    return pump_leave(p, submit(p, ENTRY_COMMAND, payload, len, index, term));
}

int pump_change(struct pump *p, struct pump_now now, const struct pump_member *members, unsigned n,
                uint64_t *index)
{
    uint8_t conf[ENTRY_CONF_MAX];
    uint64_t term;
    int len = pump_encode_members(members, n, conf);
    if (len < 0)
        return len;
    if (pump_changing(p) || !pump_leads_firmly(p))
        return -EBUSY;
    int rv = pump_enter(p, now);
    if (rv)
        return rv;
    return pump_leave(p, submit(p, ENTRY_CHANGE, conf, (size_t)len, index, &term));
}

int pump_transfer(struct pump *p, struct pump_now now, uint64_t peer)
{
    int rv = pump_enter(p, now);
    if (rv)
        return rv;
    struct raft_event event = {.type = RAFT_TRANSFER};
    event.transfer.server_id = peer;
    int code = RAFT_NOTLEADER;
    if (!p->restarting)
        rv = pump_step(p, &event, NULL, NULL, &code);
    if (rv == 0 && code == RAFT_NOTLEADER)
        rv = PUMP_NOT_LEADER;
    else if (rv == 0 && (code == RAFT_NOTFOUND || code == RAFT_BADID))
        rv = -ENOENT;
    else if (rv == 0 && code)
        rv = pump_die(p, "consensus engine: %s", raft_strerror(code));
    return pump_leave(p, rv);
}

/* Entries that the engine keeps in front of a marker at `at`. */
static unsigned trailing_of(const struct pump *p, uint64_t at)
{
    uint64_t n = MARKER_TRAILING;
    if (p->keep > 0 && at + 1 - p->keep < n)
        n = at + 1 - p->keep;
    return (unsigned)n;
}

static int mark(struct pump *p, uint64_t at)
{
    uint64_t term = term_runs_of(&p->runs, at);
    CHECK(at <= p->applied);
    /* A configuration applied after the checkpoint is not the marker's: the next one comes. */
    if (p->restarting || at <= p->marker || term == 0 || p->applied_conf.index > at)
        return 0;
    struct raft_event event = {.type = RAFT_SNAPSHOT};
    event.snapshot.metadata.index = at;
    event.snapshot.metadata.term = term;
    event.snapshot.metadata.configuration_index = p->applied_conf.index;
    event.snapshot.trailing = trailing_of(p, at);
    int rv = pump_decode_conf(p, p->applied_conf.data, p->applied_conf.len,
                              &event.snapshot.metadata.configuration);
    if (rv)
        return rv;
    p->marker = at;
    rv = pump_step(p, &event, NULL, NULL, NULL);
    if (p->raft.trail.offset + 1 > p->first)
        p->first = p->raft.trail.offset + 1;
    return rv;
}

void pump_keep(struct pump *p, uint64_t first)
{
    if (first > p->marker)
        first = p->marker;
    if (first > p->keep)
        p->keep = first;
}

int pump_marker(struct pump *p, struct pump_now now, uint64_t applied_index)
{
    int rv = pump_enter(p, now);
    if (rv)
        return rv;
    return pump_leave(p, mark(p, applied_index));
}
