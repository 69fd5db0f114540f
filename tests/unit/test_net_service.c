/* SPDX-License-Identifier: Apache-2.0
 * A port that answers, and clients that ask: over real mutual TLS on 127.0.0.1.
 */
#include "proto/net/client.h"
#include "proto/net/service.h"
#include "tests/unit/free_port.h"
#include "tests/unit/store_tmp.h"
#include "tools/certs/layout.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs these before it
#include <cmocka.h>

enum { TIMEOUT_MS = 20000, FRAME_MAX = 1024 * 1024, IN_FLIGHT = 2, CLIENTS = 6 };

/* Says what it hears; "hold" is kept until let_go, "none" gets no answer. */
struct echo {
    struct net_thread *thread;
    struct net_service *service;
    char address[32];
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    struct net_frame *held[CLIENTS];
    unsigned n_held, most;
    bool open; /* nothing is held any more */
};

static char ca[PATH_MAX], node[PATH_MAX], edge[PATH_MAX];

static bool says(const struct net_frame *f, const char *text)
{
    return f->len == strlen(text) && memcmp(f->bytes, text, f->len) == 0;
}

static struct net_frame *same(const struct net_frame *f)
{
    struct net_frame *reply = net_frame_of(f->bytes, f->len);
    assert_non_null(reply);
    return reply;
}

static void on_request(void *ctx, struct net_frame *f)
{
    struct echo *e = ctx;
    if (says(f, "none")) {
        net_service_answer(f, NULL);
        return;
    }
    pthread_mutex_lock(&e->mutex);
    bool hold = says(f, "hold") && !e->open;
    if (hold) {
        e->held[e->n_held++] = f;
        if (e->n_held > e->most)
            e->most = e->n_held;
        pthread_cond_broadcast(&e->cond);
    }
    pthread_mutex_unlock(&e->mutex);
    if (!hold)
        net_service_answer(f, same(f));
}

static void echo_open(struct echo *e)
{
    char error[256];
    *e = (struct echo){.mutex = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};
    (void)snprintf(e->address, sizeof e->address, "127.0.0.1:%u", free_port());
    e->thread = net_thread_start("echo");
    assert_non_null(e->thread);
    const struct net_service_config config = {.address = e->address,
                                              .tls = {ca, node},
                                              .frame_max = FRAME_MAX,
                                              .queue_max = FRAME_MAX,
                                              .conns_max = 64,
                                              .in_flight = IN_FLIGHT,
                                              .ctx = e,
                                              .on_request = on_request};
    if (net_service_open(&e->service, e->thread, &config, error) != 0)
        fail_msg("%s", error);
}

static void echo_close(struct echo *e)
{
    net_thread_stop(e->thread);
    net_service_free(e->service);
}

static struct net_client *client(const struct echo *e, const char *cert)
{
    struct net_client *c = NULL;
    char error[256];
    const struct net_client_config config = {.address = e->address,
                                             .server_name = "node-1.ledger.holdfast",
                                             .tls = {ca, cert},
                                             .frame_max = FRAME_MAX};
    if (net_client_new(&c, &config, error) != 0)
        fail_msg("%s", error);
    return c;
}

static int ask(struct net_client *c, const void *p, size_t n, unsigned timeout_ms, char error[256])
{
    struct net_frame *f = net_frame_of(p, n), *reply = NULL;
    assert_non_null(f);
    int rv = net_client_ask(c, f, timeout_ms, &reply, error);
    if (rv == 0)
        assert_true(reply->len == n && memcmp(reply->bytes, p, n) == 0);
    net_frame_free(reply);
    return rv;
}

static void F43_requests_are_answered_one_by_one(void **state)
{
    static uint8_t big[FRAME_MAX];
    (void)state;
    struct echo e;
    char error[256];
    echo_open(&e);
    struct net_client *c = client(&e, edge);
    memset(big, 7, sizeof big);
    for (unsigned i = 0; i < 50; i++)
        assert_int_equal(ask(c, &i, sizeof i, TIMEOUT_MS, error), 0);
    assert_int_equal(ask(c, big, sizeof big, TIMEOUT_MS, error), 0);
    assert_int_equal(ask(c, "none", 4, 50, error), -ETIMEDOUT);
    assert_int_equal(ask(c, "more", 4, TIMEOUT_MS, error), 0);
    net_client_free(c);
    echo_close(&e);
}

