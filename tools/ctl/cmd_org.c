/* SPDX-License-Identifier: Apache-2.0
 * holdfastctl org: create, list, show, set, pause, resume; and whoami.
 */
#include "tools/ctl/ctl.h"

#include <errno.h>

/* ---- rows ---- */
static void org_out(struct ctl *c, yyjson_mut_val *to, const struct proto_org_row *o)
{
    out_uuid(c, to, "org", &o->org);
    out_str(c, to, "name", o->name);
    out_bool(c, to, "paused", o->paused);
    out_money(c, to, "balance", o->available + o->promo + o->held);
    out_money(c, to, "available", o->available);
    out_money(c, to, "promo", o->promo);
    out_money(c, to, "held", o->held);
    out_money(c, to, "usage", o->usage);
    out_money(c, to, "fees", o->fees);
    out_money(c, to, "funding", o->funding);
    out_money(c, to, "writeoff", o->writeoff);
    out_uint(c, to, "open_holds", o->open_holds);
    out_uint(c, to, "settled", o->settled);
    out_uint(c, to, "refused", o->refused);
    out_uint(c, to, "billing_day", o->billing_day);
    out_uint(c, to, "fee_ppm", o->fee_ppm);
    out_bool(c, to, "allow_unpriced", o->allow_unpriced);
    out_bool(c, to, "allow_unbounded", o->allow_unbounded);
    out_uint(c, to, "rules_version", o->rules_version);
    out_uint(c, to, "number", o->number);
    out_time(c, to, "created", o->created_us);
}

static int list_row(struct ctl *c, struct proto_str row, void *ctx)
{
    struct proto_org_row o;
    struct proto_reader r = proto_reader_over(row.p, row.n);
    if (!proto_org_row_get(&r, &o))
        return -EBADMSG;
    org_out(c, out_row(c, ctx), &o);
    return 0;
}

static int org_list(struct ctl *c, const struct ctl_args *a)
{
    (void)a;
    int rv = ctl_open(c, true);
    return rv ? rv : ctl_query(c, PROTO_QUERY_orgs, NULL, 0, false, list_row, out_list(c, "orgs"));
}

struct one_org {
    struct proto_uuid want;
    struct proto_org_row row;
    char name[PROTO_NAME_MAX];
};

static int find_org(struct ctl *c, const struct ctl_args *a, struct one_org *one)
{
    int rv = ctl_org(c, a, &one->want);
    return rv ? rv : ctl_org_row(c, &one->want, &one->row, one->name);
}

static int org_show(struct ctl *c, const struct ctl_args *a)
{
    struct one_org one;
    int rv = find_org(c, a, &one);
    if (rv == CTL_OK)
        org_out(c, c->out, &one.row);
    return rv;
}

/* ---- changes ---- */
/* The settings that were given, over those in s. */
static int settings(struct ctl *c, const struct ctl_args *a, struct proto_org_create *s)
{
    int64_t day = s->billing_day, ppm = s->fee_ppm;
    int rv = ctl_name(c, a, &s->name);
    if (rv == CTL_OK)
        rv = ctl_number(c, a, "billing-day", 1, 28, &day);
    if (rv == CTL_OK)
        rv = ctl_number(c, a, "fee-ppm", 0, 1000000, &ppm);
    if (rv == CTL_OK)
        rv = ctl_bool(c, a, "allow-unpriced", &s->allow_unpriced);
    if (rv == CTL_OK)
        rv = ctl_bool(c, a, "allow-unbounded", &s->allow_unbounded);
    s->billing_day = (uint8_t)day;
    s->fee_ppm = (uint32_t)ppm;
    return rv;
}

static int org_create(struct ctl *c, const struct ctl_args *a)
{
    struct proto_command cmd = {.head.kind = PROTO_CMD_org_create};
    struct ctl_reply reply;
    cmd.body.org_create.billing_day = 1;
    link_uuid7(&cmd.head.org);
    int rv = ctl_uuid(c, a, "uuid", &cmd.head.org);
    if (rv == CTL_OK)
        rv = settings(c, a, &cmd.body.org_create);
    if (rv == CTL_OK)
        rv = ctl_command(c, &cmd, &reply);
    if (rv == CTL_OK || rv == CTL_UNAVAILABLE) /* who repeats it needs the UUID */
        out_uuid(c, c->out, "org", &cmd.head.org);
    if (rv != CTL_OK)
        return rv;
    out_str(c, c->out, "name", cmd.body.org_create.name);
    out_receipt(c, &reply);
    ctl_notice_same_name(c, NULL, false, cmd.body.org_create.name);
    return CTL_OK;
}

static int org_set(struct ctl *c, const struct ctl_args *a)
{
    struct one_org one;
    struct ctl_reply reply;
    int rv = find_org(c, a, &one);
    if (rv != CTL_OK)
        return rv;
    struct proto_org_create s = {one.row.name, one.row.billing_day, one.row.fee_ppm,
                                 one.row.allow_unpriced, one.row.allow_unbounded};
    rv = settings(c, a, &s);
    if (rv != CTL_OK)
        return rv;
    struct proto_command cmd = {.head = {.kind = PROTO_CMD_org_set, .org = one.want}};
    cmd.body.org_set = (struct proto_org_set){s.name, s.billing_day, s.fee_ppm, s.allow_unpriced,
                                              s.allow_unbounded};
    rv = ctl_command(c, &cmd, &reply);
    if (rv != CTL_OK)
        return rv;
    out_uuid(c, c->out, "org", &one.want);
    out_str(c, c->out, "name", s.name);
    out_uint(c, c->out, "billing_day", s.billing_day);
    out_uint(c, c->out, "fee_ppm", s.fee_ppm);
    out_bool(c, c->out, "allow_unpriced", s.allow_unpriced);
    out_bool(c, c->out, "allow_unbounded", s.allow_unbounded);
    out_receipt(c, &reply);
    return CTL_OK;
}

