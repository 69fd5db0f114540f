/* SPDX-License-Identifier: Apache-2.0
 * Commands from requests into entries and back into answers; the engine and the machine are played
 * by the test.
 */
#include "ledger/intake.h"
#include "proto/command.h"
#include "proto/link/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum { ENDED_MAX = 16, RESULT = 0x90 };

static const struct proto_uuid cluster = {.b = {1}};

struct ended {
    struct serve_request *request[ENDED_MAX];
    enum proto_reply_status status[ENDED_MAX];
    unsigned n;
};

static void on_complete(void *ctx, struct serve_request *r, enum proto_reply_status status)
{
    struct ended *e = ctx;
    assert_true(e->n < ENDED_MAX);
    e->request[e->n] = r;
    e->status[e->n++] = status;
}

static void setup(struct intake *in, struct ended *e)
{
    *e = (struct ended){0};
    assert_int_equal(intake_init(in, &(struct intake_calls){.ctx = e, .on_complete = on_complete}),
                     0);
}

static void teardown(struct intake *in, struct ended *e)
{
    intake_close(in);
    for (unsigned i = 0; i < e->n; i++)
        serve_request_free(e->request[i]);
}

/* One command for each letter: r(elease) is urgent, t(eam_create) is not, l(ate) has a deadline. */
static struct serve_request *request(const char *kinds)
{
    static uint8_t buf[256 * 1024];
    uint8_t bytes[1024];
    struct proto_writer w = proto_writer_over(buf, sizeof buf);
    const struct proto_request_head head = {
        .version = PROTO_FRAME_VERSION, .cluster = cluster, .kind = PROTO_REQUEST_COMMANDS};
    struct serve_refusal refusal;
    proto_request_begin(&w, &head, (uint32_t)strlen(kinds));
    for (const char *k = kinds; *k; k++) {
        struct proto_writer one = proto_writer_over(bytes, sizeof bytes);
        struct proto_command c = {0};
        link_uuid7(&c.head.id);
        c.head.kind = *k == 'r'   ? PROTO_CMD_release
                      : *k == 'x' ? PROTO_CMD_extend
                      : *k == 'p' ? PROTO_CMD_price_import
                                  : PROTO_CMD_team_create;
        c.head.deadline_us = *k == 'l' ? 1000 : 0;
        assert_true(proto_command_put(&one, &c));
        proto_put_bin(&w, bytes, one.n);
    }
    assert_false(w.full);
    struct net_frame *f = net_frame_of(buf, w.n);
    assert_non_null(f);
    struct serve_request *r = serve_request_open(f, &cluster, 0, &refusal);
    assert_non_null(r);
    return r;
}

static unsigned fill(struct intake *in)
{
    const struct proto_batch_header h = {.format = PROTO_LOG_FORMAT};
    struct proto_batch b;
    size_t n = intake_fill(in, &h, 2000);
    assert_true(proto_batch_open(&b, in->payload, n));
    return b.n;
}

/* Applies an entry of n commands whose results are one byte each. */
static void applied(struct intake *in, uint64_t index, uint64_t term, uint32_t n)
{
    static struct core_item items[PROTO_BATCH_COMMANDS];
    static uint8_t results[PROTO_BATCH_COMMANDS];
    const struct proto_hash chain = {.b = {9}};
    for (uint32_t i = 0; i < n; i++) {
        items[i] = (struct core_item){.offset = i, .length = 1};
        results[i] = (uint8_t)(RESULT + i);
    }
    const struct core_outcome outcome = {.n = n, .items = items, .results = results};
    assert_int_equal(intake_applied(in, index, term, &chain, &outcome), 0);
}

static void F1_settlements_and_releases_are_proposed_first(void **state)
{
    (void)state;
    struct intake in;
    struct ended e;
    setup(&in, &e);
    struct serve_request *one = request("tt"), *two = request("tr");
    assert_true(intake_offer(&in, one));
    assert_true(intake_offer(&in, two));
    assert_int_equal(fill(&in), 4);
    intake_fly(&in, 10, 3);
    applied(&in, 10, 3, 4);
    assert_int_equal(e.n, 2);
    assert_int_equal(two->commands[1].ordinal, 0); /* the release came last and went first */
    assert_int_equal(one->commands[0].ordinal, 1);
    assert_int_equal(two->results[two->commands[0].result], RESULT + 3);
    assert_int_equal(two->commands[0].chain.b[0], 9);
    assert_int_equal(e.status[0], PROTO_REPLY_done);
    teardown(&in, &e);
}

