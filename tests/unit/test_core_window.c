/* SPDX-License-Identifier: Apache-2.0
 * F13: budget windows against known dates.
 */
#include "core_rig.h"
#include "ledger/core/window.h"

static int64_t at(const char *text)
{
    /* "2026-01-31 23:59" by the schoolbook: days counted one by one. */
    int y = 0, mo = 0, d = 0, h = 0, mi = 0;
    assert_int_equal(sscanf(text, "%d-%d-%d %d:%d", &y, &mo, &d, &h, &mi), 5);
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t n = d - 1;
    for (int i = 1970; i < y; i++)
        n += 365 + (i % 4 == 0 && (i % 100 != 0 || i % 400 == 0));
    for (int i = 1; i < mo; i++)
        n += days[i - 1] + (i == 2 && y % 4 == 0 && (y % 100 != 0 || y % 400 == 0));
    return n * DAY + h * HOUR + mi * MINUTE;
}

static void expect(unsigned window, unsigned billing_day, const char *time, const char *start,
                   const char *end)
{
    struct core_window w = core_window_at(window, billing_day, at(time));
    assert_int_equal(w.start_us, at(start));
    assert_int_equal(w.end_us, at(end));
    struct core_window first = core_window_at(window, billing_day, w.start_us);
    assert_int_equal(first.start_us, w.start_us);
    struct core_window last = core_window_at(window, billing_day, w.end_us - 1);
    assert_int_equal(last.start_us, w.start_us);
    struct core_window next = core_window_at(window, billing_day, w.end_us);
    assert_int_equal(next.start_us, w.end_us); /* half-open */
}

static void F13_windows_on_known_dates(void **state)
{
    (void)state;
    expect(PROTO_WINDOW_hourly, 1, "2026-01-31 23:59", "2026-01-31 23:00", "2026-02-01 00:00");
    expect(PROTO_WINDOW_daily, 1, "2024-02-29 12:00", "2024-02-29 00:00", "2024-03-01 00:00");
    expect(PROTO_WINDOW_weekly, 1, "2026-01-01 00:00", "2025-12-29 00:00", "2026-01-05 00:00");
    expect(PROTO_WINDOW_weekly, 1, "2026-01-04 23:59", "2025-12-29 00:00", "2026-01-05 00:00");
    expect(PROTO_WINDOW_weekly, 1, "2026-01-05 00:00", "2026-01-05 00:00", "2026-01-12 00:00");
    expect(PROTO_WINDOW_monthly, 1, "2026-01-01 00:00", "2026-01-01 00:00", "2026-02-01 00:00");
    expect(PROTO_WINDOW_monthly, 15, "2026-01-14 23:59", "2025-12-15 00:00", "2026-01-15 00:00");
    expect(PROTO_WINDOW_monthly, 15, "2026-01-15 00:00", "2026-01-15 00:00", "2026-02-15 00:00");
    expect(PROTO_WINDOW_monthly, 28, "2024-03-01 00:00", "2024-02-28 00:00", "2024-03-28 00:00");
    expect(PROTO_WINDOW_monthly, 28, "2025-12-31 00:00", "2025-12-28 00:00", "2026-01-28 00:00");
    expect(PROTO_WINDOW_monthly, 1, "2100-02-28 23:59", "2100-02-01 00:00", "2100-03-01 00:00");
    struct core_window w = core_window_at(PROTO_WINDOW_absolute, 1, at("2026-01-01 00:00"));
    assert_int_equal(w.start_us, 0);
    assert_int_equal(w.end_us, INT64_MAX);
}

static void F13_months_tile_four_hundred_years(void **state)
{
    (void)state;
    for (unsigned day = 1; day <= 28; day += 9) {
        struct core_window w = core_window_at(PROTO_WINDOW_monthly, day, 0);
        for (int i = 0; i < 400 * 12; i++) {
            assert_in_range((w.end_us - w.start_us) / DAY, 28, 31);
            struct core_window next = core_window_at(PROTO_WINDOW_monthly, day, w.end_us);
            struct core_window mid = core_window_at(PROTO_WINDOW_monthly, day, w.end_us - HOUR);
            assert_int_equal(next.start_us, w.end_us);
            assert_int_equal(mid.start_us, w.start_us);
            w = next;
        }
    }
}

static void F14_windows_by_length(void **state)
{
    (void)state;
    assert_true(core_window_rank(PROTO_WINDOW_hourly) < core_window_rank(PROTO_WINDOW_daily));
    assert_true(core_window_rank(PROTO_WINDOW_daily) < core_window_rank(PROTO_WINDOW_weekly));
    assert_true(core_window_rank(PROTO_WINDOW_weekly) < core_window_rank(PROTO_WINDOW_monthly));
    assert_true(core_window_rank(PROTO_WINDOW_monthly) < core_window_rank(PROTO_WINDOW_absolute));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(F13_windows_on_known_dates),
        cmocka_unit_test(F13_months_tile_four_hundred_years),
        cmocka_unit_test(F14_windows_by_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
