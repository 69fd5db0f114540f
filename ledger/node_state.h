/* SPDX-License-Identifier: Apache-2.0
 * The deciding part of a node, as an object: events in, effects out through struct node_io; no
 * thread, no clock, no I/O. The process (node.c, loop.c, node_io.c) and the simulator run the same
 * object. events.c: opening, events, timers; host.c: what the pump calls; propose.c: what becomes
 * an entry; answer.c: requests; verdict.c: what nodes tell each other; cluster.c: commands about
 * the cluster; members.c: who is in it.
 *
 * Order: node_open, node_start, then events; after the events in hand node_timers and node_propose,
 * and again at node_wait_ms from then. Once `failed` is set nothing may be called but node_close:
 * `exit` is the process's exit code. One owner (the node's loop thread).
 */
#ifndef HOLDFAST_LEDGER_NODE_STATE_H
#define HOLDFAST_LEDGER_NODE_STATE_H

#include "ledger/accord.h"
#include "ledger/checkpoint.h"
#include "ledger/clock.h"
#include "ledger/intake.h"
#include "ledger/node.h"
#include "ledger/node_io.h"
#include "ledger/progress.h"
#include "ledger/reads.h"
#include "ledger/report/counters.h"
#include "ledger/report/drift.h"
#include "ledger/room.h"
#include "ledger/strangers.h"

enum {
    NODE_REDIAL_MS = 2000,      /* the connections to our peers are looked at */
    NODE_SILENT_MS = 2000,      /* nothing taken from it for so long */
    NODE_CLOCK_EVERY_MS = 1000, /* the clock guard looks */
    NODE_LAG_MS = 60000,     /* a peer heard of within it is waited for before the log is trimmed */
    NODE_TRAIL = 1000,       /* entries behind the checkpoint that are never trimmed */
    NODE_SEEDING_MS = 10000, /* who asked for a copy or entries so lately is being seeded */
    NODE_STOP_MS = 1000,     /* for handing leadership over at a stop */
    NODE_BUSY_RETRY_MS = 20, /* told to callers when the intake is full */
    NODE_TICK_RETRY_MS = 20, /* holds are due, and nothing may be proposed */
    NODE_WAIT_MAX_MS = 1000, /* the loop wakes up at least this often */
    NODE_NOTE_MS = 200,      /* while states differ, all are told this often */
    NODE_DENIAL_MS = 2000,   /* a peer denies what it had acknowledged for so long: it is gone */
    NODE_DENIAL_EVERY_MS = 15000, /* between two attempts to mend that */
    NODE_TRANSFER_MS = 5000,      /* a transfer that was asked for is tried so long */
    NODE_TRANSFER_EVERY_MS = 50,
    NODE_TRANSFER_CALM_MS = 200, /* nothing is proposed so long, for an heir to have it all */
    NODE_JOIN_LAG = 256, /* entries that a joining node may be behind when it gets its vote */
    DIFFERENCE_MAX = 256,
    DIVERGED_TEXT_MAX = 320,
};

struct node {
    const struct node_config *config;
    struct node_io io;
    struct checkpoint checkpoint;
    uint64_t trail; /* entries behind it that are never trimmed */
    /* deciding */
    struct core_machine *machine;
    struct drift drift;
    struct counters counters;
    struct pump *pump;
    struct pump_now now; /* of the event being handled */
    enum pump_role role; /* as the pump told last */
    uint64_t term, leader;
    uint64_t leader_ms;    /* since when we lead */
    bool role_changed;     /* open requests have not been told yet */
    uint64_t genesis_term; /* we proposed the genesis in this term */
    bool clock_out;        /* our clock was outside the bound when the guard looked */
    uint64_t clock_ms;     /* the guard looks next */
    uint64_t clock_term;   /* of our leadership in which a majority has been heard */
    uint64_t redial_ms;    /* the next look at the connections to our peers */
    struct intake intake;
    struct reads reads;
    uint8_t *answer; /* PROTO_ANSWER_MAX bytes */
    /* what nodes tell each other */
    struct accord accord;
    bool judge, asked; /* something was heard; somebody is in doubt */
    enum accord_verdict told_verdict;
    uint64_t note_ms;
    uint64_t doubt_index; /* of the entry that contradicted us */
    struct proto_hash doubt_ours, doubt_theirs;
    char difference[DIFFERENCE_MAX];
    uint64_t quarantine_ms;   /* a leader of the minority waits so long for another; 0: does not */
    bool quarantined;         /* takes part in nothing, answers who asks for its status */
    struct progress progress; /* of the followers, while we lead */
    uint64_t progress_ms;     /* it looks next */
    uint64_t seeding_node;    /* was here last for a copy or entries ... */
    uint64_t seeding_ms;      /* ... then; 0: nobody was */
    struct room room;
    uint64_t room_ms, handover_ms;
    bool refusing; /* leading, and nothing new is taken */
    struct strangers strangers;
    /* the cluster */
    char reason[PROTO_REASON_MAX]; /* why a command was not proposed */
    uint64_t denial_ms;            /* not before this is a denial mended again */
    uint64_t transfer_until_ms;    /* leadership is to go to ..; 0: nowhere */
    uint64_t transfer_to;          /* 0: to whichever is most up to date */
    uint64_t transfer_ms;          /* the next attempt */
    uint64_t transfer_calm_ms;
    /* a change that was asked for and applied, until it is in the log */
    enum { NODE_NO_CHANGE, NODE_ADD, NODE_REMOVE } change;
    uint64_t change_node, change_term;
    char change_address[PUMP_ADDRESS_MAX];
    /* ending */
    bool stopping;
    uint64_t stop_by_ms;
    bool failed;
    enum node_exit exit;
};

