/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/serve/request.h"

#include "proto/base/check.h"
#include "proto/batch.h"
#include "proto/command.h"
#include "proto/query.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static struct serve_request *refuse(struct serve_refusal *refusal, enum proto_reply_status status,
                                    const char *what, const char *cause)
{
    refusal->status = status;
    (void)snprintf(refusal->detail, sizeof refusal->detail, "%s%s%s", what, cause ? ": " : "",
                   cause ? cause : "");
    return NULL;
}

/* Seals in place: the bytes are the frame's own. */
static bool open_command(struct serve_command *c, struct proto_str bytes, const char **error)
{
    struct proto_command_head head;
    if (!proto_command_seal((uint8_t *)(uintptr_t)bytes.p, bytes.n, error))
        return false;
    struct proto_reader r = proto_reader_over(bytes.p, bytes.n);
    CHECK(proto_get_array_of(&r, 2) && proto_command_head_get(&r, &head)); /* seal decoded it */
    c->p = (const uint8_t *)bytes.p;
    c->n = bytes.n;
    c->urgent = head.kind == PROTO_CMD_settle || head.kind == PROTO_CMD_release;
    c->heavy = head.kind == PROTO_CMD_price_import; /* hundreds of rows */
    c->deadline_us = head.deadline_us;
    /* An org's id ends, a credential's hash begins, with bytes that differ at random. */
    static const struct proto_uuid none;
    c->lane = !proto_uuid_eq(&head.org, &none) ? head.org.b[sizeof head.org.b - 1] : head.cred.b[0];
    return true;
}

static bool open_commands(struct serve_request *r, struct proto_reader *in,
                          struct serve_refusal *refusal)
{
    for (unsigned i = 0; i < r->n; i++) {
        struct proto_str bytes;
        const char *error = NULL;
        char what[48];
        r->commands[i].request = r;
        bool ok = proto_get_bin(in, &bytes, PROTO_COMMAND_MAX);
        if (!ok)
            error = in->error;
        if (!ok || !open_command(&r->commands[i], bytes, &error)) {
            (void)snprintf(what, sizeof what, "command %u", i);
            (void)refuse(refusal, PROTO_REPLY_bad_frame, what, error);
            return false;
        }
    }
    return true;
}

static bool open_query(struct serve_request *r, struct proto_reader *in,
                       struct serve_refusal *refusal)
{
    const char *error = NULL;
    if (!proto_get_bin(in, &r->query, PROTO_QUERY_MAX)) {
        (void)refuse(refusal, PROTO_REPLY_bad_frame, "query", in->error);
        return false;
    }
    if (!proto_query_seal((uint8_t *)(uintptr_t)r->query.p, r->query.n, &error)) {
        (void)refuse(refusal, PROTO_REPLY_bad_frame, "query", error);
        return false;
    }
    return true;
}

static bool open_items(struct serve_request *r, struct proto_reader *in,
                       struct serve_refusal *refusal)
{
    bool ok = r->kind == PROTO_REQUEST_COMMANDS ? open_commands(r, in, refusal)
              : r->kind == PROTO_REQUEST_QUERY  ? open_query(r, in, refusal)
                                                : true;
    if (ok && !proto_get_end(in)) {
        (void)refuse(refusal, PROTO_REPLY_bad_frame, "request", in->error);
        return false;
    }
    return ok;
}

static bool count_fits(unsigned kind, uint32_t n)
{
    switch (kind) {
    case PROTO_REQUEST_COMMANDS:
        return n >= 1;
    case PROTO_REQUEST_QUERY:
        return n == 1;
    default:
        return kind == PROTO_REQUEST_STATUS && n == 0;
    }
}

struct serve_request *serve_request_open(struct net_frame *frame, const struct proto_uuid *cluster,
                                         uint16_t group, struct serve_refusal *refusal)
{
    struct proto_reader in = proto_reader_over(frame->bytes, frame->len);
    struct proto_request_head head;
    uint32_t n;
    if (!proto_request_open(&in, &head, &n))
        return refuse(refusal, PROTO_REPLY_bad_frame, "request", in.error);
    if (head.version != PROTO_FRAME_VERSION)
        return refuse(refusal, PROTO_REPLY_bad_frame, "request", "unknown version");
    if (!proto_uuid_eq(&head.cluster, cluster) || head.group != group)
        return refuse(refusal, PROTO_REPLY_wrong_cluster, "this node serves another cluster", NULL);
    if (!count_fits(head.kind, n))
        return refuse(refusal, PROTO_REPLY_bad_frame, "request", "kind and items do not fit");
    unsigned commands = head.kind == PROTO_REQUEST_COMMANDS ? n : 0;
    struct serve_request *r = calloc(1, sizeof *r + commands * sizeof r->commands[0]);
    if (!r)
        return refuse(refusal, PROTO_REPLY_busy, "out of memory", NULL);
    r->kind = head.kind;
    r->stale = head.stale;
    r->n = r->left = commands;
    if (!open_items(r, &in, refusal)) {
        free(r);
        return NULL;
    }
    r->frame = frame;
    return r;
}

void serve_request_free(struct serve_request *r)
{
    if (!r)
        return;
    net_frame_free(r->frame);
    free(r->results);
    free(r);
}

int serve_command_answer(struct serve_command *c, uint64_t index, uint32_t ordinal,
                         const struct proto_hash *chain, const void *result, uint32_t n)
{
    struct serve_request *r = c->request;
    CHECK(c->state == SERVE_PROPOSED && r->left > 0);
    if (r->results_cap - r->results_n < n) {
        size_t cap = 2 * r->results_cap + n + 128 * (size_t)r->n;
        uint8_t *p = realloc(r->results, cap);
        if (!p)
            return -ENOMEM;
        r->results = p;
        r->results_cap = cap;
    }
    memcpy(r->results + r->results_n, result, n);
    c->result = r->results_n;
    c->result_n = n;
    r->results_n += n;
    c->index = index;
    c->ordinal = ordinal;
    c->chain = *chain;
    c->state = SERVE_ANSWERED;
    r->left--;
    return 0;
}

void serve_command_expire(struct serve_command *c)
{
    CHECK(c->state == SERVE_WAITING && c->request->left > 0);
    c->state = SERVE_EXPIRED;
    c->request->expired++;
    c->request->left--;
}
