/* SPDX-License-Identifier: Apache-2.0
 * The command line of `holdfastctl certs`: reads flags, calls the layout, says what was written.
 * Runs once, on the main thread, before anything is connected.
 */
#include "tools/ctl/cmd_certs.h"
#include "tools/certs/layout.h"
#include "tools/certs/show.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <yyjson.h>

#define EXIT_USAGE 2

static const char usage_text[] =
    "usage: holdfastctl certs init --out DIR [--nodes N] [--edges N] [--host NAME]... [--days N]\n"
    "                              [--force] [--json]\n"
    "       holdfastctl certs issue --out DIR --kind node|edge|ctl|web --name NAME [--host "
    "NAME]...\n"
    "                              [--days N] [--force] [--json]\n"
    "       holdfastctl certs show DIR [--json]\n"
    "\n"
    "init makes three certificate authorities and every certificate of a new cluster:\n"
    "  peer-ca     signs node-N.pem, which ledger nodes show each other\n"
    "  client-ca   signs node-N-client.pem (a ledger node to edges and holdfastctl),\n"
    "              edge-N.pem and ctl.pem (edges and holdfastctl to a ledger node)\n"
    "  web-ca      signs edge-N-web.crt, which API clients see; give them web-ca.crt to trust\n"
    "issue makes one more from the authorities in DIR, and needs the authority's .key there.\n"
    "show lists the certificates of a folder and how many days they are still good.\n"
    "\n"
    "  --out DIR     the folder; made if it is not there\n"
    "  --nodes N     ledger nodes, 1 to 9 (default 3)\n"
    "  --edges N     edges, 0 to 64 (default 2)\n"
    "  --kind KIND   node (both of its certificates), edge, ctl, or web (what API clients see)\n"
    "  --name NAME   of what it is for, as in edge-3 or alice\n"
    "  --host NAME   a DNS name or IP address API clients reach an edge by, beside localhost;\n"
    "                can be repeated; goes into web certificates\n"
    "  --days N      how long certificates hold, 1 to 3650 (default 825); authorities hold 10 "
    "years\n"
    "  --force       replace files that exist; init with --force makes every older certificate\n"
    "                of the cluster useless\n"
    "  --json        say what was written as JSON\n"
    "\n"
    "A .pem holds a certificate and its key. Keep the .key files of the authorities off the\n"
    "machines that serve: whoever has one can join the cluster.\n"
    "Exit status: 0 done, 2 usage, or files that cannot be read or written\n";

struct certs_args {
    struct certs_options options;
    const char *hosts[CERTS_HOSTS_MAX];
    const char *kind;
    const char *name;
    int nodes;
    int edges;
    int cluster_flags; /* --nodes or --edges were given, which only init takes */
    bool help;
};

static bool json; /* of the command line, also where the rest cannot be understood */

static void print_doc(yyjson_mut_doc *doc)
{
    char *text = yyjson_mut_write(doc, YYJSON_WRITE_PRETTY, NULL);
    if (text != NULL)
        puts(text);
    free(text);
    yyjson_mut_doc_free(doc);
}

/* {"error": {"code", "message"}}, as every command's. */
static void print_error(const char *code, const char *message)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc), *error = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_str(doc, error, "code", code);
    yyjson_mut_obj_add_str(doc, error, "message", message);
    yyjson_mut_obj_add_val(doc, root, "error", error);
    print_doc(doc);
}

static int usage_error(const char *what, const char *value)
{
    char message[512];
    snprintf(message, sizeof message, "%s%s%s", what, value != NULL ? ": " : "",
             value != NULL ? value : "");
    if (json)
        print_error("usage", message);
    else
        fprintf(stderr, "holdfastctl certs: %s\nTry 'holdfastctl certs --help'.\n", message);
    return EXIT_USAGE;
}

/* The status is as of init: 1 is for the ledger's refusals. */
static int files_error(const struct certs_error *error)
{
    if (json)
        print_error("files", error->text);
    else
        fprintf(stderr, "holdfastctl certs: %s\n", error->text);
    return EXIT_USAGE;
}

static int read_count(const char *text, int *count)
{
    char *end;
    long value;
    errno = 0;
    value = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < 0 || value > 100000)
        return -EINVAL;
    *count = (int)value;
    return 0;
}

