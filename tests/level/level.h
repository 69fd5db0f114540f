/* SPDX-License-Identifier: Apache-2.0
 * What old.c and next.c, linked instead of proto/level.c, have in common.
 */
#ifndef HOLDFAST_TESTS_LEVEL_H
#define HOLDFAST_TESTS_LEVEL_H

#include "proto/command.h"
#include "proto/level.h"

enum { LEVEL_OF_TRANSFER = 2 };

uint32_t proto_level_of(unsigned kind)
{
    return kind == PROTO_CMD_cluster_transfer ? LEVEL_OF_TRANSFER : PROTO_LEVEL_FIRST;
}

#endif
