/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/command.h"

#include "ledger/backup/backup.h"
#include "ledger/raft/pump.h"
#include "ledger/seed/link.h"
#include "proto/text.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const char command_usage[] = "       holdfast-ledger backup --config FILE --to DIR\n"
                             "       holdfast-ledger restore --config FILE --from DIR\n"
                             "       holdfast-ledger seed --config FILE [--timeout SECONDS]\n"
                             "       holdfast-ledger archive --from DIR\n";

enum {
    TIMEOUT_S = 120, /* a seeding waits so long for what is not there yet */
    TIMEOUT_MAX_S = 86400,
    SAY_AFTER_MS = 2000,
    SAY_EVERY_MS = 10000,
};

struct command {
    const char *name, *config, *to, *from, *timeout;
    bool json, progress, help;
    uint64_t shown_ms;
    uint64_t timeout_ms, waiting_ms, said_ms; /* of a seeding: waiting since; 0: it is not */
    struct node_config node;
};

static volatile sig_atomic_t stop;

static void on_signal(int signal)
{
    (void)signal;
    stop = 1;
}

/* ---- what is seen of it ---- */

static uint64_t mono_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static bool on_progress(void *ctx, const char *what, uint64_t done, uint64_t total)
{
    struct command *c = ctx;
    uint64_t now = mono_ms();
    if (done > 0)
        c->waiting_ms = 0;
    if (c->progress && now - c->shown_ms >= 250) {
        c->shown_ms = now;
        if (total > 0)
            (void)fprintf(stderr, "\r%s: %s %3.0f %%   ", c->name, what,
                          100.0 * (double)done / (double)total);
        else
            (void)fprintf(stderr, "\r%s: %s %" PRIu64 "   ", c->name, what, done);
    }
    return !stop;
}

/* Said also where nobody looks at a terminal: a command that waits in silence seems to hang. */
static bool on_waiting(void *ctx, const char *why)
{
    struct command *c = ctx;
    uint64_t now = mono_ms();
    if (c->waiting_ms == 0)
        c->waiting_ms = now;
    uint64_t waited = now - c->waiting_ms;
    if (waited >= SAY_AFTER_MS && (c->said_ms == 0 || now - c->said_ms >= SAY_EVERY_MS)) {
        c->said_ms = now;
        (void)fprintf(stderr, "%sholdfast-ledger %s: waiting for %" PRIu64 " s: %s\n",
                      c->progress ? "\r\033[K" : "", c->name, waited / 1000, why);
    }
    return waited < c->timeout_ms;
}

static void put_string(const char *name, const char *s)
{
    char b[4096];
    struct proto_text t = proto_text_over(b, sizeof b);
    proto_text_json(&t, proto_str_of(s));
    (void)printf(",\"%s\":%s", name, t.full ? "\"\"" : b);
}

static void say_failed(const struct command *c, const char *cause)
{
    if (c->json) {
        (void)printf("{\"result\":\"failed\"");
        put_string("cause", cause);
        (void)puts("}");
    }
    (void)fprintf(stderr, "%sholdfast-ledger %s: %s\n", c->progress ? "\r\033[K" : "", c->name,
                  cause);
}

/* The configuration cannot be used. */
static enum node_exit refuse(const struct command *c, const char *cause)
{
    say_failed(c, cause);
    return NODE_EXIT_USAGE;
}

/* The command line cannot be understood. */
static enum node_exit misread(const struct command *c, const char *what, const char *word)
{
    char cause[256];
    (void)snprintf(cause, sizeof cause, "%s%s%s", what, word ? ": " : "", word ? word : "");
    say_failed(c, cause);
    (void)fprintf(stderr, "Try 'holdfast-ledger %s --help'.\n", c->name);
    return NODE_EXIT_USAGE;
}

static enum node_exit failed(const struct command *c, int rv, const struct store_why *why)
{
    say_failed(c, why->text);
    return rv == -EINVAL ? NODE_EXIT_USAGE
           : rv == -EUCLEAN || rv == -EXDEV || rv == -EEXIST || rv == -ENODATA || rv == -ENOTSUP ||
                   rv == -ENOENT || rv == -ERANGE
               ? NODE_EXIT_DATA
               : NODE_EXIT_FATAL;
}

