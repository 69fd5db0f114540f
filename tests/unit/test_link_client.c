/* SPDX-License-Identifier: Apache-2.0
 * The ledger client against scripted nodes in this process, over real mutual TLS: what it does with
 * each kind of reply, with a node that is gone, and at a deadline.
 */
#include "proto/base/check.h"
#include "proto/link/client.h"
#include "proto/net/listener.h"
#include "tests/unit/free_port.h"
#include "tests/unit/store_tmp.h"
#include "tools/certs/layout.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum {
    NODES = 2,
    SCRIPT_MAX = 8,
    SEEN_MAX = 64,
    SILENT = 100,
    GARBAGE = 101,
    BUSY = 102,
    WAIT_MS = 10000
};

/* What a node answers, one step a request; the last step repeats. */
struct step {
    unsigned status; /* enum proto_reply_status, SILENT, GARBAGE, BUSY */
    uint32_t leader;
};

struct fake {
    uint32_t id;
    char address[32];
    struct net_tls *tls;
    struct net_thread *thread;
    struct step script[SCRIPT_MAX];
    atomic_uint requests;
    pthread_mutex_t mutex;
    struct proto_uuid seen[SEEN_MAX]; /* ids of commands, in the order received */
    unsigned n_seen;
};

struct world {
    struct fake node[NODES];
    struct link_client *client;
};

struct outcome {
    bool done;
    enum link_outcome outcome;
    uint64_t index;
    uint32_t node;
    unsigned code;
    char detail[256];
};

static char ca[PATH_MAX], edge[PATH_MAX];

static void remember(struct fake *f, struct proto_reader *r, uint32_t n)
{
    struct proto_str bytes;
    struct proto_command c;
    pthread_mutex_lock(&f->mutex);
    for (uint32_t i = 0; i < n && f->n_seen < SEEN_MAX; i++) {
        CHECK(proto_get_bin(r, &bytes, PROTO_COMMAND_MAX));
        if (proto_command_get(bytes.p, bytes.n, &c, NULL))
            f->seen[f->n_seen++] = c.head.id;
    }
    pthread_mutex_unlock(&f->mutex);
}

static void send_back(struct net_conn *conn, uint32_t tag, const void *p, size_t n)
{
    struct net_frame *f = net_frame_of(p, n);
    CHECK(f != NULL);
    f->tag = tag;
    if (net_conn_send(conn, f) != 0)
        net_frame_free(f);
}

static void answer(struct fake *f, struct net_conn *conn, uint32_t tag, const struct step *step,
                   unsigned kind, uint32_t n)
{
    static const struct proto_result ok = {.code = PROTO_OK};
    uint8_t buf[64 * 1024], bytes[PROTO_RESULT_MAX];
    struct proto_writer w = proto_writer_over(buf, sizeof buf);
    struct proto_writer result = proto_writer_over(bytes, sizeof bytes);
    bool busy = step->status == BUSY; /* and it does not say for how long */
    const struct proto_reply_head head = {.version = PROTO_FRAME_VERSION,
                                          .status =
                                              (uint8_t)(busy ? PROTO_REPLY_busy : step->status),
                                          .leader = step->leader,
                                          .retry_ms = busy ? 0 : 5};
    CHECK(proto_result_put(&result, &ok));
    uint32_t items = step->status == PROTO_REPLY_done ? n : 0;
    if (kind == PROTO_REQUEST_STATUS) {
        const struct proto_node_status status = {.id = f->id, .leader = step->leader};
        const struct proto_reply_head done = {.version = PROTO_FRAME_VERSION};
        proto_reply_begin(&w, &done, 1);
        proto_node_status_put(&w, &status);
        items = 0;
    } else {
        proto_reply_begin(&w, &head, items);
    }
    for (uint32_t i = 0; i < items; i++) {
        const struct proto_reply_item item = {
            .index = 7, .ordinal = i, .result = {(const char *)bytes, (uint32_t)result.n}};
        proto_reply_item_put(&w, &item);
    }
    CHECK(!w.full);
    send_back(conn, tag, buf, w.n);
}

