/* SPDX-License-Identifier: Apache-2.0
 * What a complete head must be, beyond what llhttp's strict mode has refused already (bare CR or
 * LF, obs-fold, blanks around names, control bytes, duplicate or odd Content-Length, Content-Length
 * with Transfer-Encoding, data after a final coding). Pure functions of the head; no I/O.
 *
 *  version    HTTP/1.0 or HTTP/1.1, else 505 (llhttp also knows RTSP and ICE: see parser.c)
 *  method     CONNECT and TRACE: 405 (400 if CONNECT's target is no host:port)
 *  target     origin form, absolute form with http(s), or * for OPTIONS; no fragment
 *  Host       exactly one on 1.1, at most one on 1.0; a valid host[:port]; same for the URL's own
 *  Transfer-Encoding  1.1 only, one field, exactly `chunked`, never with Content-Length
 */
#include "edge/http/connection.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>
#include <strings.h>

enum { HOST_BYTES_MAX = 255, PORT_MAX = 65535, PORT_DIGITS_MAX = 5 };

/* ":digits" or nothing; a lone colon is legal (RFC 3986 3.2.3). */
static bool port_is_valid(const char *p, size_t len, bool required)
{
    unsigned value = 0;
    if (len == 0)
        return !required;
    if (p[0] != ':' || len > 1 + PORT_DIGITS_MAX || (required && len == 1))
        return false;
    for (size_t i = 1; i < len; i++) {
        if (p[i] < '0' || p[i] > '9')
            return false;
        value = value * 10 + (unsigned)(p[i] - '0');
    }
    return value <= PORT_MAX;
}

static bool ip6_is_valid(const char *p, size_t len)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr addr;
    if (len >= sizeof text)
        return false;
    memcpy(text, p, len);
    text[len] = '\0';
    return inet_pton(AF_INET6, text, &addr) == 1;
}

/* RFC 3986's reg-name, and no empty label: single dots between labels, one may end the name. */
static bool name_is_valid(const char *p, size_t len)
{
    bool in_label = false;
    if (len == 0 || len > HOST_BYTES_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        unsigned char ch = (unsigned char)p[i];
        if (ch == '.') {
            if (!in_label)
                return false;
            in_label = false;
        } else if (ch < 0x80 && (isalnum(ch) || strchr("-_~!$&'()*+,;=", ch))) {
            in_label = true;
        } else if (ch == '%' && len - i > 2 && isxdigit((unsigned char)p[i + 1]) &&
                   isxdigit((unsigned char)p[i + 2])) {
            in_label = true;
            i += 2;
        } else {
            return false;
        }
    }
    return true;
}

bool http_rules_host_is_valid(const char *host, size_t len, bool port_required)
{
    if (len && host[0] == '[') {
        const char *close = memchr(host, ']', len);
        if (!close)
            return false;
        size_t inside = (size_t)(close - host) - 1;
        return ip6_is_valid(host + 1, inside) &&
               port_is_valid(close + 1, len - inside - 2, port_required);
    }
    const char *colon = memchr(host, ':', len);
    size_t name = colon ? (size_t)(colon - host) : len;
    return name_is_valid(host, name) && port_is_valid(host + name, len - name, port_required);
}

static int refusal(int status, const char *reason, const char **out)
{
    *out = reason;
    return status;
}

static int check_host(struct edge_http_request *req, const char **reason)
{
    size_t hosts = 0;
    char *head = base_buf_at(&req->head);
    for (size_t i = 0; i < req->fields_count; i++) {
        if (strcasecmp(head + req->fields[i].name, "host") == 0) {
            req->host = req->fields[i].value;
            hosts++;
        }
    }
    if (hosts > 1)
        return refusal(400, "more than one Host field", reason);
    if (hosts == 0 && !req->http10)
        return refusal(400, "no Host field", reason);
    if (hosts && !http_rules_host_is_valid(head + req->host, strlen(head + req->host), false))
        return refusal(400, "invalid Host field", reason);
    return 0;
}

