/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/metrics.h"

#include "ledger/store/log_store.h"
#include "proto/metrics/port.h"
#include "proto/metrics/process.h"
#include "proto/net/tls.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <time.h>

#ifndef HOLDFAST_VERSION
#error "the build names the version"
#endif

struct peer_figures {
    uint64_t id, match, heard_ms, stuck_ms;
    int64_t clock_us, clock_here_us;
};

struct figures {
    bool published;
    uint64_t mono_ms; /* of the publication */
    enum pump_role role;
    bool stopping, diverged, room_short, clock_out;
    uint64_t term, leader, last, commit, applied, checkpoint, checkpoint_ms;
    int64_t clock_us, drift;
    uint32_t open_holds, level;
    unsigned waiting, peers;
    uint64_t answered, changed, cached;
    struct pump_stats pump;
    struct counters counters;
    uint64_t strangers;
    struct peer_figures peer[PUMP_SERVERS_MAX];
};

struct node_metrics {
    const struct node_config *config;
    struct log_store *log;
    struct metrics_port *port;
    int64_t peer_ends_s, client_ends_s; /* of our certificates, as they were at the start */
    uint64_t next_ms;                   /* the loop's */
    pthread_mutex_t mutex;
    struct figures figures;
};

/* ---- the loop ---- */

static void take_peers(const struct node *n, struct figures *f)
{
    struct pump_peer peers[PUMP_SERVERS_MAX];
    f->peers = pump_peers(n->pump, peers);
    for (unsigned i = 0; i < f->peers; i++)
        f->peer[i] = (struct peer_figures){
            .id = peers[i].id,
            .match = peers[i].match,
            .heard_ms = peers[i].heard_ms,
            .stuck_ms = progress_stuck_ms(&n->progress, peers[i].id, n->now.mono_ms),
            .clock_us = peers[i].clock_us,
            .clock_here_us = peers[i].clock_here_us};
}

static void take(const struct node *n, struct figures *f)
{
    struct core_position at;
    core_machine_position(n->machine, &at);
    *f = (struct figures){.published = true,
                          .role = n->role,
                          .stopping = n->stopping,
                          .diverged = n->quarantined,
                          .room_short = n->room.is_short,
                          .clock_out = n->clock_out,
                          .term = n->term,
                          .leader = n->leader,
                          .last = pump_last_index(n->pump),
                          .commit = pump_commit_index(n->pump),
                          .applied = at.index,
                          .clock_us = at.clock_us,
                          .checkpoint = n->checkpoint.index,
                          .checkpoint_ms = n->checkpoint.last_ms,
                          .drift = core_machine_drift(n->machine) + n->drift.figure,
                          .open_holds = core_machine_open_holds(n->machine),
                          .level = core_machine_level(n->machine),
                          .waiting = intake_waiting(&n->intake),
                          .answered = n->intake.commands,
                          .changed = core_machine_changed(n->machine),
                          .cached = core_machine_records(n->machine),
                          .counters = n->counters,
                          .strangers = n->strangers.refused};
    pump_stats(n->pump, &f->pump);
    take_peers(n, f);
}

void node_metrics_publish(struct node_metrics *m, const struct node *n, uint64_t mono_ms)
{
    struct figures f;
    if (m == NULL || mono_ms < m->next_ms)
        return;
    m->next_ms = mono_ms + NODE_METRICS_EVERY_MS;
    take(n, &f);
    f.mono_ms = mono_ms;
    pthread_mutex_lock(&m->mutex);
    m->figures = f;
    pthread_mutex_unlock(&m->mutex);
}

/* ---- the port's thread ---- */

