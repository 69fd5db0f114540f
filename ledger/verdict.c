/* SPDX-License-Identifier: Apache-2.0
 * What a node tells the others about itself and makes of what they tell: chains (accord.h), room on
 * the disks (room.h), levels. What is learnt inside a pump event is acted upon after it.
 */
#include "ledger/node_state.h"

#include "proto/base/log.h"
#include "proto/level.h"

#include <stdio.h>

/* ---- notices: called by the pump, inside its events ---- */

void node_notice(void *ctx, uint64_t peer, struct notice *out)
{
    struct node *n = ctx;
    struct core_position at;
    core_machine_position(n->machine, &at);
    out->level = proto_level_known();
    out->flags = (n->room.is_short ? NOTICE_NO_ROOM : 0) |
                 (n->accord.verdict == ACCORD_DISPUTED ? NOTICE_DOUBT : 0);
    out->applied = at.index;
    out->index = accord_index_for(&n->accord, peer, at.index);
    if (!core_machine_chain_at(n->machine, out->index, &out->chain))
        out->index = 0;
}

void node_on_notice(void *ctx, uint64_t peer, const struct notice *in)
{
    struct node *n = ctx;
    struct proto_hash ours;
    bool kept = in->index > 0 && core_machine_chain_at(n->machine, in->index, &ours);
    accord_heard(&n->accord, peer, in, kept ? &ours : NULL);
    n->judge = true;
    n->asked = n->asked || (in->flags & NOTICE_DOUBT) != 0;
}

void node_on_mismatch(void *ctx, uint64_t index, const struct proto_hash *ours,
                      const struct proto_hash *theirs)
{
    struct node *n = ctx;
    if (n->accord.doubt)
        return;
    n->doubt_index = index;
    n->doubt_ours = *ours;
    n->doubt_theirs = *theirs;
    accord_doubt(&n->accord, index);
    n->judge = true;
}

/* ---- the verdict ---- */

bool node_may_decide(const struct node *n)
{
    return n->accord.verdict == ACCORD_SOUND;
}

/* "at index 17: ours 3f..., node 2 has a0..." */
static void describe(struct node *n)
{
    const struct accord_peer *p = accord_other(&n->accord);
    struct proto_text t = proto_text_over(n->difference, sizeof n->difference);
    proto_text_put(&t, "at index ");
    proto_text_uint(&t, p ? p->compared : n->doubt_index);
    proto_text_put(&t, ": ours ");
    proto_text_hex(&t, p ? p->ours.b : n->doubt_ours.b, sizeof p->ours.b);
    proto_text_put(&t, p ? ", node " : ", an entry's leader");
    if (p)
        proto_text_uint(&t, p->id);
    proto_text_put(&t, " has ");
    proto_text_hex(&t, p ? p->theirs.b : n->doubt_theirs.b, sizeof p->theirs.b);
}

static void quarantine(struct node *n)
{
    n->quarantined = true;
    n->quarantine_ms = 0;
    n->role = PUMP_FOLLOWER;
    n->leader = 0;
    n->exit = NODE_EXIT_DIVERGED;
    base_log(BASE_LOG_ERROR, "the node serves no longer: its state differs from the majority's",
             BASE_S("difference", n->difference), NULL);
}

/* A leader sees to it first that another one can begin. */
static void end_service(struct node *n)
{
    char text[DIVERGED_TEXT_MAX];
    struct store_why why = {0};
    (void)snprintf(text, sizeof text, "state differs from the majority's %s\n", n->difference);
    if (n->io.mark && n->io.mark(n->io.ctx, text, &why) != 0)
        base_log(BASE_LOG_ERROR, "the directory could not be marked", BASE_S("cause", why.text),
                 NULL);
    if (n->role != PUMP_LEADER) {
        quarantine(n);
        return;
    }
    n->quarantine_ms = n->now.mono_ms + NODE_STOP_MS;
    node_transfer(n, 0);
    node_carry_out(n);
}

