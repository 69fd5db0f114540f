/* SPDX-License-Identifier: Apache-2.0
 * Names for people: an org by name or UUID, a team by name, number or #number, a key by number or
 * by its public part. Names are labels, which the ledger does not keep apart: one that two records
 * share is refused here with what they can be told apart by, never guessed.
 */
#include "tools/ctl/ctl.h"

#include "proto/key.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { SHOWN_MAX = 512 };

struct lookup {
    struct proto_str want;
    unsigned hits;
    struct proto_uuid org;
    uint32_t number;
    bool number_taken;     /* `same_number` is a team's, whatever its name */
    uint32_t same_number;  /* of the text, read as a number; 0: it is none */
    char shown[SHOWN_MAX]; /* what the hits can be named by instead, as many as fit */
};

static void show(struct lookup *l, const char *text)
{
    size_t n = strlen(l->shown);
    if (n + strlen(text) + 3 < sizeof l->shown)
        snprintf(l->shown + n, sizeof l->shown - n, "%s%s", n > 0 ? ", " : "", text);
}

static int org_row(struct ctl *c, struct proto_str row, void *ctx)
{
    struct lookup *l = ctx;
    struct proto_org_row o;
    struct proto_reader r = proto_reader_over(row.p, row.n);
    (void)c;
    if (!proto_org_row_get(&r, &o))
        return -EBADMSG;
    if (proto_str_eq(o.name, l->want)) {
        char uuid[PROTO_UUID_TEXT];
        proto_uuid_print(&o.org, uuid);
        show(l, uuid);
        l->org = o.org;
        l->hits++;
    }
    return 0;
}

int ctl_org(struct ctl *c, const struct ctl_args *a, struct proto_uuid *org)
{
    const char *text = ctl_arg(a, "org");
    if (!text)
        text = getenv("HOLDFAST_ORG");
    if (!text || !text[0])
        return ctl_fail(c, CTL_USAGE, "usage", "--org NAME|UUID is missing");
    int rv = ctl_open(c, true);
    if (rv || proto_uuid_parse(proto_str_of(text), org))
        return rv;
    struct lookup l = {.want = proto_str_of(text)};
    rv = ctl_query(c, PROTO_QUERY_orgs, NULL, 0, false, org_row, &l);
    if (rv)
        return rv;
    if (l.hits == 0)
        return ctl_fail(c, CTL_REFUSED, "ORG_UNKNOWN",
                        "no organisation is called '%s' ('org list' shows all)", text);
    if (l.hits > 1)
        return ctl_fail(c, CTL_REFUSED, "ambiguous",
                        "%u organisations are called '%s': give the UUID (%s)", l.hits, text,
                        l.shown);
    *org = l.org;
    return CTL_OK;
}

struct one_org {
    const struct proto_uuid *want;
    struct proto_org_row *row;
    char *name;
    bool found;
};

static int one_row(struct ctl *c, struct proto_str row, void *ctx)
{
    struct one_org *one = ctx;
    struct proto_reader r = proto_reader_over(row.p, row.n);
    struct proto_org_row o;
    (void)c;
    if (!proto_org_row_get(&r, &o))
        return -EBADMSG;
    if (!proto_uuid_eq(&o.org, one->want))
        return 0;
    memcpy(one->name, o.name.p, o.name.n);
    *one->row = o;
    one->row->name.p = one->name;
    one->found = true;
    return 1;
}

int ctl_org_row(struct ctl *c, const struct proto_uuid *org, struct proto_org_row *out,
                char name[PROTO_NAME_MAX])
{
    struct one_org one = {.want = org, .row = out, .name = name};
    int rv = ctl_query(c, PROTO_QUERY_orgs, NULL, 0, false, one_row, &one);
    if (rv == CTL_OK && !one.found)
        rv = ctl_fail(c, CTL_REFUSED, "ORG_UNKNOWN", "no such organisation");
    return rv;
}

/* A whole decimal number up to UINT32_MAX; false: not one. */
static bool number_read(const char *text, uint32_t *out)
{
    char *end;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (errno || end == text || *end || text[0] < '0' || text[0] > '9' || v == 0 || v > UINT32_MAX)
        return false;
    *out = (uint32_t)v;
    return true;
}

