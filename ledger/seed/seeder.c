/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/seed/seeder.h"

#include "ledger/seed/seeding.h"
#include "ledger/store/env.h"

#include <errno.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

enum {
    PATIENCE = 300,
    TRIES = 5, /* of a seeding that somebody interrupts by not answering */
};

bool seeding_tell(const struct seeding *s, const char *what, uint64_t done, uint64_t total)
{
    const struct backup_watch *w = s->config->watch;
    return !w || !w->on_progress || w->on_progress(w->ctx, what, done, total);
}

int seeding_wait(const struct seeding *s, struct store_why *why)
{
    const struct seed_config *c = s->config;
    const struct store_why what = *why;
    void *ctx = c->watch ? c->watch->ctx : NULL;
    if (!seeding_tell(s, "waiting", 0, 0))
        return store_why_set(why, -ECANCELED, "interrupted: run it again to go on");
    if (c->on_waiting && !c->on_waiting(ctx, what.text))
        return store_why_set(why, -ECANCELED, "given up: %.300s; run it again to go on", what.text);
    c->link.pause(c->link.ctx);
    return 0;
}

void seeding_path(const struct seeding *s, const char *part, char out[PATH_MAX])
{
    (void)snprintf(out, PATH_MAX, "%s/%s", s->config->data, part);
}

int seeding_ask(struct seeding *s, uint64_t node, struct proto_seed_ask *ask,
                struct proto_seed_answer *a, struct store_why *why)
{
    const struct seed_link *link = &s->config->link;
    ask->format = SEED_FORMAT;
    ask->cluster = s->config->id.cluster;
    ask->group = s->config->id.group;
    ask->node = s->config->id.node;
    int rv = link->ask(link->ctx, node, ask, a, why);
    if (rv)
        return rv;
    if (a->format != SEED_FORMAT || a->node != node)
        return store_why_set(why, -EAGAIN, "who answers as node %" PRIu64 " is another", node);
    if (a->code == SEED_OK)
        return 0;
    return store_why_set(why, a->code == SEED_GONE ? -ESTALE : -EAGAIN, "node %" PRIu64 ": %.*s",
                         node, (int)a->text.n, a->text.p);
}

/* ---- whom to ask ---- */

static void note_answer(struct seeding *s, uint64_t node, uint64_t commit)
{
    unsigned at = s->n_there++;
    for (; at > 0 && s->known[at - 1] < commit; at--) {
        s->there[at] = s->there[at - 1];
        s->known[at] = s->known[at - 1];
    }
    s->there[at] = node;
    s->known[at] = commit;
}

/* Why one of them does not answer stands in `why`. */
static void say_too_few(const struct seeding *s, unsigned enough, struct store_why *why)
{
    const struct store_why silent = *why;
    (void)store_why_set(why, -EAGAIN, "%u of %u other nodes answer, %u are needed (%.200s)",
                        s->n_there, s->config->n_others, enough, silent.text);
}

/* Asks everybody once. True: there is a leader of the highest term, and enough have answered. */
static bool look_around(struct seeding *s, struct store_why *why)
{
    const struct seed_config *c = s->config;
    unsigned nodes = c->n_others + 1, quorum = nodes / 2 + 1;
    unsigned enough = nodes - quorum + 1; /* one of every quorum that we may have been in ... */
    if (enough < nodes / 2 + 1)           /* ... and source and witnesses, with a quorum's size */
        enough = nodes / 2 + 1;
    if (enough > c->n_others)
        enough = c->n_others;
    s->n_there = 0;
    s->term = s->least = s->facts.leader = 0;
    uint64_t leader_term = 0;
    for (unsigned i = 0; i < c->n_others; i++) {
        struct proto_seed_ask ask = {.kind = SEED_HELLO};
        struct proto_seed_answer a;
        if (seeding_ask(s, c->others[i], &ask, &a, why) != 0)
            continue;
        note_answer(s, c->others[i], a.commit);
        if (a.term > s->term)
            s->term = a.term;
        if (a.firm && a.leader == c->others[i] && a.term > leader_term) {
            leader_term = a.term;
            s->facts.leader = a.leader;
            s->least = a.last;
        }
    }
    if (s->n_there < enough)
        say_too_few(s, enough, why);
    else if (s->facts.leader == 0 || leader_term < s->term)
        (void)store_why_set(why, -EAGAIN,
                            "no node leads that knows what is committed (%u of %u others answer)",
                            s->n_there, c->n_others);
    else
        return true;
    return false;
}

