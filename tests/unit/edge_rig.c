/* SPDX-License-Identifier: Apache-2.0 */
#include "edge_rig.h"

#include "edge/http/tls.h"
#include "edge/metrics.h"
#include "proto/base/check.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void breathe(void)
{
    const struct timespec t = {.tv_nsec = 2000000};
    nanosleep(&t, NULL); /* between two looks at a condition */
}

/* A port where nobody listens. */
static unsigned free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&a, n) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&a, &n) == 0);
    close(fd);
    return ntohs(a.sin_port);
}

static void write_file(const struct rig *rig, const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", rig->folder, name);
    FILE *f = fopen(path, "w");
    CHECK(f != NULL && fputs(text, f) >= 0 && fclose(f) == 0);
}

static void start_mock(struct rig *rig)
{
    char port_file[128], scripts[512];
    const char *shared = getenv("HOLDFAST_SHARED");
    snprintf(port_file, sizeof port_file, "%s/port", rig->folder);
    snprintf(scripts, sizeof scripts, "%s/data/streams", shared != NULL ? shared : "../shared");
    rig->mock = fork();
    CHECK(rig->mock >= 0);
    if (rig->mock == 0) {
        if (freopen("/dev/null", "w", stdout) == NULL)
            _exit(126);
        execl(HOLDFAST_MOCK, HOLDFAST_MOCK, "--port-file", port_file, "--keep-last", "--script-dir",
              scripts, "--cost-header", "x-nemo-response-cost", (char *)NULL);
        _exit(127);
    }
    for (int64_t until = now_ms() + RIG_WAIT_MS; now_ms() < until; breathe()) {
        FILE *f = fopen(port_file, "r");
        int got = f != NULL ? fscanf(f, "%u", &rig->mock_port) : 0;
        if (f != NULL)
            fclose(f);
        if (got == 1 && rig->mock_port != 0)
            return;
    }
    CHECK(!"the mock did not start");
}

static void write_config(struct rig *rig, const char *extra)
{
    char text[4096];
    write_file(rig, "cluster.conf",
               "[cluster]\nuuid = 0198c0de-0000-7000-8000-000000000001\n"
               "seed = 1111111111111111111111111111111111111111111111111111111111111111\n"
               "operator_hash = "
               "2222222222222222222222222222222222222222222222222222222222222222\n"
               "[node 1]\npeer = 127.0.0.1:1\nclient = 127.0.0.1:2\n");
    snprintf(text, sizeof text,
             "[edge]\nlisten = 127.0.0.1:0\n%s\n"
             "[ledger]\ncluster = cluster.conf\nca = ca.crt\ncert = edge.pem\n"
             "[provider mock]\nbase_url = http://127.0.0.1:%u/v1\nidle_timeout_ms = 1500\n"
             "first_byte_timeout_ms = 3000\n"
             "[provider trusted]\nbase_url = http://127.0.0.1:%u/v1\ntrust_cost = true\n"
             "[provider dead]\nbase_url = http://127.0.0.1:%u/v1\n"
             "[route tiny]\nprovider = mock\n"
             "[route renamed]\nprovider = mock\nupstream_model = real-name\nprice_model = tiny\n"
             "max_output_field = max_tokens\n"
             "[route trusted]\nprovider = trusted\nprice_model = tiny\n"
             "[route dead]\nprovider = dead\nprice_model = tiny\n"
             "[route long]\nprovider = mock\nprice_model = tiny\ninput_overhead_tokens = 1000\n"
             "[route unpriced]\nprovider = mock\nunpriced_hold = 0.5\n",
             extra != NULL ? extra : "", rig->mock_port, rig->mock_port, rig->dead_port);
    write_file(rig, "edge.conf", text);
}

static void wait_ready(struct rig *rig)
{
    for (int64_t until = now_ms() + RIG_WAIT_MS; now_ms() < until; breathe()) {
        struct reply r = rig_ask(rig, "/readyz", NULL, NULL, NULL, 0);
        int status = r.status;
        reply_free(&r);
        if (status == 200)
            return;
    }
    CHECK(!"the edge did not become ready");
}

void rig_open(struct rig *rig, const char *extra_config)
{
    static const struct test_price prices[] = {{"tiny", 1000000000, 2000000000, 100000000}};
    char path[128], error[BASE_CONF_ERROR] = "";
    memset(rig, 0, sizeof *rig);
    snprintf(rig->folder, sizeof rig->folder, "/tmp/holdfast-edge-XXXXXX");
    CHECK(mkdtemp(rig->folder) != NULL);
    signal(SIGPIPE, SIG_IGN);
    test_ledger_open();
    test_ledger_prices(prices, 1);
    test_ledger_deposit(10 * INT64_C(1000000000));
    rig->key_number = test_ledger_key("ci", NULL, 0, rig->key);
    rig->dead_port = free_port();
    start_mock(rig);
    write_config(rig, extra_config);
    snprintf(path, sizeof path, "%s/edge.conf", rig->folder);
    if (edge_config_load(&rig->config, path, error) < 0 ||
        (rig->metrics = edge_metrics_new(rig->config)) == NULL ||
        edge_worker_new(&rig->worker, rig->config, NULL, rig->metrics, 0, error) < 0) {
        fprintf(stderr, "%s\n", error);
        abort();
    }
    rig->edge_port = edge_worker_port(rig->worker);
    CHECK(edge_worker_start(rig->worker) == 0);
    wait_ready(rig);
}

