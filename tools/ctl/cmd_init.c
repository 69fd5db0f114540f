/* SPDX-License-Identifier: Apache-2.0
 * holdfastctl init: a new cluster on disk: identity, operator token, certificates, configuration.
 * Nothing is overwritten; what this run wrote is taken back when it fails.
 */
#include "tools/ctl/init.h"

#include "tools/certs/store.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the files ---- */
struct written {
    const struct init_plan *plan;
    char name[4 + LINK_NODES_MAX + INIT_EDGES_MAX][32];
    unsigned n;
    yyjson_mut_val *list;
};

static int fail_certs(struct ctl *c, const struct certs_error *why)
{
    return ctl_fail(c, CTL_USAGE, "files", "%s", why->text);
}

static int write_text(struct ctl *c, struct written *w, const char *name, const char *text,
                      mode_t mode)
{
    struct certs_error why;
    if (certs_store_write(w->plan->out, name, text, mode, false, &why))
        return fail_certs(c, &why);
    snprintf(w->name[w->n++], sizeof w->name[0], "%s", name);
    yyjson_mut_arr_add_strcpy(c->doc, w->list, name);
    return CTL_OK;
}

typedef void text_of(FILE *f, const struct init_plan *p, unsigned i);

static void text_cluster(FILE *f, const struct init_plan *p, unsigned i)
{
    (void)i;
    init_text_cluster(f, p);
}
static void text_ctl(FILE *f, const struct init_plan *p, unsigned i)
{
    (void)i;
    init_text_ctl(f, p);
}

static int write_file(struct ctl *c, struct written *w, const char *name, text_of *fn, unsigned i)
{
    char text[INIT_TEXT_MAX] = "";
    FILE *f = fmemopen(text, sizeof text, "w");
    if (!f)
        return ctl_fail(c, CTL_USAGE, "files", "%s: %s", name, strerror(errno));
    fn(f, w->plan, i);
    bool bad = fflush(f) != 0;
    bad = fclose(f) != 0 || bad;
    if (bad || strlen(text) >= sizeof text - 1)
        return ctl_fail(c, CTL_USAGE, "files", "%s: too long", name);
    return write_text(c, w, name, text, 0644);
}

static int write_files(struct ctl *c, struct written *w, const char *token)
{
    char name[32], line[PROTO_OPERATOR_TEXT_LEN + 2];
    snprintf(line, sizeof line, "%s\n", token);
    int rv = write_text(c, w, "operator.token", line, 0600);
    explicit_bzero(line, sizeof line);
    if (rv == CTL_OK)
        rv = write_file(c, w, "cluster.conf", text_cluster, 0);
    if (rv == CTL_OK)
        rv = write_file(c, w, "ctl.conf", text_ctl, 0);
    for (unsigned i = 1; rv == CTL_OK && i <= w->plan->nodes; i++) {
        snprintf(name, sizeof name, "node-%u.conf", i);
        rv = write_file(c, w, name, init_text_node, i);
    }
    for (unsigned i = 1; rv == CTL_OK && i <= w->plan->edges; i++) {
        snprintf(name, sizeof name, "edge-%u.conf", i);
        rv = write_file(c, w, name, init_text_edge, i);
    }
    return rv;
}

static int absent(struct ctl *c, const struct init_plan *p, const char *name)
{
    struct certs_error why;
    int rv = certs_store_absent(p->out, name, &why);
    if (rv == -EEXIST)
        return ctl_fail(c, CTL_USAGE, "files", "%s/%s exists: init overwrites nothing", p->out,
                        name);
    return rv ? fail_certs(c, &why) : CTL_OK;
}

/* Is one of the files there already? */
static int all_absent(struct ctl *c, const struct init_plan *p)
{
    static const char *const fixed[] = {"operator.token", "cluster.conf", "ctl.conf", "certs"};
    char name[32];
    int rv = CTL_OK;
    for (unsigned i = 0; rv == CTL_OK && i < sizeof fixed / sizeof *fixed; i++)
        rv = absent(c, p, fixed[i]);
    for (unsigned i = 1; rv == CTL_OK && i <= p->nodes + p->edges; i++) {
        bool node = i <= p->nodes;
        snprintf(name, sizeof name, "%s-%u.conf", node ? "node" : "edge", node ? i : i - p->nodes);
        rv = absent(c, p, name);
    }
    return rv;
}

/* The folder above the nodes' own ones; each node makes its own. */
static int data_folder(struct ctl *c, const struct init_plan *p)
{
    char path[CERTS_PATH_MAX];
    int n = p->data[0] == '/' ? snprintf(path, sizeof path, "%s", p->data)
                              : snprintf(path, sizeof path, "%s/%s", p->out, p->data);
    if (n >= (int)sizeof path)
        return ctl_fail(c, CTL_USAGE, "usage", "--data: the path is too long");
    if (mkdir(path, 0700) && errno != EEXIST)
        return ctl_fail(c, CTL_USAGE, "files", "%s: %s", path, strerror(errno));
    return CTL_OK;
}

