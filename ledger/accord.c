/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/accord.h"

#include <string.h>

static const struct accord_peer *find(const struct accord *a, uint64_t id)
{
    for (unsigned i = 0; i < PUMP_SERVERS_MAX; i++)
        if (id != 0 && a->peers[i].id == id)
            return &a->peers[i];
    return NULL;
}

/* A stranger finds no room in a full table: it is not asked for its opinion either. */
static struct accord_peer *find_or_add(struct accord *a, uint64_t id)
{
    struct accord_peer *free_slot = NULL;
    for (unsigned i = 0; i < PUMP_SERVERS_MAX; i++) {
        if (a->peers[i].id == id)
            return &a->peers[i];
        if (a->peers[i].id == 0 && !free_slot)
            free_slot = &a->peers[i];
    }
    if (free_slot)
        *free_slot = (struct accord_peer){.id = id};
    return free_slot;
}

/* Those that differed before may have been mended meanwhile. */
static void ask_others_again(struct accord *a, const struct accord_peer *but)
{
    for (unsigned i = 0; i < PUMP_SERVERS_MAX; i++)
        if (&a->peers[i] != but && a->peers[i].with == ACCORD_DIFFERS)
            a->peers[i].again = true;
}

void accord_heard(struct accord *a, uint64_t peer, const struct notice *said,
                  const struct proto_hash *ours)
{
    struct accord_peer *p = find_or_add(a, peer);
    if (!p)
        return;
    p->applied = said->applied;
    if (!ours || said->index == 0)
        return;
    if (memcmp(ours->b, said->chain.b, sizeof ours->b) == 0) {
        if (said->index < p->parted) {
            p->again = true; /* it stands where we were one still */
            return;
        }
        if (p->with != ACCORD_AGREES || said->index > p->compared)
            p->compared = said->index;
        p->with = ACCORD_AGREES;
        p->parted = 0;
        p->again = false;
        return;
    }
    if (p->with != ACCORD_DIFFERS)
        ask_others_again(a, p);
    p->compared = said->index;
    p->with = ACCORD_DIFFERS;
    p->again = false;
    if (p->parted == 0 || said->index < p->parted)
        p->parted = said->index;
    p->ours = *ours;
    p->theirs = said->chain;
}

void accord_doubt(struct accord *a, uint64_t index)
{
    if (a->doubt || a->verdict == ACCORD_MINORITY)
        return;
    a->doubt = true;
    a->doubted = index;
    a->verdict = ACCORD_DISPUTED;
    for (unsigned i = 0; i < PUMP_SERVERS_MAX; i++)
        a->peers[i].with = ACCORD_UNKNOWN;
}

uint64_t accord_index_for(const struct accord *a, uint64_t peer, uint64_t own)
{
    const struct accord_peer *p = find(a, peer);
    return p && p->applied > 0 && p->applied < own ? p->applied : own;
}

/* From where on an agreement says who is right; 0: nobody is wrong. */
static uint64_t disputed_from(const struct accord *a, const struct pump_peer *peers, unsigned n)
{
    uint64_t from = a->doubt ? a->doubted : 0;
    for (unsigned i = 0; i < n; i++) {
        const struct accord_peer *p = find(a, peers[i].id);
        if (p && peers[i].voter && p->with == ACCORD_DIFFERS && p->parted > from)
            from = p->parted;
    }
    return from;
}

enum accord_verdict accord_judge(struct accord *a, const struct pump_peer *peers, unsigned n,
                                 bool we_vote)
{
    const uint64_t from = disputed_from(a, peers, n);
    unsigned voters = we_vote, agree = we_vote, differ = 0, unknown = 0, open = 0;
    if (a->verdict == ACCORD_MINORITY)
        return a->verdict;
    for (unsigned i = 0; i < n; i++) {
        const struct accord_peer *p = find(a, peers[i].id);
        enum accord_with with = p ? p->with : ACCORD_UNKNOWN;
        if (!peers[i].voter)
            continue;
        if (with == ACCORD_AGREES && p->compared < from)
            with = ACCORD_UNKNOWN;
        bool again = with == ACCORD_DIFFERS && p->again;
        voters++;
        agree += with == ACCORD_AGREES;
        differ += with == ACCORD_DIFFERS && !again;
        unknown += with == ACCORD_UNKNOWN || again;
        open += again;
    }
    unsigned majority = voters / 2 + 1;
    if (agree >= majority)
        a->doubt = false;
    if (agree >= majority || (differ == 0 && open == 0 && !a->doubt))
        a->verdict = ACCORD_SOUND;
    else if (agree + unknown < majority)
        a->verdict = ACCORD_MINORITY;
    else
        a->verdict = ACCORD_DISPUTED;
    return a->verdict;
}

const struct accord_peer *accord_other(const struct accord *a)
{
    for (unsigned i = 0; i < PUMP_SERVERS_MAX; i++)
        if (a->peers[i].id != 0 && a->peers[i].with == ACCORD_DIFFERS)
            return &a->peers[i];
    return NULL;
}
