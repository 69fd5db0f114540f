/* SPDX-License-Identifier: Apache-2.0
 * The modes of holdfast-bench: each runs to its end on the main thread (with threads of its own),
 * prints its figures to stdout, and returns the program's exit code.
 */
#ifndef HOLDFAST_BENCH_MODE_H
#define HOLDFAST_BENCH_MODE_H

#include "tools/bench/options.h"

enum bench_exit { BENCH_DONE = 0, BENCH_NOTHING = 1, BENCH_FAILED = 2 };

int bench_ledger(const struct bench_options *o);
int bench_http(const struct bench_options *o);

#endif
