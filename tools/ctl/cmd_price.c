/* SPDX-License-Identifier: Apache-2.0
 * holdfastctl price: import, list, show. A catalogue goes to the ledger as rows in several
 * commands; the last one makes the new version active, so that a half import changes no price.
 */
#include "tools/ctl/ctl.h"

#include "tools/prices/prices.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
    DROPPED_NAMES = 20, /* told of the models that an import leaves without a price */
    IMPORT_TRIES = 3,   /* somebody else imports at the same time: start over, this often */
    ROWS_MAX = 20000 /* CORE_PRICE_ROWS_MAX of ledger/core/record.h, told before anything is sent */
};

/* ---- import ---- */
static int totals_row(struct ctl *c, struct proto_str row, void *ctx)
{
    struct proto_totals_row t;
    struct proto_reader r = proto_reader_over(row.p, row.n);
    (void)c;
    if (!proto_totals_row_get(&r, &t))
        return -EBADMSG;
    *(uint32_t *)ctx = t.price_version;
    return 1;
}

/* Rows from *next on, as many as fit; *next moves past them. */
static uint32_t fill(const struct prices *p, uint32_t *next, struct proto_writer *w)
{
    uint32_t first = *next;
    while (*next < p->n_rows) {
        struct proto_writer trial = *w;
        proto_price_put(&trial, &p->rows[*next].price);
        if (trial.full)
            break;
        *w = trial;
        ++*next;
    }
    return *next - first;
}

/* All rows as version `version`. */
static int send_rows(struct ctl *c, const struct prices *p, uint32_t version, const char *source,
                     struct ctl_reply *reply)
{
    static uint8_t rows[PROTO_ROWS_MAX];
    bool shown = !c->json && isatty(STDERR_FILENO);
    for (uint32_t next = 0; next < p->n_rows;) {
        struct proto_writer w = proto_writer_over(rows, sizeof rows);
        struct proto_command cmd = {.head.kind = PROTO_CMD_price_import};
        struct proto_price_import *i = &cmd.body.price_import;
        *i = (struct proto_price_import){
            .version = version, .source = proto_str_of(source), .first = next + 1};
        i->count = fill(p, &next, &w);
        i->last = next == p->n_rows;
        i->rows = (struct proto_str){(const char *)rows, (uint32_t)w.n};
        c->command_id = (struct proto_uuid){{0}}; /* one id cannot serve several commands */
        int rv = ctl_command(c, &cmd, reply);
        if (shown)
            fprintf(stderr, "\r%u of %u rows%s", next, p->n_rows,
                    i->last || rv != CTL_OK ? "\n" : "");
        if (rv != CTL_OK)
            return rv;
    }
    return CTL_OK;
}

/* ---- what an import leaves without a price ---- */

static int compare_models(const void *a, const void *b)
{
    const struct proto_str *x = a, *y = b;
    int order = memcmp(x->p, y->p, x->n < y->n ? x->n : y->n);
    return order ? order : (x->n > y->n) - (x->n < y->n);
}

struct dropping {
    struct proto_str *models; /* of the new catalogue, in order */
    uint32_t n, dropped;
    yyjson_mut_val *names; /* the first DROPPED_NAMES */
};

static int dropped_row(struct ctl *c, struct proto_str row, void *ctx)
{
    struct dropping *d = ctx;
    struct proto_price p;
    struct proto_reader r = proto_reader_over(row.p, row.n);
    if (!proto_price_get(&r, &p))
        return -EBADMSG;
    if (bsearch(&p.model, d->models, d->n, sizeof p.model, compare_models))
        return 0;
    if (d->dropped++ < DROPPED_NAMES)
        yyjson_mut_arr_add_strncpy(c->doc, d->names, p.model.p, p.model.n);
    return 0;
}

