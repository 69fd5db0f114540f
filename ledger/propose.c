/* SPDX-License-Identifier: Apache-2.0
 * What a leader turns into log entries: the genesis, batches of commands, and empty batches that
 * let holds expire and queries be answered. Nothing is proposed before an entry of the own term is
 * committed (then a majority has been heard) and while our clock is outside its bound: every entry
 * carries our stamp.
 */
#include "ledger/node_state.h"

#include "proto/base/log.h"

#include <errno.h>
#include <stdlib.h>

/* ---- the clock guard ---- */

/* By what is known now; *offset_us is ours from the median. */
static bool clock_is_out(const struct node *n, int64_t *offset_us)
{
    struct pump_peer peers[PUMP_SERVERS_MAX];
    unsigned k = pump_peers(n->pump, peers);
    int64_t bound = (int64_t)n->config->clock_bound_ms * 1000;
    *offset_us = 0;
    return node_clock_offset(peers, k, n->now, offset_us) && llabs(*offset_us) > bound;
}

void node_clock_guard(struct node *n)
{
    int64_t offset, bound = (int64_t)n->config->clock_bound_ms * 1000;
    bool out = clock_is_out(n, &offset);
    n->clock_ms = n->now.mono_ms + NODE_CLOCK_EVERY_MS;
    if (out != n->clock_out)
        base_log(out ? BASE_LOG_ERROR : BASE_LOG_INFO,
                 out ? "clock is outside the bound" : "clock is inside the bound again",
                 BASE_I("offset_us", offset), BASE_I("bound_us", bound), NULL);
    n->clock_out = out;
    if (out && n->role == PUMP_LEADER) {
        int rv = pump_transfer(n->pump, n->now, 0);
        base_log(BASE_LOG_WARN, "leadership is handed over", BASE_I("result", rv), NULL);
    }
}

/* Once a term: a majority, ourselves among it, has answered since we lead. */
static bool clocks_known(struct node *n)
{
    struct pump_peer peers[PUMP_SERVERS_MAX];
    unsigned voters = 1, heard = 1;
    if (n->clock_term == n->term)
        return true;
    unsigned k = pump_peers(n->pump, peers);
    for (unsigned i = 0; i < k; i++) {
        voters += peers[i].voter;
        heard += peers[i].voter && peers[i].heard_ms >= n->leader_ms && peers[i].heard_ms > 0;
    }
    if (heard <= voters / 2)
        return false;
    n->clock_term = n->term;
    node_clock_guard(n);
    return true;
}

/* ---- entries ---- */

static struct proto_batch_header header_of(const struct node *n)
{
    struct core_position at;
    core_machine_position(n->machine, &at);
    struct proto_batch_header h = {
        .format = PROTO_LOG_FORMAT, .machine = PROTO_MACHINE_VERSION, .stamp_us = n->now.wall_us};
    if (at.index > 0 && core_machine_chain_at(n->machine, at.index, &h.check_chain))
        h.check_index = at.index;
    return h;
}

/* true: it is under way. */
static bool submit(struct node *n, const void *payload, size_t len, uint64_t *index, uint64_t *term)
{
    int rv = pump_submit(n->pump, n->now, payload, len, index, term);
    if (rv == 0)
        return true;
    if (rv != PUMP_NOT_LEADER && rv != -EBUSY) /* being handed over, or enough under way */
        node_pump_result(n, rv);
    return false;
}

/* Holds are due by our clock, and no entry is on its way that would expire them. */
static bool tick_due(const struct node *n)
{
    return n->intake.flights == 0 && core_machine_next_expiry(n->machine) <= n->now.wall_us;
}

static bool propose_batch(struct node *n)
{
    const struct proto_batch_header h = header_of(n);
    uint64_t index, term;
    size_t len = intake_fill(&n->intake, &h, n->now.wall_us);
    if (n->intake.filling.n == 0 && !reads_want_entry(&n->reads) && !tick_due(n))
        return true; /* all that waited was past its deadline */
    if (!submit(n, n->intake.payload, len, &index, &term)) {
        intake_put_back(&n->intake);
        return false;
    }
    intake_fly(&n->intake, index, term);
    reads_ride(&n->reads, index, term);
    return true;
}

/* RFC 9562, section 5.7. */
static void make_id(struct node *n, struct proto_uuid *out)
{
    uint64_t ms = (uint64_t)n->now.wall_us / 1000;
    n->io.random(n->io.ctx, out->b, sizeof out->b);
    for (unsigned i = 0; i < 6; i++)
        out->b[i] = (uint8_t)(ms >> (8 * (5 - i)));
    out->b[6] = (uint8_t)((out->b[6] & 0x0f) | 0x70);
    out->b[8] = (uint8_t)((out->b[8] & 0x3f) | 0x80);
}

static void propose_genesis(struct node *n)
{
    const struct cluster_conf *cluster = &n->config->cluster;
    uint8_t command[PROTO_BATCH_HEADER_MAX + 256], batch[sizeof command + 256];
    uint64_t index, term;
    struct proto_command c = {.head = {.kind = PROTO_CMD_genesis}};
    if (n->genesis_term == n->term || pump_applied_index(n->pump) < pump_last_index(n->pump))
        return; /* it is under way, or may stand in what is not applied yet */
    make_id(n, &c.head.id);
    c.body.genesis = (struct proto_genesis){.cluster = cluster->uuid,
                                            .group = cluster->group,
                                            .machine = PROTO_MACHINE_VERSION,
                                            .seed = cluster->seed,
                                            .operator_hash = cluster->operator_hash};
    struct proto_writer w = proto_writer_over(command, sizeof command);
    struct proto_writer b = proto_writer_over(batch, sizeof batch);
    const struct proto_batch_header h = header_of(n);
    bool ok = proto_command_put(&w, &c);
    proto_batch_begin(&b, &h, 1);
    proto_batch_add(&b, command, w.n);
    if (!ok || b.full) {
        (void)node_fail(n, NODE_EXIT_FATAL, "genesis", "it cannot be encoded");
        return;
    }
    if (!submit(n, batch, b.n, &index, &term))
        return;
    n->genesis_term = n->term;
    intake_fly_bare(&n->intake, index, term);
    base_log(BASE_LOG_INFO, "genesis proposed", BASE_I("index", index), NULL);
}

uint64_t node_tick_ms(const struct node *n)
{
    if (n->role != PUMP_LEADER || n->intake.flights > 0)
        return UINT64_MAX;
    int64_t at = core_machine_next_expiry(n->machine);
    if (at == INT64_MAX)
        return UINT64_MAX;
    if (at <= n->now.wall_us) /* it could not be proposed just now: node_propose says why */
        return n->now.mono_ms + NODE_TICK_RETRY_MS;
    return n->now.mono_ms + (uint64_t)(at - n->now.wall_us) / 1000 + 1;
}

void node_propose(struct node *n)
{
    int64_t offset;
    if (n->failed || n->role != PUMP_LEADER || !node_may_decide(n) || node_is_leaving(n) ||
        !clocks_known(n))
        return;
    /* Every time: our clock may have been set a moment ago, or a third one just been heard. */
    if (clock_is_out(n, &offset)) {
        if (!n->clock_out)
            node_clock_guard(n);
        return;
    }
    if (!core_machine_initialised(n->machine)) {
        propose_genesis(n);
        return;
    }
    while (!n->failed && intake_may_fly(&n->intake) &&
           (intake_waiting(&n->intake) > 0 || reads_want_entry(&n->reads) || tick_due(n)))
        if (!propose_batch(n))
            return;
}
