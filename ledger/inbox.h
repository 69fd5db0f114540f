/* SPDX-License-Identifier: Apache-2.0
 * What other threads tell the loop: the log thread, the checkpoint thread, signals. The loop takes
 * everything at once and handles it in order.
 *
 * Bound: every kind is bounded by its source (the log queue, one checkpoint) and INBOX_MAX is above
 * the sum of those, so a post always finds room.
 */
#ifndef HOLDFAST_LEDGER_INBOX_H
#define HOLDFAST_LEDGER_INBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { INBOX_MAX = 16384 };

enum inbox_kind {
    INBOX_PERSISTED,  /* a, b: first and last index */
    INBOX_CHECKPOINT, /* a: index, b: nanoseconds */
    INBOX_WANTED,     /* a: the log is wanted from here on (the archive thread) */
    INBOX_STOP,
};

struct inbox_event {
    enum inbox_kind kind;
    uint64_t a, b;
};

struct inbox;

/* wake: called by posters when there was nothing before; any thread. 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int inbox_new(struct inbox **out, void (*wake)(void *ctx),
                                                  void *ctx);
void inbox_free(struct inbox *in); /* events still in it are forgotten: take them first */

/* Any thread. false: refused, after inbox_close. */
bool inbox_post(struct inbox *in, const struct inbox_event *e);
/* A failure that must end the process; the first one is kept. Any thread. */
void inbox_fatal(struct inbox *in, const char *why);
/* Posts are refused from now on. */
void inbox_close(struct inbox *in);

/* The loop: all events posted so far. They live until the next call. */
const struct inbox_event *inbox_take(struct inbox *in, size_t *n);
/* The reason given to inbox_fatal; NULL: none. The loop. */
const char *inbox_why(struct inbox *in);

#endif
