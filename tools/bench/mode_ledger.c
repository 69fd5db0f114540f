/* SPDX-License-Identifier: Apache-2.0
 * `holdfast-bench ledger` and `prepare`: configuration, set-up, threads, figures.
 */
#include "tools/bench/mode.h"

#include "proto/key.h"
#include "proto/link/cluster_conf.h"
#include "tools/bench/cycle.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
    (void)number;
    stop = 1;
}

static int fail(const char *what, const char *why)
{
    (void)fprintf(stderr, "holdfast-bench: %s: %s\n", what, why);
    return BENCH_FAILED;
}

/* SHA-256 of the operator's token: from --token-file, the environment or the configuration. */
static int read_token(const char *path, struct proto_hash *cred)
{
    char text[256] = "";
    const char *given = getenv("HOLDFAST_ADMIN_TOKEN");
    if (path) {
        FILE *f = fopen(path, "re");
        if (!f)
            return fail(path, strerror(errno));
        size_t n = fread(text, 1, sizeof text - 1, f);
        (void)fclose(f);
        text[n] = '\0';
        text[strcspn(text, " \r\n")] = '\0';
    } else if (given) {
        (void)snprintf(text, sizeof text, "%s", given);
    }
    if (!*text)
        return fail("operator token",
                    "none: --token-file, HOLDFAST_ADMIN_TOKEN or [operator] token_file");
    proto_key_hash(proto_str_of(text), cred);
    return 0;
}

struct ledger_run {
    struct ledger_conf conf;
    char *token_file; /* of the configuration; NULL: none */
    struct population population;
    struct cycle_load load;
};

static int prepare(struct ledger_run *run, const struct bench_options *o)
{
    struct proto_hash cred = {{0}};
    char error[256];
    struct link_client *c;
    const char *token = o->token_file;
    if (!token && !getenv("HOLDFAST_ADMIN_TOKEN"))
        token = run->token_file;
    if (!o->reuse && read_token(token, &cred) != 0)
        return BENCH_FAILED;
    struct link_config link = run->load.link;
    link.in_flight = o->in_flight;
    if (link_client_new(&c, &link, error) != 0)
        return fail("ledger client", error);
    int rv = population_price(c, o->model, &cred, &run->load.price_version);
    uint64_t from = load_now_ns();
    if (rv == 0 && !o->reuse)
        rv = population_make(&run->population, c, &cred);
    if (rv == 0 && !o->reuse)
        (void)fprintf(stderr, "population %s: %u orgs, %u keys each, made in %.1f s\n",
                      run->population.name, o->orgs, o->keys_per_org,
                      (double)(load_now_ns() - from) / 1e9);
    link_client_free(c);
    return rv == 0 ? 0 : BENCH_FAILED;
}

/* ---- threads ---- */

struct worker {
    const struct cycle_load *load;
    unsigned number;
    struct cycle_figures *figures;
    pthread_t thread;
};

static void *work(void *arg)
{
    struct worker *w = arg;
    cycle_run(w->load, w->number, w->figures);
    return NULL;
}

static void add(struct figures *f, const struct cycle_figures *c)
{
    char name[48];
    f->begun += c->begun;
    f->done += c->done;
    if (c->longest_gap_ns > f->longest_gap_ns)
        f->longest_gap_ns = c->longest_gap_ns;
    for (int i = 0; i < CYCLE_LATENCIES; i++)
        histogram_merge(&f->latency[i].h, &c->latency[i]);
    for (unsigned i = 0; i < PROTO_CODE_COUNT; i++) {
        (void)snprintf(name, sizeof name, "reserve %s", proto_code_name(i));
        figures_count(f, name, c->reserve[i]);
        (void)snprintf(name, sizeof name, "settle %s", proto_code_name(i));
        figures_count(f, name, c->settle[i]);
    }
    figures_count(f, "outcome unknown", c->unknown);
    figures_count(f, "unavailable", c->unavailable);
    figures_count(f, "request refused", c->refused);
    figures_count(f, "answered as duplicate", c->duplicates);
    figures_count(f, "unfinished", c->unfinished);
}

