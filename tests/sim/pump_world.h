/* SPDX-License-Identifier: Apache-2.0
 * A cluster of the SHIPPED pumps (ledger/raft) in simulated time, with a network that loses,
 * repeats, delays and reorders, disks that write late and lose what was not written when a node
 * dies, and a checker of Raft's promises. Single-threaded; one seed is one run.
 *   pump_main.c    one seed, its figures, mutants pump_sim.c    the run: boot, clients, the end
 *   pump_faults.c  kinds of runs and their faults pump_node.c   one node: life, crash, seeding
 *   pump_disk.c    its disk and its network       pump_check.c  what must hold, from outside
 *   engine.c, consensus.c   what must hold, inside and outside    links.c   the network
 */
#ifndef HOLDFAST_TESTS_SIM_PUMP_WORLD_H
#define HOLDFAST_TESTS_SIM_PUMP_WORLD_H

#include "ledger/raft/pump.h"
#include "tests/sim/consensus.h"
#include "tests/sim/links.h"
#include "tests/sim/writes.h"

#include <setjmp.h>

enum {
    NODES_MAX = LINKS_NODES,
    LOG_MAX = CONSENSUS_LOG,
    ECHOES = 64, /* messages of a link that are remembered */
};

enum {
    EVENT_MESSAGE = 1,
    EVENT_DISK,
    EVENT_TIMER,
    EVENT_CHECKPOINT,
    EVENT_CLIENT,
    EVENT_FAULT,
    EVENT_RESTART,
    EVENT_SEED,   /* data: the node that is to have a copy */
    EVENT_SEEDED, /* the copy arrives; data: struct seed_copy */
};

/* What a run is about: each kind makes often what other runs see once in thousands of seeds. */
enum profile {
    PROFILE_MIXED,   /* a little of everything */
    PROFILE_JOINER,  /* a node with nothing, and links that fall behind by seconds */
    PROFILE_DISKS,   /* disks that hang while leaders change */
    PROFILE_TERMS,   /* at the end an old leader with a longer log faces a voter of a newer term */
    PROFILE_TRAIL,   /* engines that know only the end of the log; copies that take seconds */
    PROFILE_ECHO,    /* who restarts hears first what its leader sent in an earlier term */
    PROFILE_CONFS,   /* configurations in the middle of the log */
    PROFILE_MEMBERS, /* three of five nodes vote at first; others join, get votes, leave */
    PROFILES
};

/* An entry on a simulated disk. `id` is its payload's first 8 bytes: unique per submit. */
struct record {
    uint64_t term, id;
    uint32_t len;
    uint8_t kind;
    const uint8_t *conf; /* payload of a configuration */
    uint32_t conf_len;
};

struct checkpoint {
    uint64_t applied, term, hash;
    struct log_conf conf;
};

struct world;

/* State and log up to it, on the way to a node. */
struct seed_copy {
    struct checkpoint state;
    int from;
};

struct node {
    struct world *w;
    int id;
    struct pump *pump; /* NULL: down */
    uint64_t life;     /* counts starts and crashes: events of an earlier life are void */
    bool dying;        /* a fault struck inside a callback */
    bool restart_due;
    /* on disk */
    uint64_t term, vote, incarnation;
    struct record log[LOG_MAX + 1]; /* by index */
    uint64_t last;
    struct checkpoint durable;
    /* in memory */
    struct writes writes;
    struct checkpoint taken; /* being written */
    bool checkpointing;
    uint64_t applied, hash, checked;
    uint64_t timer; /* the one that counts */
    uint64_t skew_ms;
    struct log_entry *page;
    unsigned page_cap;
    uint64_t seeded_ms;             /* a copy came */
    uint64_t newest[NODES_MAX + 1]; /* message taken from each, in this life: its order */
};

struct counters {
    uint64_t commits, elections, crashes, messages, seeds, changes, checkpoints, fatal, restarts,
        big, ms;
    struct pump_stats pump; /* summed over lives */
};

