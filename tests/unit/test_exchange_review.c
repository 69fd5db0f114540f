/* SPDX-License-Identifier: Apache-2.0
 * Exchanges with a provider that behaves as none should: raw bytes from a socket, written by the
 * test. What each ends with is read from the ledger.
 */
#include "edge_rig.h"

#include "proto/base/check.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define DOLLAR INT64_C(1000000000)
#define HELLO "\"messages\":[{\"role\":\"user\",\"content\":\"hello there\"}]"
#define JSON "Content-Type: application/json\r\n"
#define USAGE_3_5 "{\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":5,\"total_tokens\":8}}"

/* Answers every request on the port of [provider dead] with the same bytes, then closes. */
struct raw_provider {
    int fd;
    pthread_t thread;
    const char *head, *body;
    size_t body_len, repeat; /* the body, so many times */
    bool stays;    /* keeps the connection open after the answer until the client ends it */
    unsigned dies; /* enum dying: serve_and_die */
    atomic_uint requests;
    char request[16384]; /* the last one */
};

static struct rig rig;
static struct raw_provider provider;

/* The edge's clock is set by so much, after so many ids; link_uuid7 is wrapped at link time. */
static _Atomic int64_t clock_ahead_ms;
static atomic_uint ids_before;

void __real_link_uuid7(struct proto_uuid *out);
void __wrap_link_uuid7(struct proto_uuid *out);

void __wrap_link_uuid7(struct proto_uuid *out)
{
    __real_link_uuid7(out);
    if (atomic_load(&ids_before) > 0) {
        atomic_fetch_sub(&ids_before, 1);
        return;
    }
    uint64_t ms = (uint64_t)(proto_uuid_time_ms(out) + atomic_load(&clock_ahead_ms));
    for (unsigned i = 0; i < 6; i++)
        out->b[i] = (uint8_t)(ms >> (8 * (5 - i)));
}

/* False: the connection ended before a request was whole. */
static bool read_request(struct raw_provider *p, int fd)
{
    size_t n = 0, want = sizeof p->request - 1;
    p->request[0] = '\0';
    while (n < want) {
        ssize_t got = recv(fd, p->request + n, want - n, 0);
        if (got <= 0)
            return false;
        n += (size_t)got;
        p->request[n] = '\0';
        const char *end = strstr(p->request, "\r\n\r\n");
        const char *length = strcasestr(p->request, "content-length:");
        if (end != NULL && length != NULL)
            want = (size_t)(end + 4 - p->request) + strtoul(length + 15, NULL, 10);
    }
    return true;
}

static bool send_all(int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        bytes += sent;
        n -= (size_t)sent;
    }
    return true;
}

/* When a provider ends a connection that it had kept. */
enum dying { DIES_NEVER, DIES_AFTER_ANSWER, DIES_UNREAD, DIES_SILENT, DIES_RESET };

/* Keeps each connection for a second request, and dies on it. */
static void *serve_and_die(void *arg)
{
    struct raw_provider *p = arg;
    const struct linger reset = {.l_onoff = 1};
    for (int fd; (fd = accept(p->fd, NULL, NULL)) >= 0; close(fd)) {
        char byte;
        if (!read_request(p, fd))
            continue;
        atomic_fetch_add(&p->requests, 1);
        if (!send_all(fd, p->head, strlen(p->head)) || !send_all(fd, p->body, p->body_len) ||
            p->dies == DIES_AFTER_ANSWER || recv(fd, &byte, 1, MSG_PEEK) != 1)
            continue;
        if (p->dies == DIES_UNREAD || read_request(p, fd))
            atomic_fetch_add(&p->requests, 1);
        if (p->dies == DIES_RESET)
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    }
    return NULL;
}

static void *serve(void *arg)
{
    struct raw_provider *p = arg;
    for (int fd; (fd = accept(p->fd, NULL, NULL)) >= 0; close(fd)) {
        (void)read_request(p, fd);
        atomic_fetch_add(&p->requests, 1);
        bool good = send_all(fd, p->head, strlen(p->head));
        for (size_t i = 0; good && i < p->repeat; i++)
            good = send_all(fd, p->body, p->body_len);
        char end;
        if (good && p->stays)
            (void)!recv(fd, &end, 1, 0);
    }
    return NULL;
}

