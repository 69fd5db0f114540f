/* SPDX-License-Identifier: Apache-2.0
 * The command line of holdfast-bench. Parsed once by main; read-only after that.
 */
#ifndef HOLDFAST_BENCH_OPTIONS_H
#define HOLDFAST_BENCH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum bench_mode { BENCH_LEDGER, BENCH_HTTP, BENCH_STREAMS, BENCH_PREPARE };

enum {
    BENCH_THREADS_MAX = 64,
    BENCH_CLIENTS_MAX = 60000, /* cycles or connections under way at once, all threads */
    BENCH_KEYS_MAX = 20000000, /* all orgs */
    BENCH_FIELDS_MAX = 8,      /* --header */
};

struct bench_options {
    enum bench_mode mode;
    /* both */
    unsigned threads, clients;
    double rate; /* a second, all threads; 0: closed loop */
    double seconds, warmup;
    unsigned timeout_ms;
    bool json;
    /* ledger, prepare */
    const char *config, *token_file, *record, *population;
    unsigned orgs, keys_per_org, in_flight;
    bool reuse; /* the population stands already */
    /* http */
    const char *url, *key_file, *model, *body_file, *ca_file;
    const char *fields[BENCH_FIELDS_MAX]; /* "Name: value", sent with every call */
    unsigned n_fields;
    bool stream;
    unsigned interval_ms; /* streams: between the chunks of one, asked of the mock */
};

enum bench_parse { BENCH_PARSED, BENCH_HELP, BENCH_BAD };
enum bench_parse bench_options_parse(struct bench_options *o, int argc, char **argv);

#endif
