/* SPDX-License-Identifier: Apache-2.0
 * Budget windows: UTC, half-open [start, end), in microseconds since 1970. Pure integer arithmetic
 * on the proleptic Gregorian calendar. Weeks begin on Monday; months on the org's billing day
 * (1..28).
 */
#ifndef HOLDFAST_CORE_WINDOW_H
#define HOLDFAST_CORE_WINDOW_H

#include "proto/budget.h"

struct core_window {
    int64_t start_us;
    int64_t end_us; /* INT64_MAX: never (absolute; its start is 0) */
};

struct core_window core_window_at(unsigned window, unsigned billing_day, int64_t time_us);
/* hourly 1 < daily < weekly < monthly < absolute 5. */
unsigned core_window_rank(unsigned window);

#endif