static int write_certs(struct ctl *c, const struct ctl_args *a, struct written *w)
{
    static struct certs_files files;
    struct certs_error why;
    const char *hosts[CERTS_HOSTS_MAX];
    const char *items[INIT_LIST_MAX];
    char dir[CERTS_PATH_MAX], text[INIT_LIST_TEXT];
    struct certs_options options = {.dir = dir, .hosts = hosts, .days = CERTS_DAYS_DEFAULT};
    snprintf(text, sizeof text, "%s", ctl_given(a, "web-hosts") ? ctl_arg(a, "web-hosts") : "");
    int n = init_split(text, items);
    if (n < 0 || n >= CERTS_HOSTS_MAX - 3)
        return ctl_fail(c, CTL_USAGE, "usage", "--web-hosts: too many");
    for (int i = 0; i < n; i++)
        hosts[options.n_hosts++] = items[i];
    const char *own = w->plan->edge_host;
    if (strcmp(own, "127.0.0.1") != 0 && strcmp(own, "::1") != 0 && strcmp(own, "localhost") != 0 &&
        strcmp(own, "0.0.0.0") != 0 && strcmp(own, "::") != 0)
        hosts[options.n_hosts++] = own;
    if (snprintf(dir, sizeof dir, "%s/certs", w->plan->out) >= (int)sizeof dir)
        return ctl_fail(c, CTL_USAGE, "usage", "--out: the path is too long");
    if (certs_layout_init(&options, (int)w->plan->nodes, (int)w->plan->edges, &files, &why))
        return fail_certs(c, &why);
    for (size_t i = 0; i < files.n; i++) {
        char name[CERTS_FILE_MAX + 8];
        snprintf(name, sizeof name, "certs/%s", files.name[i]);
        yyjson_mut_arr_add_strcpy(c->doc, w->list, name);
    }
    return CTL_OK;
}

static void report(struct ctl *c, const struct init_plan *p, struct written *w)
{
    char text[300];
    out_text(c, c->out, "dir", p->out);
    out_uuid(c, c->out, "cluster", &p->cluster);
    yyjson_mut_val *edges = out_list(c, "edges"), *ledger = out_list(c, "ledger");
    for (unsigned i = 0; i < p->edges; i++) {
        char url[320];
        init_address(text, sizeof text, p->edge_host, p->edge_port[i]);
        snprintf(url, sizeof url, "%s://%s", p->plain_http ? "http" : "https", text);
        yyjson_mut_arr_add_strcpy(c->doc, edges, url);
    }
    for (unsigned i = 0; i < p->nodes; i++) {
        init_address(text, sizeof text, p->node_host[i], p->client_port[i]);
        yyjson_mut_arr_add_strcpy(c->doc, ledger, text);
    }
    if (p->nodes % 2 == 0)
        out_text(c, c->out, "notice",
                 "an even number of nodes bears no more losses than one node less");
    snprintf(text, sizeof text, "holdfast-ledger --config %.200s/node-1.conf --init-if-empty",
             p->out);
    out_text(c, c->out, "next", text);
    if (c->json)
        yyjson_mut_obj_add_val(c->doc, c->out, "files", w->list);
}

static int init(struct ctl *c, const struct ctl_args *a)
{
    static struct init_plan p;
    static struct written w;
    char hosts[INIT_LIST_TEXT], token[PROTO_OPERATOR_TEXT_LEN + 1];
    struct certs_error why;
    uint8_t random[32];
    w = (struct written){.plan = &p, .list = yyjson_mut_arr(c->doc)};
    int rv = init_plan_read(c, a, &p, hosts);
    if (rv != CTL_OK)
        return rv;
    link_uuid7(&p.cluster);
    link_random(p.seed.b, sizeof p.seed.b);
    link_random(random, sizeof random);
    proto_operator_make(random, token);
    explicit_bzero(random, sizeof random);
    proto_key_hash(proto_str_of(token), &p.operator_hash);
    proto_sha256_of(p.operator_hash.b, sizeof p.operator_hash.b, &p.operator_hash);
    if (certs_store_folder(p.out, &why))
        rv = fail_certs(c, &why);
    if (rv == CTL_OK)
        rv = all_absent(c, &p);
    if (rv == CTL_OK)
        rv = data_folder(c, &p);
    if (rv == CTL_OK)
        rv = write_files(c, &w, token);
    if (rv == CTL_OK)
        rv = write_certs(c, a, &w); /* last: it takes its own files back */
    for (unsigned i = 0; rv != CTL_OK && i < w.n; i++)
        certs_store_remove(p.out, w.name[i]);
    if (rv == CTL_OK) {
        report(c, &p, &w);
        if (ctl_given(a, "print-token"))
            out_text(c, c->out, "operator_token", token);
    }
    explicit_bzero(token, sizeof token);
    return rv;
}

static const struct ctl_option options[] = {
    {"out", "DIR", true, "the folder; made if it is not there"},
    {"nodes", "N", false, "ledger nodes (default 3)"},
    {"edges", "N", false, "edges (default 2)"},
    {"host", "HOST", false, "where all of them listen (default 127.0.0.1)"},
    {"node-hosts", "A,B,C", false, "where each node listens, on a machine of its own"},
    {"edge-host", "HOST", false, "where the edges listen (default: --host)"},
    {"web-hosts", "A,B", false, "more names for the edges' web certificates"},
    {"base-port", "N", false, "ports from there on (default 7400)"},
    {"ports", "P,P,P|auto", false,
     "peer and client port of each node, then the edges; or free ones"},
    {"data", "DIR", false, "folder of the nodes' data, relative to --out (default data)"},
    {"provider-name", "NAME", false, "what the provider is called (default openai)"},
    {"provider-url", "URL", false, "its base URL (default https://api.openai.com/v1)"},
    {"provider-key-env", "VAR", false, "environment variable with its key"},
    {"trust-cost", NULL, false, "charge the cost that the provider itself reports"},
    {"plain-http", NULL, false, "edges without TLS, for trying things out"},
    {"print-token", NULL, false, "print the operator token too"},
    {0}};
static const struct ctl_action actions[] = {
    {NULL, "Makes a new cluster: identity, operator token, certificates, configuration files.",
     NULL, options, NULL, NULL, init,
     "The operator token is in DIR/operator.token. Whoever has it can do everything.\n"
     "Nothing that exists is overwritten.\n"},
    {0}};
const struct ctl_noun ctl_noun_init = {
    "init", "a new cluster's files: configuration and certificates", actions};
