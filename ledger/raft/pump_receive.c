/* SPDX-License-Identifier: Apache-2.0
 * Incoming messages: decode, refuse what is foreign or overtaken, hand the rest to the engine.
 * Nothing a peer sends ends the process, except entries that contradict what is committed here.
 */
#include "ledger/raft/pump_state.h"

#include <stdio.h>
#include <string.h>

static int drop(struct pump *p, uint64_t *counter, uint64_t from, const char *cause)
{
    ++*counter;
    if (p->io.on_bad_message &&
        (!p->bad_told_ms || p->now.mono_ms - p->bad_told_ms >= BAD_MESSAGE_EVERY_MS)) {
        p->bad_told_ms = p->now.mono_ms ? p->now.mono_ms : 1;
        p->io.on_bad_message(p->io.ctx, from, cause);
    }
    return 0;
}

struct peer *pump_peer_of(struct pump *p, uint64_t id)
{
    struct peer *free_slot = NULL;
    for (unsigned i = 0; i < PEERS_MAX; i++) {
        if (p->peers[i].id == id)
            return &p->peers[i];
        if (p->peers[i].id == 0 && !free_slot)
            free_slot = &p->peers[i];
    }
    if (free_slot)
        *free_slot = (struct peer){.id = id};
    return free_slot;
}

/* The engine compares addresses to see whether the leader is the one it knows. A copy: a
 * configuration in the message frees the one where it stands while the engine still looks. */
static char *address_of(struct pump *p, uint64_t id)
{
    const struct raft_configuration *c = &p->raft.configuration;
    const char *address = "unlisted";
    for (unsigned i = 0; i < c->n; i++)
        if (c->servers[i].id == id)
            address = c->servers[i].address;
    (void)snprintf(p->from, sizeof p->from, "%s", address);
    return p->from;
}

/* Copies the payloads of the piece into one block; the engine's entries point there. */
static struct block *block_of(struct pump *p, const struct log_entry *e, unsigned n)
{
    size_t bytes = 0;
    for (unsigned i = 0; i < n; i++)
        bytes += e[i].len;
    struct block *b = block_new(n, bytes);
    if (!b)
        return NULL;
    uint8_t *at = block_payload(b);
    for (unsigned i = 0; i < n; i++) {
        b->entry[i] = e[i];
        if (e[i].len > 0) {
            memcpy(at, e[i].data, e[i].len);
            b->entry[i].data = at;
            at += e[i].len;
        }
        p->engine_entries[i] =
            (struct raft_entry){.term = e[i].term,
                                .type = (enum raft_entry_type)e[i].kind,
                                .buf = {(void *)(uintptr_t)b->entry[i].data, e[i].len},
                                .batch = b};
    }
    return b;
}

/* One piece of an AppendEntries: entries [from, to) of the message. */
static int take_piece(struct pump *p, const struct message *m, unsigned from, unsigned to)
{
    struct raft_message piece = m->raft;
    struct raft_append_entries *a = &piece.append_entries;
    struct block *b = NULL;
    if (from > 0) {
        a->prev_log_index = m->entries[from - 1].index;
        a->prev_log_term = m->entries[from - 1].term;
    }
    a->n_entries = to - from;
    a->entries = NULL;
    if (to > from) {
        b = block_of(p, m->entries + from, to - from);
        if (!b)
            return pump_die(p, "no memory for log entries");
        a->entries = p->engine_entries;
    }
    struct raft_event event = {.type = RAFT_RECEIVE};
    event.receive.message = &piece;
    return pump_step(p, &event, b, &piece, NULL); /* b is the engine's, or in hand, from here on */
}

static int take_append(struct pump *p, struct message *m)
{
    struct raft_append_entries *a = &m->raft.append_entries;
    const struct guard_here here = {raft_current_term(&p->raft), p->first, p->marker, p->applied,
                                    p->applied_term};
    if (!(p->config.disable_guards & PUMP_GUARD_BEGIN) &&
        !guard_begin_at_applied(a, &m->entries, &here))
        return pump_die(p, "node %llu sends another entry %llu than is applied here",
                        (unsigned long long)m->head.from, (unsigned long long)p->applied);
    unsigned n = a->n_entries, from = 0;
    do {
        unsigned to = n;
        if (!(p->config.disable_guards & PUMP_GUARD_SPLIT))
            to = guard_split(m->entries, from, n);
        /* The disk does not keep up: what is left counts as lost, the leader sends it again. */
        bool full = p->appends.n == PUMP_APPENDS_MAX || p->appends.bytes > HAND_BYTES_MAX;
        if (full && to > from) {
            p->stats.full++;
            return from > 0 ? 0 : take_piece(p, m, 0, 0);
        }
        int rv = take_piece(p, m, from, to);
        if (rv || p->restarting)
            return rv;
        from = to;
    } while (from < n);
    return 0;
}

/* Whether it turns down, time and again, an entry that it had acknowledged to us: its data are
 * gone. The engine takes that for an old rejection and would wait for ever; one that is really old
 * is followed by a success up to there. */
static void note_denial(const struct pump *p, struct peer *peer, const struct raft_message *m)
{
    const struct raft_append_entries_result *r = &m->append_entries_result;
    raft_index match = 0;
    if (m->type != RAFT_APPEND_ENTRIES_RESULT || p->raft.state != RAFT_LEADER ||
        r->term != raft_current_term(&p->raft))
        return;
    bool known = raft_match_index(&p->raft, peer->id, &match) == 0;
    bool denies = known && r->rejected > 0 && r->rejected <= match;
    if (denies && peer->denies_ms == 0)
        peer->denies_ms = p->now.mono_ms ? p->now.mono_ms : 1;
    else if (!denies && (r->rejected > 0 || r->last_log_index >= match))
        peer->denies_ms = 0;
}

