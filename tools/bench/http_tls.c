/* SPDX-License-Identifier: Apache-2.0
 * The TLS loop, by libcurl on epoll: heavier than the plain one, and says so in its figures'
 * settings (the URL's scheme).
 */
#include "tools/bench/http.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { EVENTS = 256 };

struct call {
    CURL *easy;
    struct call *next; /* while free */
    struct tls *t;
    uint64_t due_ns;
    struct http_chunk chunk;
};

struct tls {
    const struct http_load *load;
    struct http_figures *f;
    struct load_schedule schedule;
    CURLM *multi;
    struct curl_slist *fields;
    struct call *calls, *free;
    unsigned n, busy;
    bool measuring; /* streams: said so */
    int epoll;
    uint64_t timer_ns; /* libcurl wants to be called then; UINT64_MAX: not */
};

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
    struct call *c = arg;
    uint64_t now = load_now_ns();
    long status = 0;
    struct tls *t = c->t;
    (void)curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status / 100 == 2)
        http_chunk_came(t->f, t->load, &t->schedule, &c->chunk, c->due_ns, p, size * n, now);
    return size * n;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *unused)
{
    struct tls *t = arg;
    struct epoll_event e = {.data.fd = fd};
    (void)easy, (void)unused;
    if (what == CURL_POLL_REMOVE) {
        (void)epoll_ctl(t->epoll, EPOLL_CTL_DEL, fd, &e); /* closed already: it is gone */
        return 0;
    }
    e.events = (what & CURL_POLL_IN ? EPOLLIN : 0U) | (what & CURL_POLL_OUT ? EPOLLOUT : 0U);
    if (epoll_ctl(t->epoll, EPOLL_CTL_MOD, fd, &e) == 0 ||
        epoll_ctl(t->epoll, EPOLL_CTL_ADD, fd, &e) == 0)
        return 0;
    (void)snprintf(t->f->common.error, sizeof t->f->common.error, "epoll: no memory");
    return -1;
}

static int on_timer(CURLM *multi, long ms, void *arg)
{
    struct tls *t = arg;
    (void)multi;
    t->timer_ns = ms < 0 ? UINT64_MAX : load_now_ns() + (uint64_t)ms * 1000000;
    return 0;
}

