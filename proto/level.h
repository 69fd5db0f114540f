/* SPDX-License-Identifier: Apache-2.0
 * Feature levels: how programs of different versions serve one cluster. A program knows all levels
 * up to proto_level_known(); the log says which one is in force (1 from the genesis, raised by the
 * command feature_level, never lowered). What is not in force behaves, in every program, as if it
 * were not known: so nodes of both versions have equal results and chains. A program older than the
 * level in force refuses the log and the state.
 *
 * A new command kind, a changed rule or a new peer message format gets the next level here. Tests
 * link another level.c, to be an older or a newer program.
 */
#ifndef HOLDFAST_PROTO_LEVEL_H
#define HOLDFAST_PROTO_LEVEL_H

#include <stdint.h>

enum { PROTO_LEVEL_FIRST = 1, PROTO_LEVEL_MAX = UINT16_MAX };

/* The highest level that this program knows. */
uint32_t proto_level_known(void);
/* The level from which on commands of the kind exist. */
uint32_t proto_level_of(unsigned kind);

#endif
