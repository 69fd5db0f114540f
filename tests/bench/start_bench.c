/* SPDX-License-Identifier: Apache-2.0
 * start-bench: how long a node takes to start, and what memory it takes, by the length of its log.
 *   start-bench make --config node-1.conf --commands N     writes a node's directory, as after a
 *                                                          crash: state, and a tail behind it
 *   start-bench open --config node-1.conf LEDGER           starts LEDGER on it until it is ready
 * The directory is written by the node's own core and store, with the load of core-bench at 1,000
 * reserve + settle pairs a second of replicated time.
 */
#include "ledger/checkpoint.h"
#include "ledger/config.h"
#include "ledger/core/core.h"
#include "ledger/raft/pump.h"
#include "ledger/store/data_dir.h"
#include "ledger/store/origin.h"
#include "tests/bench/scenario.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    PAIRS_A_SECOND = 1000,
    APPENDS = 64,    /* entries written in one transaction */
    CHANGED = 65536, /* records that bring a checkpoint */
    ORGS = 100,
    KEYS = 1000,
};

struct maker {
    struct node_config config;
    struct data_dir dir;
    struct state_reader reader;
    struct core_machine *machine;
    struct state_changes changes;
    struct state_sweep sweep;
    struct log_conf conf;
    struct scenario load;
    struct log_entry entry[APPENDS];
    unsigned waiting;
    uint64_t commands, checkpoints;
};

static struct store_why why;

static double seconds(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void need(int rv, const char *what)
{
    if (rv == 0)
        return;
    (void)fprintf(stderr, "%s: %s (%s)\n", what, why.text, strerror(-rv));
    exit(1);
}

static int get(void *ctx, const void *key, size_t klen, const void **value, size_t *vlen)
{
    return state_reader_get(ctx, key, klen, value, vlen);
}

static int collect(void *ctx, const void *key, size_t klen, const void *value, size_t vlen)
{
    return state_changes_add(ctx, key, klen, value, vlen);
}

/* ---- make ---- */

static void flush(struct maker *k)
{
    const struct log_append a = {k->entry, k->waiting};
    if (k->waiting > 0)
        need(log_store_append(k->dir.log, &a, 1, &why), "log");
    for (unsigned i = 0; i < k->waiting; i++)
        free((void *)(uintptr_t)k->entry[i].data);
    k->waiting = 0;
}

static void checkpoint(struct maker *k)
{
    struct core_position at;
    flush(k);
    core_machine_position(k->machine, &at);
    state_changes_clear(&k->changes);
    need(core_machine_changes(k->machine, collect, &k->changes), "changes");
    const struct state_meta meta = {at.index, at.term, at.clock_us, at.chain, k->conf};
    need(state_store_checkpoint(k->dir.state, &k->changes, &meta, &k->sweep, &why), "checkpoint");
    core_machine_written(k->machine);
    need(state_reader_refresh(&k->reader), "refresh");
    k->checkpoints++;
}

static void take_entry(struct maker *k, bool check)
{
    struct core_outcome out;
    void *payload = malloc(k->load.n);
    if (!payload)
        need(-ENOMEM, "entry");
    memcpy(payload, k->load.payload, k->load.n);
    const struct log_entry e = {.index = k->load.index + 1, /* entry 1 is the configuration */
                                .term = 1,
                                .data = payload,
                                .len = (uint32_t)k->load.n,
                                .kind = ENTRY_COMMAND};
    need(core_machine_apply(k->machine, e.index, e.term, e.data, e.len, &out), "apply");
    if (check)
        scenario_check(&out);
    k->commands += out.n;
    k->entry[k->waiting++] = e;
    if (k->waiting == APPENDS)
        flush(k);
    if (core_machine_changed(k->machine) >= CHANGED)
        checkpoint(k);
}

static void create(struct maker *k)
{
    const struct node_identity id = {
        .cluster = k->config.cluster.uuid, .group = k->config.cluster.group, .node = k->config.id};
    const struct pump_server server = {k->config.id, k->config.self->peer};
    const struct data_dir_config dir = {.log = {.segment_bytes = k->config.segment_bytes}};
    int n = pump_encode_servers(&server, 1, k->conf.data);
    need(n < 0 ? n : 0, "configuration");
    k->conf.len = (uint32_t)n;
    k->conf.index = 1;
    need(data_dir_create(k->config.data, &id, k->conf.data, k->conf.len, &why), "create");
    need(data_dir_open(&k->dir, k->config.data, &id, &dir, &why), "open");
    need(state_reader_open(&k->reader, k->dir.state, &why), "state");
    const struct core_config core = {.backing = {&k->reader, get},
                                     .cache_records = k->config.cache_records};
    need(core_machine_new(&k->machine, &core, NULL), "machine");
    need(core_machine_skip(k->machine, 1, 1, ENTRY_CHANGE, k->conf.data, k->conf.len), "entry 1");
}

static void make(struct maker *k, uint64_t commands)
{
    double from = seconds();
    create(k);
    state_changes_init(&k->changes);
    state_sweep_init(&k->sweep, &checkpoint_sweep);
    scenario_init(&k->load, ORGS, KEYS);
    while (scenario_set_up(&k->load))
        take_entry(k, true);
    need(origin_write(k->config.data, core_machine_cluster(k->machine), &why), "origin");
    checkpoint(k);
    while (k->commands < commands) {
        k->load.clock_us += INT64_C(1000000) * SCENARIO_PAIRS / PAIRS_A_SECOND;
        scenario_next(&k->load);
        take_entry(k, k->commands < 100000);
    }
    flush(k);
    struct state_meta meta;
    need(state_reader_meta(&k->reader, &meta), "state");
    (void)printf("commands %" PRIu64 ", entries %" PRIu64 " (state at %" PRIu64
                 "), log %.1f MB in %u segments, state %" PRIu64 " records, %.1f MB, in %.0f s\n",
                 k->commands, k->load.index + 1, meta.applied_index,
                 (double)log_store_bytes(k->dir.log) / 1e6, log_store_segments(k->dir.log),
                 state_store_records(k->dir.state), (double)state_store_bytes(k->dir.state) / 1e6,
                 seconds() - from);
    state_reader_close(&k->reader);
    core_machine_free(k->machine);
    data_dir_close(&k->dir);
    state_changes_close(&k->changes);
    state_sweep_close(&k->sweep);
}

/* ---- open ---- */

/* "VmHWM:   1234 kB" of a process, in MB. */
static double memory_mb(pid_t pid, const char *field)
{
    char path[64], line[128];
    double kb = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, field, strlen(field)) == 0)
            kb = strtod(line + strlen(field) + 1, NULL);
    if (f)
        (void)fclose(f);
    return kb / 1024;
}

