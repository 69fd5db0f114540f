/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/check.h"
#include "proto/link/client.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum { AHEAD = 512 }; /* bytes taken from the kernel at once: a call of an edge needs 64 */

struct ahead {
    uint8_t bytes[AHEAD];
    size_t left; /* the last so many are not used yet; used ones are wiped */
};
static _Thread_local struct ahead ahead; /* no process here forks and goes on */

static void fill(void *p, size_t n)
{
    uint8_t *at = p;
    while (n > 0) {
        ssize_t got = getrandom(at, n, 0);
        CHECK(got > 0 || errno == EINTR); /* the kernel's generator cannot fail after boot */
        if (got > 0) {
            at += got;
            n -= (size_t)got;
        }
    }
}

void link_random(void *p, size_t n)
{
    if (n > AHEAD) {
        fill(p, n);
        return;
    }
    if (n > ahead.left) {
        fill(ahead.bytes, AHEAD);
        ahead.left = AHEAD;
    }
    uint8_t *at = ahead.bytes + AHEAD - ahead.left;
    memcpy(p, at, n);
    explicit_bzero(at, n);
    ahead.left -= n;
}

/* RFC 9562, section 5.7: 48 bits of milliseconds, version 7, variant 10, the rest random. */
void link_uuid7(struct proto_uuid *out)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    uint64_t ms = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
    link_random(out->b, sizeof out->b);
    for (unsigned i = 0; i < 6; i++)
        out->b[i] = (uint8_t)(ms >> (8 * (5 - i)));
    out->b[6] = (uint8_t)((out->b[6] & 0x0f) | 0x70);
    out->b[8] = (uint8_t)((out->b[8] & 0x3f) | 0x80);
}