unsigned rig_drain(struct rig *rig)
{
    edge_worker_drain(rig->worker);
    unsigned abandoned = edge_worker_join(rig->worker);
    edge_worker_free(rig->worker);
    rig->worker = NULL;
    return abandoned;
}

void rig_close(struct rig *rig)
{
    char command[128];
    if (rig->worker != NULL)
        rig_drain(rig);
    edge_metrics_free(rig->metrics);
    edge_config_free(rig->config);
    kill(rig->mock, SIGKILL);
    waitpid(rig->mock, NULL, 0);
    const char *const names[] = {"edge.conf", "cluster.conf", "port"};
    for (size_t i = 0; i < 3; i++) {
        snprintf(command, sizeof command, "%s/%s", rig->folder, names[i]);
        unlink(command);
    }
    rmdir(rig->folder);
    test_ledger_close();
}

/* ---- the client ---- */

struct taking {
    struct reply *reply;
    size_t head_len, leave_after;
};

/* What holds n bytes; by doubling, or an answer of many megabytes is copied at every piece. */
static size_t room_for(size_t n)
{
    size_t room = 256;
    while (room < n)
        room *= 2;
    return room;
}

static void append(char **text, size_t *len, const char *bytes, size_t n)
{
    if (*text == NULL || room_for(*len + n + 1) > room_for(*len + 1))
        *text = realloc(*text, room_for(*len + n + 1));
    CHECK(*text != NULL);
    memcpy(*text + *len, bytes, n);
    *len += n;
    (*text)[*len] = '\0';
}

static size_t on_head(char *line, size_t size, size_t n, void *arg)
{
    struct taking *t = arg;
    append(&t->reply->head, &t->head_len, line, size * n);
    return size * n;
}

static size_t on_bytes(char *bytes, size_t size, size_t n, void *arg)
{
    struct taking *t = arg;
    append(&t->reply->body, &t->reply->body_len, bytes, size * n);
    return t->leave_after > 0 && t->reply->body_len >= t->leave_after ? 0 : size * n;
}

struct reply rig_ask(struct rig *rig, const char *path, const char *key, const char *body,
                     const char *const *fields, size_t leave_after)
{
    struct reply r = {0};
    struct taking t = {.reply = &r, .leave_after = leave_after};
    char url[256], auth[256];
    struct curl_slist *list = curl_slist_append(NULL, "Content-Type: application/json");
    long status = 0;
    CURL *e = curl_easy_init();
    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", rig->edge_port, path);
    snprintf(auth, sizeof auth, "Authorization: Bearer %s", key != NULL ? key : "");
    if (key != NULL)
        list = curl_slist_append(list, auth);
    for (; fields != NULL && *fields != NULL; fields++)
        list = curl_slist_append(list, *fields);
    append(&r.body, &r.body_len, "", 0);
    append(&r.head, &t.head_len, "", 0);
    curl_easy_setopt(e, CURLOPT_URL, url);
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(e, CURLOPT_PROXY, "");
    curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)RIG_WAIT_MS);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_head);
    curl_easy_setopt(e, CURLOPT_HEADERDATA, &t);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, &t);
    if (rig->bytes_a_second > 0) {
        curl_easy_setopt(e, CURLOPT_MAX_RECV_SPEED_LARGE, (curl_off_t)rig->bytes_a_second);
        curl_easy_setopt(e, CURLOPT_BUFFERSIZE, 16384L);
    }
    if (body != NULL) {
        curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
        curl_easy_setopt(e, CURLOPT_POSTFIELDS, body);
    }
    r.broken = curl_easy_perform(e) != CURLE_OK;
    curl_easy_getinfo(e, CURLINFO_RESPONSE_CODE, &status);
    r.status = (int)status;
    curl_slist_free_all(list);
    curl_easy_cleanup(e);
    return r;
}

struct reply rig_chat(struct rig *rig, const char *body)
{
    return rig_ask(rig, "/v1/chat/completions", rig->key, body, NULL, 0);
}

void reply_free(struct reply *r)
{
    free(r->head);
    free(r->body);
    memset(r, 0, sizeof *r);
}

const char *reply_field(const struct reply *r, const char *name)
{
    static char value[512];
    size_t n = strlen(name);
    value[0] = '\0';
    for (const char *p = r->head; p != NULL && *p != '\0';) {
        const char *end = strstr(p, "\r\n");
        if (end == NULL)
            break;
        if (strncasecmp(p, name, n) == 0 && p[n] == ':') {
            p += n + 1 + strspn(p + n + 1, " ");
            snprintf(value, sizeof value, "%.*s", (int)(end - p), p);
        }
        p = end + 2;
    }
    return value;
}

bool reply_has(const struct reply *r, const char *text)
{
    return strstr(r->body, text) != NULL;
}

void rig_wait_settled(void)
{
    for (int64_t until = now_ms() + RIG_WAIT_MS; now_ms() < until; breathe()) {
        struct proto_org_row org = test_ledger_org();
        if (org.held == 0 && org.open_holds == 0)
            return;
    }
    CHECK(!"money is still held");
}

long rig_mock_stat(struct rig *rig, const char *name)
{
    unsigned edge = rig->edge_port;
    char quoted[64];
    rig->edge_port = rig->mock_port;
    struct reply r = rig_ask(rig, "/mock/stats", NULL, NULL, NULL, 0);
    rig->edge_port = edge;
    snprintf(quoted, sizeof quoted, "\"%s\":", name);
    const char *at = strstr(r.body, quoted);
    long n = at != NULL ? strtol(at + strlen(quoted), NULL, 10) : -1;
    reply_free(&r);
    return n;
}
