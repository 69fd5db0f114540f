/* SPDX-License-Identifier: Apache-2.0
 * The mark of divergence: DIR/DIVERGED, a line of text. A node writes it when a majority of the
 * others has another state; the directory is then not served again until an operator acts: seeds
 * it anew, or has the state made again from the log. Main thread and loop thread; blocks.
 */
#ifndef HOLDFAST_LEDGER_DATA_MARK_H
#define HOLDFAST_LEDGER_DATA_MARK_H

#include "ledger/store/why.h"

#include <stdbool.h>

enum { DATA_MARK_MAX = 512 };

/* Durable when it returns 0. */
__attribute__((warn_unused_result)) int data_mark_write(const char *dir, const char *text,
                                                        struct store_why *why);
/* Whether the directory is marked; a mark that cannot be read is one. */
bool data_mark_read(const char *dir, char text[DATA_MARK_MAX]);

/* Throws the state and the mark away, so that the next start makes the state from the log alone.
 * -EBUSY: in use. -ENODATA: the log does not begin with entry 1, seed the node instead. What a
 * crash interrupts can be repeated. */
__attribute__((warn_unused_result)) int data_dir_rebuild(const char *dir, struct store_why *why);

#endif