static void succeeded(const struct command *c, const char *dir, const struct backup_manifest *m)
{
    char chain[PROTO_HASH_TEXT], cluster[PROTO_UUID_TEXT], clock[40];
    struct proto_text t = proto_text_over(chain, sizeof chain);
    proto_text_hex(&t, m->chain.b, sizeof m->chain.b);
    t = proto_text_over(clock, sizeof clock);
    proto_text_time(&t, m->clock_us);
    proto_uuid_print(&m->taken_from.cluster, cluster);
    if (c->progress)
        (void)fputs("\r\033[K", stderr);
    if (c->json) {
        (void)printf("{\"result\":\"done\"");
        put_string("directory", dir);
        (void)printf(",\"cluster\":\"%s\",\"node\":%" PRIu64 ",\"index\":%" PRIu64
                     ",\"term\":%" PRIu64 ",\"time\":\"%s\",\"chain\":\"%s\",\"records\":%" PRIu64
                     ",\"log_first\":%" PRIu64 ",\"state_bytes\":%" PRIu64 ",\"log_bytes\":%" PRIu64
                     ",\"head\":\"%" PRIu64 ":%s\"}\n",
                     cluster, m->taken_from.node, m->index, m->term, clock, chain, m->records,
                     m->log_first, m->state_bytes, m->log_bytes, m->index, chain);
        return;
    }
    (void)printf("%s\n  cluster  %s\n  state    at entry %" PRIu64 " (%s), %" PRIu64 " records\n"
                 "  log      entries %" PRIu64 " to %" PRIu64 ", %.1f MB compressed\n"
                 "  head     %" PRIu64 ":%s\n",
                 dir, cluster, m->index, clock, m->records, m->log_first, m->index,
                 (double)m->log_bytes / 1e6, m->index, chain);
}

/* ---- the commands ---- */

static struct node_identity identity_of(const struct node_config *c)
{
    return (struct node_identity){
        .cluster = c->cluster.uuid, .group = c->cluster.group, .node = c->id};
}

static enum node_exit run_backup(struct command *c)
{
    struct backup_manifest m;
    struct store_why why = {0};
    const struct node_identity id = identity_of(&c->node);
    const struct backup_watch watch = {c, on_progress};
    if (!c->to)
        return misread(c, "missing: --to DIR", NULL);
    int rv = backup_take(c->node.data, c->to, &id, &watch, &m, &why);
    if (rv == -EEXIST) /* --to is, not the node's data */
        return refuse(c, why.text);
    if (rv)
        return failed(c, rv, &why);
    succeeded(c, c->to, &m);
    return NODE_EXIT_OK;
}

static enum node_exit run_restore(struct command *c)
{
    struct pump_server servers[LINK_NODES_MAX];
    uint8_t conf[ENTRY_CONF_MAX];
    struct backup_manifest m;
    struct store_why why = {0};
    const struct backup_watch watch = {c, on_progress};
    if (!c->from)
        return misread(c, "missing: --from DIR", NULL);
    for (unsigned i = 0; i < c->node.cluster.n_nodes; i++)
        servers[i] = (struct pump_server){.id = c->node.cluster.nodes[i].id,
                                          .address = c->node.cluster.nodes[i].peer};
    int len = pump_encode_servers(servers, c->node.cluster.n_nodes, conf);
    if (len < 0)
        return refuse(c, "the nodes of the cluster cannot be encoded");
    const struct restore_config config = {.data = c->node.data,
                                          .id = identity_of(&c->node),
                                          .conf = conf,
                                          .conf_len = (size_t)len,
                                          .segment_bytes = c->node.segment_bytes};
    int rv = restore_make(c->from, &config, &watch, &m, &why);
    if (rv)
        return failed(c, rv, &why);
    succeeded(c, c->node.data, &m);
    return NODE_EXIT_OK;
}

