/* SPDX-License-Identifier: Apache-2.0
 * A TLS listener of an NNG socket that is watched, because in NNG 1.5 a listener ends for good, and
 * tells nobody, when a client goes away while we are sending our part of the handshake: the error
 * "closed" of that connection is taken for the listener's own. A client killed at the wrong moment
 * would shut the port for everyone after it.
 *
 *      sound --(it counted an error of that kind)--> suspect --> probed --> sound
 *                                                        ^          |
 *                                                        '----------'  no answer: opened anew
 *
 * The probe is a TCP connection to our own port that says something which is no TLS: a listener
 * that lives counts it as an error. Opening anew ends the listener's connections; both nodes and
 * clients dial again by themselves.
 *
 * Threads: open before anybody else knows the listener, tend and close by one thread.
 */
#ifndef HOLDFAST_PROTO_LINK_LISTENER_H
#define HOLDFAST_PROTO_LINK_LISTENER_H

#include "proto/link/tls.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

enum {
    LINK_LISTENER_LOOK_MS = 250,   /* link_listener_tend looks this often */
    LINK_LISTENER_PROBE_MS = 750,  /* for a probe to be counted */
    LINK_LISTENER_RETRY_MS = 2000, /* after a port could not be opened */
    LINK_ADDRESS_MAX = 200,        /* what is longer is refused */
};

/* NNG's counters of the listener. */
struct link_counts {
    uint64_t other; /* errors, among them the fatal one */
    uint64_t alive; /* what only a listener that lives counts */
};

struct link_listener {
    nng_socket socket;
    struct link_tls_files files;    /* the strings must outlive it */
    char address[LINK_ADDRESS_MAX]; /* "host:port" */
    struct sockaddr_storage self;
    socklen_t self_len; /* 0: not known, so there are no probes */
    nng_listener nng;
    bool listening;
    enum { LINK_LISTENER_SOUND, LINK_LISTENER_SUSPECT, LINK_LISTENER_PROBED } state;
    struct link_counts counts; /* at the last look, or before the probe */
    uint64_t look_ms, probed_ms;
    int probe; /* -1: none */
};

/* Listens. The socket stays the caller's and closes the listener with it. 0, or a negative code
 * with its cause. */
__attribute__((warn_unused_result)) int link_listener_open(struct link_listener *l,
                                                           nng_socket socket, const char *address,
                                                           const struct link_tls_files *files,
                                                           char error[256]);
/* To be called every now and then. */
void link_listener_tend(struct link_listener *l);
void link_listener_close(struct link_listener *l);

#endif
