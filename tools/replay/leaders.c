/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/replay/leaders.h"

#include <stddef.h>

bool replay_leaders_contradict(struct replay_leaders *l, uint64_t entry, uint64_t term,
                               uint64_t index, uint64_t proven, const struct proto_hash *ours,
                               const struct proto_hash *theirs)
{
    struct replay_leader *k = l->n > 0 ? &l->of[l->n - 1] : NULL;
    if (!k || k->term != term) { /* terms do not go back */
        if (l->n == REPLAY_LEADERS_MAX)
            return false;
        k = &l->of[l->n++];
        *k = (struct replay_leader){.term = term,
                                    .first = entry,
                                    .index = index,
                                    .good = proven,
                                    .ours = *ours,
                                    .theirs = *theirs};
    }
    k->last = entry;
    k->entries++;
    k->most = index > k->most ? index : k->most;
    k->disowned = index <= proven && (k->entries == 1 || k->disowned);
    return true;
}

void replay_leaders_confirm(struct replay_leaders *l, uint64_t term, uint64_t index)
{
    for (unsigned i = 0; i < l->n; i++)
        if (l->of[i].term != term && l->of[i].most <= index)
            l->of[i].disowned = true;
}

const struct replay_leader *replay_leaders_open(const struct replay_leaders *l)
{
    for (unsigned i = 0; i < l->n; i++)
        if (!l->of[i].disowned)
            return &l->of[i];
    return NULL;
}
