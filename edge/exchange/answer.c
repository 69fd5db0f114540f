/* SPDX-License-Identifier: Apache-2.0
 * What the client is told at the end: the answer or the error, what the call cost, and the receipt.
 */
#include "edge/exchange/exchange_state.h"

#include "edge/http/response.h"
#include "proto/money.h"

#include <stdio.h>

enum { NAME_BYTES = EDGE_PREFIX_MAX + 20, RECEIPT_BYTES = 128, HEADERS_MAX = 16 };

/* The fields that tell about money; made for each answer. */
struct facts {
    char cost_name[NAME_BYTES], receipt_name[NAME_BYTES], hold_name[NAME_BYTES],
        settlement_name[NAME_BYTES];
    char cost[PROTO_MONEY_TEXT_MAX], receipt[RECEIPT_BYTES], hold[PROTO_UUID_TEXT];
    char retry_after[16];
    const char *settlement; /* NULL: as it should be */
    struct edge_http_header h[HEADERS_MAX];
    size_t n;
};

static void add(struct facts *f, const char *name, const char *value)
{
    if (value != NULL && *value != '\0' && f->n < HEADERS_MAX)
        f->h[f->n++] = (struct edge_http_header){name, value};
}

static void collect(const struct edge_exchange *x, struct facts *f)
{
    const char *prefix = x->ctx->config->prefix;
    memset(f, 0, sizeof *f);
    snprintf(f->cost_name, NAME_BYTES, "%s-request-cost", prefix);
    snprintf(f->receipt_name, NAME_BYTES, "%s-receipt", prefix);
    snprintf(f->hold_name, NAME_BYTES, "%s-hold", prefix);
    snprintf(f->settlement_name, NAME_BYTES, "%s-settlement", prefix);
    if (x->pending)
        f->settlement = "pending";
    else if (x->decided && x->code != PROTO_OK)
        f->settlement = proto_code_type(x->code);
    if (f->settlement == NULL && x->charged_nanos == 0)
        snprintf(f->cost, sizeof f->cost, "0");
    else if (f->settlement == NULL)
        proto_money_print(x->charged_nanos, f->cost);
    if (x->decided && x->code == PROTO_OK) {
        struct proto_text t = proto_text_over(f->receipt, RECEIPT_BYTES);
        proto_text_uint(&t, x->index);
        proto_text_put(&t, ":");
        proto_text_uint(&t, x->ordinal);
        proto_text_put(&t, ":");
        proto_text_hex(&t, x->chain.b, sizeof x->chain.b);
    }
    if (!proto_uuid_none(&x->org)) /* there was a hold */
        proto_uuid_print(&x->hold, f->hold);
}

static void add_facts(struct facts *f)
{
    add(f, f->cost_name, f->cost);
    add(f, f->receipt_name, f->receipt);
    add(f, f->hold_name, f->hold);
    add(f, f->settlement_name, f->settlement);
}

static void answer_error(struct edge_exchange *x, struct facts *f)
{
    char body[EDGE_ERROR_BODY];
    const struct edge_error *e = &x->error;
    add(f, "content-type", "application/json");
    add(f, "x-should-retry", e->no_retry ? "false" : NULL);
    if (e->retry_after_s > 0)
        snprintf(f->retry_after, sizeof f->retry_after, "%u", e->retry_after_s);
    add(f, "retry-after", f->retry_after);
    add(f, "www-authenticate", e->status == 401 ? "Bearer" : NULL);
    add_facts(f);
    size_t n = edge_error_body(e, body);
    edge_http_reply(x->req, e->status, f->h, f->n, body, n);
}

static void answer_whole(struct edge_exchange *x, struct facts *f)
{
    add(f, "content-type", x->content_type);
    add(f, "x-request-id", x->request_id);
    add(f, "retry-after", x->retry_after);
    add_facts(f);
    size_t n = base_buf_len(&x->answer);
    edge_http_reply(x->req, x->status, f->h, f->n, n > 0 ? base_buf_at(&x->answer) : "", n);
}

static void end_stream(struct edge_exchange *x, struct facts *f)
{
    char line[512];
    int n =
        f->settlement == NULL
            ? snprintf(line, sizeof line, ": holdfast cost=%s receipt=%s\n\n", f->cost, f->receipt)
            : snprintf(line, sizeof line, ": holdfast settlement=%s hold=%s\n\n", f->settlement,
                       f->hold);
    edge_http_write(x->req, line, (size_t)n);
    if (x->finish == FINISH_BROKEN) {
        edge_http_abort(x->req);
        return;
    }
    add(f, f->cost_name, f->cost);
    add(f, f->receipt_name, f->receipt);
    edge_http_end(x->req, f->h, f->n);
}

static void count(const struct edge_exchange *x)
{
    struct edge_metrics *m = x->ctx->metrics;
    bool relayed = x->finish == FINISH_ANSWER && x->status >= 400;
    if (x->finish == FINISH_ERROR)
        edge_metrics_answer(m, x->error.status, x->error.type, x->error.code);
    else if (x->finish == FINISH_BROKEN)
        edge_metrics_answer(m, x->status, x->error.type, x->error.code);
    else
        edge_metrics_answer(m, x->status, relayed ? "provider_error" : NULL, "relayed");
}

void exchange_answer(struct edge_exchange *x)
{
    struct facts f;
    count(x);
    collect(x, &f);
    switch (x->finish) {
    case FINISH_ERROR:
        answer_error(x, &f);
        break;
    case FINISH_ANSWER:
        answer_whole(x, &f);
        break;
    case FINISH_STREAM:
    case FINISH_BROKEN:
        end_stream(x, &f);
        break;
    }
    x->req = NULL;
}