static void on_frame(void *ctx, struct net_conn *conn, struct net_frame *m)
{
    struct fake *f = ctx;
    struct proto_reader r = proto_reader_over(m->bytes, m->len);
    struct proto_request_head h;
    uint32_t n;
    unsigned k = atomic_fetch_add(&f->requests, 1);
    CHECK(proto_request_open(&r, &h, &n));
    remember(f, &r, n);
    const struct step *step = &f->script[k < SCRIPT_MAX ? k : SCRIPT_MAX - 1];
    if (step->status == GARBAGE)
        send_back(conn, m->tag, "?", 1);
    else if (step->status != SILENT)
        answer(f, conn, m->tag, step, h.kind, n);
    net_frame_free(m);
}

static void script(struct fake *f, const struct step *steps, unsigned n)
{
    for (unsigned i = 0; i < SCRIPT_MAX; i++)
        f->script[i] = steps[i < n ? i : n - 1];
}

static void open_port(void *arg)
{
    struct fake *f = arg;
    char error[256];
    const struct net_listener_config config = {.address = f->address,
                                               .conns_max = 8,
                                               .conn = {.tls = f->tls,
                                                        .frame_max = PROTO_FRAME_MAX,
                                                        .queue_max = PROTO_FRAME_MAX,
                                                        .calls = {.ctx = f, .on_frame = on_frame}}};
    if (net_listener_open(net_thread_loop(f->thread), &config, error) != 0)
        fail_msg("%s", error);
}

static void node_start(struct fake *f)
{
    f->thread = net_thread_start("fake");
    assert_non_null(f->thread);
    net_thread_call(f->thread, open_port, f);
}

static void node_stop(struct fake *f)
{
    net_thread_stop(f->thread);
}

static unsigned attempt_ms = 100; /* of the worlds made from now on */

static struct world *world_new(const struct step *one, unsigned n_one, const struct step *two,
                               unsigned n_two)
{
    struct world *w = calloc(1, sizeof *w);
    struct link_config config = {.n_nodes = NODES,
                                 .request_timeout_ms = attempt_ms,
                                 .in_flight = 2,
                                 .ca_file = ca,
                                 .cert_file = edge};
    char error[256], name[64];
    assert_non_null(w);
    config.cluster.b[0] = 1;
    for (unsigned i = 0; i < NODES; i++) {
        struct fake *f = &w->node[i];
        f->id = i + 1;
        assert_int_equal(pthread_mutex_init(&f->mutex, NULL), 0);
        (void)snprintf(f->address, sizeof f->address, "127.0.0.1:%u", free_port());
        (void)snprintf(name, sizeof name, "pki/node-%u-client.pem", i + 1);
        const struct net_tls_files files = {ca, store_tmp_path(name)};
        assert_int_equal(net_tls_load(&f->tls, &files, error), 0);
        script(f, i == 0 ? one : two, i == 0 ? n_one : n_two);
        node_start(f);
        config.nodes[i].id = f->id;
        (void)snprintf(config.nodes[i].address, sizeof config.nodes[i].address, "%s", f->address);
        (void)snprintf(config.nodes[i].server_name, sizeof config.nodes[i].server_name,
                       "node-%u.ledger.holdfast", i + 1);
    }
    assert_int_equal(link_client_new(&w->client, &config, error), 0);
    return w;
}

static void world_free(struct world *w)
{
    link_client_free(w->client);
    for (unsigned i = 0; i < NODES; i++) {
        node_stop(&w->node[i]);
        net_tls_free(w->node[i].tls);
        pthread_mutex_destroy(&w->node[i].mutex);
    }
    free(w);
}

static void on_done(void *arg, const struct link_answer *a)
{
    struct outcome *o = arg;
    assert_false(o->done);
    o->done = true;
    o->outcome = a->outcome;
    o->index = a->index;
    o->node = a->node;
    o->code = a->result ? a->result->code : PROTO_CODE_COUNT;
    (void)snprintf(o->detail, sizeof o->detail, "%s", a->detail);
}

