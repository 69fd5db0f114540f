/* SPDX-License-Identifier: Apache-2.0
 * The deciding part's life and its events: each goes to its owner; then the timers.
 */
#include "ledger/node_state.h"

#include "proto/base/log.h"

#include <errno.h>
#include <stdlib.h>

int node_fail(struct node *n, enum node_exit code, const char *what, const char *why)
{
    if (!n->failed) {
        n->failed = true;
        n->exit = code;
        base_log(BASE_LOG_ERROR, "the node ends", BASE_S("what", what), BASE_S("cause", why),
                 BASE_I("exit", code), NULL);
    }
    return -EIO;
}

void node_pump_result(struct node *n, int rv)
{
    if (rv == -ERESTART)
        (void)node_fail(n, NODE_EXIT_FATAL, "consensus",
                        "a membership change was taken back: the node has to start again");
    else if (rv != 0)
        (void)node_fail(n, NODE_EXIT_FATAL, "consensus", pump_error(n->pump));
    if (n->role_changed || n->intake.lost) {
        n->role_changed = false;
        node_drop_requests(n, PROTO_REPLY_not_leader);
    }
    node_judge(n);
}

/* ---- life ---- */

static int open_memory(struct node *n)
{
    const struct intake_calls calls = {
        .ctx = n, .on_complete = node_on_complete, .admit = node_admit};
    n->answer = malloc(PROTO_ANSWER_MAX);
    drift_init(&n->drift);
    if (!n->answer || intake_init(&n->intake, &calls) != 0)
        return node_fail(n, NODE_EXIT_FATAL, "start", "out of memory");
    return 0;
}

static int restore_open(void *ctx, const void *key, size_t klen, const void *value, size_t vlen)
{
    return core_machine_restore_open(ctx, key, klen, value, vlen);
}

static void on_transfer(void *ctx, const struct core_transfer *t)
{
    struct node *n = ctx;
    drift_on_transfer(&n->drift, t);
}

static const char *why_not_opened(int rv)
{
    return rv == -ENOMEM   ? "out of memory"
           : rv == -EPROTO ? "the feature level in force is above what this program knows: run a "
                             "newer version"
                           : "the records cannot be read: damaged, or written by another version "
                             "of this program";
}

static int open_machine(struct node *n, const struct state_meta *meta)
{
    const struct core_position at = {.index = meta->applied_index,
                                     .term = meta->applied_term,
                                     .clock_us = meta->clock_us,
                                     .chain = meta->chain};
    const struct core_config config = {.backing = {.ctx = n->io.ctx, .get = n->io.get},
                                       .observer = {.ctx = n,
                                                    .on_transfer = on_transfer,
                                                    .on_result = node_on_result,
                                                    .on_mismatch = node_on_mismatch},
                                       .cache_records = n->config->cache_records};
    size_t plen;
    const void *prefix = core_open_prefix(&plen);
    int rv = core_machine_new(&n->machine, &config, at.index ? &at : NULL);
    if (rv == 0 && at.index > 0)
        rv = n->io.scan(n->io.ctx, prefix, plen, NULL, 0, restore_open, n->machine);
    if (rv != 0)
        return node_fail(n, NODE_EXIT_DATA, "state",
                         n->machine ? core_machine_error(n->machine) : why_not_opened(rv));
    return 0;
}

static int open_pump(struct node *n, unsigned disable_guards)
{
    struct pump_config config = {.cluster = n->config->cluster.uuid,
                                 .group = n->config->cluster.group,
                                 .id = n->config->id,
                                 .address = n->config->self->peer,
                                 .election_timeout_ms = n->config->election_timeout_ms,
                                 .heartbeat_ms = n->config->heartbeat_ms,
                                 .max_inflight = INTAKE_FLIGHTS,
                                 .disable_guards = disable_guards};
    const struct pump_io io = node_pump_io(n);
    n->io.random(n->io.ctx, &config.seed, sizeof config.seed);
    n->pump = pump_new(&config, &io);
    return n->pump ? 0 : node_fail(n, NODE_EXIT_FATAL, "consensus", "cannot be started");
}

