/* SPDX-License-Identifier: Apache-2.0
 * What all load generators share: time, the schedule of an open loop, and the figures of a run.
 *
 * Open loop: call n is due at start + n / rate, whether or not earlier calls have come back, and
 * its latency counts from that time (correction for coordinated omission). Closed loop: a call is
 * due when a client is free, and counts from when it is sent.
 */
#ifndef HOLDFAST_BENCH_LOAD_H
#define HOLDFAST_BENCH_LOAD_H

#include "tools/bench/histogram.h"
#include "tools/bench/options.h"

#include <time.h>

static inline uint64_t load_now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

/* One thread's share of the load. */
struct load_schedule {
    uint64_t start_ns;   /* of the warm-up */
    uint64_t measure_ns; /* measured from here */
    uint64_t end_ns;     /* nothing is begun from here on */
    double interval_ns;  /* between calls; 0: closed loop */
    uint64_t begun;
};
void load_schedule_init(struct load_schedule *s, const struct bench_options *o, uint64_t start_ns,
                        unsigned thread);
/* Whether a call may begin at `now`; *due_ns: from when its latency counts. Counts it as begun. */
bool load_schedule_take(struct load_schedule *s, uint64_t now_ns, uint64_t *due_ns);
/* Nanoseconds until the next call is due (0: now); UINT64_MAX: never. */
uint64_t load_schedule_wait(const struct load_schedule *s, uint64_t now_ns);

/* Small fast generator for ids and tokens; seeded from the kernel, one a thread. */
struct load_random {
    uint64_t s[2];
};
void load_random_init(struct load_random *r);
uint64_t load_random_next(struct load_random *r);

#endif