static struct proto_uuid submit(struct world *w, struct outcome *o, unsigned timeout_ms,
                                bool urgent)
{
    struct proto_command c = {.head = {.kind = PROTO_CMD_team_create}};
    c.body.team_create.name = proto_str_of("a team");
    link_uuid7(&c.head.id);
    *o = (struct outcome){0};
    assert_int_equal(link_client_submit(w->client, &c, timeout_ms, urgent, on_done, o), 0);
    return c.head.id;
}

static bool saw(struct fake *f, const struct proto_uuid *id)
{
    bool found = false;
    pthread_mutex_lock(&f->mutex);
    for (unsigned i = 0; i < f->n_seen; i++)
        found = found || proto_uuid_eq(&f->seen[i], id);
    pthread_mutex_unlock(&f->mutex);
    return found;
}

static void F43_leader_hint_is_followed(void **state)
{
    (void)state;
    struct world *w = world_new((struct step[]){{PROTO_REPLY_not_leader, 2}}, 1,
                                (struct step[]){{PROTO_REPLY_done, 2}}, 1);
    struct outcome o;
    for (unsigned i = 0; i < 4; i++) {
        submit(w, &o, WAIT_MS, false);
        assert_true(link_client_wait(w->client, &o.done, WAIT_MS));
        assert_int_equal(o.outcome, LINK_ANSWERED);
        assert_int_equal(o.node, 2);
        assert_int_equal(o.code, PROTO_OK);
        assert_int_equal(o.index, 7);
    }
    assert_int_equal(link_client_leader(w->client), 2);
    assert_true(atomic_load(&w->node[0].requests) <= 1); /* asked at most once, then known */
    world_free(w);
}

/* Both replies say that the outcome is open: the retry carries the same id, so that it is one. */
static void F6_unknown_outcome_is_retried_with_the_same_id(void **state)
{
    (void)state;
    const struct step steps[] = {{PROTO_REPLY_unknown, 0}, {GARBAGE, 0}, {PROTO_REPLY_done, 0}};
    struct world *w = world_new(steps, 3, steps, 3);
    struct outcome o;
    struct proto_uuid id = submit(w, &o, WAIT_MS, false);
    assert_true(link_client_wait(w->client, &o.done, WAIT_MS));
    assert_int_equal(o.outcome, LINK_ANSWERED);
    assert_true(saw(&w->node[0], &id) || saw(&w->node[1], &id));
    unsigned all = atomic_load(&w->node[0].requests) + atomic_load(&w->node[1].requests);
    assert_true(all >= 3);
    assert_int_equal(w->node[0].n_seen + w->node[1].n_seen, all);
    for (unsigned n = 0; n < NODES; n++)
        for (unsigned i = 0; i < w->node[n].n_seen; i++)
            assert_true(proto_uuid_eq(&w->node[n].seen[i], &id));
    world_free(w);
}

static void F6_silence_until_the_deadline_is_unknown_not_refused(void **state)
{
    (void)state;
    struct world *w = world_new((struct step[]){{SILENT, 0}}, 1, (struct step[]){{SILENT, 0}}, 1);
    struct outcome o;
    submit(w, &o, 300, false);
    assert_true(link_client_wait(w->client, &o.done, WAIT_MS));
    assert_int_equal(o.outcome, LINK_UNKNOWN);
    world_free(w);
}

static void F6_a_cluster_without_leader_is_unavailable(void **state)
{
    (void)state;
    const struct step none = {PROTO_REPLY_not_leader, 0};
    struct world *w = world_new(&none, 1, &none, 1);
    struct outcome o;
    submit(w, &o, 300, false);
    assert_true(link_client_wait(w->client, &o.done, WAIT_MS));
    assert_int_equal(o.outcome, LINK_UNAVAILABLE);
    assert_non_null(strstr(o.detail, "does not lead"));
    world_free(w);
}