static void F6_lost_leadership_is_unknown_under_way_and_not_leader_before(void **state)
{
    (void)state;
    struct intake in;
    struct ended e;
    setup(&in, &e);
    struct serve_request *under_way = request("t");
    assert_true(intake_offer(&in, under_way));
    assert_int_equal(fill(&in), 1);
    intake_fly(&in, 10, 3);
    assert_true(intake_offer(&in, request("t")));
    intake_drop_all(&in, PROTO_REPLY_not_leader);
    assert_int_equal(e.n, 2);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(e.status[i],
                         e.request[i] == under_way ? PROTO_REPLY_unknown : PROTO_REPLY_not_leader);
    applied(&in, 10, 3, 1); /* it was committed after all: nobody waits for it here */
    assert_int_equal(intake_waiting(&in), 0);
    teardown(&in, &e);
}

static void F6_an_entry_of_another_leader_answers_nobody(void **state)
{
    (void)state;
    struct intake in;
    struct ended e;
    setup(&in, &e);
    assert_true(intake_offer(&in, request("t")));
    assert_int_equal(fill(&in), 1);
    intake_fly(&in, 10, 3);
    applied(&in, 10, 4, 1);
    applied(&in, 11, 4, 1);
    assert_int_equal(e.n, 0);
    assert_true(in.lost);
    intake_drop_all(&in, PROTO_REPLY_not_leader);
    assert_int_equal(e.status[0], PROTO_REPLY_unknown);
    teardown(&in, &e);
}

static void F6_what_the_engine_refuses_is_put_back_in_order(void **state)
{
    (void)state;
    struct intake in;
    struct ended e;
    setup(&in, &e);
    struct serve_request *r = request("ttrt");
    assert_true(intake_offer(&in, r));
    assert_int_equal(fill(&in), 4);
    intake_put_back(&in);
    assert_int_equal(intake_waiting(&in), 4);
    assert_int_equal(fill(&in), 4);
    intake_fly(&in, 5, 1);
    applied(&in, 5, 1, 4);
    static const unsigned ordinal[] = {1, 2, 0, 3};
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(r->commands[i].ordinal, ordinal[i]);
    teardown(&in, &e);
}

/* A thousand commands of one org, then one of another: it does not wait for the thousand. */
static void F48_a_hot_org_does_not_keep_others_waiting(void **state)
{
    (void)state;
    static struct serve_request requests;
    static struct serve_command hot[3000], other[2];
    struct lanes l = {.n = 0};
    for (unsigned i = 0; i < 3000; i++) {
        hot[i] = (struct serve_command){.request = &requests, .lane = 7};
        lanes_push(&l, &hot[i]);
    }
    other[0] = (struct serve_command){.request = &requests, .lane = 200};
    other[1] = (struct serve_command){.request = &requests, .lane = 3};
    lanes_push(&l, &other[0]);
    lanes_push(&l, &other[1]);
    assert_int_equal(l.n, 3002);
    struct serve_command *taken[4];
    for (unsigned i = 0; i < 4; i++)
        taken[i] = lanes_take(&l);
    assert_ptr_equal(taken[0], &other[1]);
    assert_ptr_equal(taken[1], &hot[0]);
    assert_ptr_equal(taken[2], &other[0]);
    assert_ptr_equal(taken[3], &hot[1]);
    for (unsigned i = 4; i-- > 0;)
        lanes_put_back(&l, taken[i]);
    for (unsigned i = 0; i < 4; i++)
        assert_ptr_equal(lanes_take(&l), taken[i]);
    for (unsigned i = 2; i < 3000; i++) /* within a lane in order */
        assert_ptr_equal(lanes_take(&l), &hot[i]);
    assert_null(lanes_peek(&l));
    assert_int_equal(l.n, 0);
}

static void F1_commands_past_their_deadline_are_not_proposed(void **state)
{
    (void)state;
    struct intake in;
    struct ended e;
    setup(&in, &e);
    struct serve_request *late = request("ll"), *mixed = request("tl");
    assert_true(intake_offer(&in, late));
    assert_true(intake_offer(&in, mixed));
    assert_int_equal(fill(&in), 1);
    assert_int_equal(e.n, 1);
    assert_ptr_equal(e.request[0], late);
    assert_int_equal(e.status[0], PROTO_REPLY_expired);
    intake_fly(&in, 5, 1);
    applied(&in, 5, 1, 1);
    assert_int_equal(e.n, 2);
    assert_int_equal(e.status[1], PROTO_REPLY_done);
    assert_int_equal(mixed->commands[0].index, 5);
    assert_int_equal(mixed->commands[1].index, 0);
    teardown(&in, &e);
}

/* What changes many records: a few in an entry, calls beside them. */
static void F48_an_entry_holds_a_few_heavy_commands(void **state)
{
    (void)state;
    struct intake in;
    struct ended e;
    setup(&in, &e);
    struct serve_request *r = request("pppppppppr");
    assert_true(intake_offer(&in, r));
    static const unsigned want[] = {1 + INTAKE_HEAVY_MAX, INTAKE_HEAVY_MAX, 1};
    for (uint64_t i = 0; i < 3; i++) {
        assert_int_equal(fill(&in), want[i]);
        intake_fly(&in, 5 + i, 1);
    }
    for (uint64_t i = 0; i < 3; i++)
        applied(&in, 5 + i, 1, want[i]);
    assert_int_equal(e.n, 1);
    assert_int_equal(e.status[0], PROTO_REPLY_done);
    teardown(&in, &e);
}

