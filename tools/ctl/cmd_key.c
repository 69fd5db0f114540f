/* SPDX-License-Identifier: Apache-2.0
 * holdfastctl key: create, list, revoke, rotate. A key's text is made here, printed once and wiped;
 * the ledger is given its hash.
 */
#include "tools/ctl/ctl.h"

#include "proto/key.h"

#include <errno.h>

/* A new key's text, its public part (a view into text) and the hash for the ledger. */
static void key_make(char text[PROTO_KEY_TEXT_LEN + 1], struct proto_str *public,
                     struct proto_hash *secret)
{
    uint8_t random[8 + 32];
    link_random(random, sizeof random);
    proto_key_make(random, random + 8, text);
    explicit_bzero(random, sizeof random);
    struct proto_str whole = {text, PROTO_KEY_TEXT_LEN};
    *public = (struct proto_str){text + 6, PROTO_KEY_PUBLIC_LEN};
    proto_key_hash(whole, secret);
}

/* "a,b,c" into the list; views into text. */
static int models_read(struct ctl *c, const char *text, struct proto_key_create *k)
{
    while (text && *text) {
        size_t n = strcspn(text, ",");
        if (n == 0 || n > PROTO_NAME_MAX ||
            !proto_utf8_clean((struct proto_str){text, (uint32_t)n}))
            return ctl_fail(c, CTL_USAGE, "usage", "--models: names separated by commas");
        if (k->models.n == PROTO_MAX_allowed)
            return ctl_fail(c, CTL_USAGE, "usage", "--models: at most %d", PROTO_MAX_allowed);
        k->models.e[k->models.n++].model = (struct proto_str){text, (uint32_t)n};
        text += n + (text[n] == ',');
    }
    return CTL_OK;
}

static int key_create(struct ctl *c, const struct ctl_args *a)
{
    struct proto_command cmd = {.head.kind = PROTO_CMD_key_create};
    struct proto_key_create *k = &cmd.body.key_create;
    struct ctl_reply reply;
    char text[PROTO_KEY_TEXT_LEN + 1];
    int rv = ctl_string(c, a, "label", PROTO_NAME_MAX, &k->label);
    if (rv == CTL_OK)
        rv = ctl_string(c, a, "env", PROTO_NAME_MAX, &k->env);
    if (rv == CTL_OK)
        rv = ctl_time(c, a, "expires", &k->expires_us);
    if (rv == CTL_OK && k->expires_us != 0 && k->expires_us <= ctl_now_us())
        rv = ctl_fail(c, CTL_USAGE, "usage", "--expires: '%s' is past", ctl_arg(a, "expires"));
    if (rv == CTL_OK)
        rv = models_read(c, ctl_arg(a, "models"), k);
    if (rv == CTL_OK)
        rv = ctl_org(c, a, &cmd.head.org);
    if (rv == CTL_OK && ctl_given(a, "team"))
        rv = ctl_team(c, &cmd.head.org, ctl_arg(a, "team"), &k->team);
    if (rv != CTL_OK)
        return rv;
    key_make(text, &k->public, &k->secret);
    rv = ctl_command(c, &cmd, &reply);
    if (rv == CTL_OK) {
        out_uuid(c, c->out, "org", &cmd.head.org);
        out_uint(c, c->out, "team", k->team);
        if (reply.result.shape == PROTO_SHAPE_created)
            out_uint(c, c->out, "key", reply.result.body.created.number);
        out_str(c, c->out, "public", k->public);
        out_text(c, c->out, "api_key", text);
        out_receipt(c, &reply);
    }
    explicit_bzero(text, sizeof text);
    return rv;
}

static int list_row(struct ctl *c, struct proto_str row, void *ctx)
{
    struct proto_key_row k;
    struct proto_reader r = proto_reader_over(row.p, row.n);
    if (!proto_key_row_get(&r, &k))
        return -EBADMSG;
    yyjson_mut_val *to = out_row(c, ctx);
    out_uint(c, to, "key", k.key);
    out_uint(c, to, "team", k.team);
    out_str(c, to, "public", k.public);
    out_str(c, to, "label", k.label);
    out_str(c, to, "env", k.env);
    out_bool(c, to, "revoked", k.revoked);
    out_time(c, to, "expires", k.expires_us);
    out_time(c, to, "created", k.created_us);
    out_models(c, to, k.models.n, k.models.e);
    return 0;
}

