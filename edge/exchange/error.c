/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/exchange/error.h"

#include "proto/budget.h"
#include "proto/money.h"

#include <stdarg.h>
#include <stdio.h>

/* A message quotes what clients sent, and is cut where it is too long: a byte that is no text then
 * would make the whole body unreadable. */
static void make_text(char *s)
{
    while (*s != '\0') {
        uint32_t n = 1;
        while (n < 4 && s[n] != '\0' && !proto_utf8_clean((struct proto_str){s, n}))
            n++;
        if (!proto_utf8_clean((struct proto_str){s, n})) {
            *s = '?';
            n = 1;
        }
        s += n;
    }
}

void edge_error_set(struct edge_error *e, int status, const char *type, const char *code,
                    const char *format, ...)
{
    memset(e, 0, sizeof *e);
    e->status = status;
    e->type = type;
    e->code = code;
    va_list ap;
    va_start(ap, format);
    vsnprintf(e->message, sizeof e->message, format, ap);
    va_end(ap);
    make_text(e->message);
}

static void keep(char out[PROTO_NAME_MAX + 1], struct proto_str *s)
{
    uint32_t n = s->n <= PROTO_NAME_MAX ? s->n : PROTO_NAME_MAX;
    if (n > 0)
        memcpy(out, s->p, n);
    out[n] = '\0';
    *s = (struct proto_str){out, n};
}

/* "Team 'research' monthly budget of $15.00"; begins: it is the first word of its sentence. */
static void name_budget(struct proto_text *t, const struct edge_error *e, bool begins)
{
    const struct proto_refused *r = &e->budget;
    const char *scope = r->scope == PROTO_SCOPE_org ? "organisation" : proto_scope_name(r->scope);
    bool small = scope[0] >= 'a' && scope[0] <= 'z';
    char first[2] = {(char)(begins && small ? scope[0] - 'a' + 'A' : scope[0]), '\0'};
    proto_text_put(t, first);
    proto_text_put(t, scope + 1);
    const char *name = r->instance.n > 0 ? e->instance : e->label;
    if (*name != '\0') {
        proto_text_put(t, " '");
        proto_text_put(t, name);
        proto_text_put(t, "'");
    } else if (r->subject != 0) {
        proto_text_put(t, " ");
        proto_text_uint(t, r->subject);
    }
    proto_text_put(t, " ");
    if (r->window != PROTO_WINDOW_absolute) {
        proto_text_put(t, proto_window_name(r->window));
        proto_text_put(t, " ");
    }
    proto_text_put(t, "budget of $");
    proto_text_money(t, r->limit);
}

static void refuse_budget(struct edge_error *e, unsigned code, const struct proto_refused *r)
{
    e->has_budget = true;
    e->budget = *r;
    keep(e->instance, &e->budget.instance);
    keep(e->label, &e->budget.label);
    struct proto_text t = proto_text_over(e->message, sizeof e->message);
    if (code == PROTO_REQUEST_EXCEEDS_BUDGET) {
        proto_text_put(&t, "The request can cost up to $");
        proto_text_money(&t, r->needed);
        proto_text_put(&t, ", more than the ");
        name_budget(&t, e, false);
        proto_text_put(&t, " allows at all.");
    } else if (code == PROTO_BUDGET_IN_FLIGHT) {
        name_budget(&t, e, true);
        proto_text_put(&t, " is taken up by open holds: spent $");
        proto_text_money(&t, r->spent);
        proto_text_put(&t, ", held $");
        proto_text_money(&t, r->held);
        proto_text_put(&t, ", needed $");
        proto_text_money(&t, r->needed);
        proto_text_put(&t, ".");
        e->retry_after_s = 1;
        e->no_retry = false;
    } else {
        name_budget(&t, e, true);
        proto_text_put(&t, " exceeded.");
    }
    if (r->status == 402 || r->status == 429)
        e->status = r->status;
}

static void refuse_credit(struct edge_error *e, const struct proto_short_of *s)
{
    e->has_credit = true;
    e->credit = *s;
    struct proto_text t = proto_text_over(e->message, sizeof e->message);
    proto_text_put(&t, "The balance does not cover this call: it can cost up to $");
    proto_text_money(&t, s->needed);
    proto_text_put(&t, ", available is $");
    int64_t free_nanos;
    proto_text_money(&t, proto_add(s->available, s->promo, &free_nanos) ? free_nanos : INT64_MAX);
    proto_text_put(&t, ". Top up, or ask for less output.");
}

static void refuse_repeat(struct edge_error *e, const struct proto_repeated *r)
{
    e->has_repeat = true;
    e->repeat = *r;
    snprintf(e->message, sizeof e->message,
             "A call with this Idempotency-Key %s; it is not made a second time.",
             r->settled ? "was made and settled" : "is under way");
}

void edge_error_of_code(struct edge_error *e, unsigned code)
{
    static const char *const snake[PROTO_CODE_COUNT] = {
        [PROTO_MALFORMED] = "invalid_request", [PROTO_UNAUTHENTICATED] = "invalid_api_key",
        [PROTO_FORBIDDEN] = "forbidden",       [PROTO_KEY_REVOKED] = "key_revoked",
        [PROTO_KEY_EXPIRED] = "key_expired",   [PROTO_UNAUTHORISED_HOLD] = "unauthorised_hold",
    };
    const char *type = proto_code_type(code);
    const char *short_code = code < PROTO_CODE_COUNT && snake[code] != NULL ? snake[code] : type;
    if (code == PROTO_UNAUTHENTICATED)
        edge_error_set(e, 401, type, short_code, "The API key is not known.");
    else
        edge_error_set(e, (int)proto_code_http(code), type, short_code, "%c%s.",
                       proto_code_text(code)[0] - ('a' - 'A'), proto_code_text(code) + 1);
    if (code == PROTO_QUOTA_EXCEEDED)
        e->retry_after_s = 1;
    else if (code == PROTO_NO_ROOM)
        e->retry_after_s = 5;
    else if (e->status == 503)
        e->retry_after_s = 1;
    else
        e->no_retry = e->status == 402 || e->status == 409 || e->status == 429;
}

