/* SPDX-License-Identifier: Apache-2.0
 * Command lines: options by table, typed values, and the help that the tables give.
 */
#include "tools/ctl/ctl.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { COMMON_CONFIG = 1000, COMMON_TOKEN, COMMON_TIMEOUT, COMMON_ID, COMMON_JSON, COMMON_HELP };

static const struct option common[] = {{"config", required_argument, NULL, COMMON_CONFIG},
                                       {"token-file", required_argument, NULL, COMMON_TOKEN},
                                       {"timeout", required_argument, NULL, COMMON_TIMEOUT},
                                       {"id", required_argument, NULL, COMMON_ID},
                                       {"json", no_argument, NULL, COMMON_JSON},
                                       {"help", no_argument, NULL, COMMON_HELP}};
enum { COMMON_N = sizeof common / sizeof *common };

static const char common_help[] =
    "Common options:\n"
    "  --config FILE        ctl.conf, or the folder it is in (default: $HOLDFAST_CTL_CONF,\n"
    "                       else ./ctl.conf)\n"
    "  --token-file FILE    credential to present instead of the configured operator token\n"
    "  --timeout SECONDS    how long to try (default 10)\n"
    "  --id UUID            command id (UUIDv7): the same command with the same id is done once\n"
    "  --json               print JSON; money is in decimal dollars, and exact in *_nanos\n"
    "  --help\n"
    "Exit status: 0 done, 1 refused by the ledger, 2 usage or configuration, 3 ledger "
    "unavailable,\n4 status --strict: a node is not well\n";

/* ---- reading ---- */
static int common_take(struct ctl *c, int which, const char *value, bool *help)
{
    char *end;
    long seconds;
    switch (which) {
    case COMMON_CONFIG:
        c->config = value;
        return CTL_OK;
    case COMMON_TOKEN:
        c->token_file = value;
        return CTL_OK;
    case COMMON_TIMEOUT:
        errno = 0;
        seconds = strtol(value, &end, 10);
        if (errno || end == value || *end || seconds < 1 || seconds > 3600)
            return ctl_fail(c, CTL_USAGE, "usage", "--timeout: 1 to 3600 seconds, not '%s'", value);
        c->timeout_ms = (unsigned)seconds * 1000;
        return CTL_OK;
    case COMMON_ID:
        if (!proto_uuid_parse(proto_str_of(value), &c->command_id) || c->command_id.b[6] >> 4 != 7)
            return ctl_fail(c, CTL_USAGE, "usage",
                            "--id: not a UUIDv7, as 'holdfastctl uuid' makes them: '%s'", value);
        return CTL_OK;
    case COMMON_JSON:
        c->json = true;
        return CTL_OK;
    default:
        *help = true;
        return CTL_OK;
    }
}

static unsigned options_count(const struct ctl_option *options)
{
    unsigned n = 0;
    while (options && options[n].name && n < CTL_OPTIONS_MAX)
        n++;
    return n;
}

static int missing(struct ctl *c, const struct ctl_action *action, const struct ctl_args *a)
{
    for (unsigned i = 0; i < options_count(action->options); i++)
        if (action->options[i].required && !a->value[i])
            return ctl_fail(c, CTL_USAGE, "usage", "--%s %s is missing", action->options[i].name,
                            action->options[i].arg ? action->options[i].arg : "");
    if (action->operand && action->operand[0] != '[' && !a->operand)
        return ctl_fail(c, CTL_USAGE, "usage", "%s is missing", action->operand);
    return CTL_OK;
}