/* Turned down where the trail begins: the follower's log does not reach into it. */
static void note_probe(struct pump *p, struct peer *peer, const struct raft_message *m)
{
    const struct raft_append_entries_result *r = &m->append_entries_result;
    if (m->type == RAFT_APPEND_ENTRIES_RESULT && r->rejected > 0 && r->rejected == peer->probed &&
        r->term == peer->probed_term && p->raft.state == RAFT_LEADER)
        pump_seed_needed(p, peer->id);
}

/* By the engine's own figures, once denials have been noted. */
static void drop_old_rejection(const struct pump *p, const struct peer *peer,
                               struct raft_message *m)
{
    raft_index match = 0;
    if (m->type == RAFT_APPEND_ENTRIES_RESULT && p->raft.state == RAFT_LEADER &&
        m->append_entries_result.term == raft_current_term(&p->raft) &&
        raft_match_index(&p->raft, peer->id, &match) == 0)
        (void)guard_old_rejection(m, match);
}

_Static_assert((int)GUARD_LENT_MAX > (int)PUMP_SERVERS_MAX, "a full configuration, and ourselves");

/* The leader that a joining server knows and that has not led for an election timeout; 0: none. The
 * engine runs no election timer for it, so it would hold on to a dead one and deny its vote. (What
 * else it says, that it wants votes for instance, is no leading.) */
static uint64_t silent_leader(struct pump *p)
{
    const struct raft *r = &p->raft;
    uint64_t id = r->state == RAFT_FOLLOWER ? r->follower_state.current_leader.id : 0;
    const struct peer *l = id != 0 ? pump_peer_of(p, id) : NULL;
    bool silent = l && p->now.mono_ms - l->led_ms >= p->config.election_timeout_ms;
    return silent ? id : 0;
}

static int hand_over(struct pump *p, struct message *m)
{
    struct raft_event event = {.type = RAFT_RECEIVE};
    event.receive.message = &m->raft;
    return pump_step(p, &event, NULL, &m->raft, NULL);
}

static int take_vote_request(struct pump *p, struct message *m)
{
    struct raft *r = &p->raft;
    struct guard_lent lent;
    if (r->state != RAFT_FOLLOWER || !guard_lend_vote(&r->configuration, p->config.id, &lent))
        return hand_over(p, m);
    uint64_t silent = silent_leader(p);
    if (silent != 0)
        r->follower_state.current_leader.id = 0;
    int rv = hand_over(p, m);
    if (silent != 0 && r->state == RAFT_FOLLOWER && r->follower_state.current_leader.address)
        r->follower_state.current_leader.id = silent; /* not another's yet */
    guard_lent_back(&r->configuration, &lent);
    return rv;
}

static int take(struct pump *p, const void *bytes, size_t n)
{
    struct message *m = &p->message;
    const char *cause;
    int rv = message_decode(bytes, n, m, p->decoded, &cause);
    if (rv == -EPROTONOSUPPORT)
        return drop(p, &p->stats.foreign_messages, 0, cause);
    if (rv)
        return drop(p, &p->stats.bad_messages, m->head.from, cause);
    const struct message_head *h = &m->head;
    if (!proto_uuid_eq(&h->cluster, &p->config.cluster) || h->group != p->config.group)
        return drop(p, &p->stats.foreign_messages, h->from, "another cluster or group");
    if (h->to != p->config.id || h->from == p->config.id)
        return drop(p, &p->stats.foreign_messages, h->from, "not for this node");
    struct peer *peer = pump_peer_of(p, h->from);
    if (!peer)
        return drop(p, &p->stats.foreign_messages, h->from, "too many senders");
    if (!guard_order(&peer->incarnation_in, &peer->sequence_in, h->incarnation, h->sequence)) {
        p->stats.old_messages++;
        if (!(p->config.disable_guards & PUMP_GUARD_ORDER))
            return 0;
    }
    peer->heard_ms = p->now.mono_ms;
    peer->clock_us = h->clock_us;
    peer->clock_here_us = p->now.wall_us;
    peer->level = h->notice.level;
    peer->flags = h->notice.flags;
    p->stats.received++;
    if (p->io.on_notice)
        p->io.on_notice(p->io.ctx, h->from, &h->notice);
    if (p->restarting || (unsigned)m->raft.type == MESSAGE_NOTE)
        return 0;
    m->raft.server_address = address_of(p, h->from);
    if (m->raft.type == RAFT_APPEND_ENTRIES) {
        peer->led_ms = p->now.mono_ms;
        return take_append(p, m);
    }
    if (m->raft.type == RAFT_INSTALL_SNAPSHOT) { /* nobody sends it: seeding is the way */
        pump_seed_needed(p, p->config.id);
        return 0;
    }
    note_probe(p, peer, &m->raft);
    note_denial(p, peer, &m->raft);
    if (!(p->config.disable_guards & PUMP_GUARD_OLD_REJECTION))
        drop_old_rejection(p, peer, &m->raft);
    if (m->raft.type == RAFT_REQUEST_VOTE && !(p->config.disable_guards & PUMP_GUARD_JOINING))
        return take_vote_request(p, m);
    return hand_over(p, m);
}

int pump_receive(struct pump *p, struct pump_now now, const void *bytes, size_t n)
{
    int rv = pump_enter(p, now);
    if (rv)
        return rv;
    return pump_leave(p, take(p, bytes, n));
}
