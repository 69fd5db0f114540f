/* SPDX-License-Identifier: Apache-2.0
 * An edge's figures as text: the sum over its workers. On the metrics port's thread.
 */
#include "edge/metrics.h"

#include "proto/metrics/process.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct page {
    struct metrics_text *t;
    const struct edge_config *config;
    struct edge_metrics *const *w;
    unsigned n;
};

#define SUM(page, member)                                                                          \
    __extension__({                                                                                \
        int64_t total_ = 0;                                                                        \
        for (unsigned i_ = 0; i_ < (page)->n; i_++)                                                \
            total_ += (int64_t)atomic_load_explicit(&(page)->w[i_]->member, memory_order_relaxed); \
        total_;                                                                                    \
    })

static void put_statuses(const struct page *p)
{
    static const char name[] = "holdfast_edge_responses_total";
    metrics_family(p->t, name, METRICS_COUNTER, "Answers to requests, by HTTP status.");
    for (unsigned s = 100; s < EDGE_METRICS_STATUS_MAX; s++) {
        char text[16];
        const struct metrics_label labels[] = {{"status", text}, {NULL, NULL}};
        int64_t n = SUM(p, status[s]);
        snprintf(text, sizeof text, "%u", s);
        if (n > 0)
            metrics_sample(p->t, name, labels, n);
    }
}

/* Whether an earlier worker, or the same one, has this error already; it was summed then. */
static bool summed_before(const struct page *p, unsigned worker, const struct edge_error_count *e)
{
    for (unsigned w = 0; w < worker; w++) {
        const struct edge_metrics *m = p->w[w];
        unsigned n = atomic_load_explicit(&m->n_errors, memory_order_acquire);
        for (unsigned i = 0; i < n; i++)
            if (strcmp(m->errors[i].type, e->type) == 0 && strcmp(m->errors[i].code, e->code) == 0)
                return true;
    }
    return false;
}

static int64_t sum_error(const struct page *p, unsigned worker, const struct edge_error_count *e)
{
    int64_t sum = 0;
    for (unsigned w = worker; w < p->n; w++) {
        const struct edge_metrics *m = p->w[w];
        unsigned n = atomic_load_explicit(&m->n_errors, memory_order_acquire);
        for (unsigned i = 0; i < n; i++)
            if (strcmp(m->errors[i].type, e->type) == 0 && strcmp(m->errors[i].code, e->code) == 0)
                sum += (int64_t)atomic_load_explicit(&m->errors[i].n, memory_order_relaxed);
    }
    return sum;
}

static void put_errors(const struct page *p)
{
    static const char name[] = "holdfast_edge_errors_total";
    static const struct metrics_label other[] = {
        {"type", "other"}, {"code", "other"}, {NULL, NULL}};
    metrics_family(p->t, name, METRICS_COUNTER,
                   "Errors answered to clients, by type and code as they stand in the answer.");
    for (unsigned w = 0; w < p->n; w++) {
        unsigned n = atomic_load_explicit(&p->w[w]->n_errors, memory_order_acquire);
        for (unsigned i = 0; i < n; i++) {
            const struct edge_error_count *e = &p->w[w]->errors[i];
            const struct metrics_label labels[] = {
                {"type", e->type}, {"code", e->code}, {NULL, NULL}};
            if (!summed_before(p, w, e))
                metrics_sample(p->t, name, labels, sum_error(p, w, e));
        }
    }
    metrics_sample(p->t, name, other, SUM(p, other_errors));
}

