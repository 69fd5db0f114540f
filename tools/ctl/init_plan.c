/* SPDX-License-Identifier: Apache-2.0
 * From the command line of `holdfastctl init` to the plan of a cluster: hosts, ports, provider.
 */
#include "tools/ctl/init.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BASE_PORT = 7400 };

/* A value that is written into an INI file as it is. */
static int clean(struct ctl *c, const char *option, const char *text)
{
    size_t bad = text ? strcspn(text, ";#\"'\\ \t\r\n") : 0;
    if (text && (text[0] == '\0' || text[bad] != '\0' || strlen(text) > 250))
        return ctl_fail(c, CTL_USAGE, "usage", "--%s: no blanks, quotes, ';' or '#': '%s'", option,
                        text);
    return CTL_OK;
}

/* "a,b,c" into items, which point into `text`; -1: too many or an empty one. */
int init_split(char *text, const char *items[INIT_LIST_MAX])
{
    int n = 0;
    for (char *save = NULL, *s = strtok_r(text, ",", &save); s; s = strtok_r(NULL, ",", &save)) {
        if (n == INIT_LIST_MAX)
            return -1;
        items[n++] = s;
    }
    return n;
}

static int plan_hosts(struct ctl *c, const struct ctl_args *a, struct init_plan *p,
                      char text[INIT_LIST_TEXT])
{
    const char *host = ctl_arg(a, "host"), *list = ctl_arg(a, "node-hosts");
    const char *items[INIT_LIST_MAX];
    host = host ? host : "127.0.0.1";
    p->edge_host = ctl_given(a, "edge-host") ? ctl_arg(a, "edge-host") : host;
    for (unsigned i = 0; i < p->nodes; i++)
        p->node_host[i] = host;
    int rv = clean(c, "host", host);
    if (rv == CTL_OK)
        rv = clean(c, "edge-host", p->edge_host);
    if (rv == CTL_OK)
        rv = clean(c, "node-hosts", list);
    if (rv != CTL_OK || !list)
        return rv;
    snprintf(text, INIT_LIST_TEXT, "%s", list);
    if (init_split(text, items) != (int)p->nodes)
        return ctl_fail(c, CTL_USAGE, "usage", "--node-hosts: %u names, one a node", p->nodes);
    for (unsigned i = 0; i < p->nodes; i++)
        p->node_host[i] = items[i];
    return CTL_OK;
}

/* Below this, the kernel gives no port to outgoing connections: a port up there could be taken, or
 * connect to itself, while the node it belongs to is down. */
static unsigned ephemeral_low(void)
{
    unsigned low = 32768;
    FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
    char line[64];
    if (f && fgets(line, sizeof line, f))
        low = (unsigned)strtoul(line, NULL, 10);
    if (f)
        fclose(f);
    return low > 16384 && low <= 65535 ? low : 32768;
}

/* Ports of 127.0.0.1 that are free now; all are held until the last is found. */
static int free_ports(uint16_t *ports, unsigned n)
{
    enum { LOWEST = 10000 };
    int fd[INIT_PORTS_MAX], rv = 0;
    unsigned found = 0, span = ephemeral_low() - LOWEST;
    uint32_t at;
    link_random(&at, sizeof at);
    for (unsigned tries = 0; found < n && rv == 0; tries++, at++) {
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        ports[found] = (uint16_t)(LOWEST + at % span);
        a.sin_port = htons(ports[found]);
        fd[found] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd[found] < 0)
            rv = -errno;
        else if (bind(fd[found], (struct sockaddr *)&a, sizeof a) == 0)
            found++;
        else if (close(fd[found]) || tries == span)
            rv = -EADDRINUSE;
    }
    while (found-- > 0)
        close(fd[found]);
    return rv;
}

