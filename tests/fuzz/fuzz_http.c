/* SPDX-License-Identifier: Apache-2.0
 * A client's bytes into the edge's real HTTP server on loopback, in pieces as the first bytes say.
 * Every request handed over is legal (a host, a body within its bound), everything handed over is
 * answered, and when the client is gone nothing is left: no connection, no body memory.
 */
#include "edge/http/request.h"
#include "edge/http/response.h"
#include "edge/http/server.h"
#include "tests/fuzz/fuzz.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BODY_MAX = 4096, CUTS = 4, TURNS = 64 };

static uv_loop_t loop;
static struct edge_http_server *server;

static void on_request(void *context, struct edge_http_request *req)
{
    size_t n;
    (void)context;
    const char *body = edge_http_request_body(req, &n);
    FUZZ_HOLDS(n <= BODY_MAX);
    const char *path = edge_http_request_path(req);
    FUZZ_HOLDS(path[0] == '/' || strcmp(path, "*") == 0);
    for (size_t i = 0; i < edge_http_request_header_count(req); i++) {
        const char *name, *value;
        edge_http_request_header_at(req, i, &name, &value);
        FUZZ_HOLDS(name[0] && !strpbrk(name, " \t\r\n:") && !strpbrk(value, "\r\n"));
    }
    edge_http_reply(req, 200, NULL, 0, body, n);
}

static void open_server(void)
{
    struct edge_http_config config;
    edge_http_config_init(&config);
    config.limits.body_bytes = BODY_MAX;
    config.handler.on_request = on_request;
    FUZZ_HOLDS(uv_loop_init(&loop) == 0);
    FUZZ_HOLDS(edge_http_server_new(&server, &loop, &config) == 0);
}

/* From another address of 127/8 each time: connections that the server has closed first would soon
 * hold every port of one address. */
static int dial(void)
{
    static uint32_t calls;
    const int on = 1;
    const struct sockaddr_in from = {.sin_family = AF_INET,
                                     .sin_addr.s_addr = htonl(0x7f010000U + ++calls % 0x00fe0000U)};
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_port = htons(edge_http_server_port(server)),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct linger reset = {.l_onoff = 1}; /* no port waits behind us */
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    FUZZ_HOLDS(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) == 0);
    FUZZ_HOLDS(setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) == 0);
    FUZZ_HOLDS(bind(fd, (const struct sockaddr *)&from, sizeof from) == 0);
    int rv = connect(fd, (const struct sockaddr *)&to, sizeof to);
    struct pollfd wait = {.fd = fd, .events = POLLOUT};
    if (rv != 0 && errno == EINTR) /* libFuzzer looks at its clock */
        rv = poll(&wait, 1, 1000) == 1 ? 0 : -1;
    FUZZ_HOLDS(rv == 0);
    return fd;
}

static void turn(void)
{
    (void)uv_run(&loop, UV_RUN_NOWAIT);
}

/* Takes what has come back, so that the server never waits for us. */
static void drain(int fd)
{
    char bytes[4096];
    while (recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0) {
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz_source s = {data, n};
    size_t cut[CUTS];
    struct edge_http_stats stats;
    if (!server)
        open_server();
    const bool half_close = fuzz_byte(&s) & 1;
    for (int i = 0; i < CUTS; i++)
        cut[i] = fuzz_byte(&s);
    int fd = dial();
    turn();
    for (int i = 0; s.n > 0; i++) {
        const size_t want = i < CUTS && cut[i] > 0 ? cut[i] : s.n;
        const size_t piece = want < s.n ? want : s.n;
        const ssize_t sent = send(fd, s.p, piece, MSG_NOSIGNAL | MSG_DONTWAIT);
        turn();
        drain(fd);
        if (sent <= 0)
            break;
        s.p += sent;
        s.n -= (size_t)sent;
    }
    if (half_close) {
        (void)shutdown(fd, SHUT_WR);
        turn();
        turn();
        drain(fd);
    }
    (void)close(fd);
    for (int i = 0; i < TURNS; i++) {
        edge_http_server_stats(server, &stats);
        if (stats.connections == 0)
            break;
        (void)uv_run(&loop, i < 4 ? UV_RUN_NOWAIT : UV_RUN_ONCE);
    }
    FUZZ_HOLDS(stats.connections == 0 && stats.body_bytes == 0);
    return 0;
}
