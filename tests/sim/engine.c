/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/engine.h"

#include "ledger/raft/message.h"
#include "ledger/raft/pump_state.h"
#include "proto/base/check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool engine_broken(struct engine_view *v, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    (void)vsnprintf(v->why, sizeof v->why, format, ap);
    va_end(ap);
    return false;
}

static bool holds_vote(struct engine_view *v, unsigned id)
{
    const struct engine_node *n = &v->node[id];
    const struct raft *r = &n->pump->raft;
    if (r->current_term == n->disk_term && r->voted_for == n->disk_vote)
        return true;
    return engine_broken(
        v,
        "VOTE NOT DURABLE: n%u is in term %llu and voted for %llu, its disk says %" PRIu64
        " and %" PRIu64,
        id, r->current_term, r->voted_for, n->disk_term, n->disk_vote);
}

static bool holds_order(struct engine_view *v, unsigned id)
{
    const struct engine_node *n = &v->node[id];
    const struct pump *p = n->pump;
    uint64_t stored = p->raft.last_stored;
    if (stored > n->safe || stored > p->runs.last)
        return engine_broken(v,
                             "STORED: n%u believes entries to %" PRIu64 " stored; %" PRIu64
                             " survive a power loss, its log ends at %" PRIu64,
                             id, stored, n->safe, p->runs.last);
    if (stored >= p->first && stored > 0 && p->runs.n > 0 &&
        n->term_at(n->log, stored) != pump_term_of(p, stored))
        return engine_broken(v, "STORED: n%u believes entry %" PRIu64 " of another term stored", id,
                             stored);
    if (n->idle && n->last != p->runs.last)
        return engine_broken(v, "LOG: n%u holds entries to %" PRIu64 ", its engine knows %" PRIu64,
                             id, n->last, p->runs.last);
    if (p->applied > stored || p->applied > p->commit || p->commit > p->runs.last)
        return engine_broken(v,
                             "ORDER: n%u applied %" PRIu64 ", committed %" PRIu64
                             ", stored %" PRIu64 ", last %" PRIu64,
                             id, p->applied, p->commit, stored, p->runs.last);
    return true;
}

static bool holds_configuration(struct engine_view *v, unsigned id)
{
    const struct engine_node *n = &v->node[id];
    const struct raft *r = &n->pump->raft;
    uint64_t filed = r->configuration_uncommitted_index ? r->configuration_uncommitted_index
                                                        : r->configuration_committed_index;
    if (n->change == 0 || filed == n->change)
        return true;
    return engine_broken(v,
                         "CONFIGURATION: n%u takes entry %" PRIu64
                         " for its newest configuration, the log's is %" PRIu64,
                         id, filed, n->change);
}

static bool holds_matches(struct engine_view *v, unsigned id)
{
    const struct pump *p = v->node[id].pump;
    for (unsigned i = 1; i <= v->n; i++) {
        const struct engine_node *f = &v->node[i];
        raft_index match = 0;
        if (i == id || raft_match_index(&p->raft, i, &match) != 0 || match == 0 ||
            f->disk_term > p->raft.current_term || f->disk_term == 0 /* emptied since */)
            continue;
        if (match <= f->forgot) /* committed, before it was removed: it will deny it */
            continue;
        if (match > f->safe)
            return engine_broken(
                v,
                "MATCH: n%u, leader of term %llu, counts entries to %llu on n%u, where "
                "%" PRIu64 " survive",
                id, p->raft.current_term, match, i, f->safe);
        if (match >= p->first && p->runs.n > 0 &&
            f->term_at(f->log, match) != pump_term_of(p, match))
            return engine_broken(v, "MATCH: n%u counts another entry %llu on n%u than it holds", id,
                                 match, i);
    }
    for (unsigned i = 1; i <= v->n; i++)
        if (i != id && v->node[i].pump && v->node[i].pump->raft.state == RAFT_LEADER &&
            v->node[i].pump->raft.current_term == p->raft.current_term)
            return engine_broken(v, "ELECTION SAFETY: n%u and n%u lead term %llu", id, i,
                                 p->raft.current_term);
    return true;
}

bool engine_holds(struct engine_view *v)
{
    for (unsigned i = 1; i <= v->n; i++) {
        const struct pump *p = v->node[i].pump;
        if (!p || p->failed || p->restarting)
            continue;
        if (!holds_vote(v, i) || !holds_order(v, i) || !holds_configuration(v, i) ||
            (p->raft.state == RAFT_LEADER && !holds_matches(v, i)))
            return false;
    }
    return true;
}

unsigned engine_voters(const void *conf, size_t len)
{
    struct raft_configuration c;
    const struct raft_buffer buf = {(void *)(uintptr_t)conf, len};
    unsigned bits = 0;
    CHECK(raft_configuration_decode(&buf, &c) == 0);
    for (unsigned i = 0; i < c.n; i++)
        bits |= c.servers[i].role == RAFT_VOTER ? 1u << c.servers[i].id : 0;
    raft_configuration_close(&c);
    return bits;
}

bool engine_restarts(const struct pump *p)
{
    return p->restarting && !p->failed;
}

/* ---- messages ---- */

