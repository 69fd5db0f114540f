/* SPDX-License-Identifier: Apache-2.0
 * The links between simulated nodes: cut one way or both, slow, repeating, losing order or keeping
 * it. Both simulators' messages go through here.
 */
#ifndef HOLDFAST_TESTS_SIM_LINKS_H
#define HOLDFAST_TESTS_SIM_LINKS_H

#include "tests/sim/events.h"

#include <stddef.h>

enum { LINKS_NODES = 5 };

struct link_message {
    int from;
    uint64_t order; /* over all messages of the run */
    uint64_t term;  /* of the sender */
    size_t len;
    uint8_t bytes[];
};

struct links {
    bool cut[LINKS_NODES + 1][LINKS_NODES + 1];
    uint64_t lag_ms[LINKS_NODES + 1][LINKS_NODES + 1]; /* of a link that keeps order */
    uint64_t at_ms[LINKS_NODES + 1][LINKS_NODES + 1];  /* arrival of the last message on it */
    uint64_t order;
};

/* How messages fare now; permille are drawn only while `faulty`. */
struct links_weather {
    unsigned net_ms; /* any takes from 1 to so much */
    unsigned late_permille, late_ms, repeat_permille;
    bool faulty;
};

void links_mend(struct links *l);                       /* none is cut */
void links_alone(struct links *l, int node, int nodes); /* hears nobody, is heard by nobody */
/* Two pieces become the message's bytes; it is the next in order. */
void links_fill(struct links *l, struct link_message *m, const void *head, size_t head_len,
                const void *body, size_t body_len);
/* Events of `kind` for node `to`: once, or twice. */
void links_carry(struct links *l, struct sim_random *random, struct sim_events *events,
                 uint64_t now_ms, const struct links_weather *weather, int kind, int to,
                 struct link_message *m);

#endif
