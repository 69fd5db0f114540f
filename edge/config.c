/* SPDX-License-Identifier: Apache-2.0
 * [edge], [tls] and [ledger], and the walk over the file; providers and routes are in
 * upstream/config_provider.c.
 */
#include "edge/config.h"

#include "edge/config_sections.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool prefix_is_valid(const char *prefix)
{
    size_t n = strlen(prefix);
    if (n == 0 || n > EDGE_PREFIX_MAX)
        return false;
    for (const char *p = prefix; *p != '\0'; p++)
        if (!((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '-'))
            return false;
    return true;
}

static int read_edge(struct base_conf *conf, struct edge_config *c, char *error)
{
    snprintf(c->host, sizeof c->host, "127.0.0.1");
    c->port = 8443;
    snprintf(c->prefix, sizeof c->prefix, "x-holdfast");
    c->settle_wait_ms = 5000;
    c->drain_timeout_ms = 30000;
    c->default_max_output = 4096;
    c->max_body = 8 << 20;
    const char *prefix = base_conf_get(conf, "edge", "header_prefix");
    if (prefix != NULL) {
        if (!prefix_is_valid(prefix))
            return base_conf_fail(conf, "edge", "header_prefix", error,
                                  "expected 1 to %d characters a-z, 0-9 and '-'", EDGE_PREFIX_MAX);
        snprintf(c->prefix, sizeof c->prefix, "%s", prefix);
    }
    int rc = 0;
    if (base_conf_get(conf, "edge", "listen") != NULL)
        rc = base_conf_address(conf, "edge", "listen", c->host, sizeof c->host, &c->port, error);
    if (rc == 0)
        rc = base_conf_int(conf, "edge", "workers", 0, EDGE_WORKERS_MAX, &c->workers, error);
    if (rc == 0)
        rc = base_conf_int(conf, "edge", "settle_wait_ms", 1, 600000, &c->settle_wait_ms, error);
    if (rc == 0)
        rc = base_conf_int(conf, "edge", "drain_timeout_ms", 0, 3600000, &c->drain_timeout_ms,
                           error);
    if (rc == 0)
        rc = base_conf_int(conf, "edge", "default_max_output", 1, 10000000, &c->default_max_output,
                           error);
    if (rc == 0)
        rc = base_conf_int(conf, "edge", "max_body", 1024, 1 << 30, &c->max_body, error);
    if (rc == 0 && base_conf_get(conf, "edge", "metrics") != NULL)
        rc = base_conf_address(conf, "edge", "metrics", c->metrics_host, sizeof c->metrics_host,
                               &c->metrics_port, error);
    if (rc == 0)
        rc = base_conf_bool(conf, "edge", "share_port", &c->share_port, error);
    if (rc == 0)
        rc = base_conf_bool(conf, "edge", "debug_log", &c->debug_log, error);
    return rc;
}

static int read_tls(struct base_conf *conf, struct edge_config *c, char *error)
{
    int rc = base_conf_path_of(conf, "tls", "cert", false, &c->tls_cert, error);
    if (rc == 0)
        rc = base_conf_path_of(conf, "tls", "key", false, &c->tls_key, error);
    if (rc == 0 && (c->tls_cert == NULL) != (c->tls_key == NULL))
        rc = base_conf_fail(conf, "tls", c->tls_cert != NULL ? "cert" : "key", error,
                            "TLS needs both cert and key");
    return rc;
}

static int read_ledger(struct base_conf *conf, struct edge_config *c, char *error)
{
    int64_t in_flight = 8;
    int64_t request_timeout_ms = 2000;
    c->reserve_timeout_ms = 5000;
    int rc = ledger_conf_read(&c->ledger, conf, error);
    if (rc == 0)
        rc = base_conf_int(conf, "ledger", "in_flight", 1, LINK_IN_FLIGHT_MAX, &in_flight, error);
    if (rc == 0)
        rc = base_conf_int(conf, "ledger", "request_timeout_ms", 10, 60000, &request_timeout_ms,
                           error);
    if (rc == 0)
        rc = base_conf_int(conf, "ledger", "reserve_timeout_ms", 10, 60000, &c->reserve_timeout_ms,
                           error);
    if (rc < 0)
        return rc;
    ledger_conf_link(&c->ledger, &c->link);
    c->link.in_flight = (unsigned)in_flight;
    c->link.request_timeout_ms = (unsigned)request_timeout_ms;
    return 0;
}

static int read_all(struct base_conf *conf, struct edge_config *c, char *error)
{
    int rc = read_edge(conf, c, error);
    if (rc == 0)
        rc = read_tls(conf, c, error);
    if (rc == 0)
        rc = read_ledger(conf, c, error);
    if (rc == 0)
        rc = edge_config_providers(conf, c, error);
    if (rc == 0)
        rc = edge_config_routes(conf, c, error);
    if (rc == 0)
        rc = base_conf_done(conf, error);
    return rc;
}

int edge_config_load(struct edge_config **out, const char *path, char error[BASE_CONF_ERROR])
{
    struct base_conf *conf;
    int rc = base_conf_load(&conf, path, error);
    if (rc < 0)
        return rc;
    struct edge_config *c = calloc(1, sizeof *c);
    if (c != NULL)
        c->routes = calloc(EDGE_ROUTES_MAX, sizeof *c->routes);
    if (c == NULL || c->routes == NULL) {
        snprintf(error, BASE_CONF_ERROR, "%s: out of memory", path);
        rc = -ENOMEM;
    } else {
        rc = read_all(conf, c, error);
    }
    base_conf_free(conf);
    if (rc < 0) {
        edge_config_free(c);
        return rc;
    }
    *out = c;
    return 0;
}

void edge_config_free(struct edge_config *c)
{
    if (c == NULL)
        return;
    for (unsigned i = 0; i < c->n_providers; i++)
        edge_config_provider_close(&c->providers[i]);
    free(c->routes);
    free(c->tls_cert);
    free(c->tls_key);
    ledger_conf_close(&c->ledger);
    free(c);
}

static int by_model(const void *model, const void *route)
{
    return strcmp(model, ((const struct edge_route *)route)->model);
}

const struct edge_route *edge_config_route(const struct edge_config *config, const char *model)
{
    const struct edge_route *route =
        bsearch(model, config->routes, config->n_routes, sizeof *config->routes, by_model);
    return route != NULL ? route : config->any_route;
}
