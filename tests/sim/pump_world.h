/* SPDX-License-Identifier: Apache-2.0
 * A cluster of the SHIPPED pumps (ledger/raft) in simulated time, with a network that loses,
 * repeats, delays and reorders, disks that write late and lose what was not written when a node
 * dies, and a checker of Raft's promises. Single-threaded; one seed is one run.
 *   pump_sim.c    the run: clients, faults, the end
 *   pump_node.c   one node: pump_io over the simulated disk and network, crash, start, seeding
 *   pump_check.c  what must hold
 */
#ifndef HOLDFAST_TESTS_SIM_PUMP_WORLD_H
#define HOLDFAST_TESTS_SIM_PUMP_WORLD_H

#include "ledger/raft/pump.h"
#include "tests/sim/events.h"

#include <setjmp.h>

enum {
    NODES_MAX = 5,
    LOG_MAX = 6000,
    TERMS_MAX = 4000,
};

enum {
    EVENT_MESSAGE = 1,
    EVENT_DISK,
    EVENT_TIMER,
    EVENT_CHECKPOINT,
    EVENT_CLIENT,
    EVENT_FAULT,
    EVENT_RESTART,
    EVENT_SEED,
};

/* An entry on a simulated disk. `id` is its payload's first 8 bytes: unique per submit. */
struct record {
    uint64_t term, id;
    uint32_t len;
    uint8_t kind;
    uint8_t conf[256]; /* payload of a configuration */
    uint32_t conf_len;
};

struct checkpoint {
    uint64_t applied, term, hash;
    struct log_conf conf;
};

/* A log write on its way to the disk. */
struct write {
    const struct log_entry *entries; /* the pump's: must live until it is told */
    unsigned n;
    uint64_t done_ms;
    struct write *next;
};

struct world;

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
    struct write *first_write, *last_write;
    struct checkpoint taken; /* being written */
    bool checkpointing;
    uint64_t applied, hash, checked;
    uint64_t timer; /* the one that counts */
    uint64_t skew_ms;
    struct log_entry *page;
    unsigned page_cap;
};

struct counters {
    uint64_t commits, elections, crashes, messages, seeds, checkpoints, fatal, restarts, big;
    struct pump_stats pump; /* summed over lives */
};

struct world {
    struct sim_random random;
    struct sim_events events;
    uint64_t now_ms;
    int n;
    struct node node[NODES_MAX + 1]; /* 1 .. n */
    bool cut[NODES_MAX + 1][NODES_MAX + 1];
    bool faults; /* until the heal */
    unsigned drop_permille, repeat_permille;
    unsigned disable_guards;
    bool verbose;
    uint64_t next_id;
    /* what must hold */
    int leader_of[TERMS_MAX];
    uint64_t committed; /* 1 .. committed are known to be */
    uint64_t commit_term[LOG_MAX + 1], committed_in[LOG_MAX + 1];
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
void node_seed(struct node *n, struct node *from);
void node_submit(struct node *n, bool big);
void node_transfer(struct node *n);
/* Events; each ends with node_after. */
void node_on_message(struct node *n, void *data);
void node_on_disk(struct node *n);
void node_on_timer(struct node *n);
void node_on_checkpoint(struct node *n);
struct message_in_flight {
    int from;
    size_t len;
    uint8_t bytes[];
};

void check_leader(struct node *n, uint64_t term);
void check_apply(struct node *n, const struct log_entry *e);
void check_commit(struct node *n);
void check_logs(struct world *w);
void check_liveness(struct world *w, uint64_t committed_before);

#endif
