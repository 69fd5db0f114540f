/* SPDX-License-Identifier: Apache-2.0
 * What any of our processes tells about itself: build, start, memory, descriptors, CPU time, log
 * lines left out. Read from /proc/self; what cannot be read is left out. Any thread.
 */
#ifndef HOLDFAST_PROTO_METRICS_PROCESS_H
#define HOLDFAST_PROTO_METRICS_PROCESS_H

#include "proto/metrics/text.h"

/* program: "edge" or "ledger". */
void metrics_process(struct metrics_text *t, const char *program, const char *version);

#endif