static bool open_call(struct tls *t, struct call *c)
{
    const struct http_load *l = t->load;
    c->t = t;
    c->easy = curl_easy_init();
    return c->easy && curl_easy_setopt(c->easy, CURLOPT_URL, l->url) == CURLE_OK &&
           curl_easy_setopt(c->easy, CURLOPT_POSTFIELDS, l->body) == CURLE_OK &&
           curl_easy_setopt(c->easy, CURLOPT_POSTFIELDSIZE, (long)l->body_n) == CURLE_OK &&
           curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, t->fields) == CURLE_OK &&
           curl_easy_setopt(c->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) ==
               CURLE_OK &&
           curl_easy_setopt(c->easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(c->easy, CURLOPT_TIMEOUT_MS,
                            l->streams ? 0L : (long)l->o->timeout_ms) == CURLE_OK &&
           (!l->o->ca_file ||
            curl_easy_setopt(c->easy, CURLOPT_CAINFO, l->o->ca_file) == CURLE_OK) &&
           curl_easy_setopt(c->easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
           curl_easy_setopt(c->easy, CURLOPT_WRITEDATA, c) == CURLE_OK &&
           curl_easy_setopt(c->easy, CURLOPT_PRIVATE, c) == CURLE_OK;
}

static bool open_fields(struct tls *t)
{
    char line[512];
    (void)snprintf(line, sizeof line, "Authorization: Bearer %s", t->load->key);
    t->fields = curl_slist_append(NULL, line);
    struct curl_slist *more = curl_slist_append(t->fields, "Content-Type: application/json");
    more = more ? curl_slist_append(more, "Expect:") : NULL;
    for (unsigned i = 0; more && i < t->load->o->n_fields; i++)
        more = curl_slist_append(more, t->load->o->fields[i]);
    return more != NULL;
}

static bool open_thread(struct tls *t, unsigned thread)
{
    t->n = http_share(t->load->o, thread);
    t->calls = calloc(t->n, sizeof *t->calls);
    t->multi = curl_multi_init();
    t->epoll = epoll_create1(EPOLL_CLOEXEC);
    t->timer_ns = UINT64_MAX;
    bool ok = t->epoll >= 0 && t->calls && t->multi && open_fields(t) &&
              curl_multi_setopt(t->multi, CURLMOPT_SOCKETFUNCTION, on_socket) == CURLM_OK &&
              curl_multi_setopt(t->multi, CURLMOPT_SOCKETDATA, t) == CURLM_OK &&
              curl_multi_setopt(t->multi, CURLMOPT_TIMERFUNCTION, on_timer) == CURLM_OK &&
              curl_multi_setopt(t->multi, CURLMOPT_TIMERDATA, t) == CURLM_OK &&
              curl_multi_setopt(t->multi, CURLMOPT_MAXCONNECTS, (long)t->n) == CURLM_OK;
    for (unsigned i = 0; ok && i < t->n; i++) {
        ok = open_call(t, &t->calls[i]);
        t->calls[i].next = t->free;
        t->free = &t->calls[i];
    }
    if (!ok)
        (void)snprintf(t->f->common.error, sizeof t->f->common.error, "no memory or descriptors");
    return ok;
}

static bool begin(struct tls *t, uint64_t due_ns)
{
    struct call *c = t->free;
    c->due_ns = due_ns;
    c->chunk = (struct http_chunk){.at_ns = 0};
    if (curl_multi_add_handle(t->multi, c->easy) != CURLM_OK) {
        (void)snprintf(t->f->common.error, sizeof t->f->common.error,
                       "libcurl: a call cannot be begun");
        return false;
    }
    t->free = c->next;
    t->busy++;
    t->f->common.begun++;
    return true;
}

static void take_done(struct tls *t)
{
    int left;
    CURLMsg *m;
    while ((m = curl_multi_info_read(t->multi, &left)) != NULL) {
        struct call *c = NULL;
        long status = 0;
        CURLcode rv = m->data.result;
        if (m->msg != CURLMSG_DONE)
            continue;
        (void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&c);
        (void)curl_easy_getinfo(m->easy_handle, CURLINFO_RESPONSE_CODE, &status);
        (void)curl_multi_remove_handle(t->multi, m->easy_handle);
        if (rv == CURLE_OK)
            http_answered(t->f, &t->schedule, (unsigned)status, c->due_ns, load_now_ns());
        else if (rv == CURLE_COULDNT_CONNECT || rv == CURLE_SSL_CONNECT_ERROR)
            t->f->connect_failed++;
        else if (rv == CURLE_OPERATION_TIMEDOUT)
            t->f->timeouts++;
        else
            t->f->broken++;
        if (rv == CURLE_PEER_FAILED_VERIFICATION && !t->f->common.error[0])
            (void)snprintf(t->f->common.error, sizeof t->f->common.error,
                           "the edge's certificate is not of this CA (--ca)");
        t->busy--;
        c->chunk.at_ns = 0;
        c->next = t->free;
        t->free = c;
    }
}

/* Streams: says when the measured time begins; true: it is over, whatever is open. */
static bool streams_over(struct tls *t, uint64_t now)
{
    bool begins = !t->measuring && now >= t->schedule.measure_ns;
    bool ends = now >= t->schedule.end_ns;
    if (!begins && !ends)
        return false;
    t->f->open = 0;
    for (unsigned i = 0; i < t->n; i++)
        t->f->open += t->calls[i].chunk.at_ns != 0;
    if (begins)
        (void)fprintf(stderr, "measuring: %llu open\n", (unsigned long long)t->f->open);
    t->measuring = true;
    return ends;
}

/* Waits up to ns and lets libcurl do what there is to do. */
static bool turn(struct tls *t, uint64_t ns)
{
    struct epoll_event events[EVENTS];
    uint64_t now = load_now_ns();
    int running;
    if (t->timer_ns != UINT64_MAX && t->timer_ns <= now + ns)
        ns = t->timer_ns > now ? t->timer_ns - now : 0;
    int n = epoll_wait(t->epoll, events, EVENTS, (int)(ns / 1000000));
    for (int i = 0; i < n; i++) {
        uint32_t e = events[i].events;
        int bits = (e & EPOLLIN ? CURL_CSELECT_IN : 0) | (e & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                   (e & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
        if (curl_multi_socket_action(t->multi, events[i].data.fd, bits, &running) != CURLM_OK)
            return false;
    }
    if (t->timer_ns > load_now_ns())
        return true;
    t->timer_ns = UINT64_MAX; /* before the call, which may set it anew */
    return curl_multi_socket_action(t->multi, CURL_SOCKET_TIMEOUT, 0, &running) == CURLM_OK;
}

static void loop(struct tls *t)
{
    uint64_t give_up = t->schedule.end_ns + (uint64_t)t->load->o->timeout_ms * 1000000, due;
    for (;;) {
        uint64_t now = load_now_ns();
        if (crew_is_stopped() && t->schedule.end_ns > now)
            t->schedule.end_ns = now;
        while (t->free && load_schedule_take(&t->schedule, now, &due))
            if (!begin(t, due))
                return;
        if (t->load->streams && streams_over(t, now))
            return;
        if (t->f->common.error[0] || (t->busy == 0 && now >= t->schedule.end_ns) || now > give_up)
            break;
        uint64_t in = t->free ? load_schedule_wait(&t->schedule, now) : UINT64_MAX;
        if (!turn(t, in < UINT64_C(200000000) ? in : UINT64_C(200000000)))
            break;
        take_done(t);
    }
    t->f->unfinished = t->busy;
}

void http_tls_run(const struct http_load *load, unsigned thread, struct http_figures *f)
{
    struct tls t = {.load = load, .f = f, .epoll = -1};
    load_schedule_init(&t.schedule, load->o, load->start_ns, thread);
    if (open_thread(&t, thread))
        loop(&t);
    for (unsigned i = 0; t.calls && i < t.n; i++) {
        if (t.calls[i].easy && t.multi)
            (void)curl_multi_remove_handle(t.multi, t.calls[i].easy);
        if (t.calls[i].easy)
            curl_easy_cleanup(t.calls[i].easy);
    }
    if (t.multi)
        (void)curl_multi_cleanup(t.multi);
    if (t.epoll >= 0)
        (void)close(t.epoll);
    curl_slist_free_all(t.fields);
    free(t.calls);
}