/* Calls of a model that the new catalogue does not have will be refused as unpriced. */
static int find_dropped(struct ctl *c, const struct prices *p)
{
    struct dropping d = {.n = p->n_rows, .names = yyjson_mut_arr(c->doc)};
    d.models = calloc(p->n_rows, sizeof *d.models);
    if (!d.models)
        return ctl_fail(c, CTL_USAGE, "catalogue", "no memory");
    for (uint32_t i = 0; i < p->n_rows; i++)
        d.models[i] = p->rows[i].price.model;
    qsort(d.models, d.n, sizeof *d.models, compare_models);
    int rv = ctl_query(c, PROTO_QUERY_prices, NULL, 0, false, dropped_row, &d);
    free(d.models);
    if (rv != CTL_OK)
        return rv;
    out_uint(c, c->out, "dropped", d.dropped);
    yyjson_mut_obj_add_val(c->doc, c->out, "dropped_names", d.names);
    if (d.dropped > 0 && !c->json)
        fprintf(stderr,
                "%u models of the catalogue so far have no price in this one (%s%s): calls of them "
                "are unpriced from now on\n",
                d.dropped, yyjson_mut_get_str(yyjson_mut_arr_get_first(d.names)),
                d.dropped > 1 ? " ..." : "");
    return CTL_OK;
}

/* ---- the import ---- */

static int send_all(struct ctl *c, const struct prices *p, const char *source)
{
    struct ctl_reply reply;
    uint32_t active = 0;
    int rv = CTL_OK;
    for (int i = 0; i < IMPORT_TRIES; i++) {
        rv = ctl_query(c, PROTO_QUERY_totals, NULL, 0, false, totals_row, &active);
        if (rv == CTL_OK)
            rv = find_dropped(c, p);
        if (rv == CTL_OK)
            rv = send_rows(c, p, active + 1, source, &reply);
        if (rv != CTL_REFUSED || reply.result.code != PROTO_VERSION_CONFLICT)
            break;
        if (i + 1 < IMPORT_TRIES) {
            c->error[0] = '\0';
            c->detail.n = 0;
            yyjson_mut_obj_clear(c->out);
        }
    }
    if (rv != CTL_OK)
        return rv;
    out_uint(c, c->out, "version", active + 1);
    out_receipt(c, &reply);
    return CTL_OK;
}

static void report(struct ctl *c, const struct prices *p, bool all)
{
    yyjson_mut_val *reasons = yyjson_mut_obj(c->doc), *unmetered = yyjson_mut_obj(c->doc);
    out_text(c, c->out, "format", prices_format_name(p->format));
    out_text(c, c->out, "at", p->at);
    out_uint(c, c->out, "entries", p->entries);
    out_uint(c, c->out, "rows", p->n_rows);
    out_uint(c, c->out, "skipped", p->n_skips);
    for (uint32_t i = 0; i < p->n_skips; i++) {
        uint64_t n = 0;
        for (uint32_t k = 0; k < p->n_skips; k++)
            n += p->skips[k].reason == p->skips[i].reason;
        if (!yyjson_mut_obj_get(reasons, p->skips[i].reason))
            yyjson_mut_obj_add_uint(c->doc, reasons, p->skips[i].reason, n);
    }
    for (uint32_t i = 0; i < p->n_notes; i++)
        yyjson_mut_obj_add(unmetered, yyjson_mut_strcpy(c->doc, p->notes[i].key),
                           yyjson_mut_uint(c->doc, p->notes[i].count));
    yyjson_mut_obj_add_val(c->doc, c->out, "reasons", reasons);
    yyjson_mut_obj_add_val(c->doc, c->out, "unmetered", unmetered);
    yyjson_mut_val *list = all ? out_list(c, "skipped_names") : NULL;
    for (uint32_t i = 0; all && i < p->n_skips; i++) {
        yyjson_mut_val *to = out_row(c, list);
        out_text(c, to, "name", p->skips[i].name);
        out_text(c, to, "reason", p->skips[i].reason);
    }
}