static void put_holds(const struct page *p)
{
    static const char name[] = "holdfast_edge_holds_total";
    static const char *const events[EDGE_HOLD_EVENTS] = {
        [EDGE_HOLD_RESERVED] = "reserved",
        [EDGE_HOLD_SETTLED_USAGE] = "settled_usage",
        [EDGE_HOLD_SETTLED_PROVIDER] = "settled_provider_cost",
        [EDGE_HOLD_SETTLED_ESTIMATE] = "settled_estimate",
        [EDGE_HOLD_RELEASED] = "released",
        [EDGE_HOLD_FORESTALLED] = "forestalled",
        [EDGE_HOLD_PENDING] = "answered_pending",
    };
    metrics_family(p->t, name, METRICS_COUNTER, "What became of holds.");
    for (unsigned e = 0; e < EDGE_HOLD_EVENTS; e++) {
        const struct metrics_label labels[] = {{"event", events[e]}, {NULL, NULL}};
        metrics_sample(p->t, name, labels, SUM(p, holds[e]));
    }
    metrics_family(p->t, "holdfast_edge_held_dollars_total", METRICS_COUNTER,
                   "Money held for calls so far.");
    metrics_sample_scaled(p->t, "holdfast_edge_held_dollars_total", NULL, SUM(p, held_nanos), 9);
    metrics_family(p->t, "holdfast_edge_charged_dollars_total", METRICS_COUNTER,
                   "Money charged for calls so far, as answered to clients.");
    metrics_sample_scaled(p->t, "holdfast_edge_charged_dollars_total", NULL, SUM(p, charged_nanos),
                          9);
}

static void put_overruns(const struct page *p)
{
    static const char name[] = "holdfast_edge_overruns_total";
    metrics_family(p->t, name, METRICS_COUNTER, "Calls that cost more than was held, by route.");
    for (unsigned r = 0; r < p->config->n_routes; r++) {
        const struct metrics_label labels[] = {{"route", p->config->routes[r].model}, {NULL, NULL}};
        metrics_sample(p->t, name, labels, SUM(p, overruns[r]));
    }
}

/* The member of every worker's metrics that is `offset` bytes in, as one. */
static void put_histogram(const struct page *p, const char *name, const char *help, size_t offset)
{
    struct metrics_histogram sum = {0};
    for (unsigned w = 0; w < p->n; w++)
        metrics_histogram_merge(&sum, (const void *)((const char *)p->w[w] + offset));
    metrics_family(p->t, name, METRICS_HISTOGRAM, help);
    metrics_histogram_put(p->t, name, NULL, &sum);
}

static void put_provider_histogram(const struct page *p, const char *name, const char *help,
                                   size_t offset)
{
    metrics_family(p->t, name, METRICS_HISTOGRAM, help);
    for (unsigned i = 0; i < p->config->n_providers; i++) {
        struct metrics_histogram sum = {0};
        const struct metrics_label labels[] = {{"provider", p->config->providers[i].name},
                                               {NULL, NULL}};
        for (unsigned w = 0; w < p->n; w++)
            metrics_histogram_merge(&sum,
                                    (const void *)((const char *)&p->w[w]->providers[i] + offset));
        metrics_histogram_put(p->t, name, labels, &sum);
    }
}

static void put_providers(const struct page *p)
{
    static const char name[] = "holdfast_edge_provider_calls_total";
    static const char *const ends[EDGE_CALL_ENDS] = {
        [EDGE_CALL_ANSWERED] = "answered", [EDGE_CALL_NOT_SENT] = "not_sent",
        [EDGE_CALL_UNKNOWN] = "unknown",   [EDGE_CALL_TIMED_OUT] = "timed_out",
        [EDGE_CALL_BROKEN] = "broken",     [EDGE_CALL_STOPPED] = "stopped",
    };
    metrics_family(p->t, name, METRICS_COUNTER, "Calls to providers that have ended, by how.");
    for (unsigned i = 0; i < p->config->n_providers; i++)
        for (unsigned e = 0; e < EDGE_CALL_ENDS; e++) {
            const struct metrics_label labels[] = {
                {"provider", p->config->providers[i].name}, {"end", ends[e]}, {NULL, NULL}};
            metrics_sample(p->t, name, labels, SUM(p, providers[i].ends[e]));
        }
    put_provider_histogram(p, "holdfast_edge_provider_first_byte_seconds",
                           "From sending a call to the head of the provider's answer.",
                           offsetof(struct edge_provider_metrics, first_byte));
    put_provider_histogram(p, "holdfast_edge_provider_seconds", "From sending a call to its end.",
                           offsetof(struct edge_provider_metrics, whole));
}

