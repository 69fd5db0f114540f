/* SPDX-License-Identifier: Apache-2.0
 * Price catalogues from outside: the LiteLLM JSON map and the genai-prices catalogue become rows of
 * ours (struct proto_price), valid, sorted by name and without doubles. Decimals are read as text
 * and rounded up once, to nano-dollars per 10^9 units; no float touches a price.
 * Called by holdfastctl and the tests, on one thread. A name that does not become a row is listed
 * with its reason; nothing is dropped silently and nothing unknown is priced at zero.
 */
#ifndef HOLDFAST_PRICES_H
#define HOLDFAST_PRICES_H

#include "proto/price.h"

enum {
    PRICES_FILE_MAX = 64 * 1024 * 1024, /* bytes of a catalogue file */
    PRICES_NAMES_MAX = 100000,          /* rows and skips of one catalogue, each */
    PRICES_NOTES_MAX = 128, /* kinds of price that we do not meter; more are not listed */
    PRICES_ERROR_MAX = 256,
    PRICES_AT_MAX = 24,
};

enum prices_format { PRICES_UNKNOWN, PRICES_LITELLM, PRICES_GENAI };

/* A row; `from` is the position of its entry in the catalogue, `rank` says how strong its claim on
 * the name is (genai: full name, first party, anybody). */
struct prices_row {
    struct proto_price price;
    uint32_t from;
    uint16_t provider;
    uint8_t rank;
};
struct prices_skip {
    char *name;
    const char *reason; /* static */
};
/* A price key of the catalogue that has no unit of ours, and in how many entries it stands. */
struct prices_note {
    char *key;
    uint32_t count;
};

/* Owns all it points to. */
struct prices {
    enum prices_format format;
    char at[PRICES_AT_MAX]; /* "YYYY-MM-DD" or "YYYY-MM-DDTHH:MM:SSZ": which dated prices hold */
    uint32_t entries;       /* models of the catalogue */
    struct prices_row *rows;
    uint32_t n_rows, cap_rows;
    struct prices_skip *skips;
    uint32_t n_skips, cap_skips;
    struct prices_note notes[PRICES_NOTES_MAX];
    uint32_t n_notes;
    struct yyjson_doc *doc; /* kept for prices_genai_match */
};

/* Reads a catalogue from memory, finds out its format, makes the rows. `at`: see above; a date
 * alone takes the dearest of prices that differ by time of day. On failure p needs no close.
 * -EINVAL (not JSON, no known format, bad `at`), -EFBIG, -ENOMEM; `error` says what. */
__attribute__((warn_unused_result)) int prices_open(struct prices *p, const void *text, size_t n,
                                                    const char *at, char error[PRICES_ERROR_MAX]);
/* The same from a file; also the errno codes of reading it. */
__attribute__((warn_unused_result)) int prices_load(struct prices *p, const char *path,
                                                    const char *at, char error[PRICES_ERROR_MAX]);
void prices_close(struct prices *p);

/* The row of exactly that name; NULL: none. */
const struct proto_price *prices_find(const struct prices *p, struct proto_str model);
/* The listed reason of a name without a row; NULL: none. */
const char *prices_skipped(const struct prices *p, struct proto_str name);
const char *prices_format_name(enum prices_format format);

/* genai: the entry that the catalogue's own match rules find for a provider's id and a model's name
 * as a response gives it, priced at p->at. out->model points into p. 0, -ENOENT (no rule matches),
 * -EINVAL (the entry has no usable price). */
__attribute__((warn_unused_result)) int prices_genai_match(const struct prices *p,
                                                           struct proto_str provider,
                                                           struct proto_str model,
                                                           struct proto_price *out);

#endif