static void F43_busy_is_asked_again_at_the_same_node(void **state)
{
    (void)state;
    const struct step steps[] = {
        {PROTO_REPLY_busy, 1}, {PROTO_REPLY_busy, 1}, {PROTO_REPLY_done, 1}};
    struct world *w = world_new(steps, 3, (struct step[]){{PROTO_REPLY_not_leader, 1}}, 1);
    struct outcome o;
    submit(w, &o, WAIT_MS, false);
    assert_true(link_client_wait(w->client, &o.done, WAIT_MS));
    assert_int_equal(o.outcome, LINK_ANSWERED);
    assert_int_equal(o.node, 1);
    world_free(w);
}

/* As a node without memory for the request answers: asked without a pause it would only get worse.
 */
static void F43_busy_without_a_time_is_asked_again_after_a_pause(void **state)
{
    (void)state;
    const struct step busy = {BUSY, 0};
    struct world *w = world_new(&busy, 1, &busy, 1);
    struct outcome o;
    submit(w, &o, 400, false);
    assert_true(link_client_wait(w->client, &o.done, WAIT_MS));
    assert_int_equal(o.outcome, LINK_UNAVAILABLE);
    unsigned all = atomic_load(&w->node[0].requests) + atomic_load(&w->node[1].requests);
    assert_true(all >= 2 && all <= 400 / 20 + 1);
    world_free(w);
}

static void F43_the_other_node_answers_when_one_is_gone(void **state)
{
    (void)state;
    const struct step done = {PROTO_REPLY_done, 0};
    struct world *w = world_new(&done, 1, &done, 1);
    struct outcome o;
    submit(w, &o, WAIT_MS, false);
    assert_true(link_client_wait(w->client, &o.done, WAIT_MS));
    unsigned first = o.node - 1;
    node_stop(&w->node[first]);
    submit(w, &o, WAIT_MS, false);
    assert_true(link_client_wait(w->client, &o.done, WAIT_MS));
    assert_int_equal(o.outcome, LINK_ANSWERED);
    assert_int_equal(o.node, 2 - first);
    node_start(&w->node[first]);
    world_free(w);
}

static void F1_settlements_go_before_reserves(void **state)
{
    (void)state;
    const struct step done = {PROTO_REPLY_done, 0};
    struct world *w = world_new(&done, 1, &done, 1);
    struct outcome o[4];
    struct proto_uuid id[4];
    for (unsigned i = 0; i < 4; i++)
        id[i] = submit(w, &o[i], WAIT_MS, i >= 2);
    assert_int_equal(link_client_queued(w->client), 4);
    for (unsigned i = 0; i < 4; i++)
        assert_true(link_client_wait(w->client, &o[i].done, WAIT_MS));
    struct fake *f = &w->node[o[0].node - 1];
    static const unsigned order[] = {2, 3, 0, 1};
    assert_int_equal(atomic_load(&f->requests), 1); /* one request, merged */
    for (unsigned i = 0; i < 4; i++)
        assert_true(proto_uuid_eq(&f->seen[i], &id[order[i]]));
    world_free(w);
}

/* Node 1 led and hangs: node 2 says that it leads now. Attempts time out only after ten seconds. */
static void F43_a_silent_leader_is_doubted(void **state)
{
    (void)state;
    attempt_ms = WAIT_MS;
    const struct step hangs[] = {{PROTO_REPLY_done, 1}, {SILENT, 0}};
    struct world *w = world_new(hangs, 2, (struct step[]){{PROTO_REPLY_not_leader, 1}}, 1);
    struct outcome o;
    submit(w, &o, WAIT_MS, false);
    assert_true(link_client_wait(w->client, &o.done, WAIT_MS));
    assert_int_equal(o.node, 1);
    script(&w->node[1], (struct step[]){{PROTO_REPLY_done, 2}}, 1);
    struct proto_uuid id = submit(w, &o, 4 * WAIT_MS, false);
    assert_true(link_client_wait(w->client, &o.done, WAIT_MS / 2));
    assert_int_equal(o.outcome, LINK_ANSWERED);
    assert_int_equal(o.node, 2);
    assert_true(saw(&w->node[0], &id) && saw(&w->node[1], &id));
    attempt_ms = 100;
    world_free(w);
}

