/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/raft/guard.h"

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Is it the reply to a request of an older term? What it turned down: *rejected. */
static bool is_stale(const struct raft_message *request, const struct raft_message *reply,
                     uint64_t *rejected)
{
    uint64_t term;
    if (reply->type != RAFT_APPEND_ENTRIES_RESULT || !request)
        return false;
    if (request->type == RAFT_APPEND_ENTRIES) {
        term = request->append_entries.term;
        *rejected = request->append_entries.prev_log_index;
    } else if (request->type == RAFT_INSTALL_SNAPSHOT) {
        term = request->install_snapshot.term;
        *rejected = request->install_snapshot.last_index;
    } else {
        return false;
    }
    return term < reply->append_entries_result.term;
}

bool guard_stale_reply(const struct raft_message *request, struct raft_message *reply,
                       uint64_t own_last)
{
    struct raft_append_entries_result *r = &reply->append_entries_result;
    uint64_t rejected;
    if (!is_stale(request, reply, &rejected))
        return false;
    r->rejected = rejected > 0 ? rejected : 1;
    r->last_log_index = least(own_last, r->rejected - 1);
    return true;
}

void guard_stale_reply_undone(const struct raft_message *request, struct raft_message *reply)
{
    uint64_t rejected;
    if (is_stale(request, reply, &rejected))
        reply->append_entries_result.last_log_index = UINT32_MAX;
}

bool guard_order(uint64_t *last_incarnation, uint64_t *last_sequence, uint64_t incarnation,
                 uint64_t sequence)
{
    if (incarnation < *last_incarnation ||
        (incarnation == *last_incarnation && sequence <= *last_sequence))
        return false;
    *last_incarnation = incarnation;
    *last_sequence = sequence;
    return true;
}

void guard_pre_vote(struct raft_message *reply, uint64_t own_term)
{
    struct raft_request_vote_result *r = &reply->request_vote_result;
    if (reply->type == RAFT_REQUEST_VOTE_RESULT && r->pre_vote && !r->vote_granted &&
        own_term > r->term)
        r->term = own_term;
}

uint64_t guard_commit(uint64_t known, uint64_t reported)
{
    return reported > known ? reported : known;
}

unsigned guard_split(const struct log_entry *entries, unsigned from, unsigned n)
{
    unsigned end = from < n ? from + 1 : n;
    while (end < n && entries[end].kind != ENTRY_CHANGE)
        end++;
    return end;
}

uint64_t guard_persisted(struct guard_append done, const struct guard_append *later, unsigned cap,
                         unsigned head, unsigned n)
{
    uint64_t last = done.last;
    for (unsigned i = 0; i < n; i++)
        last = least(last, later[(head + i) % cap].first - 1);
    return last;
}

void guard_heartbeat_for_install(struct raft_message *message, uint64_t commit)
{
    const struct raft_install_snapshot s = message->install_snapshot;
    message->type = RAFT_APPEND_ENTRIES;
    message->append_entries = (struct raft_append_entries){.term = s.term,
                                                           .prev_log_index = s.last_index,
                                                           .prev_log_term = s.last_term,
                                                           .leader_commit = commit};
}

bool guard_probe_trail(struct raft_message *heartbeat, uint64_t first, uint64_t term)
{
    struct raft_append_entries *a = &heartbeat->append_entries;
    if (first >= a->prev_log_index || term == 0)
        return false;
    a->prev_log_index = first;
    a->prev_log_term = term;
    return true;
}

bool guard_old_rejection(struct raft_message *message, uint64_t match)
{
    struct raft_append_entries_result *r = &message->append_entries_result;
    if (message->type != RAFT_APPEND_ENTRIES_RESULT || r->rejected == 0 || r->rejected > match)
        return false;
    r->rejected = 0;
    r->last_log_index = 0; /* what is not above the match index is ignored */
    return true;
}

/* Whether the engine knows the term of the entry that the message follows. */
static bool knows_before(const struct guard_here *here, uint64_t prev)
{
    return prev >= here->first || prev == here->marker || (prev == 0 && here->first == 1);
}

bool guard_begin_at_applied(struct raft_append_entries *a, struct log_entry **entries,
                            const struct guard_here *here)
{
    if (a->term < here->term || knows_before(here, a->prev_log_index))
        return true;
    uint64_t known = here->applied - a->prev_log_index;
    bool reaches = known <= a->n_entries;
    if (reaches && (*entries)[known - 1].term != here->applied_term)
        return false;
    *entries += reaches ? known : a->n_entries;
    a->n_entries -= reaches ? (unsigned)known : a->n_entries;
    a->prev_log_index = here->applied;
    a->prev_log_term = here->applied_term;
    return true;
}

bool guard_lend_vote(struct raft_configuration *conf, raft_id self, struct guard_lent *lent)
{
    static char nowhere[] = "unlisted";
    unsigned at = 0;
    while (at < conf->n && conf->servers[at].id != self)
        at++;
    if (at == GUARD_LENT_MAX || conf->n > GUARD_LENT_MAX ||
        (at < conf->n && conf->servers[at].role == RAFT_VOTER))
        return false;
    for (unsigned i = 0; i < conf->n; i++)
        lent->server[i] = conf->servers[i];
    if (at == conf->n)
        lent->server[at] = (struct raft_server){.id = self, .address = nowhere};
    lent->server[at].role = RAFT_VOTER;
    lent->own = *conf;
    conf->servers = lent->server;
    conf->n += at == conf->n;
    return true;
}

void guard_lent_back(struct raft_configuration *conf, const struct guard_lent *lent)
{
    *conf = lent->own;
}
