/* SPDX-License-Identifier: Apache-2.0
 * The edge's configuration: one INI file, read and checked whole at start by the main thread, then
 * read-only and shared by all workers. Provider keys stand here in memory and nowhere else: never
 * log a struct edge_provider's api_key.
 */
#ifndef HOLDFAST_EDGE_CONFIG_H
#define HOLDFAST_EDGE_CONFIG_H

#include "proto/base/conf.h"
#include "proto/link/cluster_conf.h"
#include "proto/types.h"

enum {
    EDGE_PROVIDERS_MAX = 64,
    EDGE_ROUTES_MAX = 1024,
    EDGE_WORKERS_MAX = 256,
    EDGE_PREFIX_MAX = 32,
    EDGE_API_KEY_MAX = 4096,
};

/* [provider NAME] */
struct edge_provider {
    char name[PROTO_NAME_MAX + 1];
    char *base_url;    /* without a slash at the end: "https://api.openai.com/v1" */
    char *ca_file;     /* NULL: the system's */
    char *api_key;     /* secret; "": none is sent */
    char *cost_header; /* lower-case; looked at only with trust_cost */
    bool trust_cost;   /* its own number is what is charged */
    bool http2;
    bool field_set;        /* max_output_field stands in the file */
    bool max_tokens_field; /* `max_tokens` bounds the output, else `max_completion_tokens` */
    int64_t connect_timeout_ms;
    int64_t first_byte_timeout_ms;
    int64_t idle_timeout_ms;
    int64_t request_timeout_ms;
    int64_t keep_alive_ms; /* an idle connection is used again within this; 0: never */
};

/* [route MODEL]; MODEL `*` takes every other model. */
struct edge_route {
    char model[PROTO_NAME_MAX + 1];
    const struct edge_provider *provider;
    char upstream_model[PROTO_NAME_MAX + 1]; /* "": as the client wrote it */
    char price_model[PROTO_NAME_MAX + 1];    /* "": the public name, then provider/model */
    int64_t max_output;                      /* 0: default_max_output */
    int64_t unpriced_hold_nanos;
    int64_t input_overhead_tokens; /* that the provider adds to every prompt; held on top */
    bool max_tokens_field;
};

struct edge_config {
    /* [edge] */
    char host[256];
    uint16_t port;
    int64_t workers;                  /* 0: one a core */
    char prefix[EDGE_PREFIX_MAX + 1]; /* of the response and attribution fields: "x-holdfast" */
    int64_t settle_wait_ms;
    int64_t drain_timeout_ms;
    int64_t default_max_output;
    int64_t max_body;
    bool share_port; /* with another process */
    bool debug_log;
    char metrics_host[256]; /* "": no metrics are served */
    uint16_t metrics_port;
    /* [tls] */
    char *tls_cert, *tls_key;          /* NULL: plain HTTP */
    int64_t web_ends_s, ledger_ends_s; /* of our certificates; main sets them at the start */
    /* [ledger] */
    struct ledger_conf ledger;
    struct link_config link; /* points into `ledger`; wake is set by each worker */
    int64_t reserve_timeout_ms;
    /* [provider], [route] */
    struct edge_provider providers[EDGE_PROVIDERS_MAX];
    unsigned n_providers;
    struct edge_route *routes; /* room for EDGE_ROUTES_MAX; sorted by model */
    unsigned n_routes;
    const struct edge_route *any_route; /* of `*`; NULL: none */
};

/* 0 or a negative errno with "FILE:LINE: cause" in error; *out is written on success only. */
__attribute__((warn_unused_result)) int edge_config_load(struct edge_config **out, const char *path,
                                                         char error[BASE_CONF_ERROR]);
void edge_config_free(struct edge_config *config); /* wipes the provider keys */

/* The route of a model, the one of `*`, or NULL. */
const struct edge_route *edge_config_route(const struct edge_config *config, const char *model);

#endif
