/* SPDX-License-Identifier: Apache-2.0
 * Frames over mutual TLS between two ends on one loop: who gets in, what arrives, and what a
 * hostile or slow other side can do.
 */
#include "proto/net/dialer.h"
#include "proto/net/listener.h"
#include "tests/unit/free_port.h"
#include "tests/unit/store_tmp.h"
#include "tools/certs/layout.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs these before it
#include <cmocka.h>

enum { DEADLINE_MS = 20000, FRAME_MAX = 2 * 1024 * 1024, QUEUE_MAX = 4 * 1024 * 1024 };

/* One end: what it has seen. */
struct end {
    struct net_conn *conn;
    unsigned opened, closed, frames;
    uint64_t bytes;
    bool in_order, echo, pausing;
    char cause[128];
};

struct world {
    uv_loop_t uv;
    uv_timer_t deadline;
    struct net_loop *loop;
    struct net_tls *server_tls, *client_tls;
    struct net_dialer *dialer;
    struct end server, client;
    char address[32];
    bool late, gone;
};

static unsigned callocs_to_fail; /* the next so many; the allocator is wrapped at link time */

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

void *__wrap_calloc(size_t n, size_t size)
{
    if (callocs_to_fail == 0)
        return __real_calloc(n, size);
    callocs_to_fail--;
    return NULL;
}

static void on_open(void *ctx, struct net_conn *c)
{
    struct end *e = ctx;
    e->opened++;
    e->conn = c;
}

/* A frame's tag is its number, its bytes are the number's low byte. */
static void on_frame(void *ctx, struct net_conn *c, struct net_frame *f)
{
    struct end *e = ctx;
    e->frames++;
    e->bytes += f->len;
    e->in_order = e->in_order && f->tag == e->frames;
    for (uint32_t i = 0; i < f->len; i++)
        e->in_order = e->in_order && f->bytes[i] == (uint8_t)f->tag;
    if (e->pausing)
        net_conn_pause(c);
    if (e->echo)
        assert_int_equal(net_conn_send(c, f), 0);
    else
        net_frame_free(f);
}

static void on_closed(void *ctx, struct net_conn *c, const char *cause)
{
    struct end *e = ctx;
    e->closed++;
    if (e->conn == c)
        e->conn = NULL;
    (void)snprintf(e->cause, sizeof e->cause, "%s", cause);
}

static void on_deadline(uv_timer_t *timer)
{
    ((struct world *)timer->data)->late = true;
}

static struct net_tls *tls(const char *ca, const char *cert)
{
    struct net_tls *out = NULL;
    char error[256] = "", ca_path[PATH_MAX], cert_path[PATH_MAX];
    (void)snprintf(ca_path, sizeof ca_path, "%s/pki/%s", store_tmp_root, ca);
    (void)snprintf(cert_path, sizeof cert_path, "%s/pki/%s", store_tmp_root, cert);
    const struct net_tls_files files = {ca_path, cert_path};
    if (net_tls_load(&out, &files, error) != 0)
        fail_msg("%s", error);
    assert_string_equal(error, ""); /* nothing is said where nothing is wrong */
    return out;
}

static struct net_conn_config conn_config(const struct net_tls *t, struct end *e)
{
    *e = (struct end){.in_order = true};
    return (struct net_conn_config){.tls = t,
                                    .frame_max = FRAME_MAX,
                                    .queue_max = QUEUE_MAX,
                                    .calls = {e, on_open, on_frame, on_closed}};
}

static void open_port(struct world *w, unsigned conns_max)
{
    char error[256];
    const struct net_listener_config config = {.address = w->address,
                                               .conns_max = conns_max,
                                               .conn = conn_config(w->server_tls, &w->server)};
    if (net_listener_open(w->loop, &config, error) != 0)
        fail_msg("%s", error);
}

static void dial(struct world *w, const char *name)
{
    char error[256];
    const struct net_dialer_config config = {
        .address = w->address, .server_name = name, .conn = conn_config(w->client_tls, &w->client)};
    if (net_dialer_new(&w->dialer, w->loop, &config, error) != 0)
        fail_msg("%s", error);
}

static struct world *world_new(struct net_tls *server, struct net_tls *client)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    assert_int_equal(uv_loop_init(&w->uv), 0);
    assert_int_equal(uv_timer_init(&w->uv, &w->deadline), 0);
    assert_int_equal(uv_timer_start(&w->deadline, on_deadline, DEADLINE_MS, 0), 0);
    w->deadline.data = w;
    assert_int_equal(net_loop_new(&w->loop, &w->uv), 0);
    w->server_tls = server;
    w->client_tls = client;
    (void)snprintf(w->address, sizeof w->address, "127.0.0.1:%u", free_port());
    return w;
}

