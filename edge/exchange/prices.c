/* SPDX-License-Identifier: Apache-2.0
 * Fetching: totals -> (another version?) -> pages of prices -> totals again, to be sure that all
 * pages were of one version. The snapshot itself is in price_table.c.
 */
#include "edge/exchange/prices.h"

#include "edge/exchange/price_table.h"
#include "proto/base/check.h"
#include "proto/base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum fetch { FETCH_IDLE, FETCH_TOTALS, FETCH_PAGES, FETCH_CONFIRM };

struct edge_prices {
    uv_loop_t *loop;
    struct link_client *link;
    uv_timer_t timer;
    enum fetch fetch;
    struct price_table *active;   /* NULL: none yet */
    struct price_table *incoming; /* being fetched */
    uint32_t after, rows;         /* of the pages so far */
    bool loaded, answers, complained, again;
    TAILQ_HEAD(, edge_prices_waiter) waiters;
    void (*on_closed)(void *arg);
    void *closed_arg;
};

static void ask(struct edge_prices *p, enum fetch fetch);

static void wake(struct edge_prices *p, bool ok)
{
    TAILQ_HEAD(, edge_prices_waiter) all;
    TAILQ_INIT(&all);
    TAILQ_CONCAT(&all, &p->waiters, entry);
    struct edge_prices_waiter *w;
    while ((w = TAILQ_FIRST(&all)) != NULL) {
        TAILQ_REMOVE(&all, w, entry);
        w->waiting = false;
        w->call(w->arg, ok); /* a waiter does not unwait another one */
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct edge_prices *p = timer->data;
    if (p->fetch == FETCH_IDLE)
        ask(p, FETCH_TOTALS);
}

static void finish(struct edge_prices *p, bool ok)
{
    p->fetch = FETCH_IDLE;
    p->answers = ok;
    p->complained = !ok; /* one line an outage */
    price_table_free(p->incoming);
    p->incoming = NULL;
    bool soon = !ok || p->active == NULL;
    bool again = ok && p->again; /* asked for while this was under way, perhaps too late for it */
    uv_timer_start(&p->timer, on_timer,
                   again  ? 0
                   : soon ? EDGE_PRICES_RETRY_MS
                          : EDGE_PRICES_CHECK_MS,
                   0);
    p->again = false;
    if (!again)
        wake(p, ok);
}

static void take_totals(struct edge_prices *p, struct proto_answer *answer)
{
    struct proto_str bytes;
    struct proto_totals_row row;
    if (!proto_answer_row(answer, &bytes)) {
        finish(p, false);
        return;
    }
    struct proto_reader r = proto_reader_over(bytes.p, bytes.n);
    if (!proto_totals_row_get(&r, &row)) {
        finish(p, false);
        return;
    }
    if (p->fetch == FETCH_CONFIRM && p->incoming->version == row.price_version &&
        p->rows == row.price_rows) {
        base_log(BASE_LOG_INFO, "prices_loaded", BASE_I("version", p->incoming->version),
                 BASE_I("models", p->incoming->n), NULL);
        price_table_free(p->active);
        p->active = p->incoming;
        p->incoming = NULL;
        p->loaded = true;
        finish(p, true);
    } else if (row.price_version == 0 ||
               (p->active != NULL && p->active->version == row.price_version)) {
        p->loaded = true; /* nothing newer, or no catalogue at all */
        finish(p, true);
    } else if (p->fetch == FETCH_CONFIRM) {
        finish(p, false); /* it changed on the way: again, a little later */
    } else {
        price_table_free(p->incoming);
        p->incoming = price_table_new(row.price_version);
        p->after = p->rows = 0;
        if (p->incoming == NULL)
            finish(p, false);
        else
            ask(p, FETCH_PAGES);
    }
}

static void take_page(struct edge_prices *p, struct proto_answer *answer)
{
    struct proto_str bytes;
    uint32_t next = answer->next;
    while (proto_answer_row(answer, &bytes)) {
        struct proto_price row;
        struct proto_reader r = proto_reader_over(bytes.p, bytes.n);
        if (!proto_price_get(&r, &row) || price_table_add(p->incoming, &row) < 0) {
            finish(p, false);
            return;
        }
        p->rows++;
    }
    if (next != 0 && next > p->after) {
        p->after = next;
        ask(p, FETCH_PAGES);
    } else {
        ask(p, FETCH_CONFIRM);
    }
}

static void on_answer(void *arg, const struct link_answer *a)
{
    struct edge_prices *p = arg;
    if (a->outcome != LINK_ANSWERED || a->answer == NULL || a->answer->code != PROTO_OK) {
        if (!p->complained)
            base_log(BASE_LOG_WARN, "ledger_check_failed", BASE_S("detail", a->detail), NULL);
        finish(p, false);
    } else if (p->fetch == FETCH_PAGES) {
        take_page(p, a->answer);
    } else {
        take_totals(p, a->answer);
    }
}

static void ask(struct edge_prices *p, enum fetch fetch)
{
    struct proto_query query = {.head = {.kind = PROTO_QUERY_totals}};
    if (fetch == FETCH_PAGES) {
        query.head.kind = PROTO_QUERY_prices;
        query.head.after = p->after;
    }
    p->fetch = fetch;
    /* Linearizable, pages too: a node that lags could give another version's rows. */
    if (link_client_query(p->link, &query, false, EDGE_PRICES_QUERY_MS, on_answer, p) < 0)
        finish(p, false);
}

int edge_prices_new(struct edge_prices **out, uv_loop_t *loop, struct link_client *link)
{
    struct edge_prices *p = calloc(1, sizeof *p);
    if (p == NULL)
        return -ENOMEM;
    p->loop = loop;
    p->link = link;
    TAILQ_INIT(&p->waiters);
    uv_timer_init(loop, &p->timer);
    p->timer.data = p;
    uv_timer_start(&p->timer, on_timer, 0, 0);
    *out = p;
    return 0;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct edge_prices *p = handle->data;
    if (p->on_closed != NULL)
        p->on_closed(p->closed_arg);
    price_table_free(p->active);
    price_table_free(p->incoming);
    free(p);
}

void edge_prices_close(struct edge_prices *p, void (*on_closed)(void *arg), void *arg)
{
    p->on_closed = on_closed;
    p->closed_arg = arg;
    uv_close((uv_handle_t *)&p->timer, on_handle_closed);
}

const struct edge_price *edge_prices_find(const struct edge_prices *p, const char *model)
{
    return p->active != NULL ? price_table_find(p->active, model) : NULL;
}

const struct edge_price *edge_prices_of(const struct edge_prices *p, const struct edge_route *route,
                                        const char *model)
{
    const struct edge_price *price;
    char both[2 * PROTO_NAME_MAX + 2];
    if (route->price_model[0] != '\0')
        return edge_prices_find(p, route->price_model);
    price = edge_prices_find(p, model);
    if (price != NULL)
        return price;
    int n = snprintf(both, sizeof both, "%s/%s", route->provider->name, model);
    return n > 0 && n <= PROTO_NAME_MAX ? edge_prices_find(p, both) : NULL;
}

const struct edge_price *edge_prices_at(const struct edge_prices *p, uint32_t i)
{
    return p->active != NULL && i < p->active->n ? &p->active->price[i] : NULL;
}

uint32_t edge_prices_version(const struct edge_prices *p)
{
    return p->active != NULL ? p->active->version : 0;
}

bool edge_prices_loaded(const struct edge_prices *p)
{
    return p->loaded;
}

bool edge_prices_ledger_answers(const struct edge_prices *p)
{
    return p->answers;
}

void edge_prices_refresh(struct edge_prices *p)
{
    if (p->fetch == FETCH_IDLE)
        uv_timer_start(&p->timer, on_timer, 0, 0);
    else
        p->again = true;
}

void edge_prices_wait(struct edge_prices *p, struct edge_prices_waiter *waiter)
{
    CHECK(!waiter->waiting);
    waiter->waiting = true;
    TAILQ_INSERT_TAIL(&p->waiters, waiter, entry);
    edge_prices_refresh(p);
}

void edge_prices_unwait(struct edge_prices *p, struct edge_prices_waiter *waiter)
{
    if (waiter->waiting)
        TAILQ_REMOVE(&p->waiters, waiter, entry);
    waiter->waiting = false;
}