static void F43_who_cannot_connect_is_told_why(void **state)
{
    (void)state;
    struct echo e;
    char error[256], peer[PATH_MAX];
    echo_open(&e);
    (void)snprintf(peer, sizeof peer, "%s/pki/node-1.pem", store_tmp_root);
    struct net_client *c = client(&e, peer); /* of the peers' CA */
    assert_int_equal(ask(c, "hi", 2, 300, error), -ETIMEDOUT);
    assert_non_null(strstr(error, "certificate"));
    net_client_free(c);
    echo_close(&e);
    c = client(&e, edge); /* nobody listens any more */
    assert_int_equal(ask(c, "hi", 2, 100, error), -ETIMEDOUT);
    assert_non_null(strstr(error, "refused"));
    net_client_free(c);
}

struct asking {
    pthread_t thread;
    struct echo *e;
    int rv;
};

static void *ask_hold(void *arg)
{
    struct asking *a = arg;
    char error[256];
    struct net_client *c = client(a->e, edge);
    a->rv = ask(c, "hold", 4, TIMEOUT_MS, error);
    net_client_free(c);
    return NULL;
}

static void F43_more_than_may_be_in_flight_wait_for_their_turn(void **state)
{
    (void)state;
    struct echo e;
    struct asking a[CLIENTS];
    echo_open(&e);
    for (int i = 0; i < CLIENTS; i++) {
        a[i] = (struct asking){.e = &e, .rv = -1};
        assert_int_equal(pthread_create(&a[i].thread, NULL, ask_hold, &a[i]), 0);
    }
    pthread_mutex_lock(&e.mutex);
    while (e.n_held < IN_FLIGHT)
        pthread_cond_wait(&e.cond, &e.mutex);
    assert_int_equal(e.n_held, IN_FLIGHT);
    e.open = true;
    struct net_frame *held[IN_FLIGHT] = {e.held[0], e.held[1]};
    pthread_mutex_unlock(&e.mutex);
    for (int i = 0; i < IN_FLIGHT; i++)
        net_service_post(held[i], same(held[i]));
    for (int i = 0; i < CLIENTS; i++) {
        assert_int_equal(pthread_join(a[i].thread, NULL), 0);
        assert_int_equal(a[i].rv, 0);
    }
    assert_int_equal(e.most, IN_FLIGHT);
    echo_close(&e);
}

/* The connection goes while its request is with the taker: the answer has nowhere to go. */
static void F43_an_answer_to_who_has_gone_harms_nobody(void **state)
{
    (void)state;
    struct echo e;
    char error[256];
    echo_open(&e);
    struct net_client *c = client(&e, edge);
    assert_int_equal(ask(c, "hold", 4, 200, error), -ETIMEDOUT);
    net_client_free(c);
    c = client(&e, edge);
    assert_int_equal(ask(c, "hi", 2, TIMEOUT_MS, error), 0);
    pthread_mutex_lock(&e.mutex);
    assert_int_equal(e.n_held, 1);
    pthread_mutex_unlock(&e.mutex);
    net_service_post(e.held[0], same(e.held[0]));
    assert_int_equal(ask(c, "hi", 2, TIMEOUT_MS, error), 0);
    net_client_free(c);
    echo_close(&e);
}

static int setup(void **state)
{
    struct certs_files files;
    struct certs_error error;
    if (store_tmp_setup(state) != 0)
        return -1;
    const struct certs_options options = {.dir = store_tmp_path("pki"), .days = 30};
    (void)snprintf(ca, sizeof ca, "%s", store_tmp_path("pki/client-ca.crt"));
    (void)snprintf(node, sizeof node, "%s", store_tmp_path("pki/node-1-client.pem"));
    (void)snprintf(edge, sizeof edge, "%s", store_tmp_path("pki/edge-1.pem"));
    return certs_layout_init(&options, 1, 1, &files, &error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(F43_requests_are_answered_one_by_one),
        cmocka_unit_test(F43_who_cannot_connect_is_told_why),
        cmocka_unit_test(F43_more_than_may_be_in_flight_wait_for_their_turn),
        cmocka_unit_test(F43_an_answer_to_who_has_gone_harms_nobody),
    };
    return cmocka_run_group_tests(tests, setup, store_tmp_teardown);
}