int node_open(struct node *n, const struct node_config *config, const struct node_io *io,
              const struct node_start *start)
{
    *n = (struct node){.config = config, .io = *io, .exit = NODE_EXIT_OK};
    n->trail = start->trail ? start->trail : NODE_TRAIL;
    const struct checkpoint_config checkpoint = {.every_ms = config->checkpoint_ms,
                                                 .changed_records = config->checkpoint_records,
                                                 .phase = config->id};
    if (open_memory(n) != 0 || open_machine(n, start->state) != 0)
        return -EIO;
    checkpoint_init(&n->checkpoint, &checkpoint, n->machine, &n->io, start->state->applied_index);
    return open_pump(n, start->disable_guards);
}

int node_start(struct node *n, struct pump_now now, const struct node_start *start)
{
    n->now = now;
    n->redial_ms = now.mono_ms + NODE_REDIAL_MS;
    if (n->io.room)
        node_room_timer(n);
    node_pump_result(n, pump_start(n->pump, now, start->log));
    return n->failed ? -EIO : 0;
}

void node_close(struct node *n)
{
    pump_free(n->pump);
    checkpoint_close(&n->checkpoint);
    core_machine_free(n->machine);
    drift_close(&n->drift);
    intake_close(&n->intake);
    free(n->answer);
}

/* ---- checkpoints ---- */

/* A state that others contradict is not written down. */
void node_start_checkpoint(struct node *n)
{
    if (!node_may_decide(n))
        return;
    int rv = checkpoint_start(&n->checkpoint, n->now.mono_ms, pump_applied_conf(n->pump));
    if (rv != 0)
        (void)node_fail(n, NODE_EXIT_FATAL, "checkpoint", core_machine_error(n->machine));
}

static void compare_drift(struct node *n)
{
    int64_t found;
    struct proto_uuid org;
    char text[PROTO_UUID_TEXT];
    if (drift_compare(&n->drift, n->machine, &found, &org) != 0) {
        (void)node_fail(n, NODE_EXIT_FATAL, "drift", core_machine_error(n->machine));
        return;
    }
    if (found != 0) {
        proto_uuid_print(&org, text);
        base_log(BASE_LOG_ERROR, "drift: balances and transactions differ", BASE_S("org", text),
                 BASE_I("nanos", found), NULL);
    }
}

void node_on_checkpoint(struct node *n, struct pump_now now, uint64_t index)
{
    n->now = now;
    if (checkpoint_done(&n->checkpoint, now.mono_ms, index) != 0) {
        (void)node_fail(n, NODE_EXIT_FATAL, "checkpoint", "the store cannot be read");
        return;
    }
    if (!n->stopping && !n->quarantined)
        node_pump_result(n, pump_marker(n->pump, n->now, index));
}

/* ---- events ---- */

void node_on_message(struct node *n, struct pump_now now, const void *bytes, size_t len)
{
    n->now = now;
    if (!n->quarantined)
        node_pump_result(n, pump_receive(n->pump, now, bytes, len));
}

/* A heartbeat, if the node is still there, comes first; then followers ask at different moments. */
void node_on_gone(struct node *n, struct pump_now now, uint64_t peer)
{
    uint32_t random;
    n->now = now;
    if (n->quarantined)
        return;
    n->io.random(n->io.ctx, &random, sizeof random);
    pump_suspect(n->pump, now, peer,
                 n->config->heartbeat_ms * 5 / 4 +
                     random % (n->config->election_timeout_ms / 4 + 1));
}

void node_on_persisted(struct node *n, struct pump_now now, uint64_t first, uint64_t last)
{
    n->now = now;
    if (!n->quarantined)
        node_pump_result(n, pump_persisted(n->pump, now, first, last));
}

void node_on_request(struct node *n, struct pump_now now, struct serve_request *r)
{
    n->now = now;
    node_take_request(n, r);
}

static bool is_alone(const struct node *n)
{
    struct pump_peer peers[PUMP_SERVERS_MAX];
    unsigned k = pump_peers(n->pump, peers), voters = 0;
    for (unsigned i = 0; i < k; i++)
        voters += peers[i].voter;
    return voters == 0;
}