static void put_consensus(struct metrics_text *t, const struct figures *f)
{
    static const char name[] = "holdfast_ledger_role";
    static const char *const roles[] = {
        [PUMP_FOLLOWER] = "follower", [PUMP_CANDIDATE] = "candidate", [PUMP_LEADER] = "leader"};
    metrics_family(t, name, METRICS_GAUGE, "1 for the role that this node has, 0 for the others.");
    for (unsigned i = 0; i < sizeof roles / sizeof *roles; i++) {
        const struct metrics_label labels[] = {{"role", roles[i]}, {NULL, NULL}};
        metrics_sample(t, name, labels, (unsigned)f->role == i);
    }
    metrics_one(t, "holdfast_ledger_term", METRICS_GAUGE, "Raft's current term.", (int64_t)f->term);
    metrics_one(t, "holdfast_ledger_leader", METRICS_GAUGE, "Id of the leader; 0: none is known.",
                (int64_t)f->leader);
    metrics_one(t, "holdfast_ledger_last_index", METRICS_GAUGE, "Last entry of this node's log.",
                (int64_t)f->last);
    metrics_one(t, "holdfast_ledger_commit_index", METRICS_GAUGE,
                "Last entry known to be on a majority's disks.", (int64_t)f->commit);
    metrics_one(t, "holdfast_ledger_applied_index", METRICS_GAUGE,
                "Last entry that is in this node's state.", (int64_t)f->applied);
    metrics_one(t, "holdfast_ledger_feature_level", METRICS_GAUGE, "Feature level in force.",
                f->level);
    metrics_one(t, "holdfast_ledger_stopping", METRICS_GAUGE, "1 while the node is being stopped.",
                f->stopping);
    metrics_one(t, "holdfast_ledger_diverged", METRICS_GAUGE,
                "1: its state differs from the other nodes': it takes part in nothing.",
                f->diverged);
    metrics_one(t, "holdfast_ledger_room_short", METRICS_GAUGE,
                "1: the disk of the data directory is nearly full.", f->room_short);
    metrics_one(t, "holdfast_ledger_clock_out_of_bound", METRICS_GAUGE,
                "1: as leader its clock was too far from the median of clocks.", f->clock_out);
}

/* As leader only: others know neither. */
static void put_peer_lags(struct metrics_text *t, const struct figures *f)
{
    static const char lag[] = "holdfast_ledger_peer_lag_entries";
    static const char stuck[] = "holdfast_ledger_peer_stuck_seconds";
    metrics_family(t, lag, METRICS_GAUGE,
                   "Entries of the leader's log that the node is not known to have; leader only.");
    for (unsigned i = 0; f->role == PUMP_LEADER && i < f->peers; i++) {
        char id[24];
        const struct metrics_label labels[] = {{"peer", id}, {NULL, NULL}};
        snprintf(id, sizeof id, "%llu", (unsigned long long)f->peer[i].id);
        metrics_sample(t, lag, labels,
                       f->last > f->peer[i].match ? (int64_t)(f->last - f->peer[i].match) : 0);
    }
    metrics_family(t, stuck, METRICS_GAUGE,
                   "Time in which the node lacked committed entries and got none; leader only.");
    for (unsigned i = 0; f->role == PUMP_LEADER && i < f->peers; i++) {
        char id[24];
        const struct metrics_label labels[] = {{"peer", id}, {NULL, NULL}};
        snprintf(id, sizeof id, "%llu", (unsigned long long)f->peer[i].id);
        metrics_sample_scaled(t, stuck, labels, (int64_t)f->peer[i].stuck_ms, 3);
    }
}

static void put_peers(struct metrics_text *t, const struct figures *f)
{
    static const char silence[] = "holdfast_ledger_peer_silence_seconds";
    static const char offset[] = "holdfast_ledger_peer_clock_offset_seconds";
    put_peer_lags(t, f);
    metrics_family(t, silence, METRICS_GAUGE,
                   "Time since the last message taken from the node; missing: none so far.");
    for (unsigned i = 0; i < f->peers; i++) {
        char id[24];
        const struct metrics_label labels[] = {{"peer", id}, {NULL, NULL}};
        const struct peer_figures *p = &f->peer[i];
        snprintf(id, sizeof id, "%llu", (unsigned long long)p->id);
        if (p->heard_ms != 0)
            metrics_sample_scaled(
                t, silence, labels,
                f->mono_ms > p->heard_ms ? (int64_t)(f->mono_ms - p->heard_ms) : 0, 3);
    }
    metrics_family(t, offset, METRICS_GAUGE,
                   "The node's clock less ours, as of its last message; missing: none so far.");
    for (unsigned i = 0; i < f->peers; i++) {
        char id[24];
        const struct metrics_label labels[] = {{"peer", id}, {NULL, NULL}};
        const struct peer_figures *p = &f->peer[i];
        snprintf(id, sizeof id, "%llu", (unsigned long long)p->id);
        if (p->heard_ms != 0)
            metrics_sample_scaled(t, offset, labels, p->clock_us - p->clock_here_us, 6);
    }
}

