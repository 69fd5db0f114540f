/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/load.h"

#include <sys/random.h>

void load_schedule_init(struct load_schedule *s, const struct bench_options *o, uint64_t start_ns,
                        unsigned thread)
{
    *s = (struct load_schedule){.start_ns = start_ns};
    s->measure_ns = start_ns + (uint64_t)(o->warmup * 1e9);
    s->end_ns = s->measure_ns + (uint64_t)(o->seconds * 1e9);
    if (o->rate > 0) {
        s->interval_ns = 1e9 * o->threads / o->rate;
        s->start_ns += (uint64_t)(s->interval_ns * thread / o->threads); /* threads take turns */
    }
}

static uint64_t due_of(const struct load_schedule *s)
{
    return s->start_ns + (uint64_t)((double)s->begun * s->interval_ns);
}

bool load_schedule_take(struct load_schedule *s, uint64_t now_ns, uint64_t *due_ns)
{
    uint64_t due = s->interval_ns > 0 ? due_of(s) : now_ns;
    if (now_ns >= s->end_ns || due >= s->end_ns || due > now_ns)
        return false;
    *due_ns = due;
    s->begun++;
    return true;
}

uint64_t load_schedule_wait(const struct load_schedule *s, uint64_t now_ns)
{
    uint64_t due = s->interval_ns > 0 ? due_of(s) : now_ns;
    if (now_ns >= s->end_ns || due >= s->end_ns)
        return UINT64_MAX;
    return due > now_ns ? due - now_ns : 0;
}

void load_random_init(struct load_random *r)
{
    if (getrandom(r->s, sizeof r->s, 0) != (ssize_t)sizeof r->s)
        r->s[0] = load_now_ns();
    r->s[0] |= 1;
}

/* xorshift128+ (Vigna 2014): ids must differ, no more. */
uint64_t load_random_next(struct load_random *r)
{
    uint64_t a = r->s[0], b = r->s[1];
    r->s[0] = b;
    a ^= a << 23;
    r->s[1] = a ^ b ^ (a >> 18) ^ (b >> 5);
    return r->s[1] + b;
}