static int key_list(struct ctl *c, const struct ctl_args *a)
{
    struct proto_uuid org;
    int rv = ctl_org(c, a, &org);
    return rv ? rv : ctl_query(c, PROTO_QUERY_keys, &org, 0, false, list_row, out_list(c, "keys"));
}

static int key_revoke(struct ctl *c, const struct ctl_args *a)
{
    struct proto_command cmd = {.head.kind = PROTO_CMD_key_revoke};
    struct ctl_reply reply;
    int rv = ctl_string(c, a, "reason", PROTO_REASON_MAX, &cmd.body.key_revoke.reason);
    if (rv == CTL_OK)
        rv = ctl_org(c, a, &cmd.head.org);
    if (rv == CTL_OK)
        rv = ctl_key(c, &cmd.head.org, ctl_arg(a, "key"), &cmd.body.key_revoke.key);
    if (rv == CTL_OK)
        rv = ctl_command(c, &cmd, &reply);
    if (rv != CTL_OK)
        return rv;
    out_uuid(c, c->out, "org", &cmd.head.org);
    out_uint(c, c->out, "key", cmd.body.key_revoke.key);
    out_bool(c, c->out, "revoked", true);
    out_receipt(c, &reply);
    return CTL_OK;
}

static int key_rotate(struct ctl *c, const struct ctl_args *a)
{
    struct proto_command cmd = {.head.kind = PROTO_CMD_key_rotate};
    struct proto_key_rotate *k = &cmd.body.key_rotate;
    struct ctl_reply reply;
    char text[PROTO_KEY_TEXT_LEN + 1];
    int rv = ctl_org(c, a, &cmd.head.org);
    if (rv == CTL_OK)
        rv = ctl_key(c, &cmd.head.org, ctl_arg(a, "key"), &k->key);
    if (rv != CTL_OK)
        return rv;
    key_make(text, &k->public, &k->secret);
    rv = ctl_command(c, &cmd, &reply);
    if (rv == CTL_OK) {
        out_uuid(c, c->out, "org", &cmd.head.org);
        out_uint(c, c->out, "key", k->key);
        out_str(c, c->out, "public", k->public);
        out_text(c, c->out, "api_key", text);
        out_receipt(c, &reply);
    }
    explicit_bzero(text, sizeof text);
    return rv;
}

static const struct ctl_option create_options[] = {
    {"org", "NAME|UUID", false, "the organisation (default: $HOLDFAST_ORG)"},
    {"team", "NAME|NUMBER", false, "the team it belongs to (default: none)"},
    {"label", "TEXT", false, "what it is for"},
    {"env", "NAME", false, "its environment, as in prod or staging"},
    {"expires", "WHEN", false, "a date, a time, or 30d, 12h (default: never)"},
    {"models", "A,B", false,
     "the models it may use, by their names in the catalogue (default: all)"},
    {0}};
static const struct ctl_option list_options[] = {
    {"org", "NAME|UUID", false, "the organisation (default: $HOLDFAST_ORG)"}, {0}};
static const struct ctl_option revoke_options[] = {
    {"org", "NAME|UUID", false, "the organisation (default: $HOLDFAST_ORG)"},
    {"key", "KEY", true, "its number or its public part"},
    {"reason", "TEXT", false, "goes into the audit trail"},
    {0}};
static const struct ctl_option rotate_options[] = {
    {"org", "NAME|UUID", false, "the organisation (default: $HOLDFAST_ORG)"},
    {"key", "KEY", true, "its number or its public part"},
    {0}};
static const char *const columns[] = {"key",     "team",    "public", "label", "env",
                                      "revoked", "expires", "models", NULL};

static const struct ctl_action actions[] = {
    {"create", "Makes a key and prints it, this once.", NULL, create_options, NULL, NULL,
     key_create, "The ledger stores a hash only: a lost key cannot be shown again, but rotated.\n"},
    {"list", "Lists the keys of an organisation by their public parts.", NULL, list_options, "keys",
     columns, key_list, NULL},
    {"revoke", "Ends a key at once.", NULL, revoke_options, NULL, NULL, key_revoke, NULL},
    {"rotate", "Gives a key a new text; the old one ends at once.", NULL, rotate_options, NULL,
     NULL, key_rotate, NULL},
    {0}};
const struct ctl_noun ctl_noun_key = {"key", "virtual keys: create, list, revoke, rotate", actions};