static void note_all(struct node *n)
{
    struct pump_peer peers[PUMP_SERVERS_MAX];
    unsigned k = pump_peers(n->pump, peers);
    n->note_ms = n->now.mono_ms + NODE_NOTE_MS;
    n->asked = false;
    for (unsigned i = 0; i < k; i++)
        if (pump_note(n->pump, n->now, peers[i].id) != 0)
            return; /* the pump has failed: whoever called it knows */
}

void node_judge(struct node *n)
{
    struct pump_peer peers[PUMP_SERVERS_MAX];
    enum accord_verdict before = n->told_verdict;
    if (!n->judge || n->failed || n->quarantined)
        return;
    n->judge = false;
    unsigned k = pump_peers(n->pump, peers);
    n->told_verdict = accord_judge(&n->accord, peers, k, pump_votes(n->pump));
    if (n->told_verdict == before)
        return;
    if (n->told_verdict == ACCORD_SOUND) {
        base_log(BASE_LOG_WARN, "a majority has our state: the node goes on", NULL);
        return;
    }
    describe(n);
    if (n->told_verdict == ACCORD_DISPUTED)
        base_log(BASE_LOG_ERROR, "states differ: nothing is decided until a majority agrees",
                 BASE_S("difference", n->difference), NULL);
    node_drop_requests(n, PROTO_REPLY_unavailable);
    n->note_ms = 0;
    if (n->told_verdict == ACCORD_MINORITY)
        end_service(n);
}

void node_accord_timer(struct node *n)
{
    if (n->quarantine_ms > 0 && (n->role != PUMP_LEADER || n->now.mono_ms >= n->quarantine_ms)) {
        quarantine(n);
        return;
    }
    bool disputed = n->accord.verdict != ACCORD_SOUND && n->now.mono_ms >= n->note_ms;
    if (disputed || (n->asked && n->now.mono_ms + NODE_NOTE_MS / 2 >= n->note_ms))
        note_all(n);
}

/* ---- room ---- */

static void hand_over_for_room(struct node *n, const struct pump_peer *peers, unsigned k)
{
    if (!n->room.is_short || n->role != PUMP_LEADER || n->now.mono_ms < n->handover_ms)
        return;
    uint64_t heir = room_heir(peers, k, n->now.mono_ms, pump_commit_index(n->pump));
    if (heir == 0)
        return;
    n->handover_ms = n->now.mono_ms + ROOM_HANDOVER_MS;
    base_log(BASE_LOG_WARN, "this disk is nearly full: another node is to lead",
             BASE_I("node", heir), NULL);
    node_transfer(n, heir);
}

/* Asks the disk; whether new work is taken changes with it and with what peers say. */
void node_room_timer(struct node *n)
{
    struct pump_peer peers[PUMP_SERVERS_MAX];
    uint64_t free_bytes, total_bytes;
    bool was_short = n->room.is_short;
    n->room_ms = n->now.mono_ms + ROOM_EVERY_MS;
    if (n->io.room && n->io.room(n->io.ctx, &free_bytes, &total_bytes) == 0)
        room_look(&n->room, n->config, free_bytes, total_bytes);
    if (n->room.is_short != was_short)
        base_log(n->room.is_short ? BASE_LOG_ERROR : BASE_LOG_INFO,
                 n->room.is_short ? "the disk is nearly full" : "the disk has room again",
                 BASE_I("free_bytes", (int64_t)n->room.free_bytes),
                 BASE_I("bound_bytes", (int64_t)room_bound(n->config, n->room.total_bytes)), NULL);
    unsigned k = pump_peers(n->pump, peers);
    hand_over_for_room(n, peers, k);
    bool refuses =
        n->role == PUMP_LEADER && room_refuses(n->room.is_short, peers, k, n->now.mono_ms);
    if (refuses != n->refusing)
        base_log(refuses ? BASE_LOG_ERROR : BASE_LOG_INFO,
                 refuses ? "nothing new is taken: no majority has room on its disk"
                         : "new work is taken again",
                 NULL);
    n->refusing = refuses;
}
