/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/links.h"

#include <string.h>

void links_mend(struct links *l)
{
    memset(l->cut, 0, sizeof l->cut);
}

void links_alone(struct links *l, int node, int nodes)
{
    for (int other = 1; other <= nodes; other++)
        l->cut[node][other] = l->cut[other][node] = other != node;
}

void links_fill(struct links *l, struct link_message *m, const void *head, size_t head_len,
                const void *body, size_t body_len)
{
    m->order = ++l->order;
    m->len = head_len + body_len;
    memcpy(m->bytes, head, head_len);
    if (body_len > 0)
        memcpy(m->bytes + head_len, body, body_len);
}

void links_carry(struct links *l, struct sim_random *random, struct sim_events *events,
                 uint64_t now_ms, const struct links_weather *weather, int kind, int to,
                 struct link_message *m)
{
    enum { REPEATED_MS = 50, REPEATED_LATE_MS = 3000 };
    uint64_t delay_ms = 1 + sim_below(random, weather->net_ms), lag_ms = l->lag_ms[m->from][to];
    if (weather->faulty && sim_permille(random, weather->late_permille))
        delay_ms += sim_below(random, weather->late_ms);
    if (lag_ms > 0) { /* in order, but late */
        uint64_t *at_ms = &l->at_ms[m->from][to], due_ms = now_ms + delay_ms + lag_ms;
        *at_ms = due_ms > *at_ms ? due_ms : *at_ms;
        delay_ms = *at_ms - now_ms;
    }
    sim_put(events, now_ms + delay_ms, kind, to, 0, m);
    if (weather->faulty && sim_permille(random, weather->repeat_permille))
        sim_put(events,
                now_ms + delay_ms +
                    sim_below(random, sim_permille(random, 200) ? REPEATED_LATE_MS : REPEATED_MS),
                kind, to, 0, m);
}