static void provide(const char *head, const void *body, size_t n, size_t repeat, bool stays)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)rig.dead_port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int on = 1;
    provider.head = head;
    provider.body = body;
    provider.body_len = n;
    provider.repeat = repeat;
    provider.stays = stays;
    provider.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(provider.fd >= 0);
    setsockopt(provider.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    CHECK(bind(provider.fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(provider.fd, 8) == 0);
    CHECK(pthread_create(&provider.thread, NULL,
                         provider.dies == DIES_NEVER ? serve : serve_and_die, &provider) == 0);
}

static void provide_text(const char *head, const char *body)
{
    provide(head, body, strlen(body), 1, false);
}

static void end_provider(void)
{
    shutdown(provider.fd, SHUT_RDWR);
    pthread_join(provider.thread, NULL);
    close(provider.fd);
    provider.fd = -1;
}

static int open_rig(void **state)
{
    (void)state;
    memset(&provider, 0, sizeof provider);
    provider.fd = -1;
    rig_open(&rig, "settle_wait_ms = 2000\ndrain_timeout_ms = 300\n");
    return 0;
}

static int close_rig(void **state)
{
    (void)state;
    rig_close(&rig); /* ends its connections, so that the provider's thread comes back to accept */
    if (provider.fd >= 0) {
        shutdown(provider.fd, SHUT_RDWR);
        pthread_join(provider.thread, NULL);
        close(provider.fd);
    }
    return 0;
}

static struct reply ask(const char *rest)
{
    char body[1024];
    snprintf(body, sizeof body, "{\"model\":\"dead\"," HELLO "%s}", rest);
    return rig_chat(&rig, body);
}

static void *ask_and_forget(void *arg)
{
    struct reply r = ask(",\"max_tokens\":7");
    reply_free(&r);
    return arg;
}

static int64_t settled_units(uint8_t unit)
{
    struct proto_settle s = test_ledger_last_settle();
    for (uint32_t i = 0; i < s.units.n; i++)
        if (s.units.e[i].unit == unit)
            return s.units.e[i].n;
    return 0;
}

/* printf '{"usage":{"prompt_tokens":3,"completion_tokens":5,"total_tokens":8}}' | gzip -9n */
static const unsigned char zipped[] = {
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xab, 0x56, 0x2a, 0x2d, 0x4e,
    0x4c, 0x4f, 0x55, 0xb2, 0xaa, 0x56, 0x2a, 0x28, 0xca, 0xcf, 0x2d, 0x28, 0x89, 0x2f, 0xc9,
    0xcf, 0x4e, 0xcd, 0x2b, 0x56, 0xb2, 0x32, 0xd6, 0x51, 0x4a, 0x06, 0x0a, 0xe4, 0xa4, 0x96,
    0x64, 0xe6, 0xe7, 0xc1, 0x45, 0x4d, 0x75, 0x94, 0x4a, 0xf2, 0x4b, 0x12, 0x73, 0xe0, 0x02,
    0x16, 0xb5, 0xb5, 0x00, 0x36, 0xbc, 0x90, 0x4b, 0x44, 0x00, 0x00, 0x00,
};

static void F8_a_coded_answer_is_metered(void **state)
{
    (void)state;
    char head[256];
    snprintf(head, sizeof head,
             "HTTP/1.1 200 OK\r\n" JSON "Content-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n",
             sizeof zipped);
    provide(head, zipped, sizeof zipped, 1, false);
    struct reply r = ask(",\"max_tokens\":7");
    assert_int_equal(r.status, 200);
    assert_string_equal(reply_field(&r, "x-holdfast-request-cost"), "0.000013");
    assert_string_equal(reply_field(&r, "content-encoding"), "");
    assert_string_equal(r.body, USAGE_3_5);
    reply_free(&r);
}

static void F32_only_named_fields_reach_the_provider(void **state)
{
    (void)state;
    provide_text("HTTP/1.1 200 OK\r\n" JSON "Connection: close\r\n\r\n", USAGE_3_5);
    const char *const fields[] = {"Cookie: session=1",        "X-Holdfast-User: u",
                                  "X-Api-Key: sk-other",      "Accept-Encoding: br",
                                  "Proxy-Authorization: abc", "OpenAI-Beta: x=1",
                                  "X-Forwarded-For: 1.2.3.4", NULL};
    struct reply r = rig_ask(&rig, "/v1/chat/completions", rig.key,
                             "{\"model\":\"dead\"," HELLO ",\"max_tokens\":7}", fields, 0);
    assert_int_equal(r.status, 200);
    reply_free(&r);
    static const char *const kept[] = {"authorization", "cookie:",     "x-holdfast",
                                       "x-api-key",     "x-forwarded", "accept-encoding: br",
                                       "sk-hf-"};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        assert_null(strcasestr(provider.request, kept[i]));
    assert_non_null(strcasestr(provider.request, "openai-beta: x=1"));
}

static void F28_a_stop_counts_what_a_whole_answer_brought(void **state)
{
    (void)state;
    static char part[4096];
    memset(part, 'a', sizeof part);
    provide("HTTP/1.1 200 OK\r\n" JSON "Content-Length: 100000000\r\n\r\n", part, sizeof part, 10,
            true);
    pthread_t client;
    CHECK(pthread_create(&client, NULL, ask_and_forget, NULL) == 0);
    while (atomic_load(&provider.requests) == 0)
        sched_yield();
    assert_int_equal(rig_drain(&rig), 0);
    pthread_join(client, NULL);
    assert_int_equal(test_ledger_org().open_holds, 0);
    assert_int_equal(test_ledger_last_settle().source, PROTO_COST_ESTIMATE);
    assert_true(settled_units(PROTO_UNIT_output) >= 10 * (int64_t)sizeof part / 4);
}

static void F28_an_answer_past_its_bound_is_settled_by_its_size(void **state)
{
    (void)state;
    static char part[1 << 20];
    memset(part, 'a', sizeof part);
    provide("HTTP/1.1 200 OK\r\n" JSON "Connection: close\r\n\r\n", part, sizeof part, 70, false);
    struct reply r = ask(",\"max_tokens\":7");
    assert_int_equal(r.status, 502);
    assert_true(reply_has(&r, "provider_answer_too_large"));
    reply_free(&r);
    rig_wait_settled();
    assert_true(settled_units(PROTO_UNIT_output) >= (60 << 20) / 4);
}

/* What has been charged has to arrive: the client's queue takes the head, too. */
static void F28_the_longest_answer_reaches_its_client(void **state)
{
    (void)state;
    static char part[1 << 20];
    memset(part, 'a', sizeof part);
    provide("HTTP/1.1 200 OK\r\n" JSON "Content-Length: 67108864\r\n\r\n", part, sizeof part, 64,
            false);
    struct reply r = ask(",\"max_tokens\":7");
    assert_int_equal(r.status, 200);
    assert_false(r.broken);
    assert_int_equal(r.body_len, 64 * sizeof part);
    reply_free(&r);
    rig_wait_settled();
}

/* English has more than four bytes a token. The provider was told its bound, and a guess is no
 * reason to charge for more, which may be more than was held. */
static void F28_F60_a_guess_stays_within_the_bound_that_was_held(void **state)
{
    (void)state;
    static const struct {
        size_t repeat; /* of 8 bytes */
        const char *rest;
        int64_t output;
    } cases[] = {
        {100, ",\"max_tokens\":150,\"stream\":true", 150},         /* 200 guessed */
        {120, ",\"max_tokens\":100,\"n\":2,\"stream\":true", 200}, /* of both choices */
        {60, ",\"max_tokens\":150,\"stream\":true", 120},          /* within */
        {4000, ",\"max_tokens\":150,\"stream\":true", 8000},       /* no bound was kept */
    };
    static const char event[] = "data: {\"choices\":[{\"delta\":{\"content\":\"12345678\"}}]}\n\n";
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        provide("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                "Content-Length: 100000000\r\n\r\n",
                event, sizeof event - 1, cases[i].repeat, false);
        struct reply r = ask(cases[i].rest);
        assert_true(r.broken);
        reply_free(&r);
        rig_wait_settled();
        assert_int_equal(test_ledger_last_settle().source, PROTO_COST_ESTIMATE);
        assert_int_equal(settled_units(PROTO_UNIT_output), cases[i].output);
        end_provider();
    }
}