/* What was skipped and why, for people. */
static void report_people(const struct ctl *c)
{
    yyjson_mut_obj_iter it;
    yyjson_mut_val *key;
    if (c->json)
        return;
    yyjson_mut_obj_iter_init(yyjson_mut_obj_get(c->out, "reasons"), &it);
    while ((key = yyjson_mut_obj_iter_next(&it)))
        fprintf(stderr, "skipped %llu: %s\n",
                (unsigned long long)yyjson_mut_get_uint(yyjson_mut_obj_iter_get_val(key)),
                yyjson_mut_get_str(key));
}

static int price_import(struct ctl *c, const struct ctl_args *a)
{
    struct prices p;
    char today[PRICES_AT_MAX], why[PRICES_ERROR_MAX];
    time_t now = time(NULL);
    struct tm tm;
    const char *at = ctl_arg(a, "at"), *source = ctl_arg(a, "source");
    const char *base = strrchr(a->operand, '/');
    gmtime_r(&now, &tm);
    strftime(today, sizeof today, "%Y-%m-%d", &tm);
    if (!source)
        source = base ? base + 1 : a->operand;
    if (strlen(source) > PROTO_NAME_MAX || !proto_utf8_clean(proto_str_of(source)))
        return ctl_fail(c, CTL_USAGE, "usage", "--source: at most 128 bytes of UTF-8");
    if (prices_load(&p, a->operand, at ? at : today, why))
        return ctl_fail(c, CTL_USAGE, "catalogue", "%s", why);
    int rv = CTL_OK;
    if (p.n_rows == 0)
        rv = ctl_fail(c, CTL_USAGE, "catalogue", "%s: no model has a usable price", a->operand);
    if (p.n_rows > ROWS_MAX)
        rv = ctl_fail(c, CTL_USAGE, "catalogue", "%s: %u rows; the ledger takes at most %d",
                      a->operand, (unsigned)p.n_rows, ROWS_MAX);
    if (rv == CTL_OK && !ctl_given(a, "dry-run")) {
        rv = ctl_open(c, true);
        if (rv == CTL_OK)
            rv = send_all(c, &p, source);
    }
    out_bool(c, c->out, "dry_run", ctl_given(a, "dry-run"));
    report(c, &p, ctl_given(a, "skipped"));
    report_people(c);
    prices_close(&p);
    return rv;
}

/* ---- list, show ---- */
struct looking {
    yyjson_mut_val *list;
    const char *part, *exact;
    bool found;
};

static void points_out(struct ctl *c, yyjson_mut_val *to, const struct proto_price *p)
{
    static const char *const classes[PROTO_CLASS_COUNT] = {"standard", "priority", "flex", "batch"};
    yyjson_mut_val *list = yyjson_mut_arr(c->doc);
    for (uint32_t i = 0; i < p->points.n; i++) {
        const struct proto_point *e = &p->points.e[i];
        yyjson_mut_val *point = yyjson_mut_arr_add_obj(c->doc, list);
        out_text(c, point, "unit", proto_unit_name(e->unit));
        out_text(c, point, "class", e->class < PROTO_CLASS_COUNT ? classes[e->class] : "?");
        out_uint(c, point, "above", e->above);
        out_int(c, point, "nanos_per_giga", e->price);
        /* per million: three decimals more than a nano-dollar has */
        char text[48];
        snprintf(text, sizeof text, "%lld.%012lld", (long long)(e->price / 1000000000000),
                 (long long)(e->price % 1000000000000));
        size_t n = strlen(text);
        while (text[n - 1] == '0' && text[n - 3] != '.')
            text[--n] = '\0';
        out_text(c, point, "dollars_per_million", text);
    }
    yyjson_mut_obj_add_val(c->doc, to, "points", list);
}