static struct world *peers_world(void)
{
    return world_new(tls("peer-ca.crt", "node-1.pem"), tls("peer-ca.crt", "node-2.pem"));
}

static void on_gone(void *ctx)
{
    ((struct world *)ctx)->gone = true;
}

static void world_free(struct world *w)
{
    net_loop_close(w->loop, on_gone, w);
    uv_close((uv_handle_t *)&w->deadline, NULL);
    (void)uv_run(&w->uv, UV_RUN_DEFAULT);
    assert_true(w->gone);
    assert_int_equal(uv_loop_close(&w->uv), 0);
    net_tls_free(w->server_tls);
    net_tls_free(w->client_tls);
    free(w);
}

#define UNTIL(w, condition)                                                                        \
    do {                                                                                           \
        while (!(condition)) {                                                                     \
            if ((w)->late)                                                                         \
                fail_msg("%s: not before the deadline", #condition);                               \
            (void)uv_run(&(w)->uv, UV_RUN_ONCE);                                                   \
        }                                                                                          \
    } while (0)

static int send_number(struct net_conn *c, uint32_t number, size_t len)
{
    struct net_frame *f = net_frame_new(len);
    assert_non_null(f);
    f->tag = number;
    memset(f->bytes, (int)(uint8_t)number, len);
    int rv = net_conn_send(c, f);
    if (rv != 0)
        net_frame_free(f);
    return rv;
}

/* ---- who gets in ---- */

static void F32_the_right_ends_shake_hands(void **state)
{
    static const char *const ends[][4] = {
        {"peer-ca.crt", "node-1.pem", "node-2.pem", "node-1.peer.holdfast"},
        {"client-ca.crt", "node-1-client.pem", "edge-1.pem", "node-1.ledger.holdfast"},
        {"client-ca.crt", "node-1-client.pem", "ctl.pem", "node-1.ledger.holdfast"}};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct world *w = world_new(tls(ends[i][0], ends[i][1]), tls(ends[i][0], ends[i][2]));
        open_port(w, 8);
        dial(w, ends[i][3]);
        UNTIL(w, w->client.opened == 1 && w->server.opened == 1);
        world_free(w);
    }
}

static void expect_cause(struct world *w, const char *name, const char *cause)
{
    open_port(w, 8);
    dial(w, name);
    UNTIL(w, strstr(net_dialer_cause(w->dialer), cause));
    assert_int_equal(w->client.opened + w->server.opened, 0);
    world_free(w);
}

static void F32_another_name_is_refused_by_the_dialer(void **state)
{
    (void)state;
    expect_cause(peers_world(), "node-3.peer.holdfast", "for another name");
}

static void F32_another_CA_is_refused_by_both(void **state)
{
    (void)state;
    /* the dialer trusts the clients' CA, the port shows the peers' */
    expect_cause(world_new(tls("peer-ca.crt", "node-1.pem"), tls("client-ca.crt", "edge-1.pem")),
                 "node-1.peer.holdfast", "not of our CA");
    /* an edge's certificate on the peers' port */
    expect_cause(world_new(tls("peer-ca.crt", "node-1.pem"), tls("peer-ca.crt", "edge-1.pem")),
                 "node-1.peer.holdfast", "may not accept our certificate");
}

static void F32_files_that_do_not_belong_together_are_named(void **state)
{
    (void)state;
    char error[256], key[PATH_MAX], cert[PATH_MAX];
    (void)snprintf(cert, sizeof cert, "%s/pki/%s", store_tmp_root, "peer-ca.crt");
    (void)snprintf(key, sizeof key, "%s/pki/%s", store_tmp_root, "none.pem");
    const struct net_tls_files bad[] = {{cert, cert}, {key, cert}, {cert, key}, {NULL, cert}};
    for (size_t i = 0; i < 4; i++) {
        error[0] = '\0';
        assert_true(net_tls_check(&bad[i], NULL, error) < 0);
        assert_true(error[0] != '\0');
    }
}

