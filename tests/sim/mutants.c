/* SPDX-License-Identifier: Apache-2.0
 * Bugs that can be switched on, to show that the simulator notices. Those of the disk are in
 * disk.c, those of the host in replica.c; these stand between the shipped objects: the linker calls
 * __wrap_NAME for NAME (see CMakeLists.txt), and the shipped code itself stays as it is.
 */
#include "tests/sim/world.h"

#include "tests/sim/engine.h"

#include "ledger/core/machine.h"
#include "ledger/raft/engine_heap.h"
#include "ledger/raft/pump_state.h"
#include "ledger/seed/digest.h"
#include "proto/level.h"

#include <stdlib.h>

enum sim_mutation sim_mutation;
int64_t sim_wall_us = INT64_MIN;
int sim_running;
int sim_alloc_left = -1;
unsigned sim_alloc_failed;
uint32_t sim_level[8];

#define WRAP(result, name, ...)                                                                    \
    result __real_##name(__VA_ARGS__);                                                             \
    result __wrap_##name(__VA_ARGS__);                                                             \
    result __wrap_##name(__VA_ARGS__)

WRAP(bool, core_dedup_find, struct core_machine *m, struct core_call *x)
{
    return sim_mutation != SIM_skip_dedup && __real_core_dedup_find(m, x);
}

WRAP(struct core_closed *, core_closed_get, struct core_machine *m, const struct proto_uuid *org,
     const struct proto_uuid *id)
{
    return sim_mutation == SIM_forget_closed ? NULL : __real_core_closed_get(m, org, id);
}

WRAP(void, core_transfer, struct core_machine *m, const struct proto_uuid *org_id,
     struct core_org *org, enum core_account from, enum core_account to, int64_t amount,
     enum core_transfer_kind kind, const struct proto_uuid *ref)
{
    __real_core_transfer(m, org_id, org, from, to, amount, kind, ref);
    if (sim_mutation == SIM_charge_twice && kind == CORE_TRANSFER_COST)
        __real_core_transfer(m, org_id, org, CORE_AVAILABLE, to, amount / 1000, kind, ref);
}

WRAP(void, core_hold_counters, struct core_machine *m, const struct proto_uuid *org_id,
     const struct core_hold *h, int64_t spent, int64_t overrun)
{
    if (sim_mutation != SIM_keep_held || spent > 0)
        __real_core_hold_counters(m, org_id, h, spent, overrun);
}

WRAP(enum proto_code, core_limit_check, const struct core_lines *lines,
     const struct proto_uuid *org, int64_t amount, bool last, struct proto_result *r,
     bool *downgrade)
{
    return sim_mutation == SIM_skip_budgets
               ? PROTO_OK
               : __real_core_limit_check(lines, org, amount, last, r, downgrade);
}

WRAP(struct core_window, core_window_at, unsigned window, unsigned billing_day, int64_t time_us)
{
    return __real_core_window_at(window, billing_day,
                                 time_us - (sim_mutation == SIM_window_off_by_one));
}

WRAP(const struct core_open *, core_open_heap_first, const struct core_open_heap *h)
{
    if (sim_mutation == SIM_expiry_order && sim_running % 2 == 1 && h->n > 1 &&
        h->nodes[h->heap[1]].deadline_us <= sim_wall_us)
        return &h->nodes[h->heap[1]];
    return __real_core_open_heap_first(h);
}

WRAP(uint32_t, core_expire, struct core_machine *m, struct proto_sha256 *tail)
{
    int64_t clock_us = m->at.clock_us;
    if (sim_mutation == SIM_expire_by_local_clock && sim_wall_us > clock_us)
        m->at.clock_us = sim_wall_us;
    uint32_t n = __real_core_expire(m, tail);
    m->at.clock_us = clock_us;
    return n;
}

WRAP(int, core_machine_apply, struct core_machine *m, uint64_t index, uint64_t term,
     const void *payload, size_t n, struct core_outcome *out)
{
    if (sim_mutation == SIM_clock_goes_back)
        m->at.clock_us = 0;
    return __real_core_machine_apply(m, index, term, payload, n, out);
}

WRAP(void, reads_add, struct reads *r, struct serve_request *request)
{
    struct node *n = (struct node *)(void *)((char *)r - offsetof(struct node, reads));
    if (sim_mutation == SIM_leader_read) {
        node_answer_query(n, request);
        return;
    }
    __real_reads_add(r, request);
    if (sim_mutation == SIM_read_rides_early && n->intake.flights > 0) {
        const struct intake_flight *last =
            &n->intake.flight[(n->intake.flight_first + n->intake.flights - 1) % INTAKE_FLIGHTS];
        reads_ride(r, last->index, last->term);
    }
}

/* What more than half of `voters` hold, if the copies of all in `among` count. */
static raft_index agreed(const struct raft *r, unsigned among, unsigned voters)
{
    raft_index best = 0;
    for (unsigned id = 1; id <= SIM_NODES; id++) {
        raft_index at = 0;
        unsigned copies = 0;
        if ((among >> id & 1) && raft_match_index(r, id, &at) == 0)
            for (unsigned other = 1; other <= SIM_NODES; other++) {
                raft_index match = 0;
                copies +=
                    (among >> other & 1) && raft_match_index(r, other, &match) == 0 && match >= at;
            }
        if (2 * copies > voters && at > best)
            best = at;
    }
    return best;
}

