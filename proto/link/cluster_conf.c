/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/link/cluster_conf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static int need_hash(struct base_conf *f, const char *key, struct proto_hash *out,
                     char error[BASE_CONF_ERROR])
{
    const char *text;
    int rv = base_conf_need(f, "cluster", key, &text, error);
    if (rv != 0)
        return rv;
    if (!proto_hex_parse(proto_str_of(text), out->b, sizeof out->b) || proto_hash_none(out))
        return base_conf_fail(f, "cluster", key, error, "64 hex digits, not all zero, expected");
    return 0;
}

static int read_identity(struct base_conf *f, struct cluster_conf *c, char error[BASE_CONF_ERROR])
{
    const char *text;
    int64_t group = 0;
    int rv = base_conf_need(f, "cluster", "uuid", &text, error);
    if (rv != 0)
        return rv;
    if (!proto_uuid_parse(proto_str_of(text), &c->uuid) || proto_uuid_none(&c->uuid))
        return base_conf_fail(f, "cluster", "uuid", error, "a UUID expected");
    if ((rv = base_conf_int(f, "cluster", "group", 0, UINT16_MAX, &group, error)) != 0)
        return rv;
    c->group = (uint16_t)group;
    if ((rv = need_hash(f, "seed", &c->seed, error)) != 0)
        return rv;
    return need_hash(f, "operator_hash", &c->operator_hash, error);
}

static int read_address(struct base_conf *f, const char *section, const char *key,
                        char out[PROTO_NAME_MAX + 1], char error[BASE_CONF_ERROR])
{
    char host[PROTO_NAME_MAX + 1];
    uint16_t port;
    const char *text;
    int rv = base_conf_need(f, section, key, &text, error);
    if (rv == 0)
        rv = base_conf_address(f, section, key, host, sizeof host, &port, error);
    if (rv != 0)
        return rv;
    if (port == 0 || strlen(text) > PROTO_NAME_MAX)
        return base_conf_fail(f, section, key, error, "HOST:PORT with a fixed port expected");
    memcpy(out, text, strlen(text) + 1);
    return 0;
}

static int read_name(struct base_conf *f, const char *section, const char *key, uint32_t id,
                     const char *role, char out[PROTO_NAME_MAX + 1], char error[BASE_CONF_ERROR])
{
    const char *text = base_conf_get(f, section, key);
    int n = text ? snprintf(out, PROTO_NAME_MAX + 1, "%s", text)
                 : snprintf(out, PROTO_NAME_MAX + 1, "node-%u.%s.holdfast", (unsigned)id, role);
    if (n <= 0 || n > PROTO_NAME_MAX)
        return base_conf_fail(f, section, key, error, "a host name expected");
    return 0;
}

/* Decimal, > 0, without leading zeros; 0: not such a text. */
static uint32_t parse_id(const char *s)
{
    uint32_t id = 0;
    size_t n = strlen(s);
    if (n == 0 || n > 9 || s[0] == '0')
        return 0;
    for (; *s; s++) {
        if (*s < '0' || *s > '9')
            return 0;
        id = id * 10 + (uint32_t)(*s - '0');
    }
    return id;
}

static int read_node(struct base_conf *f, const char *section, const char *name,
                     struct cluster_conf *c, char error[BASE_CONF_ERROR])
{
    struct cluster_node n = {.id = parse_id(name)};
    int rv;
    if (n.id == 0 || cluster_conf_node(c, n.id))
        return base_conf_fail(f, section, "peer", error,
                              "the section's number must be positive and not used before");
    if (c->n_nodes == LINK_NODES_MAX)
        return base_conf_fail(f, section, "peer", error, "more than %d nodes", LINK_NODES_MAX);
    if ((rv = read_address(f, section, "peer", n.peer, error)) != 0 ||
        (rv = read_address(f, section, "client", n.client, error)) != 0 ||
        (rv = read_name(f, section, "peer_name", n.id, "peer", n.peer_name, error)) != 0 ||
        (rv = read_name(f, section, "client_name", n.id, "ledger", n.client_name, error)) != 0)
        return rv;
    unsigned at = c->n_nodes++;
    for (; at > 0 && c->nodes[at - 1].id > n.id; at--)
        c->nodes[at] = c->nodes[at - 1];
    c->nodes[at] = n;
    return 0;
}

static int read_file(struct base_conf *f, struct cluster_conf *c, char error[BASE_CONF_ERROR])
{
    const char *section;
    int rv = read_identity(f, c, error);
    for (unsigned i = 0; rv == 0 && (section = base_conf_section(f, i)) != NULL; i++) {
        const char *name = base_conf_name(section, "node");
        if (name)
            rv = read_node(f, section, name, c, error);
    }
    if (rv != 0)
        return rv;
    if (c->n_nodes == 0) {
        (void)snprintf(error, BASE_CONF_ERROR, "%s: no section [node 1]", base_conf_path(f));
        return -EINVAL;
    }
    return base_conf_done(f, error);
}

int cluster_conf_load(struct cluster_conf *out, const char *path, char error[BASE_CONF_ERROR])
{
    struct base_conf *f;
    struct cluster_conf c = {0};
    int rv = base_conf_load(&f, path, error);
    if (rv != 0)
        return rv;
    rv = read_file(f, &c, error);
    base_conf_free(f);
    if (rv == 0)
        *out = c;
    return rv;
}

const struct cluster_node *cluster_conf_node(const struct cluster_conf *c, uint32_t id)
{
    for (unsigned i = 0; i < c->n_nodes; i++)
        if (c->nodes[i].id == id)
            return &c->nodes[i];
    return NULL;
}

int ledger_conf_read(struct ledger_conf *out, struct base_conf *c, char error[BASE_CONF_ERROR])
{
    char *path = NULL;
    *out = (struct ledger_conf){0};
    int rv = base_conf_path_of(c, "ledger", "cluster", true, &path, error);
    if (rv == 0)
        rv = cluster_conf_load(&out->cluster, path, error);
    if (rv == 0)
        rv = base_conf_path_of(c, "ledger", "ca", true, &out->ca_file, error);
    if (rv == 0)
        rv = base_conf_path_of(c, "ledger", "cert", true, &out->cert_file, error);
    free(path);
    return rv;
}

void ledger_conf_close(struct ledger_conf *c)
{
    free(c->ca_file);
    free(c->cert_file);
    c->ca_file = c->cert_file = NULL;
}

void ledger_conf_link(const struct ledger_conf *c, struct link_config *out)
{
    out->cluster = c->cluster.uuid;
    out->group = c->cluster.group;
    out->n_nodes = c->cluster.n_nodes;
    out->ca_file = c->ca_file;
    out->cert_file = c->cert_file;
    for (unsigned i = 0; i < out->n_nodes; i++) {
        const struct cluster_node *from = &c->cluster.nodes[i];
        struct link_node *to = &out->nodes[i];
        to->id = from->id;
        memcpy(to->address, from->client, sizeof to->address);
        memcpy(to->server_name, from->client_name, sizeof to->server_name);
    }
}
