/* SPDX-License-Identifier: Apache-2.0
 * `holdfast-bench ledger` and `prepare`: configuration, set-up, threads, figures.
 */
#include "tools/bench/mode.h"

#include "proto/key.h"
#include "proto/link/cluster_conf.h"
#include "tools/bench/cycle.h"

#include <errno.h>
#include <stdlib.h>

/* SHA-256 of the operator's token: from --token-file, the environment or the configuration. */
static int read_token(const char *path, struct proto_hash *cred)
{
    char text[256] = "";
    const char *given = getenv("HOLDFAST_ADMIN_TOKEN");
    if (path) {
        FILE *f = fopen(path, "re");
        if (!f)
            return crew_fail(path, strerror(errno));
        size_t n = fread(text, 1, sizeof text - 1, f);
        (void)fclose(f);
        text[n] = '\0';
        text[strcspn(text, " \r\n")] = '\0';
    } else if (given) {
        (void)snprintf(text, sizeof text, "%s", given);
    }
    if (!*text)
        return crew_fail("operator token",
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
        return crew_fail("ledger client", error);
    int rv = population_price(c, o->model, &cred, &run->load.price_version);
    uint64_t from = load_now_ns();
    if (rv == 0 && !o->reuse)
        rv = population_make(&run->population, c, &cred);
    if (rv == 0 && !o->reuse)
        (void)fprintf(stderr, "population %s: orgs %u, keys of each %u, made in %.1f s\n",
                      run->population.name, o->orgs, o->keys_per_org,
                      (double)(load_now_ns() - from) / 1e9);
    link_client_free(c);
    return rv == 0 ? 0 : BENCH_FAILED;
}

/* ---- the load ---- */

static void run(const void *load, unsigned thread, void *figures)
{
    cycle_run(load, thread, figures);
}

static void count(struct figures *sum, const void *figures)
{
    const struct cycle_figures *c = figures;
    char name[48];
    for (unsigned i = 0; i < PROTO_CODE_COUNT; i++) {
        (void)snprintf(name, sizeof name, "reserve %s", proto_code_name(i));
        figures_count(sum, name, c->reserve[i]);
        (void)snprintf(name, sizeof name, "settle %s", proto_code_name(i));
        figures_count(sum, name, c->settle[i]);
    }
    figures_count(sum, "outcome unknown", c->unknown);
    figures_count(sum, "unavailable", c->unavailable);
    figures_count(sum, "request refused", c->refused);
    figures_count(sum, "answered as duplicate", c->duplicates);
    figures_count(sum, "unfinished", c->unfinished);
}

static int measure(struct ledger_run *r, const struct bench_options *o)
{
    static const char *const names[] = {"reserve", "settle", "cycle"};
    const struct crew_job job = {
        .what = "ledger",
        .unit = "cycles",
        .latencies = names,
        .n_latencies = CYCLE_LATENCIES,
        .figures_size = sizeof(struct cycle_figures),
        .load = &r->load,
        .start_ns = &r->load.start_ns,
        .run = run,
        .count = count,
    };
    return crew_measure(&job, o);
}

static int with_conf(struct ledger_run *run, const struct bench_options *o)
{
    ledger_conf_link(&run->conf, &run->load.link);
    population_init(&run->population, o);
    run->load.o = o;
    run->load.population = &run->population;
    int rv = prepare(run, o);
    if (rv || o->mode == BENCH_PREPARE)
        return rv;
    if (o->record) {
        run->load.record = fopen(o->record, "we");
        if (!run->load.record)
            return crew_fail(o->record, strerror(errno));
        (void)fputs("id,kind,code,index,amount_nanos,hold,ordinal,duplicate\n", run->load.record);
    }
    rv = measure(run, o);
    if (run->load.record && fclose(run->load.record) != 0)
        rv = crew_fail(o->record, strerror(errno));
    return rv;
}

int bench_ledger(const struct bench_options *o)
{
    static struct ledger_run run; /* large */
    char error[BASE_CONF_ERROR];
    struct base_conf *conf;
    if (o->keys_per_org > POPULATION_KEYS_PER_ORG)
        return crew_fail("--keys-per-org",
                         "an org holds at most 10000 budgets: 9998 keys with one each");
    if (base_conf_load(&conf, o->config, error) != 0)
        return crew_fail("configuration", error);
    int rv = ledger_conf_read(&run.conf, conf, error);
    if (rv == 0)
        rv = base_conf_path_of(conf, "operator", "token_file", false, &run.token_file, error);
    base_conf_free(conf);
    if (rv)
        rv = crew_fail("configuration", error);
    else
        rv = with_conf(&run, o);
    ledger_conf_close(&run.conf);
    free(run.token_file);
    return rv;
}
