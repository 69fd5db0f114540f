/* SPDX-License-Identifier: Apache-2.0
 * `holdfast-bench http`: the request, the threads, the figures.
 */
#include "tools/bench/http.h"
#include "tools/bench/mode.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BODY_MAX = 16 * 1024 * 1024, KEY_MAX = 256 };

void http_answered(struct http_figures *f, const struct load_schedule *s, unsigned status,
                   uint64_t due_ns, uint64_t now_ns)
{
    bool ok = status >= 200 && status < 300;
    if (due_ns >= s->measure_ns)
        f->status[status < 600 ? status : 0]++;
    if (ok && due_ns >= s->measure_ns) {
        histogram_add(&f->common.latency[HTTP_WHOLE], now_ns - due_ns);
        if (f->last_ok_ns >= s->measure_ns && now_ns - f->last_ok_ns > f->common.longest_gap_ns)
            f->common.longest_gap_ns = now_ns - f->last_ok_ns;
    }
    if (ok) {
        f->last_ok_ns = now_ns;
        if (now_ns >= s->measure_ns && now_ns < s->end_ns)
            f->common.done++;
    }
}

void http_chunk_came(struct http_figures *f, const struct http_load *l,
                     const struct load_schedule *s, struct http_chunk *c, uint64_t due_ns,
                     const char *p, size_t n, uint64_t now_ns)
{
    /* Streams are opened during the warm-up: all of them count for the first chunk. */
    bool measured = (l->streams ? now_ns : due_ns) >= s->measure_ns;
    if (c->at_ns == 0 && (measured || l->streams))
        histogram_add(&f->common.latency[HTTP_FIRST], now_ns - due_ns);
    else if (measured && now_ns > c->at_ns)
        histogram_add(&f->common.latency[HTTP_GAP], now_ns - c->at_ns);
    if (l->streams) {
        measured = measured && now_ns < s->end_ns;
        unsigned stamps = stamp_scan_take(&c->stamps, p, n, now_ns,
                                          measured ? &f->common.latency[HTTP_DELAY] : NULL);
        f->common.done += measured ? stamps : 0;
    }
    c->at_ns = now_ns;
}

unsigned http_share(const struct bench_options *o, unsigned thread)
{
    return o->clients / o->threads + (thread < o->clients % o->threads);
}

/* A whole file, NUL-terminated. */
static char *read_file(const char *path, size_t max, size_t *n)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return NULL;
    char *p = malloc(max + 1);
    *n = p ? fread(p, 1, max + 1, f) : 0;
    bool bad = !p || ferror(f) || *n > max;
    (void)fclose(f);
    if (bad) {
        free(p);
        errno = EFBIG;
        return NULL;
    }
    p[*n] = '\0';
    return p;
}

/* http[s]://HOST[:PORT][/PATH] */
static int split_url(struct http_load *l)
{
    const char *s = l->o->url;
    if (strncmp(s, "http://", 7) == 0) {
        s += 7;
    } else if (strncmp(s, "https://", 8) == 0) {
        l->tls = true;
        s += 8;
    } else {
        return crew_fail("--url", "wants http://HOST:PORT or https://HOST:PORT");
    }
    size_t n = strcspn(s, "/");
    const char *path = s[n] && s[n + 1] ? s + n : "/v1/chat/completions";
    size_t host_n = s[0] == '[' ? strcspn(s, "]") + 1 : strcspn(s, ":/");
    bool port = s[host_n] == ':';
    if (host_n == 0 || host_n > n || n - host_n > 6 || host_n >= sizeof l->host ||
        strlen(path) >= sizeof l->path)
        return crew_fail("--url", "cannot be read");
    bool v6 = s[0] == '[';
    (void)snprintf(l->host, sizeof l->host, "%.*s", (int)(host_n - (v6 ? 2 : 0)), s + (v6 ? 1 : 0));
    (void)snprintf(l->port, sizeof l->port, "%.*s", port ? (int)(n - host_n - 1) : 2,
                   port ? s + host_n + 1 : (l->tls ? "443" : "80"));
    (void)snprintf(l->path, sizeof l->path, "%s", path);
    (void)snprintf(l->url, sizeof l->url, "%s://%.*s%s", l->tls ? "https" : "http", (int)n, s,
                   path);
    return 0;
}

static int read_key(struct http_load *l)
{
    size_t n = 0;
    const char *given = getenv("HOLDFAST_API_KEY");
    if (l->o->key_file)
        l->key = read_file(l->o->key_file, KEY_MAX, &n);
    else
        l->key = strdup(given ? given : "");
    if (!l->key)
        return crew_fail(l->o->key_file ? l->o->key_file : "key", strerror(errno));
    l->key[strcspn(l->key, " \r\n")] = '\0';
    if (!*l->key || strlen(l->key) > KEY_MAX)
        return crew_fail("API key", "none: --key-file or HOLDFAST_API_KEY");
    return 0;
}

