/* SPDX-License-Identifier: Apache-2.0
 * What libraft 0.22.1's raft_step needs from its host to be safe and live, one function each. All
 * were found by simulation; tests/sim/pump_sim.c switches them off and sees the harm.
 */
#ifndef HOLDFAST_LEDGER_GUARD_H
#define HOLDFAST_LEDGER_GUARD_H

#include "ledger/store/entry.h"

#include <raft.h>

/* A write handed to the log and not reported durable yet. */
struct guard_append {
    uint64_t first, last;
};

/* 1. Stale replies. Answering a request of an older term, the engine leaves last_log_index
 * uninitialised (and, for prev_log_index 0 or a snapshot, the reply looks like a success). If the
 * asker has since become leader of our term, it counts that number as stored here, and commits
 * what no majority has. Make it the rejection it is. True if `reply` was rewritten. */
bool guard_stale_reply(const struct raft_message *request, struct raft_message *reply,
                       uint64_t own_last);
/* Simulator only: the engine's reply as it stands, with a number memory may well hold. */
void guard_stale_reply_undone(const struct raft_message *request, struct raft_message *reply);

/* 2. Order. The engine takes an overtaken or repeated message at its word: an old success or an
 * old vote counts again. True if the message is newer than all before it from this sender. */
bool guard_order(uint64_t *last_incarnation, uint64_t *last_sequence, uint64_t incarnation,
                 uint64_t sequence);

/* 3. Pre-vote. A refused pre-vote carries the asker's own would-be term; an asker that is behind
 * in terms never learns it, keeps asking, and three healthy nodes may stay without a leader. */
void guard_pre_vote(struct raft_message *reply, uint64_t own_term);

/* 4. Commit index. A message that ends before what is committed makes the engine report a lower
 * commit index; what was committed stays so. */
uint64_t guard_commit(uint64_t known, uint64_t reported);

/* 5. Configurations. Of one AppendEntries the engine files every configuration under the index of
 * the first new entry. So a piece that is handed over has one at its head or none: returns the end
 * of the piece that begins at `from`. */
unsigned guard_split(const struct log_entry *entries, unsigned from, unsigned n);

/* 6. Overwritten writes. A durable write may be reported only as far as no later write, already
 * in hand, will overwrite it: after the report it must survive a crash at any moment. Comparing
 * terms is not enough: the same entry may be cut off and come back before the disk catches up.
 * Returns the last index to report; below done.first: nothing. */
uint64_t guard_persisted(struct guard_append done, const struct guard_append *later, unsigned cap,
                         unsigned head, unsigned n);

/* 7. Seeding. When the engine wants to go on behind an entry from before its trail, whose term it
 * does not know, it sends an InstallSnapshot, which nobody transfers (a seeding, outside, brings
 * the state), and waits for its acknowledgment.
 *
 * 7a, leader: in place of the InstallSnapshot the follower gets an empty AppendEntries at the same
 * entry, or it would hear nothing, and elect another. */
void guard_heartbeat_for_install(struct raft_message *message, uint64_t commit);

/* 7b, leader: the follower's log may reach into the trail all the same: it was seeded, or has
 * acknowledged less than it has, or ends with entries of its own. The engine does not look. So that
 * heartbeat is preceded by one at the trail's first entry (`first`, `term`): who has it says so,
 * and the engine goes on from there; who has not needs to be seeded. False: there is no entry
 * before the heartbeat's, which then asks the same. */
bool guard_probe_trail(struct raft_message *heartbeat, uint64_t first, uint64_t term);

/* 7c, leader: a rejection of what the follower has acknowledged in this term is old: it answers a
 * request from before the follower restarted. The engine, probing just there, would go back before
 * what it counts, and then heed nothing that the follower says. It becomes a sign of life. (Who has
 * really lost it goes on rejecting: pump_peer.denies_ms.) True if it was one. */
bool guard_old_rejection(struct raft_message *message, uint64_t match);

/* 8. Before the trail. Entries in front of its trail look new to the engine: it appends them behind
 * the last one; and it turns down what follows an entry whose term it has forgotten. All of them
 * are applied here, so the message is made to begin behind what is applied: the same promise, with
 * the part we have left out. An older leader's message is turned down by the engine before it
 * looks. False: the message contradicts what is applied. */
struct guard_here {
    uint64_t term;   /* our current one */
    uint64_t first;  /* what the engine's trail begins with */
    uint64_t marker; /* the entry that its marker stands at */
    uint64_t applied, applied_term;
};
bool guard_begin_at_applied(struct raft_append_entries *a, struct log_entry **entries,
                            const struct guard_here *here);

/* 9. Votes of those who join. A server that does not know yet of its own promotion, or not even
 * that it has been added, grants no vote, and a leader that restarts in that moment may need just
 * that one. Whose vote counts is the asker's to know, by the newer log that it must have (Ongaro's
 * thesis, 4.1). So while it is asked, the engine sees a configuration in which we have a vote (and
 * forgets a leader that is silent: it keeps no time without a vote). True if one was lent; it is
 * taken back by guard_lent_back. The engine must be a follower. */
enum { GUARD_LENT_MAX = 10 };
struct guard_lent {
    struct raft_server server[GUARD_LENT_MAX];
    struct raft_configuration own;
};
bool guard_lend_vote(struct raft_configuration *conf, raft_id self, struct guard_lent *lent);
void guard_lent_back(struct raft_configuration *conf, const struct guard_lent *lent);

#endif