static void F32_a_certificate_of_another_ca_or_node_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *ca, *cert, *name, *cause;
    } t[] = {{"peer-ca.crt", "node-1.pem", "node-1.peer.holdfast", NULL},
             {"client-ca.crt", "node-1-client.pem", "node-1.ledger.holdfast", NULL},
             {"client-ca.crt", "edge-1.pem", NULL, NULL},
             {"peer-ca.crt", "node-2.pem", "node-1.peer.holdfast", "not for the name"},
             {"peer-ca.crt", "edge-1.pem", "node-1.peer.holdfast", "not signed by the CA"},
             {"client-ca.crt", "node-1.pem", NULL, "not signed by the CA"}};
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        char error[256] = "", ca[PATH_MAX], cert[PATH_MAX];
        (void)snprintf(ca, sizeof ca, "%s/pki/%s", store_tmp_root, t[i].ca);
        (void)snprintf(cert, sizeof cert, "%s/pki/%s", store_tmp_root, t[i].cert);
        const struct net_tls_files files = {ca, cert};
        int rv = net_tls_check(&files, t[i].name, error);
        assert_int_equal(rv, t[i].cause ? -EINVAL : 0);
        assert_true(!t[i].cause || strstr(error, t[i].cause));
    }
}

/* ---- what arrives ---- */

static void F32_frames_arrive_whole_and_in_order_both_ways(void **state)
{
    static const size_t length[] = {0, 1, 7, 8, 9, 1000, 16376, 16384, 16385, 70000, 1024 * 1024};
    enum { N = sizeof length / sizeof length[0] };
    (void)state;
    struct world *w = peers_world();
    uint64_t bytes = 0;
    open_port(w, 8);
    dial(w, "node-1.peer.holdfast");
    UNTIL(w, w->client.conn && w->server.conn);
    w->server.echo = true;
    for (unsigned i = 0; i < N; i++) {
        assert_int_equal(send_number(w->client.conn, i + 1, length[i]), 0);
        bytes += length[i];
    }
    UNTIL(w, w->client.frames == N);
    assert_true(w->client.in_order && w->server.in_order);
    assert_true(w->client.bytes == bytes);
    world_free(w);
}

static void F43_a_paused_end_takes_nothing_and_loses_nothing(void **state)
{
    (void)state;
    struct world *w = peers_world();
    open_port(w, 8);
    dial(w, "node-1.peer.holdfast");
    UNTIL(w, w->client.conn && w->server.conn);
    w->server.pausing = true;
    for (uint32_t i = 1; i <= 1000; i++)
        assert_int_equal(send_number(w->client.conn, i, 100), 0);
    for (unsigned i = 1; i <= 20; i++) {
        UNTIL(w, w->server.frames == i);
        for (int turns = 0; turns < 5; turns++)
            (void)uv_run(&w->uv, UV_RUN_NOWAIT);
        assert_int_equal(w->server.frames, i);
        net_conn_resume(w->server.conn);
    }
    w->server.pausing = false;
    net_conn_resume(w->server.conn);
    UNTIL(w, w->server.frames == 1000);
    assert_true(w->server.in_order);
    world_free(w);
}

static void F43_a_lost_connection_is_told_and_dialled_anew(void **state)
{
    (void)state;
    struct world *w = peers_world();
    open_port(w, 8);
    dial(w, "node-1.peer.holdfast");
    UNTIL(w, w->client.conn && w->server.conn);
    net_conn_close(w->server.conn, "test");
    assert_int_equal(send_number(w->server.conn, 1, 1), -ENOTCONN);
    UNTIL(w, w->client.closed == 1 && w->server.closed == 1);
    assert_string_equal(w->server.cause, "test");
    UNTIL(w, w->client.opened == 2 && w->server.opened == 2);
    net_dialer_redial(w->dialer);
    UNTIL(w, w->client.opened == 3 && w->client.closed == 2);
    assert_non_null(net_dialer_conn(w->dialer));
    world_free(w);
}

static void F43_a_port_that_opens_later_is_found(void **state)
{
    (void)state;
    struct world *w = peers_world();
    dial(w, "node-1.peer.holdfast");
    UNTIL(w, strstr(net_dialer_cause(w->dialer), "refused"));
    open_port(w, 8);
    UNTIL(w, w->client.opened == 1);
    world_free(w);
}

/* ---- hostile and slow ---- */

static void F43_a_frame_longer_than_is_taken_ends_the_connection(void **state)
{
    (void)state;
    struct world *w = peers_world();
    open_port(w, 8);
    dial(w, "node-1.peer.holdfast");
    UNTIL(w, w->client.conn && w->server.conn);
    assert_int_equal(send_number(w->client.conn, 1, FRAME_MAX + 1), 0);
    UNTIL(w, w->server.closed == 1);
    assert_non_null(strstr(w->server.cause, "longer than is taken"));
    assert_int_equal(w->server.frames, 0);
    UNTIL(w, w->client.opened == 2); /* the port lives */
    world_free(w);
}

