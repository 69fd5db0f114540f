/* SPDX-License-Identifier: Apache-2.0
 * [provider NAME] and [route MODEL] of the edge's configuration. Main thread, at start.
 */
#include "edge/config_sections.h"
#include "proto/money.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static bool key_is_clean(const char *key)
{
    for (const char *p = key; *p != '\0'; p++)
        if (*p <= ' ' || *p > '~')
            return false;
    return true;
}

/* The first line of a file. NULL: cannot be read, or longer than EDGE_API_KEY_MAX. */
static char *read_secret(const char *path)
{
    char *text = calloc(1, EDGE_API_KEY_MAX + 2);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t n = 0;
    ssize_t got = -1;
    if (fd >= 0 && text != NULL)
        while ((got = read(fd, text + n, EDGE_API_KEY_MAX + 1 - n)) > 0)
            n += (size_t)got;
    if (fd >= 0)
        close(fd);
    if (text == NULL || got < 0 || n > EDGE_API_KEY_MAX) {
        free(text);
        return NULL;
    }
    text[strcspn(text, "\r\n")] = '\0';
    return text;
}

static int read_api_key(struct base_conf *conf, const char *section, struct edge_provider *p,
                        char *error)
{
    const char *name = base_conf_get(conf, section, "api_key_env");
    char *file;
    int rc = base_conf_path_of(conf, section, "api_key_file", false, &file, error);
    if (rc < 0)
        return rc;
    bool used_file = file != NULL;
    const char *used = name != NULL ? "api_key_env" : "api_key_file";
    if (name != NULL && file != NULL) {
        free(file);
        return base_conf_fail(conf, section, used, error,
                              "give either api_key_env or api_key_file");
    }
    if (name != NULL) {
        const char *value = getenv(name);
        if (value == NULL)
            return base_conf_fail(conf, section, used, error, "%s is not in the environment", name);
        p->api_key = strdup(value);
    } else if (file != NULL) {
        errno = 0;
        p->api_key = read_secret(file);
        if (p->api_key == NULL)
            rc = base_conf_fail(conf, section, used, error, "%s: %s", file,
                                errno != 0 ? strerror(errno) : "too long for a key");
        free(file);
        if (rc < 0)
            return rc;
    } else {
        p->api_key = strdup("");
    }
    if (p->api_key == NULL)
        return -ENOMEM;
    if ((name != NULL || used_file) && p->api_key[0] == '\0')
        return base_conf_fail(conf, section, used, error, "the key is empty");
    if (!key_is_clean(p->api_key))
        return base_conf_fail(conf, section, used, error, "the key holds blanks or controls");
    return 0;
}

static int read_url(struct base_conf *conf, const char *section, struct edge_provider *p,
                    char *error)
{
    const char *url;
    int rc = base_conf_need(conf, section, "base_url", &url, error);
    if (rc < 0)
        return rc;
    const char *rest = strncmp(url, "https://", 8) == 0  ? url + 8
                       : strncmp(url, "http://", 7) == 0 ? url + 7
                                                         : NULL;
    if (rest == NULL || *rest == '\0' || *rest == '/' || strpbrk(rest, "@?# ") != NULL)
        return base_conf_fail(conf, section, "base_url", error,
                              "expected http(s)://HOST[:PORT][/PATH]");
    p->base_url = strdup(url);
    if (p->base_url == NULL)
        return -ENOMEM;
    for (size_t n = strlen(p->base_url); n > 0 && p->base_url[n - 1] == '/'; n--)
        p->base_url[n - 1] = '\0';
    return 0;
}

/* max_output_field = max_tokens | max_completion_tokens */
static int read_field(struct base_conf *conf, const char *section, bool *set, bool *max_tokens,
                      char *error)
{
    const char *field = base_conf_get(conf, section, "max_output_field");
    *set = field != NULL;
    if (field == NULL)
        return 0;
    *max_tokens = strcmp(field, "max_tokens") == 0;
    if (!*max_tokens && strcmp(field, "max_completion_tokens") != 0)
        return base_conf_fail(conf, section, "max_output_field", error,
                              "expected max_tokens or max_completion_tokens");
    return 0;
}

static int read_cost(struct base_conf *conf, const char *section, struct edge_provider *p,
                     char *error)
{
    int rc = base_conf_bool(conf, section, "trust_cost", &p->trust_cost, error);
    if (rc < 0)
        return rc;
    const char *header = base_conf_get(conf, section, "cost_header");
    p->cost_header = strdup(header != NULL ? header : "x-nemo-response-cost");
    if (p->cost_header == NULL)
        return -ENOMEM;
    for (char *c = p->cost_header; *c != '\0'; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
    return 0;
}

static int read_timeouts(struct base_conf *conf, const char *section, struct edge_provider *p,
                         char *error)
{
    p->connect_timeout_ms = 5000;
    p->first_byte_timeout_ms = 120000;
    p->idle_timeout_ms = 120000;
    p->request_timeout_ms = 600000;
    const struct {
        const char *key;
        int64_t *value;
    } keys[] = {{"connect_timeout_ms", &p->connect_timeout_ms},
                {"first_byte_timeout_ms", &p->first_byte_timeout_ms},
                {"idle_timeout_ms", &p->idle_timeout_ms},
                {"request_timeout_ms", &p->request_timeout_ms}};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        int rc = base_conf_int(conf, section, keys[i].key, 1, 24 * 3600000 - 120000, keys[i].value,
                               error);
        if (rc < 0)
            return rc;
    }
    p->keep_alive_ms = 15000;
    return base_conf_int(conf, section, "keep_alive_ms", 0, 3600000, &p->keep_alive_ms, error);
}