static void F28_an_event_past_its_bound_is_counted(void **state)
{
    (void)state;
    static char part[1 << 20];
    memset(part, 'a', sizeof part);
    provide("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
            "data: {\"choices\":[{\"delta\":{\"content\":\"",
            part, sizeof part, 6, false);
    struct reply r = ask(",\"max_tokens\":7,\"stream\":true");
    assert_int_equal(r.status, 200);
    assert_true(r.body_len > 6 * sizeof part);
    reply_free(&r);
    rig_wait_settled();
    assert_int_equal(test_ledger_last_settle().source, PROTO_COST_ESTIMATE);
    assert_true(settled_units(PROTO_UNIT_output) >= 6 * (int64_t)sizeof part / 4);
}

static void F28_an_early_report_does_not_hide_what_followed(void **state)
{
    (void)state;
    provide_text(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
        "Content-Length: 100000\r\n\r\n",
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":0}}\n\n"
        "data: {\"choices\":[{\"delta\":{\"content\":\"0123456789012345678901234567890123"
        "456789\"}}]}\n\n");
    struct reply r = ask(",\"max_tokens\":70,\"stream\":true");
    assert_true(r.broken);
    reply_free(&r);
    rig_wait_settled();
    assert_int_equal(settled_units(PROTO_UNIT_input), 3);
    assert_int_equal(settled_units(PROTO_UNIT_output), 10);
}

