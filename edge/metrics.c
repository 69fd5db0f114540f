/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/metrics.h"

#include <stdlib.h>
#include <string.h>

struct edge_metrics *edge_metrics_new(const struct edge_config *config)
{
    struct edge_metrics *m = calloc(1, sizeof *m);
    if (m == NULL)
        return NULL;
    m->providers = calloc(config->n_providers + 1, sizeof *m->providers);
    m->overruns = calloc(config->n_routes + 1, sizeof *m->overruns);
    if (m->providers == NULL || m->overruns == NULL) {
        edge_metrics_free(m);
        return NULL;
    }
    return m;
}

void edge_metrics_free(struct edge_metrics *m)
{
    if (m == NULL)
        return;
    free(m->providers);
    free(m->overruns);
    free(m);
}

static void count_error(struct edge_metrics *m, const char *type, const char *code)
{
    unsigned n = atomic_load_explicit(&m->n_errors, memory_order_relaxed);
    for (unsigned i = 0; i < n; i++) {
        struct edge_error_count *e = &m->errors[i];
        if (strcmp(e->type, type) == 0 && strcmp(e->code, code) == 0) {
            edge_metrics_add(&e->n, 1);
            return;
        }
    }
    if (n == EDGE_METRICS_ERRORS_MAX) {
        edge_metrics_add(&m->other_errors, 1);
        return;
    }
    m->errors[n].type = type;
    m->errors[n].code = code;
    edge_metrics_add(&m->errors[n].n, 1);
    atomic_store_explicit(&m->n_errors, n + 1, memory_order_release); /* readers find it whole */
}

void edge_metrics_answer(struct edge_metrics *m, int status, const char *type, const char *code)
{
    if (status >= 0 && status < EDGE_METRICS_STATUS_MAX)
        edge_metrics_add(&m->status[status], 1);
    if (type != NULL)
        count_error(m, type, code != NULL ? code : "none");
}

void edge_metrics_hold(struct edge_metrics *m, enum edge_hold_event event)
{
    edge_metrics_add(&m->holds[event], 1);
}

void edge_metrics_call(struct edge_metrics *m, const struct edge_config *config,
                       const struct edge_provider *provider, enum edge_call_end how, uint64_t us)
{
    struct edge_provider_metrics *p = &m->providers[provider - config->providers];
    edge_metrics_add(&p->ends[how], 1);
    metrics_histogram_add(&p->whole, us);
}

void edge_metrics_first_byte(struct edge_metrics *m, const struct edge_config *config,
                             const struct edge_provider *provider, uint64_t us)
{
    metrics_histogram_add(&m->providers[provider - config->providers].first_byte, us);
}

void edge_metrics_overrun(struct edge_metrics *m, const struct edge_config *config,
                          const struct edge_route *route)
{
    edge_metrics_add(&m->overruns[route - config->routes], 1);
}
