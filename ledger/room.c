/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/room.h"

#include "proto/command.h"

uint64_t room_bound(const struct node_config *config, uint64_t total_bytes)
{
    uint64_t share = total_bytes / 100 * config->disk_free_percent;
    return share > config->disk_free_bytes ? share : config->disk_free_bytes;
}

void room_look(struct room *r, const struct node_config *config, uint64_t free_bytes,
               uint64_t total_bytes)
{
    uint64_t bound = room_bound(config, total_bytes);
    r->known = true;
    r->free_bytes = free_bytes;
    r->total_bytes = total_bytes;
    r->is_short = free_bytes < (r->is_short ? bound + bound / 4 : bound);
}

static bool has_room(const struct pump_peer *p, uint64_t mono_ms)
{
    return p->heard_ms > 0 && mono_ms - p->heard_ms <= ROOM_FRESH_MS &&
           (p->flags & NOTICE_NO_ROOM) == 0;
}

bool room_refuses(bool we_are_short, const struct pump_peer *peers, unsigned n, uint64_t mono_ms)
{
    unsigned voters = 1, fine = !we_are_short;
    bool any_short = we_are_short;
    for (unsigned i = 0; i < n; i++) {
        if (!peers[i].voter)
            continue;
        voters++;
        fine += has_room(&peers[i], mono_ms);
        any_short = any_short || (peers[i].flags & NOTICE_NO_ROOM) != 0;
    }
    return any_short && fine <= voters / 2;
}

uint64_t room_heir(const struct pump_peer *peers, unsigned n, uint64_t mono_ms, uint64_t commit)
{
    const struct pump_peer *best = NULL;
    for (unsigned i = 0; i < n; i++)
        if (peers[i].voter && has_room(&peers[i], mono_ms) && peers[i].match >= commit &&
            (!best || peers[i].match > best->match))
            best = &peers[i];
    return best ? best->id : 0;
}

bool room_grows(unsigned kind)
{
    switch (kind) {
    case PROTO_CMD_settle: /* what is open is brought to its end */
    case PROTO_CMD_release:
    case PROTO_CMD_extend:
    case PROTO_CMD_org_pause: /* an operator must be able to stop the bleeding */
    case PROTO_CMD_org_resume:
    case PROTO_CMD_key_revoke:
    case PROTO_CMD_key_rotate:
    case PROTO_CMD_team_delete:
    case PROTO_CMD_budget_delete:
    case PROTO_CMD_cluster_transfer:
    case PROTO_CMD_cluster_add: /* a node with a bigger disk is the cure */
    case PROTO_CMD_cluster_remove:
    case PROTO_CMD_feature_level:
        return false;
    default:
        return true;
    }
}