static int find_cluster(struct seeding *s, struct store_why *why)
{
    const struct seed_config *c = s->config;
    unsigned patience = c->patience ? c->patience : PATIENCE;
    if (c->n_others == 0)
        return store_why_set(why, -EINVAL, "the cluster has no other node");
    for (unsigned i = 0; i < patience; i++) {
        if (look_around(s, why))
            return 0;
        int rv = seeding_wait(s, why);
        if (rv)
            return rv;
    }
    return -EAGAIN;
}

/* A follower rather than the leader, which has enough to do; at every further attempt another one,
 * the leader last. If it is there, the one whose copy we have begun. */
static void choose_source(struct seeding *s)
{
    uint64_t order[SEED_OTHERS_MAX];
    unsigned n = 0;
    if (s->installed)
        return;
    for (unsigned i = 0; i < s->n_there; i++) {
        if (s->copy > 0 && s->there[i] == s->facts.source)
            return;
        if (s->there[i] != s->facts.leader)
            order[n++] = s->there[i];
    }
    order[n++] = s->facts.leader;
    s->copy = 0;
    s->facts.source = order[s->attempt++ % n];
}

/* ---- the directory ---- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static void remove_part(const struct seeding *s, const char *part)
{
    char path[PATH_MAX];
    seeding_path(s, part, path);
    (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static int begin(struct seeding *s, int *lock, struct store_why *why)
{
    char path[PATH_MAX];
    struct stat st;
    if (strlen(s->config->data) > PATH_MAX - 128)
        return store_why_set(why, -ENAMETOOLONG, "path too long: %s", s->config->data);
    seeding_path(s, "seed", path);
    if (stat(path, &st) == 0) {
        int rv = data_dir_resume(s->config->data, lock, why);
        return rv ? rv : seed_progress_load(s, why);
    }
    int rv = data_dir_begin(s->config->data, lock, why);
    if (rv)
        return rv;
    rv = env_make_dir(path, why);
    if (rv) { /* the next run would take a lock for somebody's directory */
        remove_part(s, "LOCK");
        data_dir_release(*lock);
    }
    return rv;
}

static int finish(struct seeding *s, int lock, struct store_why *why)
{
    /* Ours is spent: whoever we may have voted for in this term, we vote for nobody else. */
    const struct node_vote vote = {.term = s->term > s->meta.applied_term ? s->term
                                                                          : s->meta.applied_term,
                                   .voted_for = s->config->id.node,
                                   .incarnation = s->config->incarnation};
    int rv = data_dir_end_or_keep(s->config->data, lock, &s->config->id, &vote, why);
    if (rv == 0)
        remove_part(s, "seed");
    return rv;
}

/* From wherever it is to the end. -EAGAIN: somebody did not answer; it may go on from here. */
static int seed_once(struct seeding *s, struct store_why *why)
{
    s->facts.witnesses = 0;
    int rv = find_cluster(s, why);
    if (rv == 0)
        choose_source(s);
    if (rv == 0 && !s->installed)
        rv = seed_copy_fetch(s, why);
    if (rv == 0)
        rv = seed_forward(s, why);
    state_store_close(s->state);
    log_store_close(s->log);
    s->state = NULL;
    s->log = NULL;
    return rv;
}

int seed_node(const struct seed_config *config, struct seed_facts *out, struct store_why *why)
{
    struct seeding s = {.config = config};
    int lock = -1;
    int rv = begin(&s, &lock, why);
    if (rv)
        return rv;
    rv = -EAGAIN;
    for (unsigned i = 0; rv == -EAGAIN && i < TRIES; i++)
        rv = seed_once(&s, why);
    *out = s.facts;
    if (rv == 0)
        return finish(&s, lock, why);
    if (rv == -EUCLEAN || rv == -ESTALE) { /* nothing of it is to be believed, or can go on */
        static const char *const parts[] = {"seed", "state", "log", "LOCK"};
        for (unsigned i = 0; i < sizeof parts / sizeof *parts; i++)
            remove_part(&s, parts[i]);
    }
    data_dir_release(lock);
    return rv;
}
