/* SPDX-License-Identifier: Apache-2.0
 * The text of Prometheus, histograms, and the listener that serves them to whoever asks how.
 */
#include "proto/base/check.h"
#include "proto/metrics/histogram.h"
#include "proto/metrics/port.h"
#include "proto/metrics/process.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

static struct base_buf buf;

static const char *text_of(void)
{
    CHECK(base_buf_add(&buf, "", 1) == 0);
    return base_buf_at(&buf);
}

static void F48_the_text_is_what_prometheus_reads(void **state)
{
    (void)state;
    base_buf_init(&buf, 0);
    struct metrics_text t = {.out = &buf};
    const struct metrics_label labels[] = {
        {"model", "a\"b\\c\nd\xc3\xa9"}, {"none", NULL}, {NULL, NULL}};
    metrics_family(&t, "x_total", METRICS_COUNTER, "What x is.");
    metrics_sample(&t, "x_total", labels, INT64_MIN);
    metrics_family(&t, "x_seconds", METRICS_GAUGE, "Time.");
    metrics_sample_scaled(&t, "x_seconds", NULL, -1500001, 6);
    metrics_sample_scaled(&t, "x_seconds", NULL, 7, 9);
    assert_false(t.failed);
    assert_string_equal(text_of(),
                        "# HELP x_total What x is.\n# TYPE x_total counter\n"
                        "x_total{model=\"a\\\"b\\\\c\\nd%C3%A9\",none=\"\"} -9223372036854775808\n"
                        "# HELP x_seconds Time.\n# TYPE x_seconds gauge\n"
                        "x_seconds -1.500001\nx_seconds 0.000000007\n");
    base_buf_close(&buf);
}

static void F48_a_histogram_counts_every_value_once(void **state)
{
    (void)state;
    struct metrics_histogram a = {0}, b = {0};
    const uint64_t values[] = {0, 500, 501, 1000, 999999, UINT64_C(1) << 40};
    for (size_t i = 0; i < 6; i++)
        metrics_histogram_add(&a, values[i]);
    metrics_histogram_merge(&b, &a);
    metrics_histogram_merge(&b, &a);
    assert_int_equal(metrics_histogram_count(&b), 12);
    base_buf_init(&buf, 0);
    struct metrics_text t = {.out = &buf};
    const struct metrics_label labels[] = {{"p", "x"}, {NULL, NULL}};
    metrics_histogram_put(&t, "h", labels, &b);
    const char *text = text_of();
    assert_non_null(strstr(text, "h_bucket{p=\"x\",le=\"0.0005\"} 4\n"));
    assert_non_null(strstr(text, "h_bucket{p=\"x\",le=\"0.0010\"} 8\n"));
    assert_non_null(strstr(text, "h_bucket{p=\"x\",le=\"1.0240\"} 10\n"));
    assert_non_null(strstr(text, "h_bucket{p=\"x\",le=\"+Inf\"} 12\n"));
    assert_non_null(strstr(text, "h_count{p=\"x\"} 12\n"));
    assert_non_null(strstr(text, "h_sum{p=\"x\"} 2199025"));
    base_buf_close(&buf);
}

static void F48_a_text_without_memory_is_marked(void **state)
{
    (void)state;
    base_buf_init(&buf, 16);
    struct metrics_text t = {.out = &buf};
    metrics_one(&t, "x", METRICS_GAUGE, "Too long for the room.", 1);
    assert_true(t.failed);
    base_buf_close(&buf);
}

/* ---- the listener ---- */

static struct metrics_port *port;

static atomic_uint callocs_to_fail; /* the next so many; the allocator is wrapped at link time */

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

void *__wrap_calloc(size_t n, size_t size)
{
    unsigned left = atomic_load(&callocs_to_fail);
    while (left > 0 && !atomic_compare_exchange_weak(&callocs_to_fail, &left, left - 1))
        continue;
    return left > 0 ? NULL : __real_calloc(n, size);
}

static void write_some(void *arg, struct metrics_text *t)
{
    metrics_one(t, "answered", METRICS_GAUGE, "What was asked for.", *(int *)arg);
    metrics_process(t, "test", "0");
}

static int dial(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons(metrics_port_number(port)),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct timeval limit = {.tv_sec = 20}; /* a port that has gone deaf fails the test */
    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0);
    CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0);
    return fd;
}