static void F43_a_refused_frame_is_not_retried(void **state)
{
    (void)state;
    const struct step wrong = {PROTO_REPLY_wrong_cluster, 0};
    struct world *w = world_new(&wrong, 1, &wrong, 1);
    struct outcome o;
    submit(w, &o, WAIT_MS, false);
    assert_true(link_client_wait(w->client, &o.done, WAIT_MS));
    assert_int_equal(o.outcome, LINK_REFUSED);
    assert_int_equal(atomic_load(&w->node[0].requests) + atomic_load(&w->node[1].requests), 1);
    world_free(w);
}

static void F6_a_refusal_after_an_unknown_outcome_is_unknown(void **state)
{
    (void)state;
    const struct step steps[] = {{PROTO_REPLY_unknown, 0}, {PROTO_REPLY_wrong_cluster, 0}};
    struct world *w = world_new(steps, 2, steps, 2);
    struct outcome o;
    submit(w, &o, WAIT_MS, false);
    assert_true(link_client_wait(w->client, &o.done, WAIT_MS));
    assert_int_equal(o.outcome, LINK_UNKNOWN);
    world_free(w);
}

static void F31_free_completes_everything(void **state)
{
    (void)state;
    struct world *w = world_new((struct step[]){{SILENT, 0}}, 1, (struct step[]){{SILENT, 0}}, 1);
    struct outcome o[3];
    bool never = false;
    for (unsigned i = 0; i < 2; i++)
        submit(w, &o[i], WAIT_MS, false);
    assert_false(link_client_wait(w->client, &never, 30));
    submit(w, &o[2], WAIT_MS, false);
    link_client_free(w->client);
    w->client = NULL;
    for (unsigned i = 0; i < 3; i++) {
        assert_true(o[i].done);
        assert_int_equal(o[i].outcome, LINK_UNKNOWN);
    }
    world_free(w);
}

static void F43_ids_carry_their_time(void **state)
{
    (void)state;
    struct proto_uuid a, b;
    link_uuid7(&a);
    link_uuid7(&b);
    assert_false(proto_uuid_eq(&a, &b));
    assert_int_equal(a.b[6] >> 4, 7);
    assert_int_equal(a.b[8] >> 6, 2);
    assert_true(proto_uuid_time_ms(&b) >= proto_uuid_time_ms(&a));
}

static int setup(void **state)
{
    struct certs_files files;
    struct certs_error error;
    if (store_tmp_setup(state) != 0)
        return -1;
    const struct certs_options options = {.dir = store_tmp_path("pki"), .days = 30};
    (void)snprintf(ca, sizeof ca, "%s", store_tmp_path("pki/client-ca.crt"));
    (void)snprintf(edge, sizeof edge, "%s", store_tmp_path("pki/edge-1.pem"));
    return certs_layout_init(&options, NODES, 1, &files, &error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(F43_leader_hint_is_followed),
        cmocka_unit_test(F6_unknown_outcome_is_retried_with_the_same_id),
        cmocka_unit_test(F6_silence_until_the_deadline_is_unknown_not_refused),
        cmocka_unit_test(F6_a_cluster_without_leader_is_unavailable),
        cmocka_unit_test(F43_busy_is_asked_again_at_the_same_node),
        cmocka_unit_test(F43_busy_without_a_time_is_asked_again_after_a_pause),
        cmocka_unit_test(F43_the_other_node_answers_when_one_is_gone),
        cmocka_unit_test(F1_settlements_go_before_reserves),
        cmocka_unit_test(F43_a_silent_leader_is_doubted),
        cmocka_unit_test(F43_a_refused_frame_is_not_retried),
        cmocka_unit_test(F6_a_refusal_after_an_unknown_outcome_is_unknown),
        cmocka_unit_test(F31_free_completes_everything),
        cmocka_unit_test(F43_ids_carry_their_time),
    };
    return cmocka_run_group_tests(tests, setup, store_tmp_teardown);
}
