/* SPDX-License-Identifier: Apache-2.0
 * What a provider reports about one call, in the dialects of the OpenAI API, and its translation to
 * the ledger's disjoint units. Pure; numbers of a provider are bytes from outside: what is
 * negative, fractional or absurd is rounded up, clamped or left out, never trusted to fit.
 */
#ifndef HOLDFAST_EDGE_USAGE_H
#define HOLDFAST_EDGE_USAGE_H

#include "proto/command.h"
#include "proto/price.h"

#include <yyjson.h>

enum { EDGE_TOKENS_MAX = 1000000000 }; /* of one kind in one call; more is cut to this */

/* $100,000: a cost of one call beyond this is a fault of the provider's, and not believed. Charged
 * as it stands it would empty the org, and its write-off would leave no room for any other. */
#define EDGE_COST_MAX_NANOS (100000 * INT64_C(1000000000))

struct edge_usage {
    bool seen;                          /* tokens were told; a cost alone tells none */
    int64_t prompt, completion, total;  /* as reported, with everything below inside */
    int64_t cached, cache_write;        /* of the prompt */
    int64_t audio_input, image_input;   /* of the prompt */
    int64_t audio_output, image_output; /* of the completion */
    int64_t reasoning;
    bool reasoning_apart; /* reasoning is not part of `completion` (xAI) */
    bool has_cost;
    int64_t cost_nanos; /* the provider's own number, rounded up */
    uint8_t class;      /* enum proto_class: the service tier that was billed */
};

/* What a stream or an answer showed so far. */
struct edge_meter {
    struct edge_usage usage; /* the last one seen */
    int64_t text_bytes;      /* generated text that went by */
    bool done;               /* the stream's own end mark */
    bool failed;             /* the provider said that it failed, whatever its status was */
};

/* Reads a usage object; false: it is none, or tells neither tokens nor a cost. */
bool edge_usage_read(struct edge_usage *usage, yyjson_val *object);
/* "default", "priority", "flex" ... */
uint8_t edge_usage_class(yyjson_val *service_tier);
/* Dollars as JSON number or text; false (and nothing written): none, or past EDGE_COST_MAX_NANOS.
 */
bool edge_usage_cost(struct proto_str text, int64_t *cost_nanos);
/* Disjoint units. */
void edge_usage_units(const struct edge_usage *usage, struct proto_units *units);
/* Estimated units: four bytes a token, rounded up. */
void edge_usage_guess(int64_t input_bytes, int64_t output_bytes, struct proto_units *units);
void edge_usage_list(const struct proto_units *units, struct proto_settle *settle);

/* Bytes of all strings inside a value, but for members `role`, `id` and `type`. */
int64_t edge_usage_text_bytes(yyjson_val *value);

#endif