void node_on_stop(struct node *n, struct pump_now now)
{
    n->now = now;
    if (n->stopping)
        return;
    base_log(BASE_LOG_INFO, "stopping", NULL);
    n->stopping = true;
    n->stop_by_ms = n->now.mono_ms + NODE_STOP_MS;
    if (n->role == PUMP_LEADER && !is_alone(n)) {
        node_transfer(n, 0);
        node_carry_out(n);
    }
}

bool node_may_end(const struct node *n)
{
    if (!n->stopping)
        return false;
    if (n->quarantined || n->now.mono_ms >= n->stop_by_ms)
        return true;
    if (!is_alone(n))
        return n->role != PUMP_LEADER;
    return n->intake.flights == 0 && intake_waiting(&n->intake) == 0;
}

/* ---- timers ---- */

/* Is the connection to this peer perhaps dead, although nobody has told us?
 * - A peer that we should hear is silent: after a partition TCP would take minutes to notice.
 *   (Followers do not talk with each other: all that one of them hears is its leader.)
 * - Its process is another one than at the last look: what stands may lead to the one before.
 * - We have been a candidate since the last look: nothing that we say seems to arrive. */
static bool is_suspect(const struct node *n, const struct pump_peer *peer)
{
    bool silent = n->now.mono_ms - peer->heard_ms > NODE_SILENT_MS;
    if (n->role == PUMP_CANDIDATE)
        return true;
    return silent && (n->role == PUMP_LEADER || peer->id == n->leader);
}

static void look_at_connections(struct node *n)
{
    struct pump_peer peers[PUMP_SERVERS_MAX];
    unsigned k = pump_peers(n->pump, peers);
    n->redial_ms = n->now.mono_ms + NODE_REDIAL_MS;
    for (unsigned i = 0; i < k; i++) {
        if (n->io.learn)
            n->io.learn(n->io.ctx, peers[i].id, peers[i].address);
        if (is_suspect(n, &peers[i]))
            n->io.redial(n->io.ctx, peers[i].id);
    }
}

void node_timers(struct node *n, struct pump_now now)
{
    n->now = now;
    if (n->quarantined)
        return;
    if (n->now.mono_ms >= pump_next_timeout(n->pump))
        node_pump_result(n, pump_tick(n->pump, n->now));
    if (!n->failed && n->now.mono_ms >= n->clock_ms)
        node_clock_guard(n);
    if (!n->failed && n->now.mono_ms >= n->redial_ms)
        look_at_connections(n);
    if (!n->failed && n->now.mono_ms >= n->room_ms)
        node_room_timer(n);
    if (!n->failed && n->now.mono_ms >= n->progress_ms)
        node_progress_timer(n);
    if (!n->failed)
        node_accord_timer(n);
    if (!n->failed)
        node_mend_denial(n);
    if (!n->failed)
        node_carry_out(n);
    if (!n->failed)
        node_members_timer(n);
    if (!n->failed && node_may_decide(n) && checkpoint_due(&n->checkpoint, n->now.mono_ms)) {
        compare_drift(n);
        node_start_checkpoint(n);
    }
}

uint64_t node_wait_ms(const struct node *n)
{
    uint64_t at = n->now.mono_ms + NODE_WAIT_MAX_MS;
    bool decides = node_may_decide(n); /* else some of it is put off, however due it is */
    const uint64_t due[] = {pump_next_timeout(n->pump),
                            decides ? checkpoint_due_ms(&n->checkpoint) : UINT64_MAX,
                            node_tick_ms(n),
                            n->clock_ms,
                            n->room_ms,
                            n->transfer_until_ms == 0 ? UINT64_MAX
                            : node_is_leaving(n)      ? n->transfer_calm_ms
                                                      : n->transfer_ms,
                            decides ? UINT64_MAX : n->note_ms,
                            n->stopping ? n->stop_by_ms : UINT64_MAX};
    if (n->quarantined)
        return NODE_WAIT_MAX_MS;
    for (unsigned i = 0; i < sizeof due / sizeof due[0]; i++)
        if (due[i] < at)
            at = due[i];
    return at > n->now.mono_ms ? at - n->now.mono_ms : 0;
}
