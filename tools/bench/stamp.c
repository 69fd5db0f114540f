/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/stamp.h"

#include <string.h>

unsigned stamp_scan_take(struct stamp_scan *s, const char *p, size_t n, uint64_t now_ns,
                         struct histogram *delays)
{
    const char *end = p + n;
    unsigned found = 0;
    while (p < end) {
        if (!s->inside) {
            p = memchr(p, '@', (size_t)(end - p));
            if (!p)
                return found;
            *s = (struct stamp_scan){.inside = true};
            p++;
            continue;
        }
        unsigned digit = (unsigned)(unsigned char)*p++ - '0';
        if (digit <= 9) {
            s->value = s->value * 10 + digit;
            continue;
        }
        s->inside = false;
        if (p[-1] != '@')
            continue; /* some other '@' */
        found++;
        if (delays)
            histogram_add(delays, now_ns > s->value ? now_ns - s->value : 0);
    }
    return found;
}
