/* SPDX-License-Identifier: Apache-2.0
 * The table of roles, and the two walks over it: everything of a new cluster, or one thing more.
 * The first walk is done twice: once to look for files in the way, once to write.
 */
#include "tools/certs/layout.h"
#include "tools/certs/store.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum ca { CA_PEER, CA_CLIENT, CA_WEB, CA_COUNT };

static const struct {
    const char *file;        /* FILE.crt and FILE.key */
    const char *common_name; /* what a reader of a certificate sees as its issuer */
} cas[CA_COUNT] = {
    [CA_PEER] = {"peer-ca", "peer-ca.holdfast"},
    [CA_CLIENT] = {"client-ca", "client-ca.holdfast"},
    [CA_WEB] = {"web-ca", "web-ca.holdfast"},
};

/* One row is one certificate. A node has two rows. */
struct role {
    enum certs_kind kind;
    enum ca ca;
    unsigned usage;
    const char *domain; /* the common name is NAME.domain, which is a DNS host of it too */
    const char *suffix; /* of the file's name, before .pem or .crt and .key */
    bool split;         /* certificate and key in files of their own */
    bool web;           /* takes the hosts API clients know it by */
};

static const struct role roles[] = {
    {CERTS_KIND_NODE, CA_PEER, CERTS_SERVER | CERTS_CLIENT, "peer.holdfast", "", false, false},
    {CERTS_KIND_NODE, CA_CLIENT, CERTS_SERVER, "ledger.holdfast", "-client", false, false},
    {CERTS_KIND_EDGE, CA_CLIENT, CERTS_CLIENT, "edge.holdfast", "", false, false},
    {CERTS_KIND_CTL, CA_CLIENT, CERTS_CLIENT, "ctl.holdfast", "", false, false},
    {CERTS_KIND_WEB, CA_WEB, CERTS_SERVER, "web.holdfast", "-web", true, true},
};
#define ROLES (sizeof roles / sizeof roles[0])

static const char *const web_hosts[] = {"localhost", "127.0.0.1", "::1"};
#define WEB_HOSTS (sizeof web_hosts / sizeof web_hosts[0])

/* A walk: where it writes, with which CAs, and what it wrote. Only looking when `look` is set. */
struct walk {
    const struct certs_options *options;
    struct certs_pair ca[CA_COUNT];
    struct certs_files *files;
    struct certs_error *error;
    bool look;
};

int certs_kind_parse(const char *name, enum certs_kind *kind)
{
    static const char *const names[] = {[CERTS_KIND_NODE] = "node",
                                        [CERTS_KIND_EDGE] = "edge",
                                        [CERTS_KIND_CTL] = "ctl",
                                        [CERTS_KIND_WEB] = "web"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) == 0) {
            *kind = (enum certs_kind)i;
            return 0;
        }
    }
    return -EINVAL;
}

/* Looks for, or writes, DIR/STEM+SUFFIX+EXTENSION. */
static int put_file(struct walk *walk, const char *stem, const char *suffix, const char *extension,
                    const char *text, mode_t mode)
{
    char name[CERTS_FILE_MAX];
    const struct certs_options *options = walk->options;
    int rc;
    int len = snprintf(name, sizeof name, "%s%s%s", stem, suffix, extension);
    if (len < 0 || (size_t)len >= sizeof name || walk->files->n == CERTS_FILES_MAX)
        return certs_fail(walk->error, -EINVAL, "the name %.80s is too long", stem);
    if (walk->look)
        return options->force ? 0 : certs_store_absent(options->dir, name, walk->error);
    rc = certs_store_write(options->dir, name, text, mode, options->force, walk->error);
    if (rc == 0)
        memcpy(walk->files->name[walk->files->n++], name, (size_t)len + 1);
    return rc;
}

static int put_ca(struct walk *walk, enum ca ca)
{
    struct certs_pair *pair = &walk->ca[ca];
    int rc = walk->look ? 0 : certs_ca_make(cas[ca].common_name, pair, walk->error);
    if (rc == 0)
        rc = put_file(walk, cas[ca].file, "", ".crt", pair->cert_pem, 0644);
    if (rc == 0)
        rc = put_file(walk, cas[ca].file, "", ".key", pair->key_pem, 0600);
    return rc;
}

/* Certificate, then key, in one file. */
static int put_bundle(struct walk *walk, const struct role *role, const char *name,
                      const struct certs_pair *pair)
{
    static char bundle[2 * CERTS_PEM_MAX]; /* one thread; wiped below */
    int rc;
    snprintf(bundle, sizeof bundle, "%s%s", pair->cert_pem, pair->key_pem);
    rc = put_file(walk, name, role->suffix, ".pem", bundle, 0600);
    explicit_bzero(bundle, sizeof bundle);
    return rc;
}

