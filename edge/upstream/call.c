/* SPDX-License-Identifier: Apache-2.0
 * One call to a provider. The functions that curl calls (on_head_line, on_body) only fill buffers
 * and mark the call; its owner is told by upstream_pump.
 */
#include "edge/upstream/upstream_private.h"

#include "proto/base/check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void mark(struct upstream_call *call)
{
    if (!call->is_dirty) {
        call->is_dirty = true;
        TAILQ_INSERT_TAIL(&call->up->dirty, call, dirty);
    }
}

void upstream_call_clean(struct upstream_call *call)
{
    if (call->is_dirty) {
        call->is_dirty = false;
        TAILQ_REMOVE(&call->up->dirty, call, dirty);
    }
}

/* ---- what curl calls ---- */

/* A status line begins a head; fields of a 1xx answer, or of a proxy's, are forgotten. */
static size_t begin_head(struct upstream_call *call, const char *line, size_t n)
{
    const char *blank = memchr(line, ' ', n);
    base_buf_clear(&call->head);
    call->head_open = true;
    call->status = 0;
    return blank != NULL ? n : 0;
}

static int add_field(struct upstream_call *call, const char *line, size_t n)
{
    const char *colon = memchr(line, ':', n);
    if (colon == NULL || colon == line)
        return 0;
    size_t name = (size_t)(colon - line);
    const char *value = colon + 1, *end = line + n;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    while (end > value && (unsigned char)end[-1] <= ' ')
        end--;
    int rc = base_buf_reserve(&call->head, name + (size_t)(end - value) + 2);
    if (rc < 0 || memchr(line, '\0', n) != NULL)
        return -EBADMSG;
    char *out = call->head.base + call->head.end;
    for (size_t i = 0; i < name; i++)
        out[i] = (char)(line[i] >= 'A' && line[i] <= 'Z' ? line[i] - 'A' + 'a' : line[i]);
    out[name] = '\0';
    memcpy(out + name + 1, value, (size_t)(end - value));
    out[name + 1 + (size_t)(end - value)] = '\0';
    call->head.end += name + (size_t)(end - value) + 2;
    return 0;
}

static size_t on_head_line(char *line, size_t size, size_t count, void *arg)
{
    struct upstream_call *call = arg;
    size_t n = size * count;
    if (n > 5 && memcmp(line, "HTTP/", 5) == 0)
        return begin_head(call, line, n);
    if (!call->head_open)
        return n; /* trailers */
    if (n > 2 || (n == 2 && line[0] != '\r'))
        return add_field(call, line, n) == 0 ? n : 0;
    long status = 0;
    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status >= 200) {
        call->head_open = false;
        call->status = (int)status;
        call->quiet_since_ms = uv_now(call->up->loop);
        mark(call);
    }
    return n;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *arg)
{
    struct upstream_call *call = arg;
    size_t n = size * count;
    if (call->status == 0)
        return 0; /* bytes without a final head: a protocol was switched, which nobody asked for */
    if (call->held || base_buf_len(&call->in) >= UPSTREAM_IN_HIGH) {
        call->paused = true;
        mark(call);
        return CURL_WRITEFUNC_PAUSE;
    }
    if (base_buf_add(&call->in, bytes, n) < 0)
        return 0;
    call->quiet_since_ms = uv_now(call->up->loop);
    mark(call);
    return n;
}

/* Before every request that curl is about to write. A second one for the same call is curl sending
 * again by itself, after a kept connection turned out dead or a stream was refused: only where
 * nothing has left yet is that still the one call that money is held for. */
static int on_request(void *arg, char *local, char *remote, int local_port, int remote_port)
{
    struct upstream_call *call = arg;
    (void)local;
    (void)remote;
    (void)local_port;
    (void)remote_port;
    if (!upstream_was_sent(call))
        return CURL_PREREQFUNC_OK;
    call->resend_refused = true;
    return CURL_PREREQFUNC_ABORT;
}

/* ---- ends ---- */

