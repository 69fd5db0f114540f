/* SPDX-License-Identifier: Apache-2.0
 * What the user sees of a replay: a table and a few lines, or one JSON object. Written to stdout
 * once, at the end. The words are careful: without a head kept elsewhere a log is "internally
 * consistent", with one it is "proven".
 */
#ifndef HOLDFAST_REPLAY_REPORT_H
#define HOLDFAST_REPLAY_REPORT_H

#include "tools/replay/run.h"

void report_text(const struct replay *r);
void report_json(const struct replay *r);
/* When there is nothing but a verdict: the child died, or nothing could be opened. */
void report_verdict(const struct replay_options *o, const struct replay_verdict *v);

#endif
