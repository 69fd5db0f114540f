/* SPDX-License-Identifier: Apache-2.0
 * One worker: a loop on a thread of its own, with a listener, curl, a ledger client and the
 * exchanges of the connections it accepted. Nothing moves between workers; they share the
 * configuration and the TLS context, read-only.
 *
 * Made and freed by the main thread; edge_worker_drain may be called from any thread.
 */
#ifndef HOLDFAST_EDGE_WORKER_H
#define HOLDFAST_EDGE_WORKER_H

#include "edge/config.h"

struct edge_http_tls;
struct edge_metrics;              /* what the worker counts in; outlives it */
enum { EDGE_EXIT_ABANDONED = 3 }; /* exit status: holds that could not be settled */
struct edge_worker;

/* Listens. port 0: chosen by the system. Negative errno, with the cause in error. */
__attribute__((warn_unused_result)) int edge_worker_new(struct edge_worker **out,
                                                        const struct edge_config *config,
                                                        struct edge_http_tls *tls,
                                                        struct edge_metrics *metrics, uint16_t port,
                                                        char error[BASE_CONF_ERROR]);
uint16_t edge_worker_port(const struct edge_worker *w);
/* Starts the thread. */
__attribute__((warn_unused_result)) int edge_worker_start(struct edge_worker *w);
/* Stop accepting, finish what is under way within drain_timeout, settle it, end. Called a second
 * time: end now. */
void edge_worker_drain(struct edge_worker *w);
/* Waits for the thread's end. Returns the holds that were left to expire. */
unsigned edge_worker_join(struct edge_worker *w);
void edge_worker_free(struct edge_worker *w); /* joined, and nobody drains it any more */

#endif
