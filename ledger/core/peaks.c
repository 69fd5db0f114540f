/* SPDX-License-Identifier: Apache-2.0
 * An index of budgets by how high they reach: for each org, and for each team of it, a tree over
 * the numbers of the budgets below that ceiling, with the highest limit of each length of window in
 * every node. So the lowest-numbered budget above a limit is found, and the tree is kept, in a
 * handful of steps, however many budgets the org has or has ever had.
 *
 *   level 0: CORE_PEAKS_FAN budgets a node; level n: CORE_PEAKS_FAN nodes of level n - 1
 *
 * Below an org are all budgets but its own; below a team those of its keys. The tree has as many
 * levels as its highest number needs.
 */
#include "ledger/core/machine.h"

#include <errno.h>

enum { LEVELS = 8 }; /* FAN to the 8th: all numbers */

struct tree {
    struct core_machine *m;
    const struct proto_uuid *org;
    uint32_t team; /* 0: the org's */
};

static struct core_peaks *node_get(const struct tree *t, unsigned level, uint32_t block)
{
    struct core_key k;
    core_key_peaks(&k, t->org, t->team, (uint8_t)level, block);
    return core_get(t->m, &k);
}

static const struct core_peaks none = {.limit = {-1, -1, -1, -1, -1, -1}};

static struct core_peaks *node_put(const struct tree *t, unsigned level, uint32_t block)
{
    struct core_key k;
    core_key_peaks(&k, t->org, t->team, (uint8_t)level, block);
    struct core_peaks *p = core_put(t->m, &k, sizeof *p);
    *p = none;
    return p;
}

static void raise_to(struct core_peaks *p, const struct core_peaks *child)
{
    for (unsigned r = 0; r < CORE_RANKS; r++)
        if (child->limit[r] > p->limit[r])
            p->limit[r] = child->limit[r];
}

/* What the child reaches; nothing if it is not there. */
static struct core_peaks child_of(const struct tree *t, unsigned level, uint32_t block, unsigned i)
{
    struct core_peaks out = none;
    uint32_t at = block * CORE_PEAKS_FAN + i;
    if (level > 0) {
        const struct core_peaks *p = node_get(t, level - 1, at);
        return p ? *p : none;
    }
    struct core_key k;
    core_key_org_number(&k, CORE_TABLE_budget, t->org, at + 1);
    const struct core_budget *b = core_get(t->m, &k);
    if (b && !b->deleted)
        out.limit[core_window_rank(b->window)] = b->limit;
    return out;
}

/* From what is below. A node without children goes, but for a level's first: by them the tree knows
 * how high it is. */
static void node_count(const struct tree *t, unsigned level, uint32_t block, struct core_peaks *p)
{
    struct core_peaks sum = none;
    sum.children = p->children;
    for (unsigned i = 0; i < CORE_PEAKS_FAN; i++) {
        if (!(p->children & 1u << i))
            continue;
        struct core_peaks child = child_of(t, level, block, i);
        raise_to(&sum, &child);
    }
    *p = sum;
    core_touch(t->m, p);
    if (p->children == 0 && block != 0)
        core_drop(t->m, p);
}

/* The first node of a level, with those below it. */
static struct core_peaks *first_of(const struct tree *t, unsigned level)
{
    struct core_peaks *p = node_get(t, level, 0);
    if (p)
        return p;
    const struct core_peaks *below = level > 0 ? first_of(t, level - 1) : NULL;
    p = node_put(t, level, 0);
    if (below && below->children != 0) {
        *p = *below;
        p->children = 1;
    }
    return p;
}

/* Whether the tree has this level. */
static bool reaches(const struct tree *t, unsigned level)
{
    return level < LEVELS && node_get(t, level, 0) != NULL;
}

void core_peaks_set(struct core_machine *m, const struct proto_uuid *org, uint32_t team,
                    uint32_t number, bool member)
{
    const struct tree t = {m, org, team};
    uint32_t at = number - 1;
    bool there = member;
    for (unsigned level = 0; level < LEVELS && m->failed == 0; level++) {
        uint32_t block = at / CORE_PEAKS_FAN;
        uint16_t bit = (uint16_t)(1u << at % CORE_PEAKS_FAN);
        struct core_peaks *p = node_get(&t, level, block);
        if (!p && !there)
            return;
        if (!p)
            p = block == 0 ? first_of(&t, level) : node_put(&t, level, block);
        p->children = (uint16_t)(there ? p->children | bit : p->children & ~bit);
        there = p->children != 0;
        node_count(&t, level, block, p);
        if (block == 0 && !reaches(&t, level + 1))
            return;
        at = block;
    }
}

static bool above(const struct core_peaks *p, unsigned rank, int64_t limit)
{
    for (unsigned r = 0; r <= rank; r++)
        if (p->limit[r] > limit)
            return true;
    return false;
}

/* The lowest number after `after` in this node, or 0. Only along the edge of `after` can a node
 * promise in vain. */
static uint32_t find(const struct tree *t, unsigned level, uint32_t block, unsigned rank,
                     int64_t limit, uint32_t after)
{
    const struct core_peaks *p = node_get(t, level, block);
    uint64_t width = 1; /* budgets below a child */
    for (unsigned l = 0; l < level; l++)
        width *= CORE_PEAKS_FAN;
    if (!p || !above(p, rank, limit))
        return 0;
    const uint16_t children = p->children;
    for (unsigned i = 0; i < CORE_PEAKS_FAN; i++) {
        uint32_t at = block * CORE_PEAKS_FAN + i;
        if (!(children & 1u << i) || (at + UINT64_C(1)) * width <= after)
            continue;
        if (level > 0) {
            uint32_t number = find(t, level - 1, at, rank, limit, after);
            if (number != 0)
                return number;
            continue;
        }
        struct core_peaks one = child_of(t, 0, block, i);
        if (above(&one, rank, limit))
            return at + 1;
    }
    return 0;
}

uint32_t core_peaks_find(struct core_machine *m, const struct proto_uuid *org, uint32_t team,
                         unsigned rank, int64_t limit, uint32_t after)
{
    const struct tree t = {m, org, team};
    unsigned top = 0;
    while (reaches(&t, top + 1))
        top++;
    return find(&t, top, 0, rank, limit, after);
}
