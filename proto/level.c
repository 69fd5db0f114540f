/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/level.h"

uint32_t proto_level_known(void)
{
    return PROTO_LEVEL_FIRST;
}

uint32_t proto_level_of(unsigned kind)
{
    (void)kind;
    return PROTO_LEVEL_FIRST;
}
