/* SPDX-License-Identifier: Apache-2.0
 * The ledger client's sockets: one NNG REQ socket per node (a socket with several dialers would
 * spread requests over nodes at random) and a fixed number of slots, each with a context per node,
 * so one request under way each. Private to proto/link.
 *
 * Completion: every link_channel_send that returned 0 gives exactly one link_arrival, unless
 * link_channel_stop comes first. NNG's threads append it to a locked list and call `wake` when the
 * list was empty; the owner takes it. A connection that comes or goes also wakes.
 */
#ifndef HOLDFAST_PROTO_LINK_CHANNEL_H
#define HOLDFAST_PROTO_LINK_CHANNEL_H

#include "proto/link/client.h"

#include <nng/nng.h>

enum {
    LINK_SLOTS_MAX = LINK_IN_FLIGHT_MAX + 8,
    LINK_RECONNECT_MIN_MS = 20,
    LINK_RECONNECT_MAX_MS = 200
};

/* What became of a request. */
enum link_fate {
    LINK_FATE_REPLY,    /* reply is set, the taker frees it */
    LINK_FATE_NOT_SENT, /* it cannot have reached the node */
    LINK_FATE_LOST      /* sent, and no reply: timeout or a broken connection */
};

struct link_arrival {
    unsigned slot, node; /* as given to link_channel_send */
    enum link_fate fate;
    nng_msg *reply;
    const char *cause; /* of a fate other than REPLY: static text */
    bool timed_out;
};

struct link_channel;

__attribute__((warn_unused_result)) int link_channel_new(struct link_channel **out,
                                                         const struct link_config *config,
                                                         unsigned slots, char error[256]);
/* Ends every request; no wake and no arrival after it returns. */
void link_channel_stop(struct link_channel *c);
void link_channel_free(struct link_channel *c);

/* node: index in config.nodes. */
bool link_channel_connected(const struct link_channel *c, unsigned node);
/* Gives up the connection and dials anew: TCP alone would wait for minutes after a partition. */
void link_channel_redial(struct link_channel *c, unsigned node);
/* Ends what still waits to be sent over connections that are gone: REQ would keep it for the next
 * connection to the same node. */
void link_channel_tend(struct link_channel *c);
/* Ends all requests under way to the node; they arrive as lost or not sent. */
void link_channel_cancel(struct link_channel *c, unsigned node);
/* Takes the message on success. The slot must be idle. 0, or -ENOMEM. */
__attribute__((warn_unused_result)) int link_channel_send(struct link_channel *c, unsigned slot,
                                                          unsigned node, nng_msg *m,
                                                          unsigned timeout_ms);
bool link_channel_take(struct link_channel *c, struct link_arrival *out);
/* Makes the owner come: the wake of the configuration, or of link_channel_wait. */
void link_channel_wake(struct link_channel *c);
/* For owners without a wake of their own: until something happened, or timeout_ms (< 0: no limit).
 */
void link_channel_wait(struct link_channel *c, int timeout_ms);

#endif
