/* SPDX-License-Identifier: Apache-2.0
 * How each node is, by what it says itself and by what the leader says of it. A leader with a
 * majority says nothing about the third node: that one is looked at here.
 */
#include "tools/ctl/nodes.h"

#include <inttypes.h>
#include <stdio.h>

struct view {
    const struct ctl_node *nodes, *leader; /* NULL: nobody leads with a majority */
    unsigned n;
    const struct ctl_node *node; /* the one that is judged */
    uint32_t id;
    struct ctl_health *out;
};

static void say(const struct view *v, const char *word)
{
    v->out->word = word;
}

/* ---- what the leader says of it ---- */

static bool is_member(const struct view *v, bool *voter)
{
    const struct ctl_node *l = v->leader;
    for (unsigned i = 0; l && i < l->n_members; i++)
        if (l->member[i].id == v->id) {
            *voter = l->member[i].voter;
            return true;
        }
    return false;
}

/* Nothing where the leader has nothing to say of it. */
static struct ctl_other seen_by_leader(const struct view *v)
{
    for (unsigned i = 0; v->leader && i < v->leader->n_others; i++)
        if (v->leader->other[i].id == v->id)
            return v->leader->other[i];
    return (struct ctl_other){0};
}

static void add_silence(const struct view *v)
{
    size_t used = strlen(v->out->text);
    int64_t silent_ms = seen_by_leader(v).silent_ms;
    if (v->leader && silent_ms > 0)
        snprintf(v->out->text + used, sizeof v->out->text - used,
                 "; not heard by leader %u for %" PRId64 " s", (unsigned)v->leader->s.id,
                 silent_ms / 1000);
}

static bool is_cut_off(const struct view *v)
{
    return seen_by_leader(v).silent_ms > 0 || v->node->s.leader != v->leader->s.id ||
           v->node->s.term != v->leader->s.term;
}

/* ---- the verdict ---- */

static void judge_absent(const struct view *v)
{
    bool voter;
    if (v->leader && v->leader->n_members > 0 && !is_member(v, &voter)) {
        say(v, "outside");
        return;
    }
    for (unsigned i = 0; i < v->n; i++)
        if (v->nodes[i].reachable && v->nodes[i].seeding == v->id) {
            say(v, "seeding");
            snprintf(v->out->text, sizeof v->out->text,
                     "it is being seeded, by node %u among others", (unsigned)v->nodes[i].s.id);
            return;
        }
    say(v, "unreachable");
    snprintf(v->out->text, sizeof v->out->text, "%s", v->node->detail);
    add_silence(v);
}

static void judge_follower(const struct view *v, bool voter)
{
    const struct ctl_other seen = seen_by_leader(v);
    uint64_t commit = v->leader->s.commit_index, applied = v->node->s.applied_index;
    uint64_t lag = commit > applied ? commit - applied : 0;
    char *text = v->out->text;
    if (is_cut_off(v)) {
        say(v, "cut_off");
        snprintf(text, sizeof v->out->text, "it does not follow leader %u",
                 (unsigned)v->leader->s.id);
        add_silence(v);
    } else if (seen.needs_seed) {
        say(v, "needs_seed");
        snprintf(text, sizeof v->out->text,
                 "%" PRIu64 " entries behind, further than the log reaches: seed it", lag);
    } else if (lag > 0 &&
               seen.stuck_ms >= CTL_STUCK_MS) { /* or the leader has not heard of it yet */
        say(v, "stuck");
        snprintf(text, sizeof v->out->text,
                 "%" PRIu64 " entries behind, and nothing was stored there for %" PRId64 " s", lag,
                 seen.stuck_ms / 1000);
    } else if (lag > CTL_BEHIND || !voter) {
        say(v, voter ? "behind" : "joining");
        snprintf(text, sizeof v->out->text, "%" PRIu64 " entries behind%s", lag,
                 voter ? "" : ", and without a vote yet");
    }
}

static void judge_present(const struct view *v)
{
    bool voter = true;
    bool member = is_member(v, &voter);
    bool differs = strcmp(v->node->role, "diverged") == 0 || strcmp(v->node->role, "disputed") == 0;
    if (differs) {
        const char *note = v->node->note;
        size_t n = strlen(v->node->role); /* which the note may begin with */
        if (strncmp(note, v->node->role, n) == 0 && strncmp(note + n, ": ", 2) == 0)
            note += n + 2;
        say(v, v->node->role);
        snprintf(v->out->text, sizeof v->out->text, "%.*s", CTL_HEALTH_TEXT - 1, note);
    } else if (!v->leader) {
        say(v, "leaderless");
        snprintf(v->out->text, sizeof v->out->text, "no leader has a majority behind it");
    } else if (!member && v->leader->n_members > 0) {
        say(v, "outside");
        snprintf(v->out->text, sizeof v->out->text, "it is not in the cluster");
    } else if (v->node != v->leader) {
        judge_follower(v, voter);
    }
}

void ctl_node_health(const struct ctl_node *nodes, unsigned n, unsigned i, uint32_t id,
                     const struct ctl_node *leader, struct ctl_health *out)
{
    const struct view v = {nodes, leader, n, &nodes[i], id, out};
    *out = (struct ctl_health){.word = "ok"};
    if (nodes[i].reachable)
        judge_present(&v);
    else
        judge_absent(&v);
}
