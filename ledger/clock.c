/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/clock.h"

#include <time.h>

struct pump_now node_clock_now(void)
{
    struct timespec mono, wall;
    clock_gettime(CLOCK_MONOTONIC, &mono);
    clock_gettime(CLOCK_REALTIME, &wall);
    return (struct pump_now){.mono_ms =
                                 (uint64_t)mono.tv_sec * 1000 + (uint64_t)mono.tv_nsec / 1000000,
                             .wall_us = (int64_t)wall.tv_sec * 1000000 + wall.tv_nsec / 1000};
}

bool node_clock_offset(const struct pump_peer *peers, unsigned n, struct pump_now now,
                       int64_t *offset_us)
{
    int64_t ahead[PUMP_SERVERS_MAX + 1] = {0}; /* of the others, before us; ours: 0 */
    unsigned k = 1;
    for (unsigned i = 0; i < n && k <= PUMP_SERVERS_MAX; i++) {
        if (!peers[i].voter || peers[i].heard_ms == 0 ||
            now.mono_ms - peers[i].heard_ms > CLOCK_GUARD_FRESH_MS)
            continue;
        int64_t since_us = (int64_t)(now.mono_ms - peers[i].heard_ms) * 1000;
        int64_t v = peers[i].clock_us - (now.wall_us - since_us);
        unsigned at = k++;
        for (; at > 0 && ahead[at - 1] > v; at--)
            ahead[at] = ahead[at - 1];
        ahead[at] = v;
    }
    if (k < CLOCK_GUARD_LEAST)
        return false;
    int64_t median = k % 2 ? ahead[k / 2] : ahead[k / 2 - 1] / 2 + ahead[k / 2] / 2;
    *offset_us = -median;
    return true;
}
