/* SPDX-License-Identifier: Apache-2.0
 * holdfastctl budget: put, list, delete.
 */
#include "tools/ctl/ctl.h"

#include "proto/budget.h"

#include <errno.h>
#include <stdio.h>

/* ---- put ---- */
static bool scope_has_number(unsigned scope)
{
    return scope == PROTO_SCOPE_team || scope == PROTO_SCOPE_key;
}

/* A word of one of the lists; `parse` gives 0 for none. */
static int word(struct ctl *c, const struct ctl_args *a, const char *name,
                unsigned (*parse)(struct proto_str), const char *(*print)(unsigned), unsigned last,
                uint8_t *out)
{
    const char *text = ctl_arg(a, name);
    unsigned v = text ? parse(proto_str_of(text)) : *out;
    char list[128];
    struct proto_text t = proto_text_over(list, sizeof list);
    if (!text || v > 0) {
        *out = (uint8_t)v;
        return CTL_OK;
    }
    for (unsigned i = 1; i <= last; i++) {
        proto_text_put(&t, i > 1 ? ", " : "");
        proto_text_put(&t, print(i));
    }
    return ctl_fail(c, CTL_USAGE, "usage", "--%s: one of %s; not '%s'", name, list, text);
}

/* The ledger's list has more modes than are built: what would only be pretended is refused. */
static int mode(struct ctl *c, const struct ctl_args *a, uint8_t *out)
{
    const char *text = ctl_arg(a, "mode");
    unsigned v = text ? proto_mode_parse(proto_str_of(text)) : *out;
    if (text && v != PROTO_MODE_hard_block && v != PROTO_MODE_alert_only)
        return ctl_fail(c, CTL_USAGE, "usage", "--mode: one of hard_block, alert_only; %s'%s'",
                        v ? "not built yet: " : "not ", text);
    *out = (uint8_t)v;
    return CTL_OK;
}

/* The budget that --budget names, so that what is not given stays. */
struct existing {
    struct proto_budget_put *put;
    char selector[PROTO_NAME_MAX], label[PROTO_NAME_MAX];
    bool found;
};

static int existing_row(struct ctl *c, struct proto_str row, void *ctx)
{
    struct existing *e = ctx;
    struct proto_budget_row b;
    struct proto_reader r = proto_reader_over(row.p, row.n);
    (void)c;
    if (!proto_budget_row_get(&r, &b))
        return -EBADMSG;
    if (b.budget != e->put->budget || b.deleted)
        return 0;
    memcpy(e->selector, b.selector.p, b.selector.n);
    memcpy(e->label, b.label.p, b.label.n);
    *e->put = (struct proto_budget_put){
        .budget = b.budget,
        .scope = b.scope,
        .subject = b.subject,
        .selector = {e->selector, b.selector.n},
        .window = b.window,
        .limit = b.limit,
        .soft_limit = b.soft_limit,
        .mode = b.mode,
        .status = b.status,
        .label = {e->label, b.label.n},
    };
    e->found = true;
    return 1;
}

static int values(struct ctl *c, const struct ctl_args *a, struct proto_budget_put *b)
{
    int64_t status = b->status;
    int rv = word(c, a, "scope", proto_scope_parse, proto_scope_name, PROTO_SCOPE_LAST, &b->scope);
    if (rv == CTL_OK)
        rv = word(c, a, "window", proto_window_parse, proto_window_name, PROTO_WINDOW_LAST,
                  &b->window);
    if (rv == CTL_OK)
        rv = mode(c, a, &b->mode);
    if (rv == CTL_OK)
        rv = ctl_money(c, a, "limit", &b->limit);
    if (rv == CTL_OK)
        rv = ctl_string(c, a, "label", PROTO_NAME_MAX, &b->label);
    if (rv == CTL_OK)
        rv = ctl_number(c, a, "status", 402, 429, &status);
    if (rv == CTL_OK && status != 402 && status != 429)
        rv = ctl_fail(c, CTL_USAGE, "usage", "--status: 402 or 429");
    b->status = (uint16_t)status;
    b->override = ctl_given(a, "override");
    return rv;
}

