/* SPDX-License-Identifier: Apache-2.0
 * The connection of holdfastctl: configuration, credential, one command or query at a time, waited
 * for. What the link client hands out during a callback is copied or consumed there.
 */
#include "tools/ctl/nodes.h"

#include "proto/key.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TOKEN_FILE_MAX = 512, PATH_TEXT_MAX = 4096, WAIT_SLACK_MS = 2000, ASK_NODES_MS = 1000 };

/* ---- configuration ---- */
static int read_token(struct ctl *c, const char *path)
{
    char text[TOKEN_FILE_MAX + 1];
    FILE *f = fopen(path, "re");
    if (!f)
        return ctl_fail(c, CTL_USAGE, "config", "%s: %s", path, strerror(errno));
    size_t n = fread(text, 1, TOKEN_FILE_MAX, f);
    bool bad = ferror(f) || !feof(f);
    fclose(f);
    text[n] = '\0';
    text[strcspn(text, " \t\r\n")] = '\0';
    bad = bad || text[0] == '\0';
    if (!bad)
        proto_key_hash(proto_str_of(text), &c->cred);
    explicit_bzero(text, sizeof text);
    return bad ? ctl_fail(c, CTL_USAGE, "config", "%s: holds no token", path) : CTL_OK;
}

/* The file that --config, the environment or the current folder names. */
static void config_path(const struct ctl *c, char out[PATH_TEXT_MAX])
{
    const char *path = c->config ? c->config : getenv("HOLDFAST_CTL_CONF");
    struct stat st;
    if (!path || !path[0])
        path = "ctl.conf";
    bool folder = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
    snprintf(out, PATH_TEXT_MAX, "%s%s", path, folder ? "/ctl.conf" : "");
}

static int read_config(struct ctl *c, bool with_token)
{
    char path[PATH_TEXT_MAX], why[BASE_CONF_ERROR];
    struct base_conf *conf;
    char *token_path = NULL;
    config_path(c, path);
    int missing = base_conf_load(&conf, path, why);
    if (missing)
        return ctl_fail(c, CTL_USAGE, "config", "%s%s", why,
                        missing == -ENOENT ? " (--config FILE or $HOLDFAST_CTL_CONF names it)"
                                           : "");
    int rv = ledger_conf_read(&c->ledger, conf, why);
    if (rv == 0)
        rv = base_conf_path_of(conf, "operator", "token_file", false, &token_path, why);
    if (rv == 0)
        rv = base_conf_done(conf, why);
    base_conf_free(conf);
    if (rv)
        rv = ctl_fail(c, CTL_USAGE, "config", "%s", why);
    else if (with_token && !c->token_file && !token_path)
        rv = ctl_fail(c, CTL_USAGE, "config", "%s: [operator] token_file is missing", path);
    else if (with_token)
        rv = read_token(c, c->token_file ? c->token_file : token_path);
    free(token_path);
    return rv;
}

/* The address this machine uses towards the first node, for the audit trail; none where the name
 * does not resolve. Nothing is sent. */
static void own_address(struct ctl *c)
{
    char host[PROTO_NAME_MAX + 1];
    uint16_t port;
    struct addrinfo *list = NULL, hints = {.ai_socktype = SOCK_DGRAM};
    if (c->ledger.cluster.n_nodes == 0 ||
        !base_address_split(c->ledger.cluster.nodes[0].client, host, sizeof host, &port) ||
        getaddrinfo(host, "9", &hints, &list) != 0)
        return;
    struct sockaddr_storage own;
    socklen_t n = sizeof own;
    int fd = socket(list->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, list->ai_addr, list->ai_addrlen) == 0 &&
        getsockname(fd, (struct sockaddr *)&own, &n) == 0) {
        if (own.ss_family == AF_INET) {
            memcpy(c->ip, &((struct sockaddr_in *)&own)->sin_addr, 4);
            c->ip_n = 4;
        } else if (own.ss_family == AF_INET6) {
            memcpy(c->ip, &((struct sockaddr_in6 *)&own)->sin6_addr, 16);
            c->ip_n = 16;
        }
    }
    if (fd >= 0)
        close(fd);
    freeaddrinfo(list);
}

