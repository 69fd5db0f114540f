/* SPDX-License-Identifier: Apache-2.0
 * proto/level.h for a program of before: to it and its successor, leadership transfers are what came
 * with level 2.
 */
#include "tests/level/level.h"

uint32_t proto_level_known(void)
{
    return PROTO_LEVEL_FIRST;
}