/* --subject: a team, a key, or the name the scope is about. */
static int subject(struct ctl *c, const struct ctl_args *a, const struct proto_uuid *org,
                   struct proto_budget_put *b)
{
    const char *text = ctl_arg(a, "subject");
    if (b->scope == PROTO_SCOPE_org && text)
        return ctl_fail(c, CTL_USAGE, "usage", "--subject: a budget of the org has none");
    if (!text && b->scope != PROTO_SCOPE_org && b->budget == 0)
        return ctl_fail(c, CTL_USAGE, "usage",
                        scope_has_number(b->scope)
                            ? "--subject is missing: which %s"
                            : "--subject is missing: the %s's name, or * for one counter each",
                        proto_scope_name(b->scope));
    if (!text)
        return CTL_OK;
    b->subject = 0;
    b->selector = (struct proto_str){"", 0};
    if (scope_has_number(b->scope))
        return b->scope == PROTO_SCOPE_team ? ctl_team(c, org, text, &b->subject)
                                            : ctl_key(c, org, text, &b->subject);
    return ctl_string(c, a, "subject", PROTO_NAME_MAX, &b->selector);
}

static int budget_put(struct ctl *c, const struct ctl_args *a)
{
    struct proto_command cmd = {.head.kind = PROTO_CMD_budget_put};
    struct proto_budget_put *b = &cmd.body.budget_put;
    struct existing e = {.put = b};
    struct ctl_reply reply;
    int64_t number = 0;
    *b = (struct proto_budget_put){
        .window = PROTO_WINDOW_monthly, .mode = PROTO_MODE_hard_block, .status = 402};
    int rv = ctl_number(c, a, "budget", 1, UINT32_MAX, &number);
    b->budget = (uint32_t)number;
    if (rv == CTL_OK && number == 0 && (!ctl_given(a, "scope") || !ctl_given(a, "limit")))
        rv = ctl_fail(c, CTL_USAGE, "usage", "a new budget needs --scope and --limit");
    struct proto_budget_put draft = *b; /* refuses wrong words before anything is connected */
    if (rv == CTL_OK)
        rv = values(c, a, &draft);
    if (rv == CTL_OK)
        rv = ctl_org(c, a, &cmd.head.org);
    if (rv == CTL_OK && number > 0) {
        rv = ctl_query(c, PROTO_QUERY_budgets, &cmd.head.org, 0, false, existing_row, &e);
        if (rv == CTL_OK && !e.found)
            rv = ctl_fail(c, CTL_REFUSED, "BUDGET_UNKNOWN", "no such budget: %s",
                          ctl_arg(a, "budget"));
    }
    if (rv == CTL_OK)
        rv = values(c, a, b);
    if (rv == CTL_OK)
        rv = subject(c, a, &cmd.head.org, b);
    if (rv == CTL_OK)
        rv = ctl_command(c, &cmd, &reply);
    if (rv != CTL_OK)
        return rv;
    out_uuid(c, c->out, "org", &cmd.head.org);
    out_uint(c, c->out, "budget",
             reply.result.shape == PROTO_SHAPE_created ? reply.result.body.created.number
                                                       : b->budget);
    out_bool(c, c->out, "override", reply.result.flags & PROTO_FLAG_OVERRIDE);
    out_receipt(c, &reply);
    return CTL_OK;
}

/* ---- list, delete ---- */
static int list_row(struct ctl *c, struct proto_str row, void *ctx)
{
    struct proto_budget_row b;
    struct proto_reader r = proto_reader_over(row.p, row.n);
    int64_t left;
    if (!proto_budget_row_get(&r, &b))
        return -EBADMSG;
    yyjson_mut_val *to = out_row(c, ctx);
    out_uint(c, to, "budget", b.budget);
    out_uint(c, to, "generation", b.generation);
    out_text(c, to, "scope", proto_scope_name(b.scope));
    out_uint(c, to, "subject", b.subject);
    out_str(c, to, "selector", b.selector);
    out_text(c, to, "window", proto_window_name(b.window));
    out_money(c, to, "limit", b.limit);
    out_money(c, to, "soft_limit", b.soft_limit);
    out_text(c, to, "mode", proto_mode_name(b.mode));
    out_uint(c, to, "status", b.status);
    out_str(c, to, "label", b.label);
    out_money(c, to, "spent", b.spent);
    out_money(c, to, "held", b.held);
    left = b.limit - b.spent - b.held;
    out_money(c, to, "left", left > 0 ? left : 0);
    out_time(c, to, "window_start", b.window_start_us);
    out_time(c, to, "reset", b.reset_us);
    out_bool(c, to, "deleted", b.deleted);
    return 0;
}

