/* SPDX-License-Identifier: Apache-2.0
 * The contract between server and handler: who owns a request, what survives whom, what a handler
 * cannot break. Server and client share a thread: the client's socket does not block, and the loop
 * is turned until a condition holds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "edge/http/request.h"
#include "edge/http/response.h"
#include "edge/http/server.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TURNS_MAX = 5000, TURN_MS = 2 };

struct fixture {
    uv_loop_t loop;
    uv_timer_t tick; /* so that a turn of the loop never waits long */
    struct edge_http_server *server;
    struct edge_http_request *req;
    int gone;
    int writable;
    bool closed;
    bool drained;
    int client;
    char got[65536];
    size_t got_len;
    bool eof;
};

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

static void on_request(void *context, struct edge_http_request *req)
{
    struct fixture *f = context;
    f->req = req;
}

static void on_client_gone(void *context, struct edge_http_request *req)
{
    struct fixture *f = context;
    assert_ptr_equal(f->req, req);
    assert_true(edge_http_request_is_gone(req));
    f->gone++;
}

static void on_closed(void *arg)
{
    ((struct fixture *)arg)->closed = true;
}

static void on_drained(void *arg)
{
    ((struct fixture *)arg)->drained = true;
}

static void turn(struct fixture *f)
{
    uv_run(&f->loop, UV_RUN_ONCE);
    if (f->client < 0)
        return;
    ssize_t n = recv(f->client, f->got + f->got_len, sizeof f->got - 1 - f->got_len, MSG_DONTWAIT);
    if (n > 0)
        f->got_len += (size_t)n;
    if (n == 0 || (n < 0 && errno == ECONNRESET))
        f->eof = true;
}

#define UNTIL(f, condition)                                                                        \
    do {                                                                                           \
        int turns = 0;                                                                             \
        while (!(condition) && turns++ < TURNS_MAX)                                                \
            turn(f);                                                                               \
        assert_true(condition);                                                                    \
    } while (0)

static void connect_client(struct fixture *f)
{
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port = htons(edge_http_server_port(f->server)),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    f->client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(f->client, (struct sockaddr *)&addr, sizeof addr), 0);
}

