/* SPDX-License-Identifier: Apache-2.0
 * The TLS loop, by libcurl: heavier than the plain one, and says so in its figures' settings (the
 * URL's scheme).
 */
#include "tools/bench/http.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    bool ok = t->calls && t->multi && open_fields(t) &&
              curl_multi_setopt(t->multi, CURLMOPT_MAXCONNECTS, (long)t->n) == CURLM_OK;
    for (unsigned i = 0; ok && i < t->n; i++) {
        ok = open_call(t, &t->calls[i]);
        t->calls[i].next = t->free;
        t->free = &t->calls[i];
    }
    if (!ok)
        (void)snprintf(t->f->error, sizeof t->f->error, "libcurl: no memory");
    return ok;
}

static bool begin(struct tls *t, uint64_t due_ns)
{
    struct call *c = t->free;
    c->due_ns = due_ns;
    c->chunk = (struct http_chunk){.at_ns = 0};
    if (curl_multi_add_handle(t->multi, c->easy) != CURLM_OK) {
        (void)snprintf(t->f->error, sizeof t->f->error, "libcurl: a call cannot be begun");
        return false;
    }
    t->free = c->next;
    t->busy++;
    t->f->begun++;
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
        if (rv == CURLE_PEER_FAILED_VERIFICATION && !t->f->error[0])
            (void)snprintf(t->f->error, sizeof t->f->error,
                           "the edge's certificate is not of this CA (--ca)");
        t->busy--;
        c->next = t->free;
        t->free = c;
    }
}

/* Streams: says when the measured time begins; true: it is over, whatever is open. */
static bool streams_over(struct tls *t, uint64_t now)
{
    if (!t->measuring && now >= t->schedule.measure_ns) {
        t->measuring = true;
        (void)fprintf(stderr, "measuring: %u open\n", t->busy);
    }
    t->f->open = t->busy;
    return now >= t->schedule.end_ns;
}

static void loop(struct tls *t)
{
    uint64_t give_up = t->schedule.end_ns + (uint64_t)t->load->o->timeout_ms * 1000000, due;
    for (;;) {
        uint64_t now = load_now_ns();
        int running;
        if (*t->load->stop && t->schedule.end_ns > now)
            t->schedule.end_ns = now;
        while (t->free && load_schedule_take(&t->schedule, now, &due))
            if (!begin(t, due))
                return;
        if (curl_multi_perform(t->multi, &running) != CURLM_OK)
            break;
        take_done(t);
        now = load_now_ns();
        if (t->load->streams && streams_over(t, now))
            return;
        if (t->f->error[0] || (t->busy == 0 && now >= t->schedule.end_ns) || now > give_up)
            break;
        uint64_t in = t->free ? load_schedule_wait(&t->schedule, now) : UINT64_MAX;
        int ms = in > UINT64_C(200000000) ? 200 : (int)(in / 1000000);
        (void)curl_multi_poll(t->multi, NULL, 0, ms, NULL);
    }
    t->f->unfinished = t->busy;
}

void http_tls_run(const struct http_load *load, unsigned thread, struct http_figures *f)
{
    struct tls t = {.load = load, .f = f};
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
    curl_slist_free_all(t.fields);
    free(t.calls);
}
