/* SPDX-License-Identifier: Apache-2.0
 * The listener that answers GET /metrics, on a thread and loop of its own, so that a scrape never
 * waits for the work it tells about, nor that work for a scrape. Plain HTTP without credentials:
 * meant for loopback or a network of one's own; figures only, no secrets.
 *
 * The owner gives a function that writes the figures; it is called on the port's thread and may
 * only read what other threads publish (atomics, or under a lock of theirs).
 *
 * Bounds: METRICS_CONNECTIONS_MAX at once (more are closed as they come), METRICS_REQUEST_MAX bytes
 * of a request, METRICS_DEADLINE_MS for a connection; one request each.
 */
#ifndef HOLDFAST_PROTO_METRICS_PORT_H
#define HOLDFAST_PROTO_METRICS_PORT_H

#include "proto/metrics/text.h"

enum {
    METRICS_CONNECTIONS_MAX = 16,
    METRICS_REQUEST_MAX = 8192,
    METRICS_DEADLINE_MS = 5000,
    METRICS_PORT_ERROR = 256,
};

typedef void metrics_write(void *arg, struct metrics_text *t);

struct metrics_port;

/* Listens and starts the thread. host: an IPv4 or IPv6 address; port 0: chosen by the system. 0 or
 * a negative errno with the cause in error; *out is written on success only. */
__attribute__((warn_unused_result)) int metrics_port_new(struct metrics_port **out,
                                                         const char *host, uint16_t port,
                                                         metrics_write *write, void *arg,
                                                         char error[METRICS_PORT_ERROR]);
uint16_t metrics_port_number(const struct metrics_port *p);
/* Ends the thread: `write` is not called any more when this returns. NULL: nothing. */
void metrics_port_free(struct metrics_port *p);

#endif
