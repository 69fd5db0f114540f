/* SPDX-License-Identifier: Apache-2.0
 * Requests of edges and tools: where each one goes, and what is answered.
 */
#include "ledger/node_state.h"

#include "ledger/serve/reply.h"
#include "proto/level.h"
#include "proto/query.h"

#include <stdio.h>
#include <stdlib.h>

#ifndef HOLDFAST_VERSION
#error "the build names the version"
#endif

static struct proto_reply_head head_of(const struct node *n, enum proto_reply_status status,
                                       const char *detail)
{
    const struct cluster_node *leader = cluster_conf_node(&n->config->cluster, (uint32_t)n->leader);
    struct core_position at;
    core_machine_position(n->machine, &at);
    return (struct proto_reply_head){.status = (uint8_t)status,
                                     .leader = (uint32_t)n->leader,
                                     .leader_address = proto_str_of(leader ? leader->client : ""),
                                     .retry_ms =
                                         status == PROTO_REPLY_busy ? NODE_BUSY_RETRY_MS : 0,
                                     .term = n->term,
                                     .applied = at.index,
                                     .detail = proto_str_of(detail)};
}

void node_reply(struct node *n, struct serve_request *r, enum proto_reply_status status,
                const char *detail)
{
    const struct proto_reply_head head = head_of(n, status, detail);
    n->io.reply(n->io.ctx, r, serve_reply(&head));
}

/* Of the intake. */
void node_on_complete(void *ctx, struct serve_request *r, enum proto_reply_status status)
{
    struct node *n = ctx;
    const struct proto_reply_head head = head_of(n, status, "");
    n->io.reply(n->io.ctx, r,
                status == PROTO_REPLY_done ? serve_reply_commands(r, &head) : serve_reply(&head));
}

void node_answer_query(struct node *n, struct serve_request *r)
{
    struct proto_writer w = proto_writer_over(n->answer, PROTO_ANSWER_MAX);
    int rv = core_machine_query(n->machine, r->query.p, r->query.n, &w);
    if (rv != 0 || w.full) {
        (void)node_fail(n, NODE_EXIT_FATAL, "query",
                        rv ? core_machine_error(n->machine) : "its answer does not fit");
        node_reply(n, r, PROTO_REPLY_unavailable, "the node is stopping");
        return;
    }
    const struct proto_reply_head head = head_of(n, PROTO_REPLY_done, "");
    n->io.reply(n->io.ctx, r, serve_reply_query(&head, n->answer, w.n));
}

static void fill_peers(const struct node *n, struct proto_node_status *s,
                       struct pump_peer peers[PUMP_SERVERS_MAX])
{
    unsigned k = pump_peers(n->pump, peers);
    for (unsigned i = 0; i < k && i < PROTO_MAX_peer_status; i++) {
        const struct pump_peer *p = &peers[i];
        int64_t ago_us = (int64_t)(n->now.mono_ms - p->heard_ms) * 1000;
        s->peers.e[s->peers.n++] = (struct proto_peer_status){
            .id = (uint32_t)p->id,
            .address = proto_str_of(p->address),
            .match = p->match,
            .last_seen_us = p->heard_ms ? n->now.wall_us - ago_us : 0,
            .clock_offset_us = p->heard_ms ? p->clock_us - p->clock_here_us : 0};
    }
}

static void put_fact(struct proto_node_status *s, const char *name, int64_t number,
                     const char *text)
{
    if (s->facts.n < PROTO_MAX_fact)
        s->facts.e[s->facts.n++] = (struct proto_fact){
            .name = proto_str_of(name), .number = number, .text = proto_str_of(text)};
}

/* "peer_2_level"; name lives as long as the answer. */
static void put_peer_fact(struct proto_node_status *s, char name[32], const struct pump_peer *peer,
                          const char *what, int64_t number, const char *text)
{
    (void)snprintf(name, 32, "peer_%u_%s", (unsigned)peer->id, what);
    put_fact(s, name, number, text);
}