static void F43_what_is_not_read_is_bounded(void **state)
{
    (void)state;
    struct world *w = peers_world();
    open_port(w, 8);
    dial(w, "node-1.peer.holdfast");
    UNTIL(w, w->client.conn && w->server.conn);
    net_conn_pause(w->server.conn);
    uint32_t sent = 0;
    int rv = 0;
    for (; rv == 0 && sent < 1000; sent++) {
        rv = send_number(w->client.conn, sent + 1, 100000);
        (void)uv_run(&w->uv, UV_RUN_NOWAIT);
    }
    assert_int_equal(rv, -ENOBUFS);
    net_conn_resume(w->server.conn);
    UNTIL(w, w->server.frames == sent - 1);
    assert_true(w->server.in_order);
    world_free(w);
}

static int raw_connection(const struct world *w)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    a.sin_port = htons((uint16_t)atoi(strchr(w->address, ':') + 1));
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0);
    return fd;
}

static void F43_strangers_at_the_port_harm_nobody(void **state)
{
    static const char *const says[] = {"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x40\x00garbage",
                                       "\x16\x03\x03", ""};
    (void)state;
    struct world *w = peers_world();
    open_port(w, 64);
    int fd[40];
    for (int i = 0; i < 40; i++) {
        fd[i] = raw_connection(w);
        size_t n = strlen(says[i % 4]);
        assert_true(write(fd[i], says[i % 4], n) == (ssize_t)n);
        if (i % 3 == 0)
            assert_int_equal(close(fd[i]), 0);
    }
    dial(w, "node-1.peer.holdfast");
    UNTIL(w, w->client.conn && w->server.conn);
    assert_int_equal(send_number(w->client.conn, 1, 10), 0);
    UNTIL(w, w->server.frames == 1);
    for (int i = 0; i < 40; i++)
        if (i % 3 != 0)
            assert_int_equal(close(fd[i]), 0);
    world_free(w);
}

static void F43_connections_past_the_bound_are_closed(void **state)
{
    (void)state;
    struct world *w = peers_world();
    open_port(w, 2);
    int one = raw_connection(w), two = raw_connection(w);
    dial(w, "node-1.peer.holdfast");
    UNTIL(w, net_dialer_cause(w->dialer)[0]);
    assert_int_equal(w->client.opened, 0);
    assert_int_equal(close(one), 0);
    assert_int_equal(close(two), 0);
    UNTIL(w, w->client.opened == 1);
    world_free(w);
}

/* libuv offers no further connection until the one that is offered has been taken. */
static void F43_a_port_without_memory_for_a_connection_lives_on(void **state)
{
    (void)state;
    struct world *w = peers_world();
    open_port(w, 4);
    int one = raw_connection(w);
    callocs_to_fail = 2; /* and the next attempt, too */
    UNTIL(w, callocs_to_fail == 0);
    dial(w, "node-1.peer.holdfast");
    UNTIL(w, w->client.opened == 1 && w->server.opened == 1);
    assert_int_equal(close(one), 0);
    world_free(w);
}

static int setup(void **state)
{
    struct certs_files files;
    struct certs_error error;
    if (store_tmp_setup(state) != 0)
        return -1;
    const struct certs_options options = {.dir = store_tmp_path("pki"), .days = 30};
    return certs_layout_init(&options, 2, 1, &files, &error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(F32_the_right_ends_shake_hands),
        cmocka_unit_test(F32_another_name_is_refused_by_the_dialer),
        cmocka_unit_test(F32_another_CA_is_refused_by_both),
        cmocka_unit_test(F32_files_that_do_not_belong_together_are_named),
        cmocka_unit_test(F32_a_certificate_of_another_ca_or_node_is_named),
        cmocka_unit_test(F32_frames_arrive_whole_and_in_order_both_ways),
        cmocka_unit_test(F43_a_paused_end_takes_nothing_and_loses_nothing),
        cmocka_unit_test(F43_a_lost_connection_is_told_and_dialled_anew),
        cmocka_unit_test(F43_a_port_that_opens_later_is_found),
        cmocka_unit_test(F43_a_frame_longer_than_is_taken_ends_the_connection),
        cmocka_unit_test(F43_what_is_not_read_is_bounded),
        cmocka_unit_test(F43_strangers_at_the_port_harm_nobody),
        cmocka_unit_test(F43_connections_past_the_bound_are_closed),
        cmocka_unit_test(F43_a_port_without_memory_for_a_connection_lives_on),
    };
    return cmocka_run_group_tests(tests, setup, store_tmp_teardown);
}
