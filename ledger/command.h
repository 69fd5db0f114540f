/* SPDX-License-Identifier: Apache-2.0
 * The subcommands of holdfast-ledger that end by themselves: backup, restore, archive, seed. Main
 * thread, before anything else runs. Each says what it does on stderr (a terminal, or --progress)
 * and what came of it on stdout, as text or, with --json, one object.
 */
#ifndef HOLDFAST_LEDGER_COMMAND_H
#define HOLDFAST_LEDGER_COMMAND_H

#include "ledger/node.h"

#include <stdbool.h>

bool command_known(const char *name);
/* argv[1] is a known name. */
enum node_exit command_run(int argc, char **argv);
/* Lines for --help. */
extern const char command_usage[];

#endif
