/* SPDX-License-Identifier: Apache-2.0
 * Which records can no longer influence any result, and where such records stand. Pure: a function
 * of the record and of replicated time. Whether and when a host deletes them changes nothing, so
 * each node does it in its own time, on any thread; nothing that is compared or chained knows.
 */
#include "ledger/core/record.h"

/* How long a hold's counters may still be moved once their window has ended: by an open hold, or by
 * a late settle, which comes at most a hold's life and the late window after the window's end. */
static bool counter_dead(const struct core_counter *c, int64_t clock_us)
{
    return c->open == 0 && c->held == 0 &&
           core_add_capped(c->end_us, CORE_HOLD_LIFE_US + CORE_LATE_WINDOW_US) < clock_us;
}

bool core_record_dead(const void *key, size_t klen, const void *value, size_t vlen,
                      int64_t clock_us)
{
    union { /* the store's bytes need not be aligned */
        struct core_hold hold;
        struct core_closed closed;
        struct core_done done;
        struct core_counter counter;
        struct core_idempotency idempotency;
    } v;
    if (klen == 0)
        return false;
    memset(&v, 0, sizeof v);
    memcpy(&v, value, vlen < sizeof v ? vlen : sizeof v);
    switch (*(const uint8_t *)key) {
    case CORE_TABLE_hold:
        return vlen >= sizeof v.hold && v.hold.state == CORE_HOLD_EXPIRED &&
               v.hold.deadline_us + CORE_LATE_WINDOW_US < clock_us;
    case CORE_TABLE_refused:
    case CORE_TABLE_closed:
        return vlen == sizeof v.closed && v.closed.keep_until_us < clock_us;
    case CORE_TABLE_command:
        return vlen == sizeof v.done && v.done.keep_until_us < clock_us;
    case CORE_TABLE_idempotency:
        return vlen == sizeof v.idempotency && v.idempotency.keep_until_us < clock_us;
    case CORE_TABLE_counter:
        return vlen == sizeof v.counter && counter_dead(&v.counter, clock_us);
    default:
        return false;
    }
}

/* ---- where they stand ---- */
/* life_us: what a record lives at least, counted from its id's time, which key order follows; a
 * record is made at most CORE_AHEAD_US before that time. 0: its key does not tell. */
static const struct {
    enum core_table table;
    int64_t life_us;
} mortal[CORE_MORTAL] = {
    {CORE_TABLE_counter, 0},
    {CORE_TABLE_hold, CORE_LATE_WINDOW_US - CORE_AHEAD_US},
    {CORE_TABLE_refused, CORE_HOT_HORIZON_US},
    {CORE_TABLE_command, 0},
    {CORE_TABLE_idempotency, 0},
    {CORE_TABLE_closed, CORE_LATE_WINDOW_US - CORE_AHEAD_US},
};

void core_mortal(unsigned i, int64_t clock_us, uint8_t from[CORE_MORTAL_KEY], size_t *from_n,
                 uint8_t to[CORE_MORTAL_KEY], size_t *to_n)
{
    int64_t ms = (clock_us - mortal[i].life_us) / 1000 + 1; /* ids of this time and later live */
    from[0] = to[0] = (uint8_t)mortal[i].table;
    *from_n = *to_n = 1;
    if (mortal[i].life_us == 0) {
        to[0]++;
        return;
    }
    if (ms <= 0)
        return; /* none */
    for (int b = 6; b > 0; b--, ms >>= 8)
        to[b] = (uint8_t)ms;
    *to_n = CORE_MORTAL_KEY;
}