static int run_threads(struct ledger_run *run, const struct bench_options *o, struct figures *f)
{
    struct worker *w = calloc(o->threads, sizeof *w);
    if (!w)
        return fail("threads", "no memory");
    int rv = 0;
    unsigned n = 0;
    run->load.start_ns = load_now_ns();
    for (; n < o->threads && rv == 0; n++) {
        w[n] = (struct worker){.load = &run->load, .number = n};
        w[n].figures = calloc(1, sizeof *w[n].figures);
        if (!w[n].figures || pthread_create(&w[n].thread, NULL, work, &w[n]) != 0) {
            free(w[n].figures);
            stop = 1;
            rv = fail("threads", "cannot be started");
            break;
        }
    }
    for (unsigned i = 0; i < n; i++) {
        (void)pthread_join(w[i].thread, NULL);
        if (rv == 0 && w[i].figures->error[0])
            rv = fail("ledger", w[i].figures->error);
        add(f, w[i].figures);
        free(w[i].figures);
    }
    free(w);
    return rv;
}

static int measure(struct ledger_run *run, const struct bench_options *o)
{
    static const char *const names[] = {"reserve", "settle", "cycle"};
    struct figures *f = figures_new("cycles");
    if (!f)
        return fail("figures", "no memory");
    for (int i = 0; i < CYCLE_LATENCIES; i++)
        f->latency[i].name = names[i];
    f->seconds = o->seconds;
    struct sigaction act = {.sa_handler = on_signal};
    (void)sigaction(SIGINT, &act, NULL);
    (void)sigaction(SIGTERM, &act, NULL);
    int rv = run_threads(run, o, f);
    uint64_t ran = load_now_ns() - run->load.start_ns, warm = (uint64_t)(o->warmup * 1e9);
    if (stop && ran > warm && (double)(ran - warm) / 1e9 < o->seconds)
        f->seconds = (double)(ran - warm) / 1e9;
    figures_print(f, o);
    if (rv == 0 && f->done == 0)
        rv = BENCH_NOTHING;
    free(f);
    return rv;
}

static int with_conf(struct ledger_run *run, const struct bench_options *o)
{
    ledger_conf_link(&run->conf, &run->load.link);
    population_init(&run->population, o);
    run->load.o = o;
    run->load.population = &run->population;
    run->load.stop = &stop;
    int rv = prepare(run, o);
    if (rv || o->mode == BENCH_PREPARE)
        return rv;
    if (o->record) {
        run->load.record = fopen(o->record, "we");
        if (!run->load.record)
            return fail(o->record, strerror(errno));
        (void)fputs("id,kind,code,index,amount_nanos,hold,ordinal,duplicate\n", run->load.record);
    }
    rv = measure(run, o);
    if (run->load.record && fclose(run->load.record) != 0)
        rv = fail(o->record, strerror(errno));
    return rv;
}

int bench_ledger(const struct bench_options *o)
{
    static struct ledger_run run; /* large */
    char error[BASE_CONF_ERROR];
    struct base_conf *conf;
    if (o->keys_per_org > POPULATION_KEYS_PER_ORG)
        return fail("--keys-per-org",
                    "an org holds at most 10000 budgets: 9998 keys with one each");
    if (base_conf_load(&conf, o->config, error) != 0)
        return fail("configuration", error);
    int rv = ledger_conf_read(&run.conf, conf, error);
    if (rv == 0)
        rv = base_conf_path_of(conf, "operator", "token_file", false, &run.token_file, error);
    base_conf_free(conf);
    if (rv)
        rv = fail("configuration", error);
    else
        rv = with_conf(&run, o);
    ledger_conf_close(&run.conf);
    free(run.token_file);
    return rv;
}