static int switch_org(struct ctl *c, const struct ctl_args *a, bool pause)
{
    struct proto_command cmd = {.head.kind = pause ? PROTO_CMD_org_pause : PROTO_CMD_org_resume};
    struct proto_str reason = {"", 0};
    struct ctl_reply reply;
    int rv = ctl_string(c, a, "reason", PROTO_REASON_MAX, &reason);
    if (rv == CTL_OK)
        rv = ctl_org(c, a, &cmd.head.org);
    if (rv != CTL_OK)
        return rv;
    if (pause)
        cmd.body.org_pause.reason = reason;
    else
        cmd.body.org_resume.reason = reason;
    rv = ctl_command(c, &cmd, &reply);
    if (rv != CTL_OK)
        return rv;
    out_uuid(c, c->out, "org", &cmd.head.org);
    out_bool(c, c->out, "paused", pause);
    out_receipt(c, &reply);
    return CTL_OK;
}

static int org_pause(struct ctl *c, const struct ctl_args *a)
{
    return switch_org(c, a, true);
}

static int org_resume(struct ctl *c, const struct ctl_args *a)
{
    return switch_org(c, a, false);
}

static const struct ctl_option create_options[] = {
    {"name", "NAME", true, "at most 128 bytes"},
    {"uuid", "UUID", false, "its identity (default: a new UUIDv7)"},
    {"billing-day", "1..28", false, "day on which monthly windows begin (default 1)"},
    {"fee-ppm", "N", false, "platform fee in millionths of the cost (default 0)"},
    {"allow-unpriced", "yes|no", false, "let models without a price through (default no)"},
    {"allow-unbounded", "yes|no", false, "let calls without an upper bound through (default no)"},
    {0}};
static const struct ctl_option set_options[] = {
    {"org", "NAME|UUID", false, "the organisation (default: $HOLDFAST_ORG)"},
    {"name", "NAME", false, "its new name"},
    {"billing-day", "1..28", false, "day on which monthly windows begin; new ones, at zero"},
    {"fee-ppm", "N", false, "platform fee in millionths of the cost"},
    {"allow-unpriced", "yes|no", false, "let models without a price through"},
    {"allow-unbounded", "yes|no", false, "let calls without an upper bound through"},
    {0}};
static const struct ctl_option org_options[] = {
    {"org", "NAME|UUID", false, "the organisation (default: $HOLDFAST_ORG)"}, {0}};
static const struct ctl_option switch_options[] = {
    {"org", "NAME|UUID", false, "the organisation (default: $HOLDFAST_ORG)"},
    {"reason", "TEXT", false, "goes into the audit trail"},
    {0}};
static const char *const org_columns[] = {"org",   "name",   "balance",    "available",
                                          "promo", "held",   "open_holds", "usage",
                                          "fees",  "paused", NULL};

static const struct ctl_action org_actions[] = {
    {"create", "Makes an organisation and prints its UUID.", NULL, create_options, NULL, NULL,
     org_create, NULL},
    {"list", "Lists all organisations with their balances.", NULL, NULL, "orgs", org_columns,
     org_list, NULL},
    {"show", "Shows one organisation: settings, accounts, counts.", NULL, org_options, NULL, NULL,
     org_show, NULL},
    {"set", "Changes settings; what is not given stays.", NULL, set_options, NULL, NULL, org_set,
     NULL},
    {"pause", "Refuses every new call of the organisation at once, on every edge.", NULL,
     switch_options, NULL, NULL, org_pause, NULL},
    {"resume", "Takes calls again.", NULL, switch_options, NULL, NULL, org_resume, NULL},
    {0}};
const struct ctl_noun ctl_noun_org = {
    "org", "organisations: create, list, show, set, pause, resume", org_actions};

/* ---- whoami ---- */
static int identity_row(struct ctl *c, struct proto_str row, void *ctx)
{
    struct proto_identity i;
    struct proto_reader r = proto_reader_over(row.p, row.n);
    (void)ctx;
    if (!proto_identity_get(&r, &i))
        return -EBADMSG;
    out_bool(c, c->out, "operator", i.operator);
    if (i.operator)
        return 1;
    out_uuid(c, c->out, "org", &i.org);
    out_str(c, c->out, "org_name", i.org_name);
    out_uint(c, c->out, "team", i.team);
    out_uint(c, c->out, "key", i.key);
    out_str(c, c->out, "label", i.label);
    out_bool(c, c->out, "paused", i.paused);
    out_models(c, c->out, i.models.n, i.models.e);
    return 1;
}

static int whoami(struct ctl *c, const struct ctl_args *a)
{
    (void)a;
    int rv = ctl_open(c, true);
    return rv ? rv : ctl_query(c, PROTO_QUERY_whoami, NULL, 0, false, identity_row, NULL);
}

static const struct ctl_action whoami_actions[] = {
    {NULL, "Says whom the ledger takes the presented credential for.", NULL, NULL, NULL, NULL,
     whoami, NULL},
    {0}};
const struct ctl_noun ctl_noun_whoami = {"whoami", "whom the ledger takes this credential for",
                                         whoami_actions};