static void F8_F60_more_usage_than_was_held_is_charged(void **state)
{
    (void)state;
    provide_text("HTTP/1.1 200 OK\r\n" JSON "Connection: close\r\n\r\n",
                 "{\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":99999999999999999999}}");
    struct reply r = ask(",\"max_tokens\":7");
    assert_int_equal(r.status, 200);
    reply_free(&r);
    rig_wait_settled();
    struct proto_org_row org = test_ledger_org();
    assert_int_equal(org.available, 0); /* never below, the rest is written off */
    assert_int_equal(org.usage, 2000 * DOLLAR + 3000);
    assert_int_equal(org.usage + org.writeoff + org.funding + org.promo, 0);
}

static void F1_odd_answers_leave_nothing_held(void **state)
{
    (void)state;
    static const struct {
        const char *head, *body;
        int status;
    } cases[] = {
        {"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nConnection: close\r\n\r\n", "",
         502},
        {"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n" JSON
         "Connection: close\r\n\r\n",
         USAGE_3_5, 200},
        {"HTTP/1.1 200 OK\r\n" JSON "Transfer-Encoding: chunked\r\nTrailer: x\r\n\r\n",
         "2\r\n{}\r\n0\r\nx-holdfast-request-cost: 0\r\n\r\n", 200},
        {"HTTP/1.1 200 OK\r\n" JSON "Content-Encoding: zoo\r\nConnection: close\r\n\r\n", "{}",
         502},
        {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "hello", 502},
        {"HTTP/1.1 999 Odd\r\n" JSON "Connection: close\r\n\r\n", "{}", 502},
        {"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", "", 204},
        {"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n", "<html>", 200},
        {"no http at all", "", 502},
        {"HTTP/1.1 200 OK\r\nX: a\rInjected: 1\r\nX-Request-Id: a\x01"
         "b\r\n" JSON "Connection: close\r\n\r\n",
         USAGE_3_5, 200},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        provide_text(cases[i].head, cases[i].body);
        struct reply r = ask(",\"max_tokens\":7");
        if (r.status != cases[i].status)
            print_message("case %zu\n", i);
        assert_int_equal(r.status, cases[i].status);
        assert_string_equal(reply_field(&r, "injected"), "");
        reply_free(&r);
        rig_wait_settled();
        end_provider();
    }
}

/* A request on a socket of its own; the edge has read it when it has answered later ones. */
static int send_request(const char *body)
{
    char text[1024];
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)rig.edge_port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0);
    int n = snprintf(text, sizeof text,
                     "POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer %s\r\n"
                     "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                     rig.key, strlen(body), body);
    CHECK(n > 0 && (size_t)n < sizeof text && send_all(fd, text, (size_t)n));
    for (int i = 0; i < 3; i++) {
        struct reply r = rig_ask(&rig, "/healthz", NULL, NULL, NULL, 0);
        assert_int_equal(r.status, 200);
        reply_free(&r);
    }
    return fd;
}

