/* SPDX-License-Identifier: Apache-2.0
 * The insides of a ledger client, shared by client.c (calls, deadlines), dispatch.c (where to send
 * what), reply.c (what came back) and doubt.c. One thread: the loop's.
 *
 *   submitted -> queued -> in an attempt -> completed
 *                  ^            |
 *                  +- requeued -+   (at the front, in order, same bytes, same ids)
 */
#ifndef HOLDFAST_PROTO_LINK_CLIENT_STATE_H
#define HOLDFAST_PROTO_LINK_CLIENT_STATE_H

#include "proto/link/channel.h"

enum {
    LINK_QUERY_SLOTS = 8, /* attempts for queries and status, beside those for commands */
    LINK_IN_FLIGHT_DEFAULT = 8,
    LINK_TIMEOUT_DEFAULT_MS = 2000,
    LINK_BACKOFF_MIN_MS = 20,
    LINK_BACKOFF_MAX_MS = 200,
    LINK_REQUEST_BYTES = 256 * 1024, /* of the commands merged into one request */
    LINK_REDIAL_MS = 2000,           /* without an answer to what timed out */
    LINK_DOUBT_MS = 300, /* without a reply of the leader: another node is asked who leads */
    LINK_PROBE_TIMEOUT_MS = 500,
    LINK_HINTS_MAX = 2, /* leader hints followed at once; then with a pause, so no ping-pong */
};

enum link_kind { LINK_COMMAND, LINK_QUERY, LINK_STATUS };

struct link_item {
    struct link_item *prev, *next; /* in its queue */
    link_done *done;
    void *arg;
    uint64_t deadline_ms;   /* CLOCK_MONOTONIC */
    uint64_t not_before_ms; /* of a query or status: pause before the next attempt */
    enum link_kind kind;
    unsigned node; /* index; of a status */
    bool urgent, stale;
    bool tried; /* an attempt may have reached the log */
    uint32_t n;
    uint8_t bytes[];
};

struct link_queue {
    struct link_item *first, *last;
    unsigned n;
};

/* One request under way; slot number = its place in link_client.attempt. */
struct link_attempt {
    bool busy;
    unsigned node;
    unsigned n;
    uint64_t sent_ms;
    struct link_item **items; /* NULL where the deadline came first */
};

struct link_client {
    struct proto_uuid cluster;
    uint16_t group;
    struct link_node nodes[LINK_NODES_MAX];
    unsigned n_nodes;
    unsigned in_flight, request_timeout_ms;
    struct link_channel *channel;
    uv_loop_t *loop, own;              /* own: where none was given */
    uv_timer_t limit;                  /* of link_client_wait, on our own loop */
    uint64_t heard_ms[LINK_NODES_MAX]; /* last reply, or dialled anew */
    struct link_queue urgent, normal;  /* commands */
    struct link_queue others;          /* queries and status */
    struct link_attempt
        attempt[LINK_SLOTS_MAX]; /* [0, in_flight) commands, then LINK_QUERY_SLOTS */
    unsigned commands_under_way;
    int leader;             /* index, -1: not known */
    unsigned rotor;         /* who is asked next where any may be */
    bool probing;           /* a doubt is being settled */
    uint64_t probe_ms;      /* no further one before */
    unsigned failures;      /* attempts in a row without an answer */
    unsigned hints;         /* leader hints in a row without an answer */
    uint64_t not_before_ms; /* of commands */
    uint64_t earliest_ms;   /* no outstanding deadline is before it */
    uint64_t random;
    bool running, kicked;
    char cause[PROTO_REASON_MAX + 64]; /* of the last failed attempt */
};

uint64_t link_now_ms(void);
void link_queue_push(struct link_queue *q, struct link_item *item);
void link_queue_push_front(struct link_queue *q, struct link_item *item);
void link_queue_remove(struct link_queue *q, struct link_item *item);

/* NULL: no memory. */
struct link_item *link_item_new(enum link_kind kind, unsigned timeout_ms, link_done *done,
                                void *arg, const void *bytes, size_t n);
int link_index_of(const struct link_client *c, uint32_t id); /* -1: not in the configuration */

/* Calls done and frees. */
void link_complete(struct link_item *item, const struct link_answer *answer);
/* Ends it without an answer: unknown where an attempt may have reached the log. */
void link_give_up(struct link_client *c, struct link_item *item);
/* End of the pause before the next attempt: longer with every failure, one for all that fail in it.
 */
uint64_t link_pause_until(struct link_client *c, uint64_t now_ms);

/* An attempt on the node timed out: silent for LINK_REDIAL_MS, it is dialled anew. */
void link_silent(struct link_client *c, unsigned node, uint64_t now_ms);

/* A leader that is silent may be hung or cut off: asks another node, and follows what it says. */
void link_doubt(struct link_client *c, uint64_t now_ms);
uint64_t link_doubt_at(const struct link_client *c); /* absolute; UINT64_MAX: no doubt */

/* Sends what may go out now. Returns when to try again (absolute; UINT64_MAX: on the next event).
 */
uint64_t link_dispatch(struct link_client *c, uint64_t now_ms);
/* Takes what came back: completes or requeues. */
void link_arrived(struct link_client *c, struct link_arrival *arrival, uint64_t now_ms);

#endif