static int budget_list(struct ctl *c, const struct ctl_args *a)
{
    struct proto_uuid org;
    int rv = ctl_org(c, a, &org);
    return rv ? rv
              : ctl_query(c, PROTO_QUERY_budgets, &org, 0, false, list_row, out_list(c, "budgets"));
}

static int budget_delete(struct ctl *c, const struct ctl_args *a)
{
    struct proto_command cmd = {.head.kind = PROTO_CMD_budget_delete};
    struct ctl_reply reply;
    int64_t number = 0;
    int rv = ctl_number(c, a, "budget", 1, UINT32_MAX, &number);
    cmd.body.budget_delete.budget = (uint32_t)number;
    if (rv == CTL_OK)
        rv = ctl_string(c, a, "reason", PROTO_REASON_MAX, &cmd.body.budget_delete.reason);
    if (rv == CTL_OK)
        rv = ctl_org(c, a, &cmd.head.org);
    if (rv == CTL_OK)
        rv = ctl_command(c, &cmd, &reply);
    if (rv != CTL_OK)
        return rv;
    out_uuid(c, c->out, "org", &cmd.head.org);
    out_uint(c, c->out, "budget", (uint32_t)number);
    out_receipt(c, &reply);
    return CTL_OK;
}

static const struct ctl_option put_options[] = {
    {"org", "NAME|UUID", false, "the organisation (default: $HOLDFAST_ORG)"},
    {"budget", "NUMBER", false, "change this one; what is not given stays"},
    {"scope", "SCOPE", false, "org, team, key, model, customer, user, agent or env"},
    {"subject", "WHICH", false, "the team, the key, or the name; of names, * is one counter each"},
    {"window", "WINDOW", false, "absolute, hourly, daily, weekly or monthly (default)"},
    {"limit", "DOLLARS", false, "what may be spent in a window"},
    {"mode", "MODE", false, "hard_block (default); alert_only counts and refuses nothing"},
    {"status", "402|429", false, "HTTP status of a refusal (default 402)"},
    {"label", "TEXT", false, "stands in refusals"},
    {"override", NULL, false, "accept a limit above its parent's; audited"},
    {0}};
static const struct ctl_option list_options[] = {
    {"org", "NAME|UUID", false, "the organisation (default: $HOLDFAST_ORG)"}, {0}};
static const struct ctl_option delete_options[] = {
    {"org", "NAME|UUID", false, "the organisation (default: $HOLDFAST_ORG)"},
    {"budget", "NUMBER", true, "which one"},
    {"reason", "TEXT", false, "goes into the audit trail"},
    {0}};
static const char *const columns[] = {"budget", "scope", "subject", "selector", "window",
                                      "limit",  "spent", "held",    "left",     "reset",
                                      "mode",   "label", "deleted", NULL};

static const struct ctl_action actions[] = {
    {"put", "Makes a budget, or changes one.", NULL, put_options, NULL, NULL, budget_put,
     "A new budget needs --scope and --limit, and stands beside those there are: a call has to\n"
     "fit all of them. To change a limit give --budget; 'budget list' has its number.\n"},
    {"list", "Lists the budgets with the counter of the current window.", NULL, list_options,
     "budgets", columns, budget_list, NULL},
    {"delete", "Deletes a budget.", NULL, delete_options, NULL, NULL, budget_delete, NULL},
    {0}};
const struct ctl_noun ctl_noun_budget = {"budget", "spending limits: put, list, delete", actions};