struct world {
    struct sim_random random;
    struct sim_events events;
    uint64_t now_ms;
    int n;
    struct node node[NODES_MAX + 1]; /* 1 .. n */
    struct links links;
    bool faults; /* until the heal */
    enum profile profile;
    unsigned drop_permille, repeat_permille, late_permille, stall_permille, short_permille;
    unsigned fresh_permille; /* of crashes right after a checkpoint */
    unsigned checkpoint_every, client_ms, stall_ms, restart_ms, seed_ms;
    bool seed_never; /* nobody brings copies */
    bool trail;      /* engines know only the end of the log */
    struct link_message *echo[NODES_MAX + 1][NODES_MAX + 1][ECHOES]; /* sent; a ring */
    uint64_t echoes[NODES_MAX + 1][NODES_MAX + 1];
    int hung; /* its disk takes seconds; 0: nobody's */
    unsigned strikes;
    unsigned in_vain[NODES_MAX + 1][NODES_MAX + 1]; /* see check_answer */
    unsigned silent;                                /* leaders that died before they said a word */
    int old_leader; /* cut off with a log that nobody else has; 0: not yet */
    int victim;     /* stays down after the heal; 0: nobody */
    uint64_t heal_ms, end_ms;
    unsigned disable_guards;
    bool verbose;
    uint64_t next_id;
    /* what must hold */
    struct consensus consensus;
    uint64_t applied; /* 1 .. applied were applied somewhere */
    struct record truth[LOG_MAX + 1];
    uint64_t truth_hash[LOG_MAX + 1];
    struct counters counters;
    void **arena;
    size_t arena_n, arena_cap;
    jmp_buf failed;
    char failure[256];
};

/* Memory that lives until the run ends. */
void *world_alloc(struct world *w, size_t n);
_Noreturn __attribute__((format(printf, 2, 3))) void world_fail(struct world *w, const char *format,
                                                                ...);
__attribute__((format(printf, 2, 3))) void world_say(struct world *w, const char *format, ...);

void node_start(struct node *n);
void node_crash(struct node *n);
void node_close(struct node *n); /* at the end of the run */
void node_seed(struct node *n, const struct seed_copy *copy);
void node_submit(struct node *n, bool big);
void node_transfer(struct node *n);
/* Gives one that joins, and has caught up, its vote, if there are three: its id, or 0. */
uint64_t node_promote(struct node *n);
void node_change(struct node *n); /* if it leads: another configuration, by chance */
/* Events; each ends with node_after. */
void node_on_message(struct node *n, void *data);
void node_on_disk(struct node *n);
void node_on_timer(struct node *n);
void node_on_checkpoint(struct node *n);
/* ---- pump_disk.c ---- */
struct pump_io disk_and_network(struct node *n);
/* To a node that has just started: something of before. */
void echo(struct node *n);
/* The first entries of the write reach the disk. */
void write_to_disk(struct node *n, const struct sim_write *o, unsigned entries);

/* ---- pump_faults.c ---- */
void faults_draw(struct world *w); /* the profile and its rates */
void faults_strike(struct world *w);
void faults_before_heal(struct world *w);

/* ---- pump_sim.c ---- */
void world_run(struct world *w, uint64_t seed);

/* ---- pump_check.c ---- */
/* An entry that was applied everywhere before the run. */
void check_boot(struct world *w, uint64_t index, const struct record *r);
void check_engines(struct world *w);
void check_send(struct node *n, const void *head, size_t head_len, const void *body,
                size_t body_len);
/* A message of `from` has been taken by n. */
void check_answer(struct node *n, int from, const void *bytes, size_t len);
void check_seed_needed(struct node *n, const struct node *behind);
void check_leader(struct node *n, uint64_t term);
void check_apply(struct node *n, const struct log_entry *e);
void check_commit(struct node *n);
void check_logs(struct world *w);
void check_liveness(struct world *w, uint64_t committed_before);

#endif
