/* SPDX-License-Identifier: Apache-2.0
 * A whole cluster in one process and in simulated time: SHIPPED nodes (ledger/node_state.h: pump,
 * guards, machine, intake, answers, checkpoints, recovery) over a simulated disk, network and
 * clock, with simulated edges that send real frames. Single-threaded; one seed is one run.
 *   sim_main.c    one seed and its figures         sim_run.c      a run: faults, the heal, the end
 *   replica.c     one node: life, crashes, clocks  disk.c         its log, votes and checkpoints
 *   callers.c     edges: calls, retries, reads     promises.c     what consensus must hold
 *   truth.c       what the ledger must hold        mutants.c      bugs to be switched on
 *   lies.c        states that differ               seeding.c      lost disks, and the way back
 *   members.c     nodes that join and leave
 */
#ifndef HOLDFAST_TESTS_SIM_WORLD_H
#define HOLDFAST_TESTS_SIM_WORLD_H

#include "ledger/node_state.h"
#include "tests/sim/consensus.h"
#include "tests/sim/links.h"
#include "tests/sim/shadow.h"
#include "tests/sim/writes.h"

enum {
    SIM_NODES = LINKS_NODES,
    SIM_LOG = CONSENSUS_LOG, /* entries of a run; callers stop before */
    SIM_COMMANDS = 20000,
    SIM_CALLERS = 6,
    SIM_RPC_COMMANDS = 4,
    SIM_CLOCK_BOUND_MS = 500,
    SIM_GOOD_CLOCK_MS = 100, /* good clocks are wrong by less */
};
#define SIM_DISK_BYTES (UINT64_C(100) << 30)
#define SIM_START_US (INT64_C(1767225600000000) + INT64_C(3600000000) - INT64_C(6000000))

enum sim_event_kind {
    SIM_MESSAGE = 1, /* data: struct link_message */
    SIM_DISK,        /* a log write may be done */
    SIM_STATE,       /* a checkpoint is on disk; the node hears of it */
    SIM_TIMER,
    SIM_REQUEST, /* data: struct sim_rpc */
    SIM_REPLY,   /* data: struct sim_rpc; node: caller */
    SIM_CALLER,  /* a caller acts; node: caller */
    SIM_RESTART,
    SIM_FAULT,
    SIM_QUERY,    /* somebody asks this node */
    SIM_GONE,     /* a connection seems to be dead; data: the peer */
    SIM_SEED,     /* a node without a disk is seeded */
    SIM_OPERATOR, /* somebody looks after nodes that have stopped */
    SIM_MEMBERS,  /* the operator of a run about members acts */
};