void edge_error_of_result(struct edge_error *e, const struct proto_result *result, uint64_t index)
{
    edge_error_of_code(e, result->code);
    e->ledger_index = index;
    if (result->shape == PROTO_SHAPE_refused)
        refuse_budget(e, result->code, &result->body.refused);
    else if (result->shape == PROTO_SHAPE_short_of)
        refuse_credit(e, &result->body.short_of);
    else if (result->shape == PROTO_SHAPE_repeated)
        refuse_repeat(e, &result->body.repeated);
    else if (result->code == PROTO_PAUSED)
        snprintf(e->message, sizeof e->message,
                 "The organisation is paused: no call goes through until it is resumed.");
}

void edge_error_of_ledger(struct edge_error *e, enum link_outcome outcome)
{
    edge_error_set(e, 503, "ledger_unavailable", "ledger_unavailable", "%s",
                   outcome == LINK_REFUSED
                       ? "The ledger does not accept this edge's requests; nothing was forwarded."
                       : "The ledger cannot be reached, so no money can be held; nothing was "
                         "forwarded. Try again shortly.");
    e->retry_after_s = 1;
}

static void put_money(struct proto_text *t, const char *name, int64_t nanos)
{
    proto_text_put(t, ",\"");
    proto_text_put(t, name);
    proto_text_put(t, "\":\"");
    proto_text_money(t, nanos);
    proto_text_put(t, "\",\"");
    proto_text_put(t, name);
    proto_text_put(t, "_nanos\":");
    proto_text_int(t, nanos);
}

static void put_text(struct proto_text *t, const char *name, const char *value)
{
    proto_text_put(t, ",\"");
    proto_text_put(t, name);
    proto_text_put(t, "\":");
    if (value == NULL || *value == '\0')
        proto_text_put(t, "null");
    else
        proto_text_json(t, proto_str_of(value));
}

static void put_budget(struct proto_text *t, const struct edge_error *e)
{
    const struct proto_refused *r = &e->budget;
    put_text(t, "scope", proto_scope_name(r->scope));
    proto_text_put(t, ",\"budget\":");
    proto_text_uint(t, r->budget);
    put_text(t, "label", e->label);
    put_text(t, "instance", e->instance);
    put_text(t, "period", proto_window_name(r->window));
    put_money(t, "spent", r->spent);
    put_money(t, "held", r->held);
    put_money(t, "limit", r->limit);
    put_money(t, "needed", r->needed);
    proto_text_put(t, ",\"reset_at\":");
    if (r->reset_us > 0) {
        proto_text_put(t, "\"");
        proto_text_time(t, r->reset_us);
        proto_text_put(t, "\"");
    } else {
        proto_text_put(t, "null");
    }
}

size_t edge_error_body(const struct edge_error *e, char out[EDGE_ERROR_BODY])
{
    struct proto_text t = proto_text_over(out, EDGE_ERROR_BODY);
    proto_text_put(&t, "{\"error\":{\"message\":");
    proto_text_json(&t, proto_str_of(e->message));
    put_text(&t, "type", e->type);
    put_text(&t, "param", e->param);
    put_text(&t, "code", e->code);
    if (e->has_budget)
        put_budget(&t, e);
    if (e->has_credit) {
        put_money(&t, "needed", e->credit.needed);
        put_money(&t, "available", e->credit.available);
        put_money(&t, "promo", e->credit.promo);
        put_money(&t, "held", e->credit.held);
    }
    if (e->has_repeat) {
        proto_text_put(&t, ",\"hold\":\"");
        proto_text_uuid(&t, &e->repeat.hold);
        proto_text_put(&t, e->repeat.settled ? "\",\"settled\":true,\"receipt\":\""
                                             : "\",\"settled\":false,\"receipt\":\"");
        proto_text_uint(&t, e->repeat.index);
        proto_text_put(&t, ":");
        proto_text_uint(&t, e->repeat.ordinal);
        proto_text_put(&t, "\"");
        put_money(&t, "cost", e->repeat.cost);
    }
    if (e->ledger_index != 0) {
        proto_text_put(&t, ",\"ledger_index\":");
        proto_text_uint(&t, e->ledger_index);
    }
    proto_text_put(&t, "}}");
    return t.n;
}

size_t edge_error_plain(int status, const char *reason, char *out, size_t cap)
{
    struct proto_text t = proto_text_over(out, cap);
    proto_text_put(&t, "{\"error\":{\"message\":");
    proto_text_json(&t, proto_str_of(reason));
    proto_text_put(&t, status < 500 ? ",\"type\":\"invalid_request_error\",\"param\":null,\"code\":"
                                    : ",\"type\":\"server_error\",\"param\":null,\"code\":");
    proto_text_put(&t, status == 413   ? "\"body_too_large\""
                       : status == 503 ? "\"overloaded\""
                                       : "null");
    proto_text_put(&t, "}}");
    return t.full ? 0 : t.n;
}
