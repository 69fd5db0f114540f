/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: holdfast-bench prepare|ledger|http|streams [options]\n"
    "\n"
    "ledger   reserve + settle cycles against the nodes' client ports\n"
    "prepare  only makes what `ledger` needs: orgs, teams, keys, budgets, a price\n"
    "  --config FILE         holdfastctl's ctl.conf\n"
    "  --token-file FILE     operator token (default: $HOLDFAST_ADMIN_TOKEN, else as\n"
    "                        the file says)\n"
    "  --orgs N              organisations (1)\n"
    "  --keys-per-org N      keys in each (1), each with a monthly budget\n"
    "  --population NAME     names the orgs and keys, so that runs can share them\n"
    "  --reuse               they stand already: make nothing\n"
    "  --in-flight N         requests under way for each thread (8)\n"
    "  --record FILE         a line for every acknowledged command\n"
    "\n"
    "http     calls to an edge\n"
    "  --url URL             of the edge, as http://127.0.0.1:8080\n"
    "  --key-file FILE       API key (default: $HOLDFAST_API_KEY)\n"
    "  --stream              ask for a stream\n"
    "  --body FILE           the request's body, instead of a small chat\n"
    "  --ca FILE             of the edge's certificate, for https\n"
    "  --header 'NAME: TEXT' sent with every call; up to eight\n"
    "\n"
    "streams  as http, but --clients streams that stay open, opened during the warm-up, and how\n"
    "         long each chunk was under way; the provider is holdfast-mock on this machine\n"
    "  --interval MS         between the chunks of a stream (1000)\n"
    "\n"
    "all\n"
    "  --model NAME          what is called or held for (bench-model); the catalogue must have it\n"
    "  --clients N           cycles or connections under way (32); also --connections\n"
    "  --rate R              open loop: R a second, latency from the scheduled time\n"
    "  --seconds S           measured (10)\n"
    "  --warmup S            before that (2)\n"
    "  --threads N           (1)\n"
    "  --timeout MS          of one command or call (10000)\n"
    "  --json                one JSON object\n"
    "  --help, --version\n"
    "exit: 0 measured; 1 nothing succeeded; 2 usage or set-up failed\n";

enum {
    OPT_CONFIG = 256,
    OPT_TOKEN,
    OPT_ORGS,
    OPT_KEYS,
    OPT_POPULATION,
    OPT_REUSE,
    OPT_IN_FLIGHT,
    OPT_RECORD,
    OPT_URL,
    OPT_KEY,
    OPT_MODEL,
    OPT_STREAM,
    OPT_BODY,
    OPT_CA,
    OPT_INTERVAL,
    OPT_HEADER,
    OPT_CLIENTS,
    OPT_RATE,
    OPT_SECONDS,
    OPT_WARMUP,
    OPT_THREADS,
    OPT_TIMEOUT,
    OPT_JSON,
    OPT_HELP
};

