/* SPDX-License-Identifier: Apache-2.0
 * The plain loop. It shares the machine with what it measures, so it does little: one write and one
 * or two reads a call, no allocation.
 *
 *   closed --connect--> connecting --writable--> idle --due--> busy --answer--> idle
 *     ^---- failure (waits RETRY_NS) ---------------------------'
 */
#include "tools/bench/http.h"

#include <errno.h>
#include <llhttp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 256, READ_MAX = 65536, DIALS_MAX = 512 /* a sweep: less than a backlog */ };
#define RETRY_NS UINT64_C(100000000)
#define SWEEP_NS UINT64_C(200000000)

enum state { CLOSED, CONNECTING, IDLE, BUSY };

struct connection {
    llhttp_t parser;
    struct plain *t;
    struct connection *next; /* while idle */
    enum state state;
    int fd;
    size_t sent;
    uint64_t due_ns, begun_ns, retry_ns;
    struct http_chunk chunk;
    bool complete, keep;
};

struct plain {
    const struct http_load *load;
    struct http_figures *f;
    struct load_schedule schedule;
    llhttp_settings_t settings;
    struct connection *connections, *idle;
    unsigned n, busy;
    int epoll;
    uint64_t now_ns, swept_ns;
    bool measuring; /* streams: said so */
    char in[READ_MAX];
};

/* ---- parser ---- */

static int on_body(llhttp_t *p, const char *at, size_t n)
{
    struct connection *c = p->data;
    struct plain *t = c->t;
    if (p->status_code / 100 == 2)
        http_chunk_came(t->f, t->load, &t->schedule, &c->chunk, c->due_ns, at, n, t->now_ns);
    return 0;
}

static int on_complete(llhttp_t *p)
{
    struct connection *c = p->data;
    c->complete = true;
    c->keep = llhttp_should_keep_alive(p) != 0; /* only known here */
    return 0;
}

/* ---- connections ---- */

static void make_idle(struct connection *c)
{
    c->state = IDLE;
    c->next = c->t->idle;
    c->t->idle = c;
}

static void drop(struct connection *c, uint64_t *counter)
{
    struct plain *t = c->t;
    if (counter)
        (*counter)++;
    if (c->state == BUSY)
        t->busy--;
    if (c->state == IDLE)
        for (struct connection **at = &t->idle; *at; at = &(*at)->next)
            if (*at == c) {
                *at = c->next;
                break;
            }
    (void)close(c->fd);
    c->fd = -1;
    c->state = CLOSED;
    c->retry_ns = counter ? t->now_ns + RETRY_NS : t->now_ns;
}

static void dial(struct connection *c)
{
    struct plain *t = c->t;
    const struct addrinfo *a = t->load->address;
    int one = 1;
    c->fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) {
        t->f->connect_failed++;
        c->retry_ns = t->now_ns + RETRY_NS;
        return;
    }
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    c->state = CONNECTING;
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    if ((connect(c->fd, a->ai_addr, a->ai_addrlen) != 0 && errno != EINPROGRESS) ||
        epoll_ctl(t->epoll, EPOLL_CTL_ADD, c->fd, &e) != 0)
        drop(c, &t->f->connect_failed);
}

static void send_rest(struct connection *c)
{
    const struct http_load *l = c->t->load;
    while (c->sent < l->request_n) {
        ssize_t n = send(c->fd, l->request + c->sent, l->request_n - c->sent, MSG_NOSIGNAL);
        if (n > 0)
            c->sent += (size_t)n;
        else if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return; /* edge-triggered: told when there is room */
        else {
            drop(c, &c->t->f->broken);
            return;
        }
    }
}

static void begin(struct connection *c, uint64_t due_ns)
{
    struct plain *t = c->t;
    llhttp_init(&c->parser, HTTP_RESPONSE, &t->settings);
    c->parser.data = c;
    c->state = BUSY;
    c->sent = 0;
    c->due_ns = due_ns;
    c->begun_ns = t->now_ns;
    c->chunk = (struct http_chunk){.at_ns = 0};
    c->complete = false;
    t->busy++;
    t->f->common.begun++;
    send_rest(c);
}

static void finish(struct connection *c)
{
    struct plain *t = c->t;
    http_answered(t->f, &t->schedule, c->parser.status_code, c->due_ns, t->now_ns);
    t->busy--;
    make_idle(c);
    if (!c->keep)
        drop(c, NULL);
}

static void take_input(struct connection *c, ssize_t n)
{
    struct plain *t = c->t;
    if (n <= 0 && c->state == BUSY)
        (void)llhttp_finish(&c->parser); /* an answer may end with its connection */
    if (c->state == BUSY && n > 0 && llhttp_execute(&c->parser, t->in, (size_t)n) != HPE_OK &&
        !c->complete) {
        drop(c, &t->f->bad_answer);
        return;
    }
    if (c->state == BUSY && c->complete)
        finish(c);
    if (n <= 0 && c->state != CLOSED)
        drop(c, c->state == BUSY ? &t->f->broken : NULL);
}

