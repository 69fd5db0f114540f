/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/net/frame.h"

#include <stdlib.h>
#include <string.h>

struct net_frame *net_frame_new(size_t len)
{
    if (len > UINT32_MAX)
        return NULL;
    struct net_frame *f = malloc(sizeof *f + len);
    if (f)
        *f = (struct net_frame){.len = (uint32_t)len};
    return f;
}

struct net_frame *net_frame_of(const void *bytes, size_t len)
{
    struct net_frame *f = net_frame_new(len);
    if (f && len > 0)
        memcpy(f->bytes, bytes, len);
    return f;
}

void net_frame_free(struct net_frame *f)
{
    free(f);
}
