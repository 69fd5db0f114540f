/* SPDX-License-Identifier: Apache-2.0
 * The loop's inbox: many threads post, the loop takes everything at once and handles it in order.
 *
 * Bounds: INBOX_PEER_MAX events of peers wait (past it a message is refused and the poster drops
 * it: the protocol resends); all other kinds are bounded by their source (the log queue, the client
 * port's contexts, one checkpoint) and INBOX_OTHER_MAX is above the sum of those, so they always
 * find room. Ownership of `p` goes to the loop with a successful post.
 */
#ifndef HOLDFAST_LEDGER_INBOX_H
#define HOLDFAST_LEDGER_INBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { INBOX_PEER_MAX = 4096, INBOX_OTHER_MAX = 16384 };

enum inbox_kind {
    INBOX_PEER,       /* p: the message as the transport took it */
    INBOX_GONE,       /* a: node whose connection was lost; bounded like peer messages */
    INBOX_PERSISTED,  /* a, b: first and last index */
    INBOX_REQUEST,    /* p: struct serve_request */
    INBOX_CHECKPOINT, /* a: index, b: nanoseconds */
    INBOX_STOP,
};

struct inbox_event {
    enum inbox_kind kind;
    void *p;
    uint64_t a, b;
};

struct inbox;

__attribute__((warn_unused_result)) int inbox_new(struct inbox **out);
void inbox_free(struct inbox *in); /* events still in it are forgotten: take them first */

/* Any thread. false: refused (a peer message past the bound, or after inbox_close). */
bool inbox_post(struct inbox *in, const struct inbox_event *e);
/* A failure that must end the process; the first one is kept. Any thread. */
void inbox_fatal(struct inbox *in, const char *why);
/* Posts are refused from now on. */
void inbox_close(struct inbox *in);

/* The loop: all events posted so far, waiting up to timeout_ms for the first one. They live until
 * the next call. */
const struct inbox_event *inbox_take(struct inbox *in, uint64_t timeout_ms, size_t *n);
/* The reason given to inbox_fatal; NULL: none. The loop. */
const char *inbox_why(struct inbox *in);

#endif