static int read_options(struct ctl *c, const struct ctl_action *action, int argc, char **argv,
                        struct ctl_args *a, bool *help)
{
    struct option flags[CTL_OPTIONS_MAX + COMMON_N + 1] = {{0}};
    unsigned n = options_count(action->options);
    for (unsigned i = 0; i < n; i++) {
        const struct ctl_option *o = &action->options[i];
        flags[i] =
            (struct option){o->name, o->arg ? required_argument : no_argument, NULL, (int)i + 1};
    }
    memcpy(flags + n, common, sizeof common);
    optind = 0; /* glibc: start anew */
    opterr = 0;
    for (int got; (got = getopt_long(argc, argv, ":h", flags, NULL)) != -1;) {
        int rv = CTL_OK;
        if (got == ':')
            return ctl_fail(c, CTL_USAGE, "usage", "%s needs a value", argv[optind - 1]);
        if (got == '?')
            return ctl_fail(c, CTL_USAGE, "usage", "unknown option: %s", argv[optind - 1]);
        if (got == 'h')
            *help = true;
        else if (got >= COMMON_CONFIG)
            rv = common_take(c, got, optarg, help);
        else if (a->value[got - 1])
            return ctl_fail(c, CTL_USAGE, "usage", "--%s is given twice", flags[got - 1].name);
        else
            a->value[got - 1] = optarg ? optarg : "";
        if (rv)
            return rv;
    }
    return CTL_OK;
}

int ctl_args_read(struct ctl *c, const struct ctl_noun *noun, const struct ctl_action *action,
                  int argc, char **argv, struct ctl_args *a, bool *help)
{
    (void)noun;
    *a = (struct ctl_args){.options = action->options};
    *help = false;
    int rv = read_options(c, action, argc, argv, a, help);
    if (rv || *help)
        return rv;
    if (optind < argc && action->operand)
        a->operand = argv[optind++];
    if (optind < argc)
        return ctl_fail(c, CTL_USAGE, "usage", "unexpected argument: %s", argv[optind]);
    return missing(c, action, a);
}

const char *ctl_arg(const struct ctl_args *a, const char *name)
{
    for (unsigned i = 0; i < options_count(a->options); i++)
        if (strcmp(a->options[i].name, name) == 0)
            return a->value[i];
    return NULL;
}

bool ctl_given(const struct ctl_args *a, const char *name)
{
    return ctl_arg(a, name) != NULL;
}

/* ---- typed values ---- */
int ctl_money(struct ctl *c, const struct ctl_args *a, const char *name, int64_t *nanos)
{
    const char *text = ctl_arg(a, name);
    if (!text)
        return CTL_OK;
    int rv = strlen(text) > 64 ? -ERANGE : proto_money_parse(proto_str_of(text), nanos);
    if (rv == 0 && *nanos >= 0)
        return CTL_OK;
    return ctl_fail(c, CTL_USAGE, "usage", "--%s: %s: '%s'", name,
                    rv == -ERANGE ? "the amount is too large"
                    : rv == 0     ? "an amount is not negative"
                                  : "dollars are written as 12 or 12.50, at most nine decimals",
                    text);
}

int ctl_number(struct ctl *c, const struct ctl_args *a, const char *name, int64_t min, int64_t max,
               int64_t *out)
{
    const char *text = ctl_arg(a, name);
    if (!text)
        return CTL_OK;
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (errno || end == text || *end || v < min || v > max)
        return ctl_fail(c, CTL_USAGE, "usage", "--%s: a number from %lld to %lld, not '%s'", name,
                        (long long)min, (long long)max, text);
    *out = v;
    return CTL_OK;
}

int ctl_bool(struct ctl *c, const struct ctl_args *a, const char *name, bool *out)
{
    const char *text = ctl_arg(a, name);
    if (!text)
        return CTL_OK;
    if (strcmp(text, "yes") != 0 && strcmp(text, "no") != 0)
        return ctl_fail(c, CTL_USAGE, "usage", "--%s: yes or no, not '%s'", name, text);
    *out = text[0] == 'y';
    return CTL_OK;
}

int64_t ctl_now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

bool ctl_time_parse(const char *text, int64_t now_us, int64_t *us)
{
    char *end;
    errno = 0;
    long span = strtol(text, &end, 10);
    if (errno == 0 && end != text && span > 0 && span <= 1000000 && end[0] && !end[1]) {
        int64_t unit = end[0] == 'd' ? 86400 : end[0] == 'h' ? 3600 : end[0] == 'm' ? 60 : 0;
        *us = now_us + span * unit * 1000000;
        return unit > 0;
    }
    struct tm tm = {0};
    const char *rest = strptime(text, strlen(text) == 10 ? "%Y-%m-%d" : "%Y-%m-%dT%H:%M:%SZ", &tm);
    if (!rest || *rest || tm.tm_year < 70 || tm.tm_year > 1000)
        return false;
    struct tm same = tm;
    time_t t = timegm(&tm);
    if (same.tm_mday != tm.tm_mday) /* the 31st of a month that has none */
        return false;
    *us = (int64_t)t * 1000000;
    return true;
}

