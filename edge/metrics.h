/* SPDX-License-Identifier: Apache-2.0
 * What an edge counts for its operator. One struct edge_metrics a worker: that worker's loop thread
 * alone writes, the metrics port's thread reads, so every figure is an atomic and nothing is
 * locked. A scrape shows the sum over the workers. docs/operations.md explains each figure.
 *
 * Bound: EDGE_METRICS_ERRORS_MAX different errors; past it they count as "other".
 */
#ifndef HOLDFAST_EDGE_METRICS_H
#define HOLDFAST_EDGE_METRICS_H

#include "edge/config.h"
#include "proto/metrics/histogram.h"

enum {
    EDGE_METRICS_ERRORS_MAX = 128,
    EDGE_METRICS_STATUS_MAX = 600, /* statuses 100 to 599 */
};

enum edge_hold_event {
    EDGE_HOLD_RESERVED,
    EDGE_HOLD_SETTLED_USAGE,
    EDGE_HOLD_SETTLED_PROVIDER,
    EDGE_HOLD_SETTLED_ESTIMATE,
    EDGE_HOLD_RELEASED,
    EDGE_HOLD_FORESTALLED, /* the reserve's outcome was not known: released just in case */
    EDGE_HOLD_PENDING,     /* answered before the ledger had decided */
    EDGE_HOLD_EVENTS,
};

enum edge_call_end {
    EDGE_CALL_ANSWERED, /* whatever the status */
    EDGE_CALL_NOT_SENT,
    EDGE_CALL_UNKNOWN, /* failed after something was sent */
    EDGE_CALL_TIMED_OUT,
    EDGE_CALL_BROKEN,  /* the answer broke off, or could not be taken */
    EDGE_CALL_STOPPED, /* by us: the client left, or the edge ends */
    EDGE_CALL_ENDS,
};

struct edge_error_count {
    const char *type, *code; /* static text */
    _Atomic uint64_t n;
};

struct edge_provider_metrics {
    struct metrics_histogram first_byte, whole;
    _Atomic uint64_t ends[EDGE_CALL_ENDS];
};

/* Set by the worker now and then; a scrape may see them a tick old. */
struct edge_gauges {
    _Atomic int64_t exchanges, settlements, ledger_queue, connections, body_bytes, price_version,
        ledger_answers, draining;
    _Atomic uint64_t accepted, overloaded, http_refused, clients_gone; /* of the HTTP server */
};

struct edge_metrics {
    _Atomic uint64_t status[EDGE_METRICS_STATUS_MAX];
    struct edge_error_count errors[EDGE_METRICS_ERRORS_MAX];
    _Atomic unsigned n_errors;
    _Atomic uint64_t other_errors;
    _Atomic uint64_t holds[EDGE_HOLD_EVENTS];
    _Atomic uint64_t held_nanos, charged_nanos; /* of all holds so far */
    struct metrics_histogram reserve, settle, request;
    struct edge_gauges gauges;
    struct edge_provider_metrics *providers; /* as in the configuration */
    _Atomic uint64_t *overruns;              /* by route, as in the configuration */
};

/* NULL: no memory. */
struct edge_metrics *edge_metrics_new(const struct edge_config *config);
void edge_metrics_free(struct edge_metrics *m);

/* ---- the worker's side ---- */
/* An answer to a request. type NULL: it is no error of ours. type and code: static text. */
void edge_metrics_answer(struct edge_metrics *m, int status, const char *type, const char *code);
void edge_metrics_hold(struct edge_metrics *m, enum edge_hold_event event);
void edge_metrics_call(struct edge_metrics *m, const struct edge_config *config,
                       const struct edge_provider *provider, enum edge_call_end how, uint64_t us);
void edge_metrics_first_byte(struct edge_metrics *m, const struct edge_config *config,
                             const struct edge_provider *provider, uint64_t us);
void edge_metrics_overrun(struct edge_metrics *m, const struct edge_config *config,
                          const struct edge_route *route);
static inline void edge_metrics_add(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/* ---- the metrics port's side (metrics_print.c) ---- */
void edge_metrics_print(struct metrics_text *t, const struct edge_config *config,
                        struct edge_metrics *const *workers, unsigned n, const char *version);

#endif