/* As recv. A libuv that uses io_uring interrupts waits with a time limit. */
static ssize_t receive(int fd, char *at, size_t n)
{
    ssize_t got;
    do
        got = recv(fd, at, n, 0);
    while (got < 0 && errno == EINTR);
    return got;
}

/* Sends and returns all that comes until the other side closes. */
static const char *ask(const char *request)
{
    static char answer[65536];
    size_t n = 0;
    int fd = dial();
    (void)!send(fd, request, strlen(request), MSG_NOSIGNAL);
    for (ssize_t got; (got = receive(fd, answer + n, sizeof answer - 1 - n)) > 0;)
        n += (size_t)got;
    answer[n] = '\0';
    close(fd);
    return answer;
}

static void F48_the_port_answers_one_request_and_closes(void **state)
{
    (void)state;
    int figure = 42;
    char error[METRICS_PORT_ERROR] = "", huge[METRICS_REQUEST_MAX + 100];
    assert_int_equal(metrics_port_new(&port, "127.0.0.1", 0, write_some, &figure, error), 0);
    const char *a = ask("GET /metrics?x=1 HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_non_null(strstr(a, "200 OK"));
    assert_non_null(strstr(a, "\nanswered 42\n"));
    assert_non_null(strstr(a, "\nprocess_resident_memory_bytes "));
    a = ask("HEAD /metrics HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_non_null(strstr(a, "200 OK"));
    assert_null(strstr(a, "answered"));
    assert_non_null(strstr(ask("GET / HTTP/1.1\r\nHost: h\r\n\r\n"), "404 Not Found"));
    assert_non_null(
        strstr(ask("POST /metrics HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi"), "405 "));
    assert_string_equal(ask("no http\r\n\r\n"), "");
    memset(huge, 'a', sizeof huge - 1);
    memcpy(huge, "GET /", 5);
    huge[sizeof huge - 1] = '\0';
    assert_string_equal(ask(huge), "");
    struct metrics_port *second;
    assert_true(metrics_port_new(&second, "127.0.0.1", metrics_port_number(port), write_some,
                                 &figure, error) < 0);
    assert_non_null(strstr(error, "cannot listen for metrics on 127.0.0.1"));
    metrics_port_free(port);
}

static void F48_who_says_nothing_keeps_nobody_from_it_for_long(void **state)
{
    (void)state;
    int figure = 7, idle[METRICS_CONNECTIONS_MAX];
    char error[METRICS_PORT_ERROR] = "", byte;
    assert_int_equal(metrics_port_new(&port, "127.0.0.1", 0, write_some, &figure, error), 0);
    for (size_t i = 0; i < METRICS_CONNECTIONS_MAX; i++)
        idle[i] = dial();
    assert_string_equal(ask("GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n"), ""); /* one too many */
    assert_int_equal(receive(idle[0], &byte, 1), 0);                          /* its deadline */
    assert_non_null(strstr(ask("GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n"), "answered 7"));
    int open_fd = dial(); /* while the port ends */
    metrics_port_free(port);
    close(open_fd);
    for (size_t i = 0; i < METRICS_CONNECTIONS_MAX; i++)
        close(idle[i]);
}

/* libuv offers no further connection until the one that is offered has been taken. */
static void F48_the_port_outlives_a_moment_without_memory(void **state)
{
    (void)state;
    int figure = 9, unserved[3];
    char error[METRICS_PORT_ERROR] = "", byte;
    assert_int_equal(metrics_port_new(&port, "127.0.0.1", 0, write_some, &figure, error), 0);
    atomic_store(&callocs_to_fail, 3);
    for (size_t i = 0; i < 3; i++)
        unserved[i] = dial();
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(receive(unserved[i], &byte, 1), 0);
        close(unserved[i]);
    }
    assert_non_null(strstr(ask("GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n"), "answered 9"));
    metrics_port_free(port);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(F48_the_text_is_what_prometheus_reads),
        cmocka_unit_test(F48_a_histogram_counts_every_value_once),
        cmocka_unit_test(F48_a_text_without_memory_is_marked),
        cmocka_unit_test(F48_the_port_answers_one_request_and_closes),
        cmocka_unit_test(F48_who_says_nothing_keeps_nobody_from_it_for_long),
        cmocka_unit_test(F48_the_port_outlives_a_moment_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
