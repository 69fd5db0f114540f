/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/core/absent.h"

#include "ledger/core/record.h"

static int64_t second_of(const uint8_t *key)
{
    struct proto_uuid org, id;
    core_key_hold_parts(key, &org, &id);
    return proto_uuid_time_ms(&id) / 1000;
}

static uint64_t *word_of(struct core_absent *a, int64_t second)
{
    return &a->dropped[(uint64_t)second / 64 % (CORE_ABSENT_SECONDS / 64)];
}

static uint64_t bit_of(int64_t second)
{
    return UINT64_C(1) << ((uint64_t)second % 64);
}

void core_absent_start(struct core_absent *a, int64_t clock_us)
{
    *a = (struct core_absent){.base = (clock_us + CORE_AHEAD_US) / 1000000 + 1};
}

/* Room for `second`: what falls out of the ring is not known from then on. */
static void move_to(struct core_absent *a, int64_t second)
{
    int64_t base = second - CORE_ABSENT_SECONDS + 1;
    if (base <= a->base)
        return;
    if (base - a->base >= CORE_ABSENT_SECONDS)
        memset(a->dropped, 0, sizeof a->dropped);
    else
        for (int64_t s = a->base; s < base; s++)
            *word_of(a, s) &= ~bit_of(s);
    a->base = base;
}

void core_absent_note(struct core_absent *a, const uint8_t *key, size_t klen)
{
    if (!core_key_of_hold(key, klen))
        return;
    int64_t second = second_of(key);
    move_to(a, second);
    if (second >= a->base)
        *word_of(a, second) |= bit_of(second);
}

bool core_absent_sure(const struct core_absent *a, const uint8_t *key, size_t klen)
{
    if (!core_key_of_hold(key, klen))
        return false;
    int64_t second = second_of(key);
    if (second < a->base)
        return false;
    if (second >= a->base + CORE_ABSENT_SECONDS)
        return true;
    return !(a->dropped[(uint64_t)second / 64 % (CORE_ABSENT_SECONDS / 64)] & bit_of(second));
}