static void add_team(struct lookup *l, uint32_t team)
{
    char number[16];
    snprintf(number, sizeof number, "%u", (unsigned)team);
    show(l, number);
    l->number = team;
    l->hits++;
}

static int team_row(struct ctl *c, struct proto_str row, void *ctx)
{
    struct lookup *l = ctx;
    struct proto_team_row t;
    struct proto_reader r = proto_reader_over(row.p, row.n);
    (void)c;
    if (!proto_team_row_get(&r, &t))
        return -EBADMSG;
    if (!t.deleted && proto_str_eq(t.name, l->want))
        add_team(l, t.team);
    else if (!t.deleted && t.team == l->same_number)
        l->number_taken = true;
    return 0;
}

/* "#3" is a number; else a name, or a number where no team is called so. */
int ctl_team(struct ctl *c, const struct proto_uuid *org, const char *text, uint32_t *team)
{
    struct lookup l = {.want = proto_str_of(text)};
    if (text[0] == '#' && number_read(text + 1, team))
        return CTL_OK;
    bool is_number = number_read(text, &l.same_number);
    int rv = ctl_query(c, PROTO_QUERY_teams, org, 0, false, team_row, &l);
    if (rv)
        return rv;
    if (l.hits == 1 && l.number_taken)
        return ctl_fail(c, CTL_REFUSED, "ambiguous",
                        "'%s' is the number of one team and the name of another: give #%s or #%s",
                        text, text, l.shown);
    if (l.hits == 1)
        *team = l.number;
    else if (l.hits > 1)
        return ctl_fail(c, CTL_REFUSED, "ambiguous",
                        "%u teams are called '%s': give the number (%s)", l.hits, text, l.shown);
    else if (is_number)
        *team = l.same_number;
    else
        return ctl_fail(c, CTL_REFUSED, "TEAM_UNKNOWN", "no team is called '%s'", text);
    return CTL_OK;
}

void ctl_notice_same_name(struct ctl *c, const struct proto_uuid *org, bool team,
                          struct proto_str name)
{
    char text[128];
    struct lookup l = {.want = name};
    int rv = ctl_query(c, team ? PROTO_QUERY_teams : PROTO_QUERY_orgs, org, 0, false,
                       team ? team_row : org_row, &l);
    if (rv != CTL_OK || l.hits < 2)
        return;
    snprintf(text, sizeof text, "%u %s have this name now: call them by %s", l.hits,
             team ? "teams" : "organisations", team ? "number" : "UUID");
    out_text(c, c->out, "notice", text);
}

static int key_row(struct ctl *c, struct proto_str row, void *ctx)
{
    struct lookup *l = ctx;
    struct proto_key_row k;
    struct proto_reader r = proto_reader_over(row.p, row.n);
    (void)c;
    if (!proto_key_row_get(&r, &k))
        return -EBADMSG;
    if (proto_str_eq(k.public, l->want)) {
        l->number = k.key;
        l->hits++;
    }
    return l->hits > 0;
}

int ctl_key(struct ctl *c, const struct proto_uuid *org, const char *text, uint32_t *key)
{
    struct lookup l = {.want = proto_str_of(text)};
    if (l.want.n == PROTO_KEY_TEXT_LEN && !proto_key_public(l.want, &l.want))
        return ctl_fail(c, CTL_USAGE, "usage", "not a key");
    if (l.want.n != PROTO_KEY_PUBLIC_LEN) {
        if (number_read(text, key))
            return CTL_OK;
        return ctl_fail(c, CTL_USAGE, "usage",
                        "a key is named by its number or its public part (12 characters)");
    }
    int rv = ctl_query(c, PROTO_QUERY_keys, org, 0, false, key_row, &l);
    if (rv)
        return rv;
    if (l.hits == 0)
        return ctl_fail(c, CTL_REFUSED, "KEY_UNKNOWN", "the organisation has no such key");
    *key = l.number;
    return CTL_OK;
}
