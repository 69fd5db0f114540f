/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/replay/options.h"

#include "proto/text.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

static const char help[] =
    "usage: holdfast-replay --data DIR [options]\n"
    "Re-executes the log of a ledger node and compares it with the node's state.\n"
    "  --data DIR            a node's data directory, live or copied\n"
    "  --archive DIR         where the log's trimmed segments are: DIR and the node are one log\n"
    "  --copy                nobody writes the directory: touch no lock file\n"
    "  --json                one JSON object instead of the table\n"
    "  --org UUID            only this organisation\n"
    "  --at TIME             balances as of TIME (RFC 3339)\n"
    "  --transactions        every transfer, one a line\n"
    "  --log                 every entry, command and result as JSON lines\n"
    "  --expect-head INDEX:HASH\n"
    "                        the chain at INDEX as kept elsewhere; without it a log that was\n"
    "                        rewritten whole cannot be told from the first one\n"
    "  --verify-receipt INDEX:ORDINAL:CHAIN\n"
    "                        the receipt of one call stands in this log\n"
    "  --memory MIB          for records (1024); more go to a file in $TMPDIR\n"
    "  --progress            progress on stderr (default on a terminal)\n"
    "  --help, --version\n"
    "  --allow-empty         a new node without commands or checkpoint is no failure\n"
    "exit: 0 all is proven; 1 a mismatch or damage, named; 2 usage or I/O\n";

static bool digits(const char *s, size_t n, int64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9')
            return false;
        *out = *out * 10 + (s[i] - '0');
    }
    return true;
}

/* Days from 1970-01-01 in the proleptic Gregorian calendar, for years from 1970. */
static int64_t days_of(int64_t y, int64_t m, int64_t d)
{
    static const int before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    int64_t p = y - 1;
    return p * 365 + p / 4 - p / 100 + p / 400 - 719162 + before[m - 1] + (leap && m > 2) + d - 1;
}

static bool parse_offset(const char *s, int64_t *seconds)
{
    int64_t h, m;
    if ((s[0] == 'Z' || s[0] == 'z') && s[1] == '\0') {
        *seconds = 0;
        return true;
    }
    if ((s[0] != '+' && s[0] != '-') || strlen(s) != 6 || s[3] != ':' || !digits(s + 1, 2, &h) ||
        !digits(s + 4, 2, &m) || h > 23 || m > 59)
        return false;
    *seconds = (h * 3600 + m * 60) * (s[0] == '-' ? -1 : 1);
    return true;
}

bool replay_time_parse(const char *s, int64_t *us)
{
    int64_t y, mo, d, h, mi, sec, offset, micros = 0;
    if (strlen(s) < 20 || s[4] != '-' || s[7] != '-' || (s[10] != 'T' && s[10] != 't') ||
        s[13] != ':' || s[16] != ':' || !digits(s, 4, &y) || !digits(s + 5, 2, &mo) ||
        !digits(s + 8, 2, &d) || !digits(s + 11, 2, &h) || !digits(s + 14, 2, &mi) ||
        !digits(s + 17, 2, &sec))
        return false;
    if (y < 1970 || mo < 1 || mo > 12 || d < 1 || d > 31 || h > 23 || mi > 59 || sec > 60)
        return false;
    s += 19;
    if (*s == '.') {
        int64_t unit = 100000;
        for (s++; *s >= '0' && *s <= '9'; s++, unit /= 10)
            micros += (*s - '0') * unit;
    }
    if (!parse_offset(s, &offset))
        return false;
    *us = (days_of(y, mo, d) * 86400 + h * 3600 + mi * 60 + sec - offset) * 1000000 + micros;
    return true;
}

static bool parse_uint(const char **s, uint64_t max, uint64_t *out)
{
    char *end;
    if (**s < '0' || **s > '9')
        return false;
    errno = 0;
    *out = strtoull(*s, &end, 10);
    *s = end;
    return errno == 0 && *out <= max;
}

static bool parse_head(struct replay_options *o, const char *s)
{
    o->has_head = true;
    return parse_uint(&s, UINT64_MAX, &o->head_index) && *s == ':' && o->head_index > 0 &&
           proto_hex_parse(proto_str_of(s + 1), o->head.b, sizeof o->head.b);
}

static bool parse_receipt(struct replay_options *o, const char *s)
{
    uint64_t ordinal = 0;
    o->has_receipt = true;
    bool ok = parse_uint(&s, UINT64_MAX, &o->receipt_index) && *s++ == ':' &&
              parse_uint(&s, UINT32_MAX, &ordinal) && *s == ':' && o->receipt_index > 0 &&
              proto_hex_parse(proto_str_of(s + 1), o->receipt_chain.b, sizeof o->receipt_chain.b);
    o->receipt_ordinal = (uint32_t)ordinal;
    return ok;
}