/* ---- mutants: bugs that the checkers must find (mutants.c) ---- */
enum sim_mutation {
    SIM_NONE,
#define SIM_MUTATIONS(X)                                                                           \
    X(ack_before_fsync, 10, "a log write is reported before it is on disk")                        \
    X(forget_vote, 10, "the vote is not written with the term")                                    \
    X(forget_term, 10, "term and vote are not written")                                            \
    X(lose_truncation, 300, "a log write does not drop what stood there before")                   \
    X(guard_order, 10, "pump guard 2 off: overtaken and repeated messages are taken")              \
    X(guard_pre_vote, 0, "pump guard 3 off: a pre-vote's rejection hides the higher term")         \
    X(guard_commit_max, 0, "pump guard 4 off: the commit index may go back")                       \
    X(guard_persisted, 1000, "pump guard 6 off: writes that will be overwritten are reported")     \
    X(commit_alone, 10, "a leader takes its own copy for a majority")                              \
    X(read_rides_early, 6000, "a query rides on an entry that was proposed before it came")        \
    X(checkpoint_ahead, 50, "a checkpoint names an index ahead of its records")                    \
    X(no_clock_guard, 300, "a leader's clock is never compared")                                   \
    X(expire_by_local_clock, 10, "holds expire by the node's own clock")                           \
    X(clock_goes_back, 300, "replicated time is the stamp, not the highest so far")                \
    X(skip_dedup, 10, "a repeated command is run again")                                           \
    X(forget_closed, 10, "a decided hold is not remembered")                                       \
    X(charge_twice, 10, "a settlement's cost moves twice")                                         \
    X(keep_held, 10, "a hold's end leaves its amount in the budget")                               \
    X(skip_budgets, 10, "no budget refuses")                                                       \
    X(window_off_by_one, 300, "a window's first instant counts to the one before")                 \
    X(expiry_order, 300, "due holds expire in an order that differs between nodes")                \
    X(stale_read, 10, "a query is answered at once from what is applied")                          \
    X(leader_read, 1000, "a leader answers queries without asking a majority")                     \
    X(unknown_as_refused, 200, "what was under way when leadership is lost is called refused")     \
    X(checkpoint_early, 20, "a checkpoint is reported before it is on disk")                       \
    X(checkpoint_torn, 50, "a checkpoint's position is written before its records")                \
    X(checkpoint_behind, 50, "a checkpoint names an index before its records")                     \
    X(checkpoint_loses_record, 20, "a checkpoint leaves one record out")                           \
    X(restart_forgets_open, 300, "a restart does not read the open holds")                         \
    X(mark_lost, 2000, "a node that has diverged does not mark its directory")                     \
    X(diverged_goes_on, 300, "a node whose state differs from the others' never stops")            \
    X(disputed_decides, 1000, "a node decides and answers while states are disputed")              \
    X(stale_agreement, 1000, "an agreement of before the dispute counts")                          \
    X(right_one_stops, 500, "a node stops for good at the first word against it")                  \
    X(level_unasked, 500, "a level is raised without asking who knows it")                         \
    X(level_unchecked, 300, "a leader proposes commands of a level that is not in force")          \
    X(seed_any_end, 3000, "a seeding ends before the end of the leader's log")                     \
    X(seed_unverified, 6000, "a seeding does not compare records with a witness")                  \
    X(old_majority, 1000, "a leader counts by the configuration applied last")                     \
    X(joining_votes, 1000, "a leader counts the copy of a node that joins")                        \
    X(hasty_operator, 300, "a removal counts as done before it is committed")
#define X(name, seeds, text) SIM_##name,
    SIM_MUTATIONS(X)
#undef X
        SIM_MUTATION_COUNT
};
extern enum sim_mutation sim_mutation; /* one at a time, for the whole process */
extern int64_t sim_wall_us;            /* of the node that is running; INT64_MIN: none */
extern int sim_running;                /* its id */
/* The node that is running gets no memory after so many more allocations; < 0: it does. */
extern int sim_alloc_left;
extern unsigned sim_alloc_failed;
/* The highest feature level that each node's program knows; 0: what checkers know. */
enum { SIM_LEVELS = 3 };
extern uint32_t sim_level[8];

/* ---- what a disk holds ---- */
struct sim_entry {
    uint64_t term;
    const uint8_t *data;
    uint32_t len;
    uint8_t kind;
};
struct sim_record {
    const uint8_t *key, *value;
    size_t klen, vlen;
};
/* A checkpoint; never changed once made. */
struct sim_state {
    struct state_meta meta;
    struct sim_record *record; /* by key */
    size_t n, cap;
};

struct sim_world;