static void receive(struct connection *c)
{
    while (c->state == BUSY || c->state == IDLE) {
        ssize_t n = recv(c->fd, c->t->in, sizeof c->t->in, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (c->t->load->streams)
            c->t->now_ns = load_now_ns(); /* a stamp may be younger than this round */
        take_input(c, n);
        if (n > 0 && n < (ssize_t)sizeof c->t->in)
            return; /* edge-triggered: what comes later tells us again */
    }
}

static void on_event(struct connection *c, uint32_t events)
{
    if (c->state == CONNECTING && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))) {
        int error = 0;
        socklen_t n = sizeof error;
        if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0 || error) {
            drop(c, &c->t->f->connect_failed);
            return;
        }
        make_idle(c);
        return;
    }
    if (c->state == BUSY && c->sent < c->t->load->request_n && (events & EPOLLOUT))
        send_rest(c);
    if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
        receive(c);
}

/* Redials what is closed, gives up what takes too long. */
static void sweep(struct plain *t)
{
    uint64_t limit = t->load->streams ? UINT64_MAX : (uint64_t)t->load->o->timeout_ms * 1000000;
    unsigned dials = 0;
    for (unsigned i = 0; i < t->n; i++) {
        struct connection *c = &t->connections[i];
        if (c->state == BUSY && t->now_ns - c->begun_ns > limit)
            drop(c, &t->f->timeouts);
        if (c->state == CLOSED && t->now_ns >= c->retry_ns && t->now_ns < t->schedule.end_ns &&
            dials++ < DIALS_MAX)
            dial(c);
    }
    t->swept_ns = t->now_ns;
}

/* ---- the thread ---- */

static bool open_thread(struct plain *t, unsigned thread)
{
    t->n = http_share(t->load->o, thread);
    t->epoll = epoll_create1(EPOLL_CLOEXEC);
    t->connections = calloc(t->n, sizeof *t->connections);
    if (t->epoll < 0 || !t->connections) {
        (void)snprintf(t->f->common.error, sizeof t->f->common.error, "no memory or descriptors");
        return false;
    }
    llhttp_settings_init(&t->settings);
    t->settings.on_body = on_body;
    t->settings.on_message_complete = on_complete;
    for (unsigned i = 0; i < t->n; i++)
        t->connections[i] = (struct connection){.t = t, .fd = -1};
    return true;
}

static int wait_ms(const struct plain *t)
{
    uint64_t ns = SWEEP_NS;
    if (t->idle) {
        uint64_t due = load_schedule_wait(&t->schedule, t->now_ns);
        ns = due < ns ? due : ns;
    }
    return (int)(ns / 1000000); /* below a millisecond: poll, so that calls leave on time */
}

/* Streams: says when the measured time begins; true: it is over, whatever is open. */
static bool streams_over(struct plain *t)
{
    bool begins = !t->measuring && t->now_ns >= t->schedule.measure_ns;
    bool ends = t->now_ns >= t->schedule.end_ns;
    if (!begins && !ends)
        return false;
    t->f->open = 0;
    for (unsigned i = 0; i < t->n; i++)
        t->f->open += t->connections[i].state == BUSY && t->connections[i].chunk.at_ns != 0;
    if (begins)
        (void)fprintf(stderr, "measuring: %llu open\n", (unsigned long long)t->f->open);
    t->measuring = true;
    return ends;
}

static void loop(struct plain *t)
{
    struct epoll_event events[EVENTS];
    uint64_t give_up = t->schedule.end_ns + (uint64_t)t->load->o->timeout_ms * 1000000, due;
    for (;;) {
        t->now_ns = load_now_ns();
        if (crew_is_stopped() && t->schedule.end_ns > t->now_ns)
            t->schedule.end_ns = t->now_ns;
        if (t->now_ns - t->swept_ns >= SWEEP_NS)
            sweep(t);
        while (t->idle && load_schedule_take(&t->schedule, t->now_ns, &due)) {
            struct connection *c = t->idle;
            t->idle = c->next;
            begin(c, due);
        }
        if (t->load->streams && streams_over(t))
            return;
        if ((t->busy == 0 && t->now_ns >= t->schedule.end_ns) || t->now_ns > give_up)
            break;
        int n = epoll_wait(t->epoll, events, EVENTS, wait_ms(t));
        t->now_ns = load_now_ns();
        for (int i = 0; i < n; i++)
            on_event(events[i].data.ptr, events[i].events);
    }
    t->f->unfinished = t->busy;
}

void http_plain_run(const struct http_load *load, unsigned thread, struct http_figures *f)
{
    struct plain *t = calloc(1, sizeof *t);
    if (!t) {
        (void)snprintf(f->common.error, sizeof f->common.error, "no memory");
        return;
    }
    t->load = load;
    t->f = f;
    t->epoll = -1;
    load_schedule_init(&t->schedule, load->o, load->start_ns, thread);
    (void)prctl(PR_SET_TIMERSLACK, 1000UL);
    if (open_thread(t, thread))
        loop(t);
    for (unsigned i = 0; t->connections && i < t->n; i++)
        if (t->connections[i].fd >= 0)
            (void)close(t->connections[i].fd);
    free(t->connections);
    if (t->epoll >= 0)
        (void)close(t->epoll);
    free(t);
}