static const struct option table[] = {
    {"config", required_argument, NULL, OPT_CONFIG},
    {"token-file", required_argument, NULL, OPT_TOKEN},
    {"orgs", required_argument, NULL, OPT_ORGS},
    {"keys-per-org", required_argument, NULL, OPT_KEYS},
    {"population", required_argument, NULL, OPT_POPULATION},
    {"reuse", no_argument, NULL, OPT_REUSE},
    {"in-flight", required_argument, NULL, OPT_IN_FLIGHT},
    {"record", required_argument, NULL, OPT_RECORD},
    {"url", required_argument, NULL, OPT_URL},
    {"key-file", required_argument, NULL, OPT_KEY},
    {"model", required_argument, NULL, OPT_MODEL},
    {"stream", no_argument, NULL, OPT_STREAM},
    {"body", required_argument, NULL, OPT_BODY},
    {"ca", required_argument, NULL, OPT_CA},
    {"interval", required_argument, NULL, OPT_INTERVAL},
    {"header", required_argument, NULL, OPT_HEADER},
    {"clients", required_argument, NULL, OPT_CLIENTS},
    {"connections", required_argument, NULL, OPT_CLIENTS},
    {"rate", required_argument, NULL, OPT_RATE},
    {"seconds", required_argument, NULL, OPT_SECONDS},
    {"warmup", required_argument, NULL, OPT_WARMUP},
    {"threads", required_argument, NULL, OPT_THREADS},
    {"timeout", required_argument, NULL, OPT_TIMEOUT},
    {"json", no_argument, NULL, OPT_JSON},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

static bool take_uint(unsigned min, unsigned max, unsigned *out)
{
    char *end;
    errno = 0;
    unsigned long v = strtoul(optarg, &end, 10);
    if (*optarg < '0' || *optarg > '9' || *end != '\0' || errno || v < min || v > max)
        return false;
    *out = (unsigned)v;
    return true;
}

static bool take_real(double min, double max, double *out)
{
    char *end;
    double v = strtod(optarg, &end);
    if (end == optarg || *end != '\0' || !(v >= min && v <= max))
        return false;
    *out = v;
    return true;
}

static bool take_text(const char **out)
{
    *out = optarg;
    return *optarg != '\0';
}

static bool take_flag(bool *out)
{
    *out = true;
    return true;
}

static bool take_field(struct bench_options *o)
{
    if (o->n_fields == BENCH_FIELDS_MAX || !strstr(optarg, ": ") || strpbrk(optarg, "\r\n"))
        return false;
    o->fields[o->n_fields++] = optarg;
    return true;
}

static bool take(struct bench_options *o, int option)
{
    switch (option) {
    case OPT_CONFIG:
        return take_text(&o->config);
    case OPT_TOKEN:
        return take_text(&o->token_file);
    case OPT_ORGS:
        return take_uint(1, 1000000, &o->orgs);
    case OPT_KEYS:
        return take_uint(1, BENCH_KEYS_MAX, &o->keys_per_org);
    case OPT_POPULATION:
        return take_text(&o->population);
    case OPT_REUSE:
        return take_flag(&o->reuse);
    case OPT_IN_FLIGHT:
        return take_uint(1, 64, &o->in_flight);
    case OPT_RECORD:
        return take_text(&o->record);
    case OPT_URL:
        return take_text(&o->url);
    case OPT_KEY:
        return take_text(&o->key_file);
    case OPT_MODEL:
        return take_text(&o->model) && strlen(o->model) <= 128 && !strpbrk(o->model, "\"\\");
    case OPT_STREAM:
        return take_flag(&o->stream);
    case OPT_BODY:
        return take_text(&o->body_file);
    case OPT_CA:
        return take_text(&o->ca_file);
    case OPT_HEADER:
        return take_field(o);
    case OPT_INTERVAL:
        return take_uint(1, 600000, &o->interval_ms);
    case OPT_CLIENTS:
        return take_uint(1, BENCH_CLIENTS_MAX, &o->clients);
    case OPT_RATE:
        return take_real(0, 1e7, &o->rate);
    case OPT_SECONDS:
        return take_real(0.1, 86400, &o->seconds);
    case OPT_WARMUP:
        return take_real(0, 3600, &o->warmup);
    case OPT_THREADS:
        return take_uint(1, BENCH_THREADS_MAX, &o->threads);
    case OPT_TIMEOUT:
        return take_uint(10, 600000, &o->timeout_ms);
    case OPT_JSON:
        return take_flag(&o->json);
    default:
        return false;
    }
}

static bool take_mode(struct bench_options *o, const char *word)
{
    static const char *const words[] = {
        [BENCH_LEDGER] = "ledger",
        [BENCH_HTTP] = "http",
        [BENCH_STREAMS] = "streams",
        [BENCH_PREPARE] = "prepare",
    };
    for (int i = BENCH_LEDGER; i <= BENCH_PREPARE; i++)
        if (strcmp(word, words[i]) == 0) {
            o->mode = (enum bench_mode)i;
            return true;
        }
    return false;
}

static const char *check(const struct bench_options *o)
{
    bool http = o->mode == BENCH_HTTP || o->mode == BENCH_STREAMS;
    if (http && !o->url)
        return "http and streams want --url";
    if (!http && !o->config)
        return "--config FILE is required";
    if (o->mode == BENCH_STREAMS && (o->warmup < 0.1 || o->body_file))
        return "streams wants a --warmup to open them in, and makes the --body itself";
    if (o->threads > o->clients)
        return "more --threads than --clients";
    if ((uint64_t)o->orgs * o->keys_per_org > BENCH_KEYS_MAX)
        return "too many keys";
    if (o->reuse && !o->population)
        return "--reuse wants the --population it was made with";
    return NULL;
}

static enum bench_parse refuse(const char *what, const char *word)
{
    (void)fprintf(stderr, "holdfast-bench: %s: %s\nTry 'holdfast-bench --help'.\n", what, word);
    return BENCH_BAD;
}

enum bench_parse bench_options_parse(struct bench_options *o, int argc, char **argv)
{
    *o = (struct bench_options){.threads = 1,
                                .clients = 32,
                                .seconds = 10,
                                .warmup = 2,
                                .timeout_ms = 10000,
                                .orgs = 1,
                                .keys_per_org = 1,
                                .in_flight = 8,
                                .interval_ms = 1000,
                                .model = "bench-model"};
    const char *bad = NULL;
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        (void)fputs(help, stdout);
        return BENCH_HELP;
    }
    if (argc > 1 && strcmp(argv[1], "--version") == 0) {
        (void)puts("holdfast-bench " HOLDFAST_VERSION);
        return BENCH_HELP;
    }
    if (argc < 2)
        return refuse("missing", "prepare, ledger, http or streams");
    if (!take_mode(o, argv[1]))
        return refuse(argv[1][0] == '-' ? "options come after the mode" : "unknown mode", argv[1]);
    int option, at = 0;
    opterr = 0;
    while (!bad && (option = getopt_long(argc - 1, argv + 1, ":h", table, &at)) != -1) {
        if (option == OPT_HELP || option == 'h') {
            (void)fputs(help, stdout);
            return BENCH_HELP;
        }
        if (option == '?' || option == ':')
            return refuse(option == ':' ? "a value is missing after" : "unknown option",
                          argv[optind]); /* of argv + 1 it is the one before */
        if (!take(o, option)) {
            (void)fprintf(stderr, "holdfast-bench: --%s: ", table[at].name);
            bad = "bad value";
        }
    }
    if (!bad && optind < argc - 1)
        return refuse("unexpected argument", argv[optind + 1]);
    if (!bad)
        bad = check(o);
    if (!bad && o->mode == BENCH_STREAMS) {
        o->stream = true;
        if (o->rate == 0)
            o->rate = o->clients / (o->warmup * 0.8);
    }
    if (!bad)
        return BENCH_PARSED;
    (void)fprintf(stderr, "holdfast-bench: %s\n", bad);
    return BENCH_BAD;
}
