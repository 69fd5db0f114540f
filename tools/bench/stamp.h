/* SPDX-License-Identifier: Apache-2.0
 * The mock's stamps (mock_stamp) in what a stream brings: @N@, N the time on CLOCK_MONOTONIC when
 * it was sent. The difference is the delay on the way, whatever cadence the mock kept. One scan a
 * stream; stamps may be cut anywhere.
 */
#ifndef HOLDFAST_BENCH_STAMP_H
#define HOLDFAST_BENCH_STAMP_H

#include "tools/bench/histogram.h"

#include <stdbool.h>
#include <stddef.h>

struct stamp_scan {
    uint64_t value;
    bool inside;
};
/* Adds the delay of each stamp that ends in these bytes to `delays` (NULL: nowhere). Returns how
 * many did. */
unsigned stamp_scan_take(struct stamp_scan *s, const char *p, size_t n, uint64_t now_ns,
                         struct histogram *delays);

#endif