bool upstream_was_sent(const struct upstream_call *call)
{
    long bytes = 0;
    curl_easy_getinfo(call->easy, CURLINFO_REQUEST_SIZE, &bytes);
    return bytes > 0 || call->status != 0;
}

static void end(struct upstream_call *call, enum upstream_end how, const char *why)
{
    call->end = how;
    snprintf(call->why, sizeof call->why, "%s", why);
    if (call->added) {
        call->added = false;
        curl_multi_remove_handle(call->up->multi, call->easy);
    }
    mark(call);
}

void upstream_call_ended(struct upstream_call *call, CURLcode code)
{
    if (call->end != UPSTREAM_RUNNING)
        return;
    if (code == CURLE_OK && call->status != 0) {
        end(call, UPSTREAM_COMPLETE, "");
        return;
    }
    call->timed_out = code == CURLE_OPERATION_TIMEDOUT;
    end(call, upstream_was_sent(call) ? UPSTREAM_UNKNOWN : UPSTREAM_NOT_SENT,
        call->resend_refused ? "the connection ended without an answer"
        : code == CURLE_OK   ? "no answer"
                             : curl_easy_strerror(code));
}

void upstream_call_expire(struct upstream_call *call, uint64_t now_ms)
{
    if (call->end != UPSTREAM_RUNNING || call->held || call->paused)
        return;
    bool first = call->status == 0;
    int64_t limit_ms =
        first ? call->provider->first_byte_timeout_ms : call->provider->idle_timeout_ms;
    if (now_ms - call->quiet_since_ms < (uint64_t)limit_ms)
        return;
    call->timed_out = true;
    end(call, upstream_was_sent(call) ? UPSTREAM_UNKNOWN : UPSTREAM_NOT_SENT,
        first ? "no answer in time" : "the answer stopped coming");
}

/* ---- the owner's side ---- */

static void resume(struct upstream_call *call)
{
    if (!call->paused || call->held || call->end != UPSTREAM_RUNNING ||
        base_buf_len(&call->in) >= UPSTREAM_IN_HIGH)
        return;
    call->paused = false;
    call->quiet_since_ms = uv_now(call->up->loop);
    curl_easy_pause(call->easy, CURLPAUSE_CONT); /* may call on_body */
}

/* The one place where an owner is called; it may free the call, so `up` carries the answer. */
void upstream_call_tell(struct upstream_call *call)
{
    struct upstream *up = call->up;
    up->telling = call;
    call->on_progress(call->arg, call);
    if (up->telling == call)
        resume(call);
    up->telling = NULL;
}

void upstream_hold(struct upstream_call *call, bool held)
{
    call->held = held;
    if (held)
        return;
    resume(call);
    upstream_pump(call->up);
}

const char *upstream_field(const struct upstream_call *call, const char *name)
{
    const char *p = call->head.base + call->head.off, *stop = call->head.base + call->head.end;
    while (p < stop) {
        const char *value = p + strlen(p) + 1;
        if (strcmp(p, name) == 0)
            return value;
        p = value + strlen(value) + 1;
    }
    return NULL;
}

/* ---- life ---- */

static int set_fields(struct upstream_call *call, const struct upstream_request *r)
{
    const char *const always[] = {"Expect:", "Content-Type: application/json"};
    struct curl_slist *list = NULL, *next = NULL;
    for (size_t i = 0; i < 2; i++) {
        next = curl_slist_append(list, always[i]);
        if (next == NULL)
            goto fail;
        list = next;
    }
    for (size_t i = 0; i < UPSTREAM_FIELDS_MAX && r->fields[i] != NULL; i++) {
        next = curl_slist_append(list, r->fields[i]);
        if (next == NULL)
            goto fail;
        list = next;
    }
    if (r->provider->api_key[0] != '\0') {
        char line[EDGE_API_KEY_MAX + 32];
        snprintf(line, sizeof line, "Authorization: Bearer %s", r->provider->api_key);
        next = curl_slist_append(list, line);
        explicit_bzero(line, sizeof line);
        if (next == NULL)
            goto fail;
        list = next;
    }
    call->fields = list;
    return 0;
fail:
    curl_slist_free_all(list);
    return -ENOMEM;
}

