/* SPDX-License-Identifier: Apache-2.0
 * proto/level.h for the program after old.c's.
 */
#include "tests/level/level.h"

uint32_t proto_level_known(void)
{
    return LEVEL_OF_TRANSFER;
}