/* One hold, one call: libcurl would send a request again by itself when a kept connection is dead.
 */
static void F1_F6_a_request_is_sent_once_whenever_a_kept_connection_dies(void **state)
{
    (void)state;
    static const enum dying cases[] = {DIES_UNREAD, DIES_SILENT, DIES_RESET};
    static const char head[] = "HTTP/1.1 200 OK\r\n" JSON "Content-Length: 68\r\n\r\n";
    assert_int_equal(strlen(USAGE_3_5), 68);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        provider.dies = cases[i];
        atomic_store(&provider.requests, 0);
        provide_text(head, USAGE_3_5);
        struct reply r = ask(",\"max_tokens\":7");
        assert_int_equal(r.status, 200);
        reply_free(&r);
        r = ask(",\"max_tokens\":7");
        assert_int_equal(r.status, 502);
        assert_true(reply_has(&r, "provider_unreachable"));
        assert_string_not_equal(reply_field(&r, "x-holdfast-receipt"), "");
        reply_free(&r);
        rig_wait_settled();
        assert_int_equal(atomic_load(&provider.requests), 2);
        assert_int_equal(test_ledger_last_settle().source, PROTO_COST_ESTIMATE);
        assert_int_equal(settled_units(PROTO_UNIT_output), 0);
        end_provider();
    }
}

static void F1_a_connection_that_died_while_idle_costs_no_call(void **state)
{
    (void)state;
    provider.dies = DIES_AFTER_ANSWER;
    provide_text("HTTP/1.1 200 OK\r\n" JSON "Content-Length: 68\r\n\r\n", USAGE_3_5);
    for (unsigned i = 1; i <= 3; i++) {
        struct reply r = ask(",\"max_tokens\":7");
        assert_int_equal(r.status, 200);
        reply_free(&r);
        assert_int_equal(atomic_load(&provider.requests), i);
    }
}

static int64_t needed_nanos(const char *model)
{
    char body[256];
    snprintf(body, sizeof body, "{\"model\":\"%s\"," HELLO ",\"max_tokens\":90000000}", model);
    struct reply r = rig_chat(&rig, body);
    assert_int_equal(r.status, 402);
    const char *at = strstr(r.body, "\"needed_nanos\":");
    assert_non_null(at);
    int64_t n = strtoll(at + 15, NULL, 10);
    reply_free(&r);
    return n;
}

static void F1_F60_what_a_provider_adds_to_a_prompt_is_held_too(void **state)
{
    (void)state;
    assert_int_equal(needed_nanos("long") - needed_nanos("tiny"), 1000 * 1000);
}

/* An error with status 200, whole or in a stream, costs what it shows to have been done. */
static void F1_F28_an_error_in_an_answer_costs_what_it_shows(void **state)
{
    (void)state;
#define STREAM "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
#define WHOLE "HTTP/1.1 200 OK\r\n" JSON "Connection: close\r\n\r\n"
#define ERROR_OBJECT "{\"error\":{\"code\":429,\"message\":\"overloaded\"}}"
#define TEXT_EVENT "data: {\"choices\":[{\"delta\":{\"content\":\"12345678\"}}]}\n\n"
    static const struct {
        const char *head, *body, *cost;
        bool stream;
        int source; /* -1: released */
        int64_t output;
    } cases[] = {
        {WHOLE, ERROR_OBJECT, "0", false, -1, 0},
        {WHOLE, "{\"error\":\"no\"}", "0", false, -1, 0},
        {WHOLE, "{\"error\":{},\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":5}}",
         "0.000013", false, PROTO_COST_USAGE, 5},
        {WHOLE, "{\"error\":null,\"choices\":[]}", NULL, false, PROTO_COST_ESTIMATE, 0},
        {WHOLE, "{\"error\":\"\"}", NULL, false, PROTO_COST_ESTIMATE, 0},
        {WHOLE, "{\"error\":{},\"choices\":[{\"message\":{\"content\":\"1234\"}}]}", NULL, false,
         PROTO_COST_ESTIMATE, 1},
        {STREAM, "data: " ERROR_OBJECT "\n\n", "0", true, -1, 0},
        {STREAM, "data: " ERROR_OBJECT "\n\ndata: [DONE]\n\n", "0", true, -1, 0},
        {STREAM, "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\"}}\n\n",
         "0", true, -1, 0},
        {STREAM, TEXT_EVENT "data: " ERROR_OBJECT "\n\n", NULL, true, PROTO_COST_ESTIMATE, 2},
        {STREAM,
         "data: {\"error\":{\"code\":502},\"choices\":[{\"delta\":{\"content\":\"\"},"
         "\"finish_reason\":\"error\"}]}\n\n",
         "0", true, -1, 0},
        {STREAM,
         TEXT_EVENT "data: " ERROR_OBJECT
                    "\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,"
                    "\"completion_tokens\":2}}\n\ndata: [DONE]\n\n",
         NULL, true, PROTO_COST_USAGE, 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned released = test_ledger_count(PROTO_CMD_release);
        provide_text(cases[i].head, cases[i].body);
        struct reply r = ask(cases[i].stream ? ",\"stream\":true" : "");
        print_message("case %zu\n", i);
        assert_int_equal(r.status, 200);
        assert_true(reply_has(&r, cases[i].stream ? "holdfast cost=" : cases[i].body));
        if (cases[i].cost != NULL && !cases[i].stream)
            assert_string_equal(reply_field(&r, "x-holdfast-request-cost"), cases[i].cost);
        reply_free(&r);
        rig_wait_settled();
        assert_int_equal(test_ledger_count(PROTO_CMD_release) - released, cases[i].source < 0);
        if (cases[i].source >= 0) {
            assert_int_equal(test_ledger_last_settle().source, cases[i].source);
            assert_int_equal(settled_units(PROTO_UNIT_output), cases[i].output);
        }
        end_provider();
    }
}

