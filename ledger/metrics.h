/* SPDX-License-Identifier: Apache-2.0
 * A node's figures for Prometheus. The loop publishes a copy now and then (a moment under a lock),
 * the metrics port's thread prints the last one and looks at the disk itself. docs/operations.md
 * explains each figure.
 */
#ifndef HOLDFAST_LEDGER_METRICS_H
#define HOLDFAST_LEDGER_METRICS_H

#include "ledger/node_state.h"

enum { NODE_METRICS_EVERY_MS = 250 }; /* how old a figure can be while the loop turns */

struct log_store;
struct node_metrics;

/* Listens where the configuration says; *out is NULL where it says nothing. log must outlive it. 0
 * or a negative errno with the cause in error. */
__attribute__((warn_unused_result)) int node_metrics_open(struct node_metrics **out,
                                                          const struct node_config *config,
                                                          struct log_store *log, char error[256]);
/* The loop, between events. NULL: nothing. */
void node_metrics_publish(struct node_metrics *m, const struct node *n, uint64_t mono_ms);
void node_metrics_close(struct node_metrics *m);

#endif