/* For people and for programs that know the names; a list, so that new ones break nobody. */
static void fill_facts(const struct node *n, struct proto_node_status *s,
                       const struct pump_peer *peers)
{
    static char names[4][PUMP_SERVERS_MAX][32]; /* the loop thread's */
    put_fact(s, "level", core_machine_level(n->machine), "");
    put_fact(s, "level_known", proto_level_known(), "");
    if (n->room.known) {
        put_fact(s, "disk_free_bytes", (int64_t)n->room.free_bytes, "");
        put_fact(s, "disk_total_bytes", (int64_t)n->room.total_bytes, "");
        put_fact(s, "disk_short", n->room.is_short, n->room.is_short ? "nearly full" : "");
    }
    put_fact(s, "refusing", n->refusing, n->refusing ? "no majority has room on its disk" : "");
    if (!node_may_decide(n))
        put_fact(s, n->accord.verdict == ACCORD_MINORITY ? "diverged" : "disputed", 1,
                 n->difference);
    struct pump_member members[PUMP_SERVERS_MAX];
    unsigned k = pump_members(n->pump, members), self = 0;
    while (self < k && members[self].id != n->config->id)
        self++;
    if (self < k)
        put_fact(s, "member", n->config->id, members[self].joining ? "joining" : "voter");
    else
        put_fact(s, "outside", 1, "this node is not in the cluster");
    if (pump_changing(n->pump)) /* who is in it, by an entry that may still be cut off */
        put_fact(s, "changing", (int64_t)pump_last_change(n->pump), "");
    if (n->seeding_ms > 0 && n->now.mono_ms - n->seeding_ms < NODE_SEEDING_MS)
        put_fact(s, "seeding", (int64_t)n->seeding_node, "");
    for (uint32_t i = 0; i < s->peers.n; i++) {
        put_fact(s, "member", (int64_t)peers[i].id, peers[i].voter ? "voter" : "joining");
        put_peer_fact(s, names[0][i], &peers[i], "level", peers[i].level,
                      peers[i].flags & NOTICE_NO_ROOM ? "its disk is nearly full" : "");
        uint64_t silent_ms = peers[i].heard_ms > 0 ? n->now.mono_ms - peers[i].heard_ms : 0;
        if (silent_ms >= NODE_SILENT_MS)
            put_peer_fact(s, names[3][i], &peers[i], "silent_ms", (int64_t)silent_ms, "");
        uint64_t stuck_ms = progress_stuck_ms(&n->progress, peers[i].id, n->now.mono_ms);
        if (stuck_ms > 0)
            put_peer_fact(s, names[1][i], &peers[i], "stuck_ms", (int64_t)stuck_ms, "");
        if (stuck_ms > 0 && peers[i].seed_ms > 0 &&
            n->now.mono_ms - peers[i].seed_ms < 2 * PUMP_SEED_EVERY_MS)
            put_peer_fact(s, names[2][i], &peers[i], "needs_seed", 1, "");
    }
}

static const char *role_of(const struct node *n)
{
    static const char *const roles[] = {
        [PUMP_FOLLOWER] = "follower", [PUMP_CANDIDATE] = "candidate", [PUMP_LEADER] = "leader"};
    if (n->accord.verdict == ACCORD_MINORITY)
        return "diverged";
    if (n->accord.verdict == ACCORD_DISPUTED)
        return "disputed";
    return n->stopping ? "stopping" : roles[n->role];
}

static void answer_status(struct node *n, struct serve_request *r)
{
    const struct proto_reply_head head = head_of(n, PROTO_REPLY_done, "");
    struct pump_peer peers[PUMP_SERVERS_MAX];
    struct core_position at;
    core_machine_position(n->machine, &at);
    struct proto_node_status s = {.id = n->config->id,
                                  .role = proto_str_of(role_of(n)),
                                  .build = proto_str_of(HOLDFAST_VERSION),
                                  .term = n->term,
                                  .leader = head.leader,
                                  .leader_address = head.leader_address,
                                  .last_index = pump_last_index(n->pump),
                                  .commit_index = pump_commit_index(n->pump),
                                  .applied_index = at.index,
                                  .checkpoint_index = n->checkpoint.index,
                                  .chain = at.chain,
                                  .clock_us = at.clock_us,
                                  .commands = n->intake.commands,
                                  .drift = core_machine_drift(n->machine) + n->drift.figure,
                                  .open_holds = core_machine_open_holds(n->machine)};
    fill_peers(n, &s, peers);
    fill_facts(n, &s, peers);
    n->io.reply(n->io.ctx, r, serve_reply_status(&head, &s));
}

void node_take_request(struct node *n, struct serve_request *r)
{
    if (r->kind == PROTO_REQUEST_STATUS) {
        answer_status(n, r);
    } else if (!node_may_decide(n)) {
        node_reply(n, r, PROTO_REPLY_unavailable, "this node's state differs from the others'");
    } else if (n->stopping) {
        node_reply(n, r, PROTO_REPLY_unavailable, "the node is stopping");
    } else if (r->kind == PROTO_REQUEST_QUERY && r->stale) {
        node_answer_query(n, r);
    } else if (n->role != PUMP_LEADER) {
        node_reply(n, r, PROTO_REPLY_not_leader, "");
    } else if (r->kind == PROTO_REQUEST_QUERY) {
        reads_add(&n->reads, r);
    } else if (!intake_offer(&n->intake, r)) {
        node_reply(n, r, PROTO_REPLY_busy, "too many commands wait");
    }
}

void node_drop_requests(struct node *n, enum proto_reply_status waiting)
{
    struct serve_request *r;
    intake_drop_all(&n->intake, waiting);
    while ((r = reads_drop(&n->reads)) != NULL)
        node_reply(n, r, waiting, "");
}
