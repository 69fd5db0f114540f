/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static int read_number(struct base_conf *f, const char *section, const char *key, int64_t min,
                       int64_t max, int64_t def, int64_t *out, char error[BASE_CONF_ERROR])
{
    *out = def;
    return base_conf_int(f, section, key, min, max, out, error);
}

static int read_unsigned(struct base_conf *f, const char *section, const char *key, unsigned min,
                         unsigned max, unsigned def, unsigned *out, char error[BASE_CONF_ERROR])
{
    int64_t v;
    int rv = read_number(f, section, key, min, max, def, &v, error);
    *out = (unsigned)v;
    return rv;
}

static int read_listen(struct base_conf *f, const char *key, const char *def,
                       char out[PROTO_NAME_MAX + 1], char error[BASE_CONF_ERROR])
{
    char host[PROTO_NAME_MAX + 1];
    uint16_t port;
    const char *text = base_conf_get(f, "node", key);
    if (!text)
        text = def;
    else if (base_conf_address(f, "node", key, host, sizeof host, &port, error) != 0)
        return -EINVAL;
    if (snprintf(out, PROTO_NAME_MAX + 1, "%s", text) > PROTO_NAME_MAX)
        return base_conf_fail(f, "node", key, error, "longer than %d bytes", PROTO_NAME_MAX);
    return 0;
}

static int read_node(struct base_conf *f, struct node_config *c, char error[BASE_CONF_ERROR])
{
    char *path = NULL;
    int64_t id;
    const char *text;
    int rv = base_conf_need(f, "node", "id", &text, error);
    if (rv == 0)
        rv = read_number(f, "node", "id", 1, 999999999, 0, &id, error);
    if (rv == 0)
        rv = base_conf_path_of(f, "node", "cluster", true, &path, error);
    if (rv == 0)
        rv = cluster_conf_load(&c->cluster, path, error);
    free(path);
    if (rv != 0)
        return rv;
    c->id = (uint32_t)id;
    c->self = cluster_conf_node(&c->cluster, c->id);
    if (!c->self)
        return base_conf_fail(f, "node", "id", error, "no [node %u] in the cluster's file", c->id);
    if ((rv = base_conf_path_of(f, "node", "data", true, &c->data, error)) != 0 ||
        (rv = read_listen(f, "peer_listen", c->self->peer, c->peer_listen, error)) != 0)
        return rv;
    rv = read_listen(f, "client_listen", c->self->client, c->client_listen, error);
    if (rv == 0 && base_conf_get(f, "node", "metrics"))
        rv = base_conf_address(f, "node", "metrics", c->metrics_host, sizeof c->metrics_host,
                               &c->metrics_port, error);
    return rv;
}

static int read_tls(struct base_conf *f, struct node_config *c, char error[BASE_CONF_ERROR])
{
    const struct {
        const char *key;
        char **out;
    } files[] = {{"peer_ca", &c->peer_ca},
                 {"peer_cert", &c->peer_cert},
                 {"client_ca", &c->client_ca},
                 {"client_cert", &c->client_cert}};
    for (unsigned i = 0; i < sizeof files / sizeof files[0]; i++) {
        int rv = base_conf_path_of(f, "tls", files[i].key, true, files[i].out, error);
        if (rv != 0)
            return rv;
    }
    return 0;
}

static int read_limits(struct base_conf *f, struct node_config *c, char error[BASE_CONF_ERROR])
{
    int64_t records, changed, segment, room;
    int rv;
    if ((rv = read_unsigned(f, "raft", "election_timeout_ms", 50, 60000, 500,
                            &c->election_timeout_ms, error)) != 0 ||
        (rv = read_unsigned(f, "raft", "heartbeat_ms", 10, 10000, 100, &c->heartbeat_ms, error)) !=
            0 ||
        (rv = read_unsigned(f, "limits", "in_flight", 8, 4096, 128, &c->in_flight, error)) != 0 ||
        (rv = read_unsigned(f, "limits", "checkpoint_ms", 10, 3600000, 1000, &c->checkpoint_ms,
                            error)) != 0 ||
        (rv = read_unsigned(f, "limits", "clock_bound_ms", 10, 3600000, 500, &c->clock_bound_ms,
                            error)) != 0 ||
        (rv = read_number(f, "limits", "cache_records", 1000, INT64_C(1000000000), 8000000,
                          &records, error)) != 0 ||
        (rv = read_number(f, "limits", "checkpoint_records", 100, 10000000, 65536, &changed,
                          error)) != 0 ||
        (rv = read_number(f, "limits", "segment_mb", 1, 65536, 1024, &segment, error)) != 0 ||
        (rv = read_number(f, "limits", "disk_free_mb", 0, INT64_C(1) << 24, 512, &room, error)) !=
            0 ||
        (rv = read_unsigned(f, "limits", "disk_free_percent", 0, 90, 1, &c->disk_free_percent,
                            error)) != 0)
        return rv;
    if (c->heartbeat_ms * 2 > c->election_timeout_ms)
        return base_conf_fail(f, "raft", "heartbeat_ms", error,
                              "at most half of election_timeout_ms (%u) expected",
                              c->election_timeout_ms);
    c->cache_records = (uint64_t)records;
    c->checkpoint_records = (uint64_t)changed;
    c->segment_bytes = (uint64_t)segment << 20;
    c->disk_free_bytes = (uint64_t)room << 20;
    return 0;
}

static int read_retention(struct base_conf *f, struct node_config *c, char error[BASE_CONF_ERROR])
{
    int64_t mb, hours;
    int rv;
    if ((rv = base_conf_path_of(f, "log", "archive", false, &c->archive, error)) != 0 ||
        (rv = read_number(f, "log", "keep_mb", 0, INT64_C(1) << 40, 0, &mb, error)) != 0 ||
        (rv = read_number(f, "log", "keep_hours", 0, 1000000, 0, &hours, error)) != 0 ||
        (rv = base_conf_bool(f, "log", "trim_unarchived", &c->trim_unarchived, error)) != 0)
        return rv;
    c->keep_bytes = (uint64_t)mb << 20;
    c->keep_s = (uint64_t)hours * 3600;
    if ((c->keep_bytes > 0 || c->keep_s > 0) && !c->archive && !c->trim_unarchived)
        return base_conf_fail(
            f, "log", c->keep_bytes > 0 ? "keep_mb" : "keep_hours", error,
            "nothing is trimmed without archive = DIR (or trim_unarchived = true)");
    return 0;
}

int node_config_load(struct node_config *out, const char *path, char error[BASE_CONF_ERROR])
{
    struct base_conf *f;
    *out = (struct node_config){0};
    int rv = base_conf_load(&f, path, error);
    if (rv != 0)
        return rv;
    rv = read_node(f, out, error);
    if (rv == 0)
        rv = read_tls(f, out, error);
    if (rv == 0)
        rv = read_limits(f, out, error);
    if (rv == 0)
        rv = read_retention(f, out, error);
    if (rv == 0)
        rv = base_conf_done(f, error);
    base_conf_free(f);
    return rv;
}

void node_config_close(struct node_config *c)
{
    char **const texts[] = {&c->data,      &c->peer_ca,     &c->peer_cert,
                            &c->client_ca, &c->client_cert, &c->archive};
    for (unsigned i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        free(*texts[i]);
        *texts[i] = NULL;
    }
}
