/* SPDX-License-Identifier: Apache-2.0
 * The price of the load's model: found in the active catalogue, or imported into an empty one.
 */
#include "tools/bench/population.h"

#include <stdio.h>

struct search {
    const char *model;
    uint32_t version, rows; /* of the totals */
    uint32_t next;
    bool done, found, failed;
    uint16_t code;
};

static void say(const char *what, const char *why)
{
    (void)fprintf(stderr, "holdfast-bench: %s: %s\n", what, why);
}

static bool answered(struct search *s, const struct link_answer *a)
{
    s->done = true;
    if (a->outcome == LINK_ANSWERED)
        return true;
    say("the ledger does not answer", a->detail && *a->detail ? a->detail : "deadline");
    s->failed = true;
    return false;
}

static void on_totals(void *arg, const struct link_answer *a)
{
    struct search *s = arg;
    struct proto_str row;
    struct proto_totals_row totals;
    if (!answered(s, a))
        return;
    struct proto_reader r;
    s->failed = a->answer->code != PROTO_OK || !proto_answer_row(a->answer, &row);
    if (!s->failed) {
        r = proto_reader_over(row.p, row.n);
        s->failed = !proto_totals_row_get(&r, &totals);
    }
    if (s->failed) {
        say("totals", "the ledger's answer cannot be read");
        return;
    }
    s->version = totals.price_version;
    s->rows = totals.price_rows;
}

static void on_prices(void *arg, const struct link_answer *a)
{
    static struct proto_price price; /* large; one thread */
    struct search *s = arg;
    struct proto_str row;
    if (!answered(s, a))
        return;
    s->next = a->answer->next;
    for (uint32_t i = 0; i < a->answer->n && proto_answer_row(a->answer, &row); i++) {
        struct proto_reader r = proto_reader_over(row.p, row.n);
        if (proto_price_get(&r, &price) && proto_str_eq(price.model, proto_str_of(s->model)))
            s->found = true;
    }
}

static void on_import(void *arg, const struct link_answer *a)
{
    struct search *s = arg;
    if (answered(s, a))
        s->code = a->result->code;
}

static int ask(struct link_client *c, struct search *s, unsigned kind, link_done *done)
{
    struct proto_query q = {.head = {.kind = (uint8_t)kind, .after = s->next}};
    s->done = false;
    if (link_client_query(c, &q, false, POPULATION_DEADLINE_MS, done, s) != 0)
        return -1;
    return link_client_wait(c, &s->done, POPULATION_DEADLINE_MS + 1000) && !s->failed ? 0 : -1;
}

static int import(struct link_client *c, struct search *s, const struct proto_hash *cred)
{
    static struct proto_price price;
    uint8_t row[PROTO_PRICE_MAX];
    price = (struct proto_price){.model = proto_str_of(s->model),
                                 .max_input = 128000,
                                 .max_output = 16384,
                                 .points = {.n = 2}};
    price.points.e[0] = (struct proto_point){.unit = PROTO_UNIT_input,
                                             .price = INT64_C(1000000000000)}; /* $1 a million */
    price.points.e[1] =
        (struct proto_point){.unit = PROTO_UNIT_output, .price = INT64_C(4000000000000)};
    struct proto_writer w = proto_writer_over(row, sizeof row);
    proto_price_put(&w, &price);
    struct proto_command cmd = {.head = {.kind = PROTO_CMD_price_import, .cred = *cred}};
    link_uuid7(&cmd.head.id);
    cmd.body.price_import = (struct proto_price_import){.version = 1,
                                                        .source = proto_str_of("holdfast-bench"),
                                                        .first = 1,
                                                        .count = 1,
                                                        .last = true,
                                                        .rows = {(const char *)row, (uint32_t)w.n}};
    s->done = false;
    if (link_client_submit(c, &cmd, POPULATION_DEADLINE_MS, false, on_import, s) != 0 ||
        !link_client_wait(c, &s->done, POPULATION_DEADLINE_MS + 1000) || s->failed)
        return -1;
    if (s->code != PROTO_OK) {
        say("price import", proto_code_text(s->code));
        return -1;
    }
    s->version = 1;
    return 0;
}

int population_price(struct link_client *c, const char *model,
                     const struct proto_hash *operator_cred, uint32_t *version)
{
    static struct search s; /* outlives a request that was given up */
    s = (struct search){.model = model};
    if (ask(c, &s, PROTO_QUERY_totals, on_totals) != 0)
        return -1;
    if (s.version == 0) {
        if (import(c, &s, operator_cred) != 0)
            return -1;
        *version = s.version;
        return 0;
    }
    do {
        if (ask(c, &s, PROTO_QUERY_prices, on_prices) != 0)
            return -1;
    } while (s.next != 0 && !s.found);
    if (!s.found) {
        (void)fprintf(stderr,
                      "holdfast-bench: the active catalogue has no model '%s': choose one of it "
                      "with --model\n",
                      model);
        return -1;
    }
    *version = s.version;
    return 0;
}