static int take_flag(struct certs_args *args, int flag, const char *value)
{
    switch (flag) {
    case 'o':
        args->options.dir = value;
        return 0;
    case 'n':
        args->cluster_flags = 1;
        return read_count(value, &args->nodes) == 0 ? 0 : usage_error("--nodes: no number", value);
    case 'e':
        args->cluster_flags = 1;
        return read_count(value, &args->edges) == 0 ? 0 : usage_error("--edges: no number", value);
    case 'd':
        return read_count(value, &args->options.days) == 0
                   ? 0
                   : usage_error("--days: no number", value);
    case 'H':
        if (args->options.n_hosts == CERTS_HOSTS_MAX)
            return usage_error("too many --host", NULL);
        args->hosts[args->options.n_hosts++] = value;
        return 0;
    case 'k':
        args->kind = value;
        return 0;
    case 'N':
        args->name = value;
        return 0;
    case 'f':
        args->options.force = true;
        return 0;
    case 'j': /* json has it */
        return 0;
    default:
        args->help = true;
        return 0;
    }
}

static int read_args(struct certs_args *args, int argc, char **argv)
{
    static const struct option flags[] = {{"out", required_argument, NULL, 'o'},
                                          {"nodes", required_argument, NULL, 'n'},
                                          {"edges", required_argument, NULL, 'e'},
                                          {"days", required_argument, NULL, 'd'},
                                          {"host", required_argument, NULL, 'H'},
                                          {"kind", required_argument, NULL, 'k'},
                                          {"name", required_argument, NULL, 'N'},
                                          {"force", no_argument, NULL, 'f'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    int flag;

    optind = 0; /* glibc: start anew, whoever called getopt before */
    opterr = 0;
    while ((flag = getopt_long(argc, argv, ":h", flags, NULL)) != -1) {
        int rc;
        if (flag == ':')
            return usage_error("a value is missing", argv[optind - 1]);
        if (flag == '?')
            return usage_error("unknown flag", argv[optind - 1]);
        if ((rc = take_flag(args, flag, optarg)) != 0)
            return rc;
    }
    if (optind < argc && !args->help)
        return usage_error("unexpected argument", argv[optind]);
    return 0;
}

static void print_json(const struct certs_args *args, const struct certs_files *files)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_val *list = yyjson_mut_arr(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_str(doc, root, "dir", args->options.dir);
    for (size_t i = 0; i < files->n; i++)
        yyjson_mut_arr_add_str(doc, list, files->name[i]);
    yyjson_mut_obj_add_val(doc, root, "files", list);
    print_doc(doc);
}

/* Says what was done, or why not. */
static int report(const struct certs_args *args, int rc, const struct certs_files *files,
                  const struct certs_error *error)
{
    if (rc != 0)
        return files_error(error);
    if (json)
        print_json(args, files);
    for (size_t i = 0; !json && i < files->n; i++)
        printf("%s/%s\n", args->options.dir, files->name[i]);
    return EXIT_SUCCESS;
}

static int run_init(const struct certs_args *args)
{
    static struct certs_files files;
    struct certs_error error;
    int rc;
    if (args->kind != NULL || args->name != NULL)
        return usage_error("--kind and --name belong to 'certs issue'", NULL);
    rc = certs_layout_init(&args->options, args->nodes, args->edges, &files, &error);
    return report(args, rc, &files, &error);
}

static bool is_node_name(const char *name)
{
    size_t n = strlen(name);
    return strncmp(name, "node-", 5) == 0 && n > 5 && name[5] != '0' &&
           strspn(name + 5, "0123456789") == n - 5;
}

static int run_issue(const struct certs_args *args)
{
    static struct certs_files files;
    struct certs_error error;
    enum certs_kind kind;
    int rc;
    if (args->cluster_flags)
        return usage_error("--nodes and --edges belong to 'certs init'", NULL);
    if (args->kind == NULL || args->name == NULL)
        return usage_error("issue needs --kind and --name", NULL);
    if (certs_kind_parse(args->kind, &kind) != 0)
        return usage_error("--kind is node, edge, ctl or web, not", args->kind);
    rc = certs_layout_issue(&args->options, kind, args->name, &files, &error);
    if (rc == 0 && kind == CERTS_KIND_NODE && !is_node_name(args->name))
        fprintf(stderr,
                "holdfastctl certs: the nodes' certificates are called node-1, node-2 and so on; "
                "cluster.conf has to\nname this one: peer_name = %s.peer.holdfast, "
                "client_name = %s.ledger.holdfast\n",
                args->name, args->name);
    return report(args, rc, &files, &error);
}

static void show_json(const struct certs_list *list, int64_t now_s)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc), *rows = yyjson_mut_arr(doc);
    yyjson_mut_doc_set_root(doc, root);
    for (size_t i = 0; i < list->n; i++) {
        const struct certs_shown *s = &list->one[i];
        char ends[32];
        struct tm tm;
        time_t t = (time_t)s->ends_s;
        strftime(ends, sizeof ends, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm));
        yyjson_mut_val *row = yyjson_mut_arr_add_obj(doc, rows);
        yyjson_mut_obj_add_strcpy(doc, row, "file", s->file);
        yyjson_mut_obj_add_strcpy(doc, row, "subject", s->subject);
        yyjson_mut_obj_add_strcpy(doc, row, "issuer", s->issuer);
        yyjson_mut_obj_add_strcpy(doc, row, "ends", ends);
        yyjson_mut_obj_add_sint(doc, row, "days_left", (s->ends_s - now_s) / 86400);
    }
    yyjson_mut_obj_add_val(doc, root, "certificates", rows);
    print_doc(doc);
}