static void F48_a_full_intake_refuses_and_entries_stay_within_their_bounds(void **state)
{
    (void)state;
    char many[PROTO_FRAME_COMMANDS + 1];
    struct intake in;
    struct ended e;
    unsigned offered = 0;
    setup(&in, &e);
    memset(many, 'x', PROTO_FRAME_COMMANDS);
    many[PROTO_FRAME_COMMANDS] = '\0';
    struct serve_request *requests[INTAKE_WAITING_MAX / PROTO_FRAME_COMMANDS + 1];
    for (;; offered++) {
        requests[offered] = request(many);
        if (!intake_offer(&in, requests[offered]))
            break;
    }
    assert_int_equal(offered, INTAKE_WAITING_MAX / PROTO_FRAME_COMMANDS);
    serve_request_free(requests[offered]);
    for (uint64_t i = 0; i < INTAKE_FLIGHTS; i++) {
        assert_true(intake_may_fly(&in));
        assert_int_equal(fill(&in), PROTO_BATCH_COMMANDS);
        intake_fly(&in, 1 + i, 1);
    }
    assert_false(intake_may_fly(&in));
    in.calls.on_complete = NULL;
    in.requests = NULL; /* freed here, all at once */
    intake_close(&in);
    while (offered > 0)
        serve_request_free(requests[--offered]);
}

static void F32_frames_of_strangers_are_refused_with_the_cause(void **state)
{
    (void)state;
    struct serve_refusal refusal;
    const struct proto_uuid other = {.b = {2}};
    struct serve_request *r = request("t");
    struct net_frame *f = r->frame;
    r->frame = NULL;
    serve_request_free(r);
    assert_null(serve_request_open(f, &other, 0, &refusal));
    assert_int_equal(refusal.status, PROTO_REPLY_wrong_cluster);
    assert_null(serve_request_open(f, &cluster, 1, &refusal));
    assert_int_equal(refusal.status, PROTO_REPLY_wrong_cluster);
    while (f->len > 0) { /* every prefix is refused, none crashes */
        f->len--;
        assert_null(serve_request_open(f, &cluster, 0, &refusal));
        assert_int_equal(refusal.status, PROTO_REPLY_bad_frame);
        assert_true(refusal.detail[0] != '\0');
    }
    net_frame_free(f);
}

static enum proto_code no_room(void *ctx, const struct serve_command *c, const char **reason)
{
    (void)ctx;
    *reason = "why";
    return proto_command_kind(c->p, c->n) == PROTO_CMD_release ? PROTO_OK : PROTO_NO_ROOM;
}

static void F43_what_is_not_admitted_is_answered_and_never_proposed(void **state)
{
    (void)state;
    struct intake in;
    struct ended e;
    struct proto_result result;
    setup(&in, &e);
    in.calls.admit = no_room;
    struct serve_request *mixed = request("tr"), *refused = request("tt");
    assert_true(intake_offer(&in, mixed));
    assert_true(intake_offer(&in, refused));
    assert_int_equal(fill(&in), 1); /* the release alone */
    assert_int_equal(e.n, 1);
    assert_ptr_equal(e.request[0], refused);
    assert_int_equal(e.status[0], PROTO_REPLY_done);
    const struct serve_command *c = &refused->commands[0];
    assert_int_equal(c->index, 0);
    assert_true(proto_result_get(refused->results + c->result, c->result_n, &result, NULL));
    assert_int_equal(result.code, PROTO_NO_ROOM);
    assert_int_equal(result.body.because.reason.n, 3);
    intake_fly(&in, 10, 3);
    applied(&in, 10, 3, 1);
    assert_int_equal(e.n, 2);
    assert_int_equal(mixed->commands[1].index, 10);
    assert_int_equal(mixed->commands[0].index, 0);
    teardown(&in, &e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(F43_what_is_not_admitted_is_answered_and_never_proposed),
        cmocka_unit_test(F1_settlements_and_releases_are_proposed_first),
        cmocka_unit_test(F6_lost_leadership_is_unknown_under_way_and_not_leader_before),
        cmocka_unit_test(F6_an_entry_of_another_leader_answers_nobody),
        cmocka_unit_test(F6_what_the_engine_refuses_is_put_back_in_order),
        cmocka_unit_test(F1_commands_past_their_deadline_are_not_proposed),
        cmocka_unit_test(F48_a_hot_org_does_not_keep_others_waiting),
        cmocka_unit_test(F48_an_entry_holds_a_few_heavy_commands),
        cmocka_unit_test(F48_a_full_intake_refuses_and_entries_stay_within_their_bounds),
        cmocka_unit_test(F32_frames_of_strangers_are_refused_with_the_cause),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