static int set_options(struct upstream_call *call, const struct upstream_request *r)
{
    CURL *e = call->easy;
    const struct edge_provider *p = r->provider;
    char url[4096];
    int n = snprintf(url, sizeof url, "%s%s", p->base_url, r->path);
    if (n < 0 || (size_t)n >= sizeof url || curl_easy_setopt(e, CURLOPT_URL, url) != CURLE_OK)
        return -ENOMEM;
    curl_easy_setopt(e, CURLOPT_PRIVATE, call);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, upstream_socket_open);
    curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, call->up);
    curl_easy_setopt(e, CURLOPT_CLOSESOCKETFUNCTION, upstream_socket_close);
    curl_easy_setopt(e, CURLOPT_CLOSESOCKETDATA, call->up);
    curl_easy_setopt(e, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_PROXY, ""); /* the environment decides nothing here */
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION,
                     p->http2 ? (long)CURL_HTTP_VERSION_2TLS : (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)p->connect_timeout_ms);
    curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)p->request_timeout_ms);
    if (p->ca_file != NULL)
        curl_easy_setopt(e, CURLOPT_CAINFO, p->ca_file);
    /* Plain is asked for, and what comes coded all the same is decoded: it has to be metered. */
    curl_easy_setopt(e, CURLOPT_ACCEPT_ENCODING, "identity");
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, call->fields);
    curl_easy_setopt(e, CURLOPT_MAXAGE_CONN, (long)((p->keep_alive_ms + 999) / 1000));
    curl_easy_setopt(e, CURLOPT_FORBID_REUSE, p->keep_alive_ms == 0 ? 1L : 0L);
    curl_easy_setopt(e, CURLOPT_PREREQFUNCTION, on_request);
    curl_easy_setopt(e, CURLOPT_PREREQDATA, call);
    curl_easy_setopt(e, CURLOPT_POST, 1L);
    curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_len);
    curl_easy_setopt(e, CURLOPT_POSTFIELDS, r->body);
    curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_head_line);
    curl_easy_setopt(e, CURLOPT_HEADERDATA, call);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, call);
    return 0;
}

int upstream_start(struct upstream *up, const struct upstream_request *request,
                   upstream_progress *on_progress, void *arg, struct upstream_call **out)
{
    struct upstream_call *call = calloc(1, sizeof *call);
    if (call == NULL)
        return -ENOMEM;
    call->up = up;
    call->provider = request->provider;
    call->on_progress = on_progress;
    call->arg = arg;
    base_buf_init(&call->in, 0); /* bounded by pausing */
    base_buf_init(&call->head, UPSTREAM_HEAD_MAX);
    call->quiet_since_ms = uv_now(up->loop);
    TAILQ_INSERT_TAIL(&up->all, call, all);
    call->easy = up->pooled > 0 ? up->pool[--up->pooled] : curl_easy_init();
    if (call->easy == NULL || set_fields(call, request) < 0 || set_options(call, request) < 0 ||
        curl_multi_add_handle(up->multi, call->easy) != CURLM_OK) {
        upstream_free(call);
        return -ENOMEM;
    }
    call->added = true;
    *out = call;
    return 0;
}

void upstream_free(struct upstream_call *call)
{
    struct upstream *up = call->up;
    if (up->telling == call)
        up->telling = NULL;
    if (call->added)
        curl_multi_remove_handle(up->multi, call->easy);
    if (call->easy != NULL && up->pooled < UPSTREAM_POOL_MAX) {
        curl_easy_reset(call->easy); /* forgets body and callbacks, keeps connections */
        up->pool[up->pooled++] = call->easy;
    } else if (call->easy != NULL) {
        curl_easy_cleanup(call->easy);
    }
    curl_slist_free_all(call->fields);
    upstream_call_clean(call);
    TAILQ_REMOVE(&up->all, call, all);
    base_buf_close(&call->in);
    base_buf_close(&call->head);
    free(call);
}
