/* SPDX-License-Identifier: Apache-2.0
 * Peer connections over real mutual TLS on 127.0.0.1: messages arrive whole and in order, only the
 * peers' CA gets in, and a peer that is away costs nothing and is found again.
 */
#include "ledger/raft/peers.h"
#include "proto/net/dialer.h"
#include "tests/unit/free_port.h"
#include "tests/unit/store_tmp.h"
#include "tools/certs/layout.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
// cmocka needs these before it
#include <cmocka.h>

enum { DEADLINE_MS = 20000, RETRY_MS = 20, BIG = 1024 * 1024 };

struct side {
    char address[32], cert[PATH_MAX], name[32];
    struct net_thread *thread;
    struct peers *peers;
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    unsigned got;
    uint32_t last; /* number in the message taken last */
    bool in_order, whole;
};

static struct side side[3];
static char ca[PATH_MAX];

static uint64_t now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* A message is its number, then its number's low byte again and again. */
static void on_message(void *ctx, const void *bytes, size_t n)
{
    struct side *s = ctx;
    const uint8_t *p = bytes;
    uint32_t number = 0;
    pthread_mutex_lock(&s->mutex);
    s->whole = s->whole && n >= sizeof number;
    if (n >= sizeof number)
        memcpy(&number, p, sizeof number);
    for (size_t i = sizeof number; i < n; i++)
        s->whole = s->whole && p[i] == (uint8_t)number;
    s->in_order = s->in_order && number > s->last;
    s->last = number;
    s->got++;
    pthread_cond_broadcast(&s->cond);
    pthread_mutex_unlock(&s->mutex);
}

/* knows: the other one, from its cluster.conf. */
static void open_side_that(int i, bool knows)
{
    struct side *s = &side[i];
    char error[256] = "";
    struct peers_config config = {.listen = s->address,
                                  .tls = {.ca_file = ca, .cert_file = s->cert},
                                  .ctx = s,
                                  .on_message = on_message};
    for (int o = 1; o <= 2; o++)
        if (o != i && knows)
            config.peers[config.n_peers++] =
                (struct peers_peer){(uint64_t)o, side[o].address, side[o].name};
    s->thread = net_thread_start("side");
    assert_non_null(s->thread);
    if (peers_open(&s->peers, s->thread, &config, error) != 0)
        fail_msg("%s", error);
}

static void open_side(int i)
{
    open_side_that(i, true);
}

static void close_side(int i)
{
    net_thread_stop(side[i].thread);
    peers_free(side[i].peers);
    side[i].thread = NULL;
    side[i].peers = NULL;
}

static int setup(void **state)
{
    static struct certs_files files;
    struct certs_error error;
    if (store_tmp_setup(state) != 0)
        return -1;
    struct certs_options options = {.dir = store_tmp_path("pki"), .days = 30};
    if (certs_layout_init(&options, 2, 1, &files, &error) != 0)
        return -1;
    (void)snprintf(ca, sizeof ca, "%s", store_tmp_path("pki/peer-ca.crt"));
    for (int i = 1; i <= 2; i++) {
        struct side *s = &side[i];
        *s = (struct side){.mutex = PTHREAD_MUTEX_INITIALIZER,
                           .cond = PTHREAD_COND_INITIALIZER,
                           .in_order = true,
                           .whole = true};
        char name[32];
        (void)snprintf(name, sizeof name, "pki/node-%d.pem", i);
        (void)snprintf(s->cert, sizeof s->cert, "%s", store_tmp_path(name));
        (void)snprintf(s->name, sizeof s->name, "node-%d.peer.holdfast", i);
        (void)snprintf(s->address, sizeof s->address, "127.0.0.1:%u", free_port());
    }
    return 0;
}

static int teardown(void **state)
{
    close_side(1);
    close_side(2);
    return store_tmp_teardown(state);
}

struct sending {
    int from;
    uint64_t to;
    uint32_t number;
    size_t len;
};

