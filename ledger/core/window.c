/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/core/window.h"

#define HOUR_US INT64_C(3600000000)
#define DAY_US (24 * HOUR_US)

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* Days from 1970-01-01 to the first of a month. Years are counted from March, so that the leap day
 * is a year's last; month 0 is March. */
static int64_t days_to_month(int64_t year, int64_t month)
{
    int64_t y = month < 3 ? year - 1 : year;
    int64_t m = month < 3 ? month + 9 : month - 3;
    int64_t leap_days = floor_div(y, 4) - floor_div(y, 100) + floor_div(y, 400);
    return y * 365 + leap_days + (m * 153 + 2) / 5 - 719468;
}

static void month_of(int64_t day, int64_t *year, int64_t *month)
{
    /* A first guess that is never late by more than a month, then a step or two. */
    int64_t y = floor_div((day + 719468) * 400, 146097);
    int64_t m = 3;
    while (days_to_month(y, m) > day)
        y--;
    for (;;) {
        int64_t next_m = m == 12 ? 1 : m + 1, next_y = m == 12 ? y + 1 : y;
        if (days_to_month(next_y, next_m) > day)
            break;
        m = next_m;
        y = next_y;
    }
    *year = y;
    *month = m;
}

static struct core_window month_at(unsigned billing_day, int64_t time_us)
{
    int64_t day = floor_div(time_us, DAY_US), year, month;
    month_of(day - (int64_t)billing_day + 1, &year, &month);
    int64_t start = days_to_month(year, month) + billing_day - 1;
    int64_t end =
        days_to_month(month == 12 ? year + 1 : year, month == 12 ? 1 : month + 1) + billing_day - 1;
    return (struct core_window){start * DAY_US, end * DAY_US};
}

static struct core_window even(int64_t time_us, int64_t length, int64_t offset)
{
    int64_t start = floor_div(time_us - offset, length) * length + offset;
    return (struct core_window){start, start + length};
}

struct core_window core_window_at(unsigned window, unsigned billing_day, int64_t time_us)
{
    switch (window) {
    case PROTO_WINDOW_hourly:
        return even(time_us, HOUR_US, 0);
    case PROTO_WINDOW_daily:
        return even(time_us, DAY_US, 0);
    case PROTO_WINDOW_weekly:
        return even(time_us, 7 * DAY_US, 4 * DAY_US); /* 1970-01-05 was a Monday */
    case PROTO_WINDOW_monthly:
        return month_at(billing_day, time_us);
    default:
        return (struct core_window){0, INT64_MAX};
    }
}

unsigned core_window_rank(unsigned window)
{
    return window == PROTO_WINDOW_absolute ? 5 : window - 1;
}