static void send_text(struct fixture *f, const char *text)
{
    assert_int_equal(send(f->client, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static const char POST[] =
    "POST /a?b HTTP/1.1\r\nHost: h\r\nX-A:  v \r\nContent-Length: 3\r\n\r\nabc";

static int setup(void **state)
{
    static struct fixture f;
    struct edge_http_config config;
    memset(&f, 0, sizeof f);
    f.client = -1;
    uv_loop_init(&f.loop);
    uv_timer_init(&f.loop, &f.tick);
    uv_timer_start(&f.tick, on_tick, TURN_MS, TURN_MS);
    edge_http_config_init(&config);
    config.context = &f;
    config.handler.on_request = on_request;
    config.handler.on_client_gone = on_client_gone;
    assert_int_equal(edge_http_server_new(&f.server, &f.loop, &config), 0);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    if (f->server)
        edge_http_server_close(f->server, on_closed, f);
    UNTIL(f, f->closed);
    if (f->client >= 0)
        close(f->client);
    uv_close((uv_handle_t *)&f->tick, NULL);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    return uv_loop_close(&f->loop);
}

static void check_post(struct edge_http_request *req)
{
    size_t len;
    char *body = edge_http_request_body(req, &len);
    assert_int_equal(len, 3);
    assert_memory_equal(body, "abc", 3);
    assert_string_equal(edge_http_request_path(req), "/a");
    assert_string_equal(edge_http_request_query(req), "b");
    assert_string_equal(edge_http_request_header(req, "x-a"), "v");
    assert_null(edge_http_request_header(req, "x-b"));
    assert_int_equal(edge_http_request_method(req), EDGE_HTTP_POST);
    assert_string_equal(edge_http_request_peer(req), "127.0.0.1");
}

/* Settling money needs the request after its client has left. */
static void F28_request_outlives_its_connection(void **state)
{
    struct fixture *f = *state;
    connect_client(f);
    send_text(f, POST);
    UNTIL(f, f->req);
    check_post(f->req);
    close(f->client);
    f->client = -1;
    UNTIL(f, f->gone);
    for (int i = 0; i < 20; i++)
        turn(f);
    check_post(f->req);
    edge_http_begin(f->req, 200, NULL, 0, EDGE_HTTP_LENGTH_UNKNOWN, NULL);
    assert_int_equal(edge_http_write(f->req, "x", 1), 0);
    edge_http_end(f->req, NULL, 0);
    assert_int_equal(f->gone, 1);
    struct edge_http_stats stats;
    edge_http_server_stats(f->server, &stats);
    UNTIL(f, (edge_http_server_stats(f->server, &stats), stats.connections == 0));
    assert_int_equal(stats.body_bytes, 0);
}

static void F31_close_waits_for_the_handler(void **state)
{
    struct fixture *f = *state;
    connect_client(f);
    send_text(f, POST);
    UNTIL(f, f->req);
    edge_http_server_close(f->server, on_closed, f);
    f->server = NULL;
    assert_int_equal(f->gone, 1);
    UNTIL(f, f->eof);
    for (int i = 0; i < 20; i++)
        turn(f);
    assert_false(f->closed);
    check_post(f->req);
    edge_http_reply(f->req, 200, NULL, 0, NULL, 0);
    assert_false(f->closed); /* nobody is called back from inside a handler's call */
    UNTIL(f, f->closed);
}

static void F31_drain_of_an_idle_server(void **state)
{
    struct fixture *f = *state;
    connect_client(f);
    edge_http_server_drain(f->server, on_drained, f);
    UNTIL(f, f->drained);
    UNTIL(f, f->eof);
    f->drained = false;
    edge_http_server_drain(f->server, on_drained, f);
    assert_true(f->drained);
}

static void F27_answer_fields_cannot_be_injected(void **state)
{
    struct fixture *f = *state;
    const struct edge_http_header headers[] = {
        {"X-Good", "a\tb"},
        {"X-Bad", "a\r\nX-Evil: 1"},
        {"X Bad", "name"},
        {"", "empty"},
        {"X-None", NULL},
        {"Content-Length", "9"},
        {"connection", "x"},
        {"Transfer-Encoding", "gzip"},
        {"date", "never"},
        {"X:Evil", "1"},
        {"X-Also-Good", "\xc3\xa9"},
    };
    connect_client(f);
    send_text(f, POST);
    UNTIL(f, f->req);
    edge_http_reply(f->req, 200, headers, sizeof headers / sizeof headers[0], "ok", 2);
    UNTIL(f, strstr(f->got, "\r\n\r\nok"));
    assert_non_null(strstr(f->got, "X-Good: a\tb\r\n"));
    assert_non_null(strstr(f->got, "X-Also-Good: \xc3\xa9\r\n"));
    assert_non_null(strstr(f->got, "Content-Length: 2\r\n"));
    assert_null(strstr(f->got, "Evil"));
    assert_null(strstr(f->got, "Bad"));
    assert_null(strstr(f->got, "gzip"));
    assert_null(strstr(f->got, "never"));
    assert_null(strstr(f->got, "empty"));
}

static void F27_unknown_status_becomes_502(void **state)
{
    struct fixture *f = *state;
    connect_client(f);
    send_text(f, POST);
    UNTIL(f, f->req);
    edge_http_reply(f->req, 999, NULL, 0, "ok", 2);
    UNTIL(f, strstr(f->got, "\r\n\r\nok"));
    assert_memory_equal(f->got, "HTTP/1.1 502 ", 13);
}

static void stream(struct fixture *f, int64_t length, const char *bytes)
{
    connect_client(f);
    send_text(f, POST);
    UNTIL(f, f->req);
    edge_http_begin(f->req, 200, NULL, 0, length, "X-T");
    edge_http_write(f->req, bytes, strlen(bytes));
}

static void F28_too_few_bytes_are_no_whole_answer(void **state)
{
    struct fixture *f = *state;
    stream(f, 5, "abc");
    edge_http_end(f->req, NULL, 0);
    UNTIL(f, f->eof);
    assert_non_null(strstr(f->got, "Content-Length: 5\r\n"));
    assert_non_null(strstr(f->got, "\r\n\r\nabc"));
    assert_int_equal(f->gone, 0);
}

static void F28_too_many_bytes_end_the_connection(void **state)
{
    struct fixture *f = *state;
    stream(f, 5, "abcdefgh");
    UNTIL(f, f->gone == 1);
    edge_http_end(f->req, NULL, 0);
    UNTIL(f, f->eof);
    assert_null(strstr(f->got, "fgh"));
}

static void F28_abort_before_any_answer_resets(void **state)
{
    struct fixture *f = *state;
    connect_client(f);
    send_text(f, POST);
    UNTIL(f, f->req);
    edge_http_abort(f->req);
    UNTIL(f, f->eof);
    assert_int_equal(f->got_len, 0);
    assert_int_equal(f->gone, 0);
}

static void F27_bad_configurations_are_refused(void **state)
{
    struct fixture *f = *state;
    struct edge_http_server *server = NULL;
    struct edge_http_config config;
    edge_http_config_init(&config);
    assert_int_equal(edge_http_server_new(&server, &f->loop, &config), -EINVAL); /* no handler */
    config.handler.on_request = on_request;
    config.address = "no name";
    assert_int_equal(edge_http_server_new(&server, &f->loop, &config), -EADDRNOTAVAIL);
    config.address = "192.0.2.1";
    assert_int_equal(edge_http_server_new(&server, &f->loop, &config), -EADDRNOTAVAIL);
    config.address = "127.0.0.1";
    config.limits.head_bytes = 10;
    assert_int_equal(edge_http_server_new(&server, &f->loop, &config), -EINVAL);
    assert_null(server);
}

static void F27_two_servers_share_a_port(void **state)
{
    struct fixture *f = *state;
    struct edge_http_server *second = NULL;
    struct edge_http_config config;
    edge_http_config_init(&config);
    config.context = f;
    config.handler.on_request = on_request;
    config.port = edge_http_server_port(f->server);
    assert_int_equal(edge_http_server_new(&second, &f->loop, &config), 0);
    assert_int_equal(edge_http_server_port(second), edge_http_server_port(f->server));
    edge_http_server_close(second, NULL, NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(F28_request_outlives_its_connection),   TEST(F31_close_waits_for_the_handler),
        TEST(F31_drain_of_an_idle_server),           TEST(F27_answer_fields_cannot_be_injected),
        TEST(F27_unknown_status_becomes_502),        TEST(F28_too_few_bytes_are_no_whole_answer),
        TEST(F28_too_many_bytes_end_the_connection), TEST(F28_abort_before_any_answer_resets),
        TEST(F27_bad_configurations_are_refused),    TEST(F27_two_servers_share_a_port),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