static void F31_a_reserve_that_is_cut_counts_as_abandoned(void **state)
{
    (void)state;
    test_ledger_set_mode(PROTO_CMD_reserve, TEST_LEDGER_SILENT);
    int fd = send_request("{\"model\":\"tiny\"," HELLO "}");
    edge_worker_drain(rig.worker);
    edge_worker_drain(rig.worker); /* in a hurry */
    assert_int_equal(rig_drain(&rig), 1);
    close(fd);
}

static void F1_a_client_that_leaves_while_reserving_is_released(void **state)
{
    (void)state;
    test_ledger_set_mode(PROTO_CMD_reserve, TEST_LEDGER_SILENT);
    int fd = send_request("{\"model\":\"tiny\"," HELLO "}");
    close(fd);
    for (int i = 0; i < 3; i++) {
        struct reply r = rig_ask(&rig, "/healthz", NULL, NULL, NULL, 0);
        reply_free(&r);
    }
    test_ledger_set_mode(PROTO_CMD_reserve, TEST_LEDGER_WORKS);
    while (test_ledger_count(PROTO_CMD_release) == 0)
        sched_yield();
    rig_wait_settled();
    assert_int_equal(rig_mock_stat(&rig, "received"), 0);
    assert_int_equal(test_ledger_org().usage, 0);
}

#define RIG_TEST(f) cmocka_unit_test_setup_teardown(f, open_rig, close_rig)

/* A client whose request is good hears nothing else, and may go to another edge; what was reserved
 * before the clock was set is settled after it. */
static void F6_an_edge_with_a_wrong_clock_blames_no_client(void **state)
{
    (void)state;
    static const int64_t steps_ms[] = {600000, -1200000};
    for (size_t i = 0; i < 2; i++) {
        atomic_store(&clock_ahead_ms, steps_ms[i]);
        struct reply r = ask(",\"max_tokens\":7");
        assert_int_equal(r.status, 503);
        assert_true(reply_has(&r, "\"ledger_unavailable\""));
        assert_string_not_equal(reply_field(&r, "x-should-retry"), "false");
        reply_free(&r);
        assert_int_equal(atomic_load(&provider.requests), 0);
        atomic_store(&ids_before, 1); /* the reserve's */
        atomic_store(&clock_ahead_ms, steps_ms[i]);
        provide_text("HTTP/1.1 200 OK\r\n" JSON "Connection: close\r\n\r\n", USAGE_3_5);
        r = ask(",\"max_tokens\":7");
        atomic_store(&clock_ahead_ms, 0);
        assert_int_equal(r.status, 200);
        assert_string_equal(reply_field(&r, "x-holdfast-request-cost"), "0.000013");
        reply_free(&r);
        end_provider();
        atomic_store(&provider.requests, 0);
    }
}