static void send_one(void *arg)
{
    static uint8_t body[BIG];
    struct sending *s = arg;
    memset(body, (int)(uint8_t)s->number, s->len);
    peers_send(side[s->from].peers, s->to, &s->number, sizeof s->number, body, s->len);
}

static void send_number(int from, uint64_t to, uint32_t number, size_t len)
{
    struct sending s = {from, to, number, len};
    net_thread_call(side[from].thread, send_one, &s);
}

static void redial_2(void *arg)
{
    (void)arg;
    peers_redial(side[1].peers, 2);
}

/* Waits until the side has taken `number`, or, once, for RETRY_MS. */
static bool taken(struct side *s, uint32_t number, unsigned ms)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    until.tv_sec += ms / 1000 + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&s->mutex);
    int rv = 0;
    while (s->last < number && rv == 0)
        rv = pthread_cond_timedwait(&s->cond, &s->mutex, &until);
    bool has = s->last >= number;
    pthread_mutex_unlock(&s->mutex);
    return has;
}

/* Sends until something arrives, as the pump does with its heartbeats. Returns the next number. */
static uint32_t until_through(int from, int to, uint32_t number)
{
    uint64_t by = now_ms() + DEADLINE_MS;
    do {
        if (now_ms() > by)
            fail_msg("nothing got through from %d to %d", from, to);
        send_number(from, (uint64_t)to, ++number, 100);
    } while (!taken(&side[to], 1, RETRY_MS));
    return number;
}

static void F32_messages_arrive_whole_and_in_order(void **state)
{
    (void)state;
    open_side(1);
    open_side(2);
    uint32_t number = until_through(1, 2, 0);
    (void)until_through(2, 1, 0); /* its own connection */
    for (int i = 0; i < 50; i++)
        send_number(1, 2, ++number, (size_t)i * 50);
    assert_true(taken(&side[2], number, DEADLINE_MS));
    send_number(1, 2, ++number, BIG);
    assert_true(taken(&side[2], number, DEADLINE_MS));
    send_number(1, 9, 1, 10); /* nobody */
    assert_true(side[2].in_order && side[2].whole);
}

static void F43_a_peer_that_is_away_costs_nothing_and_is_found_again(void **state)
{
    (void)state;
    open_side(1);
    uint32_t number = 0;
    uint64_t before = now_ms();
    for (int i = 0; i < 5000; i++) /* far more than a queue holds */
        send_number(1, 2, ++number, 1000);
    assert_true(now_ms() - before < DEADLINE_MS / 2);
    open_side(2);
    number = until_through(1, 2, number);
    close_side(2);
    for (int i = 0; i < 1000; i++)
        send_number(1, 2, ++number, 1000);
    side[2].last = 0;
    open_side(2);
    number = until_through(1, 2, number);
    net_thread_call(side[1].thread, redial_2, NULL);
    side[2].last = 0;
    (void)until_through(1, 2, number);
    assert_true(side[2].whole);
}

static void F43_connections_broken_off_in_the_handshake_close_nothing(void **state)
{
    (void)state;
    open_side(2);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    a.sin_port = htons((uint16_t)atoi(strchr(side[2].address, ':') + 1));
    for (int i = 0; i < 3; i++) {
        char byte;
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        assert_true(fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0);
        assert_int_equal(shutdown(fd, SHUT_WR), 0);
        (void)recv(fd, &byte, 1, 0); /* until the other side has seen it */
        (void)close(fd);
    }
    open_side(1);
    (void)until_through(1, 2, 0);
    (void)until_through(2, 1, 0);
    assert_true(side[1].whole && side[2].whole);
}

struct lesson {
    uint64_t id;
    const char *address;
};

static void learn_one(void *arg)
{
    const struct lesson *l = arg;
    peers_learn(side[1].peers, l->id, l->address);
}

static void learn(uint64_t id, const char *address)
{
    struct lesson l = {id, address};
    net_thread_call(side[1].thread, learn_one, &l);
}