static int check_transfer_encoding(struct edge_http_request *req, const llhttp_t *ll,
                                   const char **reason)
{
    const char *coding = NULL;
    const char *head = base_buf_at(&req->head);
    for (size_t i = 0; i < req->fields_count; i++) {
        if (strcasecmp(head + req->fields[i].name, "transfer-encoding") != 0)
            continue;
        if (coding)
            return refusal(400, "more than one Transfer-Encoding field", reason);
        coding = head + req->fields[i].value;
    }
    if (!coding)
        return 0;
    if (req->http10)
        return refusal(400, "Transfer-Encoding on HTTP/1.0", reason);
    if (ll->flags & F_CONTENT_LENGTH)
        return refusal(400, "Transfer-Encoding with Content-Length", reason);
    if (strcasecmp(coding, "chunked") != 0)
        return refusal(501, "transfer coding other than chunked", reason);
    return 0;
}

/* "http://host/path?query": checks the host and finds the path; both stay where they are, cut apart
 * by moving the host one byte to the left, over the last '/' of "://". */
static int split_absolute(struct edge_http_request *req, const char **reason)
{
    char *head = base_buf_at(&req->head);
    size_t scheme = strncasecmp(head, "http://", 7) == 0    ? 7
                    : strncasecmp(head, "https://", 8) == 0 ? 8
                                                            : 0;
    if (!scheme)
        return refusal(400, "target is neither a path nor an http URL", reason);
    size_t len = strcspn(head + scheme, "/?");
    if (!http_rules_host_is_valid(head + scheme, len, false))
        return refusal(400, "invalid host in the URL", reason);
    memmove(head + scheme - 1, head + scheme, len);
    head[scheme - 1 + len] = '\0';
    req->host = (uint32_t)(scheme - 1);
    req->path = (uint32_t)(scheme + len);
    return 0;
}

static int check_target(struct edge_http_request *req, const llhttp_t *ll, const char **reason)
{
    char *head = base_buf_at(&req->head);
    if (strchr(head, '#'))
        return refusal(400, "fragment in the target", reason);
    req->path = 0;
    if (strcmp(head, "*") == 0) {
        if (ll->method != HTTP_OPTIONS)
            return refusal(400, "target * without OPTIONS", reason);
    } else if (head[0] != '/') {
        int status = split_absolute(req, reason);
        if (status)
            return status;
    }
    char *question = strchr(head + req->path, '?');
    req->query = (uint32_t)(req->path + strlen(head + req->path));
    if (question) {
        *question = '\0';
        req->query = (uint32_t)(question + 1 - head);
    }
    return 0;
}

static int check_method(const struct edge_http_request *req, const llhttp_t *ll,
                        const char **reason)
{
    const char *target = req->head.base + req->head.off;
    if (ll->method == HTTP_TRACE)
        return refusal(405, "TRACE is not served", reason);
    if (ll->method != HTTP_CONNECT)
        return 0;
    if (!http_rules_host_is_valid(target, strlen(target), true))
        return refusal(400, "CONNECT without host and port", reason);
    return refusal(405, "CONNECT is not served", reason);
}

/* TE: a list of codings that the client takes; only `trailers` matters here. */
static bool takes_trailers(const struct edge_http_request *req)
{
    const char *list = req->http10 ? NULL : edge_http_request_header(req, "te");
    const char *token;
    size_t len;
    while (list && (token = http_request_next_token(&list, &len))) {
        if (len == 8 && strncasecmp(token, "trailers", 8) == 0)
            return true;
    }
    return false;
}

int http_rules_check(struct edge_http_request *req, const llhttp_t *ll, const char **reason)
{
    if (ll->http_major != 1 || ll->http_minor > 1)
        return refusal(505, "only HTTP/1.1 and HTTP/1.0 are spoken here", reason);
    req->http10 = ll->http_minor == 0;
    req->method = ll->method;
    int status = check_method(req, ll, reason);
    if (status == 0)
        status = check_host(req, reason);
    if (status == 0)
        status = check_target(req, ll, reason);
    if (status == 0)
        status = check_transfer_encoding(req, ll, reason);
    if (status == 0)
        req->trailers = takes_trailers(req);
    return status;
}