static void say_seeded(const struct command *c, const struct seed_facts *f)
{
    char chain[PROTO_HASH_TEXT];
    struct proto_text t = proto_text_over(chain, sizeof chain);
    proto_text_hex(&t, f->chain.b, sizeof f->chain.b);
    if (c->progress)
        (void)fputs("\r\033[K", stderr);
    if (c->json) {
        (void)printf("{\"result\":\"done\"");
        put_string("directory", c->node.data);
        (void)printf(",\"source\":%" PRIu64 ",\"leader\":%" PRIu64 ",\"copied\":%" PRIu64
                     ",\"index\":%" PRIu64 ",\"chain\":\"%s\",\"witnesses\":%u,\"bytes\":%" PRIu64
                     ",\"resumed\":%s,\"head\":\"%" PRIu64 ":%s\"}\n",
                     f->source, f->leader, f->copied, f->index, chain, f->witnesses, f->bytes,
                     f->resumed ? "true" : "false", f->index, chain);
        return;
    }
    (void)printf("%s\n  copied   state of node %" PRIu64 " at entry %" PRIu64 "\n"
                 "  verified at entry %" PRIu64 ", against %u other node%s\n  head     %" PRIu64
                 ":%s\n",
                 c->node.data, f->source, f->copied, f->index, f->witnesses,
                 f->witnesses == 1 ? "" : "s", f->index, chain);
}

static bool read_timeout(struct command *c)
{
    char *end = "";
    errno = 0;
    long seconds = c->timeout ? strtol(c->timeout, &end, 10) : TIMEOUT_S;
    c->timeout_ms = (uint64_t)seconds * 1000;
    return errno == 0 && *end == '\0' && seconds >= 1 && seconds <= TIMEOUT_MAX_S;
}

static enum node_exit run_seed(struct command *c)
{
    struct seed_net net;
    struct seed_facts facts;
    struct store_why why = {0};
    const struct backup_watch watch = {c, on_progress};
    struct seed_config config = {.data = c->node.data,
                                 .id = identity_of(&c->node),
                                 .segment_bytes = c->node.segment_bytes,
                                 .incarnation = (uint64_t)time(NULL),
                                 .patience = UINT_MAX, /* on_waiting ends it, by the clock */
                                 .watch = &watch,
                                 .on_waiting = on_waiting};
    if (!read_timeout(c))
        return misread(c, "--timeout: 1 to 86400 seconds expected", c->timeout);
    int rv = seed_net_open(&net, &c->node, &why);
    config.link = seed_net_link(&net);
    config.n_others = net.n;
    memcpy(config.others, net.node, sizeof config.others);
    if (rv == 0)
        rv = seed_node(&config, &facts, &why);
    seed_net_close(&net);
    if (rv)
        return failed(c, rv, &why);
    say_seeded(c, &facts);
    return NODE_EXIT_OK;
}

static bool on_verified(void *ctx, uint64_t last, uint64_t raw_bytes)
{
    struct command *c = ctx;
    (void)last;
    return on_progress(c, "verified MB", raw_bytes >> 20, 0);
}

/* Reads every byte of an archive: hashes, links, order. */
static enum node_exit run_archive(struct command *c)
{
    struct archive *a;
    struct store_why why = {0};
    const struct archive_watch watch = {c, on_verified};
    uint64_t bytes = 0;
    if (!c->from)
        return misread(c, "missing: --from DIR", NULL);
    int rv = archive_open(&a, c->from, ARCHIVE_READ, &why);
    if (rv)
        return failed(c, rv, &why);
    rv = archive_verify(a, &watch, &why);
    uint64_t first = archive_first(a), last = archive_last(a);
    unsigned files = archive_files(a);
    for (unsigned i = 0; i < files; i++)
        bytes += archive_facts(a, i)->file_bytes;
    archive_close(a);
    if (rv == 0 && files == 0) { /* a wrong folder must not pass for a sound archive */
        rv = -ENODATA;
        snprintf(why.text, sizeof why.text, "%s holds no log files", c->from);
    }
    if (rv)
        return failed(c, rv, &why);
    if (c->progress)
        (void)fputs("\r\033[K", stderr);
    if (c->json) {
        (void)printf("{\"result\":\"done\"");
        put_string("directory", c->from);
        (void)printf(",\"files\":%u,\"first\":%" PRIu64 ",\"last\":%" PRIu64 ",\"bytes\":%" PRIu64
                     "}\n",
                     files, first, last, bytes);
    } else {
        (void)printf("%s\n  %u %s, entries %" PRIu64 " to %" PRIu64 ", %.1f MB: sound\n", c->from,
                     files, files == 1 ? "file" : "files", first, last, (double)bytes / 1e6);
    }
    return NODE_EXIT_OK;
}

