/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/intake.h"

#include "proto/base/check.h"

#include <errno.h>
#include <stdlib.h>

int intake_init(struct intake *in, const struct intake_calls *calls)
{
    *in = (struct intake){.calls = *calls};
    in->payload = malloc(INTAKE_PAYLOAD_MAX);
    in->filling.commands = calloc(PROTO_BATCH_COMMANDS, sizeof(struct serve_command *));
    bool ok = in->payload && in->filling.commands;
    for (unsigned i = 0; i < INTAKE_FLIGHTS; i++) {
        in->flight[i].commands = calloc(PROTO_BATCH_COMMANDS, sizeof(struct serve_command *));
        ok = ok && in->flight[i].commands;
    }
    if (ok)
        return 0;
    intake_close(in);
    return -ENOMEM;
}

void intake_close(struct intake *in)
{
    CHECK(!in->requests);
    for (unsigned i = 0; i < INTAKE_FLIGHTS; i++)
        free(in->flight[i].commands);
    free(in->filling.commands);
    free(in->payload);
    *in = (struct intake){0}; /* a start that failed is closed again with the rest of the node */
}

/* ---- requests ---- */

static void complete(struct intake *in, struct serve_request *r, enum proto_reply_status status)
{
    if (r->prev)
        r->prev->next = r->next;
    else
        in->requests = r->next;
    if (r->next)
        r->next->prev = r->prev;
    in->calls.on_complete(in->calls.ctx, r, status);
}

static void complete_if_whole(struct intake *in, struct serve_request *r)
{
    if (r->left == 0)
        complete(in, r, r->expired == r->n ? PROTO_REPLY_expired : PROTO_REPLY_done);
}

bool intake_offer(struct intake *in, struct serve_request *r)
{
    if (intake_waiting(in) + r->n > INTAKE_WAITING_MAX)
        return false;
    r->prev = NULL;
    r->next = in->requests;
    if (in->requests)
        in->requests->prev = r;
    in->requests = r;
    for (unsigned i = 0; i < r->n; i++)
        lanes_push(r->commands[i].urgent ? &in->urgent : &in->normal, &r->commands[i]);
    return true;
}

/* ---- filling an entry ---- */

/* Not by the machine: index 0 says that it stands nowhere in the log. */
static void refuse(struct intake *in, struct serve_command *c, enum proto_code code,
                   const char *reason)
{
    static const struct proto_hash none;
    uint8_t bytes[PROTO_RESULT_MAX];
    struct proto_writer w = proto_writer_over(bytes, sizeof bytes);
    struct proto_result result = {.code = (uint16_t)code, .shape = PROTO_SHAPE_because};
    result.body.because.reason = proto_str_of(reason);
    CHECK(proto_result_put(&w, &result));
    c->state = SERVE_PROPOSED; /* from here on as if answered */
    if (serve_command_answer(c, 0, 0, &none, bytes, (uint32_t)w.n) != 0) {
        c->state = SERVE_WAITING;
        serve_command_expire(c);
    }
    complete_if_whole(in, c->request);
}

static void take_from(struct intake *in, struct lanes *l, size_t *bytes, int64_t now_us)
{
    struct intake_flight *f = &in->filling;
    struct serve_command *c;
    unsigned heavy = 0;
    while (f->n < PROTO_BATCH_COMMANDS && (c = lanes_peek(l)) != NULL) {
        if (f->n > 0 && *bytes + c->n > PROTO_BATCH_BYTES)
            return;
        if (c->heavy && heavy++ == INTAKE_HEAVY_MAX)
            return; /* what is behind it does not wait long: the next entry may fly at once */
        (void)lanes_take(l);
        if (c->deadline_us != 0 && c->deadline_us < now_us) {
            serve_command_expire(c);
            complete_if_whole(in, c->request);
            continue;
        }
        const char *reason = "";
        enum proto_code code =
            in->calls.admit ? in->calls.admit(in->calls.ctx, c, &reason) : PROTO_OK;
        if (code != PROTO_OK) {
            refuse(in, c, code, reason);
            continue;
        }
        *bytes += c->n;
        f->commands[f->n++] = c;
    }
}

