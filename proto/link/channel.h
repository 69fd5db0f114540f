/* SPDX-License-Identifier: Apache-2.0
 * The ledger client's connections: one kept to each node, and a fixed number of slots, each for one
 * request under way. Private to proto/link; the owner's loop thread.
 *
 * Completion: every link_channel_send gives exactly one link_arrival, unless link_channel_close
 * comes first. What arrives is put in a list and `work` is called from the loop, soon, once for
 * all; so it is after link_channel_wake, and when a connection comes or goes.
 */
#ifndef HOLDFAST_PROTO_LINK_CHANNEL_H
#define HOLDFAST_PROTO_LINK_CHANNEL_H

#include "proto/link/client.h"
#include "proto/net/frame.h"

enum { LINK_SLOTS_MAX = LINK_IN_FLIGHT_MAX + 8 };

/* What became of a request. */
enum link_fate {
    LINK_FATE_REPLY,    /* reply is set, the taker frees it */
    LINK_FATE_NOT_SENT, /* it cannot have reached the node */
    LINK_FATE_LOST      /* sent, and no reply: timeout or a broken connection */
};

struct link_arrival {
    unsigned slot, node; /* as given to link_channel_send */
    enum link_fate fate;
    struct net_frame *reply;
    const char *cause; /* of a fate other than REPLY; lives until the next call */
    bool timed_out;
};

struct link_channel;

/* error gets the cause: which file, which address. */
__attribute__((warn_unused_result)) int link_channel_new(struct link_channel **out,
                                                         const struct link_config *config,
                                                         uv_loop_t *uv, void (*work)(void *ctx),
                                                         void *ctx, char error[256]);
/* No call of `work` and no arrival any more. Freed by the loop, when its handles are closed. */
void link_channel_close(struct link_channel *c);

/* node: index in config.nodes. */
bool link_channel_connected(const struct link_channel *c, unsigned node);
/* Why it is not connected; "" where nothing is known. */
const char *link_channel_cause(const struct link_channel *c, unsigned node);
/* Gives up the connection and dials anew: TCP alone would wait for minutes after a partition. */
void link_channel_redial(struct link_channel *c, unsigned node);
/* Ends all requests under way to the node; they arrive as lost or not sent. */
void link_channel_cancel(struct link_channel *c, unsigned node);
/* Takes the frame. The slot must be idle. Without a connection it waits for one. */
void link_channel_send(struct link_channel *c, unsigned slot, unsigned node, struct net_frame *f,
                       unsigned timeout_ms);
bool link_channel_take(struct link_channel *c, struct link_arrival *out);
/* Calls work from the loop, soon, and not from in here. */
void link_channel_wake(struct link_channel *c);
/* Calls work at that time from now at the latest (< 0: not by time). */
void link_channel_wake_in(struct link_channel *c, int ms);

#endif
