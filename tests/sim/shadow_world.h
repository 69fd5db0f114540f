/* SPDX-License-Identifier: Apache-2.0
 * One seed's world: two machines, their shadow, and the commands of the next entry.
 */
#ifndef HOLDFAST_TESTS_SHADOW_WORLD_H
#define HOLDFAST_TESTS_SHADOW_WORLD_H

#include "shadow.h"
#include "shadow_rig.h"

#define SECOND INT64_C(1000000)

enum { BATCH = 8, OLD = 300, BYTES_MAX = 4096 };

struct sent {
    uint8_t bytes[BYTES_MAX];
    uint32_t n;
};

struct world {
    struct rig rig;
    struct shadow shadow;
    struct sent old[OLD]; /* sealed, to be sent again */
    unsigned olds;
    struct sent now[BATCH];
    uint32_t n;
    uint64_t seed, term, ids;
    int64_t clock_us;
    int64_t scale; /* of amounts */
    uint32_t secrets, references;
    uint32_t live_secret[SHADOW_ORGS][SHADOW_KEYS];
    int64_t hours, entries;
    uint64_t commands, oks;
};

extern struct world w;

/* ---- shadow_make.c: what is sent ---- */
uint64_t rnd(uint64_t below);
bool one_in(uint64_t n);
void make_one(void);
void make_key(unsigned org);
void make_begin(void); /* genesis, orgs, teams: one entry */
/* Key numbers and secrets as the shadow knows them now. */
void learn_secrets(void);
void pass_time(void);

#endif
