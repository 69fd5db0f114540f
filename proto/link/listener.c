/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/link/listener.h"

#include "proto/base/log.h"

#include <errno.h>
#include <netdb.h>
#include <nng/supplemental/util/platform.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

static const char NO_TLS[] = "this is no TLS, and is to be counted as such\n";

static int fail(char error[256], const char *address, const char *what, int rv)
{
    (void)snprintf(error, 256, "%.199s: %s: %.40s", address, what, nng_strerror(rv));
    return rv == NNG_ENOMEM ? -ENOMEM : rv == NNG_EADDRINUSE ? -EADDRINUSE : -EINVAL;
}

static int start(struct link_listener *l, char error[256])
{
    char url[LINK_ADDRESS_MAX + 16];
    (void)snprintf(url, sizeof url, "tls+tcp://%s", l->address);
    int rv = nng_listener_create(&l->nng, l->socket, url);
    if (rv != 0)
        return fail(error, l->address, "listener", rv);
    int code = link_tls_listener(l->nng, &l->files, error);
    if (code == 0 && (rv = nng_listener_start(l->nng, 0)) != 0)
        code = fail(error, l->address, "listen", rv);
    l->listening = code == 0;
    if (code != 0)
        (void)nng_listener_close(l->nng);
    return code;
}

/* Once, at the start: a name is not asked for again while the node works. */
static void find_self(struct link_listener *l)
{
    char host[LINK_ADDRESS_MAX];
    (void)snprintf(host, sizeof host, "%s", l->address);
    char *colon = strrchr(host, ':');
    if (colon == NULL)
        return;
    *colon = '\0';
    char *name = host;
    size_t n = strlen(host);
    if (n > 1 && host[0] == '[' && host[n - 1] == ']') {
        host[n - 1] = '\0';
        name = host + 1;
    }
    struct addrinfo *found, hints = {.ai_socktype = SOCK_STREAM};
    if (getaddrinfo(name, colon + 1, &hints, &found) != 0)
        return;
    memcpy(&l->self, found->ai_addr, found->ai_addrlen);
    l->self_len = found->ai_addrlen;
    freeaddrinfo(found);
}

int link_listener_open(struct link_listener *l, nng_socket socket, const char *address,
                       const struct link_tls_files *files, char error[256])
{
    *l = (struct link_listener){.socket = socket, .files = *files, .probe = -1};
    if ((size_t)snprintf(l->address, sizeof l->address, "%s", address) >= sizeof l->address)
        return fail(error, "address", "too long", NNG_EADDRINVAL);
    find_self(l);
    return start(l, error);
}

/* ---- what NNG counts ---- */

/* The scope of our listener: the one whose child `id` is its number. */
static nng_stat *find_scope(nng_stat *in, uint64_t id)
{
    for (nng_stat *s = nng_stat_child(in); s != NULL; s = nng_stat_next(s)) {
        if (nng_stat_type(s) != NNG_STAT_SCOPE)
            continue;
        if (strncmp(nng_stat_name(s), "listener", 8) == 0)
            for (nng_stat *c = nng_stat_child(s); c != NULL; c = nng_stat_next(c))
                if (strcmp(nng_stat_name(c), "id") == 0 && nng_stat_value(c) == id)
                    return s;
        nng_stat *below = find_scope(s, id);
        if (below != NULL)
            return below;
    }
    return NULL;
}

static bool count(const struct link_listener *l, struct link_counts *out)
{
    static const char *const alive[] = {"accept", "auth", "disconnect", "timeout", "proto"};
    nng_stat *all;
    *out = (struct link_counts){0};
    if (nng_stats_get(&all) != 0)
        return false;
    nng_stat *scope = find_scope(all, (uint64_t)nng_listener_id(l->nng));
    for (nng_stat *c = scope ? nng_stat_child(scope) : NULL; c != NULL; c = nng_stat_next(c)) {
        if (strcmp(nng_stat_name(c), "other") == 0)
            out->other = nng_stat_value(c);
        for (size_t i = 0; i < sizeof alive / sizeof *alive; i++)
            if (strcmp(nng_stat_name(c), alive[i]) == 0)
                out->alive += nng_stat_value(c);
    }
    nng_stats_free(all);
    return scope != NULL;
}

/* ---- the probe ---- */

static void end_probe(struct link_listener *l)
{
    if (l->probe >= 0)
        (void)close(l->probe);
    l->probe = -1;
}

static bool send_probe(struct link_listener *l)
{
    const struct timeval patience = {.tv_usec = 100000};
    end_probe(l);
    l->probe = socket(l->self.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return l->probe >= 0 &&
           setsockopt(l->probe, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) == 0 &&
           connect(l->probe, (const struct sockaddr *)&l->self, l->self_len) == 0 &&
           send(l->probe, NO_TLS, sizeof NO_TLS - 1, MSG_NOSIGNAL) > 0;
}

static void open_anew(struct link_listener *l)
{
    char error[256] = "";
    if (l->listening)
        (void)nng_listener_close(l->nng);
    l->listening = false;
    int rv = start(l, error);
    base_log(rv == 0 ? BASE_LOG_WARN : BASE_LOG_ERROR, "port opened anew",
             BASE_S("address", l->address), BASE_S("failure", error), NULL);
    if (rv != 0)
        l->look_ms += LINK_LISTENER_RETRY_MS;
    l->counts = (struct link_counts){0};
    l->state = LINK_LISTENER_SOUND;
    end_probe(l);
}

static void judge(struct link_listener *l, uint64_t now_ms)
{
    struct link_counts now;
    if (!count(l, &now))
        return; /* an NNG without statistics */
    bool worse = now.other != l->counts.other, lives = now.alive != l->counts.alive;
    switch (l->state) {
    case LINK_LISTENER_SOUND:
        if (worse)
            l->state = LINK_LISTENER_SUSPECT; /* after errors NNG pauses for 100 ms: wait for it */
        break;
    case LINK_LISTENER_SUSPECT:
        if (worse)
            break;
        l->state = LINK_LISTENER_SOUND;
        if (!lives && l->self_len > 0) {
            l->state = LINK_LISTENER_PROBED; /* also where even the connection fails */
            l->probed_ms = now_ms;
            (void)send_probe(l);
        }
        break;
    case LINK_LISTENER_PROBED:
        if (worse || lives)
            l->state = worse ? LINK_LISTENER_SUSPECT : LINK_LISTENER_SOUND;
        else if (now_ms - l->probed_ms >= LINK_LISTENER_PROBE_MS) {
            open_anew(l);
            return;
        } else {
            return;
        }
        end_probe(l);
        break;
    }
    l->counts = now;
}

void link_listener_tend(struct link_listener *l)
{
    uint64_t now_ms = nng_clock();
    if (now_ms - l->look_ms < LINK_LISTENER_LOOK_MS)
        return;
    l->look_ms = now_ms;
    if (l->listening)
        judge(l, now_ms);
    else
        open_anew(l);
}

void link_listener_close(struct link_listener *l)
{
    end_probe(l);
}
