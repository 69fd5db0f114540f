/* SPDX-License-Identifier: Apache-2.0
 * Simulated time: a queue of events ordered by time and then by when they were put, and the one
 * source of chance. The same seed gives the same run, on any machine.
 */
#ifndef HOLDFAST_TESTS_SIM_EVENTS_H
#define HOLDFAST_TESTS_SIM_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sim_random {
    uint64_t state;
};
uint64_t sim_random(struct sim_random *r);
unsigned sim_below(struct sim_random *r, unsigned n); /* 0 .. n-1 */
bool sim_permille(struct sim_random *r, unsigned permille);

extern bool sim_host; /* memory for the simulator itself, not for what it runs */

struct sim_event {
    uint64_t at_ms, order;
    int kind, node;
    uint64_t life; /* the node's life it belongs to; see the users */
    void *data;
};

struct sim_events {
    struct sim_event *heap;
    size_t n, cap;
    uint64_t order;
};
void sim_put(struct sim_events *q, uint64_t at_ms, int kind, int node, uint64_t life, void *data);
struct sim_event sim_take(struct sim_events *q); /* q->n > 0 */
void sim_events_close(struct sim_events *q);

#endif