/* A chat whose answer goes on until well after the end. */
static char *stream_body(const struct bench_options *o, size_t *len)
{
    char *body = NULL;
    unsigned tokens = (unsigned)((o->warmup + o->seconds + 60) * 1000 / o->interval_ms) + 1;
    int n = asprintf(&body,
                     "{\"model\":\"%s\",\"max_tokens\":%u,\"stream\":true,\"metadata\":{"
                     "\"mock_stamp\":\"1\",\"mock_tokens\":\"%u\",\"mock_interval_ms\":\"%u\"},"
                     "\"messages\":[{\"role\":\"user\",\"content\":\"Say hello.\"}]}",
                     o->model, tokens, tokens, o->interval_ms);
    *len = n < 0 ? 0 : (size_t)n;
    return n < 0 ? NULL : body;
}

/* The --header fields as lines. NULL: no memory. */
static char *fields_text(const struct bench_options *o)
{
    char *text = strdup("");
    for (unsigned i = 0; text && i < o->n_fields; i++) {
        char *more = NULL;
        int n = asprintf(&more, "%s%s\r\n", text, o->fields[i]);
        free(text);
        text = n < 0 ? NULL : more;
    }
    return text;
}

static int make_request(struct http_load *l)
{
    char *chat = NULL;
    if (l->o->body_file) {
        l->body = read_file(l->o->body_file, BODY_MAX, &l->body_n);
        if (!l->body)
            return crew_fail(l->o->body_file, strerror(errno));
    } else if (l->streams) {
        chat = stream_body(l->o, &l->body_n);
        l->body = chat;
        if (!chat)
            return crew_fail("request", "no memory");
    } else {
        int n = asprintf(&chat,
                         "{\"model\":\"%s\",\"max_tokens\":64,%s\"messages\":[{\"role\":\"user\","
                         "\"content\":\"Say hello.\"}]}",
                         l->o->model, l->o->stream ? "\"stream\":true," : "");
        if (n < 0)
            return crew_fail("request", "no memory");
        l->body = chat;
        l->body_n = (size_t)n;
    }
    char *head = NULL, *fields = fields_text(l->o);
    if (!fields)
        return crew_fail("request", "no memory");
    bool v6 = strchr(l->host, ':') != NULL;
    int n = asprintf(&head,
                     "POST %s HTTP/1.1\r\nHost: %s%s%s:%s\r\nAuthorization: Bearer %s\r\n"
                     "Content-Type: application/json\r\n%sContent-Length: %zu\r\n\r\n",
                     l->path, v6 ? "[" : "", l->host, v6 ? "]" : "", l->port, l->key, fields,
                     l->body_n);
    free(fields);
    l->request = n < 0 ? NULL : malloc((size_t)n + l->body_n);
    if (!l->request) {
        free(n < 0 ? NULL : head);
        return crew_fail("request", "no memory");
    }
    memcpy(l->request, head, (size_t)n);
    memcpy(l->request + n, l->body, l->body_n);
    l->request_n = (size_t)n + l->body_n;
    free(head);
    return 0;
}

/* ---- the load ---- */

static void run(const void *load, unsigned thread, void *figures)
{
    const struct http_load *l = load;
    if (l->tls)
        http_tls_run(l, thread, figures);
    else
        http_plain_run(l, thread, figures);
}

static void count(struct figures *sum, const void *figures)
{
    const struct http_figures *h = figures;
    char name[48];
    for (unsigned i = 0; i < 600; i++) {
        (void)snprintf(name, sizeof name, "status %u", i);
        figures_count(sum, name, h->status[i]);
    }
    figures_count(sum, "connect failed", h->connect_failed);
    figures_count(sum, "connection broken", h->broken);
    figures_count(sum, "answer not understood", h->bad_answer);
    figures_count(sum, "timeout", h->timeouts);
    figures_count(sum, "unfinished", h->unfinished);
    figures_count(sum, "open at the end", h->open);
}

static int measure(struct http_load *l)
{
    static const char *const names[] = {"call", "first chunk", "chunk gap", "chunk delay"};
    const struct crew_job job = {
        .what = "http",
        .unit = l->streams ? "chunks" : "calls",
        .latencies = names,
        .n_latencies = l->streams     ? HTTP_LATENCIES
                       : l->o->stream ? HTTP_DELAY
                                      : 1,
        .figures_size = sizeof(struct http_figures),
        .load = l,
        .start_ns = &l->start_ns,
        .run = run,
        .count = count,
    };
    return crew_measure(&job, l->o);
}

int bench_http(const struct bench_options *o)
{
    struct http_load l = {.o = o, .streams = o->mode == BENCH_STREAMS};
    struct addrinfo *found = NULL, hints = {.ai_socktype = SOCK_STREAM};
    int rv = split_url(&l);
    if (rv == 0)
        rv = read_key(&l);
    if (rv == 0)
        rv = make_request(&l);
    if (rv == 0 && !l.tls) {
        int bad = getaddrinfo(l.host, l.port, &hints, &found);
        if (bad)
            rv = crew_fail(l.host, gai_strerror(bad));
        l.address = found;
    }
    if (rv == 0 && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        rv = crew_fail("libcurl", "cannot be started");
    if (rv == 0) {
        rv = measure(&l);
        curl_global_cleanup();
    }
    if (found)
        freeaddrinfo(found);
    free(l.request);
    free(l.body);
    free(l.key);
    return rv;
}
