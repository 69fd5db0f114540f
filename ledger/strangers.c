/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/strangers.h"

bool strangers_code(unsigned code)
{
    return code == PROTO_MALFORMED || code == PROTO_UNAUTHENTICATED || code == PROTO_ORG_UNKNOWN;
}

bool strangers_note(struct strangers *s, uint64_t mono_ms)
{
    bool crowd = strangers_crowd(s, mono_ms);
    if (s->seen == 0 || mono_ms - s->since_ms >= STRANGERS_WINDOW_MS) {
        s->since_ms = mono_ms;
        s->seen = 0;
    }
    if (s->seen++ < STRANGERS_FEW)
        return false;
    s->until_ms = mono_ms + STRANGERS_WINDOW_MS;
    return !crowd;
}

bool strangers_crowd(const struct strangers *s, uint64_t mono_ms)
{
    return mono_ms < s->until_ms;
}
