/* SPDX-License-Identifier: Apache-2.0
 * holdfastctl team: create, list, delete.
 */
#include "tools/ctl/ctl.h"

#include <errno.h>

static int team_create(struct ctl *c, const struct ctl_args *a)
{
    struct proto_command cmd = {.head.kind = PROTO_CMD_team_create};
    struct ctl_reply reply;
    int rv = ctl_name(c, a, &cmd.body.team_create.name);
    if (rv == CTL_OK)
        rv = ctl_org(c, a, &cmd.head.org);
    if (rv == CTL_OK)
        rv = ctl_command(c, &cmd, &reply);
    if (rv != CTL_OK)
        return rv;
    out_uuid(c, c->out, "org", &cmd.head.org);
    out_str(c, c->out, "name", cmd.body.team_create.name);
    if (reply.result.shape == PROTO_SHAPE_created)
        out_uint(c, c->out, "team", reply.result.body.created.number);
    out_receipt(c, &reply);
    ctl_notice_same_name(c, &cmd.head.org, true, cmd.body.team_create.name);
    return CTL_OK;
}

static int list_row(struct ctl *c, struct proto_str row, void *ctx)
{
    struct proto_team_row t;
    struct proto_reader r = proto_reader_over(row.p, row.n);
    if (!proto_team_row_get(&r, &t))
        return -EBADMSG;
    yyjson_mut_val *to = out_row(c, ctx);
    out_uint(c, to, "team", t.team);
    out_str(c, to, "name", t.name);
    out_uint(c, to, "keys", t.keys);
    out_bool(c, to, "deleted", t.deleted);
    out_time(c, to, "created", t.created_us);
    return 0;
}

static int team_list(struct ctl *c, const struct ctl_args *a)
{
    struct proto_uuid org;
    int rv = ctl_org(c, a, &org);
    return rv ? rv
              : ctl_query(c, PROTO_QUERY_teams, &org, 0, false, list_row, out_list(c, "teams"));
}

static int team_delete(struct ctl *c, const struct ctl_args *a)
{
    struct proto_command cmd = {.head.kind = PROTO_CMD_team_delete};
    struct ctl_reply reply;
    int rv = ctl_org(c, a, &cmd.head.org);
    if (rv == CTL_OK)
        rv = ctl_team(c, &cmd.head.org, ctl_arg(a, "team"), &cmd.body.team_delete.team);
    if (rv == CTL_OK)
        rv = ctl_command(c, &cmd, &reply);
    if (rv != CTL_OK)
        return rv;
    out_uuid(c, c->out, "org", &cmd.head.org);
    out_uint(c, c->out, "team", cmd.body.team_delete.team);
    out_receipt(c, &reply);
    return CTL_OK;
}

static const struct ctl_option create_options[] = {
    {"org", "NAME|UUID", false, "the organisation (default: $HOLDFAST_ORG)"},
    {"name", "NAME", true, "at most 128 bytes"},
    {0}};
static const struct ctl_option list_options[] = {
    {"org", "NAME|UUID", false, "the organisation (default: $HOLDFAST_ORG)"}, {0}};
static const struct ctl_option delete_options[] = {
    {"org", "NAME|UUID", false, "the organisation (default: $HOLDFAST_ORG)"},
    {"team", "NAME|NUMBER", true, "which one"},
    {0}};
static const char *const columns[] = {"team", "name", "keys", "deleted", "created", NULL};

static const struct ctl_action actions[] = {
    {"create", "Makes a team and prints its number.", NULL, create_options, NULL, NULL, team_create,
     NULL},
    {"list", "Lists the teams of an organisation.", NULL, list_options, "teams", columns, team_list,
     NULL},
    {"delete", "Deletes a team that has no keys any more, and its budgets.", NULL, delete_options,
     NULL, NULL, team_delete, NULL},
    {0}};
const struct ctl_noun ctl_noun_team = {"team", "teams of an organisation: create, list, delete",
                                       actions};
