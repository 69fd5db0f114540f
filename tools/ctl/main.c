/* SPDX-License-Identifier: Apache-2.0
 * holdfastctl: finds the noun and the verb, reads their options, runs the action, prints.
 */
#include "tools/ctl/cmd_certs.h"
#include "tools/ctl/ctl.h"

#include "proto/base/log.h"

#include <stdio.h>

/* `certs` reads its own command line (cmd_certs.h); here for the list of commands only. */
static const struct ctl_noun certs = {
    "certs", "certificate authorities and certificates: init, issue, show", NULL};

static const struct ctl_noun *const nouns[] = {
    &ctl_noun_init,   &certs,           &ctl_noun_status,     &ctl_noun_cluster, &ctl_noun_org,
    &ctl_noun_team,   &ctl_noun_key,    &ctl_noun_budget,     &ctl_noun_price,   &ctl_noun_deposit,
    &ctl_noun_grant,  &ctl_noun_refund, &ctl_noun_chargeback, &ctl_noun_adjust,  &ctl_noun_audit,
    &ctl_noun_whoami, &ctl_noun_uuid};
enum { NOUNS = sizeof nouns / sizeof *nouns };

static bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0;
}

/* Somebody who says --json anywhere reads JSON, also if the rest cannot be understood. */
static bool wants_json(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--json") == 0)
            return true;
    return false;
}

static bool json; /* of the command line; set once, by main */

static int usage_json(const char *what, const char *word)
{
    struct ctl c = {.json = true, .doc = yyjson_mut_doc_new(NULL)};
    static const struct ctl_action none;
    c.out = yyjson_mut_obj(c.doc);
    yyjson_mut_doc_set_root(c.doc, c.out);
    int status =
        ctl_fail(&c, CTL_USAGE, "usage", "%s%s%s", what, word ? ": " : "", word ? word : "");
    status = ctl_print(&c, &none, status);
    yyjson_mut_doc_free(c.doc);
    return status;
}

static int usage(const char *what, const char *word, const char *where)
{
    if (json)
        return usage_json(what, word);
    fprintf(stderr, "holdfastctl: %s%s%s\nTry 'holdfastctl%s%s --help'.\n", what, word ? ": " : "",
            word ? word : "", where ? " " : "", where ? where : "");
    return CTL_USAGE;
}

static int help_done(void)
{
    return fflush(stdout) == 0 ? CTL_OK : CTL_USAGE;
}

static int run(const struct ctl_noun *noun, const struct ctl_action *action, int argc, char **argv)
{
    struct ctl c = {.timeout_ms = CTL_TIMEOUT_MS};
    struct ctl_args a;
    bool help;
    c.doc = yyjson_mut_doc_new(NULL);
    c.out = yyjson_mut_obj(c.doc);
    if (!c.out)
        return usage("out of memory", NULL, NULL);
    yyjson_mut_doc_set_root(c.doc, c.out);
    int status = ctl_args_read(&c, noun, action, argc, argv, &a, &help);
    c.json = c.json || (status == CTL_USAGE && json);
    if (status == CTL_OK && help) {
        ctl_help_action(noun, action);
        status = help_done();
    } else {
        if (status == CTL_OK)
            status = action->run(&c, &a);
        status = ctl_print(&c, action, status);
        if (status == CTL_USAGE && !c.json && strcmp(c.code, "usage") == 0)
            fprintf(stderr, "Try 'holdfastctl %s%s%s --help'.\n", noun->name,
                    action->verb ? " " : "", action->verb ? action->verb : "");
    }
    ctl_close(&c);
    yyjson_mut_doc_free(c.doc);
    return status;
}

static int run_noun(const struct ctl_noun *noun, int argc, char **argv)
{
    if (!noun->actions)
        return ctl_cmd_certs(argc, argv);
    if (!noun->actions[0].verb)
        return run(noun, noun->actions, argc, argv);
    if (argc < 2)
        return usage("say what to do", NULL, noun->name);
    if (is_help(argv[1])) {
        ctl_help_noun(noun);
        return help_done();
    }
    for (const struct ctl_action *action = noun->actions; action->run; action++)
        if (strcmp(action->verb, argv[1]) == 0)
            return run(noun, action, argc - 1, argv + 1);
    return usage("unknown action", argv[1], noun->name);
}

int main(int argc, char **argv)
{
    base_log_open("holdfastctl", BASE_LOG_ERROR);
    json = wants_json(argc, argv);
    if (argc < 2)
        return usage("say what to do", NULL, NULL);
    if (is_help(argv[1])) {
        ctl_help(nouns, NOUNS);
        return help_done();
    }
    if (strcmp(argv[1], "--version") == 0)
        return puts("holdfastctl " HOLDFAST_VERSION) < 0 ? CTL_USAGE : help_done();
    for (unsigned i = 0; i < NOUNS; i++)
        if (strcmp(nouns[i]->name, argv[1]) == 0)
            return run_noun(nouns[i], argc - 1, argv + 1);
    return usage(argv[1][0] == '-' ? "options come after the command" : "unknown command", argv[1],
                 NULL);
}
