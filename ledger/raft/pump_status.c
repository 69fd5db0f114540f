/* SPDX-License-Identifier: Apache-2.0
 * What can be asked of the pump without changing it, and the first entry of a new cluster.
 */
#include "ledger/raft/pump_state.h"

#include <stdio.h>
#include <string.h>

enum pump_role pump_role(const struct pump *p)
{
    return p->raft.state == RAFT_LEADER      ? PUMP_LEADER
           : p->raft.state == RAFT_CANDIDATE ? PUMP_CANDIDATE
                                             : PUMP_FOLLOWER;
}

uint64_t pump_term(const struct pump *p)
{
    return raft_current_term(&p->raft);
}

uint64_t pump_leader(const struct pump *p)
{
    if (p->raft.state == RAFT_LEADER)
        return p->config.id;
    return p->raft.state == RAFT_FOLLOWER ? p->raft.follower_state.current_leader.id : 0;
}

uint64_t pump_commit_index(const struct pump *p)
{
    return p->commit;
}

uint64_t pump_first(const struct pump *p)
{
    return p->first;
}

uint64_t pump_last_index(const struct pump *p)
{
    return p->runs.last;
}

uint64_t pump_last_stored(const struct pump *p)
{
    return p->raft.last_stored;
}

uint64_t pump_applied_index(const struct pump *p)
{
    return p->applied;
}

uint64_t pump_term_of(const struct pump *p, uint64_t index)
{
    return term_runs_of(&p->runs, index);
}

bool pump_leads_firmly(const struct pump *p)
{
    return p->raft.state == RAFT_LEADER && !p->restarting &&
           term_runs_of(&p->runs, p->commit) == raft_current_term(&p->raft);
}

const struct log_conf *pump_applied_conf(const struct pump *p)
{
    return &p->applied_conf;
}

const char *pump_error(const struct pump *p)
{
    return p->error;
}

static const struct peer *find_peer(const struct pump *p, uint64_t id)
{
    for (unsigned i = 0; i < PEERS_MAX; i++)
        if (p->peers[i].id == id)
            return &p->peers[i];
    return NULL;
}

unsigned pump_peers(const struct pump *p, struct pump_peer out[PUMP_SERVERS_MAX])
{
    const struct raft_configuration *c = &p->raft.configuration;
    unsigned n = 0;
    for (unsigned i = 0; i < c->n && n < PUMP_SERVERS_MAX; i++) {
        const struct raft_server *s = &c->servers[i];
        if (s->id == p->config.id)
            continue;
        struct pump_peer *o = &out[n++];
        *o = (struct pump_peer){.id = s->id, .voter = s->role == RAFT_VOTER};
        (void)snprintf(o->address, sizeof o->address, "%s", s->address);
        raft_index match;
        if (raft_match_index(&p->raft, s->id, &match) == 0)
            o->match = match;
        const struct peer *known = find_peer(p, s->id);
        if (known) {
            o->heard_ms = known->heard_ms;
            o->incarnation = known->incarnation_in;
            o->denies_ms = p->raft.state == RAFT_LEADER ? known->denies_ms : 0;
            o->seed_ms = p->raft.state == RAFT_LEADER ? known->seed_told_ms : 0;
            o->clock_us = known->clock_us;
            o->clock_here_us = known->clock_here_us;
            o->level = known->level;
            o->flags = known->flags;
        }
    }
    return n;
}

uint64_t pump_transferee(const struct pump *p)
{
    return p->raft.state == RAFT_LEADER ? raft_transferee(&p->raft) : 0;
}

uint64_t pump_last_change(const struct pump *p)
{
    return p->last_change;
}

bool pump_changing(const struct pump *p)
{
    return p->last_change > p->applied || p->raft.configuration_uncommitted_index != 0;
}

unsigned pump_members(const struct pump *p, struct pump_member out[PUMP_SERVERS_MAX])
{
    const struct raft_configuration *c = &p->raft.configuration;
    unsigned n = 0;
    for (; n < c->n && n < PUMP_SERVERS_MAX; n++)
        out[n] = (struct pump_member){.id = c->servers[n].id,
                                      .address = c->servers[n].address,
                                      .joining = c->servers[n].role != RAFT_VOTER};
    return n;
}

bool pump_votes(const struct pump *p)
{
    const struct raft_configuration *c = &p->raft.configuration;
    for (unsigned i = 0; i < c->n; i++)
        if (c->servers[i].id == p->config.id)
            return c->servers[i].role == RAFT_VOTER;
    return false;
}

void pump_stats(const struct pump *p, struct pump_stats *out)
{
    *out = p->stats;
    out->tail_bytes = p->tail.bytes;
    out->appends_in_hand = p->appends.n;
}

int pump_encode_members(const struct pump_member *members, unsigned n, uint8_t out[ENTRY_CONF_MAX])
{
    struct raft_configuration c;
    struct raft_buffer buf;
    if (n == 0 || n > PUMP_SERVERS_MAX)
        return -EINVAL;
    raft_configuration_init(&c);
    int rv = 0;
    for (unsigned i = 0; i < n && rv == 0; i++)
        if (members[i].id == 0 || strlen(members[i].address) >= PUMP_ADDRESS_MAX ||
            raft_configuration_add(&c, members[i].id, members[i].address,
                                   members[i].joining ? RAFT_STANDBY : RAFT_VOTER) != 0)
            rv = -EINVAL;
    if (rv == 0 && raft_configuration_encode(&c, &buf) != 0)
        rv = -ENOMEM;
    raft_configuration_close(&c);
    if (rv)
        return rv;
    rv = buf.len <= ENTRY_CONF_MAX ? (int)buf.len : -EINVAL;
    if (rv > 0)
        memcpy(out, buf.base, buf.len);
    raft_free(buf.base);
    return rv;
}

int pump_encode_servers(const struct pump_server *servers, unsigned n, uint8_t out[ENTRY_CONF_MAX])
{
    struct pump_member members[PUMP_SERVERS_MAX];
    if (n > PUMP_SERVERS_MAX)
        return -EINVAL;
    for (unsigned i = 0; i < n; i++)
        members[i] = (struct pump_member){.id = servers[i].id, .address = servers[i].address};
    return pump_encode_members(members, n, out);
}
