/* SPDX-License-Identifier: Apache-2.0
 * holdfastctl audit: the trail of administrative actions, of one org or of the whole group.
 */
#include "tools/ctl/ctl.h"

#include <errno.h>
#include <stdlib.h>

struct trail {
    yyjson_mut_val *list;
    int64_t left;
};

static int trail_row(struct ctl *c, struct proto_str row, void *ctx)
{
    struct trail *t = ctx;
    struct proto_audit_row e;
    struct proto_reader r = proto_reader_over(row.p, row.n);
    char actor[17], ip[64];
    if (!proto_audit_row_get(&r, &e))
        return -EBADMSG;
    struct proto_text hex = proto_text_over(actor, sizeof actor);
    struct proto_text address = proto_text_over(ip, sizeof ip);
    proto_text_hex(&hex, (const uint8_t *)e.actor.p, e.actor.n);
    proto_text_ip(&address, e.ip);
    yyjson_mut_val *to = out_row(c, t->list);
    out_uint(c, to, "number", e.number);
    out_time(c, to, "time", e.time_us);
    out_uint(c, to, "index", e.index);
    out_text(c, to, "action", proto_command_name(e.kind));
    out_uint(c, to, "role", e.role);
    out_text(c, to, "actor", actor);
    out_text(c, to, "ip", ip);
    out_str(c, to, "before", e.before);
    out_str(c, to, "after", e.after);
    out_str(c, to, "reason", e.reason);
    return --t->left <= 0;
}

static int audit(struct ctl *c, const struct ctl_args *a)
{
    struct proto_uuid org;
    int64_t after = 0;
    struct trail t = {.left = INT64_MAX};
    bool whole = ctl_given(a, "group");
    if (whole && ctl_given(a, "org"))
        return ctl_fail(c, CTL_USAGE, "usage", "--org and --group exclude each other");
    int rv = ctl_number(c, a, "after", 0, UINT32_MAX, &after);
    if (rv == CTL_OK)
        rv = ctl_number(c, a, "limit", 1, INT64_MAX, &t.left);
    if (rv == CTL_OK)
        rv = whole ? ctl_open(c, true) : ctl_org(c, a, &org);
    if (rv != CTL_OK)
        return rv;
    t.list = out_list(c, "audit");
    return ctl_query(c, PROTO_QUERY_audit, whole ? NULL : &org, (uint32_t)after, false, trail_row,
                     &t);
}

static const struct ctl_option options[] = {
    {"org", "NAME|UUID", false, "the organisation (default: $HOLDFAST_ORG)"},
    {"group", NULL, false, "what belongs to no organisation: price imports, cluster changes"},
    {"after", "NUMBER", false, "only entries after that one"},
    {"limit", "N", false, "at most that many"},
    {0}};
static const char *const columns[] = {"number", "time",   "index", "action", "actor",
                                      "ip",     "before", "after", "reason", NULL};
static const struct ctl_action actions[] = {
    {NULL, "Lists administrative actions, oldest first: who, from where, before and after.", NULL,
     options, "audit", columns, audit, NULL},
    {0}};
const struct ctl_noun ctl_noun_audit = {"audit", "the trail of administrative actions", actions};
