/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/metrics/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void put_n(struct metrics_text *t, const char *s, size_t n)
{
    if (base_buf_add(t->out, s, n) < 0)
        t->failed = true;
}

static void put(struct metrics_text *t, const char *s)
{
    put_n(t, s, strlen(s));
}

void metrics_family(struct metrics_text *t, const char *name, enum metrics_type type,
                    const char *help)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    put(t, "# HELP ");
    put(t, name);
    put(t, " ");
    put(t, help);
    put(t, "\n# TYPE ");
    put(t, name);
    put(t, " ");
    put(t, types[type]);
    put(t, "\n");
}

/* A byte that is no UTF-8 would make the whole text unreadable: what is not ASCII is shown as %XX.
 */
static void put_value(struct metrics_text *t, const char *s)
{
    char hex[4];
    for (size_t i = 0; s[i] != '\0' && i < METRICS_LABEL_MAX; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '"' || c == '\\')
            put_n(t, (char[]){'\\', (char)c}, 2);
        else if (c == '\n')
            put(t, "\\n");
        else if (c >= 0x20 && c < 0x7f)
            put_n(t, &s[i], 1);
        else
            put_n(t, hex, (size_t)snprintf(hex, sizeof hex, "%%%02X", c));
    }
}

static void put_labels(struct metrics_text *t, const struct metrics_label *l)
{
    if (l == NULL || l->name == NULL)
        return;
    put(t, "{");
    for (const char *sep = ""; l->name != NULL; l++, sep = ",") {
        put(t, sep);
        put(t, l->name);
        put(t, "=\"");
        put_value(t, l->value != NULL ? l->value : "");
        put(t, "\"");
    }
    put(t, "}");
}

void metrics_sample(struct metrics_text *t, const char *name, const struct metrics_label *labels,
                    int64_t value)
{
    metrics_sample_scaled(t, name, labels, value, 0);
}

void metrics_sample_scaled(struct metrics_text *t, const char *name,
                           const struct metrics_label *labels, int64_t value, unsigned decimals)
{
    char number[64];
    uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value, unit = 1;
    const char *sign = value < 0 ? "-" : "";
    for (unsigned i = 0; i < decimals; i++)
        unit *= 10;
    if (decimals == 0)
        snprintf(number, sizeof number, " %s%" PRIu64 "\n", sign, magnitude);
    else
        snprintf(number, sizeof number, " %s%" PRIu64 ".%0*" PRIu64 "\n", sign, magnitude / unit,
                 (int)decimals, magnitude % unit);
    put(t, name);
    put_labels(t, labels);
    put(t, number);
}

void metrics_one(struct metrics_text *t, const char *name, enum metrics_type type, const char *help,
                 int64_t value)
{
    metrics_family(t, name, type, help);
    metrics_sample(t, name, NULL, value);
}