struct sim_node {
    struct sim_world *w;
    int id;
    bool outside; /* its operator does not run it */
    struct node_config config;
    bool up;
    uint64_t life;        /* counts starts and crashes: events of an earlier life are void */
    bool dying;           /* a fault struck inside a callback: nothing gets out any more */
    struct node *node;    /* the shipped object */
    uint32_t level;       /* that its program knows: rises with a restart */
    unsigned file, knows; /* bits by id: its cluster.conf; whom its process dials */
    unsigned voters;      /* bits by id, by the newest configuration in its log; 0: not known */
    /* disk */
    uint64_t term, vote, incarnation;
    struct sim_entry log[SIM_LOG + 1];
    uint64_t first, last; /* before `first`: trimmed; known from outside only */
    struct sim_state *seeded;
    uint64_t forgot;                        /* its log ended here before it was emptied */
    bool lost;                              /* it has none until it is seeded ... */
    uint64_t lost_last, lost_ms;            /* ... and its log ended here */
    const struct sim_state *durable, *seen; /* newest checkpoint; the one that is read */
    const struct sim_state *writing;        /* NULL: none */
    bool state_told;
    uint64_t writing_index;  /* the node calls it so */
    uint64_t full_until_ms;  /* every write fails */
    uint64_t short_until_ms; /* nearly full: there is room for what is open only */
    struct log_entry *page;
    unsigned page_cap;
    /* memory */
    struct writes writes;
    struct serve_request *replied_to[1024];
    struct net_frame *reply[1024]; /* of the event being handled */
    unsigned replies;
    int64_t stamp_us;               /* of an entry that it proposed in this event; 0: none */
    uint64_t applied, committed;    /* checked so far, in this life */
    uint64_t newest[SIM_NODES + 1]; /* message taken from each, in this life: its order */
    uint64_t timer_ms;
    uint64_t paused_until_ms;
    /* a state that lies */
    bool lies;          /* a record was changed behind its back */
    bool marked;        /* its directory is not to be served */
    uint64_t judged_ms; /* when it said so */
    uint64_t judged;    /* the life in which it said so; 0: it has not */
    uint64_t parted;    /* in this life: its chain is another one from here on; 0: not yet */
    bool hears, told;   /* a message shows it, in this event; before */
    /* clocks */
    uint64_t mono_ms;  /* at now 0 */
    int64_t offset_us; /* of the wall clock */
    int drift_ppm;
    int64_t coarse_us;        /* the wall clock ticks so */
    bool bad_clock;           /* may leave the bound */
    unsigned disk_ms, net_ms; /* slow ones have more */
};

/* ---- callers ---- */
struct sim_command {
    uint8_t kind;
    const uint8_t *bytes; /* as callers send it */
    uint32_t n;
    unsigned attempts, refusals; /* requests that carried it; refused as never proposed */
    unsigned results, effects;   /* in the log; of them OK and not a duplicate */
    uint64_t effect_index;
    bool answered; /* OK */
};
struct sim_rpc {
    int caller, node;
    uint64_t attempt; /* the caller's, at sending */
    unsigned n;
    uint32_t command[SIM_RPC_COMMANDS]; /* numbers; n = 0: a query */
    bool stale;
    uint64_t acked; /* highest index acknowledged to anybody when it was sent */
    const uint8_t *bytes;
    size_t len;
    /* reply */
    unsigned status;
    uint32_t leader;
    uint16_t code[SIM_RPC_COMMANDS];
    uint32_t created;
};
enum sim_step {
    SIM_IDLE,
    SIM_SETUP,
    SIM_RESERVING,
    SIM_HOLDING,
    SIM_EXTENDING,
    SIM_ENDING,
    SIM_CHANGING, /* the operator of a run about members */
};
struct sim_caller {
    int id;
    enum sim_step step;
    unsigned setup;   /* of the administrator: commands done */
    uint32_t command; /* under way */
    struct proto_uuid hold;
    int64_t amount;
    int leader;           /* it believes */
    bool stubborn;        /* holds on to it */
    uint64_t attempt;     /* what belongs to an earlier one is void */
    bool waiting, hinted; /* for a reply; a reply said where to go */
    unsigned tries;
};

/* ---- who is in the cluster ---- */
enum sim_plan { SIM_AT_REST, SIM_ADDING, SIM_REMOVING, SIM_STOPPING };
struct sim_members {
    bool on;         /* the run is about members; else all nodes are in, from first to last */
    unsigned listed; /* bits by id: in the operator's cluster.conf */
    enum sim_plan plan;
    int node; /* it is about */
    uint64_t since_ms, next_ms;
};

