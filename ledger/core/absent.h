/* SPDX-License-Identifier: Apache-2.0
 * Which hold ids the store below cannot have, so that a fresh one need not be looked for there
 * (every reserve asks for its id in three tables). Speed only: an answer of "sure" must be certain.
 *
 * A hold's id carries its time (UUIDv7), and no record of it is made unless that time is at most
 * CORE_AHEAD_US ahead of replicated time. So below are only ids of before the start (`base`), and
 * those that were dropped from memory since: one bit for each second of their time says whether
 * there was one. Seconds older than the ring are not known.
 *
 *     not known | base ... one bit a second ... base + CORE_ABSENT_SECONDS | none there
 */
#ifndef HOLDFAST_CORE_ABSENT_H
#define HOLDFAST_CORE_ABSENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CORE_ABSENT_SECONDS = 4096 }; /* a power of two */

/* All zero: nothing is below. */
struct core_absent {
    int64_t base; /* seconds since 1970 */
    uint64_t dropped[CORE_ABSENT_SECONDS / 64];
};

/* The store below stands at this replicated time. Nothing was dropped yet. */
void core_absent_start(struct core_absent *a, int64_t clock_us);
/* The record of this key was dropped from memory, or is not known to be in it; other tables than
 * hold, refused and closed: nothing. */
void core_absent_note(struct core_absent *a, const uint8_t *key, size_t klen);
/* The store below has no such record. Other tables: false. */
bool core_absent_sure(const struct core_absent *a, const uint8_t *key, size_t klen);

#endif