static raft_index old_majority(const struct raft *r)
{
    const struct log_conf *c = &((const struct pump *)(const void *)r)->applied_conf;
    unsigned among = c->len > 0 ? engine_voters(c->data, c->len) : 0;
    return agreed(r, among, (unsigned)__builtin_popcount(among));
}

static raft_index joining_votes(const struct raft *r)
{
    const struct raft_configuration *c = &r->configuration;
    unsigned among = 0, voters = 0;
    for (unsigned i = 0; i < c->n; i++) {
        among |= 1u << c->servers[i].id;
        voters += c->servers[i].role == RAFT_VOTER;
    }
    return agreed(r, among, voters);
}

WRAP(raft_index, raft_commit_index, const struct raft *r)
{
    raft_index commit = __real_raft_commit_index(r), wrong = 0;
    if (r->state != RAFT_LEADER)
        return commit;
    if (sim_mutation == SIM_commit_alone)
        return r->last_stored;
    if (sim_mutation == SIM_old_majority)
        wrong = old_majority(r);
    if (sim_mutation == SIM_joining_votes)
        wrong = joining_votes(r);
    return wrong > commit ? wrong : commit;
}

WRAP(void, intake_drop_all, struct intake *in, enum proto_reply_status waiting)
{
    if (sim_mutation == SIM_unknown_as_refused)
        for (struct serve_request *r = in->requests; r; r = r->next)
            r->proposed = false;
    __real_intake_drop_all(in, waiting);
}

WRAP(enum accord_verdict, accord_judge, struct accord *a, const struct pump_peer *peers, unsigned n,
     bool we_vote)
{
    if (sim_mutation == SIM_diverged_goes_on)
        return ACCORD_SOUND;
    if (sim_mutation == SIM_stale_agreement)
        for (unsigned i = 0; i < PUMP_SERVERS_MAX; i++)
            if (a->peers[i].with == ACCORD_AGREES)
                a->peers[i].compared = UINT64_MAX;
    enum accord_verdict v = __real_accord_judge(a, peers, n, we_vote);
    if (sim_mutation == SIM_right_one_stops && v == ACCORD_DISPUTED)
        v = a->verdict = ACCORD_MINORITY;
    return v;
}

WRAP(bool, node_may_decide, const struct node *n)
{
    return sim_mutation == SIM_disputed_decides || __real_node_may_decide(n);
}

WRAP(int, seed_digest, struct state_store *s, struct state_meta *meta, struct proto_hash *out,
     struct store_why *why)
{
    int rv = __real_seed_digest(s, meta, out, why);
    if (sim_mutation == SIM_seed_unverified)
        *out = (struct proto_hash){{0}};
    return rv;
}

/* ---- feature levels: of the program that is running ---- */

WRAP(uint32_t, proto_level_known, void)
{
    (void)__real_proto_level_known;
    return sim_running > 0 ? sim_level[sim_running] : SIM_LEVELS;
}

/* What came with which level, in this history. */
WRAP(uint32_t, proto_level_of, unsigned kind)
{
    (void)__real_proto_level_of;
    return kind == PROTO_CMD_extend ? 2 : kind == PROTO_CMD_cluster_transfer ? 3 : 1;
}

WRAP(enum proto_code, node_admit, void *ctx, const struct serve_command *c, const char **reason)
{
    enum proto_code code = __real_node_admit(ctx, c, reason);
    bool raise = proto_command_kind(c->p, c->n) == PROTO_CMD_feature_level;
    if (sim_mutation == SIM_level_unasked && raise && code == PROTO_CLUSTER_NOT_READY)
        return PROTO_OK;
    if (sim_mutation == SIM_level_unchecked && code == PROTO_LEVEL_TOO_LOW)
        return PROTO_OK;
    return code;
}

/* ---- no memory ---- */

static bool no_memory(void)
{
    if (sim_running == 0 || sim_alloc_left < 0 || sim_host || sim_alloc_left-- > 0)
        return false;
    sim_alloc_failed++;
    return true;
}

WRAP(void *, malloc, size_t n)
{
    return no_memory() ? NULL : __real_malloc(n);
}

WRAP(void *, calloc, size_t n, size_t size)
{
    return no_memory() ? NULL : __real_calloc(n, size);
}

WRAP(void *, realloc, void *p, size_t n)
{
    return no_memory() ? NULL : __real_realloc(p, n);
}

/* libraft is never refused any: the process would end (ledger/raft/engine_heap.h). */

static void *heap_malloc(void *data, size_t n)
{
    (void)data;
    return __real_malloc(n);
}

static void *heap_calloc(void *data, size_t n, size_t size)
{
    (void)data;
    return __real_calloc(n, size);
}

static void *heap_realloc(void *data, void *p, size_t n)
{
    (void)data;
    return __real_realloc(p, n);
}

static void heap_free(void *data, void *p)
{
    (void)data;
    free(p);
}

WRAP(void, engine_heap_use, void)
{
    static struct raft_heap heap = {
        .malloc = heap_malloc, .free = heap_free, .calloc = heap_calloc, .realloc = heap_realloc};
    (void)__real_engine_heap_use;
    raft_heap_set(&heap);
}
