/* SPDX-License-Identifier: Apache-2.0
 * One frame on a connection: what both ends exchange, whole or not at all.
 *
 *   on the wire, big-endian:  u32 length of the bytes | u32 tag | bytes
 *
 * The tag is the sender's: who answers a frame gives its tag back; 0 asks for no answer. Memory is
 * by malloc, one owner at a time; whoever takes a frame frees it.
 */
#ifndef HOLDFAST_PROTO_NET_FRAME_H
#define HOLDFAST_PROTO_NET_FRAME_H

#include "proto/net/thread.h"

#include <stddef.h>
#include <stdint.h>

enum { NET_FRAME_HEAD = 8 };

struct net_frame {
    struct net_post post; /* for those who pass it between threads */
    void *to;             /* free for the owner */
    uint32_t tag;
    uint32_t len;
    uint8_t bytes[];
};

/* Its bytes are not set. NULL: no memory. */
struct net_frame *net_frame_new(size_t len);
/* With a copy of the bytes. NULL: no memory. */
struct net_frame *net_frame_of(const void *bytes, size_t len);
void net_frame_free(struct net_frame *f); /* NULL: nothing */

#endif