int ctl_open(struct ctl *c, bool with_token)
{
    struct link_config link = {0};
    char why[256];
    if (c->link)
        return CTL_OK;
    int rv = read_config(c, with_token);
    if (rv)
        return rv;
    ledger_conf_link(&c->ledger, &link);
    if (link_client_new(&c->link, &link, why)) {
        c->link = NULL;
        return ctl_fail(c, CTL_USAGE, "config", "%s", why);
    }
    own_address(c);
    return CTL_OK;
}

void ctl_close(struct ctl *c)
{
    if (c->link)
        link_client_free(c->link);
    ledger_conf_close(&c->ledger);
    explicit_bzero(&c->cred, sizeof c->cred);
    c->link = NULL;
}

/* ---- asking ---- */
/* One request under way. */
struct waiting {
    struct ctl *c;
    bool done, bad_row;
    enum link_outcome outcome;
    char detail[LINK_DETAIL_MAX];
    /* of a command */
    struct ctl_reply *reply;
    /* of a query */
    uint16_t code;
    uint32_t next;
    ctl_row *fn;
    void *ctx;
    bool enough;
};

/* The result's views must outlive the callback: a copy of its own encoding. */
static bool keep_result(struct ctl_reply *r, const struct proto_result *from)
{
    struct proto_writer w = proto_writer_over(r->bytes, sizeof r->bytes);
    const char *error;
    return proto_result_put(&w, from) && !w.full &&
           proto_result_get(r->bytes, w.n, &r->result, &error);
}

static void take_rows(struct waiting *w, struct proto_answer *a)
{
    struct proto_str row;
    w->code = a->code;
    w->next = a->next;
    for (uint32_t i = 0; a->code == PROTO_OK && i < a->n && !w->enough; i++) {
        int rv = proto_answer_row(a, &row) ? w->fn(w->c, row, w->ctx) : -EBADMSG;
        w->bad_row = rv < 0;
        w->enough = rv != 0;
    }
}

static void on_answer(void *arg, const struct link_answer *a)
{
    struct waiting *w = arg;
    w->done = true;
    w->outcome = a->outcome;
    snprintf(w->detail, sizeof w->detail, "%s", a->detail ? a->detail : "");
    if (a->outcome != LINK_ANSWERED)
        return;
    if (w->reply) {
        w->reply->index = a->index;
        w->reply->ordinal = a->ordinal;
        w->reply->chain = a->chain;
        w->bad_row = !a->result || !keep_result(w->reply, a->result);
    } else if (a->answer) {
        take_rows(w, a->answer);
    }
}

/* Why nobody decides, as far as the nodes say; "" where there is a leader. */
static void no_leader(struct ctl *c, char out[80])
{
    struct ctl_node nodes[LINK_NODES_MAX];
    unsigned n = c->ledger.cluster.n_nodes, reachable = 0;
    out[0] = '\0';
    if (!c->link || ctl_nodes_ask(c, nodes, ASK_NODES_MS) != CTL_OK || ctl_nodes_leader(nodes, n))
        return;
    for (unsigned i = 0; i < n; i++)
        reachable += nodes[i].reachable;
    snprintf(out, 80, ": no leader, %u of %u nodes reachable", reachable, n);
}

/* Waits, and turns every outcome but an answer into an error. */
static int finish(struct ctl *c, int submitted, struct waiting *w, bool command)
{
    if (submitted)
        return ctl_fail(c, CTL_USAGE, "usage", "the request cannot be sent: %s",
                        strerror(-submitted));
    if (!link_client_wait(c->link, &w->done, c->timeout_ms + WAIT_SLACK_MS)) {
        link_client_free(c->link); /* completes it; w is still ours */
        c->link = NULL;
    }
    const char *sep = w->detail[0] ? ": " : "";
    char leaderless[80] = "";
    if (w->outcome == LINK_UNKNOWN || w->outcome == LINK_UNAVAILABLE)
        no_leader(c, leaderless);
    switch (w->outcome) {
    case LINK_ANSWERED:
        if (w->bad_row)
            return ctl_fail(c, CTL_UNAVAILABLE, "protocol",
                            "the node's answer cannot be read: other versions?");
        return CTL_OK;
    case LINK_REFUSED:
        return ctl_fail(c, CTL_USAGE, "node_refused", "the node refused the request%s%s", sep,
                        w->detail);
    case LINK_UNKNOWN:
        if (command)
            return ctl_fail(
                c, CTL_UNAVAILABLE, "outcome_unknown",
                "the ledger did not answer in time; the command may have been done%s%s%s",
                leaderless, sep, w->detail);
        break;
    case LINK_UNAVAILABLE:
        break;
    }
    return ctl_fail(c, CTL_UNAVAILABLE, "unavailable", "the ledger is not available%s%s%s",
                    leaderless, sep, w->detail);
}

