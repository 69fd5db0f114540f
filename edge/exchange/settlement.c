/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/exchange/settlement.h"

#include "proto/base/log.h"
#include "proto/query.h"
#include "proto/text.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/queue.h>

struct edge_settlement {
    TAILQ_ENTRY(edge_settlement) entry;
    struct edge_settlements *list;
    struct edge_settlement_request request;
    uint8_t ip[PROTO_IP_MAX];
    edge_settlement_done *done;
    void *arg;
    bool under_way;
    bool complained;      /* one line, however often it is tried */
    uint64_t retry_at_ms; /* of the loop's clock */
};

struct edge_settlements {
    uv_loop_t *loop;
    struct link_client *link;
    uv_timer_t timer;
    TAILQ_HEAD(, edge_settlement) all;
    unsigned count;
    bool stopped;
    void (*on_closed)(void *arg);
    void *closed_arg;
};

static void try_now(struct edge_settlement *x);

static const struct proto_uuid *hold_of(const struct edge_settlement *x)
{
    const struct proto_command *c = &x->request.command;
    return c->head.kind == PROTO_CMD_settle ? &c->body.settle.hold : &c->body.release.hold;
}

static void log_hold(const struct edge_settlement *x, const char *event, const char *detail)
{
    char hold[PROTO_UUID_TEXT];
    proto_uuid_print(hold_of(x), hold);
    base_log(BASE_LOG_WARN, event, BASE_S("hold", hold),
             BASE_S("kind", proto_command_name(x->request.command.head.kind)),
             BASE_S("detail", detail), NULL);
}

static void complain(struct edge_settlement *x, const char *event, const char *detail)
{
    if (!x->complained)
        log_hold(x, event, detail);
    x->complained = true;
}

static void finish(struct edge_settlement *x, const struct edge_settled *settled)
{
    struct edge_settlements *s = x->list;
    TAILQ_REMOVE(&s->all, x, entry);
    s->count--;
    edge_settlement_done *done = x->done;
    void *arg = x->arg;
    free(x);
    if (done != NULL)
        done(arg, settled);
}

static void try_later(struct edge_settlement *x)
{
    x->under_way = false;
    x->retry_at_ms = uv_now(x->list->loop) + EDGE_SETTLE_PAUSE_MS;
}

static void on_decided(void *arg, const struct link_answer *a)
{
    struct edge_settlement *x = arg;
    if (a->outcome != LINK_ANSWERED || a->result == NULL) {
        if (a->outcome == LINK_REFUSED)
            complain(x, "settlement_refused", a->detail);
        try_later(x);
        return;
    }
    unsigned code = a->result->code;
    if (code == PROTO_COMMAND_TOO_OLD) {
        try_later(x); /* it lay in a queue too long: again with a new id */
        return;
    }
    /* A release of a hold that the ledger never saw is what a tombstone is for. */
    if (code != PROTO_OK &&
        !(code == PROTO_HOLD_UNKNOWN && x->request.command.head.kind == PROTO_CMD_release))
        log_hold(x, "settlement_not_done", proto_code_name(code));
    struct edge_settled settled = {a->result, a->index, a->ordinal, a->chain};
    finish(x, &settled);
}

/* Whose hold it would be: a reserve without an answer left the org unknown. */
static void on_identity(void *arg, const struct link_answer *a)
{
    struct edge_settlement *x = arg;
    struct proto_str bytes;
    struct proto_identity identity;
    if (a->outcome != LINK_ANSWERED || a->answer == NULL) {
        try_later(x);
        return;
    }
    if (proto_answer_row(a->answer, &bytes)) { /* of a revoked key, too */
        struct proto_reader r = proto_reader_over(bytes.p, bytes.n);
        if (proto_identity_get(&r, &identity) && !proto_uuid_none(&identity.org)) {
            x->request.command.head.org = identity.org;
            try_now(x);
            return;
        }
    }
    /* No org: the key was never known, its reserve was refused, so there is no hold. */
    struct edge_settled settled = {0};
    finish(x, &settled);
}