static const struct {
    const char *name;
    enum node_exit (*run)(struct command *c);
    const char *options, *help;
} commands[] = {
    {"backup", run_backup, "--config FILE --to DIR",
     "Copies the node's ledger, running or not, to DIR, which must not exist. It appears under "
     "its\n"
     "name when all of it is durable.\n"},
    {"restore", run_restore, "--config FILE --from DIR",
     "Makes the data directory of a new cluster's node out of a backup: on every node from the\n"
     "same one. The new cluster.conf has a uuid of its own.\n"},
    {"seed", run_seed, "--config FILE [--timeout SECONDS]",
     "Fills this node's empty data directory from the other nodes, which must be running.\n"
     "Interrupted, it goes on where it was. It says what it waits for, and gives up where that is\n"
     "not there after --timeout (120 s).\n"},
    {"archive", run_archive, "--from DIR",
     "Reads an archive of the log whole, and says whether it is sound.\n"}};

enum { COMMANDS = sizeof commands / sizeof commands[0] };

/* ---- command line ---- */

static enum node_exit help(const struct command *c)
{
    unsigned i = 0;
    while (strcmp(c->name, commands[i].name) != 0)
        i++;
    (void)printf(
        "usage: holdfast-ledger %s %s [--json] [--progress]\n\n%s\n"
        "  --json      the answer as JSON\n"
        "  --progress  how far it is, on stderr (on a terminal: always)\n\n"
        "exit codes: 0 done, 1 a disk failed, no room, or others did not answer, 2 command\n"
        "line or configuration, 3 the data were refused\n",
        c->name, commands[i].options, commands[i].help);
    return NODE_EXIT_OK;
}

static enum node_exit parse(struct command *c, int argc, char **argv)
{
    const struct {
        const char *option;
        const char **value;
    } values[] = {{"--config", &c->config},
                  {"--to", &c->to},
                  {"--from", &c->from},
                  {"--timeout", &c->timeout}};
    for (int i = 2; i < argc; i++) {
        bool known = false;
        for (unsigned k = 0; k < sizeof values / sizeof values[0] && !known; k++) {
            known = strcmp(argv[i], values[k].option) == 0;
            if (known && i + 1 == argc)
                return misread(c, "a value is missing after", argv[i]);
            if (known)
                *values[k].value = argv[++i];
        }
        if (!known && strcmp(argv[i], "--json") == 0)
            known = true;
        if (!known && strcmp(argv[i], "--progress") == 0)
            known = c->progress = true;
        if (!known && (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0))
            known = c->help = true;
        if (!known)
            return misread(c, "unknown argument", argv[i]);
    }
    if (c->help)
        return NODE_EXIT_OK;
    if (c->timeout && strcmp(c->name, "seed") != 0)
        return misread(c, "unknown argument", "--timeout");
    bool needs_config = strcmp(c->name, "archive") != 0;
    return c->config || !needs_config ? NODE_EXIT_OK : misread(c, "missing: --config FILE", NULL);
}

bool command_known(const char *name)
{
    for (unsigned i = 0; i < COMMANDS; i++)
        if (strcmp(name, commands[i].name) == 0)
            return true;
    return false;
}

enum node_exit command_run(int argc, char **argv)
{
    struct command c = {.name = argv[1], .progress = isatty(STDERR_FILENO) != 0};
    for (int i = 2; i < argc; i++) /* also where the rest cannot be understood */
        c.json = c.json || strcmp(argv[i], "--json") == 0;
    char error[BASE_CONF_ERROR];
    enum node_exit rv = parse(&c, argc, argv);
    if (rv != NODE_EXIT_OK || c.help)
        return c.help ? help(&c) : rv;
    if (c.config && node_config_load(&c.node, c.config, error) != 0) {
        rv = refuse(&c, error);
    } else {
        const struct sigaction end = {.sa_handler = on_signal};
        (void)sigaction(SIGINT, &end, NULL);
        (void)sigaction(SIGTERM, &end, NULL);
        for (unsigned i = 0; i < COMMANDS; i++)
            if (strcmp(c.name, commands[i].name) == 0)
                rv = commands[i].run(&c);
    }
    node_config_close(&c.node);
    return rv;
}