static int run_show(const char *dir)
{
    static struct certs_list list;
    struct certs_error error;
    int64_t now_s = (int64_t)time(NULL);
    if (certs_show(dir, &list, &error) != 0)
        return files_error(&error);
    if (json) {
        show_json(&list, now_s);
        return EXIT_SUCCESS;
    }
    printf("%9s  %-10s  %-24s  %s\n", "DAYS LEFT", "ENDS", "FILE", "SUBJECT");
    for (size_t i = 0; i < list.n; i++) {
        char ends[16];
        struct tm tm;
        time_t t = (time_t)list.one[i].ends_s;
        strftime(ends, sizeof ends, "%Y-%m-%d", gmtime_r(&t, &tm));
        printf("%9lld  %-10s  %-24s  %s\n", (long long)((list.one[i].ends_s - now_s) / 86400), ends,
               list.one[i].file, list.one[i].subject);
    }
    return EXIT_SUCCESS;
}

/* show DIR [--json] */
static int read_show(int argc, char **argv)
{
    const char *dir = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return fputs(usage_text, stdout) >= 0 ? EXIT_SUCCESS : EXIT_FAILURE;
        if (strcmp(argv[i], "--json") == 0)
            continue;
        if (argv[i][0] == '-' || dir != NULL)
            return usage_error("unexpected argument", argv[i]);
        dir = argv[i];
    }
    return dir ? run_show(dir) : usage_error("show needs a folder", NULL);
}

int ctl_cmd_certs(int argc, char **argv)
{
    struct certs_args args = {.nodes = 3, .edges = 2};
    const char *action = argc > 1 ? argv[1] : NULL;
    int rc;

    json = false;
    for (int i = 1; i < argc; i++)
        json = json || strcmp(argv[i], "--json") == 0;
    args.options.days = CERTS_DAYS_DEFAULT;
    args.options.hosts = args.hosts;
    if (action == NULL)
        return usage_error("say what to do: init, issue or show", NULL);
    if (strcmp(action, "--help") == 0 || strcmp(action, "-h") == 0 || strcmp(action, "help") == 0)
        return fputs(usage_text, stdout) >= 0 ? EXIT_SUCCESS : EXIT_FAILURE;
    if (strcmp(action, "show") == 0)
        return read_show(argc - 1, argv + 1);
    if (strcmp(action, "init") != 0 && strcmp(action, "issue") != 0)
        return usage_error("init, issue or show, not", action);
    rc = read_args(&args, argc - 1, argv + 1);
    if (rc != 0)
        return rc;
    if (args.help)
        return fputs(usage_text, stdout) >= 0 ? EXIT_SUCCESS : EXIT_FAILURE;
    if (args.options.dir == NULL || args.options.dir[0] == '\0')
        return usage_error("--out DIR is missing", NULL);
    return strcmp(action, "init") == 0 ? run_init(&args) : run_issue(&args);
}