static void try_now(struct edge_settlement *x)
{
    struct edge_settlements *s = x->list;
    int rc;
    x->under_way = true;
    if (proto_uuid_none(&x->request.command.head.org)) {
        struct proto_query query = {.head = {.kind = PROTO_QUERY_whoami, .cred = x->request.cred}};
        /* Not stale: a node that lags may not know the key yet, and "no key" ends the release. */
        rc = link_client_query(s->link, &query, false, EDGE_SETTLE_TRY_MS, on_identity, x);
    } else {
        link_uuid7(&x->request.command.head.id);
        rc = link_client_submit(s->link, &x->request.command, EDGE_SETTLE_TRY_MS, true, on_decided,
                                x);
    }
    if (rc == -EINVAL || rc == -EMSGSIZE)
        complain(x, "settlement_invalid", "the command cannot be encoded");
    if (rc < 0)
        try_later(x);
}

static void on_timer(uv_timer_t *timer)
{
    struct edge_settlements *s = timer->data;
    struct edge_settlement *x;
    uint64_t now_ms = uv_now(s->loop);
    if (s->stopped)
        return;
    TAILQ_FOREACH(x, &s->all, entry)
    {
        if (!x->under_way && now_ms >= x->retry_at_ms)
            try_now(x);
    }
}

int edge_settlements_new(struct edge_settlements **out, uv_loop_t *loop, struct link_client *link)
{
    struct edge_settlements *s = calloc(1, sizeof *s);
    if (s == NULL)
        return -ENOMEM;
    s->loop = loop;
    s->link = link;
    TAILQ_INIT(&s->all);
    uv_timer_init(loop, &s->timer);
    s->timer.data = s;
    uv_timer_start(&s->timer, on_timer, EDGE_SETTLE_PAUSE_MS, EDGE_SETTLE_PAUSE_MS);
    *out = s;
    return 0;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct edge_settlements *s = handle->data;
    if (s->on_closed != NULL)
        s->on_closed(s->closed_arg);
    free(s);
}

void edge_settlements_close(struct edge_settlements *s, void (*on_closed)(void *arg), void *arg)
{
    struct edge_settlement *x;
    while ((x = TAILQ_FIRST(&s->all)) != NULL) {
        struct edge_settled settled = {0};
        log_hold(x, "settlement_abandoned", "the edge ends; the hold expires at the ledger");
        finish(x, &settled);
    }
    s->on_closed = on_closed;
    s->closed_arg = arg;
    uv_close((uv_handle_t *)&s->timer, on_handle_closed);
}

unsigned edge_settlements_count(const struct edge_settlements *s)
{
    return s->count;
}

bool edge_settlements_full(const struct edge_settlements *s)
{
    return s->count >= EDGE_SETTLEMENTS_MAX / 2; /* calls under way need the other half */
}

void edge_settlements_stop(struct edge_settlements *s)
{
    s->stopped = true;
}

struct edge_settlement *edge_settlement_start(struct edge_settlements *s,
                                              const struct edge_settlement_request *request,
                                              edge_settlement_done *done, void *arg)
{
    struct edge_settlement *x = s->count < EDGE_SETTLEMENTS_MAX ? calloc(1, sizeof *x) : NULL;
    if (x == NULL) {
        base_log(BASE_LOG_ERROR, "settlement_lost", BASE_I("waiting", s->count), NULL);
        return NULL;
    }
    x->list = s;
    x->request = *request;
    struct proto_str *ip = &x->request.command.head.ip;
    if (ip->n > 0 && ip->n <= sizeof x->ip)
        memcpy(x->ip, ip->p, ip->n);
    ip->p = (const char *)x->ip;
    x->done = done;
    x->arg = arg;
    TAILQ_INSERT_TAIL(&s->all, x, entry);
    s->count++;
    if (!s->stopped)
        try_now(x);
    return x;
}

void edge_settlement_forget(struct edge_settlement *x)
{
    x->done = NULL;
    x->arg = NULL;
}
