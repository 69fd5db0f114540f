/* SPDX-License-Identifier: Apache-2.0
 * The recorded streams of others, read from the shared data (HOLDFAST_SHARED, else ../shared).
 */
#ifndef HOLDFAST_TESTS_RECORDINGS_H
#define HOLDFAST_TESTS_RECORDINGS_H

#include "edge/exchange/json.h"

struct recording {
    yyjson_val *row;  /* of the manifest: expected_usage, text_bytes ... */
    const char *file; /* its name below data/streams */
    char *bytes;      /* as a provider sends it: bare JSON lines are made events */
    size_t n;
};

/* Visits every recording of that API; returns how many there are, 0: no shared data. */
unsigned recordings_visit(const char *api, void (*visit)(const struct recording *r));
/* A number of expected_usage; 0 where there is none. */
int64_t recording_usage(const struct recording *r, const char *name);
bool recording_has_usage(const struct recording *r);

#endif