/* Added under a wrong address, taken out and added again: the log's word of it is the last one. */
static void F43_a_peer_that_was_added_anew_is_called_where_it_is_now(void **state)
{
    char wrong[32];
    (void)state;
    (void)snprintf(wrong, sizeof wrong, "127.0.0.1:%u", free_port());
    open_side_that(1, false);
    open_side(2);
    learn(2, wrong);
    learn(2, wrong);
    learn(2, side[2].address);
    uint32_t number = until_through(1, 2, 0);
    learn(2, side[2].address); /* as every few seconds: nothing is broken off */
    send_number(1, 2, ++number, 100);
    assert_true(taken(&side[2], number, DEADLINE_MS));
}

/* One after the other: who is not in the cluster any more leaves its place to the next. */
static void F43_more_peers_come_and_go_than_there_may_be_at_once(void **state)
{
    char nowhere[32];
    (void)state;
    (void)snprintf(nowhere, sizeof nowhere, "127.0.0.1:%u", free_port());
    open_side_that(1, false);
    open_side(2);
    for (uint64_t gone = 10; gone < 10 + 2 * PUMP_SERVERS_MAX; gone++) {
        learn(gone, nowhere);
        learn(7, nowhere); /* it stays */
    }
    learn(2, side[2].address);
    (void)until_through(1, 2, 0);
}

/* What cluster.conf says counts as long as the process lives. */
static void F43_a_peer_of_the_configuration_stays_where_it_is(void **state)
{
    char elsewhere[32];
    (void)state;
    (void)snprintf(elsewhere, sizeof elsewhere, "127.0.0.1:%u", free_port());
    open_side(1);
    open_side(2);
    learn(2, elsewhere);
    (void)until_through(1, 2, 0);
}

struct stranger {
    struct net_dialer *dialer;
    struct net_tls *tls;
    bool opened;
    char cause[128];
};

static void on_stranger_open(void *ctx, struct net_conn *c)
{
    (void)c;
    ((struct stranger *)ctx)->opened = true;
}

static void stranger_dial(void *arg)
{
    struct stranger *s = arg;
    char error[256];
    const struct net_dialer_config config = {
        .address = side[2].address,
        .server_name = side[2].name,
        .conn = {.tls = s->tls,
                 .frame_max = 100,
                 .queue_max = 100,
                 .calls = {.ctx = s, .on_open = on_stranger_open}}};
    assert_int_equal(net_dialer_new(&s->dialer, net_thread_loop(side[1].thread), &config, error),
                     0);
}

static void stranger_look(void *arg)
{
    struct stranger *s = arg;
    (void)snprintf(s->cause, sizeof s->cause, "%s", net_dialer_cause(s->dialer));
}

/* An edge's certificate, of the clients' CA, on the peers' port. */
static void F32_only_the_peers_CA_gets_in(void **state)
{
    (void)state;
    open_side(1);
    open_side(2);
    struct stranger s = {.opened = false};
    char error[256], edge[PATH_MAX];
    (void)snprintf(edge, sizeof edge, "%s", store_tmp_path("pki/edge-1.pem"));
    const struct net_tls_files files = {.ca_file = ca, .cert_file = edge};
    assert_int_equal(net_tls_load(&s.tls, &files, error), 0);
    net_thread_call(side[1].thread, stranger_dial, &s);
    (void)until_through(1, 2, 0);
    uint64_t by = now_ms() + DEADLINE_MS;
    while (!s.cause[0] && now_ms() < by)
        net_thread_call(side[1].thread, stranger_look, &s);
    assert_non_null(strstr(s.cause, "may not accept our certificate"));
    close_side(1);
    assert_false(s.opened);
    net_tls_free(s.tls);
    open_side(1); /* for the teardown */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(F32_messages_arrive_whole_and_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(F43_a_peer_that_is_away_costs_nothing_and_is_found_again,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(F43_connections_broken_off_in_the_handshake_close_nothing,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(F43_a_peer_that_was_added_anew_is_called_where_it_is_now,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(F43_more_peers_come_and_go_than_there_may_be_at_once, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(F43_a_peer_of_the_configuration_stays_where_it_is, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(F32_only_the_peers_CA_gets_in, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
