/* SPDX-License-Identifier: Apache-2.0
 * A node's own configuration file (node-N.conf) and the cluster.conf that it names. Read once, at
 * start, by the main thread; afterwards read-only.
 *
 *   [node]    id = 1                     which [node N] of cluster.conf this is
 *             cluster = cluster.conf     relative paths: to this file
 *             data = DIR
 *             peer_listen, client_listen = HOST:PORT   where they differ from cluster.conf's
 *             metrics = HOST:PORT        figures for Prometheus; none: they are not served
 *   [tls]     peer_ca, peer_cert, client_ca, client_cert   PEM; a cert file holds its key too
 *   [raft]    election_timeout_ms = 500  heartbeat_ms = 100
 *   [limits]  in_flight = 128            requests of edges and tools taken at once
 *             cache_records = 8000000    records kept in memory, 240 bytes each on average
 *             checkpoint_ms = 1000       time between checkpoints
 *             checkpoint_records = 65536 changed records that bring one early
 *             clock_bound_ms = 500       a leader further from the median of clocks hands over
 *             segment_mb = 1024          size of a log segment
 *   [log]     archive = DIR              sealed segments are copied there, compressed
 *             keep_mb, keep_hours = 0    a sealed segment is trimmed when the log is larger, or it
 *                                        is older; 0: no such rule
 *             trim_unarchived = false    trim without an archive
 *             disk_free_mb = 512         with less free where the data lie nothing new is taken,
 *             disk_free_percent = 1      or with less than this share: the larger of both counts
 */
#ifndef HOLDFAST_LEDGER_CONFIG_H
#define HOLDFAST_LEDGER_CONFIG_H

#include "proto/link/cluster_conf.h"

struct node_config {
    uint32_t id;
    struct cluster_conf cluster;
    const struct cluster_node *self; /* in cluster */
    char *data;
    char *peer_ca, *peer_cert, *client_ca, *client_cert;
    char peer_listen[PROTO_NAME_MAX + 1];
    char client_listen[PROTO_NAME_MAX + 1];
    char metrics_host[PROTO_NAME_MAX + 1]; /* "": no metrics are served */
    uint16_t metrics_port;
    unsigned election_timeout_ms, heartbeat_ms;
    unsigned in_flight;
    uint64_t cache_records;
    unsigned checkpoint_ms;
    uint64_t checkpoint_records;
    unsigned clock_bound_ms;
    uint64_t segment_bytes;
    char *archive;               /* NULL: the log is not archived */
    uint64_t keep_bytes, keep_s; /* 0: no such rule */
    bool trim_unarchived;
    uint64_t disk_free_bytes;
    unsigned disk_free_percent;
};

/* Closed even after a failure. */
__attribute__((warn_unused_result)) int node_config_load(struct node_config *out, const char *path,
                                                         char error[BASE_CONF_ERROR]);
void node_config_close(struct node_config *c);

#endif
