/* SPDX-License-Identifier: Apache-2.0
 * Who the load is from: orgs, each with one team and some keys, all derived from a name, so that a
 * population of millions takes no memory and a later run finds it again. The keys are not secret:
 * whoever knows the name has them. Never make one on a ledger that matters.
 */
#ifndef HOLDFAST_BENCH_POPULATION_H
#define HOLDFAST_BENCH_POPULATION_H

#include "proto/link/client.h"
#include "tools/bench/options.h"

struct population {
    struct proto_hash seed;
    unsigned orgs, keys_per_org;
    char name[64];
};

enum {
    POPULATION_KEYS_PER_ORG = 9998, /* an org holds at most 10,000 budgets: its own, the team's */
    POPULATION_DEADLINE_MS = 60000, /* of one command of the set-up */
};
#define POPULATION_LIMIT_NANOS INT64_C(1000000000000000) /* each budget's: $1,000,000 */
#define POPULATION_HOLD_NANOS INT64_C(1000000)           /* each hold */
enum { POPULATION_INPUT = 100, POPULATION_OUTPUT = 50 }; /* tokens settled */

void population_init(struct population *p, const struct bench_options *o);
void population_org(const struct population *p, unsigned org, struct proto_uuid *out);
/* What the key's holder presents. */
void population_cred(const struct population *p, unsigned org, unsigned key,
                     struct proto_hash *out);
void population_public(const struct population *p, unsigned org, unsigned key,
                       char out[PROTO_PUBLIC_MAX + 1]);

/* Makes all of it. 0, or -1 with the cause on stderr. Runs the client on the calling thread. */
__attribute__((warn_unused_result)) int population_make(const struct population *p,
                                                        struct link_client *c,
                                                        const struct proto_hash *operator_cred);
/* The active price version that has `model`; a catalogue of that one model is imported where there
 * is none at all. 0 or -1 with the cause on stderr. */
__attribute__((warn_unused_result)) int population_price(struct link_client *c, const char *model,
                                                         const struct proto_hash *operator_cred,
                                                         uint32_t *version);

#endif