#define SIM_COUNTERS(X)                                                                            \
    X(simulated_ms)                                                                                \
    X(entries)                                                                                     \
    X(effects)                                                                                     \
    X(answers)                                                                                     \
    X(reads)                                                                                       \
    X(unknown)                                                                                     \
    X(refused)                                                                                     \
    X(expired_holds)                                                                               \
    X(leaders)                                                                                     \
    X(transfers)                                                                                   \
    X(crashes)                                                                                     \
    X(crashes_inside_an_effect)                                                                    \
    X(stops)                                                                                       \
    X(pauses)                                                                                      \
    X(slow_links)                                                                                  \
    X(depositions)                                                                                 \
    X(connections_gone)                                                                            \
    X(allocations_failed)                                                                          \
    X(clock_jumps)                                                                                 \
    X(short_disks)                                                                                 \
    X(states_spoiled)                                                                              \
    X(states_parted)                                                                               \
    X(nodes_diverged)                                                                              \
    X(wrong_answers)                                                                               \
    X(contradictions)                                                                              \
    X(rebuilds)                                                                                    \
    X(disks_lost)                                                                                  \
    X(seedings)                                                                                    \
    X(seedings_resumed)                                                                            \
    X(seedings_in_vain)                                                                            \
    X(trims)                                                                                       \
    X(nodes_added)                                                                                 \
    X(nodes_removed)                                                                               \
    X(changes_taken_back)                                                                          \
    X(levels_raised)                                                                               \
    X(level_refusals)                                                                              \
    X(upgrades)                                                                                    \
    X(transfers_commanded)                                                                         \
    X(full_disks)                                                                                  \
    X(checkpoints)                                                                                 \
    X(messages)                                                                                    \
    X(requests)
struct sim_counters {
#define X(name) uint64_t name;
    SIM_COUNTERS(X)
#undef X
};

struct sim_faults {
    unsigned lose, repeat, delay, die, stall, fail, crash, cut, pause, jump, transfer, stop,
        dup_request, lag, gone, depose, room, oom, spoil, trim, wipe;
};

struct sim_world {
    struct sim_random random;
    struct sim_events events;
    uint64_t seed, now_ms, heal_ms, end_ms, next_check_ms;
    uint64_t seeded_ms; /* when the last lost disk was back */
    int n;
    struct sim_node node[SIM_NODES + 1]; /* 1 .. n */
    struct links links;
    bool over;              /* nodes that go down now did not crash */
    bool faulty;            /* until the heal */
    bool lied;              /* some node's state was spoiled */
    uint64_t trail;         /* entries that trimming leaves */
    bool operated;          /* somebody looks after nodes that stop */
    bool moved;             /* a disk was lost */
    bool seeding;           /* one is on its way */
    bool mixed;             /* programs of several versions */
    bool harsh;             /* a run for consensus rather than for money */
    struct sim_faults rate; /* permille, or per 100,000 where rare */
    struct sim_members members;
    struct cluster_conf cluster;
    struct sim_caller caller[SIM_CALLERS];
    unsigned callers;
    struct sim_command *command; /* by number, from 1 */
    uint32_t commands;
    unsigned org_count;
    struct consensus consensus;
    /* truth.c */
    struct core_machine *oracle;
    uint64_t applied; /* 1 .. applied were applied somewhere */
    struct sim_entry truth[SIM_LOG + 1];
    struct proto_hash chain[SIM_LOG + 1];
    int64_t clock_us[SIM_LOG + 1];
    struct core_balances balance[SIM_LOG + 1][SHADOW_ORGS];
    struct {
        const uint8_t *bytes;
        const struct core_item *items;
        uint32_t n;
        const uint32_t *command; /* numbers; 0: not a caller's */
    } results[SIM_LOG + 1];
    uint64_t acked; /* highest index acknowledged */
    uint64_t answers_at_heal;
    bool failed, trace;
    char failure[400];
    struct sim_counters counters;
};

/* ---- sim_run.c ---- */
void sim_run(struct sim_world *w, uint64_t seed);
void sim_advance(struct sim_world *w, uint64_t ms); /* not inside a node's event */
void sim_world_close(struct sim_world *w);
void *sim_alloc(struct sim_world *w, size_t n); /* zeroed; until the run ends */
const void *sim_copy(struct sim_world *w, const void *p, size_t n);
/* The first failure counts; the run ends after the event. */
__attribute__((format(printf, 2, 3))) void sim_fail(struct sim_world *w, const char *format, ...);
__attribute__((format(printf, 2, 3))) void sim_say(struct sim_world *w, const char *format, ...);
bool sim_rarely(struct sim_world *w, unsigned per_100000); /* only while faulty */
bool sim_often(struct sim_world *w, unsigned permille);    /* only while faulty */
int64_t sim_true_us(const struct sim_world *w);

