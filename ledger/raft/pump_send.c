/* SPDX-License-Identifier: Apache-2.0
 * Outgoing messages. The engine keeps terms, not payloads: an AppendEntries names a range, and we
 * fill it, as several messages of at most PUMP_MESSAGE_MAX bytes where it is long.
 */
#include "ledger/raft/pump_state.h"

#include <string.h>

static int transmit(struct pump *p, uint64_t to, unsigned kind)
{
    uint8_t head[MESSAGE_HEAD_MAX];
    struct peer *peer = pump_peer_of(p, to);
    if (!peer)
        return 0; /* a message may always be lost */
    struct message_head h = {.cluster = p->config.cluster,
                             .group = p->config.group,
                             .from = p->config.id,
                             .to = to,
                             .incarnation = p->incarnation,
                             .sequence = ++peer->sequence_out,
                             .clock_us = p->now.wall_us};
    if (p->io.notice)
        p->io.notice(p->io.ctx, to, &h.notice);
    size_t n = message_put_head(head, &h, kind);
    p->stats.sent++;
    p->io.send(p->io.ctx, to, head, n, p->body, p->body_len);
    return 0;
}

static int encode(struct pump *p, const struct raft_message *m, unsigned n)
{
    struct proto_writer w = proto_writer_over(p->body, sizeof p->body);
    message_put_body(&w, m, p->outgoing, n, (struct proto_str){0});
    if (w.full)
        return pump_die(p, "a peer message grew past %zu bytes", sizeof p->body);
    p->body_len = w.n;
    p->body_valid = false;
    return 0;
}

static int send_small(struct pump *p, const struct raft_message *m)
{
    int rv = encode(p, m, 0);
    return rv ? rv : transmit(p, m->server_id, m->type);
}

int pump_note(struct pump *p, struct pump_now now, uint64_t peer)
{
    const struct raft_message m = {.type = (enum raft_message_type)MESSAGE_NOTE, .server_id = peer};
    int rv = pump_enter(p, now);
    if (rv)
        return rv;
    return pump_leave(p, send_small(p, &m));
}

/* Entries from `index` on into p->outgoing, as many of n as one message takes, at least one. */
static int gather(struct pump *p, uint64_t index, unsigned n)
{
    unsigned count = 0;
    size_t bytes = 0;
    if (n > MESSAGE_ENTRIES_MAX)
        n = MESSAGE_ENTRIES_MAX;
    while (count < n) {
        const struct log_entry *e;
        /* What the log returns lives until the next call, so a message is filled from one. */
        if (count > 0 && !tail_get(&p->tail, index + count))
            break;
        int got = pump_entries(p, index + count, n - count, &e);
        if (got < 0)
            return got;
        for (int i = 0; i < got; i++) {
            size_t cost = e[i].len + MESSAGE_ENTRY_OVERHEAD;
            if (count > 0 && bytes + cost > PUMP_MESSAGE_MAX)
                return (int)count;
            p->outgoing[count++] = e[i];
            bytes += cost;
        }
    }
    return (int)count;
}

static bool same_body(const struct pump *p, const struct raft_append_entries *a)
{
    const struct raft_append_entries *b = &p->body_of;
    return p->body_valid && a->term == b->term && a->prev_log_index == b->prev_log_index &&
           a->prev_log_term == b->prev_log_term && a->leader_commit == b->leader_commit &&
           a->n_entries == b->n_entries;
}

static int send_append(struct pump *p, const struct raft_message *message)
{
    struct raft_message m = *message;
    struct raft_append_entries *a = &m.append_entries;
    const struct raft_append_entries whole = *a;
    if (same_body(p, a))
        return transmit(p, m.server_id, m.type);
    unsigned left = whole.n_entries;
    do {
        int n = left > 0 ? gather(p, a->prev_log_index + 1, left) : 0;
        if (n < 0)
            return n;
        a->n_entries = (unsigned)n;
        int rv = encode(p, &m, (unsigned)n);
        if (rv == 0)
            rv = transmit(p, m.server_id, m.type);
        if (rv)
            return rv;
        left -= (unsigned)n;
        if (left == 0 && (unsigned)n == whole.n_entries) {
            p->body_valid = true;
            p->body_of = whole;
        }
        if (n > 0) {
            a->prev_log_index = p->outgoing[n - 1].index;
            a->prev_log_term = p->outgoing[n - 1].term;
        }
    } while (left > 0);
    return 0;
}

void pump_seed_needed(struct pump *p, uint64_t id)
{
    struct peer *peer = pump_peer_of(p, id);
    if (!peer || (peer->seed_told_ms && p->now.mono_ms - peer->seed_told_ms < PUMP_SEED_EVERY_MS))
        return;
    peer->seed_told_ms = p->now.mono_ms ? p->now.mono_ms : 1;
    p->io.on_seed_needed(p->io.ctx, id);
}

/* The follower is behind the trail. A rejection makes the engine ask again at once, so what goes in
 * place of its request keeps its own pace. */
static int cannot_serve(struct pump *p, struct raft_message *m)
{
    struct peer *peer = pump_peer_of(p, m->server_id);
    if (p->config.disable_guards & PUMP_GUARD_INSTALL)
        return send_small(p, m);
    if (!peer || (peer->stand_in_ms && p->now.mono_ms - peer->stand_in_ms < p->config.heartbeat_ms))
        return 0;
    peer->stand_in_ms = p->now.mono_ms ? p->now.mono_ms : 1;
    guard_heartbeat_for_install(m, p->commit);
    struct raft_message probe = *m;
    int rv = 0;
    if (!(p->config.disable_guards & PUMP_GUARD_TRAIL) &&
        guard_probe_trail(&probe, p->first, term_runs_of(&p->runs, p->first)))
        rv = send_append(p, &probe);
    peer->probed = probe.append_entries.prev_log_index;
    peer->probed_term = probe.append_entries.term;
    return rv ? rv : send_append(p, m);
}

int pump_send_messages(struct pump *p, const struct raft_update *u,
                       const struct raft_message *request)
{
    unsigned off = p->config.disable_guards;
    int rv = 0;
    p->body_valid = false;
    for (unsigned i = 0; i < u->messages.n && rv == 0; i++) {
        struct raft_message *m = &u->messages.batch[i];
        if (off & PUMP_GUARD_STALE_REPLY)
            guard_stale_reply_undone(request, m);
        else if (guard_stale_reply(request, m, p->runs.last))
            p->stats.stale_replies++;
        if (!(off & PUMP_GUARD_PRE_VOTE))
            guard_pre_vote(m, raft_current_term(&p->raft));
        if (m->type == RAFT_INSTALL_SNAPSHOT) {
            rv = cannot_serve(p, m);
        } else if (m->type == RAFT_APPEND_ENTRIES) {
            rv = send_append(p, m);
        } else {
            rv = send_small(p, m);
        }
    }
    return rv;
}