/* What io's disk holds, at a start. */
struct node_start {
    const struct state_meta *state;
    const struct log_recovered *log;
    uint64_t trail; /* entries behind the checkpoint that stay; 0: NODE_TRAIL. Simulated logs are
                       short */
    unsigned disable_guards; /* enum pump_guard: the simulator's mutations, never in a node */
};

/* ---- events.c ---- */

/* The state machine from the checkpoint, and everything in memory. config must outlive the node.
 * Closed even after a failure. */
__attribute__((warn_unused_result)) int node_open(struct node *n, const struct node_config *config,
                                                  const struct node_io *io,
                                                  const struct node_start *start);
/* Consensus begins; it may already apply and send. */
__attribute__((warn_unused_result)) int node_start(struct node *n, struct pump_now now,
                                                   const struct node_start *start);
/* Requests must have been ended: node_drop_requests. What is being appended is the pump's: nobody
 * may write it any more. */
void node_close(struct node *n);

void node_on_message(struct node *n, struct pump_now now, const void *bytes, size_t len);
void node_on_gone(struct node *n, struct pump_now now, uint64_t peer);
void node_on_persisted(struct node *n, struct pump_now now, uint64_t first, uint64_t last);
void node_on_checkpoint(struct node *n, struct pump_now now, uint64_t index);
void node_on_request(struct node *n, struct pump_now now, struct serve_request *r);
/* Retention wants the log from `first` on (trim.c). */
void node_on_wanted(struct node *n, struct pump_now now, uint64_t first);
/* A node that is being seeded asks something of us; digest: how our state is on disk. */
void node_on_seeding(struct node *n, struct pump_now now, uint64_t node, bool digest);
void node_on_stop(struct node *n, struct pump_now now);
void node_timers(struct node *n, struct pump_now now);
/* Everything that may become an entry now (propose.c). */
void node_propose(struct node *n);
/* From the last event on. */
uint64_t node_wait_ms(const struct node *n);
/* Stopping, and leadership is somewhere else, or, alone, nothing is under way. */
bool node_may_end(const struct node *n);
void node_start_checkpoint(struct node *n);
/* Tells open requests that leadership is gone (or, stopping, that the node is). */
void node_drop_requests(struct node *n, enum proto_reply_status waiting);

/* ---- between the files of the deciding part ---- */

/* Logs the reason and ends the loop; the first one counts. Returns -EIO, for callers' use. */
int node_fail(struct node *n, enum node_exit code, const char *what, const char *why);
/* rv of a pump event. */
void node_pump_result(struct node *n, int rv);
/* host.c */
struct pump_io node_pump_io(struct node *n);
/* propose.c */
/* When the leader wants to propose an empty batch (mono_ms; UINT64_MAX: not). */
uint64_t node_tick_ms(const struct node *n);
void node_clock_guard(struct node *n);
/* verdict.c */
void node_notice(void *ctx, uint64_t peer, struct notice *out);
void node_on_notice(void *ctx, uint64_t peer, const struct notice *in);
void node_on_mismatch(void *ctx, uint64_t index, const struct proto_hash *ours,
                      const struct proto_hash *theirs);
/* After every event: acts upon what was heard in it. */
void node_judge(struct node *n);
bool node_may_decide(const struct node *n);
void node_accord_timer(struct node *n);
void node_room_timer(struct node *n);
/* cluster.c */
enum proto_code node_admit(void *ctx, const struct serve_command *c, const char **reason);
void node_on_result(void *ctx, uint64_t index, uint32_t ordinal, int64_t time_us,
                    const struct proto_command *command, const struct proto_result *result);
/* A peer whose data are gone is sent the log by the next leader: this one's engine takes it for
 * being ahead. Leadership goes to a peer that has all of our log. */
void node_mend_denial(struct node *n);
/* Leadership is to leave this node, within NODE_TRANSFER_MS. */
void node_transfer(struct node *n, uint64_t to);
bool node_is_leaving(const struct node *n); /* nothing new is proposed */
void node_carry_out(struct node *n);
/* members.c */
enum proto_code node_admit_change(struct node *n, const struct proto_command *command);
void node_note_change(struct node *n, const struct proto_command *command);
void node_members_timer(struct node *n);
void node_progress_timer(struct node *n);
/* answer.c */
void node_take_request(struct node *n, struct serve_request *r);
void node_on_complete(void *ctx, struct serve_request *r, enum proto_reply_status status);
void node_reply(struct node *n, struct serve_request *r, enum proto_reply_status status,
                const char *detail);
void node_answer_query(struct node *n, struct serve_request *r);

#endif