int ctl_time(struct ctl *c, const struct ctl_args *a, const char *name, int64_t *us)
{
    const char *text = ctl_arg(a, name);
    if (!text || ctl_time_parse(text, ctl_now_us(), us))
        return CTL_OK;
    return ctl_fail(c, CTL_USAGE, "usage",
                    "--%s: YYYY-MM-DD, YYYY-MM-DDTHH:MM:SSZ, or 30d, 12h, 45m; not '%s'", name,
                    text);
}

int ctl_uuid(struct ctl *c, const struct ctl_args *a, const char *name, struct proto_uuid *out)
{
    const char *text = ctl_arg(a, name);
    if (!text || proto_uuid_parse(proto_str_of(text), out))
        return CTL_OK;
    return ctl_fail(c, CTL_USAGE, "usage", "--%s: not a UUID: '%s'", name, text);
}

int ctl_name(struct ctl *c, const struct ctl_args *a, struct proto_str *out)
{
    const char *text = ctl_arg(a, "name");
    if (text && !*text)
        return ctl_fail(c, CTL_USAGE, "usage", "--name: a name is not empty");
    return ctl_string(c, a, "name", PROTO_NAME_MAX, out);
}

int ctl_string(struct ctl *c, const struct ctl_args *a, const char *name, uint32_t max,
               struct proto_str *out)
{
    const char *text = ctl_arg(a, name);
    if (!text)
        return CTL_OK;
    if (strlen(text) > max || !proto_utf8_clean(proto_str_of(text)))
        return ctl_fail(c, CTL_USAGE, "usage",
                        "--%s: at most %u bytes of UTF-8 without control characters", name,
                        (unsigned)max);
    *out = proto_str_of(text);
    return CTL_OK;
}

/* ---- help ---- */
void ctl_help(const struct ctl_noun *const *nouns, unsigned n)
{
    printf("usage: holdfastctl COMMAND [options]\n\nAdministers a Holdfast cluster.\n\n");
    for (unsigned i = 0; i < n; i++)
        printf("  %-12s %s\n", nouns[i]->name, nouns[i]->summary);
    printf("\n'holdfastctl COMMAND --help' says more, 'holdfastctl --version' which this is.\n\n%s",
           common_help);
}

void ctl_help_noun(const struct ctl_noun *noun)
{
    printf("usage: holdfastctl %s ACTION [options]\n\n%s\n\n", noun->name, noun->summary);
    for (const struct ctl_action *a = noun->actions; a->run; a++)
        printf("  %-10s %s\n", a->verb, a->summary);
    printf("\n'holdfastctl %s ACTION --help' lists its options.\n", noun->name);
}

void ctl_help_action(const struct ctl_noun *noun, const struct ctl_action *action)
{
    unsigned n = options_count(action->options);
    printf("usage: holdfastctl %s%s%s", noun->name, action->verb ? " " : "",
           action->verb ? action->verb : "");
    for (unsigned i = 0; i < n; i++) {
        const struct ctl_option *o = &action->options[i];
        if (o->required)
            printf(" --%s%s%s", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
    }
    printf("%s%s [options]\n\n%s\n", action->operand ? " " : "",
           action->operand ? action->operand : "", action->summary);
    for (unsigned i = 0; i < n; i++) {
        const struct ctl_option *o = &action->options[i];
        char head[64];
        snprintf(head, sizeof head, "--%s%s%s", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
        printf("%s  %-22s %s\n", i ? "" : "\n", head, o->help);
    }
    if (action->notes)
        printf("\n%s", action->notes);
    printf("\n%s", common_help);
}