static void put_results(struct metrics_text *t, const struct counters *c)
{
    static const char name[] = "holdfast_ledger_results_total";
    metrics_family(t, name, METRICS_COUNTER, "Commands applied since the start, by result code.");
    for (unsigned i = 0; i < PROTO_CODE_COUNT; i++) {
        const struct metrics_label labels[] = {
            {"code", proto_code_type(i)}, {"name", proto_code_name(i)}, {NULL, NULL}};
        if (i == PROTO_OK || c->results[i] > 0)
            metrics_sample(t, name, labels, (int64_t)c->results[i]);
    }
}

static void put_holds(struct metrics_text *t, const struct counters *c)
{
    static const char name[] = "holdfast_ledger_holds_total";
    const struct {
        const char *event;
        uint64_t n;
    } rows[] = {{"reserved", c->reserved},         {"settled", c->settled},
                {"settled_late", c->settled_late}, {"settled_by_estimate", c->settled_estimated},
                {"released", c->released},         {"expired", c->expired}};
    metrics_family(t, name, METRICS_COUNTER,
                   "What became of holds since the start; settled_* are part of settled.");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct metrics_label labels[] = {{"event", rows[i].event}, {NULL, NULL}};
        metrics_sample(t, name, labels, (int64_t)rows[i].n);
    }
    metrics_one(t, "holdfast_ledger_overruns_total", METRICS_COUNTER,
                "Holds settled for more than they held, since the start.", (int64_t)c->overruns);
    metrics_one(t, "holdfast_ledger_duplicates_total", METRICS_COUNTER,
                "Commands answered with an earlier one's result, since the start.",
                (int64_t)c->duplicates);
    metrics_one(t, "holdfast_ledger_undecodable_total", METRICS_COUNTER,
                "Commands that could not be decoded, since the start.", (int64_t)c->undecodable);
    metrics_family(t, "holdfast_ledger_settled_dollars_total", METRICS_COUNTER,
                   "Cost and fees settled since the start.");
    metrics_sample_scaled(t, "holdfast_ledger_settled_dollars_total", NULL, c->settled_nanos, 9);
    metrics_family(t, "holdfast_ledger_written_off_dollars_total", METRICS_COUNTER,
                   "Provider cost that could not be collected, since the start.");
    metrics_sample_scaled(t, "holdfast_ledger_written_off_dollars_total", NULL,
                          c->written_off_nanos, 9);
}

static void put_state(struct metrics_text *t, const struct figures *f)
{
    metrics_one(t, "holdfast_ledger_open_holds", METRICS_GAUGE, "Holds that are open.",
                f->open_holds);
    metrics_family(t, "holdfast_ledger_drift_dollars", METRICS_GAUGE,
                   "Difference between balances and transactions; anything but 0 is a bug.");
    metrics_sample_scaled(t, "holdfast_ledger_drift_dollars", NULL, f->drift, 9);
    metrics_family(t, "holdfast_ledger_clock_seconds", METRICS_GAUGE,
                   "The replicated clock, in seconds since 1970.");
    metrics_sample_scaled(t, "holdfast_ledger_clock_seconds", NULL, f->clock_us, 6);
    metrics_one(t, "holdfast_ledger_commands_waiting", METRICS_GAUGE,
                "Commands that wait to become part of an entry.", f->waiting);
    metrics_one(t, "holdfast_ledger_commands_answered_total", METRICS_COUNTER,
                "Commands answered to edges and tools since the start.", (int64_t)f->answered);
    metrics_one(t, "holdfast_ledger_records_cached", METRICS_GAUGE, "Records kept in memory.",
                (int64_t)f->cached);
    metrics_one(t, "holdfast_ledger_records_changed", METRICS_GAUGE,
                "Records changed since the last checkpoint.", (int64_t)f->changed);
    metrics_one(t, "holdfast_ledger_checkpoint_index", METRICS_GAUGE,
                "Last entry of the last durable checkpoint.", (int64_t)f->checkpoint);
    metrics_family(t, "holdfast_ledger_checkpoint_age_seconds", METRICS_GAUGE,
                   "Time since the last checkpoint was begun, or since the start.");
    metrics_sample_scaled(
        t, "holdfast_ledger_checkpoint_age_seconds", NULL,
        f->mono_ms > f->checkpoint_ms ? (int64_t)(f->mono_ms - f->checkpoint_ms) : 0, 3);
    metrics_one(t, "holdfast_ledger_peer_messages_sent_total", METRICS_COUNTER,
                "Raft messages sent.", (int64_t)f->pump.sent);
    metrics_one(t, "holdfast_ledger_peer_messages_received_total", METRICS_COUNTER,
                "Raft messages taken.", (int64_t)f->pump.received);
    metrics_one(t, "holdfast_ledger_peer_messages_refused_total", METRICS_COUNTER,
                "Raft messages dropped: undecodable, or of another cluster.",
                (int64_t)(f->pump.bad_messages + f->pump.foreign_messages));
}