static void put_gauges(const struct page *p)
{
    struct metrics_text *t = p->t;
    metrics_one(t, "holdfast_edge_workers", METRICS_GAUGE, "Worker threads.", p->n);
    metrics_one(t, "holdfast_edge_calls_in_flight", METRICS_GAUGE,
                "Calls between their request and their answer.", SUM(p, gauges.exchanges));
    metrics_one(t, "holdfast_edge_settlements_waiting", METRICS_GAUGE,
                "Settlements and releases that the ledger has not decided yet.",
                SUM(p, gauges.settlements));
    metrics_one(t, "holdfast_edge_ledger_queue", METRICS_GAUGE,
                "Commands that wait to be sent to the ledger.", SUM(p, gauges.ledger_queue));
    metrics_one(t, "holdfast_edge_connections", METRICS_GAUGE, "Open client connections.",
                SUM(p, gauges.connections));
    metrics_one(t, "holdfast_edge_request_body_bytes", METRICS_GAUGE,
                "Memory that holds request bodies.", SUM(p, gauges.body_bytes));
    metrics_one(t, "holdfast_edge_draining", METRICS_GAUGE,
                "Workers that take no new connections and finish what is under way.",
                SUM(p, gauges.draining));
    metrics_one(t, "holdfast_edge_ledger_answers", METRICS_GAUGE,
                "Workers that have lately had an answer of the ledger.",
                SUM(p, gauges.ledger_answers));
    metrics_one(
        t, "holdfast_edge_price_version", METRICS_GAUGE,
        "Version of the price catalogue in use (of the first worker).",
        p->n > 0 ? atomic_load_explicit(&p->w[0]->gauges.price_version, memory_order_relaxed) : 0);
    metrics_one(t, "holdfast_edge_connections_accepted_total", METRICS_COUNTER,
                "Client connections accepted.", SUM(p, gauges.accepted));
    metrics_one(t, "holdfast_edge_connections_refused_total", METRICS_COUNTER,
                "Client connections refused because the edge was full.", SUM(p, gauges.overloaded));
    metrics_one(t, "holdfast_edge_http_refused_total", METRICS_COUNTER,
                "Requests that the HTTP layer answered itself: malformed, too large, too late.",
                SUM(p, gauges.http_refused));
    metrics_one(t, "holdfast_edge_clients_gone_total", METRICS_COUNTER,
                "Clients that left before their answer was complete.", SUM(p, gauges.clients_gone));
}

static void put_certificates(const struct page *p)
{
    static const char name[] = "holdfast_edge_certificate_remaining_seconds";
    static const struct metrics_label ledger[] = {{"certificate", "ledger"}, {NULL, NULL}};
    static const struct metrics_label web[] = {{"certificate", "web"}, {NULL, NULL}};
    int64_t now_s = (int64_t)time(NULL);
    metrics_family(p->t, name, METRICS_GAUGE, "How long this edge's certificates are still good.");
    metrics_sample(p->t, name, ledger, p->config->ledger_ends_s - now_s);
    if (p->config->tls_cert != NULL)
        metrics_sample(p->t, name, web, p->config->web_ends_s - now_s);
}

void edge_metrics_print(struct metrics_text *t, const struct edge_config *config,
                        struct edge_metrics *const *workers, unsigned n, const char *version)
{
    const struct page p = {t, config, workers, n};
    put_statuses(&p);
    put_errors(&p);
    put_holds(&p);
    put_overruns(&p);
    put_gauges(&p);
    put_histogram(&p, "holdfast_edge_request_seconds",
                  "From a whole request to the end of its answer, for calls that cost money.",
                  offsetof(struct edge_metrics, request));
    put_histogram(&p, "holdfast_edge_reserve_seconds",
                  "From asking the ledger for a hold to its answer.",
                  offsetof(struct edge_metrics, reserve));
    put_histogram(&p, "holdfast_edge_settle_seconds",
                  "From sending a settlement or release to the ledger's decision.",
                  offsetof(struct edge_metrics, settle));
    put_providers(&p);
    put_certificates(&p);
    metrics_process(t, "edge", version);
}
