/* SPDX-License-Identifier: Apache-2.0
 * A thread with a libuv loop, and a way into it from any other thread: posts run on it in the order
 * they were posted, many to one wake-up.
 */
#ifndef HOLDFAST_PROTO_NET_THREAD_H
#define HOLDFAST_PROTO_NET_THREAD_H

#include <stdbool.h>

struct net_loop;
struct net_thread;

/* Lives inside what is posted, until it has run. */
struct net_post {
    struct net_post *next;
    void (*run)(struct net_post *post); /* the loop's thread */
};

/* NULL: no memory or no thread. */
struct net_thread *net_thread_start(const char *name);
struct net_loop *net_thread_loop(struct net_thread *t);
/* Any thread. */
void net_thread_post(struct net_thread *t, struct net_post *post);
/* Runs call on the thread and returns when it is done. Not from the thread itself. */
void net_thread_call(struct net_thread *t, void (*call)(void *arg), void *arg);
/* Closes everything on the loop, runs what was posted before, and ends the thread. */
void net_thread_stop(struct net_thread *t);

#endif