static int refusal(struct ctl *c, unsigned code)
{
    return ctl_fail(c, CTL_REFUSED, proto_code_name(code), "%s (%s)", proto_code_text(code),
                    proto_code_name(code));
}

/* With what the result says about the cause. */
static int refused(struct ctl *c, const struct proto_command *command, const struct proto_result *r)
{
    char limit[PROTO_MONEY_TEXT_MAX];
    c->detail = proto_text_over(c->detail_text, sizeof c->detail_text);
    proto_result_print(&c->detail, r);
    if (r->shape == PROTO_SHAPE_because && r->body.because.reason.n > 0)
        return ctl_fail(c, CTL_REFUSED, proto_code_name(r->code), "%s: %.*s (%s)",
                        proto_code_text(r->code), (int)r->body.because.reason.n,
                        r->body.because.reason.p, proto_code_name(r->code));
    if (r->shape != PROTO_SHAPE_parent)
        return refusal(c, r->code);
    proto_money_print(r->body.parent.limit, limit);
    if (command->head.kind == PROTO_CMD_budget_put &&
        r->body.parent.limit > command->body.budget_put.limit)
        return ctl_fail(c, CTL_REFUSED, proto_code_name(r->code),
                        "the limit is below that of a budget under it: budget %u allows %s; "
                        "--override sets it all the same (%s)",
                        (unsigned)r->body.parent.budget, limit, proto_code_name(r->code));
    return ctl_fail(c, CTL_REFUSED, proto_code_name(r->code),
                    "%s: budget %u allows %s; --override sets it all the same (%s)",
                    proto_code_text(r->code), (unsigned)r->body.parent.budget, limit,
                    proto_code_name(r->code));
}

int ctl_command(struct ctl *c, struct proto_command *command, struct ctl_reply *reply)
{
    int rv = ctl_open(c, true);
    if (rv)
        return rv;
    if (proto_uuid_none(&c->command_id))
        link_uuid7(&command->head.id);
    else
        command->head.id = c->command_id;
    command->head.cred = c->cred;
    command->head.ip = (struct proto_str){(const char *)c->ip, c->ip_n};
    struct waiting w = {.c = c, .reply = reply, .outcome = LINK_UNKNOWN};
    *reply = (struct ctl_reply){0};
    rv = finish(c, link_client_submit(c->link, command, c->timeout_ms, false, on_answer, &w), &w,
                true);
    if (rv) {
        out_uuid(c, c->out, "command_id", &command->head.id);
        return rv;
    }
    if (reply->result.code == PROTO_OK)
        return CTL_OK;
    if (reply->index > 0) /* else the node did not propose it: it stands nowhere */
        out_receipt(c, reply);
    return refused(c, command, &reply->result);
}

int ctl_query(struct ctl *c, unsigned kind, const struct proto_uuid *org, uint32_t after,
              bool stale, ctl_row *fn, void *ctx)
{
    struct proto_query q = {.head = {.kind = (uint8_t)kind, .cred = c->cred, .after = after}};
    if (org)
        q.head.org = *org;
    for (;;) {
        struct waiting w = {.c = c, .fn = fn, .ctx = ctx, .outcome = LINK_UNAVAILABLE};
        int rv = finish(c, link_client_query(c->link, &q, stale, c->timeout_ms, on_answer, &w), &w,
                        false);
        if (rv)
            return rv;
        if (w.code != PROTO_OK)
            return refusal(c, w.code);
        if (w.enough || w.next == 0)
            return CTL_OK;
        if (w.next <= q.head.after)
            return ctl_fail(c, CTL_UNAVAILABLE, "protocol", "the node's pages do not go on");
        q.head.after = w.next;
    }
}