static struct log_entry entries[MESSAGE_ENTRIES_MAX];
static uint8_t joined[PUMP_MESSAGE_TAKE_MAX];

static bool decode(const void *head, size_t head_len, const void *body, size_t body_len,
                   struct message *m)
{
    const char *why;
    CHECK(head_len + body_len <= sizeof joined);
    memcpy(joined, head, head_len);
    if (body_len > 0)
        memcpy(joined + head_len, body, body_len);
    return message_decode(joined, head_len + body_len, m, entries, &why) == 0;
}

bool engine_notice(const void *bytes, size_t len, struct notice *out)
{
    struct message m;
    if (!decode(bytes, len, NULL, 0, &m))
        return false;
    *out = m.head.notice;
    return true;
}

bool engine_success(const void *bytes, size_t len, uint64_t *term, uint64_t *last)
{
    struct message m;
    const struct raft_append_entries_result *r = &m.raft.append_entries_result;
    if (!decode(bytes, len, NULL, 0, &m) || m.raft.type != RAFT_APPEND_ENTRIES_RESULT ||
        r->rejected > 0)
        return false;
    *term = r->term;
    *last = r->last_log_index;
    return true;
}

static bool may_vote(struct engine_view *v, unsigned from, uint64_t term, uint64_t candidate)
{
    const struct engine_node *n = &v->node[from];
    return (n->disk_term == term && n->disk_vote == candidate) ||
           engine_broken(v,
                         "VOTE NOT DURABLE: n%u says that it votes for %" PRIu64 " in term %" PRIu64
                         ", its disk says %" PRIu64 " in %" PRIu64,
                         from, candidate, term, n->disk_vote, n->disk_term);
}

bool engine_may_send(struct engine_view *v, unsigned from, const void *head, size_t head_len,
                     const void *body, size_t body_len)
{
    struct message m;
    if (!decode(head, head_len, body, body_len, &m))
        return engine_broken(v, "n%u sends a message that cannot be decoded", from);
    unsigned kind = m.raft.type;
    if (kind == RAFT_INSTALL_SNAPSHOT)
        return engine_broken(v, "SNAPSHOT: n%u sends one, which nobody transfers or acknowledges",
                             from);
    if (kind == RAFT_REQUEST_VOTE && !m.raft.request_vote.pre_vote)
        return may_vote(v, from, m.raft.request_vote.term, from);
    if (kind == RAFT_REQUEST_VOTE_RESULT && m.raft.request_vote_result.vote_granted &&
        !m.raft.request_vote_result.pre_vote)
        return may_vote(v, from, m.raft.request_vote_result.term, m.head.to);
    if (kind == RAFT_APPEND_ENTRIES_RESULT && m.raft.append_entries_result.rejected == 0 &&
        m.raft.append_entries_result.last_log_index > v->node[from].safe)
        return engine_broken(
            v,
            "ACKNOWLEDGED: n%u tells n%" PRIu64 " that it has stored entries to %llu; %" PRIu64
            " survive a power loss",
            from, m.head.to, m.raft.append_entries_result.last_log_index, v->node[from].safe);
    return true;
}

const char *engine_message_text(const void *head, size_t head_len, const void *body,
                                size_t body_len)
{
    static char text[160];
    struct message m;
    if (!decode(head, head_len, body, body_len, &m))
        return "(cannot be decoded)";
    const struct raft_append_entries *a = &m.raft.append_entries;
    const struct raft_append_entries_result *ar = &m.raft.append_entries_result;
    const struct raft_request_vote *v = &m.raft.request_vote;
    const struct raft_request_vote_result *vr = &m.raft.request_vote_result;
    switch ((unsigned)m.raft.type) {
    case RAFT_APPEND_ENTRIES:
        (void)snprintf(text, sizeof text,
                       "entries: term %llu, after %llu (term %llu), %u, commit %llu", a->term,
                       a->prev_log_index, a->prev_log_term, a->n_entries, a->leader_commit);
        break;
    case RAFT_APPEND_ENTRIES_RESULT:
        (void)snprintf(text, sizeof text, "%s: term %llu, %s %llu, last %llu",
                       ar->rejected ? "rejected" : "stored", ar->term, ar->rejected ? "at" : "to",
                       ar->rejected ? ar->rejected : ar->last_log_index, ar->last_log_index);
        break;
    case RAFT_REQUEST_VOTE:
        (void)snprintf(text, sizeof text, "%s: term %llu, log to %llu (term %llu)",
                       v->pre_vote ? "may I ask for votes" : "vote for me", v->term,
                       v->last_log_index, v->last_log_term);
        break;
    case RAFT_REQUEST_VOTE_RESULT:
        (void)snprintf(text, sizeof text, "%s%s, term %llu",
                       vr->pre_vote ? "you may ask: " : "vote: ", vr->vote_granted ? "yes" : "no",
                       vr->term);
        break;
    case MESSAGE_NOTE:
        (void)snprintf(text, sizeof text, "a notice");
        break;
    default:
        (void)snprintf(text, sizeof text, "%s",
                       m.raft.type == RAFT_TIMEOUT_NOW ? "lead now" : "install a snapshot");
    }
    return text;
}