/* Peer and client port of each node in turn, then the edges'. */
static int plan_ports(struct ctl *c, const struct ctl_args *a, struct init_plan *p)
{
    uint16_t ports[INIT_PORTS_MAX];
    unsigned n = 2 * p->nodes + p->edges;
    int64_t base = BASE_PORT;
    const char *list = ctl_arg(a, "ports"), *items[INIT_LIST_MAX];
    char text[INIT_LIST_TEXT];
    bool apart = ctl_given(a, "node-hosts"); /* each node on its own machine: the same ports */
    if (list && ctl_given(a, "base-port"))
        return ctl_fail(c, CTL_USAGE, "usage", "--ports and --base-port exclude each other");
    int rv = ctl_number(c, a, "base-port", 1, 65535 - (int64_t)n, &base);
    if (rv != CTL_OK)
        return rv;
    for (unsigned i = 0; i < n; i++)
        ports[i] = (uint16_t)(base + (apart && i < 2 * p->nodes ? i % 2
                                      : apart                   ? 2 + i - 2 * p->nodes
                                                                : i));
    if (list && strcmp(list, "auto") == 0) {
        rv = free_ports(ports, n);
        if (rv)
            return ctl_fail(c, CTL_USAGE, "ports", "no free ports: %s", strerror(-rv));
    } else if (list) {
        snprintf(text, sizeof text, "%s", list);
        if (init_split(text, items) != (int)n)
            return ctl_fail(c, CTL_USAGE, "usage",
                            "--ports: %u numbers: peer and client of each node, then the edges", n);
        for (unsigned i = 0; i < n; i++) {
            char *end;
            long v = strtol(items[i], &end, 10);
            if (*end || v < 1 || v > 65535)
                return ctl_fail(c, CTL_USAGE, "usage", "--ports: no port: '%s'", items[i]);
            ports[i] = (uint16_t)v;
        }
    }
    for (unsigned i = 0; i < p->nodes; i++) {
        p->peer_port[i] = ports[2 * i];
        p->client_port[i] = ports[2 * i + 1];
    }
    memcpy(p->edge_port, ports + 2 * p->nodes, p->edges * sizeof *ports);
    return CTL_OK;
}

static int plan_provider(struct ctl *c, const struct ctl_args *a, struct init_plan *p)
{
    const char *url = ctl_arg(a, "provider-url"), *name = ctl_arg(a, "provider-name");
    p->provider = name ? name : "openai";
    p->provider_url = url ? url : "https://api.openai.com/v1";
    p->provider_key_env = ctl_arg(a, "provider-key-env");
    if (!url && !p->provider_key_env)
        p->provider_key_env = "OPENAI_API_KEY";
    p->trust_cost = ctl_given(a, "trust-cost");
    p->plain_http = ctl_given(a, "plain-http");
    int rv = clean(c, "provider-name", p->provider);
    if (rv == CTL_OK)
        rv = clean(c, "provider-url", p->provider_url);
    if (rv == CTL_OK)
        rv = clean(c, "provider-key-env", p->provider_key_env);
    if (rv == CTL_OK && strncmp(p->provider_url, "http://", 7) != 0 &&
        strncmp(p->provider_url, "https://", 8) != 0)
        rv = ctl_fail(c, CTL_USAGE, "usage", "--provider-url: http:// or https://, not '%s'",
                      p->provider_url);
    return rv;
}

int init_plan_read(struct ctl *c, const struct ctl_args *a, struct init_plan *p,
                   char hosts[INIT_LIST_TEXT])
{
    int64_t nodes = 3, edges = 2;
    p->out = ctl_arg(a, "out");
    p->data = ctl_given(a, "data") ? ctl_arg(a, "data") : "data";
    int rv = ctl_number(c, a, "nodes", 1, LINK_NODES_MAX, &nodes);
    if (rv == CTL_OK)
        rv = ctl_number(c, a, "edges", 0, INIT_EDGES_MAX, &edges);
    p->nodes = (unsigned)nodes;
    p->edges = (unsigned)edges;
    if (rv == CTL_OK)
        rv = clean(c, "data", p->data);
    if (rv == CTL_OK)
        rv = plan_hosts(c, a, p, hosts);
    if (rv == CTL_OK)
        rv = plan_ports(c, a, p);
    return rv == CTL_OK ? plan_provider(c, a, p) : rv;
}