size_t intake_fill(struct intake *in, const struct proto_batch_header *header, int64_t now_us)
{
    struct intake_flight *f = &in->filling;
    size_t bytes = 0;
    f->n = 0;
    take_from(in, &in->urgent, &bytes, now_us);
    take_from(in, &in->normal, &bytes, now_us);
    struct proto_writer w = proto_writer_over(in->payload, INTAKE_PAYLOAD_MAX);
    proto_batch_begin(&w, header, f->n);
    for (unsigned i = 0; i < f->n; i++)
        proto_batch_add(&w, f->commands[i]->p, f->commands[i]->n);
    CHECK(!w.full);
    return w.n;
}

void intake_put_back(struct intake *in)
{
    struct intake_flight *f = &in->filling;
    while (f->n > 0) {
        struct serve_command *c = f->commands[--f->n];
        lanes_put_back(c->urgent ? &in->urgent : &in->normal, c);
    }
}

static struct intake_flight *flight_add(struct intake *in, uint64_t index, uint64_t term)
{
    CHECK(intake_may_fly(in));
    struct intake_flight *f = &in->flight[(in->flight_first + in->flights++) % INTAKE_FLIGHTS];
    f->index = index;
    f->term = term;
    f->n = 0;
    return f;
}

void intake_fly(struct intake *in, uint64_t index, uint64_t term)
{
    struct intake_flight *f = flight_add(in, index, term);
    struct serve_command **spare = f->commands;
    f->commands = in->filling.commands;
    f->n = in->filling.n;
    in->filling.commands = spare;
    in->filling.n = 0;
    for (unsigned i = 0; i < f->n; i++) {
        f->commands[i]->state = SERVE_PROPOSED;
        f->commands[i]->request->proposed = true;
    }
}

void intake_fly_bare(struct intake *in, uint64_t index, uint64_t term)
{
    (void)flight_add(in, index, term);
}

/* ---- answers ---- */

static int answer(struct intake *in, struct intake_flight *f, const struct proto_hash *chain,
                  const struct core_outcome *outcome)
{
    CHECK(f->n == 0 || (outcome && outcome->n == f->n));
    for (unsigned i = 0; i < f->n; i++) {
        struct serve_request *r = f->commands[i]->request;
        const struct core_item *item = &outcome->items[i];
        int rv = serve_command_answer(f->commands[i], f->index, i, chain,
                                      outcome->results + item->offset, item->length);
        if (rv != 0)
            return rv;
        in->commands++;
        complete_if_whole(in, r);
    }
    return 0;
}

int intake_applied(struct intake *in, uint64_t index, uint64_t term, const struct proto_hash *chain,
                   const struct core_outcome *outcome)
{
    if (in->lost || in->flights == 0 || in->flight[in->flight_first].index > index)
        return 0; /* somebody else's */
    struct intake_flight *f = &in->flight[in->flight_first];
    CHECK(f->index == index); /* entries are applied in order, none is left out */
    if (f->term != term) {    /* ours was replaced, so we cannot lead any more */
        in->lost = true;
        return 0;
    }
    in->flight_first = (in->flight_first + 1) % INTAKE_FLIGHTS;
    in->flights--;
    return answer(in, f, chain, outcome);
}

void intake_drop_all(struct intake *in, enum proto_reply_status waiting)
{
    in->urgent = in->normal = (struct lanes){.n = 0};
    in->flights = 0;
    in->lost = false;
    CHECK(in->filling.n == 0);
    while (in->requests) {
        struct serve_request *r = in->requests;
        complete(in, r, r->proposed ? PROTO_REPLY_unknown : waiting);
    }
}