static int read_provider(struct base_conf *conf, const char *section, const char *name,
                         struct edge_config *c, char *error)
{
    if (c->n_providers == EDGE_PROVIDERS_MAX)
        return base_conf_fail(conf, section, "", error, "more than %d providers",
                              EDGE_PROVIDERS_MAX);
    struct edge_provider *p = &c->providers[c->n_providers++];
    if (*name == '\0' || snprintf(p->name, sizeof p->name, "%s", name) > PROTO_NAME_MAX)
        return base_conf_fail(conf, section, "", error, "expected a name of 1 to %d bytes",
                              PROTO_NAME_MAX);
    int rc = read_url(conf, section, p, error);
    if (rc == 0)
        rc = read_api_key(conf, section, p, error);
    if (rc == 0)
        rc = base_conf_path_of(conf, section, "ca", false, &p->ca_file, error);
    if (rc == 0)
        rc = base_conf_bool(conf, section, "http2", &p->http2, error);
    if (rc == 0)
        rc = read_cost(conf, section, p, error);
    if (rc == 0)
        rc = read_field(conf, section, &p->field_set, &p->max_tokens_field, error);
    if (rc == 0)
        rc = read_timeouts(conf, section, p, error);
    if (rc == -ENOMEM)
        snprintf(error, BASE_CONF_ERROR, "%s: out of memory", base_conf_path(conf));
    return rc;
}

int edge_config_providers(struct base_conf *conf, struct edge_config *c, char *error)
{
    const char *section;
    int rc = 0;
    for (unsigned i = 0; rc == 0 && (section = base_conf_section(conf, i)) != NULL; i++) {
        const char *name = base_conf_name(section, "provider");
        if (name != NULL)
            rc = read_provider(conf, section, name, c, error);
    }
    return rc;
}

void edge_config_provider_close(struct edge_provider *p)
{
    if (p->api_key != NULL)
        explicit_bzero(p->api_key, strlen(p->api_key));
    free(p->api_key);
    free(p->base_url);
    free(p->ca_file);
    free(p->cost_header);
}

static int read_name(struct base_conf *conf, const char *section, const char *key,
                     char out[PROTO_NAME_MAX + 1], char *error)
{
    const char *value = base_conf_get(conf, section, key);
    if (value != NULL && snprintf(out, PROTO_NAME_MAX + 1, "%s", value) > PROTO_NAME_MAX)
        return base_conf_fail(conf, section, key, error, "longer than %d bytes", PROTO_NAME_MAX);
    return 0;
}

static int read_route_provider(struct base_conf *conf, const char *section, struct edge_config *c,
                               struct edge_route *route, char *error)
{
    const char *name;
    int rc = base_conf_need(conf, section, "provider", &name, error);
    if (rc < 0)
        return rc;
    for (unsigned i = 0; i < c->n_providers; i++)
        if (strcmp(c->providers[i].name, name) == 0)
            route->provider = &c->providers[i];
    if (route->provider == NULL)
        return base_conf_fail(conf, section, "provider", error, "no [provider %s]", name);
    bool set;
    route->max_tokens_field = route->provider->max_tokens_field;
    return read_field(conf, section, &set, &route->max_tokens_field, error);
}

static int read_route(struct base_conf *conf, const char *section, const char *model,
                      struct edge_config *c, char *error)
{
    if (c->n_routes == EDGE_ROUTES_MAX)
        return base_conf_fail(conf, section, "", error, "more than %d routes", EDGE_ROUTES_MAX);
    struct edge_route *route = &c->routes[c->n_routes++];
    if (*model == '\0' || snprintf(route->model, sizeof route->model, "%s", model) > PROTO_NAME_MAX)
        return base_conf_fail(conf, section, "", error, "expected a model of 1 to %d bytes",
                              PROTO_NAME_MAX);
    int rc = read_route_provider(conf, section, c, route, error);
    if (rc == 0)
        rc = read_name(conf, section, "upstream_model", route->upstream_model, error);
    if (rc == 0)
        rc = read_name(conf, section, "price_model", route->price_model, error);
    if (rc == 0)
        rc = base_conf_int(conf, section, "max_output", 1, 10000000, &route->max_output, error);
    if (rc == 0)
        rc = base_conf_int(conf, section, "input_overhead_tokens", 0, 10000000,
                           &route->input_overhead_tokens, error);
    route->unpriced_hold_nanos = PROTO_NANOS_PER_DOLLAR;
    const char *hold = base_conf_get(conf, section, "unpriced_hold");
    if (rc == 0 && hold != NULL &&
        (proto_money_parse(proto_str_of(hold), &route->unpriced_hold_nanos) < 0 ||
         route->unpriced_hold_nanos < 0))
        rc = base_conf_fail(conf, section, "unpriced_hold", error, "expected dollars, as 1.00");
    return rc;
}

static int compare_routes(const void *a, const void *b)
{
    return strcmp(((const struct edge_route *)a)->model, ((const struct edge_route *)b)->model);
}

int edge_config_routes(struct base_conf *conf, struct edge_config *c, char *error)
{
    const char *section;
    int rc = 0;
    for (unsigned i = 0; rc == 0 && (section = base_conf_section(conf, i)) != NULL; i++) {
        const char *model = base_conf_name(section, "route");
        if (model != NULL)
            rc = read_route(conf, section, model, c, error);
    }
    if (rc == 0 && c->n_routes == 0) {
        snprintf(error, BASE_CONF_ERROR, "%s: no [route MODEL] section", base_conf_path(conf));
        rc = -EINVAL;
    }
    qsort(c->routes, c->n_routes, sizeof *c->routes, compare_routes);
    for (unsigned i = 0; i < c->n_routes; i++)
        if (strcmp(c->routes[i].model, "*") == 0)
            c->any_route = &c->routes[i];
    return rc;
}