/* ---- disk.c ---- */
void disk_io(struct node_io *io);
void disk_recover(struct sim_node *n, struct log_recovered *r);
/* A process that ends in order writes what is queued. */
void disk_flush(struct sim_node *n);
/* Power is lost: some of what was under way made it. */
void disk_crash(struct sim_node *n);
bool disk_write_done(struct sim_node *n, uint64_t *first, uint64_t *last);
bool disk_state_done(struct sim_node *n);
/* Its newest checkpoint, written or being written, with these changes. */
const struct sim_state *disk_with(struct sim_node *n, const struct state_changes *changes);
int disk_scan(const struct sim_state *s, const void *prefix, size_t plen, const void *from,
              size_t flen, state_visit *visit, void *arg);

/* ---- replica.c ---- */
void replica_start(struct sim_node *n);
void replica_crash(struct sim_node *n, const char *why);
void replica_handle(struct sim_node *n, const struct sim_event *e);
struct pump_now replica_now(const struct sim_node *n);
void replica_transfer(struct sim_node *n);
void replica_set_drift(struct sim_node *n, int ppm);   /* from now on */
void replica_trim(struct sim_node *n, uint64_t first); /* retention wants no more */
void replica_stop(struct sim_node *n);                 /* in order, as by SIGTERM */
/* Inside callbacks: from now on nothing gets out. */
bool replica_dies(struct sim_node *n);

/* ---- callers.c ---- */
void callers_open(struct sim_world *w);
void callers_act(struct sim_world *w, int caller);
void callers_ask(struct sim_world *w, int node);
void callers_reply(struct sim_world *w, struct sim_rpc *rpc);

/* ---- promises.c, truth.c ---- */
void promises_check(struct sim_node *n);  /* after every event */
void promises_change(struct sim_node *n); /* before its newest configuration is another one */
void promises_send(struct sim_node *n, const void *head, size_t head_len, const void *body,
                   size_t body_len);
void promises_logs(struct sim_world *w);
void promises_liveness(struct sim_world *w);
void truth_open(struct sim_world *w);
void truth_close(struct sim_world *w);
/* Entry `index` is applied on n, whose disk must hold it. */
void truth_applied(struct sim_node *n, uint64_t index);
/* A reply leaves n; fills in the rpc for the caller. */
void truth_reply(struct sim_node *n, struct sim_rpc *rpc, const void *bytes, size_t len);
void truth_end(struct sim_world *w);

/* ---- lies.c ---- */
unsigned lies_minority(const struct sim_world *w);
void lies_strike(struct sim_node *n); /* at most a minority */
void lies_started(struct sim_node *n, const struct core_position *at);
void lies_parted(struct sim_node *n, uint64_t index);
bool lies_shown_by(const struct sim_node *n, const void *message, size_t len);
void lies_judged(struct sim_node *n, const char *text); /* by itself */
bool lies_may_act(const struct sim_node *n);
void lies_rebuild(struct sim_node *n, bool found_out); /* by the operator; else by itself */
void lies_end(struct sim_world *w);

/* ---- members.c ---- */
void members_draw(struct sim_world *w); /* how many nodes, and who votes at first */
void members_open(struct sim_world *w); /* nodes have been made */
void members_started(struct sim_node *n);
void members_act(struct sim_world *w);
int members_any(struct sim_world *w); /* a node of the operator's cluster.conf */
bool members_listed(const struct sim_world *w, int id);
bool members_counted(const struct sim_world *w, int id);
unsigned members_of(const struct sim_node *n, unsigned *voters); /* n is up; bits by id */
/* The command that the operator wants now, about *node; 0: none. Its answer. */
unsigned members_wish(struct sim_world *w, int *node);
void members_answer(struct sim_world *w, unsigned code);
void members_end(struct sim_world *w);

/* ---- seeding.c ---- */
void seeding_begin(struct sim_node *n); /* it has no disk */
bool seeding_needed(const struct sim_node *n, const struct sim_node *leader);
void seeding_lose_disk(struct sim_node *n, const char *what);
void seeding_run(struct sim_node *n);
void seeding_look(struct sim_world *w);

#endif
