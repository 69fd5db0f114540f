/* SPDX-License-Identifier: Apache-2.0
 * Figures in the text format of Prometheus (version 0.0.4): a family's name, help and type once,
 * then its samples. Pure; one owner. Names and label names are the caller's static text; label
 * values may come from outside and are escaped. A text that finds no memory is marked as failed.
 */
#ifndef HOLDFAST_PROTO_METRICS_TEXT_H
#define HOLDFAST_PROTO_METRICS_TEXT_H

#include "proto/base/buf.h"

#include <stdbool.h>
#include <stdint.h>

enum { METRICS_TEXT_MAX = 8 * 1024 * 1024, METRICS_LABEL_MAX = 256 /* bytes shown of a value */ };

struct metrics_text {
    struct base_buf *out;
    bool failed; /* what is in `out` is not whole */
};

struct metrics_label {
    const char *name; /* NULL: the end of a list */
    const char *value;
};

enum metrics_type { METRICS_COUNTER, METRICS_GAUGE, METRICS_HISTOGRAM };

/* "# HELP" and "# TYPE". Samples of the family must follow before another one begins. */
void metrics_family(struct metrics_text *t, const char *name, enum metrics_type type,
                    const char *help);
/* labels: ended by one without a name; NULL: none. */
void metrics_sample(struct metrics_text *t, const char *name, const struct metrics_label *labels,
                    int64_t value);
/* value / 10^decimals, exactly: microseconds as seconds have 6. */
void metrics_sample_scaled(struct metrics_text *t, const char *name,
                           const struct metrics_label *labels, int64_t value, unsigned decimals);
/* A family of one sample without labels. */
void metrics_one(struct metrics_text *t, const char *name, enum metrics_type type, const char *help,
                 int64_t value);

#endif