static int issue(const struct walk *walk, const struct role *role, const char *name,
                 struct certs_pair *pair)
{
    const struct certs_options *options = walk->options;
    const char *hosts[CERTS_HOSTS_MAX];
    char common_name[CERTS_NAME_MAX + 1];
    size_t n = 0;
    int len = snprintf(common_name, sizeof common_name, "%s.%s", name, role->domain);
    if (len < 0 || (size_t)len >= sizeof common_name)
        return certs_fail(walk->error, -EINVAL, "the name %.80s is too long for a certificate",
                          name);
    hosts[n++] = common_name;
    if (role->web) {
        for (size_t i = 0; i < WEB_HOSTS; i++)
            hosts[n++] = web_hosts[i];
        if (options->n_hosts > CERTS_HOSTS_MAX - n)
            return certs_fail(walk->error, -EINVAL, "more than %zu hosts", CERTS_HOSTS_MAX - n);
        for (size_t i = 0; i < options->n_hosts; i++)
            hosts[n++] = options->hosts[i];
    }
    return certs_issue(&walk->ca[role->ca],
                       &(struct certs_request){.common_name = common_name,
                                               .hosts = hosts,
                                               .n_hosts = n,
                                               .usage = role->usage,
                                               .days = options->days},
                       pair, walk->error);
}

static int put_role(struct walk *walk, const struct role *role, const char *name)
{
    struct certs_pair pair = {.cert_pem = "", .key_pem = ""};
    int rc = walk->look ? 0 : issue(walk, role, name, &pair);
    if (rc == 0 && !role->split)
        rc = put_bundle(walk, role, name, &pair);
    if (rc == 0 && role->split)
        rc = put_file(walk, name, role->suffix, ".crt", pair.cert_pem, 0644);
    if (rc == 0 && role->split)
        rc = put_file(walk, name, role->suffix, ".key", pair.key_pem, 0600);
    certs_pair_close(&pair);
    return rc;
}

static int put_kind(struct walk *walk, enum certs_kind kind, const char *name)
{
    for (size_t i = 0; i < ROLES; i++) {
        if (roles[i].kind == kind) {
            int rc = put_role(walk, &roles[i], name);
            if (rc != 0)
                return rc;
        }
    }
    return 0;
}

static int put_numbered(struct walk *walk, enum certs_kind kind, const char *what, int count)
{
    for (int i = 1; i <= count; i++) {
        char name[32];
        int rc;
        snprintf(name, sizeof name, "%s-%d", what, i);
        if ((rc = put_kind(walk, kind, name)) != 0)
            return rc;
    }
    return 0;
}

static int put_cluster(struct walk *walk, int nodes, int edges)
{
    int rc = 0;
    for (int ca = 0; ca < CA_COUNT && rc == 0; ca++)
        rc = put_ca(walk, (enum ca)ca);
    if (rc == 0)
        rc = put_numbered(walk, CERTS_KIND_NODE, "node", nodes);
    if (rc == 0)
        rc = put_numbered(walk, CERTS_KIND_EDGE, "edge", edges);
    if (rc == 0)
        rc = put_numbered(walk, CERTS_KIND_WEB, "edge", edges);
    if (rc == 0)
        rc = put_kind(walk, CERTS_KIND_CTL, "ctl");
    return rc;
}

/* Forgets the CAs' keys and, where nothing was replaced, takes back what a failed walk wrote. */
static int walk_close(struct walk *walk, int rc)
{
    for (int ca = 0; ca < CA_COUNT; ca++)
        certs_pair_close(&walk->ca[ca]);
    if (rc != 0 && !walk->options->force) {
        while (walk->files->n > 0)
            certs_store_remove(walk->options->dir, walk->files->name[--walk->files->n]);
    }
    return rc;
}

int certs_layout_init(const struct certs_options *options, int nodes, int edges,
                      struct certs_files *files, struct certs_error *error)
{
    struct walk walk = {.options = options, .files = files, .error = error, .look = true};
    int rc;

    files->n = 0;
    if (nodes < 1 || nodes > CERTS_NODES_MAX)
        return certs_fail(error, -EINVAL, "a cluster has 1 to %d ledger nodes, not %d",
                          CERTS_NODES_MAX, nodes);
    if (edges < 0 || edges > CERTS_EDGES_MAX)
        return certs_fail(error, -EINVAL, "0 to %d edges can be made at once, not %d",
                          CERTS_EDGES_MAX, edges);
    rc = certs_store_folder(options->dir, error);
    if (rc == 0)
        rc = put_cluster(&walk, nodes, edges);
    walk.look = false;
    if (rc == 0)
        rc = put_cluster(&walk, nodes, edges);
    return walk_close(&walk, rc);
}

static int load_ca(struct walk *walk, enum ca ca)
{
    char file[CERTS_FILE_MAX];
    int rc;
    snprintf(file, sizeof file, "%s.crt", cas[ca].file);
    rc = certs_store_read(walk->options->dir, file, walk->ca[ca].cert_pem, CERTS_PEM_MAX,
                          walk->error);
    snprintf(file, sizeof file, "%s.key", cas[ca].file);
    if (rc == 0)
        rc = certs_store_read(walk->options->dir, file, walk->ca[ca].key_pem, CERTS_PEM_MAX,
                              walk->error);
    return rc;
}

int certs_layout_issue(const struct certs_options *options, enum certs_kind kind, const char *name,
                       struct certs_files *files, struct certs_error *error)
{
    struct walk walk = {.options = options, .files = files, .error = error, .look = true};
    int rc;

    files->n = 0;
    rc = certs_name_check(name, error);
    for (size_t i = 0; i < ROLES && rc == 0; i++) {
        if (roles[i].kind == kind)
            rc = load_ca(&walk, roles[i].ca);
    }
    if (rc == 0)
        rc = put_kind(&walk, kind, name);
    walk.look = false;
    if (rc == 0)
        rc = put_kind(&walk, kind, name);
    return walk_close(&walk, rc);
}