/* Of a provider whose costs are not trusted: what it wrote is not free because it tells no tokens.
 */
static void F8_a_cost_without_tokens_is_no_usage(void **state)
{
    (void)state;
    static const char *const heads[] = {WHOLE, STREAM};
    static const char *const bodies[] = {
        "{\"choices\":[{\"message\":{\"content\":\"12345678\"}}],\"usage\":{\"cost\":0.01}}",
        TEXT_EVENT "data: {\"choices\":[],\"usage\":{\"cost\":0.01}}\n\ndata: [DONE]\n\n"};
    for (size_t i = 0; i < 2; i++) {
        provide_text(heads[i], bodies[i]);
        struct reply r = ask(i == 0 ? ",\"max_tokens\":7" : ",\"max_tokens\":7,\"stream\":true");
        assert_int_equal(r.status, 200);
        reply_free(&r);
        rig_wait_settled();
        assert_int_equal(test_ledger_last_settle().source, PROTO_COST_ESTIMATE);
        assert_int_equal(settled_units(PROTO_UNIT_output), 2);
        assert_true(settled_units(PROTO_UNIT_input) > 0);
        end_provider();
    }
}

static unsigned lines_with(FILE *log, const char *event)
{
    char line[4096];
    unsigned n = 0;
    rewind(log);
    while (fgets(line, sizeof line, log) != NULL)
        n += strstr(line, event) != NULL;
    return n;
}

/* It is tried twice a second, for as long as it takes, with as many holds as there are. */
static void F48_a_settlement_that_is_refused_is_logged_once(void **state)
{
    (void)state;
    FILE *log = tmpfile();
    int kept = dup(STDERR_FILENO);
    CHECK(log != NULL && kept >= 0 && dup2(fileno(log), STDERR_FILENO) >= 0);
    test_ledger_set_mode(PROTO_CMD_settle, TEST_LEDGER_REFUSES);
    provide_text(WHOLE, USAGE_3_5);
    struct reply r = ask(",\"max_tokens\":7");
    for (time_t end = time(NULL) + 20; test_ledger_refused() < 3 && time(NULL) < end;)
        sched_yield();
    test_ledger_set_mode(PROTO_CMD_settle, TEST_LEDGER_WORKS);
    rig_wait_settled();
    CHECK(dup2(kept, STDERR_FILENO) >= 0);
    close(kept);
    assert_int_equal(r.status, 200);
    reply_free(&r);
    assert_true(test_ledger_refused() >= 3);
    assert_int_equal(lines_with(log, "settlement_refused"), 1);
    fclose(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(F8_a_coded_answer_is_metered),
        RIG_TEST(F32_only_named_fields_reach_the_provider),
        RIG_TEST(F28_a_stop_counts_what_a_whole_answer_brought),
        RIG_TEST(F28_an_answer_past_its_bound_is_settled_by_its_size),
        RIG_TEST(F28_the_longest_answer_reaches_its_client),
        RIG_TEST(F28_F60_a_guess_stays_within_the_bound_that_was_held),
        RIG_TEST(F28_an_event_past_its_bound_is_counted),
        RIG_TEST(F28_an_early_report_does_not_hide_what_followed),
        RIG_TEST(F8_F60_more_usage_than_was_held_is_charged),
        RIG_TEST(F1_odd_answers_leave_nothing_held),
        RIG_TEST(F1_F6_a_request_is_sent_once_whenever_a_kept_connection_dies),
        RIG_TEST(F1_a_connection_that_died_while_idle_costs_no_call),
        RIG_TEST(F1_F60_what_a_provider_adds_to_a_prompt_is_held_too),
        RIG_TEST(F1_F28_an_error_in_an_answer_costs_what_it_shows),
        RIG_TEST(F31_a_reserve_that_is_cut_counts_as_abandoned),
        RIG_TEST(F1_a_client_that_leaves_while_reserving_is_released),
        RIG_TEST(F6_an_edge_with_a_wrong_clock_blames_no_client),
        RIG_TEST(F8_a_cost_without_tokens_is_no_usage),
        RIG_TEST(F48_a_settlement_that_is_refused_is_logged_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