/* The standard price of a unit per million, for the table. */
static void unit_out(struct ctl *c, yyjson_mut_val *to, const char *key,
                     const struct proto_price *p, unsigned unit)
{
    for (uint32_t i = 0; i < p->points.n; i++)
        if (p->points.e[i].class == 0 && p->points.e[i].unit == unit && p->points.e[i].above == 0) {
            char text[PROTO_MONEY_TEXT_MAX];
            int64_t exact = p->points.e[i].price;
            proto_money_print(exact / 1000 + (exact % 1000 != 0), text);
            out_text(c, to, key, text);
        }
}

static int price_row(struct ctl *c, struct proto_str row, void *ctx)
{
    struct looking *l = ctx;
    struct proto_price p;
    struct proto_reader r = proto_reader_over(row.p, row.n);
    if (!proto_price_get(&r, &p))
        return -EBADMSG;
    if (l->part && !memmem(p.model.p, p.model.n, l->part, strlen(l->part)))
        return 0;
    if (l->exact && !proto_str_eq(p.model, proto_str_of(l->exact)))
        return 0;
    l->found = true;
    yyjson_mut_val *to = l->list ? out_row(c, l->list) : c->out;
    out_str(c, to, "model", p.model);
    out_uint(c, to, "max_input", p.max_input);
    out_uint(c, to, "max_output", p.max_output);
    unit_out(c, to, "input", &p, PROTO_UNIT_input);
    unit_out(c, to, "cache_read", &p, PROTO_UNIT_cache_read);
    unit_out(c, to, "output", &p, PROTO_UNIT_output);
    points_out(c, to, &p);
    return l->exact != NULL;
}

static int price_list(struct ctl *c, const struct ctl_args *a)
{
    struct looking l = {.part = ctl_arg(a, "match")};
    uint32_t version = 0;
    int rv = ctl_open(c, false);
    if (rv == CTL_OK)
        rv = ctl_query(c, PROTO_QUERY_totals, NULL, 0, false, totals_row, &version);
    if (rv != CTL_OK)
        return rv;
    out_uint(c, c->out, "version", version);
    l.list = out_list(c, "prices");
    return ctl_query(c, PROTO_QUERY_prices, NULL, 0, false, price_row, &l);
}

static int price_show(struct ctl *c, const struct ctl_args *a)
{
    struct looking l = {.exact = a->operand};
    int rv = ctl_open(c, false);
    if (rv == CTL_OK)
        rv = ctl_query(c, PROTO_QUERY_prices, NULL, 0, false, price_row, &l);
    if (rv == CTL_OK && !l.found)
        rv = ctl_fail(c, CTL_REFUSED, "NOT_FOUND", "the active catalogue has no model '%s'",
                      a->operand);
    return rv;
}

static const struct ctl_option import_options[] = {
    {"at", "WHEN", false, "dated prices as of YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ (default: today)"},
    {"source", "TEXT", false, "what the version is called (default: the file's name)"},
    {"dry-run", NULL, false, "read and report, send nothing"},
    {"skipped", NULL, false, "list every name that has no row (--json)"},
    {0}};
static const struct ctl_option list_options[] = {
    {"match", "TEXT", false, "only models with this in their names"}, {0}};
static const char *const list_columns[] = {"model",     "input",      "cache_read", "output",
                                           "max_input", "max_output", NULL};
static const char *const point_columns[] = {"unit", "class", "above", "dollars_per_million", NULL};

static const struct ctl_action actions[] = {
    {"import", "Makes a price catalogue the active one.", "FILE", import_options, NULL, NULL,
     price_import,
     "FILE is the LiteLLM price map or the genai-prices catalogue, as JSON. Prices are rounded up "
     "to\n"
     "nano-dollars per 10^9 units. Holds already open settle at the version they were made "
     "under.\n"},
    {"list", "Lists the active catalogue, in dollars per million tokens.", NULL, list_options,
     "prices", list_columns, price_list, NULL},
    {"show", "Shows all price points of one model.", "MODEL", NULL, "points", point_columns,
     price_show, NULL},
    {0}};
const struct ctl_noun ctl_noun_price = {"price", "the price catalogue: import, list, show",
                                        actions};