static void start(const char *config, const char *ledger)
{
    int fds[2], status;
    char line[256] = "";
    need(pipe(fds) ? -errno : 0, "pipe");
    double from = seconds();
    pid_t pid = fork();
    if (pid == 0) {
        (void)dup2(fds[1], STDOUT_FILENO);
        (void)close(fds[0]);
        (void)execl(ledger, ledger, "--config", config, (char *)NULL);
        _exit(127);
    }
    (void)close(fds[1]);
    FILE *out = fdopen(fds[0], "r");
    bool ready = out && fgets(line, sizeof line, out) && strncmp(line, "ready", 5) == 0;
    double took = seconds() - from;
    if (ready)
        (void)printf("ready after %.0f ms, memory %.0f MiB (at most %.0f; of its own %.0f)\n",
                     took * 1000, memory_mb(pid, "VmRSS"), memory_mb(pid, "VmHWM"),
                     memory_mb(pid, "RssAnon"));
    (void)kill(pid, SIGTERM);
    (void)waitpid(pid, &status, 0);
    if (!ready)
        need(-EIO, "the node did not start");
}

int main(int argc, char **argv)
{
    static struct maker k;
    char error[BASE_CONF_ERROR];
    bool making = argc == 6 && strcmp(argv[1], "make") == 0 && strcmp(argv[4], "--commands") == 0;
    bool opening = argc == 5 && strcmp(argv[1], "open") == 0;
    if ((!making && !opening) || strcmp(argv[2], "--config") != 0) {
        (void)fprintf(stderr, "usage: start-bench make --config FILE --commands N\n"
                              "       start-bench open --config FILE LEDGER\n");
        return 2;
    }
    if (opening) {
        start(argv[3], argv[4]);
        return 0;
    }
    if (node_config_load(&k.config, argv[3], error) != 0) {
        (void)fprintf(stderr, "%s\n", error);
        return 2;
    }
    make(&k, strtoull(argv[5], NULL, 10));
    node_config_close(&k.config);
    return 0;
}