enum {
    OPT_DATA = 256,
    OPT_ARCHIVE,
    OPT_COPY,
    OPT_JSON,
    OPT_ORG,
    OPT_AT,
    OPT_TRANSACTIONS,
    OPT_LOG,
    OPT_HEAD,
    OPT_RECEIPT,
    OPT_MEMORY,
    OPT_PROGRESS,
    OPT_EMPTY,
    OPT_HELP,
    OPT_VERSION
};

static const struct option table[] = {
    {"data", required_argument, NULL, OPT_DATA},
    {"archive", required_argument, NULL, OPT_ARCHIVE},
    {"copy", no_argument, NULL, OPT_COPY},
    {"json", no_argument, NULL, OPT_JSON},
    {"org", required_argument, NULL, OPT_ORG},
    {"at", required_argument, NULL, OPT_AT},
    {"transactions", no_argument, NULL, OPT_TRANSACTIONS},
    {"log", no_argument, NULL, OPT_LOG},
    {"expect-head", required_argument, NULL, OPT_HEAD},
    {"verify-receipt", required_argument, NULL, OPT_RECEIPT},
    {"memory", required_argument, NULL, OPT_MEMORY},
    {"progress", no_argument, NULL, OPT_PROGRESS},
    {"allow-empty", no_argument, NULL, OPT_EMPTY},
    {"help", no_argument, NULL, OPT_HELP},
    {"version", no_argument, NULL, OPT_VERSION},
    {NULL, 0, NULL, 0},
};

static bool parse_memory(struct replay_options *o, const char *s)
{
    int64_t mib;
    if (strlen(s) > 9 || !digits(s, strlen(s), &mib) || mib < 1 || mib > 1048576)
        return false;
    o->memory_mib = (uint64_t)mib;
    return true;
}

/* NULL, or what is wrong with the option's value. */
static const char *take(struct replay_options *o, int option)
{
    switch (option) {
    case OPT_DATA:
        o->dir = optarg;
        return NULL;
    case OPT_ARCHIVE:
        o->archive = optarg;
        return NULL;
    case OPT_COPY:
        o->copy = true;
        return NULL;
    case OPT_JSON:
        o->json = true;
        return NULL;
    case OPT_ORG:
        o->has_org = true;
        return proto_uuid_parse(proto_str_of(optarg), &o->org) ? NULL : "--org wants a UUID";
    case OPT_AT:
        o->has_at = true;
        return replay_time_parse(optarg, &o->at_us)
                   ? NULL
                   : "--at wants an RFC 3339 time, as 2026-11-22T10:00:00Z";
    case OPT_TRANSACTIONS:
        o->transactions = true;
        return NULL;
    case OPT_LOG:
        o->log = true;
        return NULL;
    case OPT_HEAD:
        return parse_head(o, optarg) ? NULL : "--expect-head wants INDEX:HASH (64 hex digits)";
    case OPT_RECEIPT:
        return parse_receipt(o, optarg)
                   ? NULL
                   : "--verify-receipt wants INDEX:ORDINAL:CHAIN (64 hex digits)";
    case OPT_MEMORY:
        return parse_memory(o, optarg) ? NULL : "--memory wants MiB, 1 to 1048576";
    case OPT_PROGRESS:
        o->progress = true;
        return NULL;
    case OPT_EMPTY:
        o->allow_empty = true;
        return NULL;
    default:
        return "an option without a meaning";
    }
}

static enum replay_parse refuse(const char *what, const char *word)
{
    (void)fprintf(stderr, "holdfast-replay: %s: %s\nTry 'holdfast-replay --help'.\n", what, word);
    return REPLAY_BAD;
}

enum replay_parse replay_options_parse(struct replay_options *o, int argc, char **argv)
{
    *o = (struct replay_options){0};
    const char *bad = NULL;
    int option;
    opterr = 0;
    while (!bad && (option = getopt_long(argc, argv, ":h", table, NULL)) != -1) {
        if (option == '?' || option == ':')
            return refuse(option == ':' ? "a value is missing after" : "unknown option",
                          argv[optind - 1]);
        if (option == OPT_HELP || option == 'h') {
            (void)fputs(help, stdout);
            return REPLAY_HELP;
        }
        if (option == OPT_VERSION) {
            (void)puts("holdfast-replay " HOLDFAST_VERSION);
            return REPLAY_HELP;
        }
        bad = take(o, option);
    }
    if (!bad && optind < argc)
        return refuse("unexpected argument", argv[optind]);
    if (!bad && !o->dir)
        return refuse("missing", "--data DIR");
    if (!bad)
        return REPLAY_PARSED;
    (void)fprintf(stderr, "holdfast-replay: %s\n", bad);
    return REPLAY_BAD;
}
