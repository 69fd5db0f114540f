/* SPDX-License-Identifier: Apache-2.0
 * A libuv loop with its connections, and a way into it from other threads: posts run on it in the
 * order they were posted, many to one wake-up. It runs in a thread of its own (net_thread_start),
 * or in its owner's, turn by turn (net_thread_new, net_thread_turn).
 */
#ifndef HOLDFAST_PROTO_NET_THREAD_H
#define HOLDFAST_PROTO_NET_THREAD_H

#include <stdbool.h>
#include <stdint.h>

struct net_loop;
struct net_thread;

/* Lives inside what is posted, until it has run. */
struct net_post {
    struct net_post *next;
    void (*run)(struct net_post *post); /* the loop's thread */
};

/* Both NULL: no memory, no descriptors or no thread. The name is not copied. */
struct net_thread *net_thread_start(const char *name);
struct net_thread *net_thread_new(void);
/* One turn of a loop that its owner runs: waits up to timeout_ms for something to happen and does
 * all there is to do. */
void net_thread_turn(struct net_thread *t, uint64_t timeout_ms);

struct net_loop *net_thread_loop(struct net_thread *t);
/* Any thread. */
void net_thread_post(struct net_thread *t, struct net_post *post);
/* Any thread: a turn that waits ends. */
void net_thread_wake(struct net_thread *t);
/* Runs call on the thread and returns when it is done. Not from a started thread itself. */
void net_thread_call(struct net_thread *t, void (*call)(void *arg), void *arg);
/* Runs what was posted before, closes everything on the loop, and ends the thread. */
void net_thread_stop(struct net_thread *t);

#endif