static void put_disk(struct metrics_text *t, const struct node_metrics *m)
{
    struct statvfs disk;
    metrics_one(t, "holdfast_ledger_log_bytes", METRICS_GAUGE, "Size of the log on disk.",
                (int64_t)log_store_bytes(m->log));
    if (statvfs(m->config->data, &disk) != 0)
        return;
    metrics_one(t, "holdfast_ledger_disk_free_bytes", METRICS_GAUGE,
                "Free space for this process on the disk of the data directory.",
                (int64_t)(disk.f_bavail * disk.f_frsize));
    metrics_one(t, "holdfast_ledger_disk_bytes", METRICS_GAUGE,
                "Size of the disk of the data directory.",
                (int64_t)(disk.f_blocks * disk.f_frsize));
}

static void put_certificates(struct metrics_text *t, const struct node_metrics *m)
{
    static const char name[] = "holdfast_ledger_certificate_remaining_seconds";
    static const struct metrics_label peer[] = {{"certificate", "peer"}, {NULL, NULL}};
    static const struct metrics_label client[] = {{"certificate", "client"}, {NULL, NULL}};
    int64_t now_s = (int64_t)time(NULL);
    metrics_family(t, name, METRICS_GAUGE, "How long this node's certificates are still good.");
    metrics_sample(t, name, peer, m->peer_ends_s - now_s);
    metrics_sample(t, name, client, m->client_ends_s - now_s);
}

static void write_figures(void *arg, struct metrics_text *t)
{
    struct node_metrics *m = arg;
    struct figures f;
    char id[16];
    const struct metrics_label labels[] = {{"node", id}, {NULL, NULL}};
    pthread_mutex_lock(&m->mutex);
    f = m->figures;
    pthread_mutex_unlock(&m->mutex);
    snprintf(id, sizeof id, "%u", (unsigned)m->config->id);
    metrics_family(t, "holdfast_ledger_node_info", METRICS_GAUGE, "Always 1; which node this is.");
    metrics_sample(t, "holdfast_ledger_node_info", labels, 1);
    if (f.published) {
        put_consensus(t, &f);
        put_peers(t, &f);
        put_results(t, &f.counters);
        metrics_family(t, "holdfast_ledger_strangers_refused_total", METRICS_COUNTER,
                       "Commands of nobody we know that this leader answered without an entry.");
        metrics_sample(t, "holdfast_ledger_strangers_refused_total", NULL, (int64_t)f.strangers);
        put_holds(t, &f.counters);
        put_state(t, &f);
    }
    put_disk(t, m);
    put_certificates(t, m);
    metrics_process(t, "ledger", HOLDFAST_VERSION);
}

/* ---- life ---- */

int node_metrics_open(struct node_metrics **out, const struct node_config *config,
                      struct log_store *log, char error[256])
{
    *out = NULL;
    if (config->metrics_host[0] == '\0')
        return 0;
    struct node_metrics *m = calloc(1, sizeof *m);
    if (m == NULL) {
        snprintf(error, 256, "out of memory");
        return -ENOMEM;
    }
    m->config = config;
    m->log = log;
    m->peer_ends_s = net_certificate_ends_s(config->peer_cert);
    m->client_ends_s = net_certificate_ends_s(config->client_cert);
    pthread_mutex_init(&m->mutex, NULL);
    int rv = metrics_port_new(&m->port, config->metrics_host, config->metrics_port, write_figures,
                              m, error);
    if (rv != 0) {
        node_metrics_close(m);
        return rv;
    }
    *out = m;
    return 0;
}

void node_metrics_close(struct node_metrics *m)
{
    if (m == NULL)
        return;
    metrics_port_free(m->port);
    pthread_mutex_destroy(&m->mutex);
    free(m);
}
