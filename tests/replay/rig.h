/* SPDX-License-Identifier: Apache-2.0
 * holdfast-replay as the tests run it: the program, the folder, the sound directory that nobody
 * changes, and the work directory of each test.
 */
#ifndef HOLDFAST_TESTS_REPLAY_RIG_H
#define HOLDFAST_TESTS_REPLAY_RIG_H

#include "tests/replay/damage.h"
#include "tests/replay/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs these before it
#include <cmocka.h>

#define SEGMENT "log/00000000000000000001"

extern const char *folder;
extern const char *memory; /* --memory of every run; NULL: the default */
extern char sound[400], work[400];
extern struct fixture fixture; /* of the sound directory */
extern char output[1 << 20];   /* what the last run said */

/* Of main: argv[1] is the program, argv[2] a folder to work in, argv[3] a filter of tests. False:
 * they are missing, or cannot be used. */
bool rig_open(int argc, char **argv);
/* Removes the folder unless a test failed; returns `failed`. */
int rig_close(int failed);

/* Runs replay on dir with up to 4 further arguments; its exit code, or -signal. */
int replay(const char *dir, const char *a, const char *b, const char *c, const char *d);
int replay0(const char *dir);
void expect_output(const char *text);
struct damage_table table(const char *dir, const char *env, const char *name);
/* The work directory: made from the sound one, and removed. */
int fresh_copy(void **state);
int drop_copy(void **state);

#endif
